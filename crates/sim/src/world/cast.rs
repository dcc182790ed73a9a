//! Who takes part: webhooks with their receivers, and what an attempt leaves behind.

use std::sync::Arc;

use tidings_core::delivery::Owed;
use tidings_core::direct::Direct;
use tidings_core::dispatch::WebhookSettings;
use tidings_core::id::WebhookId;
use tidings_core::retry::{RetryPolicy, Strategy};
use tidings_core::settlement::Attempt;
use tidings_core::time::{MINUTE_MS, SECOND_MS, Timestamp};
use tidings_core::verdict::{Met, Rules};
use tidings_core::webhook::Webhook;
use tidings_store::catalogue::tenants::DEFAULT;
use tidings_wire::profile::Profile;

use crate::random::Random;
use crate::receiver::Manner;

/// A webhook, or an origin without one, with its receiver.
pub(super) struct Hook {
    pub(super) webhook: Webhook,
    pub(super) manner: Manner,
    pub(super) settings: WebhookSettings,
    pub(super) gone: bool,
    /// Of an origin that deliveries go to directly.
    pub(super) direct: Option<Arc<Direct>>,
}

pub(super) fn draw_webhook(random: &mut Random, id: WebhookId, now: Timestamp) -> Webhook {
    let strategies = [Strategy::Exponential, Strategy::Linear, Strategy::Fixed];
    let policy = RetryPolicy {
        max_attempts: random.between(1, 8) as u16,
        strategy: *random.pick(&strategies),
        initial_delay_ms: random.between(100, 20 * SECOND_MS),
        backoff_multiplier: 2.0,
        max_delay_ms: random.between(SECOND_MS, 30 * MINUTE_MS),
        jitter: random.once_in(2),
        schedule_ms: Vec::new(),
    };
    Webhook {
        url: "https://example.com/".into(),
        events: vec!["*".parse().expect("a pattern")],
        retry: Some(policy),
        max_concurrency: Some(random.between(1, 8) as u32),
        ordered: random.once_in(3),
        ..Webhook::new(id, DEFAULT, "standard", now)
    }
}

pub(super) fn settings_of(webhook: &Webhook) -> WebhookSettings {
    let profile = Profile::builtin("standard").expect("it is built in");
    let policy = webhook.retry.clone().expect("it was drawn");
    let rules = Rules::new(policy, profile);
    WebhookSettings {
        id: webhook.id,
        revision: webhook.revision,
        paused: false,
        ordered: webhook.ordered,
        concurrency: webhook.max_concurrency.unwrap_or(1),
        rate_limit: None,
        rules: Arc::new(rules),
        health: None,
    }
}

pub(super) fn attempt_of(owed: &Owed, now: Timestamp, takes: i64, met: Met) -> Attempt {
    let (status, error) = match met {
        Met::Status { code, .. } if code < 300 => (Some(code), String::new()),
        Met::Status { code, .. } => (Some(code), format!("HTTP {code}")),
        Met::Rejected => (Some(200), "not taken".to_owned()),
        Met::Failed(kind) => (None, format!("{kind:?}")),
    };
    Attempt {
        number: owed.attempts + 1,
        started_at: now,
        duration_ms: u32::try_from(takes).unwrap_or(u32::MAX),
        revision: 1,
        signature: String::new(),
        response_status: status,
        response_headers: String::new(),
        response_body: String::new(),
        error,
        error_type: "http",
    }
}
