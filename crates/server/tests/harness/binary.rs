//! The real binary as a process, for tests that kill it, stop it, or starve it.
//!
//! Its log is kept, and an ERROR line or a panic in it that the test did not announce fails the test.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Client, PATIENCE};

/// `tidings serve`, running; killed when dropped.
pub struct Binary {
    /// Calls it as the tenant `default`, without a key.
    pub client: Client,
    /// From the start of the process to its first line.
    pub started_in: Duration,
    child: Child,
    log: Log,
    /// Errors that belong to the story.
    announced: Vec<&'static str>,
}

/// The client's calls, shorter.
impl std::ops::Deref for Binary {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Binary {
    /// On a free port, with its data in `dir`, open to loopback.
    pub async fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[]).await
    }

    /// The same with further settings, as `TIDINGS_*` variables.
    pub async fn start_with(dir: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start_as(dir, &[], variables).await
    }

    /// The same in a role: `--api` or `--worker`.
    pub async fn start_as(dir: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let since = Instant::now();
        let mut command = Self::command(dir, variables);
        let mut child = command.args(flags).spawn().expect("the binary starts");
        let log = Log::of(child.stderr.take().expect("piped"));
        let first = first_line(child.stdout.take().expect("piped"));
        let line = match tokio::time::timeout(PATIENCE, first).await {
            Ok(Ok(line)) => line,
            _ => {
                let _ = child.kill();
                panic!("it does not listen; its log:\n{}", log.text());
            }
        };
        let started_in = since.elapsed();
        let address = line.strip_prefix("tidings listening on http://").expect("its first line");
        let address: SocketAddr = address.parse().expect("an address");
        let client = Client::new(address);
        Self { client, started_in, child, log, announced: Vec::new() }
    }

    /// Starts it where it must not start; how it ends, and what it says. Fails when it listens.
    pub async fn refused(dir: &Path) -> (ExitStatus, String) {
        Self::refused_with(dir, &[]).await
    }

    /// The same with further settings.
    pub async fn refused_with(dir: &Path, variables: &[(&str, &str)]) -> (ExitStatus, String) {
        let mut child = Self::command(dir, variables).spawn().expect("the binary starts");
        let mut log = Log::of(child.stderr.take().expect("piped"));
        let first = first_line(child.stdout.take().expect("piped"));
        let listened = tokio::time::timeout(PATIENCE, first).await;
        let _ = child.kill();
        let status = child.wait().expect("it is our child");
        log.finish();
        assert!(matches!(listened, Ok(Err(_))), "it was not refused: {listened:?}");
        (status, log.text())
    }

    /// The command that [`Self::start_with`] runs, in an environment of its own.
    fn command(dir: &Path, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        command.arg("serve").env_clear();
        command.env("TIDINGS_LISTEN", "127.0.0.1:0");
        command.env("TIDINGS_DATA_DIR", dir);
        command.env("TIDINGS_EGRESS_ALLOW", "127.0.0.0/8");
        if let Some(url) = super::store::database_url(dir) {
            command.env("DATABASE_URL", url).env("TIDINGS_SECRET_KEY", super::store::SECRET_KEY);
        }
        command.envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Log lines with this in them are no surprise from now on.
    pub fn announce(&mut self, error: &'static str) {
        self.announced.push(error);
    }

    /// A figure of `/metrics` without labels.
    pub async fn figure(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.body;
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not in {text}"));
        line.rsplit(' ').next().expect("a value").parse().expect("a number")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// SIGKILL: what was in its memory is gone when this returns.
    pub fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// SIGTERM: it is asked to stop.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// SIGSTOP: it stands still, in the middle of whatever it does.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT: it goes on, and does not know that time has passed.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("`kill` runs").success());
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "it does not end; its log:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops it in order, and demands that the stop succeeds.
    pub async fn stop(self) {
        self.terminate();
        let status = self.ended().await;
        assert!(status.success(), "{status}");
    }

    /// The first line of the log that nobody announced.
    fn surprise(&self) -> Option<String> {
        let text = self.log.text();
        let bad = |line: &&str| {
            let told = line.contains("\"level\":\"ERROR\"") || line.contains("panicked");
            told && !self.announced.iter().any(|part| line.contains(part))
        };
        text.lines().find(bad).map(str::to_owned)
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log.finish();
        if std::thread::panicking() {
            eprintln!("the log of tidings:\n{}", self.log.tail());
        } else if let Some(line) = self.surprise() {
            panic!("unexpected in the log of tidings: {line}");
        }
    }
}

/// Standard error of a process, collected as it comes.
struct Log {
    text: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Log {
    fn of(source: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                let mut text = into.lock().expect("nobody panics here");
                text.push_str(&line);
                text.push('\n');
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        self.text.lock().expect("nobody panics here").clone()
    }

    /// As much as anyone reads.
    fn tail(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// To its end: the process is gone.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// The first line; the others are read too, or the process would wait for a reader.
fn first_line(source: impl Read + Send + 'static) -> oneshot::Receiver<String> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(source).lines().map_while(Result::ok);
        if let Some(line) = lines.next() {
            let _ = tell.send(line);
        }
        lines.for_each(drop);
    });
    told
}
