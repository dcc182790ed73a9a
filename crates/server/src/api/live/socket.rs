//! `GET /api/live/ws`: events as they are committed, over WebSocket.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use http::HeaderMap;

use super::query::Asked;
use super::session::{Session, Tongue, accept};
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::page::ListQuery;
use crate::api::problem::Result;
use crate::live::Listener;

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
    Ok(upgrade.on_upgrade(|socket| Session::run(socket, listener, Tongue::Events)))
}
