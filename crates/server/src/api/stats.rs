//! `GET /api/stats`: what happened in a period, and how everything stands since the beginning.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tidings_core::stats::{Counts, Histogram};
use tidings_store::history::stats::{Period, Point, Totals};

use super::App;
use super::auth::{Caller, Scope};
use super::envelope;
use super::page::ListQuery;
use super::problem::{Problem, Result};

/// A tenant's statistics.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StatsView {
    /// `1h`, `24h`, `7d` or `30d`.
    period: &'static str,
    /// Unix milliseconds, like the other moments.
    since: i64,
    until: i64,
    /// The sum of the breakdown.
    total: i64,
    breakdown: Breakdown,
    /// Deliveries that became owed in the period.
    accepted: i64,
    /// HTTP tries in the period.
    attempts: i64,
    attempts_failed: i64,
    /// Of the deliveries that ended as `success` or `failed`, 0 to 100; 0 when none did.
    success_rate: f64,
    latency_ms: Latency,
    /// How long each point of the series lasts.
    step_ms: i64,
    /// In order of time. Points at which nothing happened are left out.
    series: Vec<PointView>,
    totals: TotalsView,
}

/// Deliveries by status: those that ended in the period, and those that are owed now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Breakdown {
    pending: i64,
    retrying: i64,
    success: i64,
    failed: i64,
    cancelled: i64,
    expired: i64,
}

/// How long attempts took, milliseconds; null when there were none.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Latency {
    p50: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

/// What happened from `at` on, for one step.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PointView {
    at: i64,
    accepted: i64,
    success: i64,
    failed: i64,
    cancelled: i64,
    expired: i64,
    attempts: i64,
    attempts_failed: i64,
    latency_ms: Latency,
}

/// Since the tenant's creation, whatever retention has taken since:
/// `accepted` = `pending` + `retrying` + `success` + `failed` + `cancelled` + `expired`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TotalsView {
    accepted: i64,
    pending: i64,
    retrying: i64,
    success: i64,
    failed: i64,
    cancelled: i64,
    expired: i64,
    attempts: i64,
    attempts_failed: i64,
}

/// Statistics of a period, and totals.
#[utoipa::path(
    get, path = "/api/stats", tag = "statistics", operation_id = "stats",
    params(("period" = Option<String>, Query, description = "`1h`, `24h` (the default), `7d` or `30d`")),
    responses((status = 200, body = envelope::Envelope<StatsView>))
)]
pub async fn stats(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&["period"])?;
    let (name, period) = read_period(query.get("period").unwrap_or("24h"))?;
    let now = app.clock.now();
    let series = app.store.tenant_series(caller.tenant, period, now).await?;
    let totals = app.store.tenant_totals(caller.tenant).await?;
    let mut sum = Counts::default();
    series.iter().for_each(|point| sum.merge(&point.counts));
    let breakdown = breakdown(&sum, &totals);
    let view = StatsView {
        period: name,
        since: (now - period.length_ms()).as_millis(),
        until: now.as_millis(),
        total: breakdown.total(),
        breakdown,
        accepted: sum.accepted,
        attempts: sum.attempts,
        attempts_failed: sum.attempts_failed,
        success_rate: success_rate(&sum),
        latency_ms: latency(&sum.latency),
        step_ms: period.step_ms(),
        series: series.iter().map(point).collect(),
        totals: self::totals(&totals),
    };
    Ok(envelope::answer(StatusCode::OK, view, now))
}

pub(super) fn read_period(text: &str) -> Result<(&'static str, Period)> {
    match text {
        "1h" => Ok(("1h", Period::Hour)),
        "24h" => Ok(("24h", Period::Day)),
        "7d" => Ok(("7d", Period::Week)),
        "30d" => Ok(("30d", Period::Month)),
        _ => Err(Problem::invalid_field("period", "must be 1h, 24h, 7d or 30d")),
    }
}

fn breakdown(sum: &Counts, now: &Totals) -> Breakdown {
    Breakdown {
        pending: now.pending,
        retrying: now.retrying,
        success: sum.success,
        failed: sum.failed,
        cancelled: sum.cancelled,
        expired: sum.expired,
    }
}

impl Breakdown {
    fn total(&self) -> i64 {
        let owed = self.pending + self.retrying;
        owed + self.success + self.failed + self.cancelled + self.expired
    }
}

fn success_rate(sum: &Counts) -> f64 {
    match sum.success + sum.failed {
        0 => 0.0,
        judged => 100.0 * sum.success as f64 / judged as f64,
    }
}

fn latency(histogram: &Histogram) -> Latency {
    let rounded = |share| histogram.percentile(share).map(|ms| (ms * 10.0).round() / 10.0);
    Latency { p50: rounded(0.5), p90: rounded(0.9), p95: rounded(0.95), p99: rounded(0.99) }
}

fn point(point: &Point) -> PointView {
    let counts = &point.counts;
    PointView {
        at: point.at.as_millis(),
        accepted: counts.accepted,
        success: counts.success,
        failed: counts.failed,
        cancelled: counts.cancelled,
        expired: counts.expired,
        attempts: counts.attempts,
        attempts_failed: counts.attempts_failed,
        latency_ms: latency(&counts.latency),
    }
}

fn totals(totals: &Totals) -> TotalsView {
    let counts = &totals.counts;
    TotalsView {
        accepted: counts.accepted,
        pending: totals.pending,
        retrying: totals.retrying,
        success: counts.success,
        failed: counts.failed,
        cancelled: counts.cancelled,
        expired: counts.expired,
        attempts: counts.attempts,
        attempts_failed: counts.attempts_failed,
    }
}
