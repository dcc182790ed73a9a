//! The extractors, without a socket: what a handler gets, and what it can see of a refusal.

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use http::{Request, StatusCode};
use tidings_wire::extract::{Receiver, Rejection, VerifiedBytes, VerifiedJson};
use tidings_wire::sign::{MacKey, hmac_hex};
use tidings_wire::verify::{Scheme, Verifier, Why};
use tower::ServiceExt as _;

fn request(body: &'static [u8]) -> Request<Body> {
    let signature = hmac_hex(&MacKey::from_key(b"secret"), "sha256=", body);
    Request::post("/")
        .header("X-Hub-Signature-256", signature)
        .header("X-GitHub-Delivery", "72d3162e")
        .body(Body::from(body))
        .expect("a request")
}

fn receiver() -> Receiver {
    Receiver::new(Verifier::new(Scheme::GitHub, &["secret"]).expect("a secret"), || 0)
}

#[tokio::test]
async fn json_is_read_after_it_was_verified() {
    async fn handle(VerifiedJson { id, value, .. }: VerifiedJson<Vec<u8>>) -> String {
        format!("{} {value:?}", id.unwrap_or_default())
    }
    let app = Router::new().route("/", post(handle)).with_state(receiver());
    let answer = app.clone().oneshot(request(b"[1, 2]")).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let said = axum::body::to_bytes(answer.into_body(), 100).await.expect("a body");
    assert_eq!(said, "72d3162e [1, 2]");
    // Verified, and not what the handler expects; and not verified, whatever it is.
    let answer = app.clone().oneshot(request(b"{}")).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let mut forged = request(b"{}");
    *forged.body_mut() = Body::from("[1, 2]");
    let answer = app.oneshot(forged).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_handler_may_see_why() {
    async fn handle(verified: Result<VerifiedBytes, Rejection>) -> StatusCode {
        match verified {
            Err(Rejection::Refused(refused)) if refused.why == Why::Mismatch => {
                StatusCode::IM_A_TEAPOT
            }
            Err(rejection) => rejection.status(),
            Ok(_) => StatusCode::OK,
        }
    }
    let app = Router::new().route("/", post(handle)).with_state(receiver().limit(3));
    let mut forged = request(b"{}");
    *forged.body_mut() = Body::from("[]");
    for (request, status) in [
        (request(b"[1]"), StatusCode::OK),
        (request(b"[1] "), StatusCode::PAYLOAD_TOO_LARGE),
        (forged, StatusCode::IM_A_TEAPOT),
    ] {
        let answer = app.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), status);
    }
}
