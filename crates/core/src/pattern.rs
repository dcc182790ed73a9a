//! Event patterns: `job.completed`, `job.*`, `*`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::event::is_event_type;

/// Which event types a webhook wants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// `*`: every event but operational ones.
    Any,
    /// `job.*`: everything below `job`, at any depth. Holds `job.`, with its dot.
    Below(String),
    /// Exactly this type.
    Exact(String),
}

/// Types of the events that Tidings itself publishes. They reach a webhook that names them (whole or
/// by their prefix), never one that merely says `*`.
pub const OPERATIONAL_PREFIXES: [&str; 3] = ["webhook.", "delivery.", "notification.clipping."];

/// Whether `event_type` belongs to Tidings itself.
#[must_use]
pub fn is_operational(event_type: &str) -> bool {
    OPERATIONAL_PREFIXES.iter().any(|prefix| event_type.starts_with(prefix))
}

impl Pattern {
    #[must_use]
    pub fn matches(&self, event_type: &str) -> bool {
        match self {
            Self::Any => !is_operational(event_type),
            Self::Below(prefix) => event_type.starts_with(prefix.as_str()),
            Self::Exact(exact) => exact == event_type,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(prefix) => write!(f, "{prefix}*"),
            Self::Exact(exact) => f.write_str(exact),
        }
    }
}

/// A text that is no event pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an event pattern: expected `*`, a type such as `job.completed`, or `job.*`")]
pub struct ParsePatternError;

impl FromStr for Pattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(above) = text.strip_suffix(".*") {
            return if is_event_type(above) {
                Ok(Self::Below(format!("{above}.")))
            } else {
                Err(ParsePatternError)
            };
        }
        if is_event_type(text) { Ok(Self::Exact(text.to_owned())) } else { Err(ParsePatternError) }
    }
}

impl Serialize for Pattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, event_type: &str) -> bool {
        pattern.parse::<Pattern>().expect("a pattern").matches(event_type)
    }

    #[test]
    fn patterns_match_whole_words() {
        assert!(matches("*", "job.completed"));
        assert!(matches("job.*", "job.completed") && matches("job.*", "job.a.b"));
        assert!(!matches("job.*", "job") && !matches("job.*", "jobs.completed"));
        assert!(matches("job.completed", "job.completed"));
        assert!(!matches("job.completed", "job.completed.twice"));
    }

    #[test]
    fn a_star_does_not_hear_tidings_itself() {
        assert!(!matches("*", "webhook.disabled"));
        assert!(matches("webhook.*", "webhook.disabled"));
        assert!(matches("delivery.exhausted", "delivery.exhausted"));
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in ["", "**", "job*", "*.completed", "job.*.done", ".*", "job..*", "j b"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
    }
}
