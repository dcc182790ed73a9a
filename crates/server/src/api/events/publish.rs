//! `POST /api/events`: authenticate, validate, plan, commit, answer.
//!
//! This is where the way of an event begins. A 202 means that the event, its deliveries and its
//! idempotency key are on disk.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use tidings_core::event::{Event, is_client_id, is_event_type};
use tidings_core::fanout::Index;
use tidings_core::id::TenantId;
use tidings_core::limits::{BATCH_EVENTS_MAX, ORDERING_KEY_BYTES_MAX, SCHEDULE_AHEAD_MS_MAX};
use tidings_core::publication::{PlannedEvent, Publication, Published};
use tidings_core::time::Timestamp;

use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope;
use crate::api::form::{Form, Given, parse_json};
use crate::api::idempotency::{IdempotencyHeader, fingerprint};
use crate::api::problem::{Problem, Result};

/// An event to publish.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read_event` takes apart")]
pub struct NewEvent {
    /// `job.completed`: letters, digits and `_`, words joined by `.` or `-`, at most 128 bytes.
    #[schema(example = "job.completed")]
    r#type: String,
    /// Any JSON. `standard` receivers get these very bytes.
    data: serde_json::Value,
    /// Your own id: publishing it again changes nothing. Visible ASCII without `.`, at most 128 bytes.
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

/// Publish one event, or a list of up to 1,000.
///
/// A list is accepted whole or not at all. 202 means committed and fsynced.
#[utoipa::path(
    post, path = "/api/events", tag = "events", operation_id = "publish_events",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body(content = NewEvent, description = "An event, or a list of events"),
    responses(
        (status = 202, body = envelope::Envelope<AcceptedEvent>),
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
    let index = app.registry.index(caller.tenant);
    let context = Context { app: &app, body: &body, index: &index, tenant: caller.tenant, now };
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let events = if is_list { context.read_list()? } else { vec![context.read_one()?] };
    let names: Vec<Option<Arc<Event>>> = events
        .iter()
        .map(|planned| planned.event.client_id.is_some().then(|| Arc::clone(&planned.event)))
        .collect();
    let publication = Publication { tenant: caller.tenant, key, events };
    let committed = app.store.publish(publication).await.inspect_err(|error| {
        if matches!(error, tidings_store::WriteError::Overloaded { .. }) {
            app.metrics.commit_refused.increment(1);
        }
    })?;
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

fn count(app: &App, events: &[Published]) {
    let fresh = events.iter().filter(|published| !published.duplicate);
    let (accepted, planned) = fresh.fold((0, 0), |(accepted, planned), published| {
        (accepted + 1, planned + u64::from(published.deliveries))
    });
    app.metrics.events_accepted.increment(accepted);
    app.metrics.deliveries_planned.increment(planned);
}

fn respond(
    mut events: Vec<AcceptedEvent>,
    is_list: bool,
    replayed: bool,
    now: Timestamp,
) -> Response {
    let mut response = match events.pop() {
        Some(only) if !is_list => envelope::answer(StatusCode::ACCEPTED, only, now),
        last => {
            events.extend(last);
            envelope::answer(StatusCode::ACCEPTED, events, now)
        }
    };
    if replayed {
        let header = http::HeaderValue::from_static("true");
        response.headers_mut().insert("idempotent-replayed", header);
    }
    response
}

/// What reading an event needs.
struct Context<'a> {
    app: &'a App,
    /// The whole body: an event's data are a slice of it.
    body: &'a Bytes,
    index: &'a Index,
    tenant: TenantId,
    now: Timestamp,
}

impl<'a> Context<'a> {
    fn read_one(&self) -> Result<PlannedEvent> {
        let mut form = Form::parse(self.body)?;
        let event = self.read_event(&mut form);
        form.finish()?;
        event.ok_or_else(|| Problem::invalid_field("", "must be an event"))
    }

    fn read_list(&self) -> Result<Vec<PlannedEvent>> {
        let raw = parse_json(self.body)?;
        let items: Vec<&RawValue> = serde_json::from_str(raw.get())
            .map_err(|_| Problem::invalid_field("", "must be an event or a list of events"))?;
        if items.is_empty() || items.len() > BATCH_EVENTS_MAX {
            let detail = format!("must have 1 to {BATCH_EVENTS_MAX} events");
            return Err(Problem::invalid_field("", detail));
        }
        let mut events = Vec::with_capacity(items.len());
        let mut errors = Vec::new();
        for (n, item) in items.into_iter().enumerate() {
            match Form::of(item, format!("/{n}")) {
                Some(mut form) => {
                    events.extend(self.read_event(&mut form));
                    errors.extend(form.errors());
                }
                None => errors
                    .extend(Problem::invalid_field(format!("/{n}"), "must be an object").errors),
            }
        }
        if errors.is_empty() { Ok(events) } else { Err(Problem::invalid(errors)) }
    }

    /// Takes one event apart; what is wrong is noted in the form.
    fn read_event(&self, form: &mut Form<'a>) -> Option<PlannedEvent> {
        let event_type = form.required_text("type").unwrap_or_default();
        if !event_type.is_empty() && !is_event_type(&event_type) {
            form.refuse(
                "type",
                "must be words of letters, digits and `_`, joined by `.` or `-`, at most 128 bytes",
            );
        }
        let data = match form.raw("data") {
            Given::Value(raw) => Some(raw.get()),
            Given::Null => Some("null"),
            Given::Absent => {
                form.require("data");
                None
            }
        };
        let client_id = self.read_client_id(form);
        let timestamp = form.moment("timestamp").value().unwrap_or(self.now);
        let ordering_key = read_ordering_key(form);
        let deliver_at = self.read_moment_ahead(form, "deliver_at");
        let expires_at = self.read_moment_ahead(form, "expires_at");
        let starts = deliver_at.unwrap_or(self.now);
        if expires_at.is_some_and(|expires_at| expires_at <= starts) {
            form.refuse("expires_at", "must lie in the future and after `deliver_at`");
        }
        if !form.is_sound() {
            return None;
        }
        let event = Arc::new(Event {
            id: self.app.ids.next(self.now),
            tenant: self.tenant,
            client_id: client_id.map(|id| id.into()),
            event_type: event_type.into(),
            timestamp,
            ordering_key: ordering_key.map(|key| key.into()),
            deliver_at,
            expires_at,
            data: self.slice(data?),
        });
        Some(self.plan(event))
    }

    fn plan(&self, event: Arc<Event>) -> PlannedEvent {
        // Only compared when the publisher names its events.
        let fingerprint = match &event.client_id {
            Some(_) => fingerprint(&[event.event_type.as_bytes(), &event.data]),
            None => [0; 16],
        };
        let deliveries = self.index.plan(&event, &self.app.ids, self.now);
        PlannedEvent { event, fingerprint, deliveries }
    }

    fn read_client_id(&self, form: &mut Form<'a>) -> Option<Cow<'a, str>> {
        let id = form.text("id").value()?;
        if !is_client_id(&id) {
            form.refuse("id", "must be 1 to 128 visible ASCII characters without `.`");
        }
        Some(id)
    }

    fn read_moment_ahead(&self, form: &mut Form<'a>, name: &'static str) -> Option<Timestamp> {
        let at = form.moment(name).value()?;
        if at.since(self.now) > SCHEDULE_AHEAD_MS_MAX {
            form.refuse(name, "must lie at most 365 days ahead");
        }
        Some(at)
    }

    /// A part of the body: shared with it when it is most of it, else copied, for what is shared keeps
    /// the whole body in memory for as long as the delivery waits there.
    fn slice(&self, part: &'a str) -> Bytes {
        if part.len() < self.body.len() / 2 {
            return Bytes::copy_from_slice(part.as_bytes());
        }
        self.body.slice_ref(part.as_bytes())
    }
}

fn read_ordering_key<'a>(form: &mut Form<'a>) -> Option<Cow<'a, str>> {
    let key = form.text("ordering_key").value()?;
    if key.is_empty() || key.len() > ORDERING_KEY_BYTES_MAX {
        form.refuse("ordering_key", format!("must have 1 to {ORDERING_KEY_BYTES_MAX} bytes"));
    }
    Some(key)
}
