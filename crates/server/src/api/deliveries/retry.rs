//! `POST /api/deliveries/{id}/retry`: one more attempt, by hand.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tidings_core::id::{DeliveryId, kind};
use tidings_store::Control;
use tidings_store::history::deliveries::DeliveryRecord;

use super::get::find;
use super::view::DeliveryView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::no_fields::NoFields;
use crate::api::path::PathId;
use crate::api::problem::{Problem, Result};

/// A delivery that was queued again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Queued {
    #[schema(example = "Delivery queued for retry")]
    message: &'static str,
    delivery: DeliveryView,
}

/// Retry a delivery that has ended: one more attempt, now. Its attempts so far stay counted.
#[utoipa::path(
    post, path = "/api/deliveries/{id}/retry", tag = "deliveries", operation_id = "retry_delivery",
    params(("id" = String, Path, description = "The delivery's id")),
    responses(
        (status = 202, body = envelope::Envelope<Queued>),
        (status = 409, description = "It is still pending, or its webhook is gone or inactive"),
    )
)]
pub async fn retry_delivery(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<kind::Delivery>,
    _: NoFields,
) -> Result<Response> {
    retry(&app, &caller, id).await
}

/// The same as `POST /api/deliveries/{id}/retry`.
#[utoipa::path(
    post, path = "/api/webhooks/deliveries/{id}/retry", tag = "deliveries",
    operation_id = "retry_webhook_delivery",
    params(("id" = String, Path, description = "The delivery's id")),
    responses(
        (status = 202, body = envelope::Envelope<Queued>),
        (status = 409, description = "It is still pending, or its webhook is gone or inactive"),
    )
)]
pub async fn retry_webhook_delivery(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<kind::Delivery>,
    _: NoFields,
) -> Result<Response> {
    retry(&app, &caller, id).await
}

/// The attempts of the policy under which a delivery is sent again. `None`: its webhook is gone or
/// inactive, so it would end again at once, without an attempt.
pub(super) fn attempts_given(app: &App, record: &DeliveryRecord) -> Option<u16> {
    if let Some(direct) = &record.direct {
        return Some(direct.retry.max_attempts);
    }
    let outgoing = app.registry.webhook(record.tenant, record.webhook)?;
    outgoing.webhook.active.then_some(outgoing.rules.policy.max_attempts)
}

async fn retry(app: &App, caller: &Caller, delivery: DeliveryId) -> Result<Response> {
    caller.require(Scope::DeliveriesWrite)?;
    let tenant = caller.tenant;
    let record = find(app, tenant, delivery).await?;
    if attempts_given(app, &record).is_none() {
        let detail = "its webhook is gone or inactive";
        return Err(Problem::conflict("webhook_inactive", detail));
    }
    app.store.control(Control::RetryNow { tenant, delivery, more: 1 }).await?;
    let record = find(app, tenant, delivery).await?;
    let data = Queued {
        message: "Delivery queued for retry",
        delivery: DeliveryView::in_full(&record, app),
    };
    Ok(envelope::answer(StatusCode::ACCEPTED, data, app.clock.now()))
}
