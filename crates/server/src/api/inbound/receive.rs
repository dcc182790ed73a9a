//! `POST /webhooks/{source}`: verify, know again, commit, answer.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tidings_core::event::Event;
use tidings_core::inbound::{Kind, event_type};
use tidings_core::time::Timestamp;
use tidings_store::history::inbound::{Mark, ReceivedRecord};
use tidings_wire::verify::Scheme;

use super::clipping;
use crate::api::App;
use crate::api::body::read_body;
use crate::api::envelope;
use crate::api::path::PathText;
use crate::api::problem::{Problem, ProblemBody, Result};
use crate::config::Source;
use crate::sources;
use crate::sources::inbound::Received;

/// The answer to what is received.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Receipt {
    /// Always true. What was received before is answered the same, and has no effect.
    received: bool,
}

/// Receive a webhook of one of the configured sources.
///
/// No key is needed: the signature is the key. The body becomes an event of the source's tenant, of the
/// type `<source>.<what its sender calls it>`, with the bytes of the body as its data. With a source of the
/// kind `clipping` the job that it reports on follows, in the same transaction. The answer comes when it is
/// committed and synced.
#[utoipa::path(
    post, path = "/webhooks/{source}", tag = "live", operation_id = "receive",
    params(("source" = String, Path, description = "The name of a configured source")),
    request_body(content = serde_json::Value, description = "Whatever its sender sends: JSON", content_type = "application/json"),
    responses(
        (status = 200, body = Receipt),
        (status = 401, description = "The signature is not right, or too old"),
        (status = 422, body = ProblemBody, description = "A report of the kind `clipping` with wrong fields: `errors` points to each"),
        (status = 503, description = "Too much waits to be written; see Retry-After"),
    )
)]
pub async fn receive(
    State(app): State<Arc<App>>,
    PathText(name): PathText,
    request: Request,
) -> Result<Response> {
    let source = app.settings.inbound.iter().find(|source| source.name == name);
    let source = source
        .filter(|source| app.keyring.has_tenant(source.tenant))
        .ok_or_else(|| Problem::not_found("the source was"))?;
    let (head, body) = request.into_parts();
    let body = read_body(&head.headers, body, source.body_bytes_max).await?;
    let now = app.clock.now();
    let mark = verify(source, &head.headers, &body, now)?;
    if !app.store.was_received(source.tenant, &source.name, &mark).await? {
        let received = understand(&app, source, &head.headers, body, mark, now)?;
        match source.kind {
            Kind::Event => sources::inbound::take(&app.parts, &received).await?,
            Kind::Clipping => {
                let cdn = app.settings.media_cdn_domain.as_deref();
                let report = clipping::read(&received.event.data, cdn)?;
                sources::clipping::take(&app.parts, &app.turns, &received, &report).await?;
            }
        }
    }
    Ok(envelope::json(StatusCode::OK, &Receipt { received: true }))
}

/// What it is known again by, once its signature is found to be right.
fn verify(source: &Source, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Mark> {
    let verified = source.verifier.verify(headers, body, now.as_secs()).map_err(|refused| {
        tracing::warn!(source = source.name, why = %refused.why, "a webhook was not verified");
        Problem::new(StatusCode::UNAUTHORIZED, "not_verified", "not verified")
    })?;
    let name = verified.id.map(str::to_owned);
    // A signed id names it for sure. Any other can be changed by whoever recorded it; its bytes cannot.
    let is_named = name.is_some() && matches!(source.scheme, Scheme::Standard | Scheme::Svix);
    let hash = (!is_named).then(|| Sha256::digest(body).to_vec());
    Ok(Mark { name, hash })
}

/// It as an event, and the note that it was received.
fn understand(
    app: &App,
    source: &Source,
    headers: &HeaderMap,
    body: Bytes,
    mark: Mark,
    now: Timestamp,
) -> Result<Received> {
    let json: serde_json::Value = serde_json::from_slice(&body).map_err(|error| {
        let detail = format!("the body is not valid JSON: {error}");
        Problem::bad_request("invalid_json", detail)
    })?;
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let event_type = event_type(&source.name, source.type_place.find(header, &json));
    let event = Arc::new(Event {
        id: app.ids.next(now),
        tenant: source.tenant,
        client_id: None,
        event_type: event_type.as_str().into(),
        timestamp: now,
        ordering_key: None,
        deliver_at: None,
        expires_at: None,
        data: body,
    });
    let record = ReceivedRecord {
        id: app.ids.next(now),
        tenant: source.tenant,
        source: source.name.clone(),
        mark,
        event_type,
        event: event.id,
    };
    Ok(Received { record, event })
}
