//! Tells what happened: log lines for operators, operational events for webhooks that name them.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tidings_core::delivery::{Owed, Status};
use tidings_core::dispatch::News;
use tidings_core::event::Event;
use tidings_core::health::HealthNews;
use tidings_core::id::WebhookId;
use tidings_core::pattern::is_operational;
use tidings_core::publication::{PlannedEvent, Publication};
use tidings_core::settlement::{Reason, Settlement, Verdict};
use tidings_core::time::Timestamp;

use super::Parts;

/// The operational events that a settlement causes, planned for the webhooks that name them. They are
/// written with it, in one transaction.
pub(super) fn publications(
    parts: &Parts,
    settlement: &Settlement,
    news: &[News],
    now: Timestamp,
) -> Vec<Publication> {
    news.iter()
        .filter_map(|&news| {
            let (event_type, data) = describe(settlement, news)?;
            let (webhook, delivery) = (Receiver(&settlement.owed), settlement.owed.id);
            tracing::warn!(%webhook, %delivery, "{event_type}");
            let event = Arc::new(Event {
                id: parts.ids.next(now),
                tenant: settlement.owed.tenant,
                client_id: None,
                event_type: event_type.into(),
                timestamp: now,
                ordering_key: None,
                deliver_at: None,
                expires_at: None,
                data: Bytes::from(data.to_string()),
            });
            let deliveries = parts.registry.index(event.tenant).plan(&event, &parts.ids, now);
            let planned = PlannedEvent { event, fingerprint: [0; 16], deliveries };
            Some(Publication { tenant: settlement.owed.tenant, key: None, events: vec![planned] })
        })
        .collect()
}

/// The type and the data of the event that tells this news; `None` when telling it would only lead to
/// more of its kind.
fn describe(settlement: &Settlement, news: News) -> Option<(&'static str, serde_json::Value)> {
    let owed = &settlement.owed;
    let attempt = settlement.attempt.as_ref();
    let mut data = json!({
        "webhook_id": (!owed.is_direct()).then_some(owed.lane.webhook),
        "delivery_id": owed.id,
        "event_id": event_id(settlement),
        "last_status": attempt.and_then(|attempt| attempt.response_status),
        "last_error": attempt.map(|attempt| attempt.error.as_str()),
    });
    if let Some(direct) = owed.payload.direct() {
        data["url"] = direct.origin().into();
    }
    let event_type = match news {
        News::Exhausted(reason) => {
            let event = owed.payload.event();
            let operational = event.is_some_and(|event| is_operational(&event.event_type));
            if operational || reason == Reason::Inactive {
                return None;
            }
            data["reason"] = reason.as_str().into();
            data["attempts"] = (owed.attempts + u16::from(attempt.is_some())).into();
            "delivery.exhausted"
        }
        News::Disabled(reason) => {
            data["reason"] = reason.into();
            "webhook.disabled"
        }
        News::Health(HealthNews::Opened) => "webhook.breaker_opened",
        News::Health(HealthNews::Failing) => "webhook.failing",
        News::Health(HealthNews::Recovered) => "webhook.recovered",
        // Told as `webhook.disabled`; there is no webhook behind a direct delivery.
        News::Health(HealthNews::GiveUp) => return None,
    };
    if let Some(health) = &settlement.health {
        data["failures_in_a_row"] = health.failures_in_a_row.into();
        data["failing_since"] = json!(health.failing_since);
    }
    Some((event_type, data))
}

fn event_id(settlement: &Settlement) -> String {
    match settlement.owed.payload.event() {
        Some(event) => event.public_id().into_owned(),
        None => settlement.owed.event.to_string(),
    }
}

/// What logs call a receiver: the webhook, or the origin that a direct delivery goes to.
struct Receiver<'a>(&'a Owed);

impl std::fmt::Display for Receiver<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.payload.direct() {
            Some(direct) => f.write_str(direct.origin()),
            None => self.0.lane.webhook.fmt(f),
        }
    }
}

/// The moments of a delivery: delivered, failed with attempt and status, retry scheduled, given up.
pub(super) fn log(settlement: &Settlement) {
    let owed = &settlement.owed;
    let (webhook, delivery) = (Receiver(owed), owed.id);
    let attempt = owed.attempts + 1;
    let error = settlement.attempt.as_ref().map_or("", |attempt| attempt.error.as_str());
    match settlement.verdict {
        Verdict::End { status: Status::Success, .. } => {
            tracing::debug!(%webhook, %delivery, attempt, "webhook delivered successfully");
        }
        Verdict::End { status, reason } => {
            let (status, reason) = (status.as_str(), reason.as_str());
            tracing::warn!(%webhook, %delivery, attempt, status, reason, error,
                "webhook delivery failed permanently");
        }
        Verdict::Retry { not_before, .. } => {
            let in_ms = not_before.since(settlement.settled_at);
            tracing::warn!(%webhook, %delivery, attempt, error, in_ms,
                "webhook delivery failed; retry scheduled");
        }
    }
}

/// A settlement has switched a webhook off in the store: the same in memory, and what is queued ends.
pub(super) fn switch_off(parts: &Arc<Parts>, id: WebhookId, revision: u32, reason: &'static str) {
    let Some(outgoing) = parts.registry.outgoing(id) else { return };
    let mut webhook = (*outgoing.webhook).clone();
    if webhook.revision < revision {
        webhook.active = false;
        webhook.disabled_reason = Some(reason.to_owned());
        webhook.revision = revision;
        webhook.updated_at = parts.clock.now();
        webhook.inactive_since = Some(webhook.updated_at);
        parts.registry.replace(&parts.registry.prepare(webhook));
    }
    // Somebody has switched it on again meanwhile: what is queued now is wanted.
    if parts.registry.outgoing(id).is_some_and(|outgoing| outgoing.webhook.active) {
        return;
    }
    // What publishers had planned before they knew.
    let store = parts.store.clone();
    tokio::spawn(async move {
        let end = tidings_store::Control::EndDeliveries { webhook: id };
        if let Err(error) = store.control(end).await {
            tracing::warn!(webhook = %id, %error, "deliveries of a disabled webhook could not be ended");
        }
    });
}
