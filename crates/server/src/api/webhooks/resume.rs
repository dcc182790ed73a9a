//! `POST /api/webhooks/:id/resume`: it is sent to again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tidings_core::delivery::Status;
use tidings_core::id::EventId;
use tidings_core::replay::Selection;
use tidings_core::time::Timestamp;
use tidings_core::webhook::Webhook;

use super::view::WebhookView;
use super::{find, parse_id, write};
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope::{self, Envelope};
use crate::api::no_fields::NoFields;
use crate::api::path::PathText;
use crate::api::problem::Result;
use crate::replayer::count;

/// Events looked at to say how much was missed: a fraction of a second.
const EVENTS_COUNTED_MAX: usize = 10_000;

/// A resumed webhook, and what it has missed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ResumedWebhook {
    #[serde(flatten)]
    webhook: WebhookView,
    /// Null when nothing was.
    missed: Option<Missed>,
}

/// What was not delivered while the webhook was inactive: nothing was planned for it, and what had
/// been queued ended. `POST …/replay` with this `since` sends it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Missed {
    /// Unix milliseconds.
    since: i64,
    until: i64,
    /// Events to send again.
    count: u64,
    /// There are more: the count is a lower bound.
    more: bool,
    /// Where to post `{"since": …}`.
    replay: String,
}

/// Resume a webhook that is paused or inactive.
///
/// What waited is delivered now, oldest first. What was never planned, because it was inactive, is
/// offered as `missed`.
#[utoipa::path(
    post, path = "/api/webhooks/{id}/resume", tag = "webhooks", operation_id = "resume_webhook",
    params(("id" = String, Path, description = "wh_…")),
    responses(
        (status = 200, body = Envelope<ResumedWebhook>),
        (status = 404, description = "No such webhook"),
    )
)]
pub async fn resume_webhook(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
    _: NoFields,
) -> Result<Response> {
    caller.require(Scope::WebhooksWrite)?;
    let inactive_since = find(&app, caller.tenant, &id).await?.webhook.inactive_since;
    let decide =
        |_: &App, current: &Webhook| Ok(Webhook { paused: false, active: true, ..current.clone() });
    let outgoing = write::change(Arc::clone(&app), caller.tenant, parse_id(&id)?, decide).await?;
    let now = app.clock.now();
    let missed = match inactive_since {
        Some(since) => missed(&app, &outgoing.webhook, since, now).await,
        None => None,
    };
    let data = ResumedWebhook { webhook: outgoing.as_ref().into(), missed };
    Ok(envelope::answer(StatusCode::OK, data, now))
}

/// What was missed since then. It is an offer: that it cannot be counted now stops nothing.
async fn missed(app: &App, webhook: &Webhook, since: Timestamp, now: Timestamp) -> Option<Missed> {
    let first = app.store.first_ended_with(webhook.id, since).await.unwrap_or_else(|error| {
        tracing::warn!(webhook = %webhook.id, %error, "what ended with it is not known");
        None
    });
    let since = first.map_or(since, |event| since.min(EventId::created_at(event)));
    let selection = Selection {
        since,
        // What was answered in this very millisecond is part of it.
        until: now + 1,
        missed: true,
        statuses: vec![Status::Failed, Status::Cancelled, Status::Expired],
        event_types: Vec::new(),
    };
    let counted = match count(&app.store, webhook, &selection, EVENTS_COUNTED_MAX, now).await {
        Ok(counted) => counted,
        Err(error) => {
            tracing::warn!(webhook = %webhook.id, %error, "what it missed is not known");
            return None;
        }
    };
    let missed = Missed {
        since: since.as_millis(),
        until: selection.until.as_millis(),
        count: counted.deliveries(),
        more: counted.more,
        replay: format!("/api/webhooks/{}/replay", webhook.id),
    };
    (missed.count > 0 || missed.more).then_some(missed)
}
