//! Slack: a header for the time and one for the MAC (docs.slack.dev, "Verifying requests from Slack").

use super::headers::Incoming;
use super::key::{Key, check_macs};
use super::{Scheme, Verified, Why, read};

const TIMESTAMP: &str = "X-Slack-Request-Timestamp";

pub(super) fn verify<'h>(keys: &[Key], incoming: &Incoming<'h, '_>) -> Result<Verified<'h>, Why> {
    let timestamp = incoming.required(TIMESTAMP)?;
    let signature = incoming.required(Scheme::Slack.signature_header())?;
    let timestamp_s = incoming.fresh(timestamp)?;
    let mac = signature.strip_prefix(b"v0=").and_then(read::hex).ok_or(Why::InvalidSignature)?;
    check_macs(keys, &[b"v0:", timestamp, b":", incoming.body], &[mac])?;
    Ok(Verified::new(None, Some(timestamp_s)))
}
