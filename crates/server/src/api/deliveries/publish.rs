//! `POST /api/deliveries`: one event to one URL that no webhook names.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tidings_core::delivery::Owed;
use tidings_core::direct::Kind;
use tidings_core::event::Event;
use tidings_core::id::{DeliveryId, EventId, TenantId};
use tidings_core::publication::{IdempotencyKey, PlannedEvent, Publication};
use tidings_store::history::deliveries::DeliveryFilter;

use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope;
use crate::api::events::publish::count;
use crate::api::events::read::EventReader;
use crate::api::form::Form;
use crate::api::idempotency::IdempotencyHeader;
use crate::api::problem::{Problem, Result};
use crate::api::profiles::RetryPreview;
use crate::api::webhooks::fields::direct::Draft;
use crate::direct;

/// An event and where it goes. The URL needs no webhook, and webhooks do not hear of the event.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read` takes apart")]
pub struct NewDelivery {
    /// `https://…`; `http://` where the settings allow it.
    #[schema(example = "https://api.example.com/callbacks/42")]
    url: String,
    /// As of any event.
    #[schema(example = "job.completed")]
    r#type: String,
    /// Any JSON. `standard` receivers get these very bytes.
    data: serde_json::Value,
    /// When it happened: Unix milliseconds or RFC 3339. Default: now.
    timestamp: Option<String>,
    /// Deliveries with one key reach an origin one after the other.
    ordering_key: Option<String>,
    /// Not before this moment.
    deliver_at: Option<String>,
    /// What has not been delivered by then ends as `expired`.
    expires_at: Option<String>,
    /// `standard`, `emp`, `aegisx`, or one of the configuration.
    profile: Option<String>,
    /// `raw` or `cloudevents`, instead of the envelope of a `standard` profile.
    body: Option<String>,
    /// Signs the request. Required when the profile signs every request.
    secret: Option<String>,
    /// Names and values of further headers; at most 30. They never override ours.
    headers: Option<std::collections::HashMap<String, String>>,
    /// As of a webhook; what is left out is the profile's.
    #[schema(value_type = Object)]
    retry_config: Option<serde_json::Value>,
    /// The same in another spelling.
    #[schema(value_type = Object)]
    #[serde(rename = "retryPolicy")]
    retry_policy: Option<serde_json::Value>,
    timeout_ms: Option<u32>,
}

/// A delivery that is owed from now on.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PlannedDelivery {
    #[schema(example = "dlv_05n3q0c8g0001")]
    id: String,
    /// What receivers know it by.
    #[schema(example = "evt_05n3q0c8g0001")]
    event_id: String,
    #[serde(flatten)]
    preview: RetryPreview,
}

/// Publish one event to one URL.
///
/// It is delivered like any other: signed, retried, and a dead letter when it was given up. 202 means
/// committed and fsynced.
#[utoipa::path(
    post, path = "/api/deliveries", tag = "deliveries", operation_id = "publish_delivery",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body = NewDelivery,
    responses(
        (status = 202, body = envelope::Envelope<PlannedDelivery>),
        (status = 409, description = "The key was used for something else"),
        (status = 422, body = crate::api::problem::ProblemBody),
        (status = 503, description = "Too much waits to be written; see Retry-After"),
    )
)]
pub async fn publish_delivery(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: IdempotencyHeader,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require(Scope::EventsWrite)?;
    let now = app.clock.now();
    let key = idempotency.key("POST /api/deliveries", &body)?;
    let reader = EventReader::new(&app, &body, caller.tenant, now);
    let (event, owed, preview) = match read(&reader) {
        Ok(planned) => planned,
        Err(refused) => read_again(&reader, key.as_ref(), refused).await?,
    };
    let made = (owed.id, event.id);
    let earlier = commit(&app, key, event, owed).await?;
    let (id, event_id) = match earlier {
        None => made,
        Some(event) => (delivery_of(&app, caller.tenant, event).await?, event),
    };
    let planned = PlannedDelivery { id: id.to_string(), event_id: event_id.to_string(), preview };
    let mut response = envelope::answer(StatusCode::ACCEPTED, planned, now);
    if earlier.is_some() {
        response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The event, what is owed, and when it will be tried.
type Planned = (Arc<Event>, Owed, RetryPreview);

/// Takes what was refused if only the clock was against it and it is a repetition, which gets the
/// answer of its first time.
async fn read_again(
    reader: &EventReader<'_>,
    key: Option<&IdempotencyKey>,
    refused: Problem,
) -> Result<Planned> {
    let Ok(planned) = read(&reader.patient()) else { return Err(refused) };
    let event = std::iter::once(&*planned.0);
    if reader.were_accepted(key, event).await? { Ok(planned) } else { Err(refused) }
}

fn read(reader: &EventReader<'_>) -> Result<Planned> {
    let app = reader.app;
    let mut form = Form::parse(reader.body)?;
    let mut draft = Draft::new(&mut form, app, &app.settings.default_profile);
    draft.profile();
    draft.body();
    draft.url("url");
    draft.secret("secret");
    draft.headers();
    draft.retry();
    draft.timeout();
    let direct = draft.finish();
    let event = reader.event(&mut form, None);
    form.finish()?;
    let (Some(direct), Some(event)) = (direct, event) else {
        return Err(Problem::invalid_field("", "must be an event with a `url`"));
    };
    let profile = app.registry.profiles().get_or_standard(&direct.profile);
    let preview = RetryPreview::of(&direct.retry, profile);
    let owed = direct::plan(&app.parts, direct, Kind::Callback, &event, reader.now)
        .map_err(|error| Problem::invalid_field("/url", error.detail))?;
    Ok((event, owed, preview))
}

/// Commits it; or the event that was published when its key was seen first.
async fn commit(
    app: &App,
    key: Option<IdempotencyKey>,
    event: Arc<Event>,
    owed: Owed,
) -> Result<Option<EventId>> {
    let tenant = event.tenant;
    let planned = PlannedEvent { event, fingerprint: [0; 16], deliveries: vec![owed] };
    let publication = Publication { tenant, key, events: vec![planned] };
    let committed = app.store.publish(publication).await?;
    if committed.replayed {
        return Ok(committed.events.first().map(|published| published.id));
    }
    count(app, &committed.events);
    Ok(None)
}

async fn delivery_of(app: &App, tenant: TenantId, event: EventId) -> Result<DeliveryId> {
    let filter = DeliveryFilter { event: Some(event), limit: 1, ..DeliveryFilter::default() };
    let found = app.store.deliveries(tenant, &filter).await?;
    let found = found.first().map(|record| record.id);
    found.ok_or_else(|| Problem::not_found("the delivery that this key made was"))
}
