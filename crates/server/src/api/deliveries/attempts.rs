//! `GET /api/deliveries/{id}/attempts`: each attempt as it was sent and answered.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::ser::{Serialize, SerializeMap, Serializer};
use tidings_core::id::{DeliveryId, kind};
use tidings_core::time::Timestamp;
use tidings_store::history::attempts::AttemptRecord;
use tidings_store::history::deliveries::DeliveryRecord;

use super::as_sent::{Rebuild, RequestView};
use super::get::find;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::path::PathId;
use crate::api::problem::Result;

/// One HTTP try of a delivery.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct AttemptView {
    pub delivery_id: String,
    /// From 1, over the whole life of the delivery.
    pub attempt_number: u16,
    /// Unix milliseconds.
    pub attempted_at: i64,
    pub duration_ms: u32,
    /// As it was sent; the values of custom headers are masked.
    pub request: RequestView,
    /// Null when there was no answer.
    pub response_status: Option<u16>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub response_headers: HeaderLines,
    /// At most 1,000 characters. Null when there was no answer.
    pub response_body: Option<String>,
    #[schema(example = "HTTP 500: Internal Server Error")]
    pub error: Option<String>,
    /// `network`, `timeout`, `tls`, `dns`, `blocked` or `http`; null on success.
    pub error_type: Option<&'static str>,
    pub will_retry: bool,
    /// Unix milliseconds: when the next one was planned.
    pub retry_at: Option<i64>,
}

/// Headers, name by name in the order given; one of several values has them joined by `, `.
#[derive(Debug, Clone, Default)]
pub struct HeaderLines(Vec<(String, String)>);

impl HeaderLines {
    pub fn push(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, values)) => {
                values.push_str(", ");
                values.push_str(value);
            }
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// From the `name: value` lines that the store keeps.
    fn from_stored(lines: &str) -> Self {
        let mut headers = Self::default();
        for (name, value) in lines.lines().filter_map(|line| line.split_once(": ")) {
            headers.push(name, value);
        }
        headers
    }
}

impl Serialize for HeaderLines {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// List the attempts of a delivery, first to last.
#[utoipa::path(
    get, path = "/api/deliveries/{id}/attempts", tag = "deliveries", operation_id = "list_attempts",
    params(("id" = String, Path, description = "The delivery's id")),
    responses((status = 200, body = envelope::ListEnvelope<AttemptView>))
)]
pub async fn list_attempts(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<kind::Delivery>,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    let record = find(&app, caller.tenant, id).await?;
    let attempts = of(&app, &record).await?;
    let timestamp = app.clock.now().to_rfc3339();
    let list =
        envelope::ListEnvelope { success: true, data: attempts, next_cursor: None, timestamp };
    Ok(envelope::json(StatusCode::OK, &list))
}

/// The attempts of a delivery, as they are shown.
pub(super) async fn of(app: &App, delivery: &DeliveryRecord) -> Result<Vec<AttemptView>> {
    let records = app.store.attempts(delivery.tenant, delivery.id).await?;
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let mut rebuild = Rebuild::new(app, delivery).await?;
    let mut views = Vec::with_capacity(records.len());
    for record in records {
        let request = rebuild.request(&record.attempt).await?;
        views.push(view(delivery.id, record, request));
    }
    Ok(views)
}

fn view(delivery: DeliveryId, record: AttemptRecord, request: RequestView) -> AttemptView {
    let AttemptRecord { attempt, retry_at } = record;
    AttemptView {
        delivery_id: delivery.to_string(),
        attempt_number: attempt.number,
        attempted_at: attempt.started_at.as_millis(),
        duration_ms: attempt.duration_ms,
        request,
        response_status: attempt.response_status,
        response_headers: HeaderLines::from_stored(&attempt.response_headers),
        response_body: attempt.response_status.map(|_| attempt.response_body),
        error: Some(attempt.error).filter(|error| !error.is_empty()),
        error_type: Some(attempt.error_type).filter(|kind| !kind.is_empty()),
        will_retry: retry_at.is_some(),
        retry_at: retry_at.map(Timestamp::as_millis),
    }
}

#[cfg(test)]
mod tests {
    use super::HeaderLines;

    #[test]
    fn headers_keep_their_order_and_join_repetitions() {
        let headers =
            HeaderLines::from_stored("date: x\nset-cookie: a=1\nset-cookie: b=2\nempty: \n");
        let json = serde_json::to_string(&headers).expect("string keys");
        assert_eq!(json, r#"{"date":"x","set-cookie":"a=1, b=2","empty":""}"#);
    }
}
