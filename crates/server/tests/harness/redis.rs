//! Redis servers of our own: from Debian's packages, in directories that go away with them, on free ports.
//! The system's is never touched.
//!
//! A server belongs to a shell that waits for a word on its standard input, so that it ends with the test,
//! however that ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A start takes a moment; only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the server and says its process; when there is a word, or nobody any more, the server is killed.
const SHELL: &str = r#"dir=$1; shift; "$@" >"$dir/log" 2>&1 & pid=$!; echo $pid; read -r word
kill -KILL $pid; wait $pid; [ "$word" = kill ] || rm -rf "$dir""#;

/// A running server that keeps nothing on disk.
pub struct RedisServer {
    dir: TempDir,
    ports: (u16, u16),
    is_of_cluster: bool,
    running: Option<(Child, u32)>,
}

impl RedisServer {
    pub fn start() -> Self {
        Self::start_one(false)
    }

    fn start_one(is_of_cluster: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("tidings-redis-").tempdir().expect("a directory");
        let mut server = Self { dir, ports: free_ports(), is_of_cluster, running: None };
        server.resume();
        server
    }

    pub fn port(&self) -> u16 {
        self.ports.0
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    /// SIGKILL: what was in its memory is gone.
    pub fn kill(&mut self) {
        if let Some((mut shell, _)) = self.running.take() {
            shell.stdin.take().expect("piped").write_all(b"kill\n").expect("the shell listens");
            shell.wait().expect("it is our child");
        }
    }

    /// Starts it again, on the same port, with nothing.
    pub fn resume(&mut self) {
        let mut shell = Command::new("sh");
        shell.args(["-c", SHELL, "sh"]).arg(self.dir.path());
        shell.args(["redis-server", "--port", &self.port().to_string(), "--bind", "127.0.0.1"]);
        shell.args(["--save", "", "--appendonly", "no", "--dir"]).arg(self.dir.path());
        if self.is_of_cluster {
            shell.args(["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]);
            shell.args(["--cluster-require-full-coverage", "no"]);
            shell.args(["--cluster-port", &self.ports.1.to_string()]);
        }
        let mut shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        let mut line = String::new();
        let said = BufReader::new(shell.stdout.take().expect("piped")).read_line(&mut line);
        said.expect("the shell says its process");
        self.running = Some((shell, line.trim().parse().expect("a number")));
        self.answers();
    }

    /// SIGSTOP: connections stay, and nothing is answered.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let (_, pid) = self.running.as_ref().expect("it runs");
        let sent = Command::new("kill").args([signal, &pid.to_string()]).status();
        assert!(sent.expect("`kill` runs").success());
    }

    /// What `redis-cli` prints.
    pub fn cli(&self, args: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        let output = command.args(["-p", &self.port().to_string()]).args(args).output();
        let output = output.expect("redis-cli runs (please install: redis-server)");
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn connect(&self) -> Connection {
        Connection(TcpStream::connect(("127.0.0.1", self.port())).expect("it listens"))
    }

    /// Calls of a command that were refused, if it was called at all.
    pub fn rejected(&self, command: &str) -> Option<usize> {
        let stats = self.cli(&["INFO", "commandstats"]);
        let line =
            stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:")))?;
        let (_, count) = line.split_once("rejected_calls=")?;
        count.split(',').next()?.parse().ok()
    }

    fn answers(&self) {
        let since = Instant::now();
        while !pings(self.port()) {
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(since.elapsed() < PATIENCE, "Redis does not start: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A connection of one who administers it.
pub struct Connection(TcpStream);

impl Connection {
    /// A command without spaces in its words; it is carried out when this returns.
    pub fn say(&mut self, command: &str) {
        write!(self.0, "{command}\r\n").expect("it is connected");
        let mut line = String::new();
        BufReader::new(&self.0).read_line(&mut line).expect("it answers");
        assert!(line.starts_with(['+', ':']), "{command}: {line}");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A cluster of masters, which has all slots.
pub fn cluster(size: usize) -> Vec<RedisServer> {
    join(size, 0)
}

/// So many masters, and after them as many replicas.
pub fn cluster_with_replicas(masters: usize) -> Vec<RedisServer> {
    let servers = join(2 * masters, 1);
    let since = Instant::now();
    for replica in &servers[masters..] {
        while !replica.cli(&["INFO", "replication"]).contains("master_link_status:up") {
            assert!(since.elapsed() < PATIENCE, "the replicas do not follow");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    servers
}

fn join(size: usize, replicas: usize) -> Vec<RedisServer> {
    let servers: Vec<_> = (0..size).map(|_| RedisServer::start_one(true)).collect();
    let places: Vec<String> = servers.iter().map(|s| format!("127.0.0.1:{}", s.port())).collect();
    let mut create = vec!["--cluster", "create"];
    create.extend(places.iter().map(String::as_str));
    let replicas = replicas.to_string();
    create.extend(["--cluster-replicas", &replicas, "--cluster-yes"]);
    servers[0].cli(&create);
    let since = Instant::now();
    for server in &servers {
        while !server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok") {
            assert!(since.elapsed() < PATIENCE, "the cluster does not come together");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    servers
}

fn pings(port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, PATIENCE) else { return false };
    let mut answer = [0; 7];
    stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && &answer == b"+PONG\r\n"
}

/// Two that were free a moment ago: one for clients, one for the cluster.
fn free_ports() -> (u16, u16) {
    let free = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (one, other) = (free(), free());
    let port = |listener: &TcpListener| listener.local_addr().expect("it is bound").port();
    (port(&one), port(&other))
}
