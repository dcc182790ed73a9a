//! Workers beside the server, and the Redis through which it reaches them: a `redis-server` of their own
//! that keeps nothing, on a free port.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::clock;
use crate::options::Options;
use crate::process;
use crate::tidings::{DataDir, Tidings};

const START: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);
/// All processes of one installation have the same.
const SECRET_KEY: &str = "0011223344556677889900112233445566778899001122334455667788990011";

/// Ended when dropped.
#[derive(Debug)]
pub struct Redis {
    _child: Child,
    pub pid: u32,
    url: String,
}

impl Redis {
    pub async fn start(data: &DataDir) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(data.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().context("could not start redis-server")?;
        let pid = child.id().context("redis-server ended at once")?;
        let started = clock::instant();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if started.elapsed() > START {
                bail!("redis-server does not listen");
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(Self { _child: child, pid, url: format!("redis://127.0.0.1:{port}") })
    }

    /// The same, for servers that spread their sending through it.
    pub fn joined_by(&self, options: &Options) -> Options {
        let mut options = options.clone();
        let settings = [("REDIS_URL", self.url.as_str()), ("TIDINGS_SECRET_KEY", SECRET_KEY)];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        options.server_env.extend(settings);
        options
    }

    pub fn memory_peak_mib(&self) -> Result<f64> {
        process::memory_mib(self.pid, "VmHWM")
    }
}

/// Starts so many.
pub async fn start(options: &Options, data: &DataDir) -> Result<Vec<Tidings>> {
    let mut workers = Vec::new();
    for _ in 0..options.workers {
        workers.push(Tidings::start_as(&["--worker"], options, data).await?);
    }
    Ok(workers)
}

/// Until a server counts on all of them, itself among them.
pub async fn counted_on(server: &mut Tidings, workers: usize) -> Result<()> {
    let wanted = format!("tidings_workers {}", workers + 1);
    let started = clock::instant();
    while !server.api.text("/metrics").await?.lines().any(|line| line == wanted) {
        if started.elapsed() > START {
            bail!("the server does not count on its {workers} workers");
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
