//! The real binary as a process: what it prints, line by line, and how it ends.
//!
//! Every process has an environment of its own, without settings from outside, and is ended by its
//! id when its owner goes. Nothing sleeps: whatever waits, waits for a line or for the end.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Whoever waits for longer than this waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command that is not running yet.
pub fn tidings(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command.args(args).env_clear();
    // For `kill`, and to keep temporary files where the machine wants them.
    for name in ["PATH", "TMPDIR"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Its output, if it succeeded.
    pub fn expect_success(self) -> String {
        assert!(self.status.success(), "{self:?}");
        self.stdout
    }

    /// Its output as JSON, if it succeeded.
    pub fn json(self) -> serde_json::Value {
        let text = self.expect_success();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// Runs to the end.
pub fn run(command: &mut Command, input: &[u8]) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    // One that reads no input may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(input);
    let output = child.wait_with_output().expect("it can be waited for");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    Ended { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// What a process prints, as it does.
struct Lines {
    lines: Receiver<String>,
    seen: String,
}

impl Lines {
    fn of(source: impl Read + Send + 'static) -> Self {
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(source).lines().map_while(Result::ok);
            // The other end may have seen enough; the process must not notice.
            lines.for_each(|line| drop(tell.send(line)));
        });
        Self { lines, seen: String::new() }
    }

    fn next(&mut self) -> Result<String, RecvTimeoutError> {
        let line = self.lines.recv_timeout(PATIENCE)?;
        let _ = writeln!(self.seen, "{line}");
        Ok(line)
    }

    /// Reads to the end; whether it came.
    fn finish(&mut self) -> bool {
        loop {
            match self.next() {
                Ok(_) => {}
                Err(why) => return why == RecvTimeoutError::Disconnected,
            }
        }
    }
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stdout = Lines::of(child.stdout.take().expect("piped"));
        let stderr = Lines::of(child.stderr.take().expect("piped"));
        Self { child, stdout, stderr }
    }

    /// The next line of its output.
    pub fn line(&mut self) -> String {
        match self.stdout.next() {
            Ok(line) => line,
            Err(why) => self.give_up(&format!("no further line ({why})")),
        }
    }

    /// Reads up to the first line that has this in it.
    pub fn line_with(&mut self, part: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The same on standard error.
    pub fn error_with(&mut self, part: &str) {
        loop {
            match self.stderr.next() {
                Ok(line) if line.contains(part) => return,
                Ok(_) => {}
                Err(why) => self.give_up(&format!("no `{part}` on standard error ({why})")),
            }
        }
    }

    /// Sends a signal: `TERM`, `INT`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.expect("`kill` runs").success());
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        if !self.stdout.finish() || !self.stderr.finish() {
            self.give_up("it does not end");
        }
        let status = self.child.wait().expect("it can be waited for");
        let (stdout, stderr) = (&mut self.stdout.seen, &mut self.stderr.seen);
        Ended { status, stdout: std::mem::take(stdout), stderr: std::mem::take(stderr) }
    }

    fn give_up(&mut self, why: &str) -> ! {
        let _ = self.child.kill();
        self.stderr.finish();
        let (stdout, stderr) = (&self.stdout.seen, &self.stderr.seen);
        panic!("{why}; it printed:\n{stdout}\nand on standard error:\n{stderr}")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `tidings serve` on a free port, with its data in `dir`, open to loopback.
pub fn serve(dir: &Path) -> Command {
    serve_at(dir, "127.0.0.1:0")
}

/// The same at a given address.
pub fn serve_at(dir: &Path, address: &str) -> Command {
    let mut command = tidings(&["serve", "--listen", address]);
    command.arg("--data-dir").arg(dir).args(["--egress-allow", "127.0.0.0/8"]);
    command
}

/// Its URL, from its first line.
pub fn url_of(server: &mut Process) -> String {
    let line = server.line();
    let url = line.strip_prefix("tidings listening on ").unwrap_or_else(|| panic!("{line}"));
    url.to_owned()
}

/// A client of the server at `url`.
pub fn client(url: &str, args: &[&str]) -> Command {
    let mut command = tidings(args);
    command.env("TIDINGS_URL", url);
    command
}
