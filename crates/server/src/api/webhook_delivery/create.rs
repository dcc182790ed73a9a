//! `POST /api/webhook-delivery`: hand one lead over to one URL.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tidings_core::direct::Kind;
use tidings_core::id::{DeliveryId, TenantId};
use tidings_core::lead::{Captured, Lead, LeadStatus};
use tidings_core::publication::IdempotencyKey;
use tidings_core::time::Timestamp;
use tidings_store::{Change, ChangeKey, WriteError, leads};

use super::read::{Asked, read};
use super::view::{LeadDeliveryView, show};
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope;
use crate::api::events::publish::count;
use crate::api::idempotency::IdempotencyHeader;
use crate::api::leads::capture;
use crate::api::problem::{Problem, ProblemBody, Result};
use crate::direct;

/// So often it is decided again when the lead changed meanwhile.
const TRIES: usize = 5;

/// A lead and where it goes.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `read` takes apart")]
pub struct NewLeadDelivery {
    /// What you call the lead. One that nobody knows is kept with what is said of it here.
    #[serde(rename = "leadId")]
    #[schema(example = "test-lead-id")]
    lead_id: String,
    /// Of `convertkit`, `mailchimp`, `activecampaign` and `hubspot` the origin: `https://api.kit.com`.
    #[serde(rename = "webhookUrl")]
    #[schema(example = "https://example.com/leads")]
    webhook_url: String,
    /// Signs `raw`, `zapier`, `make` and `n8n`.
    #[serde(rename = "webhookSecret")]
    webhook_secret: Option<String>,
    #[serde(rename = "campaignName")]
    campaign_name: Option<String>,
    /// `raw` (the default), `zapier`, `make`, `n8n`, `convertkit`, `mailchimp`, `activecampaign`, `hubspot`,
    /// `slack` or `discord`.
    format: Option<String>,
    /// Who it is; replaces what was known.
    #[schema(value_type = Object, example = json!({"email": "ada@example.com", "name": "Ada Lovelace"}))]
    lead: Option<serde_json::Value>,
    /// Names and values of further headers; at most 30. They never override ours.
    headers: Option<std::collections::HashMap<String, String>>,
    /// As of a webhook. Without: 4 attempts, at once and after 5, 25 and 125 seconds.
    #[schema(value_type = Object)]
    retry_config: Option<serde_json::Value>,
    /// What the format needs: `api_key`, `list_id`, `form_id`, `tag_id`, `tags`, `fields`,
    /// `double_opt_in`.
    #[schema(value_type = Object)]
    options: Option<serde_json::Value>,
    timeout_ms: Option<u32>,
}

/// The answer: flat, as clients of this route know it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct QueuedLeadDelivery {
    /// Always `success`.
    status: &'static str,
    delivery: LeadDeliveryView,
}

/// Hand a lead over to one URL, in the format of the service behind it.
///
/// 202 means committed and fsynced. What the format requires and does not get is refused here.
#[utoipa::path(
    post, path = "/api/webhook-delivery", tag = "leads", operation_id = "create_webhook_delivery",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body = NewLeadDelivery,
    responses(
        (status = 202, body = QueuedLeadDelivery),
        (status = 409, description = "The key was used for something else"),
        (status = 422, body = ProblemBody),
        (status = 503, description = "Too much waits to be written; see Retry-After"),
    )
)]
pub async fn create_webhook_delivery(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: IdempotencyHeader,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require(Scope::EventsWrite)?;
    let key = idempotency.key("POST /api/webhook-delivery", &body)?;
    let asked = read(&app, &body)?;
    let (id, replayed) = commit(&app, caller.tenant, &asked, key.as_ref()).await?;
    let record = app.store.delivery(caller.tenant, id).await?;
    let record = record.ok_or_else(|| Problem::not_found("the delivery that this key made was"))?;
    let delivery = show(&app, &record).await?;
    let answer = QueuedLeadDelivery { status: "success", delivery };
    let mut response = envelope::json(StatusCode::ACCEPTED, &answer);
    if replayed {
        response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Commits lead, event and delivery; the delivery's id, and whether its key was seen before.
async fn commit(
    app: &App,
    tenant: TenantId,
    asked: &Asked,
    key: Option<&IdempotencyKey>,
) -> Result<(DeliveryId, bool)> {
    for _ in 0..TRIES {
        let (now, planned_at) = (app.clock.now(), app.parts.catalogue.known());
        let known = app.store.lead_named(tenant, &asked.name).await?;
        let (id, change) = decide(app, tenant, asked, known, now)?;
        let ids = vec![id.as_i64()];
        let key = key.map(|key| ChangeKey { tenant, key: key.clone(), ids });
        match app.parts.change_planned(Change { key, ..change }, planned_at).await {
            Ok(committed) => {
                committed.published.iter().for_each(|answer| count(app, &answer.events));
                let first = committed.replayed.and_then(|ids| ids.first().copied());
                let made = first.map(DeliveryId::from_i64);
                return Ok((made.unwrap_or(id), made.is_some()));
            }
            // Somebody else has brought the lead meanwhile, or it has gone.
            Err(WriteError::Conflict | WriteError::Stale) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(WriteError::Conflict.into())
}

/// What is written, out of what is known of the lead.
fn decide(
    app: &App,
    tenant: TenantId,
    asked: &Asked,
    known: Option<Lead>,
    now: Timestamp,
) -> Result<(DeliveryId, Change)> {
    let is_new = known.is_none();
    let lead = lead(app, tenant, asked, known, now);
    let event = capture::event(app, &lead, now);
    let owed = direct::plan(&app.parts, asked.direct(&lead)?, Kind::Lead, &event, now)
        .map_err(|error| Problem::invalid_field("/webhookUrl", error.detail))?;
    let id = owed.id;
    let written = if is_new { leads::insert(&lead) } else { leads::update(&lead) };
    let change = Change {
        statements: vec![written, leads::insert_delivery(&lead, id)],
        publications: vec![capture::publication(app, event, is_new, Some(owed), now)],
        ..Change::default()
    };
    Ok((id, change))
}

/// The lead from now on: what was known, with what the request says over it.
fn lead(app: &App, tenant: TenantId, asked: &Asked, known: Option<Lead>, now: Timestamp) -> Lead {
    let mut lead = known.unwrap_or_else(|| Lead {
        id: app.ids.next(now),
        tenant,
        status: LeadStatus::New,
        captured: Captured {
            lead_id: asked.name.clone(),
            campaign: None,
            lead: tidings_core::lead::Person::default(),
        },
        updated_at: now,
    });
    if let Some(person) = &asked.person {
        lead.captured.lead = person.clone();
    }
    if let Some(campaign) = &asked.campaign {
        lead.captured.campaign = Some(campaign.clone());
    }
    Lead { status: LeadStatus::WebhookPending, updated_at: now, ..lead }
}
