//! `raw`: the plain form, for a receiver of one's own.
//!
//! `{"event","timestamp","lead":{"id",…},"campaign"}`: what is not known of the lead is left out, the
//! campaign is null when there is none. It is also the body of a registered webhook with the profile
//! `lead`.

use super::json::Object;
use super::{Address, Call, Definition, EVENT_TYPE, Handoff, no_objection};
use crate::time::Rfc3339;

pub(super) const DEFINITION: Definition = Definition {
    name: "raw",
    address: Address::Webhook,
    needs_email: false,
    options: &[],
    calls,
    learn: None,
    objection: no_objection,
    wait_s: None,
};

fn calls(handoff: &Handoff<'_>) -> Vec<Call> {
    let captured = handoff.captured;
    let body = Object::new()
        .text("event", EVENT_TYPE)
        .text("timestamp", &Rfc3339::new(handoff.occasion.timestamp_ms))
        .object("lead", captured.lead_with_id())
        .nullable("campaign", captured.campaign.as_deref());
    vec![Call::to_webhook(handoff.url, body.finish())]
}
