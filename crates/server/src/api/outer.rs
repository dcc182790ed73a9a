//! The outermost layer: gives each request an id, writes problems, counts answers, survives panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use tower::Service as _;

use super::App;
use super::problem::{OVERLOADED, Problem};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A request id that a client brings is kept up to this length, bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Answers one request. It stands before the router and not in it, as a layer would: a layer is
/// boxed once for each request, which made up 4 % of a publish.
pub async fn outer(app: Arc<App>, mut router: Router, request: Request<Incoming>) -> Response {
    let id = request_id(request.headers(), &app.requests);
    let mut response = if request.headers().get_all(header::HOST).iter().nth(1).is_some() {
        two_hosts()
    } else {
        let answered = AssertUnwindSafe(router.call(request)).catch_unwind().await;
        answered.map_or_else(|_| panicked(), |Ok(response)| response)
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let text = id.to_str().unwrap_or_default();
        if problem.status.is_server_error() {
            tracing::warn!(request_id = text, %problem, "request failed");
        }
        if problem.code == OVERLOADED {
            app.metrics.commit_refused.increment(1);
        }
        let allowed = response.headers_mut().remove(header::ALLOW);
        response = problem.render(text);
        // RFC 9110, 15.5.6: a 405 says what the path does take.
        response.headers_mut().extend(allowed.map(|methods| (header::ALLOW, methods)));
    }
    app.metrics.answered(response.status().as_u16());
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The client's request id when it is a short printable one, else a new one.
fn request_id(headers: &HeaderMap, requests: &AtomicU64) -> HeaderValue {
    let theirs = headers.get(&REQUEST_ID);
    match theirs.filter(|id| id.len() <= REQUEST_ID_BYTES_MAX && id.to_str().is_ok()) {
        Some(id) => id.clone(),
        None => HeaderValue::from(requests.fetch_add(1, Ordering::Relaxed)),
    }
}

/// RFC 9112, 3.2: 400, for whoever stands in between may have gone by the other one.
fn two_hosts() -> Response {
    let detail = "a request names one host";
    Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail).into_response()
}

/// 500 for a fault of ours; the panic's own message is in the log.
fn panicked() -> Response {
    let detail = "the server met a fault of its own; nothing is known of the request's effect";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail).into_response()
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
