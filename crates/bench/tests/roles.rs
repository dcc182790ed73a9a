//! The roles as they are used: real processes, real sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidings-bench");

/// A role that ends with the test, however that ends.
struct Role {
    child: Child,
    address: String,
}

impl Role {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--with-parent");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program was built for this test");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let (_, address) = line.trim().split_once("http://").expect("an address");
        Self { address: address.to_owned(), child }
    }

    fn account(&self) -> Value {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream
            .write_all(b"GET /bench/account HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
            .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }

    /// The account once `received` events are in it. The relay answers before it delivers, so
    /// this asks again; the number of times bounds the test should events be lost.
    fn account_of(&self, received: u64) -> Value {
        let mut account = Value::Null;
        for _ in 0..1_000 {
            account = self.account();
            if account["received"] == received {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        account
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn load(relay: &Role, arguments: &[&str]) -> Value {
    let url = format!("http://{}/api/events", relay.address);
    let output = Command::new(PROGRAM)
        .args(["load", "--connections=8", "--url", &url])
        .args(arguments)
        .output()
        .expect("the program was built for this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn all_that_is_published_is_received_once() {
    is_received_once("relay");
}

#[test]
fn the_plain_relay_loses_nothing_either() {
    is_received_once("plain-relay");
}

fn is_received_once(relay: &str) {
    let receiver = Role::start(&["receiver"]);
    let relay = Role::start(&[relay, "--target", &format!("http://{}/hook/3", receiver.address)]);
    let published = load(&relay, &["--count=500"]);
    assert_eq!((&published["accepted"], &published["failed"]), (&500.into(), &0.into()));

    let published = load(&relay, &["--count=1050", "--batch=100", "--first-seq=500"]);
    assert_eq!(published["accepted"], 1_050);

    let published = load(&relay, &["--count=20", "--rate=500", "--first-seq=1550"]);
    assert_eq!(published["accepted"], 20);

    let account = receiver.account_of(1_570);
    assert_eq!(account["received"], 1_570, "{account}");
    for none in ["duplicates", "strays", "unmarked", "hung"] {
        assert_eq!(account[none], 0, "{none}: {account}");
    }
    assert_eq!(account["paths"], 1);
    assert!(account["latency_p99_us"].as_f64() >= account["latency_p50_us"].as_f64());

    load(&relay, &["--count=1", "--first-seq=7"]);
    let again = (0..1_000).map(|_| receiver.account()).find(|account| account["duplicates"] == 1);
    assert!(again.is_some(), "an event that comes again is a duplicate");
}

#[test]
fn a_publish_that_nobody_took_is_told_with_its_reason() {
    let closed = Role::start(&["receiver"]).address.clone();
    let output = Command::new(PROGRAM)
        .args(["load", "--connections=2", "--count=4", "--url", &format!("http://{closed}/")])
        .output()
        .expect("the program was built for this test");
    let published: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&published["accepted"], &published["failed"]), (&0.into(), &4.into()));
    let reason = published["first_failure"].as_str().expect("a reason");
    assert!(reason.contains("could not connect"), "{reason}");
}
