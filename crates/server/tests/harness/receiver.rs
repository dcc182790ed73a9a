//! A receiver of webhooks on a real socket: it records what arrives and answers what it is told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

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

    /// Names and values, as the functions of `tidings_wire::verify` take them.
    pub fn header_pairs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
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

/// What it will answer: first these in turn, then always the last.
#[derive(Debug)]
struct Script {
    next: VecDeque<Response>,
    always: Response,
}

/// See the module's documentation. Answers 200 until it is told otherwise.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    held: watch::Sender<bool>,
    arrived: tokio::sync::Mutex<mpsc::UnboundedReceiver<Received>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let script = Arc::new(Mutex::new(Script { next: VecDeque::new(), always: 200.into() }));
        let (held, holding) = watch::channel(false);
        let (tell, arrived) = mpsc::unbounded_channel();
        let serving = Serving { script: Arc::clone(&script), holding, tell };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                let service = service_fn(move |request| serving.clone().answer(request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Self { address, script, held, arrived: tokio::sync::Mutex::new(arrived) }
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

    /// Requests are recorded, and answered only after [`Self::release`].
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

    /// Whether no request has arrived that [`Self::next`] has not returned. Says nothing of what is
    /// still under way.
    pub async fn is_quiet(&self) -> bool {
        self.arrived.lock().await.is_empty()
    }
}

/// What each connection works with.
#[derive(Debug, Clone)]
struct Serving {
    script: Arc<Mutex<Script>>,
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
        let _ = self.tell.send(Received { method, path, headers, body });
        let _ = self.holding.wait_for(|held| !held).await;
        let response = {
            let mut script = self.script.lock().expect("no test panics here");
            script.next.pop_front().unwrap_or_else(|| script.always.clone())
        };
        let mut answer = http::Response::builder().status(response.status);
        for (name, value) in &response.headers {
            answer = answer.header(*name, value);
        }
        Ok(answer.body(Full::new(response.body.into())).expect("a well-formed answer"))
    }
}
