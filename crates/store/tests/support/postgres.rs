//! A PostgreSQL server of our own: from Debian's packages, in a directory that goes away with it, on
//! a Unix socket only. The system's cluster is never touched.
//!
//! The server belongs to a shell that waits for a word on its standard input, so that it ends with the
//! test, however that ends.

#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

const BIN: &str = "/usr/lib/postgresql/15/bin";
/// A start takes a second; only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server.
pub struct PostgresServer {
    dir: TempDir,
    settings: &'static [&'static str],
    running: Option<Running>,
    databases: AtomicU32,
}

struct Running {
    shell: Child,
    /// Of the server's first process.
    pid: u32,
}

/// Runs the server and says its process; on `stop` it shuts down, on `crash` it is cut off, and when
/// nobody is there any more its directory goes too.
const SHELL: &str = r#"dir=$1; shift; "$@" & pid=$!; echo $pid; read -r word
case $word in
  stop) kill -INT $pid; wait $pid ;;
  crash) kill -QUIT $pid; wait $pid ;;
  *) kill -QUIT $pid; wait $pid; rm -rf "$dir" ;;
esac"#;

impl PostgresServer {
    /// A server that syncs nothing to disk: for what is not about that.
    pub fn quick() -> Self {
        Self::start(&["-cfsync=off", "-cfull_page_writes=off"])
    }

    /// One that keeps what it promises.
    pub fn durable() -> Self {
        Self::start(&[])
    }

    fn start(settings: &'static [&'static str]) -> Self {
        assert!(Path::new(BIN).exists(), "please install: postgresql-15 ({BIN} is missing)");
        let dir = tempfile::Builder::new().prefix("tidings-pg-").tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let data = dir.path().join("data");
        fs::create_dir(&data).expect("a directory");
        if let Some((user, group)) = other_user() {
            chown(&data, Some(user), Some(group)).expect("we are root");
        }
        let mut command = as_server_user("initdb");
        command.arg("-D").arg(&data).args(["-U", "tidings", "--auth=trust", "-E", "UTF8"]);
        let made = command.args(["--locale=C.UTF-8", "--no-sync"]).output().expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { dir, settings, running: None, databases: AtomicU32::new(0) };
        server.resume();
        server
    }

    /// A new database; its URL.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?user=tidings&host={}", self.socket_dir().display())
    }

    /// The directory with the files of a database, all that was committed in them.
    pub fn files_of(&self, url: &str) -> PathBuf {
        let (_, rest) = url.split_once(":///").expect("a URL of ours");
        let (name, _) = rest.split_once('?').expect("a URL of ours");
        self.sql(name, "CHECKPOINT");
        let oid = self.sql(name, "SELECT oid FROM pg_database WHERE datname = current_database()");
        self.socket_dir().join("base").join(oid)
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.socket_dir().join(".s.PGSQL.5432")
    }

    fn socket_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What `psql` prints, a line for each row.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = Command::new(format!("{BIN}/psql"))
            .args(["-h", &self.socket_dir().to_string_lossy(), "-U", "tidings", "-d", database])
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Shuts it down in order: what is under way is cut off.
    pub fn stop(&mut self) {
        self.say("stop");
    }

    /// Cuts it off, as a crash does.
    pub fn crash(&mut self) {
        self.say("crash");
    }

    fn say(&mut self, word: &str) {
        let Some(mut running) = self.running.take() else { return };
        let mut input = running.shell.stdin.take().expect("piped");
        writeln!(input, "{word}").expect("the shell listens");
        running.shell.wait().expect("it is our child");
    }

    /// Starts it again on the same data.
    pub fn resume(&mut self) {
        let data = self.socket_dir();
        let mut server = as_server_user("postgres");
        server.arg("-D").arg(&data).arg("-k").arg(&data);
        server.args(["-clisten_addresses=", "-cmax_connections=400", "-cshared_buffers=64MB"]);
        server.args(self.settings);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SHELL, "guard"]).arg(self.dir.path());
        shell.arg(server.get_program()).args(server.get_args());
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut shell = shell.spawn().expect("a shell");
        let (tell, told) = mpsc::channel();
        let log = BufReader::new(shell.stderr.take().expect("piped"));
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if line.contains("ready to accept connections") {
                    let _ = tell.send(());
                }
            }
        });
        let mut pid = String::new();
        let mut output = BufReader::new(shell.stdout.take().expect("piped"));
        output.read_line(&mut pid).expect("the shell says it");
        told.recv_timeout(PATIENCE).expect("the server starts");
        let pid = pid.trim().parse().expect("a process");
        self.running = Some(Running { shell, pid });
    }

    /// Every process of it stands still.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let Some(running) = &self.running else { return };
        // The first process before its children: it makes no more of them.
        send(signal, running.pid);
        children(running.pid).into_iter().for_each(|pid| send(signal, pid));
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.go_on();
        self.crash();
    }
}

pub fn send(signal: &str, pid: u32) {
    let _ = Command::new("kill").args([signal, &pid.to_string()]).status();
}

fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("Linux");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit(')').next().unwrap_or_default();
        after.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    pids.filter(is_child).collect()
}

/// PostgreSQL refuses to run as root: then it runs as the user of Debian's package.
fn other_user() -> Option<(u32, u32)> {
    let id = |args: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(args).output().expect("`id` runs");
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let user = |name| Some((id(&["-u", name])?, id(&["-g", name])?));
    user("postgres").or_else(|| user("nobody"))
}

fn as_server_user(program: &str) -> Command {
    let program = format!("{BIN}/{program}");
    let Some((user, group)) = other_user() else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}")]);
    command.args(["--clear-groups", "--", &program]);
    command
}
