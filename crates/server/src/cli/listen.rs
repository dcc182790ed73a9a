//! `tidings listen`: a receiver on this machine.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use clap::Args;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_core::time::Timestamp;
use tidings_wire::verify::{Scheme, Verifier};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::Usage;
use super::client::{Api, Call, Server, block_on, path};
use super::output::{Paint, line, plain, pretty};
use super::receiver::{self, Received};
use super::sign::given;
use super::signature::detect;
use crate::clock::Clock;

/// Receive webhooks on this machine and print them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Listen {
    /// Port on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 4242)]
    port: u16,
    /// Verify signatures with this secret; @FILE reads it from a file
    #[arg(long, value_name = "SECRET", env = "TIDINGS_WEBHOOK_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Answer 503 to the first N requests, to see retries
    #[arg(long, value_name = "N", default_value_t = 0)]
    fail: u64,
    /// What to answer
    #[arg(long, value_name = "CODE", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..600))]
    status: u16,
    /// Print bodies as they arrive instead of indented
    #[arg(long)]
    raw: bool,
    /// Register at the server, and remove the registration at Ctrl-C
    #[arg(long)]
    register: bool,
    /// What to register for; several with commas
    #[arg(long, value_name = "PATTERNS", default_value = "*", value_delimiter = ',')]
    #[arg(requires = "register")]
    events: Vec<String>,
    /// Profile to register with
    #[arg(long, requires = "register")]
    profile: Option<String>,
    #[command(flatten)]
    server: Server,
}

const EXAMPLES: &str = "\
A server delivers to this machine when it was started so: tidings serve --egress-allow 127.0.0.0/8

Examples:
  tidings listen --register --events 'job.*'
  tidings listen --register --fail 3          see how retries work
  tidings listen --secret whsec_… --port 8080";

/// A request with when it came and what it was answered.
struct Arrival {
    at: Timestamp,
    status: StatusCode,
    request: Received,
}

impl Listen {
    pub(super) fn run(&self) -> Result<()> {
        block_on(self.listen())
    }

    async fn listen(&self) -> Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut secrets: Vec<String> =
            self.secret.iter().map(|text| given(text)).collect::<Result<_>>()?;
        if !secrets.is_empty() {
            Verifier::new(Scheme::Standard, &secrets)
                .map_err(|error| Usage(format!("--secret: {error}")))?;
        }
        let (tell, mut arrivals) = mpsc::unbounded_channel();
        let receiver = receiver::start(self.port, self.judge(tell)?).await?;
        let url = format!("http://{}/", receiver.address);
        line(format!("tidings receiving on {url}"))?;
        let registration = if self.register { Some(self.register(&url).await?) } else { None };
        if let Some(registration) = &registration {
            secrets.extend(registration.secret.clone());
        }
        let printed = loop {
            let arrival = tokio::select! {
                _ = terminate.recv() => break Ok(()),
                _ = interrupt.recv() => break Ok(()),
                arrival = arrivals.recv() => arrival,
            };
            let Some(arrival) = arrival else { break Ok(()) };
            if let Err(error) = self.print(&arrival, &secrets) {
                break Err(error);
            }
        };
        if let Some(registration) = registration {
            registration.remove().await?;
        }
        printed
    }

    /// Answers requests and tells of them; never waits for what prints them.
    fn judge(
        &self,
        tell: mpsc::UnboundedSender<Arrival>,
    ) -> Result<impl Fn(Received) -> StatusCode + Send + Sync + 'static> {
        let (clock, count, fail) = (Clock::system(), AtomicU64::new(0), self.fail);
        let usual = StatusCode::from_u16(self.status)?;
        Ok(move |request| {
            let failing = count.fetch_add(1, Ordering::Relaxed) < fail;
            let status = if failing { StatusCode::SERVICE_UNAVAILABLE } else { usual };
            let _ = tell.send(Arrival { at: clock.now(), status, request });
            status
        })
    }

    async fn register(&self, url: &str) -> Result<Registration> {
        let api = self.server.api()?;
        let mut body = json!({ "url": url, "events": self.events, "name": "tidings listen" });
        if let Some(profile) = &self.profile {
            body["profile"] = profile.as_str().into();
        }
        if let Some(text) = &self.secret {
            body["secret"] = given(text)?.into();
        }
        let answer = api.call(Call::post(path(["webhooks"])).json(&body)?).await;
        let created: Created = answer.context("cannot register").context(HINT)?.parse()?;
        let events = self.events.join(", ");
        line(format!("registered as {} at {} for {events}", created.id, api.url()))?;
        Ok(Registration { api, id: created.id, secret: created.secret })
    }

    fn print(&self, arrival: &Arrival, secrets: &[String]) -> Result<()> {
        let Arrival { at, status, request } = arrival;
        let paint = Paint::stdout();
        let body = String::from_utf8_lossy(&request.body);
        let time = &at.to_rfc3339()[11..23];
        let what = event_type(request, &body)
            .unwrap_or_else(|| format!("{} {}", request.method, request.path));
        let signature = signature(request, secrets, *at, paint);
        let code = status.as_u16();
        let answered = if status.is_success() {
            paint.green(&code.to_string())
        } else {
            paint.red(&code.to_string())
        };
        line(format!("{}  {}  {signature}  answered {answered}", paint.dim(time), plain(&what)))?;
        let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
        match () {
            () if self.raw => line(&request.body),
            () if body.is_empty() => Ok(()),
            () if is_json() => line(pretty(&body)),
            () => line(plain(&body).as_bytes()),
        }
    }
}

const HINT: &str = "the server must be running, and deliver to this machine \
                    (tidings serve --egress-allow 127.0.0.0/8)";

#[derive(Deserialize)]
struct Created {
    id: String,
    #[serde(default)]
    secret: Option<String>,
}

/// The webhook that the server keeps for us.
struct Registration {
    api: Api,
    id: String,
    secret: Option<String>,
}

impl Registration {
    async fn remove(self) -> Result<()> {
        let removed = self.api.call(Call::delete(path(["webhooks", &self.id]))).await;
        removed.with_context(|| format!("cannot remove the registration {}", self.id))?;
        eprintln!("removed {}", self.id);
        Ok(())
    }
}

/// The type of the event, wherever the profile puts it.
fn event_type(request: &Received, body: &str) -> Option<String> {
    let header = request.headers.get("x-webhook-event");
    if let Some(name) = header.and_then(|value| value.to_str().ok()) {
        return Some(name.to_owned());
    }
    let body: Value = serde_json::from_str(body).ok()?;
    let name = ["type", "event_type", "event"].into_iter().find_map(|name| body.get(name));
    name.and_then(Value::as_str).map(str::to_owned)
}

fn signature(request: &Received, secrets: &[String], now: Timestamp, paint: Paint) -> String {
    let Some(scheme) = detect(&request.headers) else { return "unsigned".to_owned() };
    if secrets.is_empty() {
        return "signature not checked (no --secret)".to_owned();
    }
    let verifier = match Verifier::new(scheme, secrets) {
        Ok(verifier) => verifier,
        Err(error) => return paint.red(&format!("signature NOT verified: {error}")),
    };
    match verifier.verify(&request.headers, &request.body, now.as_secs()) {
        Ok(_) => paint.green(&format!("signature verified ({scheme})")),
        Err(refused) => paint.red(&format!("signature NOT verified: {}", refused.why)),
    }
}
