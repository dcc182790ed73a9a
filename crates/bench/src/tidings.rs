//! The server under measurement: started, told of webhooks, stopped. Only its command line and
//! its HTTP API are known here.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::api::Api;
use crate::options::Options;
use crate::{fsync, process};

/// How long a server may take to start over a heap of work, and to stop.
const START: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(30);

/// A directory for one server's data; gone when this is dropped.
#[derive(Debug)]
pub struct DataDir(PathBuf);

impl DataDir {
    pub fn create(options: &Options, scenario: &str) -> Result<Self> {
        let path = options.dir()?.join(format!("{scenario}-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("could not create {}", path.display()))?;
        fsync::refuse_memory(&path)?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn bytes(&self) -> u64 {
        let files = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // A server that was killed a moment ago may still be creating a file.
        for _ in 0..20 {
            if std::fs::remove_dir_all(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        eprintln!("could not remove {}", self.0.display());
    }
}

#[derive(Debug)]
pub struct Tidings {
    child: Child,
    pub pid: u32,
    pub url: String,
    pub api: Api,
    webhook_fields: serde_json::Map<String, Value>,
}

impl Tidings {
    /// Starts the server and waits until it listens.
    pub async fn start(options: &Options, data: &DataDir) -> Result<Self> {
        Self::start_as(&[], options, data).await
    }

    /// The same in a role.
    pub async fn start_as(flags: &[&str], options: &Options, data: &DataDir) -> Result<Self> {
        let mut command = Command::new(options.tidings()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data.path());
        command.args(flags);
        // The settings of whoever runs this must not change what is measured.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("TIDINGS_") || name == "DATABASE_URL" || name == "REDIS_URL" {
                command.env_remove(&*name);
            }
        }
        command.env("TIDINGS_EGRESS_ALLOW", "127.0.0.0/8");
        command.envs(options.server_env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().context("could not start the server")?;
        let log = Tail::follow(child.stderr.take().context("the server has no stderr")?);
        let listening = timeout(START, process::listening_url(&mut child, "the server")).await;
        let (url, rest) = listening
            .context("the server did not listen in time")
            .and_then(|listening| listening)
            .with_context(|| log.text())?;
        Tail::follow(rest.into_inner());
        let pid = child.id().context("the server ended at once")?;
        let api = Api::new(&url)?;
        let webhook_fields = options.webhook_fields.as_deref().cloned().unwrap_or_default();
        Ok(Self { child, pid, url, api, webhook_fields })
    }

    /// Registers a webhook and gives back its id.
    pub async fn webhook(&mut self, url: &str, event_type: &str) -> Result<String> {
        let mut webhook = self.webhook_fields.clone();
        webhook.insert("url".into(), url.into());
        webhook.insert("events".into(), json!([event_type]));
        let body = serde_json::to_vec(&webhook)?;
        let created: Value = serde_json::from_slice(&self.api.post("/api/webhooks", body).await?)?;
        let id = created["data"]["id"].as_str().context("the new webhook has no data.id")?;
        Ok(id.to_owned())
    }

    /// Stops the server as its operator would. One that has to be killed has failed.
    pub async fn stop(mut self) -> Result<()> {
        let pid = self.pid.to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().await?;
        if !told.success() {
            bail!("could not send SIGTERM to the server: it was gone already");
        }
        match timeout(STOP, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(_) => bail!("the server did not end well after SIGTERM"),
            Err(_) => bail!("the server still ran {} s after SIGTERM", STOP.as_secs()),
        }
    }

    /// Ends the server as a crash would.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("could not kill the server")
    }
}

/// The last of what a process wrote. Its pipe is always read, so that it never waits for us.
#[derive(Debug, Clone, Default)]
struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    const KEPT: usize = 4_096;

    fn follow(mut pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let tail = Self::default();
        let kept = tail.clone();
        tokio::spawn(async move {
            let mut chunk = vec![0; 65_536];
            while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
                let mut kept = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&chunk[count.saturating_sub(Self::KEPT)..count]);
                let excess = kept.len().saturating_sub(Self::KEPT);
                kept.drain(..excess);
            }
        });
        tail
    }

    fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        format!("the server did not start; it wrote:\n{}", String::from_utf8_lossy(&kept))
    }
}
