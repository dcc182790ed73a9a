//! A request in bytes (RFC 9112, 2 to 6).

use std::io::Write as _;

use http::Method;
use tidings_core::outcome::{Failure, FailureKind};

use super::Request;

/// A body of at most so many bytes is copied behind its head: cheaper than telling the kernel of two places.
const COPIED_BYTES_MAX: usize = 4 << 10;

/// Writes a request after its other lines are known: its head, and its body if that is short. Returns
/// how many bytes of the body that is.
pub(super) fn write(request: &Request, out: &mut Vec<u8>) -> Result<usize, Failure> {
    let target = &*request.target;
    if ![&target.authority, &target.path_and_query].iter().all(|text| is_visible(text)) {
        return Err(Failure {
            kind: FailureKind::Unrepresentable,
            detail: "the URL cannot be written as a request".into(),
        });
    }
    // `Host` first, as some receivers expect.
    for part in [
        request.method.as_str(),
        " ",
        &target.path_and_query,
        " HTTP/1.1\r\nHost: ",
        &target.authority,
        "\r\n",
        request.headers.as_str(),
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    let length = request.body.len();
    // Where a body is expected its absence is said: some servers answer 411 otherwise.
    if length > 0 || [Method::POST, Method::PUT, Method::PATCH].contains(&request.method) {
        write!(out, "Content-Length: {length}\r\n").expect("a Vec takes everything");
    }
    out.extend_from_slice(b"\r\n");
    let copied = if length <= COPIED_BYTES_MAX { length } else { 0 };
    out.extend_from_slice(&request.body[..copied]);
    Ok(copied)
}

/// As a URL that was read is; what else there might be would end the line it stands in.
fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
