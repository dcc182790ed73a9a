//! Events by the names that clients know them by: our id, or the one that the publisher gave.

use tidings_core::event::Event;
use tidings_core::id::{EventId, TenantId};

use crate::api::App;
use crate::api::problem::Result;

/// An event of this tenant. Publishers' ids do not have the form of ours, but those of before did.
pub async fn event(app: &App, tenant: TenantId, name: &str) -> Result<Option<Event>> {
    if let Ok(id) = name.parse::<EventId>()
        && let Some(event) = app.store.event_of(tenant, id).await?
    {
        return Ok(Some(event));
    }
    Ok(app.store.event_by_client_id(tenant, name).await?)
}

/// The id of an event of this tenant.
pub async fn event_id(app: &App, tenant: TenantId, name: &str) -> Result<Option<EventId>> {
    Ok(event(app, tenant, name).await?.map(|event| event.id))
}
