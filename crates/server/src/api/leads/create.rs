//! `POST /api/leads`: somebody has left their address.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use tidings_core::id::LeadId;
use tidings_core::lead::{Captured, Lead, LeadStatus};
use tidings_core::time::Timestamp;
use tidings_store::{Change, ChangeAnswer, ChangeKey, WriteError, leads};

use super::capture;
use super::view::LeadView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope::{self, Envelope};
use crate::api::events::publish::count;
use crate::api::form::Form;
use crate::api::idempotency::IdempotencyHeader;
use crate::api::problem::{Problem, ProblemBody, Result};
use crate::sources::TRIES;

/// A lead to keep.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `capture::read` takes apart")]
pub struct NewLead {
    /// What you call it: one line of at most 128 characters. Made up when it is left out.
    #[serde(rename = "leadId")]
    lead_id: Option<String>,
    #[serde(rename = "campaignName")]
    campaign_name: Option<String>,
    /// `email`, `name`, `first_name`, `last_name`, `phone`, `company`, `tags`, `fields`, `source`; none
    /// is required.
    #[schema(value_type = Object, example = json!({"email": "ada@example.com", "name": "Ada Lovelace"}))]
    lead: serde_json::Value,
}

/// Keep a lead, and tell the webhooks that want `lead.captured`.
#[utoipa::path(
    post, path = "/api/leads", tag = "leads", operation_id = "create_lead",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body = NewLead,
    responses(
        (status = 201, body = Envelope<LeadView>),
        (status = 409, description = "There is a lead of this name, or the key was used for something else"),
        (status = 422, body = ProblemBody),
        (status = 503, description = "Too much waits to be written; see Retry-After"),
    )
)]
pub async fn create_lead(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: IdempotencyHeader,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require(Scope::EventsWrite)?;
    let now = app.clock.now();
    let key = idempotency.key("POST /api/leads", &body)?;
    let mut form = Form::parse(&body)?;
    let told = capture::read(&mut form);
    if told.person.is_none() {
        form.require("lead");
    }
    form.finish()?;
    let id: LeadId = app.ids.next(now);
    let lead = Lead {
        id,
        tenant: caller.tenant,
        status: LeadStatus::New,
        captured: Captured {
            lead_id: told.name.unwrap_or_else(|| id.to_string()),
            campaign: told.campaign,
            lead: told.person.unwrap_or_default(),
        },
        updated_at: now,
    };
    let key = key.map(|key| ChangeKey { tenant: caller.tenant, key, ids: vec![id.as_i64()] });
    let committed = commit(&app, &lead, key, now).await?;
    let Some(ids) = committed.replayed else {
        committed.published.iter().for_each(|answer| count(&app, &answer.events));
        return Ok(envelope::answer(StatusCode::CREATED, LeadView::from(&lead), now));
    };
    let made = LeadId::from_i64(ids.first().copied().unwrap_or_default());
    let made = app.store.lead(caller.tenant, made).await?;
    let made = made.ok_or_else(|| Problem::not_found("the lead that this key made was"))?;
    let mut response = envelope::answer(StatusCode::CREATED, LeadView::from(&made), now);
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    Ok(response)
}

/// Commits the lead with what is planned for it; planned anew when the catalogue has moved meanwhile.
async fn commit(
    app: &App,
    lead: &Lead,
    key: Option<ChangeKey>,
    now: Timestamp,
) -> Result<ChangeAnswer> {
    for _ in 0..TRIES {
        let planned_at = app.parts.catalogue.known();
        let event = capture::event(app, lead, now);
        let change = Change {
            key: key.clone(),
            statements: vec![leads::insert(lead)],
            publications: vec![capture::publication(app, event, true, None, now)],
            ..Change::default()
        };
        match app.parts.change_planned(change, planned_at).await {
            Ok(committed) => return Ok(committed),
            Err(WriteError::Stale) => {}
            Err(WriteError::Conflict) => {
                let detail = "there is a lead of this name";
                return Err(Problem::conflict("lead_exists", detail));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(WriteError::Stale.into())
}
