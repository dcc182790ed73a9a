//! `/livez`, `/readyz`, `/healthz`, `/metrics`: for operators and their tools.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use super::App;
use super::problem::{Problem, Result};

/// The process lives.
#[utoipa::path(get, path = "/livez", tag = "operations", operation_id = "livez",
    responses((status = 200, description = "It lives")))]
pub async fn livez() -> &'static str {
    "ok\n"
}

/// It can take requests: the store answers and no stop has begun.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "readyz",
    responses((status = 200, description = "Ready"), (status = 503, description = "Not ready")))]
pub async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str> {
    if *app.stopping.borrow() {
        return Err(Problem::unavailable("stopping", "the server is stopping", 1));
    }
    app.store.tenants().await?;
    Ok("ok\n")
}

/// The same as `/readyz`.
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "healthz",
    responses((status = 200, description = "Ready"), (status = 503, description = "Not ready")))]
pub async fn healthz(state: State<Arc<App>>) -> Result<&'static str> {
    readyz(state).await
}

/// Figures in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "operations", operation_id = "metrics",
    responses((status = 200, description = "Prometheus text", content_type = "text/plain")))]
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let connections = app.store.connections();
    let (listeners, nodes) = (app.live.listeners(), app.parts.membership.figures());
    let text = app.metrics.render(&app.engine.borrow(), listeners, connections, nodes);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
