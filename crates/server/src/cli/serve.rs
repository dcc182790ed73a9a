//! `tidings serve`: the server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use tidings_core::limits::ATTEMPTS_IN_FLIGHT_MAX;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Usage;
use super::output::line;
use crate::clock::Clock;
use crate::config::{self, Roles, Settings, Sources, Values};
use crate::notify::Notifier;
use crate::serve::Server;
use crate::spread::Redis;
use crate::telemetry;
use crate::worker_only::WorkerOnly;

/// Run the server: the API, and the engine that delivers
///
/// The first line on standard output, once it accepts requests, is `tidings listening on
/// http://ADDRESS`. SIGTERM or Ctrl-C ends it in order.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Serve {
    /// Address of the API; port 0 picks a free one and prints it
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where the embedded store lives
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// CIDRs that webhooks may point to beside public addresses, such as 127.0.0.0/8
    #[arg(long, value_name = "CIDRS")]
    egress_allow: Option<String>,
    /// Directory of profiles of your own; `tidings profiles` shows and tries them
    #[arg(long, value_name = "DIR")]
    profiles: Option<String>,
    /// A TOML file of settings; `tidings config --default` prints one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only the API on this node; others send (needs DATABASE_URL)
    #[arg(long)]
    api: bool,
    /// Only sending on this node (needs DATABASE_URL, or REDIS_URL to send for others without a store)
    #[arg(long)]
    worker: bool,
}

const EXAMPLES: &str = "\
Every setting can be given as a TIDINGS_* variable or in a file; secrets only so. All of them:
  tidings config --default

Examples:
  tidings serve --egress-allow 127.0.0.0/8         deliver to this machine too, to try it
  TIDINGS_ADMIN_KEY=$(openssl rand -hex 32) tidings serve --listen 0.0.0.0:4000
  tidings serve --config tidings.toml
  DATABASE_URL=postgres://… tidings serve --api    one of several nodes, which sends nothing itself
  REDIS_URL=redis://… tidings serve --worker       sends what others release, and needs no database";

impl Serve {
    fn sources(&self) -> Sources {
        let flags = [
            ("listen", &self.listen),
            ("data_dir", &self.data_dir),
            ("egress.allow", &self.egress_allow),
            ("profiles", &self.profiles),
        ];
        let given = flags.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        Sources { file: self.config.clone(), flags: given.collect() }
    }

    pub(super) fn run(&self) -> Result<()> {
        let values = config::read(&self.sources())?;
        let roles = self.roles();
        check_roles(roles, &values)?;
        telemetry::start(values.get("log").map_or("info", String::as_str))?;
        let settings = Settings { roles, ..Settings::parse(&values)? };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(serve(settings))
    }

    /// Both, unless one is asked for.
    fn roles(&self) -> Roles {
        if self.api == self.worker {
            return Roles::ALL;
        }
        Roles { api: self.api, worker: self.worker }
    }
}

/// The embedded store belongs to one process, so that process does everything.
fn check_roles(roles: Roles, values: &Values) -> Result<()> {
    let is_set = |name| values.get(name).is_some_and(|text: &String| !text.is_empty());
    let text = match roles {
        Roles { api: true, worker: true } => return Ok(()),
        _ if is_set("database_url") => return Ok(()),
        Roles { worker: true, .. } if is_set("redis_url") => return Ok(()),
        Roles { worker: true, .. } => {
            "--worker needs DATABASE_URL, or REDIS_URL to send what others release: the embedded \
             store is used by one process, which does both"
        }
        Roles { .. } => {
            "--api needs DATABASE_URL: the embedded store is used by one process, which does both"
        }
    };
    Err(Usage(text.to_owned()).into())
}

async fn serve(settings: Settings) -> Result<()> {
    // Before anything else, so that an early signal already means an orderly stop.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Each connection is a file: the usual soft limit of 1,024 is less than the attempts at once.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let notifier = Arc::new(Notifier::from_env());
    if !settings.roles.api && settings.database_url.is_none() {
        return only_send(settings, &notifier, terminate, interrupt).await;
    }
    let server = Server::start(settings, Clock::system()).await?;
    say_hello(&server);
    notifier.ready(&format!("http://{}", server.address)).await;
    let app = &server.app;
    tokio::spawn(
        Arc::clone(&notifier).feed_watchdog(Some(app.inbox.clone()), app.stopping.clone()),
    );
    // Who has read the first line may close the pipe: that stops no server.
    let _ = line(what_next(&server));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        why = server.app.store.lost() => {
            // Not in order: nothing that is in memory may be written any more.
            bail!("{why}")
        }
    }
    tracing::info!("stopping");
    notifier.stopping().await;
    server.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Sends for others, without a store.
async fn only_send(
    settings: Settings,
    notifier: &Arc<Notifier>,
    mut terminate: Signal,
    mut interrupt: Signal,
) -> Result<()> {
    let worker = WorkerOnly::start(settings, Clock::system()).await?;
    println!("tidings listening on http://{}", worker.address);
    notifier.ready(&format!("http://{}", worker.address)).await;
    tokio::spawn(Arc::clone(notifier).feed_watchdog(None, worker.stopping()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    notifier.stopping().await;
    worker.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// The first line is for programs, the rest for people.
fn say_hello(server: &Server) {
    let url = format!("http://{}", server.address);
    println!("tidings listening on {url}");
    let settings = &server.app.settings;
    let has_keys = server.app.keyring.is_locked();
    tracing::info!(
        store = server.app.store.place(),
        roles = %settings.roles,
        redis = settings.redis.as_ref().map(Redis::places),
        keys = has_keys,
        attempts_in_flight_max = ATTEMPTS_IN_FLIGHT_MAX,
        lead_concurrency = settings.leads.concurrency,
        lead_rate = settings.leads.rate_limit.map(|limit| limit.max),
        egress_allow = settings.egress.allow.len(),
        egress_only = settings.egress.only,
        allow_http = settings.egress.allow_http,
        "started"
    );
    if !has_keys {
        tracing::warn!("no key is configured: everyone on this machine may do anything");
    }
}

/// Three requests that show what it does.
fn what_next(server: &Server) -> String {
    let url = format!("http://{}", to_call(server.address));
    let settings = &server.app.settings;
    let key = if server.app.keyring.is_locked() {
        " -H \"Authorization: Bearer $TIDINGS_ADMIN_KEY\""
    } else {
        ""
    };
    let closed = settings.egress.parse_url(LISTEN_URL).is_err();
    let note = "\n(Only public addresses are open: start with --egress-allow 127.0.0.0/8 to deliver here.)";
    let note = if closed { note } else { "" };
    format!(
        "
To see it work, run `tidings listen` in another terminal (it receives on {LISTEN_URL}), then:
  curl{key} {url}/api/webhooks --json '{{\"url\":\"{LISTEN_URL}\",\"events\":[\"*\"]}}'
  curl{key} {url}/api/events --json '{{\"type\":\"hello.world\",\"data\":{{\"n\":1}}}}'
  curl{key} {url}/api/deliveries{note}
"
    )
}

/// Where this machine finds a server that listens on an address: every one is one to listen on only.
fn to_call(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Where `tidings listen` receives.
const LISTEN_URL: &str = "http://127.0.0.1:4242/";
