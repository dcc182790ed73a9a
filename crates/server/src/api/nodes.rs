//! `GET /api/nodes`: who runs on the database, and who owns how much of the sending. For admin keys.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tidings_store::nodes::NodeRecord;

use super::App;
use super::auth::Caller;
use super::envelope;
use super::problem::Result;

/// A node.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct NodeView {
    /// Part of the ids that it makes.
    pub id: u16,
    /// That of its data directory.
    #[schema(example = "9f86d081884c7d65")]
    pub name: String,
    /// The one that answers.
    pub this: bool,
    /// Its lease runs; else it has stopped, or others have taken over what it had.
    pub live: bool,
    /// Of 256: what it sends is what webhooks in these are owed.
    pub shards: u32,
    /// It takes a share of the shards; else it only serves the API.
    pub owns: bool,
    /// Unix milliseconds by the database's clock; 0: it has stopped in order.
    pub heartbeat_at: i64,
}

/// The nodes on this database, and the shards that each owns. With the embedded store there are none.
#[utoipa::path(
    get, path = "/api/nodes", tag = "administration", operation_id = "list_nodes",
    responses((status = 200, body = envelope::ListEnvelope<NodeView>))
)]
pub async fn list_nodes(State(app): State<Arc<App>>, caller: Caller) -> Result<Response> {
    caller.require_admin()?;
    let this = app.store.node();
    let view = |NodeRecord { id, name, heartbeat, is_live, shards, owns }| NodeView {
        this: id == this,
        live: is_live,
        heartbeat_at: heartbeat.as_millis(),
        id,
        name,
        shards,
        owns,
    };
    let views: Vec<NodeView> = app.store.nodes().await?.into_iter().map(view).collect();
    Ok(envelope::list(views, None, app.clock.now()))
}
