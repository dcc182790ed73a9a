//! `POST /api/webhooks/:id/replay`: begin one, or count what it would send.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tidings_core::delivery::Status;
use tidings_core::id::ReplayId;
use tidings_core::limits::{
    PATTERNS_MAX, REPLAY_COUNTED_MAX, REPLAY_KEPT_MS, REPLAY_RATE_DEFAULT, REPLAY_RATE_MAX,
};
use tidings_core::pattern::Pattern;
use tidings_core::replay::{Replay, Selection};
use tidings_core::time::Timestamp;
use tidings_core::webhook::Webhook;
use tidings_store::catalogue::replays;
use tidings_store::{Change, ChangeKey, WriteError};

use super::view::{MISSED, ReplayView};
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope::{self, Envelope};
use crate::api::form::{Form, Given};
use crate::api::idempotency::IdempotencyHeader;
use crate::api::path::PathText;
use crate::api::problem::{Problem, ProblemBody, Result};
use crate::api::task::uncancelled;
use crate::api::webhooks::find;
use crate::replayer::{Counted, count};

/// What is sent unless the request says otherwise: all that did not arrive.
const STATUSES: [Status; 3] = [Status::Failed, Status::Cancelled, Status::Expired];

/// Which events are sent again.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read` takes apart")]
pub struct NewReplay {
    /// Events accepted at or after: Unix milliseconds or RFC 3339.
    #[schema(example = "2026-11-22T12:00:00Z")]
    since: String,
    /// Events accepted before. Default: now.
    until: Option<String>,
    /// `missed` (never planned for the webhook, and wanted by it as it is now), `failed`,
    /// `cancelled`, `expired`, `success`. Default: all of them but `success`. What is on its way is
    /// never sent again, nor is what has succeeded since, unless `success` is given.
    statuses: Option<Vec<String>>,
    /// Only these types, as in the `events` of a webhook. Default: any.
    event_types: Option<Vec<String>>,
    /// Deliveries queued in a second, at most: 1 to 10,000. Default: 100.
    rate: Option<u32>,
    /// Only say what would be sent.
    dry_run: Option<bool>,
}

/// What a replay would send.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DryRun {
    dry_run: bool,
    /// In all.
    deliveries: u64,
    /// Never planned for the webhook.
    missed: u64,
    failed: u64,
    cancelled: u64,
    expired: u64,
    success: u64,
    /// Events looked at.
    events: u64,
    /// There are more events than a dry run looks at: the figures are lower bounds.
    more: bool,
}

/// What was asked for.
struct Asked {
    selection: Selection,
    rate: u32,
    dry_run: bool,
}

/// Replay: events of a time range are sent to the webhook again.
///
/// Each gets a new delivery of the same event: receivers know a repetition by its `webhook-id`. A
/// replay runs by itself, survives a restart, and can be watched and cancelled. One runs at a time for
/// each webhook.
#[utoipa::path(
    post, path = "/api/webhooks/{id}/replay", tag = "webhooks", operation_id = "start_replay",
    params(
        ("id" = String, Path, description = "wh_…"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat"),
    ),
    request_body = NewReplay,
    responses(
        (status = 200, body = Envelope<DryRun>, description = "Of a dry run"),
        (status = 202, body = Envelope<ReplayView>),
        (status = 404, description = "No such webhook"),
        (status = 409, description = "The webhook is inactive, or another replay of it runs"),
        (status = 422, body = ProblemBody),
    )
)]
pub async fn start_replay(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
    header: IdempotencyHeader,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require(Scope::DeliveriesWrite)?;
    let now = app.clock.now();
    let outgoing = find(&app, caller.tenant, &id).await?;
    let webhook = &outgoing.webhook;
    let asked = read(&body, now)?;
    if asked.dry_run {
        let counted = count(&app.store, webhook, &asked.selection, REPLAY_COUNTED_MAX, now).await?;
        return Ok(envelope::answer(StatusCode::OK, DryRun::from(counted), now));
    }
    if !webhook.active {
        let detail = "the webhook is inactive; resume it first";
        return Err(Problem::conflict("webhook_inactive", detail));
    }
    let key = header.key(&format!("POST /api/webhooks/{id}/replay"), &body)?;
    let replay = prepare(&app, webhook, asked, now).await?;
    let ids = vec![replay.id.as_i64()];
    let key = key.map(|key| ChangeKey { tenant: caller.tenant, key, ids });
    let replay = uncancelled(begin(Arc::clone(&app), replay, key)).await?;
    Ok(envelope::answer(StatusCode::ACCEPTED, ReplayView::from(&replay), now))
}

fn read(body: &[u8], now: Timestamp) -> Result<Asked> {
    let mut form = Form::parse(body)?;
    let since = form.moment("since").value();
    if since.is_none() {
        form.require("since");
    }
    let until = form.moment("until").value();
    if until.is_some_and(|until| until > now) {
        form.refuse("until", "must not lie ahead: what comes is delivered anyway");
    }
    // What was answered in this very millisecond is part of it.
    let (since, until) = (since.unwrap_or(now - 1), until.unwrap_or(now + 1));
    if since >= until {
        form.refuse("since", "must lie before `until`, which is now unless it is given");
    }
    let (missed, statuses) = read_statuses(&mut form);
    let event_types = read_types(&mut form);
    let rate = form.integer("rate", 1, i64::from(REPLAY_RATE_MAX)).value();
    let asked = Asked {
        selection: Selection { since, until, missed, statuses, event_types },
        rate: rate.and_then(|rate| u32::try_from(rate).ok()).unwrap_or(REPLAY_RATE_DEFAULT),
        dry_run: form.boolean("dry_run").value().unwrap_or(false),
    };
    form.finish()?;
    Ok(asked)
}

/// Whether what was missed is asked for, and which ended deliveries are.
fn read_statuses(form: &mut Form<'_>) -> (bool, Vec<Status>) {
    let what = "a list of missed, failed, cancelled, expired, success";
    let Given::Value(words) = form.parsed::<Vec<String>>("statuses", what) else {
        return (true, STATUSES.to_vec());
    };
    if words.is_empty() {
        form.refuse("statuses", format!("must be {what}"));
    }
    let ended = |word: &str| Status::parse(word).filter(|status| status.is_final());
    for (n, word) in words.iter().enumerate() {
        if word != MISSED && ended(word).is_none() {
            form.refuse_item(
                "statuses",
                n,
                "is none of missed, failed, cancelled, expired, success",
            );
        }
    }
    let asked = |status: &Status| words.iter().any(|word| word == status.as_str());
    let statuses = Status::ALL.into_iter().filter(|status| status.is_final() && asked(status));
    (words.iter().any(|word| word == MISSED), statuses.collect())
}

fn read_types(form: &mut Form<'_>) -> Vec<Pattern> {
    let Given::Value(list) = form.list("event_types", PATTERNS_MAX) else { return Vec::new() };
    let mut patterns = Vec::with_capacity(list.len());
    for (n, raw) in list.into_iter().enumerate() {
        let text: Option<String> = serde_json::from_str(raw.get()).ok();
        match text.unwrap_or_default().parse() {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => form.refuse_item("event_types", n, format!("is {error}")),
        }
    }
    patterns
}

async fn prepare(app: &App, webhook: &Webhook, asked: Asked, now: Timestamp) -> Result<Replay> {
    let (after, upto) = asked.selection.range();
    let oldest = app.store.oldest_event(webhook.tenant, after, upto).await?;
    Ok(Replay::new(app.ids.next(now), webhook, asked.selection, oldest, asked.rate, now))
}

async fn begin(app: Arc<App>, replay: Replay, key: Option<ChangeKey>) -> Result<Replay> {
    let forget = app.clock.now() - REPLAY_KEPT_MS;
    let statements = replays::insert(&replay, forget);
    match app.store.change(Change { key, statements, ..Change::default() }).await {
        Ok(answer) => match answer.replayed.as_deref() {
            None => {
                tracing::info!(replay = %replay.id, webhook = %replay.webhook, "replay begun");
                app.replayer.wake();
                Ok(replay)
            }
            Some(ids) => earlier(&app, &replay, ids).await,
        },
        Err(WriteError::Conflict) => {
            let detail = "another replay of this webhook runs; wait for it or cancel it";
            Err(Problem::conflict("replay_running", detail))
        }
        Err(error) => Err(error.into()),
    }
}

/// The one that the first request with this key began, as it stands now.
async fn earlier(app: &App, replay: &Replay, ids: &[i64]) -> Result<Replay> {
    let id = ReplayId::from_i64(ids.first().copied().unwrap_or_default());
    let begun = app.store.replay(replay.tenant, id).await?;
    begun.ok_or_else(|| Problem::not_found("the replay that this key began was"))
}

impl From<Counted> for DryRun {
    fn from(counted: Counted) -> Self {
        let ended = |status: Status| counted.ended[status.code() as usize];
        Self {
            dry_run: true,
            deliveries: counted.deliveries(),
            missed: counted.missed,
            failed: ended(Status::Failed),
            cancelled: ended(Status::Cancelled),
            expired: ended(Status::Expired),
            success: ended(Status::Success),
            events: counted.events,
            more: counted.more,
        }
    }
}
