//! `n8n`: a webhook node of n8n.
//!
//! Source: <https://docs.n8n.io/integrations/builtin/core-nodes/n8n-nodes-base.webhook/>. Any JSON is
//! taken and handed on as `body`. Workflows read it by expressions (`$json.body.email`), which fail on
//! members that are not there: so it gets the body of `make`, with everything in it. A workflow that is
//! not active answers 404, which ends a delivery.

use super::{Address, Call, Definition, Handoff, make, no_objection};

pub(super) const DEFINITION: Definition = Definition {
    name: "n8n",
    address: Address::Webhook,
    needs_email: false,
    options: &[],
    calls,
    learn: None,
    objection: no_objection,
    wait_s: None,
};

fn calls(handoff: &Handoff<'_>) -> Vec<Call> {
    vec![Call::to_webhook(handoff.url, make::body(handoff))]
}
