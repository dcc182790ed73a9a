//! `activecampaign`: the API of ActiveCampaign, version 3, at `https://<account>.api-us1.com`.
//!
//! Source: <https://developers.activecampaign.com/reference/sync-a-contacts-data>,
//! <https://developers.activecampaign.com/reference/update-list-status-for-contact>,
//! <https://developers.activecampaign.com/reference/create-contact-tag>. The first call is an upsert by
//! e-mail address and answers with the contact's id, which list and tag need. Custom fields and tags go by
//! their ids. More than 5 requests a second are answered with 429.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::Object;
use super::{Address, Call, Definition, Handoff, no_objection};

pub(super) const DEFINITION: Definition = Definition {
    name: "activecampaign",
    address: Address::Api,
    needs_email: true,
    options: &[("api_key", true), ("list_id", false), ("tag_id", false), ("fields", false)],
    calls,
    learn: Some(contact_id),
    objection: no_objection,
    wait_s: None,
};

fn calls(handoff: &Handoff<'_>) -> Vec<Call> {
    let (lead, options) = (&handoff.captured.lead, handoff.options);
    let values = options.fields.iter().filter_map(|(ours, id)| {
        let value = lead.value(ours)?;
        Some(Object::new().text("field", id).text("value", &value))
    });
    let contact = Object::new()
        .text("email", handoff.email())
        .known("firstName", lead.first_name.as_deref())
        .known("lastName", lead.last_name.as_deref())
        .known("phone", lead.phone.as_deref())
        .objects("fieldValues", values);
    let mut calls = vec![post(handoff, "contact/sync", Object::new().object("contact", contact))];
    if let Some(list) = &options.list_id {
        // Status 1: subscribed.
        let joined = Object::new().text("list", list).text("contact", &handoff.learned);
        let joined = joined.json("status", "1");
        calls.push(post(handoff, "contactLists", Object::new().object("contactList", joined)));
    }
    if let Some(tag) = &options.tag_id {
        let tagged = Object::new().text("contact", &handoff.learned).text("tag", tag);
        calls.push(post(handoff, "contactTags", Object::new().object("contactTag", tagged)));
    }
    calls
}

fn post(handoff: &Handoff<'_>, path: &str, body: Object) -> Call {
    let key = handoff.options.api_key.clone().unwrap_or_default();
    let url = format!("{}/api/3/{path}", handoff.origin());
    Call::to_api(url, ("Api-Token", key), body.finish())
}

/// `{"contact":{"id":"1",…},…}`; the id is a text of digits or a number.
fn contact_id(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        contact: Contact<'a>,
    }
    #[derive(Deserialize)]
    struct Contact<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
    let id = answer.contact.id.get().trim_matches('"');
    let is_id = (1..=18).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
    is_id.then(|| id.to_owned())
}
