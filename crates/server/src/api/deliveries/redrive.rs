//! `POST /api/dead-letters/redrive`: what was given up is owed again.
//!
//! First it is found out which deliveries are meant, then they are queued again in slices, oldest
//! first, each with the attempts that its webhook's policy gives. Broken off, it is simply asked for
//! again: what is owed already is no dead letter any more.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tidings_core::delivery::Status;
use tidings_core::id::{DeliveryId, EventId, TenantId, WebhookId};
use tidings_core::time::Timestamp;
use tidings_store::history::deliveries::{DeliveryFilter, DeliveryRecord};
use tidings_store::{Control, WriteError};

use super::retry::attempts_given;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope;
use crate::api::events::named;
use crate::api::form::{Form, Given};
use crate::api::problem::Result;

/// Ids in one request.
const IDS_MAX: usize = 1_000;
/// Deliveries of one request: some 2 MB of ids, and a few seconds.
const DELIVERIES_MAX: usize = 100_000;
/// Deliveries queued at once: they share a transaction, and leave others their turn.
const SLICE: usize = 250;
/// Deliveries read at once.
const PAGE: u32 = 1_000;

/// Which dead letters to send again: these, or all that the filters let through.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read` takes apart")]
pub struct Redrive {
    /// At most 1,000; instead of filters.
    delivery_ids: Option<Vec<String>>,
    /// Only to this webhook.
    webhook_id: Option<String>,
    /// Only of this event: our id or the publisher's.
    event_id: Option<String>,
    /// `failed`, `cancelled`, `expired`. Default: `failed`.
    status: Option<Vec<String>>,
    /// Created at or after: Unix milliseconds or RFC 3339.
    since: Option<String>,
    /// Created before.
    until: Option<String>,
    /// Only say how many there are.
    dry_run: Option<bool>,
}

/// What a redrive did.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Redriven {
    /// Deliveries that are owed again; of a dry run: that would be.
    deliveries: u64,
    /// Left as they were: their webhook is gone or inactive, their event is no longer kept, or they
    /// are no dead letters (any more).
    skipped: u64,
    /// There are more than one request takes; ask again.
    more: bool,
    dry_run: bool,
}

/// What was asked for.
#[derive(Default)]
struct Asked {
    ids: Option<Vec<DeliveryId>>,
    webhook: Option<WebhookId>,
    event: Option<String>,
    statuses: Vec<Status>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    dry_run: bool,
}

/// What is to be sent again, with the attempts that each gets.
#[derive(Default)]
struct Found {
    sendable: Vec<(DeliveryId, u16)>,
    skipped: u64,
    more: bool,
}

/// Send dead letters again, by filter or by id: each gets its policy's attempts once more.
#[utoipa::path(
    post, path = "/api/dead-letters/redrive", tag = "deliveries", operation_id = "redrive",
    request_body = Redrive,
    responses(
        (status = 200, body = envelope::Envelope<Redriven>, description = "Of a dry run"),
        (status = 202, body = envelope::Envelope<Redriven>),
    )
)]
pub async fn redrive(
    State(app): State<Arc<App>>,
    caller: Caller,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require(Scope::DeliveriesWrite)?;
    let now = app.clock.now();
    let asked = read(&body)?;
    let found = match &asked.ids {
        Some(ids) => by_id(&app, caller.tenant, ids).await?,
        None => by_filter(&app, caller.tenant, &asked, now).await?,
    };
    let mut done = Redriven {
        deliveries: found.sendable.len() as u64,
        skipped: found.skipped,
        more: found.more,
        dry_run: asked.dry_run,
    };
    if asked.dry_run {
        return Ok(envelope::answer(StatusCode::OK, done, now));
    }
    for slice in found.sendable.chunks(SLICE) {
        let refused = queue_again(&app, caller.tenant, slice).await?;
        done.deliveries -= refused;
        done.skipped += refused;
    }
    Ok(envelope::answer(StatusCode::ACCEPTED, done, now))
}

fn read(body: &[u8]) -> Result<Asked> {
    let mut form = Form::parse(body)?;
    let ids = read_ids(&mut form);
    let webhook = form.text("webhook_id").value().and_then(|text| {
        let id = text.parse().ok();
        if id.is_none() {
            form.refuse("webhook_id", "must be a webhook's id");
        }
        id
    });
    let asked = Asked {
        ids,
        webhook,
        event: form.text("event_id").value().map(Into::into),
        statuses: read_statuses(&mut form),
        since: form.moment("since").value(),
        until: form.moment("until").value(),
        dry_run: form.boolean("dry_run").value().unwrap_or(false),
    };
    if asked.ids.is_some() {
        for filter in ["webhook_id", "event_id", "status", "since", "until"] {
            if form.members().any(|(name, _)| name == filter) {
                form.refuse(filter, "cannot be combined with `delivery_ids`");
            }
        }
    }
    form.finish()?;
    Ok(asked)
}

fn read_ids(form: &mut Form<'_>) -> Option<Vec<DeliveryId>> {
    let Given::Value(texts) = form.parsed::<Vec<String>>("delivery_ids", "a list of ids") else {
        return None;
    };
    if texts.is_empty() || texts.len() > IDS_MAX {
        form.refuse("delivery_ids", format!("must have 1 to {IDS_MAX} ids"));
    }
    let mut ids = Vec::with_capacity(texts.len());
    for (n, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(id) => ids.push(id),
            Err(_) => form.refuse_item("delivery_ids", n, "must be a delivery's id"),
        }
    }
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}

fn read_statuses(form: &mut Form<'_>) -> Vec<Status> {
    let what = "a list of failed, cancelled, expired";
    let Given::Value(words) = form.parsed::<Vec<String>>("status", what) else {
        return vec![Status::Failed];
    };
    let dead = |status: &Status| status.is_final() && *status != Status::Success;
    let statuses: Option<Vec<Status>> =
        words.iter().map(|word| Status::parse(word).filter(dead)).collect();
    statuses.filter(|statuses| !statuses.is_empty()).unwrap_or_else(|| {
        form.refuse("status", format!("must be {what}"));
        Vec::new()
    })
}

impl Found {
    /// Notes a delivery that is meant, and what its policy gives it.
    fn note(&mut self, app: &App, record: &DeliveryRecord) {
        let dead = record.status.is_final() && record.status != Status::Success;
        match attempts_given(app, record).filter(|_| dead) {
            Some(attempts) => self.sendable.push((record.id, attempts)),
            None => self.skipped += 1,
        }
    }
}

async fn by_id(app: &App, tenant: TenantId, ids: &[DeliveryId]) -> Result<Found> {
    let mut found = Found::default();
    for &id in ids {
        match app.store.delivery(tenant, id).await? {
            Some(record) => found.note(app, &record),
            None => found.skipped += 1,
        }
    }
    Ok(found)
}

async fn by_filter(app: &App, tenant: TenantId, asked: &Asked, now: Timestamp) -> Result<Found> {
    let mut found = Found::default();
    let event: Option<EventId> = match &asked.event {
        None => None,
        Some(name) => match named::event_id(app, tenant, name).await? {
            Some(id) => Some(id),
            None => return Ok(found),
        },
    };
    let mut filter = DeliveryFilter {
        webhook: asked.webhook,
        event,
        statuses: asked.statuses.clone(),
        since: asked.since,
        // What fails again meanwhile is not taken twice.
        until: Some(asked.until.unwrap_or(now + 1)),
        before: None,
        limit: PAGE,
    };
    loop {
        let page = app.store.deliveries(tenant, &filter).await?;
        page.iter().for_each(|record| found.note(app, record));
        filter.before = page.last().map(|record| record.id);
        if page.len() < PAGE as usize {
            break;
        }
        if found.sendable.len() >= DELIVERIES_MAX {
            found.more = true;
            break;
        }
    }
    // Read newest first; sent oldest first, as an ordered webhook has it.
    found.sendable.reverse();
    Ok(found)
}

/// Queues these again, in this order; how many were not to be.
async fn queue_again(app: &App, tenant: TenantId, slice: &[(DeliveryId, u16)]) -> Result<u64> {
    let asked = slice
        .iter()
        .map(|&(delivery, more)| app.store.control(Control::RetryNow { tenant, delivery, more }));
    let mut refused = 0;
    for answer in together(asked.collect()).await {
        match answer {
            Ok(_) => {}
            Err(WriteError::StillOwed | WriteError::NotFound) => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(refused)
}

/// Waits for all of them, each begun in its turn.
async fn together<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    let all = poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut waiting {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(ready) => *output = Some(ready),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    });
    pin!(all).await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}
