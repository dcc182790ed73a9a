//! `GET /api/webhooks/:id/stats`: what was counted since its creation.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tidings_core::time::Timestamp;
use tidings_store::history::stats::Totals;

use super::find;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope::{self, Envelope};
use crate::api::path::PathText;
use crate::api::problem::Result;

/// A webhook's deliveries since its creation; retention takes nothing away.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WebhookStats {
    /// Successful and failed ones.
    total_deliveries: i64,
    successful_deliveries: i64,
    /// Given up.
    failed_deliveries: i64,
    /// Tried without success, and owed.
    retry_queue_size: i64,
    /// Not tried yet, and owed.
    pending_deliveries: i64,
    cancelled_deliveries: i64,
    expired_deliveries: i64,
    /// All that ever became owed: pending + retrying + success + failed + cancelled + expired.
    accepted_deliveries: i64,
    /// HTTP tries.
    attempts: i64,
    failed_attempts: i64,
    /// Unix milliseconds.
    last_attempt_at: Option<i64>,
}

impl From<Totals> for WebhookStats {
    fn from(totals: Totals) -> Self {
        let counts = totals.counts;
        Self {
            total_deliveries: counts.success + counts.failed,
            successful_deliveries: counts.success,
            failed_deliveries: counts.failed,
            retry_queue_size: totals.retrying,
            pending_deliveries: totals.pending,
            cancelled_deliveries: counts.cancelled,
            expired_deliveries: counts.expired,
            accepted_deliveries: counts.accepted,
            attempts: counts.attempts,
            failed_attempts: counts.attempts_failed,
            last_attempt_at: totals.last_attempt_at.map(Timestamp::as_millis),
        }
    }
}

/// Delivery statistics of a webhook.
#[utoipa::path(
    get, path = "/api/webhooks/{id}/stats", tag = "webhooks", operation_id = "webhook_stats",
    params(("id" = String, Path, description = "wh_…")),
    responses(
        (status = 200, body = Envelope<WebhookStats>),
        (status = 404, description = "No such webhook"),
    )
)]
pub async fn webhook_stats(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    let webhook = find(&app, caller.tenant, &id).await?.webhook.id;
    let totals = app.store.webhook_totals(webhook).await?;
    Ok(envelope::answer(StatusCode::OK, WebhookStats::from(totals), app.clock.now()))
}
