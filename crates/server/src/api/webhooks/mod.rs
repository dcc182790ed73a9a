//! `/api/webhooks`: register, read, change, test, watch.
//!
//! [`fields`] reads bodies, [`write`] commits changes and makes them known, [`view`] is what answers
//! show. Every other file is one operation.

pub mod create;
pub mod delete;
pub mod deliveries;
pub(crate) mod fields;
pub mod get;
pub mod health;
pub mod list;
pub mod patch;
pub mod pause;
pub mod resume;
pub mod rotate_secret;
pub mod secret;
pub mod stats;
pub mod test;
pub mod update;
pub mod view;
pub mod write;

use std::sync::Arc;

use tidings_core::id::{TenantId, WebhookId};

use super::App;
use super::problem::Result;
use crate::registry::Outgoing;

/// The id in a path; a text that is none leads to no webhook.
fn parse_id(text: &str) -> Result<WebhookId> {
    text.parse().map_err(|_| write::no_such_webhook())
}

/// The tenant's webhook in a path.
pub(super) async fn find(app: &App, tenant: TenantId, text: &str) -> Result<Arc<Outgoing>> {
    look_up(app, tenant, parse_id(text)?).await
}

/// A webhook of the tenant, also one that another node has registered just now.
async fn look_up(app: &App, tenant: TenantId, id: WebhookId) -> Result<Arc<Outgoing>> {
    if let Some(known) = app.registry.webhook(tenant, id) {
        return Ok(known);
    }
    app.parts.catch_up().await?;
    app.registry.webhook(tenant, id).ok_or_else(write::no_such_webhook)
}
