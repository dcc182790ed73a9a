//! A delivery as answers show it.

use serde::Serialize;
use tidings_core::delivery::Status;
use tidings_core::direct::{is_lane, origin};
use tidings_core::time::Timestamp;
use tidings_store::history::deliveries::DeliveryRecord;

use crate::api::App;

/// A delivery: one event owed to one webhook, or to one direct URL.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct DeliveryView {
    #[schema(example = "dlv_05n3q0c8g0001")]
    pub id: String,
    /// Null of a direct delivery.
    #[schema(example = "wh_05n3q0c8g0001")]
    pub webhook_id: Option<String>,
    /// The id that its publisher gave the event, else ours.
    pub event_id: String,
    /// Null when the event is no longer kept.
    pub event_type: Option<String>,
    /// `pending`, `retrying`, `success`, `failed`, `cancelled` or `expired`.
    pub status: &'static str,
    /// Why it ended: `delivered`, `exhausted`, `refused`, `unrepresentable`, `inactive`,
    /// `cancelled`, `expired` or `order_hold`. Null while it is owed.
    pub reason: Option<&'static str>,
    pub attempt_count: u16,
    /// Null when its webhook is gone and nobody granted it attempts.
    pub max_attempts: Option<u16>,
    /// Unix milliseconds, like the other moments.
    pub last_attempt_at: Option<i64>,
    /// Null when nothing more is owed.
    pub next_attempt_at: Option<i64>,
    /// Of the last attempt, like the three below.
    pub response_status: Option<u16>,
    /// At most 1,000 characters.
    pub response_body: Option<String>,
    #[schema(example = "HTTP 500: Internal Server Error")]
    pub error_message: Option<String>,
    /// `network`, `timeout`, `tls`, `dns`, `blocked` or `http`.
    pub error_type: Option<&'static str>,
    pub created_at: i64,
    pub completed_at: Option<i64>,
    /// Where it goes: the origin only in lists. Null when its webhook is gone.
    #[schema(example = "https://api.example.com")]
    pub url: Option<String>,
}

impl DeliveryView {
    /// As lists show it: of the URL the origin only.
    #[must_use]
    pub fn new(record: &DeliveryRecord, app: &App) -> Self {
        let outgoing = app.registry.webhook(record.tenant, record.webhook);
        let policy = match &record.direct {
            Some(direct) => Some(direct.retry.max_attempts),
            None => outgoing.map(|outgoing| outgoing.rules.policy.max_attempts),
        };
        let granted = Some(record.attempts_granted).filter(|&granted| granted > 0);
        Self {
            id: record.id.to_string(),
            webhook_id: (!is_lane(record.webhook)).then(|| record.webhook.to_string()),
            event_id: record.client_id.clone().unwrap_or_else(|| record.event.to_string()),
            event_type: text(&record.event_type),
            status: record.status.as_str(),
            reason: record.reason.map(tidings_core::settlement::Reason::as_str),
            attempt_count: record.attempts,
            max_attempts: granted.or(policy),
            last_attempt_at: millis(record.last_attempt_at),
            next_attempt_at: millis(record.next_attempt_at.filter(|_| !record.status.is_final())),
            response_status: record.response_status,
            response_body: record.response_status.map(|_| record.response_body.clone()),
            error_message: text(&record.error).filter(|_| record.status != Status::Success),
            error_type: Some(record.error_type).filter(|kind| !kind.is_empty()),
            created_at: record.id.created_at().as_millis(),
            completed_at: millis(record.completed_at),
            url: url(record, app).map(|url| origin(&url).to_owned()),
        }
    }

    /// As its own page shows it: with the whole URL.
    #[must_use]
    pub fn in_full(record: &DeliveryRecord, app: &App) -> Self {
        Self { url: url(record, app), ..Self::new(record, app) }
    }
}

/// Where it goes, as far as that is known.
fn url(record: &DeliveryRecord, app: &App) -> Option<String> {
    match &record.direct {
        Some(direct) => Some(direct.url.clone()),
        None => {
            let outgoing = app.registry.webhook(record.tenant, record.webhook)?;
            Some(outgoing.webhook.url.clone())
        }
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn millis(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millis)
}
