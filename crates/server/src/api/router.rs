//! Every route, on one screen.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{App, events, ops, outer};

/// The whole API.
pub fn router(app: Arc<App>) -> Router {
    let (routes, _openapi) = routes().split_for_parts();
    routes
        .fallback(outer::no_such_path)
        .method_not_allowed_fallback(outer::no_such_method)
        .layer(from_fn_with_state(Arc::clone(&app), outer::outer))
        .with_state(app)
}

fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(events::publish::publish_events))
        .routes(routes!(ops::livez))
        .routes(routes!(ops::readyz))
        .routes(routes!(ops::healthz))
        .routes(routes!(ops::metrics))
}
