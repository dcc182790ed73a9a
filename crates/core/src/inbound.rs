//! What is received: webhooks of others that become events of ours.

use std::borrow::Cow;

use serde_json::Value;
use tidings_wire::verify::Scheme;

use crate::event::is_event_type;
use crate::limits::EVENT_TYPE_BYTES_MAX;

/// What is done with what a source sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// It becomes an event.
    #[default]
    Event,
    /// It also reports on a job ([`crate::clipping`]).
    Clipping,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Event, Self::Clipping];

    /// As the configuration writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Clipping => "clipping",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Where a received webhook says what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypePlace {
    /// A header, such as `X-GitHub-Event`.
    Header(String),
    /// A JSON pointer (RFC 6901) into the body, such as `/type`.
    Body(String),
}

impl TypePlace {
    /// Where the senders of a scheme say it.
    #[must_use]
    pub fn of(scheme: Scheme) -> Self {
        let header = |name: &str| Self::Header(name.to_owned());
        match scheme {
            Scheme::GitHub => header("X-GitHub-Event"),
            Scheme::Shopify => header("X-Shopify-Topic"),
            Scheme::Emp
            | Scheme::Aegisx
            | Scheme::OpenVideo
            | Scheme::ViewCreator
            | Scheme::Lead => header("X-Webhook-Event"),
            Scheme::Slack => Self::Body("/event/type".to_owned()),
            _ => Self::Body("/type".to_owned()),
        }
    }

    /// A pointer begins with `/`; anything else is the name of a header.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_header = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        match text {
            _ if text.starts_with('/') => Some(Self::Body(text.to_owned())),
            "" => None,
            _ if text.bytes().all(is_header) => Some(Self::Header(text.to_owned())),
            _ => None,
        }
    }

    /// What a webhook is about, in its sender's words.
    #[must_use]
    pub fn find<'w>(
        &self,
        header: impl Fn(&str) -> Option<&'w str>,
        body: &'w Value,
    ) -> Option<&'w str> {
        match self {
            Self::Header(name) => header(name),
            Self::Body(pointer) => body.pointer(pointer)?.as_str(),
        }
        .filter(|text| !text.is_empty())
    }
}

/// What a type is called that its sender does not tell.
const UNNAMED: &str = "received";

/// The type of our event: the source's name, and what its sender calls it (`orders/paid` is
/// `shop.orders.paid`). Signs that our types do not have become `_`, and what is too long is cut.
#[must_use]
pub fn event_type(source: &str, told: Option<&str>) -> String {
    let words: Vec<Cow<'_, str>> = told
        .unwrap_or(UNNAMED)
        .split(['.', '/', ':', '-'])
        .filter(|word| !word.is_empty())
        .map(|word| {
            let known = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if word.chars().all(known) {
                Cow::Borrowed(word)
            } else {
                word.chars().map(|c| if known(c) { c } else { '_' }).collect()
            }
        })
        .collect();
    let mut name = source.to_owned();
    for word in if words.is_empty() { vec![UNNAMED.into()] } else { words } {
        if name.len() + 1 + word.len() > EVENT_TYPE_BYTES_MAX {
            break;
        }
        name.push('.');
        name.push_str(&word);
    }
    name
}

/// Whether a source may have this name: it stands in a path and begins the types of its events.
#[must_use]
pub fn is_source_name(name: &str) -> bool {
    name.len() <= SOURCE_NAME_BYTES_MAX && !name.contains('.') && is_event_type(name)
}

/// The longest name of a source, bytes: it leaves room for types.
pub const SOURCE_NAME_BYTES_MAX: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_ours_whatever_the_sender_calls_them() {
        for (told, expected) in [
            (Some("push"), "hub.push"),
            (Some("orders/paid"), "hub.orders.paid"),
            (Some("invoice.payment_failed"), "hub.invoice.payment_failed"),
            (Some("..a b..ü.."), "hub.a_b._"),
            (Some("//"), "hub.received"),
            (None, "hub.received"),
        ] {
            assert_eq!(event_type("hub", told), expected, "{told:?}");
        }
        let long = event_type("hub", Some(&"word.".repeat(99)));
        assert!(long.len() <= EVENT_TYPE_BYTES_MAX && is_event_type(&long));
        assert_eq!(event_type("hub", Some(&"x".repeat(500))), "hub");
    }

    #[test]
    fn types_are_found_where_senders_put_them() {
        let body = serde_json::json!({"type": "a", "event": {"type": "b"}, "n": 1, "empty": ""});
        let header = |name: &str| (name == "X-GitHub-Event").then_some("push");
        let found = |text: &str| {
            TypePlace::parse(text).expect("a place").find(header, &body).map(str::to_owned)
        };
        assert_eq!(found("X-GitHub-Event").as_deref(), Some("push"));
        assert_eq!(found("X-Other"), None);
        assert_eq!(found("/event/type").as_deref(), Some("b"));
        for nothing in ["/n", "/missing", "/empty", "/"] {
            assert_eq!(found(nothing), None, "{nothing}");
        }
        assert_eq!(TypePlace::parse("a b"), None);
        for scheme in Scheme::ALL {
            let _ = TypePlace::of(scheme);
        }
    }

    #[test]
    fn names_of_sources_are_one_word() {
        assert!(is_source_name("github") && is_source_name("stripe-eu") && is_source_name("a_1"));
        for bad in ["", "a.b", "a/b", "ä", "a b", "-", &"x".repeat(49)] {
            assert!(!is_source_name(bad), "{bad}");
        }
    }
}
