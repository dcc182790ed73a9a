//! `tidings demo`: the main job, to watch.
//!
//! A real server with a store of its own, two receivers, a handful of events. What is shown comes
//! through the API, so that it is what any client would see.

mod place;
mod receivers;
mod show;

use std::mem::replace;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::client::{Api, Call, path};
use super::output::line;
use super::receiver::{self, Receiver};
use crate::clock::Clock;
use crate::config::{Settings, defaults};
use crate::serve::Server;
use place::Place;
use receivers::Tally;
use show::Show;

/// Watch deliveries, failures and retries: a server, two receivers and some events, for ten seconds
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Demo {
    /// Keep publishing until Ctrl-C
    #[arg(long)]
    forever: bool,
    /// Port of the server; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
}

const EXAMPLES: &str = "\
Nothing is kept: the store is in a temporary directory that is removed at the end.

Examples:
  tidings demo
  tidings demo --forever --port 4000     then, in another terminal: tidings deliveries tail";

const EVENTS: u64 = 12;
const BETWEEN_EVENTS: Duration = Duration::from_millis(800);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// What is still owed so long after the last event is told as such.
const PATIENCE: Duration = Duration::from_secs(30);
const TYPES: [&str; 4] = ["job.started", "job.progress", "job.completed", "job.failed"];

impl Demo {
    pub(super) fn run(&self) -> Result<()> {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(self.demo())
    }

    async fn demo(&self) -> Result<()> {
        let place = Place::new()?;
        let server = Server::start(settings(&place, self.port)?, Clock::system()).await?;
        let shown = self.play(&format!("http://{}", server.address)).await;
        server.stop().await;
        drop(place);
        shown
    }

    async fn play(&self, url: &str) -> Result<()> {
        let api = Api::new(url)?;
        let (steady, flaky) = (Arc::new(Tally::new(0)), Arc::new(Tally::new(FLAKY_FAILS)));
        let steady_at = listen(&steady).await?;
        let flaky_at = listen(&flaky).await?;
        line(format!("A server on {url} and two receivers:"))?;
        line(format!("  steady  http://{}  answers 200", steady_at.address))?;
        line(format!(
            "  flaky   http://{}  answers 503 to its first {FLAKY_FAILS} requests, then 200\n",
            flaky_at.address
        ))?;
        let mut show = Show::default();
        show.name(register(&api, "steady", &steady_at, &steady).await?, "steady");
        show.name(register(&api, "flaky", &flaky_at, &flaky).await?, "flaky");
        self.publish_and_watch(&api, &mut show).await?;
        show.summary([&steady, &flaky])
    }

    /// Until everything published has ended, or somebody interrupts.
    async fn publish_and_watch(&self, api: &Api, show: &mut Show) -> Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (mut events, mut looks) = (interval(BETWEEN_EVENTS), interval(BETWEEN_LOOKS));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut published, mut stopping) = (0, false);
        let mut last_event = Instant::now();
        loop {
            let more = !stopping && (self.forever || published < EVENTS);
            tokio::select! {
                // What is owed is waited for, unless somebody insists.
                _ = interrupt.recv() => if replace(&mut stopping, true) { return Ok(()) },
                _ = terminate.recv() => if replace(&mut stopping, true) { return Ok(()) },
                _ = events.tick(), if more => {
                    show.accepted += publish(api, published).await?;
                    published += 1;
                    show.events = published;
                    last_event = Instant::now();
                }
                _ = looks.tick() => {
                    show.look(api).await?;
                    if !more && (show.all_ended() || last_event.elapsed() > PATIENCE) {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// How often the flaky receiver fails before it recovers.
const FLAKY_FAILS: u64 = 3;

/// The defaults, whatever the environment says, but for a place of its own and a way to loopback.
fn settings(place: &Place, port: u16) -> Result<Settings> {
    let mut values = defaults();
    values.insert("listen", format!("127.0.0.1:{port}"));
    values.insert("data_dir", place.path()?.to_owned());
    values.insert("egress.allow", "127.0.0.0/8".to_owned());
    Ok(Settings::parse(&values)?)
}

async fn listen(tally: &Arc<Tally>) -> Result<Receiver> {
    let tally = Arc::clone(tally);
    let clock = Clock::system();
    receiver::start(0, move |request| tally.judge(&request, clock.now())).await
}

#[derive(Deserialize)]
struct Created {
    id: String,
    secret: String,
}

async fn register(api: &Api, name: &str, at: &Receiver, tally: &Tally) -> Result<String> {
    let body = json!({
        "url": format!("http://{}/", at.address),
        "events": ["job.*"],
        "name": name,
        "profile": "standard",
        // Short waits: nobody wants to watch for the three days of the default.
        "retry_config": {
            "max_attempts": 8, "strategy": "exponential", "initial_delay_ms": 500,
            "backoff_multiplier": 2, "max_delay_ms": 2_000, "jitter": false,
        },
    });
    let answer = api.call(Call::post(path(["webhooks"])).json(&body)?).await?;
    let created: Created = answer.parse()?;
    tally.verify_with(&created.secret).context("the secret of the new webhook")?;
    Ok(created.id)
}

/// Publishes an event; how many deliveries were accepted.
async fn publish(api: &Api, n: u64) -> Result<u64> {
    #[derive(Deserialize)]
    struct Accepted {
        deliveries: u64,
    }
    let event_type = TYPES[usize::try_from(n)? % TYPES.len()];
    let job = n / TYPES.len() as u64 + 1;
    let id = format!("event-{}", n + 1);
    let body =
        json!({ "type": event_type, "id": id, "data": { "job_id": format!("job_{job}"), "n": n } });
    let answer = api.call(Call::post(path(["events"])).json(&body)?).await?;
    Ok(answer.parse::<Accepted>()?.deliveries)
}
