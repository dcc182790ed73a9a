//! `GET /api/webhooks/:id/health`: how its receiver does, over the last 24 hours and right now.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tidings_core::health::{Breaker, Health};
use tidings_core::stats::Histogram;
use tidings_core::time::Timestamp;
use tidings_store::history::deliveries::DeliveryFilter;

use super::find;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::deliveries::view::DeliveryView;
use crate::api::envelope::{self, Envelope};
use crate::api::path::PathText;
use crate::api::problem::Result;

/// How a webhook's receiver does.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WebhookHealth {
    /// Successful among those that were delivered or given up in 24 hours, 0 to 100; 0 when none.
    success_rate: f64,
    /// Those that were delivered or given up in 24 hours.
    total_deliveries: i64,
    /// The newest one, whatever its status.
    last_delivery: Option<DeliveryView>,
    latency: Latency,
    breaker: BreakerView,
    /// The receiver asked to be left alone until then (Unix milliseconds).
    paused_until: Option<i64>,
    /// Since then there were only failures.
    failing_since: Option<i64>,
    failures_in_a_row: u32,
    active: bool,
    /// Paused by hand.
    paused: bool,
    /// Why Tidings switched it off: `gone` or `failing`.
    disabled_reason: Option<String>,
}

/// How long the attempts of 24 hours took, milliseconds; null when there were none.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Latency {
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

/// Whether attempts are let through.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct BreakerView {
    /// `closed`, `open` (nothing is sent), or `half_open` (one attempt, a probe, at a time).
    state: &'static str,
    /// The next probe, while it is open (Unix milliseconds).
    until: Option<i64>,
}

/// Health of a webhook.
#[utoipa::path(
    get, path = "/api/webhooks/{id}/health", tag = "webhooks", operation_id = "webhook_health",
    params(("id" = String, Path, description = "wh_…")),
    responses(
        (status = 200, body = Envelope<WebhookHealth>),
        (status = 404, description = "No such webhook"),
    )
)]
pub async fn webhook_health(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    let now = app.clock.now();
    let outgoing = find(&app, caller.tenant, &id).await?;
    let webhook = &outgoing.webhook;
    let counts = app.store.webhook_day(webhook.id, now).await?;
    let health = app.store.health(webhook.id).await?.unwrap_or_default();
    let newest =
        DeliveryFilter { webhook: Some(webhook.id), limit: 1, ..DeliveryFilter::default() };
    let newest = app.store.deliveries(caller.tenant, &newest).await?;
    let total_deliveries = counts.success + counts.failed;
    let answer = WebhookHealth {
        success_rate: percent(counts.success, total_deliveries),
        total_deliveries,
        last_delivery: newest.first().map(|record| DeliveryView::new(record, &app)),
        latency: latency(&counts.latency),
        breaker: breaker(&health, now),
        paused_until: health.paused_until.filter(|&until| until > now).map(Timestamp::as_millis),
        failing_since: health.failing_since.map(Timestamp::as_millis),
        failures_in_a_row: health.failures_in_a_row,
        active: webhook.active,
        paused: webhook.paused,
        disabled_reason: webhook.disabled_reason.clone(),
    };
    Ok(envelope::answer(StatusCode::OK, answer, now))
}

fn percent(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

fn latency(histogram: &Histogram) -> Latency {
    let percentile = |share| histogram.percentile(share).map(f64::round);
    Latency { p50: percentile(0.5), p95: percentile(0.95), p99: percentile(0.99) }
}

fn breaker(health: &Health, now: Timestamp) -> BreakerView {
    match health.breaker {
        Breaker::Closed => BreakerView { state: "closed", until: None },
        Breaker::Open { until, .. } if until > now => {
            BreakerView { state: "open", until: Some(until.as_millis()) }
        }
        Breaker::Open { .. } => BreakerView { state: "half_open", until: None },
    }
}
