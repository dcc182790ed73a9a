//! The sender against receivers on real sockets that do whatever they like.

mod guarded;
mod hostile;
mod pooled;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidings_core::egress::{AllowRule, EgressPolicy};
use tidings_core::outcome::{Answer, FailureKind, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Far longer than anything takes here: for tests whose subject is not the deadline.
const LONG: Duration = Duration::from_secs(20);
/// For tests whose subject is.
const SHORT: Duration = Duration::from_millis(200);

/// A receiver: its address and how many connections it has taken.
struct Receiver {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    /// Serves each connection with `serve`, which gets its number, from 0.
    async fn start<S, F>(serve: S) -> Self
    where
        S: Fn(usize, TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let taken = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = taken.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(number, stream));
            }
        });
        Self { address, connections }
    }

    /// Answers every request on a connection with these bytes, and leaves it open.
    async fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = Arc::new(bytes.into());
        Self::start(move |_, mut stream| {
            let bytes = bytes.clone();
            async move {
                while read_request(&mut stream).await.is_some() {
                    let _ = stream.write_all(&bytes).await;
                }
            }
        })
        .await
    }

    fn url(&self) -> String {
        format!("http://{}/hook?x=1", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads one request with its body, as text; `None` when the connection has ended.
async fn read_request<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let head_end = text.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let Some(head_end) = head_end {
            let head = String::from_utf8_lossy(&text[..head_end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.trim().parse().unwrap());
            if text.len() >= head_end + length {
                return Some(String::from_utf8(text).unwrap());
            }
        }
        match stream.read_buf(&mut text).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// Resolves when the other side has closed the connection, whatever it sent before.
async fn closed(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

fn loopback_policy() -> EgressPolicy {
    EgressPolicy {
        allow: AllowRule::parse_list("127.0.0.0/8").unwrap(),
        allow_http: true,
        ..EgressPolicy::default()
    }
}

/// A sender that may reach loopback, and whose names all lead there.
fn sender() -> Sender {
    sender_with(loopback_policy(), Ok(vec!["127.0.0.1".parse().unwrap()]))
}

fn sender_with(
    policy: EgressPolicy,
    resolved: Result<Vec<std::net::IpAddr>, ResolveError>,
) -> Sender {
    let resolver = Fixed { resolved, asked: AtomicUsize::new(0) };
    let config = SenderConfig { resolver: Arc::new(resolver), ..SenderConfig::new(policy.into()) };
    Sender::new(config).unwrap()
}

/// A resolver with one answer for every name.
struct Fixed {
    resolved: Result<Vec<std::net::IpAddr>, ResolveError>,
    asked: AtomicUsize,
}

impl Resolve for Fixed {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(self.resolved.clone()))
    }
}

/// A POST of `{}`; the target is read under a policy that lets everything through.
fn request(url: &str, timeout: Duration) -> Request {
    let open = EgressPolicy {
        allow: AllowRule::parse_list("0.0.0.0/0,::/0").unwrap(),
        allow_http: true,
        ..EgressPolicy::default()
    };
    Request {
        target: Arc::new(open.parse_url(url).unwrap()),
        method: http::Method::POST,
        headers: lines(&[("Content-Type", "application/json")]),
        body: Bytes::from_static(b"{}"),
        timeout,
    }
}

fn lines(headers: &[(&str, &str)]) -> Lines {
    let mut lines = Lines::default();
    for (name, value) in headers {
        lines.push(name, value).unwrap();
    }
    lines
}

async fn post(sender: &Sender, url: &str) -> Outcome {
    sender.send(&request(url, LONG)).await.outcome
}

#[track_caller]
fn answer(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Answered(answer) => answer,
        Outcome::Failed(failure) => panic!("no answer: {failure:?}"),
    }
}

#[track_caller]
fn failed(outcome: &Outcome, kind: FailureKind, detail: &str) {
    match outcome {
        Outcome::Failed(failure) => {
            assert_eq!((failure.kind, &*failure.detail), (kind, detail));
        }
        Outcome::Answered(answer) => panic!("an answer: {answer:?}"),
    }
}

/// An answer with this body, its length announced.
fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What `url` leaves as it is, a request line must take: a target that cannot be written would never be sent.
#[test]
fn every_target_can_be_written() {
    let characters = (0x21..0x7f).map(char::from).chain("éß漢\u{202e}😀".chars());
    for character in characters.filter(|character| !"#\\".contains(*character)) {
        for url in [
            format!("https://hooks.example/a{character}b"),
            format!("https://hooks.example/?a{character}b"),
            format!("https://hooks.example/%{character}"),
        ] {
            assert!(message::write(&request(&url, LONG), &mut Vec::new()).is_ok(), "{url}");
        }
    }
}
