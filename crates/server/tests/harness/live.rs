//! Listeners of live streams: server-sent events and WebSocket.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Method};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Client, Line, PATIENCE};

/// Server-sent events as they come. It reads only when it is asked: one that is not is a slow reader.
pub struct Stream {
    pub status: u16,
    pub headers: HeaderMap,
    body: Incoming,
    text: String,
    _line: Line,
}

/// One server-sent event.
#[derive(Debug, Clone)]
pub struct Told {
    /// Empty for an event of the tenant.
    pub name: String,
    pub id: String,
    pub data: Value,
}

impl Client {
    /// Opens a stream of server-sent events.
    pub async fn listen(&self, path: &str) -> Stream {
        let mut line = self.connect().await.expect("the server listens");
        let opened = line.open(Method::GET, path, Bytes::new()).await;
        let (head, body) = opened.expect("the server answers").into_parts();
        let (status, headers) = (head.status.as_u16(), head.headers);
        Stream { status, headers, body, text: String::new(), _line: line }
    }

    /// Opens a WebSocket on which events are told; the status when it is refused.
    pub async fn socket(&self, path: &str) -> Result<Socket, u16> {
        let mut socket = self.open_socket(path).await?;
        let hello = socket.next().await.expect("open");
        assert_eq!(hello["control"], "listening");
        Ok(socket)
    }

    /// Listens to the notifications of a user; the status when that is refused.
    pub async fn notifications(&self, owner: &str) -> Result<Socket, u16> {
        self.open_socket(&format!("/api/notifications/ws?owner_user_id={owner}")).await
    }

    /// Opens a WebSocket on which the server need not speak first.
    pub async fn open_socket(&self, path: &str) -> Result<Socket, u16> {
        let url = format!("ws://{}{path}", self.address);
        let mut request = url.into_client_request().expect("a URL");
        for (name, value) in &self.headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("no WebSocket: {error}"),
        }
    }
}

impl Stream {
    /// The next event; `None` when the stream has ended.
    pub async fn told(&mut self) -> Option<Told> {
        // As a whole: signs of life come for ever.
        tokio::time::timeout(PATIENCE, self.next_told()).await.expect("nothing came")
    }

    async fn next_told(&mut self) -> Option<Told> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                let value = block.lines().find_map(|line| line.strip_prefix(name));
                value.unwrap_or_default().to_owned()
            };
            let data = field("data: ");
            if !data.is_empty() {
                let data = serde_json::from_str(&data).expect("data are JSON on one line");
                return Some(Told { name: field("event: "), id: field("id: "), data });
            }
        }
    }

    /// The next event, which must be one of the tenant: its data.
    #[track_caller]
    pub fn event(&mut self) -> impl Future<Output = Value> {
        let at = std::panic::Location::caller();
        async move {
            let told = self.told().await.unwrap_or_else(|| panic!("the stream ended, at {at}"));
            assert_eq!(told.name, "", "{told:?}, at {at}");
            assert_eq!(told.data["event_id"], told.id.as_str());
            told.data
        }
    }

    /// Up to the next empty line.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let frame = self.body.frame().await.transpose().ok().flatten()?;
            let bytes = frame.into_data().expect("no trailers");
            self.text.push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
        }
    }
}

/// A WebSocket, from the client's side.
pub struct Socket(WebSocketStream<TcpStream>);

/// How a WebSocket was closed.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed {
    pub code: u16,
    pub reason: String,
}

impl Socket {
    /// The next text message as JSON, or how it was closed.
    pub async fn next(&mut self) -> Result<Value, Closed> {
        tokio::time::timeout(PATIENCE, self.next_text()).await.expect("nothing came")
    }

    async fn next_text(&mut self) -> Result<Value, Closed> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Ok(serde_json::from_str(&text).expect("messages are JSON"));
                }
                Some(Ok(Message::Close(frame))) => {
                    let frame = frame.expect("a close has a reason");
                    return Err(Closed {
                        code: frame.code.into(),
                        reason: frame.reason.to_string(),
                    });
                }
                Some(Ok(_)) => {}
                other => panic!("it broke off: {other:?}"),
            }
        }
    }

    pub async fn send(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.expect("it is open");
    }

    pub async fn send_bytes(&mut self, bytes: &'static [u8]) {
        self.0.send(Message::binary(bytes)).await.expect("it is open");
    }
}
