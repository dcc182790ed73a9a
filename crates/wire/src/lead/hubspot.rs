//! `hubspot`: contacts of HubSpot's CRM, at `https://api.hubapi.com`.
//!
//! Source:
//! <https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/batch/upsert-contacts>.
//! A batch of one, since only batches are upserts by e-mail address. A property that the account does not
//! have fails the call, so only the standard ones are sent, and what `fields` names. A batch that could
//! not be done in full answers 207 with `errors`, and of one contact the errors are all there is.

use super::json::Object;
use super::{Address, Call, Definition, Handoff};

pub(super) const DEFINITION: Definition = Definition {
    name: "hubspot",
    address: Address::Api,
    needs_email: true,
    options: &[("api_key", true), ("fields", false)],
    calls,
    learn: None,
    objection: |status, _| (status == 207).then_some("207: the contact was not accepted"),
    wait_s: None,
};

const STANDARD: [&str; 5] = ["email", "firstname", "lastname", "phone", "company"];

fn calls(handoff: &Handoff<'_>) -> Vec<Call> {
    let lead = &handoff.captured.lead;
    let mut properties = Object::new()
        .text("email", handoff.email())
        .known("firstname", lead.first_name.as_deref())
        .known("lastname", lead.last_name.as_deref())
        .known("phone", lead.phone.as_deref())
        .known("company", lead.company.as_deref());
    let mapped = handoff.options.fields.iter();
    for (ours, theirs) in mapped.filter(|(_, theirs)| !STANDARD.contains(&theirs.as_str())) {
        properties = properties.known(theirs, lead.value(ours).as_deref());
    }
    let contact = Object::new()
        .text("idProperty", "email")
        .text("id", handoff.email())
        .object("properties", properties);
    let key = handoff.options.api_key.as_deref().unwrap_or_default();
    let url = format!("{}/crm/objects/2026-03/contacts/batch/upsert", handoff.origin());
    let body = Object::new().objects("inputs", [contact]).finish();
    vec![Call::to_api(url, ("Authorization", format!("Bearer {key}")), body)]
}
