//! What is typed: data from an argument, a file or standard input; moments; headers.

use std::io::Read as _;

use anyhow::{Context as _, Result};
use serde_json::value::RawValue;
use tidings_core::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};

use super::Usage;
use crate::api::form::parse_rfc3339;

/// `-` is standard input, `@file` a file, everything else the data themselves.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>> {
    match text.strip_prefix('@') {
        _ if text == "-" => stdin(),
        Some(path) => std::fs::read(path).with_context(|| format!("cannot read {path}")),
        None => Ok(text.as_bytes().to_vec()),
    }
}

pub(super) fn stdin() -> Result<Vec<u8>> {
    let mut all = Vec::new();
    std::io::stdin().lock().read_to_end(&mut all).context("cannot read standard input")?;
    Ok(all)
}

/// JSON, its bytes kept. `what` names the argument.
pub(super) fn json(what: &str, text: &str) -> Result<Box<RawValue>> {
    let bytes = bytes(text)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Usage(format!("{what} is not JSON: {error}\n  a text needs its quotes: '\"hello\"'")).into()
    })
}

/// A text, which may be in a file: `@file` without the line break at its end.
pub(super) fn text(what: &str, text: &str) -> Result<String> {
    let text =
        String::from_utf8(bytes(text)?).map_err(|_| Usage(format!("{what} is not UTF-8")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// `Name: value`
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("must be 'Name: value'".to_owned()),
    }
}

/// RFC 3339, Unix milliseconds, or a span from `now`: `+90s` ahead, `15m`, `2h` or `1d` ago.
pub(super) fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(at) = parse_rfc3339(text) {
        return Some(at);
    }
    if let Ok(ms) = text.parse::<i64>()
        && !text.starts_with('+')
    {
        return Some(Timestamp::from_millis(ms));
    }
    match text.strip_prefix('+') {
        Some(ahead) => Some(now + span_ms(ahead)?),
        None => Some(now - span_ms(text)?),
    }
}

/// `90s`, `15m`, `2h`, `7d`
fn span_ms(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => SECOND_MS,
        'm' => MINUTE_MS,
        'h' => HOUR_MS,
        'd' => DAY_MS,
        _ => return None,
    };
    let count: u32 = text[..text.len() - 1].parse().ok()?;
    i64::from(count).checked_mul(unit)
}

/// A moment as an argument of a command.
pub(super) fn moment_arg(text: &str) -> Result<i64, String> {
    let now = crate::clock::Clock::system().now();
    moment(text, now).map(Timestamp::as_millis).ok_or_else(|| {
        "must be RFC 3339, Unix milliseconds, or a span such as 15m or +1h".to_owned()
    })
}

/// A span as an argument of a command, in milliseconds.
pub(super) fn span_arg(text: &str) -> Result<i64, String> {
    span_ms(text).ok_or_else(|| "must be a span such as 90s, 15m, 24h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let now = Timestamp::from_millis(1_000_000_000);
        let ms = |text| moment(text, now).map(Timestamp::as_millis);
        assert_eq!(ms("+90s"), Some(1_000_090_000));
        assert_eq!(ms("15m"), Some(999_100_000));
        assert_eq!(ms("1705228256789"), Some(1_705_228_256_789));
        assert_eq!(ms("2024-01-14T10:30:56.789Z"), Some(1_705_228_256_789));
        for wrong in ["", "soon", "+5", "5x", "+-3s", "é"] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn headers() {
        assert_eq!(header("A: b:c"), Ok(("A".to_owned(), "b:c".to_owned())));
        assert!(header("nothing").is_err());
        assert!(header(": x").is_err());
    }
}
