//! `tidings serve`: the server.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use crate::config::{self, Settings, Sources};
use crate::serve::Server;
use crate::telemetry;

/// Run the server: the API, and the engine that delivers
#[derive(Debug, Args)]
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
    /// A TOML file of settings; `tidings config --default` prints one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Serve {
    fn sources(&self) -> Sources {
        let flags = [
            ("listen", &self.listen),
            ("data_dir", &self.data_dir),
            ("egress.allow", &self.egress_allow),
        ];
        let given = flags.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        Sources { file: self.config.clone(), flags: given.collect() }
    }

    pub(super) fn run(&self) -> Result<()> {
        let values = config::read(&self.sources())?;
        telemetry::start(values.get("log").map_or("info", String::as_str))?;
        let settings = Settings::parse(&values)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(serve(settings))
    }
}

async fn serve(settings: Settings) -> Result<()> {
    // Before anything else, so that an early signal already means an orderly stop.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = Server::start(settings, Clock::system()).await?;
    say_hello(&server);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    server.stop().await;
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
        store = %settings.data_dir.display(),
        roles = "api, worker",
        keys = has_keys,
        egress_allow = settings.egress.allow.len(),
        "started"
    );
    if !has_keys {
        tracing::warn!("no key is configured: everyone on this machine may do anything");
    }
}
