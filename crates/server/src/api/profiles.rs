//! `GET /api/profiles`: what webhooks may name as their profile.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tidings_core::retry::RetryPolicy;
use tidings_wire::profile::Profile;

use super::App;
use super::auth::{Caller, Scope};
use super::envelope::{self, Envelope};
use super::page::ListQuery;
use super::problem::Result;
use super::webhooks::view::RetryView;
use crate::profiles::Known;

/// What a kind of receiver expects on the wire, and how it is treated by default.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProfileView {
    #[schema(example = "standard")]
    pub name: String,
    /// Whether it is one of the configuration. The others come with Tidings.
    pub own: bool,
    /// The shape of the body.
    #[schema(example = "standard")]
    pub body: &'static str,
    /// What the webhook's `events` must be of, as `job.*`; null: anything.
    pub events: Option<String>,
    pub user_agent: String,
    /// The names of its headers, without that of the signature.
    pub headers: Vec<String>,
    /// Where the signature goes; null: requests are not signed.
    pub signature_header: Option<String>,
    pub timeout_ms: u64,
    /// After so long a delivery is not wanted any more; null: it is.
    pub expires_after_ms: Option<u64>,
    pub retry_config: RetryView,
    #[serde(flatten)]
    pub preview: RetryPreview,
}

/// When attempts are made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RetryPreview {
    /// When each attempt is made if all of them fail, in milliseconds from the first. With jitter: at
    /// the earliest.
    pub retry_preview_ms: Vec<i64>,
    /// The same at the latest; left out without jitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_preview_latest_ms: Option<Vec<i64>>,
}

impl RetryPreview {
    /// Of a policy, up to the moment when the profile's deliveries expire.
    #[must_use]
    pub fn of(policy: &RetryPolicy, profile: &Profile) -> Self {
        let in_time = |mut moments: Vec<i64>| {
            let expire = profile.expires_after_ms.and_then(|ms| i64::try_from(ms).ok());
            moments.retain(|at| expire.is_none_or(|expire| *at < expire));
            moments
        };
        Self {
            retry_preview_ms: in_time(policy.attempts_at_ms()),
            retry_preview_latest_ms: policy.jitter.then(|| in_time(policy.attempts_latest_at_ms())),
        }
    }
}

impl From<&Known> for ProfileView {
    fn from(known: &Known) -> Self {
        let profile = &known.profile;
        let policy = RetryPolicy::from(&profile.retry);
        Self {
            name: profile.name.clone(),
            own: known.path.is_some(),
            body: profile.body.name(),
            events: profile.events.as_ref().map(|kind| format!("{kind}*")),
            user_agent: profile.user_agent.clone(),
            headers: profile.headers.iter().map(|rule| rule.name.clone()).collect(),
            signature_header: profile.signature.as_ref().map(|rule| rule.header.clone()),
            timeout_ms: profile.timeout_ms,
            expires_after_ms: profile.expires_after_ms,
            retry_config: (&policy).into(),
            preview: RetryPreview::of(&policy, profile),
        }
    }
}

/// List the profiles.
///
/// Those that come with Tidings first, then those of the configuration.
#[utoipa::path(
    get, path = "/api/profiles", tag = "webhooks", operation_id = "list_profiles",
    responses((status = 200, body = Envelope<Vec<ProfileView>>))
)]
pub async fn list_profiles(
    State(app): State<Arc<App>>,
    caller: Caller,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.exactly(&[])?;
    let views: Vec<ProfileView> =
        app.registry.profiles().all().into_iter().map(ProfileView::from).collect();
    Ok(envelope::answer(StatusCode::OK, views, app.clock.now()))
}
