//! Stripe: time and MACs in one header (docs.stripe.com/webhooks, "Verify webhook signatures manually").

use super::headers::Incoming;
use super::key::{Key, check_macs};
use super::{MAX_SIGNATURES, Scheme, Verified, Why, read};

pub(super) fn verify<'h>(keys: &[Key], incoming: &Incoming<'h, '_>) -> Result<Verified<'h>, Why> {
    let header = incoming.required(Scheme::Stripe.signature_header())?;
    let mut timestamp = None;
    let mut macs = Vec::new();
    for (at, part) in header.split(|&byte| byte == b',').enumerate() {
        // One part is the time.
        if at > MAX_SIGNATURES {
            return Err(Why::TooManySignatures);
        }
        let equals = part.iter().position(|&byte| byte == b'=').ok_or(Why::InvalidSignature)?;
        match (&part[..equals], &part[equals + 1..]) {
            (b"t", value) if timestamp.replace(value).is_some() => {
                return Err(Why::InvalidTimestamp);
            }
            (b"v1", value) => macs.extend(read::hex(value)),
            // `v0` is of test mode and proves nothing; later versions are not known yet.
            _ => {}
        }
    }
    let timestamp = timestamp.ok_or(Why::InvalidTimestamp)?;
    let timestamp_s = incoming.fresh(timestamp)?;
    check_macs(keys, &[timestamp, b".", incoming.body], &macs)?;
    Ok(Verified::new(None, Some(timestamp_s)))
}
