//! A WebSocket on which events are told: all of those that its peer asks for, or one user's
//! notifications.

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tidings_core::live::{Entry, Wanted};

use crate::api::problem::{Problem, Result};
use crate::live::{End, Heard, Listener};

/// The largest message that a listener may send, bytes: a filter of 100 patterns.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Read and write buffer of a connection, bytes. The library's own, of 128 KiB each, are for few.
const BUFFER_BYTES: usize = 4 << 10;
/// A peer that has shown no sign of life for so many beats is gone.
const BEATS_MISSED_MAX: u32 = 2;

/// What is said on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tongue {
    /// Events with all that belongs to them, and about the stream what has a `control`.
    Events,
    /// The data of notifications and nothing else; nothing is listened to.
    Notifications,
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
pub struct Session {
    socket: WebSocket,
    listener: Listener,
    tongue: Tongue,
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

type Turn = std::result::Result<(), Over>;

/// The filter that a message brings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    types: Vec<String>,
}

impl Session {
    /// Talks until the peer goes or must go.
    pub async fn run(socket: WebSocket, listener: Listener, tongue: Tongue) {
        let mut session = Self { socket, listener, tongue, missed: 0 };
        let mut turn = match tongue {
            Tongue::Events => session.say_what().await,
            Tongue::Notifications => Ok(()),
        };
        while turn.is_ok() {
            turn = session.turn().await;
        }
    }

    /// Says what is listened to, and after which event to resume while there was none.
    async fn say_what(&mut self) -> Turn {
        let types: Vec<String> = self.listener.wanted.patterns().collect();
        let since = self.listener.since;
        let hello = json!({"control": "listening", "types": types, "last_event_id": since});
        Ok(self.socket.send(Message::Text(hello.to_string().into())).await?)
    }

    async fn turn(&mut self) -> Turn {
        tokio::select! {
            heard = self.listener.next() => self.tell(heard).await,
            message = self.socket.recv() => {
                self.missed = 0;
                self.take(message.ok_or(Over)??).await
            }
        }
    }

    async fn tell(&mut self, heard: Heard) -> Turn {
        let message = match heard {
            Heard::Event(entry) => text(self.tongue.words(&entry)).ok_or(Over)?,
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

    async fn take(&mut self, message: Message) -> Turn {
        let body = match message {
            // Answered by the library.
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(Over),
            _ if self.tongue == Tongue::Notifications => return Ok(()),
            Message::Text(text) => text,
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

    async fn close(&mut self, code: u16, reason: &'static str) -> Turn {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        self.socket.send(Message::Close(Some(frame))).await?;
        Err(Over)
    }
}

impl Tongue {
    fn words(self, entry: &Entry) -> Bytes {
        match self {
            Self::Events => entry.json(),
            Self::Notifications => entry.event.data.clone(),
        }
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
