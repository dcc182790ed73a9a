//! `make`: a custom webhook of Make.
//!
//! Source: <https://help.make.com/webhooks>. The first request teaches the scenario its structure, so
//! every member comes every time, null when it is not known; objects and lists are fine. It answers 200
//! `Accepted`, 429 above some 30 requests a second, 400 when its queue is full.

use super::json::Object;
use super::{Address, Call, Definition, EVENT_TYPE, Handoff, no_objection};
use crate::time::Rfc3339;

pub(super) const DEFINITION: Definition = Definition {
    name: "make",
    address: Address::Webhook,
    needs_email: false,
    options: &[],
    calls,
    learn: None,
    objection: no_objection,
    wait_s: None,
};

fn calls(handoff: &Handoff<'_>) -> Vec<Call> {
    vec![Call::to_webhook(handoff.url, body(handoff))]
}

/// Everything, every time.
pub(super) fn body(handoff: &Handoff<'_>) -> String {
    let (captured, lead) = (handoff.captured, &handoff.captured.lead);
    Object::new()
        .text("event", EVENT_TYPE)
        .text("event_id", handoff.occasion.event_id)
        .text("timestamp", &Rfc3339::new(handoff.occasion.timestamp_ms))
        .text("lead_id", &captured.lead_id)
        .nullable("campaign", captured.campaign.as_deref())
        .nullable("email", lead.email.as_deref())
        .nullable("name", lead.name.as_deref())
        .nullable("first_name", lead.first_name.as_deref())
        .nullable("last_name", lead.last_name.as_deref())
        .nullable("phone", lead.phone.as_deref())
        .nullable("company", lead.company.as_deref())
        .texts("tags", &lead.tags)
        .object("fields", Object::of(&lead.fields))
        .object("source", Object::of(&lead.source))
        .finish()
}
