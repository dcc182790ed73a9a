//! `POST /api/deliveries/{id}/cancel`: it is no longer owed.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tidings_core::id::kind;
use tidings_store::{Control, WriteError};

use super::get::find;
use super::view::DeliveryView;
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::no_fields::NoFields;
use crate::api::path::PathId;
use crate::api::problem::{Problem, Result};

/// Cancel a delivery that is still owed.
///
/// An attempt that is on the network at that moment may still arrive; its outcome changes nothing.
#[utoipa::path(
    post, path = "/api/deliveries/{id}/cancel", tag = "deliveries", operation_id = "cancel_delivery",
    params(("id" = String, Path, description = "The delivery's id")),
    responses(
        (status = 200, body = envelope::Envelope<DeliveryView>),
        (status = 409, description = "It has ended already"),
    )
)]
pub async fn cancel_delivery(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(delivery): PathId<kind::Delivery>,
    _: NoFields,
) -> Result<Response> {
    caller.require(Scope::DeliveriesWrite)?;
    let tenant = caller.tenant;
    match app.store.control(Control::Cancel { tenant, delivery }).await {
        Ok(_) => {}
        Err(WriteError::NotFound) => return Err(Problem::not_found("the delivery was")),
        Err(WriteError::Conflict) => {
            return Err(Problem::conflict("already_ended", "the delivery has ended already"));
        }
        Err(error) => return Err(error.into()),
    }
    let record = find(&app, tenant, delivery).await?;
    let view = DeliveryView::in_full(&record, &app);
    Ok(envelope::answer(StatusCode::OK, view, app.clock.now()))
}
