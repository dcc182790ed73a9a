//! Numbers as JavaScript prints them: ECMA-262, `Number::toString`, with radix 10.

use std::io::Write;

/// Appends a finite double.
///
/// Rust's `{:e}` yields the shortest digits that read back as the same double, and of those the
/// closest: the same digits that ECMA-262 asks for. What is left is where to put the point.
pub(crate) fn append_double(number: f64, out: &mut Vec<u8>) {
    if number == 0.0 {
        out.push(b'0'); // JSON.stringify(-0) is "0"
        return;
    }
    if number < 0.0 {
        out.push(b'-');
    }
    let mut text = [0_u8; 32];
    let mut free = &mut text[..];
    write!(free, "{:e}", number.abs()).expect("17 digits, a point and an exponent fit in 32 bytes");
    let length = 32 - free.len();
    let at_e = text.iter().position(|&byte| byte == b'e').expect("`{:e}` writes an exponent");
    let exponent = std::str::from_utf8(&text[at_e + 1..length])
        .ok()
        .and_then(|digits| digits.parse::<i32>().ok())
        .expect("`{:e}` writes a decimal exponent");
    // "1.25" -> "125": the digits without the point.
    let mut digits = [0_u8; 32];
    let mut count = 0;
    for &byte in text[..at_e].iter().filter(|&&byte| byte != b'.') {
        digits[count] = byte;
        count += 1;
    }
    place_point(&digits[..count], exponent + 1, out);
}

/// Step by step as in ECMA-262: `point` is its *n*, the digits' count its *k*.
fn place_point(digits: &[u8], point: i32, out: &mut Vec<u8>) {
    let count = digits.len() as i32;
    if count <= point && point <= 21 {
        out.extend_from_slice(digits);
        out.resize(out.len() + (point - count) as usize, b'0');
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(point as usize);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else if -6 < point && point <= 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-point) as usize, b'0');
        out.extend_from_slice(digits);
    } else {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        let sign = if point > 0 { '+' } else { '-' };
        write!(out, "e{sign}{}", (point - 1).abs()).expect("writing to a Vec cannot fail");
    }
}

/// Whether the double nearest to an integer literal *is* that integer.
pub(crate) fn is_exact(literal: &str, nearest: f64) -> bool {
    // `{:.0}` prints every digit of an integral double, not only the ones that matter.
    format!("{:.0}", nearest.abs()) == literal.trim_start_matches('-')
}
