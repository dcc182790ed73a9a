//! The outermost layer: gives each request an id, writes problems, counts answers, survives panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode};

use super::App;
use super::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A request id that a client brings is kept up to this length, bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// See the module's documentation.
pub async fn outer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let id = request_id(&request, &app.requests);
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let text = id.to_str().unwrap_or_default();
        if problem.status.is_server_error() {
            tracing::warn!(request_id = text, %problem, "request failed");
        }
        response = problem.render(text);
    }
    app.metrics.answered(response.status().as_u16());
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The client's request id when it is a short printable one, else a new one.
fn request_id(request: &Request, requests: &AtomicU64) -> HeaderValue {
    let theirs = request.headers().get(&REQUEST_ID);
    match theirs.filter(|id| id.len() <= REQUEST_ID_BYTES_MAX && id.to_str().is_ok()) {
        Some(id) => id.clone(),
        None => HeaderValue::from(requests.fetch_add(1, Ordering::Relaxed)),
    }
}

/// 404 for paths that lead nowhere.
pub async fn no_such_path() -> Problem {
    Problem::not_found("this path was")
}

/// 405 for paths that lead somewhere in another way.
pub async fn no_such_method() -> Problem {
    let detail = "this path does not take this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
