//! `slack`: an incoming webhook of Slack.
//!
//! Source: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>; escapes:
//! <https://docs.slack.dev/messaging/formatting-message-text#escaping>. `&`, `<` and `>` are escaped and
//! nothing else can be: it keeps a value from becoming a link or `<!channel>`. Slack answers 200 with the
//! body `ok`, and 4xx with a word (`no_service`, `channel_is_archived`) otherwise. The URL is the secret.

use super::json::Object;
use super::{Address, Call, Definition, Handoff, chat};

pub(super) const DEFINITION: Definition = Definition {
    name: "slack",
    address: Address::Chat,
    needs_email: false,
    options: &[],
    calls,
    learn: None,
    objection: |_, body| (body.trim_ascii() != b"ok").then_some("the answer is not `ok`"),
    wait_s: None,
};

/// Slack counts 3,000 characters; bytes are never fewer.
const SECTION_BYTES_MAX: usize = 3_000;

fn calls(handoff: &Handoff<'_>) -> Vec<Call> {
    let title = escape(&chat::title(handoff));
    let mut text = format!("*{title}*");
    for (name, value) in chat::lines(handoff) {
        let line = format!("\n{}: {}", escape(&name), escape(&value));
        if text.len() + line.len() <= SECTION_BYTES_MAX {
            text.push_str(&line);
        }
    }
    let mrkdwn = Object::new().text("type", "mrkdwn").text("text", &text);
    let section = Object::new().text("type", "section").object("text", mrkdwn);
    // `text` is what a notification shows, where there is no room for blocks.
    let body = Object::new().text("text", &title).objects("blocks", [section]);
    vec![Call::to_chat(handoff.url, body.finish())]
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
