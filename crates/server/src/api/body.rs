//! The body of a request: JSON, bounded.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::App;
use super::problem::{Problem, Result};

/// A client has so long to send a body, whatever comes of it meanwhile: a mebibyte over a line of 140 kbit/s.
const PATIENCE: Duration = Duration::from_secs(60);

/// The bytes of a JSON body, at most as many as the settings allow.
#[derive(Debug)]
pub struct JsonBody(pub Bytes);

impl FromRequest<Arc<App>> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        require_json(request.headers())?;
        let (head, body) = request.into_parts();
        read_body(&head.headers, body, app.settings.request_body_bytes_max).await.map(Self)
    }
}

/// The bytes of a body, at most `most`.
pub async fn read_body(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes> {
    read_within(PATIENCE, headers, body, most).await
}

async fn read_within(
    patience: Duration,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<Bytes> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    match timeout(patience, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(most)),
        Ok(Err(_)) => Err(Problem::bad_request("broken_body", "the body broke off")),
        Err(_) => Err(too_slow(patience)),
    }
}

/// 415 for what says that it is something else. No `Content-Type` at all is taken as JSON.
fn require_json(headers: &HeaderMap) -> Result<()> {
    let unsupported = |detail| {
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
    };
    if headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        return unsupported("compressed bodies are not accepted");
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_json = essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json");
    if is_json { Ok(()) } else { unsupported("the body must be application/json") }
}

fn too_large(most: usize) -> Problem {
    let detail = format!("the body is larger than {most} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// Who is told so has not sent all of it: the connection ends with the answer.
fn too_slow(patience: Duration) -> Problem {
    let detail = format!("the body did not come within {} s", patience.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use hyper::body::Incoming;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::http_server;

    /// A byte comes whenever the one before it was read, so there is progress all the time.
    #[tokio::test]
    async fn a_body_that_trickles_is_cut_off() {
        let (say, mut was_read) = unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let _server = http_server::start(listener, move |request: Request<Incoming>| {
            let say = say.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = Body::new(body.map_frame(move |frame| {
                    let _ = say.send(());
                    frame
                }));
                let patience = Duration::from_millis(100);
                let read = read_within(patience, &head.headers, body, usize::MAX).await;
                read.expect_err("it has no end").render("")
            }
        });
        let mut line = TcpStream::connect(address).await.expect("it listens");
        let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9000000000\r\n\r\n ";
        line.write_all(head).await.expect("written");
        let (mut reading, mut writing) = line.split();
        let trickle = async {
            while was_read.recv().await.is_some() {
                drop(writing.write_all(b" ").await);
            }
        };
        let mut answer = Vec::new();
        tokio::select! {
            // To its end: the connection is closed. The last byte may have met that.
            _ = reading.read_to_end(&mut answer) => {}
            () = trickle => panic!("the server has gone"),
        }
        let answer = String::from_utf8(answer).expect("a text");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("body_too_slow"), "{answer}");
    }
}
