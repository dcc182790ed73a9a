//! `convertkit`: the API of Kit (formerly ConvertKit), version 4, at `https://api.kit.com`.
//!
//! Source: <https://developers.kit.com/api-reference/subscribers/create-a-subscriber>,
//! <https://developers.kit.com/api-reference/forms/add-subscriber-to-form-by-email-address>,
//! <https://developers.kit.com/api-reference/tags/tag-a-subscriber-by-email-address>. The first call is
//! an upsert by e-mail address; form and tag take subscribers that exist, and answer 200 to one that they
//! have already. Custom fields that the account does not have are ignored. `state` is left out: a new
//! subscriber is active anyway, and one who left stays away.

use super::json::Object;
use super::{Address, Call, Definition, Handoff, no_objection};

pub(super) const DEFINITION: Definition = Definition {
    name: "convertkit",
    address: Address::Api,
    needs_email: true,
    options: &[("api_key", true), ("form_id", false), ("tag_id", false), ("fields", false)],
    calls,
    learn: None,
    objection: no_objection,
    wait_s: None,
};

fn calls(handoff: &Handoff<'_>) -> Vec<Call> {
    let (lead, options) = (&handoff.captured.lead, handoff.options);
    let mut fields = Object::new().known("last_name", lead.last_name.as_deref());
    for (ours, theirs) in options.fields.iter().filter(|(_, theirs)| theirs != "last_name") {
        fields = fields.known(theirs, lead.value(ours).as_deref());
    }
    let subscriber = Object::new()
        .text("email_address", handoff.email())
        .known("first_name", lead.first_name.as_deref())
        .object("fields", fields);
    let address = || Object::new().text("email_address", handoff.email());
    let mut calls = vec![post(handoff, "subscribers", subscriber)];
    for (kind, id) in [("forms", &options.form_id), ("tags", &options.tag_id)] {
        if let Some(id) = id {
            calls.push(post(handoff, &format!("{kind}/{id}/subscribers"), address()));
        }
    }
    calls
}

fn post(handoff: &Handoff<'_>, path: &str, body: Object) -> Call {
    let key = handoff.options.api_key.clone().unwrap_or_default();
    let url = format!("{}/v4/{path}", handoff.origin());
    Call::to_api(url, ("X-Kit-Api-Key", key), body.finish())
}
