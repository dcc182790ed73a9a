//! `GET /api/notifications/ws`: what one user is notified of, over WebSocket.
//!
//! A notification is an event `notification.…` whose ordering key is the user. Its data alone are sent,
//! for clients that know nothing of events.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use tidings_core::limits::ORDERING_KEY_BYTES_MAX;
use tidings_core::live::Wanted;

use super::session::{Session, Tongue, accept};
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::page::ListQuery;
use crate::api::problem::{Problem, Result};
use crate::live::Listener;

/// Listen to the notifications of one user, over WebSocket.
///
/// Each text message is one: `{"type": "clipping.started", "jobId", "message"}`,
/// `{"type": "clipping.progress", "jobId", "progressPercent", "currentStep"}`,
/// `{"type": "clipping.completed", "jobId", "clipCount", "message"}`,
/// `{"type": "clipping.failed", "jobId", "error", "message"}`, or the data of any other event
/// `notification.…` that was published with the user as its `ordering_key`. What is sent to the server is
/// not looked at. It pings and closes as `/api/live/ws` does.
#[utoipa::path(
    get, path = "/api/notifications/ws", tag = "live", operation_id = "notifications",
    params(("owner_user_id" = String, Query, description = "Whose: the `owner_user_id` of the jobs")),
    responses(
        (status = 101, description = "It is a WebSocket from here on"),
        (status = 426, description = "The request is no upgrade to a WebSocket"),
        (status = 429, description = "Too many streams are open"),
    )
)]
pub async fn notifications(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.exactly(&["owner_user_id"])?;
    let owner = query.get("owner_user_id").filter(|owner| owner.len() <= ORDERING_KEY_BYTES_MAX);
    let owner = owner.ok_or_else(|| {
        let detail = format!("must say whose: 1 to {ORDERING_KEY_BYTES_MAX} bytes");
        Problem::invalid_field("owner_user_id", detail)
    })?;
    let wanted = Wanted::parse(["notification.*"]).expect("a pattern").under(owner);
    let upgrade = accept(upgrade)?;
    let listener = Listener::start(app, caller, wanted, None).await?;
    Ok(upgrade.on_upgrade(|socket| Session::run(socket, listener, Tongue::Notifications)))
}
