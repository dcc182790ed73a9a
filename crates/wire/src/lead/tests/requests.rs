//! Every request of every format, whole, as it leaves.

use super::*;
use crate::profile::Profile;
use crate::request::{Attempt, DeliveryView};
use crate::secret::Secret;
use crate::sign::Signer;

/// The requests of a hand-off in which every call succeeds with `answer`.
fn sent(format: Format, captured: &Captured, options: &str, answer: &str) -> String {
    let options = Options::read(format, options.as_bytes()).unwrap();
    let mut handoff = Handoff::new(format, captured, &options, url(format), OCCASION).unwrap();
    let mut requests = Vec::new();
    loop {
        requests.push(request(&handoff.call()));
        match handoff.answered(200, answer.as_bytes()) {
            Then::Next => {}
            then => {
                assert_eq!(then, Then::Done);
                return requests.join("\n\n");
            }
        }
    }
}

fn request(call: &Call) -> String {
    let body = crate::canonical::canonicalize(call.body.as_bytes()).unwrap();
    assert_eq!(body, call.body.as_bytes(), "built bodies are canonical");
    let profile = Profile::builtin("lead").unwrap();
    let signers = [Signer::new(&Secret::parse("test-secret").unwrap())];
    let custom = [("X-Own", "1"), ("authorization", "forged"), ("x-webhook-event", "forged")];
    let custom = custom.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers = call.headers(&Attempt {
        profile,
        shape: profile.body,
        delivery: DeliveryView {
            event_type: EVENT_TYPE,
            event_id: "evt_1",
            event_ms: 0,
            webhook_id: "",
            delivery_id: "dlv_1",
            created_ms: 0,
            is_test: false,
        },
        body: call.body.as_bytes(),
        custom: if call.url.contains("mailchimp") { &custom } else { &custom[..1] },
        signers: &signers,
        timestamp_s: 1,
    });
    let mut text = format!("{} {}\n", call.method, call.url);
    for (name, value) in headers.unwrap() {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text + "\n" + &call.body
}

/// The expected text; in it `<version>` stands for ours.
#[track_caller]
fn assert_sent(sent: &str, expected: &str) {
    let expected = expected.trim().replace("<version>", env!("CARGO_PKG_VERSION"));
    assert_eq!(sent, expected, "\n--- sent\n{sent}\n--- expected\n{expected}\n");
}

#[test]
fn raw() {
    let sent = sent(Format::Raw, &captured(ADA), "{}", "");
    assert_sent(&sent, include_str!("raw.txt"));
}

#[test]
fn raw_of_a_lead_that_nobody_knows() {
    let (lead_id, campaign) = ("test-lead-id".to_owned(), Some("Test Campaign".to_owned()));
    let stub = Captured { lead_id, campaign, lead: Lead::default() };
    let sent = sent(Format::Raw, &stub, "{}", "");
    assert_sent(&sent, include_str!("raw_stub.txt"));
}

#[test]
fn zapier() {
    let all = sent(Format::Zapier, &captured(ADA), "{}", "");
    assert_sent(&all, include_str!("zapier.txt"));
    let least = sent(Format::Zapier, &bare(), "{}", "");
    assert!(least.ends_with(
        r#""lead_id":"lead-2","campaign":"","email":"a@b.c","name":"","first_name":"","last_name":"","phone":"","company":"","tags":""}"#
    ));
}

#[test]
fn make_and_n8n() {
    let all = sent(Format::Make, &captured(ADA), "{}", "Accepted");
    assert_sent(&all, include_str!("make.txt"));
    assert_eq!(sent(Format::N8n, &captured(ADA), "{}", ""), all);
    let least = sent(Format::Make, &bare(), "{}", "");
    assert!(least.ends_with(
        r#""campaign":null,"email":"a@b.c","name":null,"first_name":null,"last_name":null,"phone":null,"company":null,"tags":[],"fields":{},"source":{}}"#
    ));
}

#[test]
fn convertkit() {
    let options = r#"{"api_key":"kit_1","form_id":217,"tag_id":"42","fields":{"company":"firm","Size":"size","nobody":"x"}}"#;
    let sent = sent(Format::Convertkit, &captured(ADA), options, "{}");
    assert_sent(&sent, include_str!("convertkit.txt"));
}

#[test]
fn mailchimp() {
    let options = r#"{"api_key":"k-us21","list_id":"abc123","tags":["vip","new"],"fields":{"company":"COMPANY"},"double_opt_in":true}"#;
    let all = sent(Format::Mailchimp, &captured(ADA), options, "{}");
    assert_sent(&all, include_str!("mailchimp.txt"));
    let least = sent(Format::Mailchimp, &bare(), r#"{"api_key":"k","list_id":"1"}"#, "{}");
    assert!(least.ends_with(
        "{\"email_address\":\"a@b.c\",\"status_if_new\":\"subscribed\",\"merge_fields\":{}}"
    ));
}

#[test]
fn activecampaign() {
    let options =
        r#"{"api_key":"k","list_id":2,"tag_id":20,"fields":{"company":"1","nobody":"2"}}"#;
    let answer = r#"{"fieldValues":[],"contact":{"email":"x","id":"113"}}"#;
    let sent = sent(Format::Activecampaign, &captured(ADA), options, answer);
    assert_sent(&sent, include_str!("activecampaign.txt"));
}

#[test]
fn hubspot() {
    let options = r#"{"api_key":"pat-1","fields":{"Size":"team_size","name":"lastname"}}"#;
    let sent = sent(Format::Hubspot, &captured(ADA), options, "{}");
    assert_sent(&sent, include_str!("hubspot.txt"));
}

#[test]
fn slack() {
    let sent = sent(Format::Slack, &captured(ADA), "{}", "ok");
    assert_sent(&sent, include_str!("slack.txt"));
}

#[test]
fn discord() {
    let sent = sent(Format::Discord, &captured(ADA), "{}", "");
    assert_sent(&sent, include_str!("discord.txt"));
}

/// The services' limits hold for the longest of leads, all of it escaped.
#[test]
fn messages_to_chats_are_bounded() {
    let fields: Vec<String> =
        (0..99).map(|n| format!("\"{n}{}\":\"{}\"", "<".repeat(90), "&*".repeat(900))).collect();
    let lead = format!("{{\"name\":\"{}\",\"fields\":{{{}}}}}", "&>".repeat(250), fields.join(","));
    let mut longest = captured(lead.as_bytes());
    longest.campaign = Some("*&".repeat(2_000));
    let body = |format| {
        let options = Options::default();
        let handoff = Handoff::new(format, &longest, &options, url(format), OCCASION).unwrap();
        serde_json::from_str::<serde_json::Value>(&handoff.call().body).unwrap()
    };
    let chars = |value: &serde_json::Value| value.as_str().map_or(0, |text| text.chars().count());

    let section = &body(Format::Slack)["blocks"][0]["text"]["text"];
    assert!((1_000..=3_000).contains(&chars(section)), "{}", chars(section));
    let embed = &body(Format::Discord)["embeds"][0];
    let fields = embed["fields"].as_array().unwrap();
    assert!(
        fields.iter().all(|field| chars(&field["name"]) <= 256 && chars(&field["value"]) <= 1_024)
    );
    let all: usize =
        fields.iter().map(|field| chars(&field["name"]) + chars(&field["value"])).sum();
    assert!(fields.len() <= 25 && chars(&embed["title"]) <= 256);
    assert!(all + chars(&embed["title"]) <= 6_000);
}
