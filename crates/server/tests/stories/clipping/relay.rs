//! What lies between a worker's server and ours: a relay at an address that stays, and that makes trouble.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::harness::{Client, PATIENCE, Reply};

/// What happens to one request; without any it is passed on and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It is passed on, and the connection breaks before the answer.
    LoseAnswer,
    /// It is passed on twice; the second answer is given.
    Twice,
    /// It is kept and answered with 504; [`Relay::deliver_late`] passes it on.
    Keep,
}

/// A request on its way.
#[derive(Debug, Clone)]
pub struct Passed {
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What each connection works with.
struct State {
    target: Mutex<SocketAddr>,
    troubles: Mutex<VecDeque<Trouble>>,
    kept: Mutex<Vec<Passed>>,
    held: watch::Sender<bool>,
    arrived: mpsc::UnboundedSender<Passed>,
}

pub struct Relay {
    address: SocketAddr,
    state: Arc<State>,
    arrived: tokio::sync::Mutex<mpsc::UnboundedReceiver<Passed>>,
}

impl Relay {
    /// Passes on to `target`, which may be away.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, arrived) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            target: Mutex::new(target),
            troubles: Mutex::default(),
            kept: Mutex::default(),
            held: watch::Sender::new(false),
            arrived: tell,
        });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&serving);
                let service = service_fn(move |request| Arc::clone(&state).answer(request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, state, arrived: tokio::sync::Mutex::new(arrived) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its other end is somewhere else from now on.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.state.target.lock().unwrap() = target;
    }

    /// This happens to the next request that nothing else is to happen to.
    pub fn next_meets(&self, trouble: Trouble) {
        self.state.troubles.lock().unwrap().push_back(trouble);
    }

    /// Requests are not passed on before [`Self::release`].
    pub fn hold(&self) {
        self.state.held.send_replace(true);
    }

    pub fn release(&self) {
        self.state.held.send_replace(false);
    }

    /// The next request that has come, whatever becomes of it.
    pub async fn next(&self) -> Passed {
        let mut arrived = self.arrived.lock().await;
        let next = tokio::time::timeout(PATIENCE, arrived.recv()).await;
        next.expect("no request came by").expect("the relay lives")
    }

    /// Those that have come by are of no interest any more.
    pub async fn forget(&self) {
        let mut arrived = self.arrived.lock().await;
        while arrived.try_recv().is_ok() {}
    }

    /// Passes on what was kept, in the order in which it had come; the answers.
    pub async fn deliver_late(&self) -> Vec<Reply> {
        let kept = std::mem::take(&mut *self.state.kept.lock().unwrap());
        let mut replies = Vec::new();
        for passed in kept {
            replies.push(self.state.pass_on(&passed).await.expect("the other end is there"));
        }
        replies
    }
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("there is no answer")]
struct NoAnswer;

fn answer(status: u16, body: Bytes) -> http::Response<Full<Bytes>> {
    let answer = http::Response::builder().status(status);
    answer.body(Full::new(body)).expect("a well-formed answer")
}

impl State {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<http::Response<Full<Bytes>>, NoAnswer> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| NoAnswer)?.to_bytes();
        let passed = Passed { headers: head.headers, body };
        let _ = self.arrived.send(passed.clone());
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        let trouble = self.troubles.lock().unwrap().pop_front();
        if trouble == Some(Trouble::Keep) {
            self.kept.lock().unwrap().push(passed);
            return Ok(answer(504, Bytes::new()));
        }
        let mut reply = self.pass_on(&passed).await;
        if trouble == Some(Trouble::Twice) {
            reply = self.pass_on(&passed).await;
        }
        match reply {
            Some(_) if trouble == Some(Trouble::LoseAnswer) => Err(NoAnswer),
            Some(reply) => Ok(answer(reply.status, reply.body)),
            None => Ok(answer(502, Bytes::new())),
        }
    }

    /// `None`: nobody is there, or went away before the answer.
    async fn pass_on(&self, passed: &Passed) -> Option<Reply> {
        let mut client = Client::new(*self.target.lock().unwrap());
        for name in ["x-webhook-event", "x-webhook-signature"] {
            let value = passed.headers.get(name)?.to_str().ok()?;
            client = client.with_header(name, value);
        }
        let mut line = client.connect().await.ok()?;
        line.send(Method::POST, "/webhooks/clipping", passed.body.clone()).await.ok()
    }
}
