//! `GET /api/live`: events as they are committed, as server-sent events.
//!
//! Events have no name, so that `onmessage` of a browser's `EventSource` gets them all; `gap` and
//! `end`, which are about the stream itself, have one.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;

use super::query::Asked;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::page::ListQuery;
use crate::api::problem::Result;
use crate::live::{Heard, Listener};

/// A client comes back so long after the stream broke off, milliseconds.
const RETRY_MS: u32 = 2_000;
const BEAT: Bytes = Bytes::from_static(b":\n\n");
const GAP: Bytes = Bytes::from_static(
    b"event: gap\ndata: {\"detail\":\"events after the last one that you heard may be missing\"}\n\n",
);

/// An event as listeners get it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LiveEvent {
    /// The publisher's id, else ours.
    #[schema(example = "order-42")]
    id: String,
    /// Ours, always: what `Last-Event-ID` takes.
    #[schema(example = "evt_05n3q0c8g0001")]
    event_id: String,
    #[schema(example = "job.completed")]
    r#type: String,
    /// When it happened, Unix milliseconds.
    timestamp: i64,
    /// When it was accepted, Unix milliseconds.
    created_at: i64,
    ordering_key: Option<String>,
    data: serde_json::Value,
}

/// Listen to events as they are committed, as server-sent events.
///
/// The `data` of each is a `LiveEvent` on one line, its `id` the `event_id`. A comment every 15 seconds
/// shows that the stream lives.
///
/// `Last-Event-ID` goes on after that event, within the latest 1,000; where the stream was heard long
/// ago, or before a restart, what is about as old comes again. The event `gap` says that some may be
/// missing, the event `end` why the stream ends: too slow, key revoked, server stopping.
#[utoipa::path(
    get, path = "/api/live", tag = "live", operation_id = "live",
    params(
        ("types" = Option<String>, Query, description = "Patterns with commas: `job.*,lead.captured`. Default: `*`"),
        ("last_event_id" = Option<String>, Query, description = "As the header, for clients that cannot set one"),
        ("Last-Event-ID" = Option<String>, Header, description = "Go on after this event"),
    ),
    responses(
        (status = 200, description = "A stream that does not end", body = LiveEvent, content_type = "text/event-stream"),
        (status = 429, description = "Too many streams are open"),
    )
)]
pub async fn live(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
    headers: HeaderMap,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    let Asked { wanted, last } = Asked::read(&query, &headers)?;
    let listener = Listener::start(app, caller, wanted, last).await?;
    let mut response = Body::from_stream(frames(listener)).into_response();
    let headers = response.headers_mut();
    let fixed = HeaderValue::from_static;
    headers.insert(header::CONTENT_TYPE, fixed("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, fixed("no-cache"));
    // nginx would wait for its buffer to be full.
    headers.insert(HeaderName::from_static("x-accel-buffering"), fixed("no"));
    Ok(response)
}

/// The stream: it is only asked for more when the client has taken what there was.
fn frames(
    listener: Listener,
) -> impl futures_util::Stream<Item = std::result::Result<Bytes, std::convert::Infallible>> {
    // An id without data is no event, but what a client that has heard none will resume after.
    let hello = format!("retry: {RETRY_MS}\nid: {}\n\n", listener.since);
    let hello = stream::iter([Ok(Bytes::from(hello))]);
    let heard = stream::unfold(Some(listener), async |listener| {
        let mut listener = listener?;
        let (frame, listener) = match listener.next().await {
            Heard::Event(entry) => (entry.frame(), Some(listener)),
            Heard::Beat => (BEAT, Some(listener)),
            Heard::Gap => (GAP, Some(listener)),
            Heard::End(end) => {
                let text = format!("event: end\ndata: {{\"detail\":\"{}\"}}\n\n", end.reason());
                (Bytes::from(text), None)
            }
        };
        Some((Ok(frame), listener))
    });
    futures_util::StreamExt::chain(hello, heard)
}
