//! Which signature a request carries: for `verify` and `listen`.

use http::HeaderMap;
use tidings_wire::verify::Scheme;

/// The scheme of the signature header that is there. A receiver must know its sender instead.
pub(super) fn detect(headers: &HeaderMap) -> Option<Scheme> {
    let scheme = Scheme::ALL.into_iter().find(|s| headers.contains_key(s.signature_header()))?;
    let value = headers.get(scheme.signature_header())?.as_bytes();
    // Two forms share the header: `sha256=<hex>`, and the hex alone.
    let bare = scheme == Scheme::Emp && !value.starts_with(b"sha256=");
    Some(if bare { Scheme::OpenVideo } else { scheme })
}
