//! `zapier`: a catch hook of Webhooks by Zapier.
//!
//! Source: <https://help.zapier.com/hc/en-us/articles/8496288690317>, "Trigger Zaps from webhooks". Any
//! JSON is taken, and nested members are flattened; so this is flat from the start, with a field for
//! everything in every request, for a Zap is built by clicking on the fields of a sample. Texts that are
//! not known are empty, tags are one text. It answers 200 even while the Zap is off. More than 10,000 in
//! 5 minutes are answered with 429.

use super::json::Object;
use super::{Address, Call, Definition, EVENT_TYPE, Handoff, Scalar, no_objection};
use crate::time::Rfc3339;

pub(super) const DEFINITION: Definition = Definition {
    name: "zapier",
    address: Address::Webhook,
    needs_email: false,
    options: &[],
    calls,
    learn: None,
    objection: no_objection,
    wait_s: None,
};

fn calls(handoff: &Handoff<'_>) -> Vec<Call> {
    let (captured, lead) = (handoff.captured, &handoff.captured.lead);
    let text = |known: &'_ Option<String>| known.clone().unwrap_or_default();
    let mut object = Object::new()
        .text("event", EVENT_TYPE)
        .text("event_id", handoff.occasion.event_id)
        .text("timestamp", &Rfc3339::new(handoff.occasion.timestamp_ms))
        .text("lead_id", &captured.lead_id)
        .text("campaign", &text(&captured.campaign))
        .text("email", &text(&lead.email))
        .text("name", &text(&lead.name))
        .text("first_name", &text(&lead.first_name))
        .text("last_name", &text(&lead.last_name))
        .text("phone", &text(&lead.phone))
        .text("company", &text(&lead.company))
        .text("tags", &lead.tags.join(","));
    let prefixed = |prefix: &'static str,
                    entries: &'_ [(String, Scalar)]|
     -> Vec<(String, Scalar)> {
        entries.iter().map(|(name, value)| (format!("{prefix}_{name}"), value.clone())).collect()
    };
    for (name, value) in
        prefixed("field", &lead.fields).iter().chain(&prefixed("source", &lead.source))
    {
        object = object.json(name, value.as_json());
    }
    vec![Call::to_webhook(handoff.url, object.finish())]
}
