//! A delivery of a lead, in the fields that clients of this route know.

use serde::Serialize;
use serde_json::value::RawValue;
use tidings_core::delivery::Status;
use tidings_core::time::Timestamp;
use tidings_store::history::deliveries::DeliveryRecord;

use crate::api::App;
use crate::api::problem::Result;
use crate::engine::attempt::Shape;
use crate::engine::handoff::{self, Material};

/// The delivery of a lead to one URL.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LeadDeliveryView {
    #[schema(example = "dlv_05n3q0c8g0001")]
    pub id: String,
    /// What its owner calls the lead. Null when it is no longer kept.
    pub lead_id: Option<String>,
    /// Null when it is no longer known, like the three below.
    pub webhook_url: Option<String>,
    pub format: Option<&'static str>,
    /// The body; where a format makes several calls, that of the first.
    #[schema(value_type = Object)]
    pub payload: Option<Box<RawValue>>,
    /// Null when it is not signed.
    pub signature: Option<String>,
    /// `pending`: not tried yet. `sent`: tried, and tried again. `success`, `failed`: it has ended.
    pub status: &'static str,
    /// The attempt that was made last; the first until then.
    pub attempt: u16,
    pub max_attempts: Option<u16>,
    pub response_status: Option<u16>,
    /// At most 1,000 characters.
    pub response_body: Option<String>,
    #[schema(example = "HTTP 500: Internal Server Error")]
    pub last_error: Option<String>,
    /// When the last attempt was made, Unix milliseconds.
    pub sent_at: Option<i64>,
    pub next_retry_at: Option<i64>,
}

/// Puts together what is shown of a delivery.
pub async fn show(app: &App, record: &DeliveryRecord) -> Result<LeadDeliveryView> {
    let granted = Some(record.attempts_granted).filter(|&granted| granted > 0);
    let direct = record.direct.as_ref();
    let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
    let retrying = record.status == Status::Retrying;
    let mut view = LeadDeliveryView {
        id: record.id.to_string(),
        lead_id: None,
        webhook_url: direct.map(|direct| direct.url.clone()),
        format: direct.and_then(|direct| direct.format).map(|format| format.0.name()),
        payload: None,
        signature: None,
        status: match record.status {
            Status::Pending => "pending",
            Status::Retrying => "sent",
            Status::Success => "success",
            Status::Failed | Status::Cancelled | Status::Expired => "failed",
        },
        attempt: record.attempts.max(1),
        max_attempts: granted.or(direct.map(|direct| direct.retry.max_attempts)),
        response_status: record.response_status,
        response_body: record.response_status.map(|_| record.response_body.clone()),
        last_error: Some(record.error.clone()).filter(|error| !error.is_empty()),
        sent_at: millis(record.last_attempt_at),
        next_retry_at: millis(record.next_attempt_at.filter(|_| retrying)),
    };
    show_request(app, record, &mut view).await?;
    Ok(view)
}

/// The request is built again, by the code that builds it for the wire.
async fn show_request(
    app: &App,
    record: &DeliveryRecord,
    view: &mut LeadDeliveryView,
) -> Result<()> {
    let event = app.store.event_of(record.tenant, record.event).await?;
    let direct = app.store.direct(record.id).await?;
    let (Some(event), Some(mut direct)) = (event, direct) else { return Ok(()) };
    if app.sealer.open_direct(record.id, &mut direct).is_err() {
        return Ok(());
    }
    let Some(material) = Material::read(&event, &direct) else { return Ok(()) };
    view.lead_id = Some(material.lead_id().to_owned());
    let Some(handoff) = material.handoff(&direct.url) else { return Ok(()) };
    let call = handoff.call();
    let outgoing = app.registry.prepare_direct(&direct, record.tenant);
    let shaped = Shape::of(&outgoing.webhook, &outgoing.profile);
    let signers = outgoing.signers(app.clock.now());
    let headers = handoff::headers(&call, &event, &outgoing.webhook, &shaped, &signers);
    let rule = shaped.profile.signature.as_ref();
    view.signature = headers.unwrap_or_default().into_iter().find_map(|(name, value)| {
        rule.is_some_and(|rule| rule.header == name).then(|| value.into_owned())
    });
    view.payload = RawValue::from_string(call.body.clone()).ok();
    Ok(())
}
