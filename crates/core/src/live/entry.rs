//! One event as listeners get it: written once, however many listen.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::Serialize;

use crate::event::Event;

/// What stands before the JSON in a server-sent event; ids are all of one length.
const HEAD_BYTES: usize = "id: evt_0000000000000\ndata: ".len();
/// And behind it.
const TAIL: &[u8] = b"\n\n";

/// An event in a history.
#[derive(Debug)]
pub struct Entry {
    pub event: Arc<Event>,
    /// As a server-sent event, made when the first listener wants it.
    frame: OnceLock<Bytes>,
}

/// All but the data.
#[derive(Serialize)]
struct Head<'a> {
    id: &'a str,
    event_id: crate::id::EventId,
    r#type: &'a str,
    timestamp: i64,
    created_at: i64,
    ordering_key: Option<&'a str>,
}

impl Entry {
    #[must_use]
    pub(super) const fn new(event: Arc<Event>) -> Self {
        Self { event, frame: OnceLock::new() }
    }

    /// What it takes in memory, bytes: the data twice, once as JSON for listeners, and the rest.
    pub(super) fn bytes(&self) -> usize {
        2 * self.event.data.len() + 500
    }

    /// As a server-sent event: `id: evt_…`, `data: {…}`, an empty line.
    pub fn frame(&self) -> Bytes {
        self.frame.get_or_init(|| frame(&self.event)).clone()
    }

    /// `{"id", "event_id", "type", "timestamp", "created_at", "ordering_key", "data"}`, on one line.
    pub fn json(&self) -> Bytes {
        let frame = self.frame();
        frame.slice(HEAD_BYTES..frame.len() - TAIL.len())
    }
}

fn frame(event: &Event) -> Bytes {
    let head = Head {
        id: &event.public_id(),
        event_id: event.id,
        r#type: &event.event_type,
        timestamp: event.timestamp.as_millis(),
        created_at: event.id.created_at().as_millis(),
        ordering_key: event.ordering_key.as_deref(),
    };
    let mut frame = Vec::with_capacity(event.data.len() + 250);
    frame.extend_from_slice(format!("id: {}\ndata: ", event.id).as_bytes());
    serde_json::to_writer(&mut frame, &head).expect("a head has string keys only");
    frame.pop();
    frame.extend_from_slice(b",\"data\":");
    // A line break would end the line. In JSON it only stands between tokens, where a space means the
    // same.
    let one_line = |&byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
    frame.extend(event.data.iter().map(one_line));
    frame.push(b'}');
    frame.extend_from_slice(TAIL);
    frame.into()
}
