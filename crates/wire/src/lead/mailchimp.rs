//! `mailchimp`: the Marketing API of Mailchimp, at `https://<dc>.api.mailchimp.com`, where `<dc>` is what
//! follows the `-` in the key.
//!
//! Source: <https://mailchimp.com/developer/marketing/api/list-members/add-or-update-list-member/>,
//! <https://mailchimp.com/developer/marketing/api/list-member-tags/add-or-remove-member-tags/>. A member
//! is named by the MD5 of the lower-cased address, so the PUT is an upsert. `status_if_new` leaves alone
//! who has unsubscribed. Merge fields that the audience requires are not asked for
//! (`skip_merge_validation`), since a lead that lacks one is still a lead. Tags that do not exist are made.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use super::json::Object;
use super::{Address, Call, Definition, Handoff, no_objection};

pub(super) const DEFINITION: Definition = Definition {
    name: "mailchimp",
    address: Address::Api,
    needs_email: true,
    options: &[
        ("api_key", true),
        ("list_id", true),
        ("tags", false),
        ("fields", false),
        ("double_opt_in", false),
    ],
    calls,
    learn: None,
    objection: no_objection,
    wait_s: None,
};

fn calls(handoff: &Handoff<'_>) -> Vec<Call> {
    let (lead, options) = (&handoff.captured.lead, handoff.options);
    let mut merge = Object::new()
        .known("FNAME", lead.first_name.as_deref())
        .known("LNAME", lead.last_name.as_deref());
    for (ours, theirs) in options.fields.iter().filter(|(_, tag)| tag != "FNAME" && tag != "LNAME")
    {
        merge = merge.known(theirs, lead.value(ours).as_deref());
    }
    let status = if options.double_opt_in { "pending" } else { "subscribed" };
    let member = Object::new()
        .text("email_address", handoff.email())
        .text("status_if_new", status)
        .object("merge_fields", merge);
    let path = member_path(handoff);
    let mut put = call(handoff, format!("{path}?skip_merge_validation=true"), member);
    put.method = "PUT";
    let mut calls = vec![put];

    let own = lead.tags.iter();
    let tags: Vec<&String> =
        own.chain(options.tags.iter().filter(|t| !lead.tags.contains(t))).collect();
    if !tags.is_empty() {
        let active = |tag: &String| Object::new().text("name", tag).text("status", "active");
        let body = Object::new().objects("tags", tags.into_iter().map(active));
        calls.push(call(handoff, format!("{path}/tags"), body));
    }
    calls
}

fn member_path(handoff: &Handoff<'_>) -> String {
    let mut hash = Vec::with_capacity(32);
    crate::sign::push_hex(&Md5::digest(handoff.email().to_lowercase()), &mut hash);
    let hash = String::from_utf8(hash).expect("hex is ASCII");
    let list = handoff.options.list_id.as_deref().unwrap_or_default();
    format!("/3.0/lists/{list}/members/{hash}")
}

fn call(handoff: &Handoff<'_>, path: String, body: Object) -> Call {
    let key = handoff.options.api_key.as_deref().unwrap_or_default();
    // The name before the colon may be any.
    let basic = format!("Basic {}", STANDARD.encode(format!("tidings:{key}")));
    let url = format!("{}{path}", handoff.origin());
    Call::to_api(url, ("Authorization", basic), body.finish())
}
