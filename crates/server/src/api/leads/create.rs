//! `POST /api/leads`: somebody has left their address.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use tidings_core::id::LeadId;
use tidings_core::lead::{Captured, Lead, LeadStatus};
use tidings_store::{Change, ChangeKey, WriteError, leads};

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
    let publication = capture::publication(&app, capture::event(&app, &lead, now), true, None, now);
    let change = Change {
        key: key.map(|key| ChangeKey { tenant: caller.tenant, key, ids: vec![id.as_i64()] }),
        statements: vec![leads::insert(&lead)],
        publications: vec![publication],
        ..Change::default()
    };
    let committed = app.store.change(change).await.map_err(|error| match error {
        WriteError::Conflict => Problem::conflict("lead_exists", "there is a lead of this name"),
        error => error.into(),
    })?;
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
