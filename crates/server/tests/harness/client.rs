//! A plain HTTP client: one connection for each call, nothing hidden.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Calls one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) address: SocketAddr,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, headers: Vec::new() }
    }

    /// A client that sends this header with each call, as `authorization` or `x-tenant-id`.
    pub fn with_header(&self, name: &'static str, value: impl Into<String>) -> Self {
        let mut client = self.clone();
        client.headers.push((name, value.into()));
        client
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it calls: `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, Bytes::new()).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, body.to_string()).await
    }

    /// A POST without a body, for what only happens: `/test`, `/pause`.
    pub async fn act(&self, path: &str) -> Reply {
        self.send(Method::POST, path, Bytes::new()).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, body.to_string()).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PATCH, path, body.to_string()).await
    }

    /// Any call, with exactly these bytes as its body.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Reply {
        let mut line = self.connect().await.expect("the server listens");
        line.send(method, path, body).await.expect("the server answers")
    }

    /// A connection that is kept for many calls, and that may break.
    pub async fn connect(&self) -> std::io::Result<Line> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Line { client: self.clone(), sender })
    }
}

/// One connection to the server, for who calls often or expects it to break.
#[derive(Debug)]
pub struct Line {
    client: Client,
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Line {
    pub async fn post(&mut self, path: &str, body: &Value) -> hyper::Result<Reply> {
        self.send(Method::POST, path, body.to_string()).await
    }

    /// Fails when the connection breaks before the whole answer is here.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> hyper::Result<Reply> {
        let (head, body) = self.open(method, path, body).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// The same up to the head of the answer.
    pub async fn open(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> hyper::Result<http::Response<Incoming>> {
        let body = body.into();
        let host = self.client.address.to_string();
        let mut request = Request::builder().method(method).uri(path).header("host", host);
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in &self.client.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(body)).expect("a well-formed request");
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// The whole body as JSON; null when there is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body).expect("the answer is JSON")
    }

    /// `data` of a success; panics with the whole answer when the status is another.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        let json = self.json();
        assert_eq!(self.status, status, "{json:#}");
        if json.is_object() {
            assert_eq!(json["success"], true, "{json:#}");
        }
        json["data"].clone()
    }

    /// The problem of a failure, checked to be one; panics with the whole answer when it is another.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        let json = self.json();
        assert_eq!(self.status, status, "{json:#}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!((&json["success"], &json["status"]), (&false.into(), &status.into()));
        for member in ["type", "title", "detail", "code", "request_id"] {
            assert!(json[member].is_string(), "`{member}` is missing: {json:#}");
        }
        json
    }

    /// The pointers of a 422, in the order in which they were noted.
    #[track_caller]
    pub fn pointers(&self) -> Vec<String> {
        let problem = self.problem(422);
        let errors = problem["errors"].as_array().expect("a 422 has errors");
        errors.iter().map(|e| e["pointer"].as_str().expect("a text").to_owned()).collect()
    }

    /// A header; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
