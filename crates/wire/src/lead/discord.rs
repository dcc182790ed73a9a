//! `discord`: a webhook of Discord.
//!
//! Source: <https://docs.discord.com/developers/resources/webhook#execute-webhook>, embed limits:
//! <https://docs.discord.com/developers/resources/message#embed-object-embed-limits>. What Markdown would
//! read is escaped with a backslash, and `allowed_mentions` lets nobody be called. Discord answers 204, 404
//! when the webhook is gone, and 429 with `retry_after` in its body
//! (<https://docs.discord.com/developers/topics/rate-limits>). The URL is the secret.

use super::json::Object;
use super::{Address, Call, Definition, Handoff, chat, no_objection};
use crate::time::Rfc3339;

pub(super) const DEFINITION: Definition = Definition {
    name: "discord",
    address: Address::Chat,
    needs_email: false,
    options: &[],
    calls,
    learn: None,
    objection: no_objection,
    wait_s: Some(wait_s),
};

fn calls(handoff: &Handoff<'_>) -> Vec<Call> {
    let fields = chat::lines(handoff).into_iter().map(|(name, value)| {
        Object::new()
            .text("name", &escape(&name))
            .text("value", &escape(&value))
            .json("inline", "true")
    });
    let embed = Object::new()
        .text("title", &escape(&chat::title(handoff)))
        .text("timestamp", &Rfc3339::new(handoff.occasion.timestamp_ms))
        .objects("fields", fields);
    let body = Object::new()
        .objects("embeds", [embed])
        .object("allowed_mentions", Object::new().objects("parse", []));
    vec![Call::to_chat(handoff.url, body.finish())]
}

/// `{"message", "retry_after": 0.65, "global"}`: seconds, with a fraction that is waited for as well.
fn wait_s(body: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Limited {
        retry_after: f64,
    }
    let wait_s = serde_json::from_slice::<Limited>(body).ok()?.retry_after.ceil();
    (0.0..=f64::from(u32::MAX)).contains(&wait_s).then_some(wait_s as u64)
}

/// Letters mean nothing to Markdown, so a backslash before each mark leaves the text as it was.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\*_~`|>#[]()<:-".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
