//! `POST /api/webhooks/:id/rotate-secret`: a new secret; the old one signs on for a while.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use tidings_core::limits::{ROTATION_OVERLAP_MS_DEFAULT, ROTATION_OVERLAP_MS_MAX, SECRETS_MAX};
use tidings_core::time::Timestamp;
use tidings_core::webhook::{SigningSecret, Webhook};

use super::secret::{self, ShownSecret};
use super::{parse_id, write};
use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::body::JsonBody;
use crate::api::envelope::{self, Envelope};
use crate::api::form::Form;
use crate::api::path::PathText;
use crate::api::problem::{Problem, ProblemBody, Result};

/// A rotation. Everything may be left out, the body too.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents the body that `rotated` takes apart")]
pub struct Rotation {
    /// The new secret; made up when left out.
    secret: Option<String>,
    /// How long the old one stays valid: 0 to 7 days, default 24 hours. 0 ends all old ones at once.
    #[schema(example = 86_400_000)]
    overlap_ms: Option<u32>,
}

/// The new secret, shown this once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RotatedSecret {
    id: String,
    #[serde(flatten)]
    secret: ShownSecret,
    /// Until then the old secret is valid (Unix milliseconds). Where a request has room for several
    /// signatures both sign; where it has one, the old secret signs. Null: the new one signs alone.
    previous_secret_valid_until: Option<i64>,
    revision: u32,
}

/// Rotate the signing secret.
#[utoipa::path(
    post, path = "/api/webhooks/{id}/rotate-secret", tag = "webhooks", operation_id = "rotate_secret",
    params(("id" = String, Path, description = "wh_…")),
    request_body = Option<Rotation>,
    responses(
        (status = 200, body = Envelope<RotatedSecret>),
        (status = 404, description = "No such webhook"),
        (status = 409, description = "Too many old secrets are still valid"),
        (status = 422, body = ProblemBody),
    )
)]
pub async fn rotate_secret(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathText(id): PathText,
    JsonBody(body): JsonBody,
) -> Result<Response> {
    caller.require(Scope::WebhooksWrite)?;
    let now = app.clock.now();
    let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
    let decide = move |app: &App, current: &Webhook| rotated(app, current, &body, now);
    let outgoing = write::change(Arc::clone(&app), caller.tenant, parse_id(&id)?, decide).await?;
    let webhook = &outgoing.webhook;
    tracing::info!(webhook = %webhook.id, "secret rotated");
    let answer = RotatedSecret {
        id: outgoing.public_id.to_string(),
        secret: ShownSecret::of(webhook, &outgoing.profile),
        previous_secret_valid_until: webhook
            .secrets
            .iter()
            .filter_map(|old| old.valid_until)
            .max()
            .map(Timestamp::as_millis),
        revision: webhook.revision,
    };
    Ok(envelope::answer(StatusCode::OK, answer, now))
}

fn rotated(app: &App, current: &Webhook, body: &[u8], now: Timestamp) -> Result<Webhook> {
    let mut form = Form::parse(body)?;
    let overlap_ms = form.integer("overlap_ms", 0, ROTATION_OVERLAP_MS_MAX).value();
    let given = form.text("secret").value().map(std::borrow::Cow::into_owned);
    let profile = app.registry.profiles().get_or_standard(&current.profile);
    if let Some(text) = &given {
        let is_current = current.secrets.first().is_some_and(|secret| secret.text == *text);
        match secret::check(text, profile) {
            Err(detail) => form.refuse("secret", detail),
            Ok(()) if is_current => form.refuse("secret", "is the current one"),
            Ok(()) => {}
        }
    }
    form.finish()?;
    let text = given.unwrap_or_else(|| secret::generate(profile));
    let until = now + overlap_ms.unwrap_or(ROTATION_OVERLAP_MS_DEFAULT);
    let secrets = succeed(current.secrets.clone(), text, until, now)?;
    Ok(Webhook { secrets, ..current.clone() })
}

/// The secrets with a new one in front: the old ones end at the latest at `until`.
fn succeed(
    mut secrets: Vec<SigningSecret>,
    text: String,
    until: Timestamp,
    now: Timestamp,
) -> Result<Vec<SigningSecret>> {
    secrets.retain(|old| old.text != text);
    for old in &mut secrets {
        old.valid_until = Some(old.valid_until.map_or(until, |end| end.min(until)));
    }
    secret::forget_old(&mut secrets, now);
    if secrets.len() > SECRETS_MAX {
        let detail = format!(
            "{SECRETS_MAX} old secrets are still valid; wait for the first to end, or rotate with \
             overlap_ms 0, which ends them all"
        );
        return Err(Problem::conflict("too_many_secrets", detail));
    }
    secrets.insert(0, SigningSecret { text, valid_until: None });
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(secrets: &[SigningSecret]) -> Vec<(&str, Option<i64>)> {
        secrets.iter().map(|s| (s.text.as_str(), s.valid_until.map(Timestamp::as_millis))).collect()
    }

    #[test]
    fn old_secrets_end_and_a_shorter_overlap_shortens_all() {
        let at = Timestamp::from_millis;
        let one = succeed(Vec::new(), "a".into(), at(1_000), at(0)).expect("room");
        let two = succeed(one, "b".into(), at(1_000), at(0)).expect("room");
        assert_eq!(texts(&two), [("b", None), ("a", Some(1_000))]);
        let three = succeed(two.clone(), "c".into(), at(600), at(500)).expect("room");
        assert_eq!(texts(&three), [("c", None), ("b", Some(600)), ("a", Some(600))]);
        let alone = succeed(three, "d".into(), at(550), at(550)).expect("room");
        assert_eq!(texts(&alone), [("d", None)]);
        let back = succeed(two, "a".into(), at(9_000), at(500)).expect("room");
        assert_eq!(texts(&back), [("a", None), ("b", Some(9_000))]);
    }

    #[test]
    fn only_so_many_old_ones() {
        let at = Timestamp::from_millis;
        let mut secrets = Vec::new();
        for n in 0..=SECRETS_MAX {
            secrets = succeed(secrets, n.to_string(), at(1_000), at(0)).expect("room");
        }
        let error = succeed(secrets.clone(), "x".into(), at(1_000), at(0)).expect_err("full");
        assert_eq!(error.code, "too_many_secrets");
        assert!(succeed(secrets, "x".into(), at(0), at(0)).is_ok());
    }
}
