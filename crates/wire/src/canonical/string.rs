//! Strings as `JSON.stringify` escapes them: ECMA-262, `QuoteJSONString`.

use super::Why;

/// Appends a string with its quotes. A Rust string has no lone surrogates, so nothing can fail.
pub fn append_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            out.extend_from_slice(&bytes[copied..at]);
            append_escaped(byte, out);
            copied = at + 1;
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

fn append_escaped(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        _ => {
            out.extend_from_slice(b"\\u00");
            return crate::sign::push_hex(&[byte], out);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Reads the string that starts at `text[at]`, just behind its opening quote, and appends it with
/// its quotes. Returns where the text goes on.
pub(super) fn copy_string(text: &[u8], mut at: usize, out: &mut Vec<u8>) -> Result<usize, Why> {
    out.push(b'"');
    loop {
        let plain = text[at..]
            .iter()
            .position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
            .ok_or(Why::Invalid { offset: text.len(), expected: "the end of a string" })?;
        out.extend_from_slice(&text[at..at + plain]);
        at += plain;
        match text[at] {
            b'"' => {
                out.push(b'"');
                return Ok(at + 1);
            }
            b'\\' => at = copy_escape(text, at + 1, out)?,
            _ => return Err(Why::Invalid { offset: at, expected: "no raw control character" }),
        }
    }
}

/// Reads what follows a backslash.
fn copy_escape(text: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, Why> {
    let character = match text.get(at) {
        Some(b'u') => return copy_unicode_escape(text, at + 1, out),
        Some(b'/') => {
            out.push(b'/');
            return Ok(at + 1);
        }
        Some(&byte @ (b'"' | b'\\')) => byte,
        Some(b'b') => 0x08,
        Some(b't') => 0x09,
        Some(b'n') => 0x0a,
        Some(b'f') => 0x0c,
        Some(b'r') => 0x0d,
        _ => return Err(Why::Invalid { offset: at, expected: "an escape of JSON" }),
    };
    append_escaped(character, out);
    Ok(at + 1)
}

/// Reads the four digits behind `\u`, and a second escape when the two are a surrogate pair.
fn copy_unicode_escape(text: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, Why> {
    let unit = hex_unit(text, at)
        .ok_or(Why::Invalid { offset: at, expected: "four hexadecimal digits" })?;
    let mut next = at + 4;
    let mut code = u32::from(unit);
    if (0xd800..=0xdbff).contains(&unit)
        && text[next..].starts_with(b"\\u")
        && let Some(low @ 0xdc00..=0xdfff) = hex_unit(text, next + 2)
    {
        code = 0x10000 + ((code - 0xd800) << 10) + (u32::from(low) - 0xdc00);
        next += 6;
    }
    match char::from_u32(code) {
        Some('"' | '\\' | '\0'..'\u{20}') => append_escaped(code as u8, out),
        Some(character) => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        // Half of a pair has no UTF-8; "well-formed JSON.stringify" (ES2019) escapes it.
        None => {
            out.extend_from_slice(b"\\u");
            crate::sign::push_hex(&unit.to_be_bytes(), out);
        }
    }
    Ok(next)
}

fn hex_unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 4)?;
    // `from_str_radix` would take a sign.
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
