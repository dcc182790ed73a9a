//! Numbers as JavaScript prints them: ECMA-262, `Number::toString`, with radix 10.

use std::io::Write;

/// Appends a finite double.
pub(crate) fn append_double(number: f64, out: &mut Vec<u8>) {
    if number == 0.0 {
        out.push(b'0'); // JSON.stringify(-0) is "0"
        return;
    }
    if number < 0.0 {
        out.push(b'-');
    }
    // Rust's `{:e}` yields the fewest digits that read back as the same double, and of those the
    // closest, as ECMA-262 asks.
    let mut shortest = Decimal::print(number.abs(), None);
    if let Some(even) = even_of_two(number.abs(), &shortest) {
        shortest = even;
    }
    place_point(shortest.digits(), shortest.exponent + 1, out);
}

/// `digits[0].digits[1..] × 10^exponent`.
struct Decimal {
    digits: [u8; 32],
    count: usize,
    exponent: i32,
}

impl Decimal {
    /// The shortest digits of a positive double, or so many of them behind the first.
    fn print(number: f64, precision: Option<usize>) -> Self {
        let mut text = [0_u8; 32];
        let mut free = &mut text[..];
        match precision {
            None => write!(free, "{number:e}"),
            Some(precision) => write!(free, "{number:.precision$e}"),
        }
        .expect("18 digits, a point and an exponent fit in 32 bytes");
        let length = 32 - free.len();
        let at_e = text.iter().position(|&byte| byte == b'e').expect("`{:e}` writes an exponent");
        let exponent = std::str::from_utf8(&text[at_e + 1..length])
            .ok()
            .and_then(|digits| digits.parse().ok())
            .expect("`{:e}` writes a decimal exponent");
        let (mut digits, mut count) = ([0_u8; 32], 0);
        for &byte in text[..at_e].iter().filter(|&&byte| byte != b'.') {
            digits[count] = byte;
            count += 1;
        }
        Self { digits, count, exponent }
    }

    fn digits(&self) -> &[u8] {
        &self.digits[..self.count]
    }

    fn value(&self) -> Option<f64> {
        let digits = std::str::from_utf8(self.digits()).ok()?;
        format!("{digits}e{}", self.exponent - (self.count as i32 - 1)).parse().ok()
    }
}

/// When a double lies exactly in the middle of two shortest decimals, as 31735794244129.0625 of
/// …062 and …063, ECMA-262 recommends and engines choose the even one. Rust rounds up.
fn even_of_two(number: f64, shortest: &Decimal) -> Option<Decimal> {
    if !has_decimals(number, shortest.count as i32 - shortest.exponent) {
        return None;
    }
    // One digit more is then the double itself.
    let mut even = Decimal::print(number, Some(shortest.count));
    if even.digits()[shortest.count] != b'5' || even.exponent != shortest.exponent {
        return None;
    }
    even.count = shortest.count;
    let last = &mut even.digits[shortest.count - 1];
    match *last {
        b'9' => return None, // the one above ends in 0: it would be shorter, if it were the double
        digit => *last += digit % 2, // '0' is even
    }
    (even.value() == Some(number)).then_some(even)
}

/// Whether so many decimals (digits behind the point; below zero, before it) hold a positive double
/// exactly.
fn has_decimals(number: f64, decimals: i32) -> bool {
    let bits = number.to_bits();
    let (field, fraction) = ((bits >> 52) as i32, bits & ((1 << 52) - 1));
    let mantissa = if field == 0 { fraction } else { fraction | 1 << 52 };
    let zeros = mantissa.trailing_zeros() as i32;
    // number = odd × 2^power
    let (odd, power) = (mantissa >> zeros, field.max(1) - 1075 + zeros);
    if decimals >= 0 {
        return power + decimals >= 0; // ten brings one factor of two for each decimal
    }
    let fives = 5_u64.checked_pow(decimals.unsigned_abs());
    power + decimals >= 0 && fives.is_some_and(|fives| odd % fives == 0)
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
