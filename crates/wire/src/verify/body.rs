//! A MAC over the body alone, in one header: most senders, GitHub and Shopify among them.

use std::borrow::Cow;

use super::headers::Incoming;
use super::key::{Key, check_macs};
use super::{Verified, Why, read};

/// Where the MAC is, and how it is written.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub signature: Cow<'static, str>,
    /// What stands before it.
    pub prefix: Cow<'static, str>,
    pub encoding: Encoding,
    /// The header of an id, which is not signed.
    pub id: Option<Cow<'static, str>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Encoding {
    Hex,
    Base64,
}

pub(super) fn verify<'h>(
    place: &Place,
    keys: &[Key],
    incoming: &Incoming<'h, '_>,
) -> Result<Verified<'h>, Why> {
    let text = incoming.required(&place.signature)?.strip_prefix(place.prefix.as_bytes());
    let mac = text.and_then(|text| match place.encoding {
        Encoding::Hex => read::hex(text),
        Encoding::Base64 => read::base64(text),
    });
    let mac = mac.ok_or(Why::InvalidSignature)?;
    check_macs(keys, &[incoming.body], &[mac])?;
    let id = place.id.as_deref().map(|name| incoming.optional(name)).transpose()?.flatten();
    let id = id.map(|id| read::id(id).ok_or(Why::InvalidId)).transpose()?;
    Ok(Verified::new(id, None))
}
