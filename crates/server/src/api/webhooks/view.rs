//! A webhook as answers show it: header values masked, no secret.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Number, Value};
use tidings_core::limits::CONCURRENCY_DEFAULT;
use tidings_core::retry::{RetryPolicy, Strategy};
use tidings_core::time::Timestamp;
use tidings_wire::profile::BodyShape;

use crate::api::profiles::RetryPreview;
use crate::registry::Outgoing;

/// A registered URL with what it wants to know and how it wants to be told.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WebhookView {
    #[schema(example = "wh_05n3q0c8g0001")]
    pub id: String,
    #[schema(example = "https://api.example.com/webhooks/jobs")]
    pub url: String,
    /// `job.completed`, `job.*`, `*`.
    pub events: Vec<String>,
    /// Which of these events it really wants.
    #[schema(value_type = Object)]
    pub filters: Value,
    /// Values are masked. A masked value sent back keeps the one that it hides.
    pub headers: BTreeMap<String, String>,
    /// `false`: nothing is planned for it, and what was queued has ended.
    pub active: bool,
    /// Unix milliseconds.
    pub created_at: i64,
    pub updated_at: i64,
    pub name: Option<String>,
    pub profile: String,
    /// `standard`, `raw`, `cloudevents` or `cloudevents-binary`; null: the profile's own.
    pub body: Option<&'static str>,
    /// As it holds: the profile's, but for what was set.
    pub retry_config: RetryView,
    pub rate_limit: Option<RateLimitView>,
    /// Attempts in flight at most.
    pub max_concurrency: u32,
    /// Of one attempt, from the look-up of the name to the end of the answer.
    pub timeout_ms: u64,
    /// Events with one ordering key are delivered one after the other.
    pub ordered: bool,
    /// Between two deliveries of the progress of one job; 0: each is delivered. Null: as the job says.
    pub progress_interval_ms: Option<u32>,
    /// `true`: deliveries are planned and wait.
    pub paused: bool,
    /// Why Tidings set `active` to false: `gone` or `failing`.
    pub disabled_reason: Option<String>,
    /// Since when `active` is false, Unix milliseconds.
    pub inactive_since: Option<i64>,
    /// Counts the changes. Sent back with PUT or PATCH, it must be the current one.
    pub revision: u32,
    #[serde(flatten)]
    pub preview: RetryPreview,
}

/// When and how often a delivery is tried.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RetryView {
    /// In all, the first included.
    pub max_attempts: u16,
    /// `exponential`, `linear`, `fixed` or `schedule`.
    pub strategy: &'static str,
    pub initial_delay_ms: i64,
    #[schema(value_type = f64)]
    pub backoff_multiplier: Value,
    pub max_delay_ms: i64,
    /// Whether each wait is lengthened by up to a fifth.
    pub jitter: bool,
    /// With the strategy `schedule`: the waits after the first, the second, … attempt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schedule_ms: Vec<i64>,
}

/// At most `max` attempts in any `per_ms` milliseconds.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RateLimitView {
    pub max: u32,
    pub per_ms: u32,
}

impl From<&Outgoing> for WebhookView {
    fn from(outgoing: &Outgoing) -> Self {
        let webhook = &outgoing.webhook;
        let policy = &outgoing.rules.policy;
        let filters = serde_json::to_value(&webhook.filters).unwrap_or_default();
        let headers = webhook.masked_headers().into_iter();
        let headers = headers.map(|(name, value)| (name.to_owned(), value));
        Self {
            id: outgoing.public_id.to_string(),
            url: webhook.url.clone(),
            events: webhook.events.iter().map(ToString::to_string).collect(),
            filters: as_written(filters),
            headers: headers.collect(),
            active: webhook.active,
            created_at: webhook.created_at.as_millis(),
            updated_at: webhook.updated_at.as_millis(),
            name: webhook.name.clone(),
            profile: webhook.profile.clone(),
            body: webhook.body.map(BodyShape::name),
            retry_config: policy.into(),
            rate_limit: webhook
                .rate_limit
                .map(|limit| RateLimitView { max: limit.max, per_ms: limit.per_ms }),
            max_concurrency: webhook.max_concurrency.unwrap_or(CONCURRENCY_DEFAULT),
            timeout_ms: outgoing.timeout_ms,
            ordered: webhook.ordered,
            progress_interval_ms: webhook.progress_interval_ms,
            paused: webhook.paused,
            disabled_reason: webhook.disabled_reason.clone(),
            inactive_since: webhook.inactive_since.map(Timestamp::as_millis),
            revision: webhook.revision,
            preview: RetryPreview::of(policy, &outgoing.profile),
        }
    }
}

impl From<&RetryPolicy> for RetryView {
    fn from(policy: &RetryPolicy) -> Self {
        Self {
            max_attempts: policy.max_attempts,
            strategy: match policy.strategy {
                Strategy::Exponential => "exponential",
                Strategy::Linear => "linear",
                Strategy::Fixed => "fixed",
                Strategy::Schedule => "schedule",
            },
            initial_delay_ms: policy.initial_delay_ms,
            backoff_multiplier: as_written(policy.backoff_multiplier.into()),
            max_delay_ms: policy.max_delay_ms,
            jitter: policy.jitter,
            schedule_ms: policy.schedule_ms.clone(),
        }
    }
}

/// Numbers are kept as doubles; whole ones are shown as they were written, `2` and not `2.0`.
fn as_written(json: Value) -> Value {
    match json {
        Value::Number(number) => Value::Number(whole(&number).unwrap_or(number)),
        Value::Array(values) => values.into_iter().map(as_written).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, as_written(value))).collect()
        }
        other => other,
    }
}

fn whole(number: &Number) -> Option<Number> {
    /// Beyond it a double does not hold every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let double = number.as_f64().filter(|_| number.is_f64())?;
    (double.fract() == 0.0 && double.abs() <= EXACT).then(|| Number::from(double as i64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::as_written;

    #[test]
    fn whole_numbers_are_shown_without_a_point() {
        let shown = as_written(json!({"p": [1.0, 2.5, -3.0], "x": {"$gt": 1e300}, "n": 7}));
        assert_eq!(shown.to_string(), r#"{"n":7,"p":[1,2.5,-3],"x":{"$gt":1e+300}}"#);
    }
}
