//! `POST /api/events`: authenticate, validate, plan, commit, answer.
//!
//! This is where the way of an event begins. A 202 means that the event, its deliveries and its
//! idempotency key are on disk.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use tidings_core::event::Event;
use tidings_core::fanout::Index;
use tidings_core::limits::{BATCH_EVENTS_MAX, LIST_DELIVERIES_MAX};
use tidings_core::publication::{IdempotencyKey, PlannedEvent, Publication, Published};
use tidings_core::time::Timestamp;
use tidings_store::WriteError;

use super::read::EventReader;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope;
use crate::api::form::{Form, read_json};
use crate::api::idempotency::{IdempotencyHeader, fingerprint};
use crate::api::problem::{Problem, Result};
use crate::sources::TRIES;

/// An event to publish.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `EventReader` takes apart")]
pub struct NewEvent {
    /// `job.completed`: letters, digits and `_`, words joined by `.` or `-`, at most 128 bytes.
    #[schema(example = "job.completed")]
    r#type: String,
    /// Any JSON. `standard` receivers get these very bytes.
    data: serde_json::Value,
    /// Your own id: publishing it again changes nothing. Visible ASCII without `.`, at most 128 bytes,
    /// and not of the form of our own ids.
    id: Option<String>,
    /// When it happened: Unix milliseconds or RFC 3339. Default: now.
    timestamp: Option<String>,
    /// Events with one key reach an `ordered` webhook in the order of their acceptance.
    ordering_key: Option<String>,
    /// Not before this moment.
    deliver_at: Option<String>,
    /// What has not been delivered by then ends as `expired`.
    expires_at: Option<String>,
}

/// One event to publish, or a list of up to 1,000.
#[derive(Debug, utoipa::ToSchema)]
#[serde(untagged)]
pub enum NewEvents {
    One(NewEvent),
    List(Vec<NewEvent>),
}

/// An accepted event.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AcceptedEvent {
    /// Your id, or the one it was given.
    pub id: String,
    /// Deliveries that are owed for it. 0 is fine.
    pub deliveries: u32,
    /// It had been accepted before; this time changed nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// One event is answered with one, a list with a list in the same order.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum AcceptedEvents {
    One(AcceptedEvent),
    List(Vec<AcceptedEvent>),
}

/// Publish one event, or a list of up to 1,000.
///
/// A list is accepted whole or not at all. 202 means committed and fsynced.
#[utoipa::path(
    post, path = "/api/events", tag = "events", operation_id = "publish_events",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body(content = NewEvents, description = "An event, or a list of events"),
    responses(
        (status = 202, body = envelope::Envelope<AcceptedEvents>),
        (status = 409, description = "The id or the key was used for something else"),
        (status = 422, body = crate::api::problem::ProblemBody),
        (status = 503, description = "Too much waits to be written; see Retry-After"),
    )
)]
pub async fn publish_events(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: IdempotencyHeader,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require(Scope::EventsWrite)?;
    let now = app.clock.now();
    let key = idempotency.key("POST /api/events", &body)?;
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let mut tries = 0..TRIES;
    let (committed, names) = loop {
        // Before the index, so that the plan is never older than this says.
        let planned_at = app.parts.catalogue.known();
        let index = app.registry.index(caller.tenant);
        let reader = EventReader::new(&app, &body, caller.tenant, now);
        let context = Context { reader, index: &index };
        let events = match context.read(is_list) {
            Ok(events) => events,
            Err(refused) => context.read_again(is_list, key.as_ref(), refused).await?,
        };
        let names: Vec<Option<Arc<Event>>> = events
            .iter()
            .map(|planned| planned.event.client_id.is_some().then(|| Arc::clone(&planned.event)))
            .collect();
        let publication = Publication { tenant: caller.tenant, key: key.clone(), events };
        match app.store.publish_planned(publication, planned_at).await {
            Ok(committed) => break (committed, names),
            Err(WriteError::Stale) if tries.next().is_some() => {
                app.parts.catch_up_to_write().await?;
            }
            Err(error) => return Err(error.into()),
        }
    };
    let answers = committed.events.iter().zip(&names);
    let accepted: Vec<AcceptedEvent> =
        answers.map(|(published, named)| accepted(published, named.as_deref())).collect();
    if !committed.replayed {
        count(&app, &committed.events);
    }
    Ok(respond(accepted, is_list, committed.replayed, now))
}

fn accepted(published: &Published, named: Option<&Event>) -> AcceptedEvent {
    let id = named.and_then(|event| event.client_id.as_deref()).map(str::to_owned);
    AcceptedEvent {
        id: id.unwrap_or_else(|| published.id.to_string()),
        deliveries: published.deliveries,
        duplicate: published.duplicate,
    }
}

/// Counts what was accepted just now.
pub(crate) fn count(app: &App, events: &[Published]) {
    let fresh = events.iter().filter(|published| !published.duplicate);
    let (accepted, planned) = fresh.fold((0, 0), |(accepted, planned), published| {
        (accepted + 1, planned + u64::from(published.deliveries))
    });
    app.metrics.events_accepted.increment(accepted);
    app.metrics.deliveries_planned.increment(planned);
}

fn too_many_deliveries() -> Problem {
    let detail =
        format!("makes more than {LIST_DELIVERIES_MAX} deliveries; send fewer events in one list");
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_deliveries", detail)
}

fn respond(
    mut events: Vec<AcceptedEvent>,
    is_list: bool,
    replayed: bool,
    now: Timestamp,
) -> Response {
    let accepted = match events.pop() {
        Some(only) if !is_list => AcceptedEvents::One(only),
        last => {
            events.extend(last);
            AcceptedEvents::List(events)
        }
    };
    let mut response = envelope::answer(StatusCode::ACCEPTED, accepted, now);
    if replayed {
        let header = http::HeaderValue::from_static("true");
        response.headers_mut().insert("idempotent-replayed", header);
    }
    response
}

/// What planning an event needs.
struct Context<'a> {
    reader: EventReader<'a>,
    index: &'a Index,
}

impl<'a> Context<'a> {
    fn read(&self, is_list: bool) -> Result<Vec<PlannedEvent>> {
        if is_list { self.read_list() } else { Ok(vec![self.read_one()?]) }
    }

    /// Takes what was refused if only the clock was against it and it is a repetition, which gets the
    /// answer of its first time. Apart from the first reading, so that publishing gains no query.
    async fn read_again(
        &self,
        is_list: bool,
        key: Option<&IdempotencyKey>,
        refused: Problem,
    ) -> Result<Vec<PlannedEvent>> {
        let patient = Self { reader: self.reader.patient(), index: self.index };
        let Ok(planned) = patient.read(is_list) else { return Err(refused) };
        let events = planned.iter().map(|planned| &*planned.event);
        if self.reader.were_accepted(key, events).await? { Ok(planned) } else { Err(refused) }
    }

    fn read_one(&self) -> Result<PlannedEvent> {
        let mut form = Form::parse(self.reader.body)?;
        let event = self.read_event(&mut form);
        form.finish()?;
        event.ok_or_else(|| Problem::invalid_field("", "must be an event"))
    }

    fn read_list(&self) -> Result<Vec<PlannedEvent>> {
        let what = "an event or a list of events";
        let items: Vec<&RawValue> = read_json(self.reader.body, what)?;
        if items.is_empty() || items.len() > BATCH_EVENTS_MAX {
            let detail = format!("must have 1 to {BATCH_EVENTS_MAX} events");
            return Err(Problem::invalid_field("", detail));
        }
        let mut events: Vec<PlannedEvent> = Vec::with_capacity(items.len());
        let mut errors = Vec::new();
        let mut deliveries = 0;
        for (n, item) in items.into_iter().enumerate() {
            match Form::of(item, format!("/{n}")) {
                Some(mut form) => {
                    let planned = self.read_event(&mut form);
                    deliveries += planned.as_ref().map_or(0, |planned| planned.deliveries.len());
                    events.extend(planned);
                    errors.extend(form.errors());
                }
                None => errors
                    .extend(Problem::invalid_field(format!("/{n}"), "must be an object").errors),
            }
            // At once, and not when all of them are in memory. One event may have as many as it likes.
            if deliveries > LIST_DELIVERIES_MAX && events.len() > 1 {
                return Err(too_many_deliveries());
            }
        }
        if errors.is_empty() { Ok(events) } else { Err(Problem::invalid(errors)) }
    }

    fn read_event(&self, form: &mut Form<'a>) -> Option<PlannedEvent> {
        let client_id = self.reader.client_id(form);
        let event = self.reader.event(form, client_id)?;
        Some(self.plan(event))
    }

    fn plan(&self, event: Arc<Event>) -> PlannedEvent {
        // Only compared when the publisher names its events.
        let fingerprint = match &event.client_id {
            Some(_) => fingerprint(&[event.event_type.as_bytes(), &event.data]),
            None => [0; 16],
        };
        let deliveries = self.index.plan(&event, &self.reader.app.ids, self.reader.now);
        PlannedEvent { event, fingerprint, deliveries }
    }
}
