//! The example `receiver`, as it runs: a process of its own, asked over real sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use tidings_wire::ed25519::SigningKey;
use tidings_wire::keys::Keys;
use tidings_wire::sign::{Signer, standard};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The running example; it ends with the test.
struct Example {
    child: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Example {
    fn start() -> Self {
        let public = SigningKey::generate([7; 32]).public_key().to_string();
        let mut child = Command::new(built())
            .args(["127.0.0.1:0", SECRET, &public])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was built");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut example = Self { child, output, address: String::new() };
        let line = example.line();
        let url = line.strip_prefix("receiving on http://").expect("it tells where");
        example.address = url.trim_end_matches('/').to_owned();
        example
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it prints UTF-8");
        line.trim_end().to_owned()
    }

    /// Sends what stands here, and reads the whole answer.
    fn send(&self, head: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let patience = Some(std::time::Duration::from_secs(60));
        stream.set_read_timeout(patience).expect("a socket");
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    fn deliver(&self, headers: &str, body: &[u8]) -> String {
        self.send(&format!("{headers}Content-Length: {}\r\n", body.len()), body)
    }
}

/// Builds the example where this test was built.
fn built() -> std::path::PathBuf {
    let deps = std::env::current_exe().expect("a path");
    let profile = deps.ancestors().nth(2).expect("target/<profile>/deps").to_owned();
    let target = profile.parent().expect("target");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "--features", "axum", "--example", "receiver"]);
    cargo.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    cargo.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success());
    Path::new(&profile).join("examples/receiver")
}

#[expect(clippy::disallowed_methods, reason = "the example reads the real clock")]
fn now_s() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("it is after 1970").as_secs() as i64
}

fn signed(signers: &[Signer], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let timestamp = timestamp_s.to_string();
    let signature = standard(signers, id, &timestamp, body);
    format!(
        "webhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signature}\r\n"
    )
}

#[test]
fn the_example_takes_what_is_genuine_once_and_nothing_else() {
    let mut example = Example::start();
    let shared: Vec<Signer> = Keys::parse(SECRET).expect("a key").signers().collect();
    let ed25519 = [Signer::Ed25519(SigningKey::generate([7; 32]))];
    let now = now_s();

    for (signers, id, body) in
        [(&shared[..], "evt_1", &b"{\"n\": 1.0}"[..]), (&ed25519, "evt_2", b"\xff")]
    {
        let headers = signed(signers, id, now, body);
        assert!(example.deliver(&headers, body).starts_with("HTTP/1.1 200"));
        assert_eq!(example.line(), format!("{} bytes, verified", body.len()));
        // A retry, signed anew: answered, and not taken again (the next line is another event's).
        assert!(
            example.deliver(&signed(signers, id, now + 1, body), body).starts_with("HTTP/1.1 200")
        );
    }

    let genuine = signed(&shared, "evt_3", now, b"{}");
    let other = [Signer::Ed25519(SigningKey::generate([8; 32]))];
    let doubled = format!("{genuine}{genuine}");
    for (headers, body) in [
        (genuine.as_str(), &b"[]"[..]),
        (&genuine.replace("evt_3", "evt_4"), b"{}"),
        (&signed(&other, "evt_3", now, b"{}"), b"{}"),
        (&signed(&shared, "evt_3", now - 400, b"{}"), b"{}"),
        (&signed(&shared, "evt_3", now + 400, b"{}"), b"{}"),
        (&doubled, b"{}"),
        ("", b"{}"),
        ("webhook-signature: \u{e9}\r\n", b"{}"),
    ] {
        let answer = example.deliver(headers, body);
        assert!(answer.starts_with("HTTP/1.1 401"), "{headers}: {answer}");
        let (_, rest) = answer.split_once("\r\n\r\n").expect("a head");
        assert_eq!(rest, "", "a forger is told nothing");
    }

    // Told beforehand, and found out on the way.
    let large = vec![b' '; (1 << 20) + 1];
    let announced = example.send(&format!("{genuine}Content-Length: {}\r\n", large.len()), b"");
    assert!(announced.starts_with("HTTP/1.1 413"), "{announced}");
    let chunk = [format!("{:x}\r\n", large.len()).as_bytes(), &large].concat();
    let streamed = example.send(&format!("{genuine}Transfer-Encoding: chunked\r\n"), &chunk);
    assert!(streamed.starts_with("HTTP/1.1 413"), "{streamed}");

    assert!(example.deliver(&genuine, b"{}").starts_with("HTTP/1.1 200"));
    assert_eq!(example.line(), "2 bytes, verified");
}
