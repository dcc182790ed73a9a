//! `GET /api/live/ws`: events as they are committed, over WebSocket.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tidings_core::live::Wanted;

use super::query::Asked;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::page::ListQuery;
use crate::api::problem::{Problem, Result};
use crate::live::{End, Heard, Listener};

/// The largest message that a listener may send, bytes: a filter of 100 patterns.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Read and write buffer of a connection, bytes. The library's own, of 128 KiB each, are for few.
const BUFFER_BYTES: usize = 4 << 10;
/// A peer that has shown no sign of life for so many beats is gone.
const BEATS_MISSED_MAX: u32 = 2;

/// Listen to events as they are committed, over WebSocket.
///
/// Each text message is a `LiveEvent`, or has a `control`: `{"control": "listening", "types": […]}` at
/// first and after a message `{"types": ["job.*"]}`, which changes the filter from then on;
/// `{"control": "gap"}` when events may be missing. The server pings every 15 seconds. It closes with
/// 1008 (too slow, key revoked, a message that is no filter) or 1012 (it stops), and the reason in words.
#[utoipa::path(
    get, path = "/api/live/ws", tag = "live", operation_id = "live_socket",
    params(
        ("types" = Option<String>, Query, description = "Patterns with commas: `job.*,lead.captured`. Default: `*`"),
        ("last_event_id" = Option<String>, Query, description = "Go on after this event, as `Last-Event-ID`"),
    ),
    responses(
        (status = 101, description = "It is a WebSocket from here on"),
        (status = 426, description = "The request is no upgrade to a WebSocket"),
        (status = 429, description = "Too many streams are open"),
    )
)]
pub async fn live_socket(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
    headers: HeaderMap,
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    let Asked { wanted, last } = Asked::read(&query, &headers)?;
    let upgrade = accept(upgrade)?;
    let listener = Listener::start(app, caller, wanted, last).await?;
    Ok(upgrade.on_upgrade(|socket| Session { socket, listener, missed: 0 }.run()))
}

/// An upgrade with buffers for many, or 426.
pub fn accept(
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<WebSocketUpgrade> {
    let refuse = |rejection: WebSocketUpgradeRejection| {
        let detail = format!("this path speaks WebSocket: {}", rejection.body_text());
        Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail)
    };
    let upgrade = upgrade.map_err(refuse)?;
    Ok(upgrade
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX))
}

/// A WebSocket and what it listens to.
struct Session {
    socket: WebSocket,
    listener: Listener,
    /// Beats since the peer was heard.
    missed: u32,
}

/// The peer is gone, or was told that it is over.
struct Over;

impl From<axum::Error> for Over {
    fn from(_: axum::Error) -> Self {
        Self
    }
}

/// The filter that a message brings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    types: Vec<String>,
}

impl Session {
    async fn run(mut self) {
        let mut result = self.say_what().await;
        while result.is_ok() {
            result = self.turn().await;
        }
    }

    /// Says what is listened to, and after which event to resume while there was none.
    async fn say_what(&mut self) -> std::result::Result<(), Over> {
        let types: Vec<String> = self.listener.wanted.patterns().collect();
        let since = self.listener.since;
        let hello = json!({"control": "listening", "types": types, "last_event_id": since});
        Ok(self.socket.send(Message::Text(hello.to_string().into())).await?)
    }

    async fn turn(&mut self) -> std::result::Result<(), Over> {
        tokio::select! {
            heard = self.listener.next() => self.tell(heard).await,
            message = self.socket.recv() => {
                self.missed = 0;
                self.take(message.ok_or(Over)??).await
            }
        }
    }

    async fn tell(&mut self, heard: Heard) -> std::result::Result<(), Over> {
        let message = match heard {
            Heard::Event(entry) => text(entry.json()).ok_or(Over)?,
            Heard::Gap => Message::Text(r#"{"control":"gap"}"#.into()),
            Heard::Beat => {
                self.missed += 1;
                if self.missed > BEATS_MISSED_MAX {
                    return Err(Over);
                }
                Message::Ping(Bytes::new())
            }
            Heard::End(end) => return self.close(code_of(end), end.reason()).await,
        };
        Ok(self.socket.send(message).await?)
    }

    async fn take(&mut self, message: Message) -> std::result::Result<(), Over> {
        let body = match message {
            Message::Text(text) => text,
            // Answered by the library.
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(Over),
            Message::Binary(_) => return self.close(close_code::UNSUPPORTED, "text only").await,
        };
        let filter = serde_json::from_str::<Filter>(&body).ok();
        let wanted = filter.and_then(|f| Wanted::parse(f.types.iter().map(String::as_str)).ok());
        let Some(wanted) = wanted else {
            let reason = r#"expected a filter: {"types": ["job.*"]}"#;
            return self.close(close_code::POLICY, reason).await;
        };
        self.listener.wanted = wanted;
        self.say_what().await
    }

    async fn close(&mut self, code: u16, reason: &'static str) -> std::result::Result<(), Over> {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        self.socket.send(Message::Close(Some(frame))).await?;
        Err(Over)
    }
}

const fn code_of(end: End) -> u16 {
    match end {
        End::TooSlow | End::Revoked => close_code::POLICY,
        End::Stopping => close_code::RESTART,
    }
}

fn text(json: Bytes) -> Option<Message> {
    Some(Message::Text(Utf8Bytes::try_from(json).ok()?))
}
