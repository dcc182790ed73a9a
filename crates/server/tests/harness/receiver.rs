//! A receiver of webhooks on a real socket: it records what arrives and answers what it is told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::PATIENCE;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// When all of it was there.
    pub at: Instant,
    pub method: Method,
    /// With its query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    /// A header; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

/// What a receiver answers.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl From<u16> for Response {
    fn from(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }
}

impl From<(u16, &str)> for Response {
    fn from((status, body): (u16, &str)) -> Self {
        Self { body: body.to_owned(), ..status.into() }
    }
}

/// What it will answer: first these in turn, then what is decided, else always the last.
struct Script {
    next: VecDeque<Response>,
    decide: Option<Decide>,
    always: Response,
}

type Decide = Box<dyn FnMut(&Received) -> Option<Response> + Send>;

impl Script {
    fn answer(&mut self, received: &Received) -> Response {
        let decide = &mut self.decide;
        let decided = || decide.as_mut().and_then(|decide| decide(received));
        self.next.pop_front().or_else(decided).unwrap_or_else(|| self.always.clone())
    }
}

/// How many requests are being answered, and the most that ever were.
#[derive(Debug, Default)]
struct AtOnce {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl AtOnce {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// See the module's documentation. Answers 200 until it is told otherwise.
pub struct Receiver {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    at_once: Arc<AtOnce>,
    held: watch::Sender<bool>,
    arrived: tokio::sync::Mutex<mpsc::UnboundedReceiver<Received>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let script = Script { next: VecDeque::new(), decide: None, always: 200.into() };
        let script = Arc::new(Mutex::new(script));
        let at_once = Arc::new(AtOnce::default());
        let (held, holding) = watch::channel(false);
        let (tell, arrived) = mpsc::unbounded_channel();
        let serving =
            Serving { script: Arc::clone(&script), at_once: Arc::clone(&at_once), holding, tell };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                let service = service_fn(move |request| serving.clone().answer(request));
                let _ = stream.set_nodelay(true);
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Self { address, script, at_once, held, arrived: tokio::sync::Mutex::new(arrived) }
    }

    /// `http://127.0.0.1:port/hook`
    pub fn url(&self) -> String {
        format!("{}/hook", self.origin())
    }

    /// `http://127.0.0.1:port`
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it always answers this: a status, `(status, body)`, or a [`Response`].
    pub fn answers(&self, response: impl Into<Response>) {
        let mut script = self.script.lock().expect("no test panics here");
        script.always = response.into();
    }

    /// The next request is answered with this, once.
    pub fn answers_once(&self, response: impl Into<Response>) {
        self.script.lock().expect("no test panics here").next.push_back(response.into());
    }

    /// Asks for each request what to answer; `None` is what it always answers.
    pub fn decides(&self, decide: impl FnMut(&Received) -> Option<Response> + Send + 'static) {
        self.script.lock().expect("no test panics here").decide = Some(Box::new(decide));
    }

    /// The most requests that were here at once, from their last byte to their answer.
    pub fn most_at_once(&self) -> usize {
        self.at_once.most.load(Ordering::SeqCst)
    }

    /// From now on requests are recorded, and answered only after [`Self::release`].
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Answers what was held, and what comes, at once.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// Waits for the next request.
    pub async fn next(&self) -> Received {
        let mut arrived = self.arrived.lock().await;
        match tokio::time::timeout(PATIENCE, arrived.recv()).await {
            Ok(Some(received)) => received,
            _ => panic!("no request arrived at {}", self.address),
        }
    }

    /// Everything that has arrived and that [`Self::next`] has not returned, in order.
    pub async fn take(&self) -> Vec<Received> {
        let mut arrived = self.arrived.lock().await;
        std::iter::from_fn(|| arrived.try_recv().ok()).collect()
    }

    /// Whether no request has arrived that [`Self::next`] has not returned. Says nothing of what is
    /// still under way.
    pub async fn is_quiet(&self) -> bool {
        self.arrived.lock().await.is_empty()
    }
}

/// What each connection works with.
#[derive(Clone)]
struct Serving {
    script: Arc<Mutex<Script>>,
    at_once: Arc<AtOnce>,
    holding: watch::Receiver<bool>,
    tell: mpsc::UnboundedSender<Received>,
}

impl Serving {
    async fn answer(
        mut self,
        request: Request<Incoming>,
    ) -> Result<http::Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let (method, headers) = (head.method, head.headers);
        self.at_once.enter();
        let received = Received { at: Instant::now(), method, path, headers, body };
        // Asked before anybody knows that it has arrived, and may call `hold` for what comes next.
        let held = *self.holding.borrow();
        let _ = self.tell.send(received.clone());
        if held {
            let _ = self.holding.wait_for(|held| !held).await;
        }
        let response = self.script.lock().expect("no test panics here").answer(&received);
        self.at_once.leave();
        let mut answer = http::Response::builder().status(response.status);
        for (name, value) in &response.headers {
            answer = answer.header(*name, value);
        }
        Ok(answer.body(Full::new(response.body.into())).expect("a well-formed answer"))
    }
}
