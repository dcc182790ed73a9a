//! What a message to a chat says of a lead, before a chat's own escapes.

use super::Handoff;

/// Lines of a message. With [`VALUE_CHARS_MAX`] on both sides of each, all of it escaped to twice its
/// length, they stay within the 6,000 characters of Discord's embeds.
const LINES_MAX: usize = 12;
const VALUE_CHARS_MAX: usize = 100;

/// Names and values, a line each: who it is, then what else is known.
pub(super) fn lines(handoff: &Handoff<'_>) -> Vec<(String, String)> {
    let lead = &handoff.captured.lead;
    let known = [
        ("Name", lead.name.clone()),
        ("Email", lead.email.clone()),
        ("Phone", lead.phone.clone()),
        ("Company", lead.company.clone()),
        ("Tags", (!lead.tags.is_empty()).then(|| lead.tags.join(", "))),
    ];
    let known = known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let further = lead.fields.iter().chain(&lead.source);
    let further = further.map(|(name, value)| (name.clone(), value.text()));
    let lines = known.chain(further).filter(|(_, value)| !value.trim().is_empty());
    lines.take(LINES_MAX).map(|(name, value)| (short(&name), short(&value))).collect()
}

/// The first line of a message.
pub(super) fn title(handoff: &Handoff<'_>) -> String {
    match handoff.captured.campaign.as_deref() {
        Some(campaign) => format!("New lead: {}", short(campaign)),
        None => "New lead".to_owned(),
    }
}

/// One line, so that no value passes for another line, and not long.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
