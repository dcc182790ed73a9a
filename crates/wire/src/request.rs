//! The headers of one attempt.
//!
//! [`compose`] runs once per attempt, thousands of times a second: names and most values are
//! borrowed from the profile and the delivery; only times and signatures are written anew.

use std::borrow::Cow;

use thiserror::Error;

use crate::body;
use crate::profile::{BodyShape, Field, Part, Profile, Scheme, SecretRule, Template};
use crate::sign::{self, Signer};
use crate::time::rfc3339_ms;

/// What headers tell of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryView<'a> {
    /// The type of its event.
    pub event_type: &'a str,
    /// The id of its event: the same for every attempt, what receivers de-duplicate by.
    pub event_id: &'a str,
    /// When its event happened, in Unix milliseconds.
    pub event_ms: i64,
    /// The id of its webhook; empty for a direct delivery, which leaves such a header out.
    pub webhook_id: &'a str,
    /// Its own id.
    pub delivery_id: &'a str,
    /// When it was made, in Unix milliseconds.
    pub created_ms: i64,
    /// Whether it is a test, which some profiles mark by leaving headers out.
    pub is_test: bool,
}

/// Everything that the headers of one attempt are made of.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The profile of the webhook.
    pub profile: &'a Profile,
    /// The shape of the body: the profile's, or what the webhook chose instead.
    pub shape: BodyShape,
    /// What is delivered.
    pub delivery: DeliveryView<'a>,
    /// Exactly the bytes that will be sent.
    pub body: &'a [u8],
    /// The webhook's own headers; see [`check_custom`].
    pub custom: &'a [(String, String)],
    /// The keys that sign; see [`Signer`] for which they are during a rotation.
    pub signers: &'a [Signer],
    /// The time of this attempt, in Unix seconds.
    pub timestamp_s: i64,
}

/// The headers of a request in the order in which they are to be written: ours, then custom ones.
/// `Host` and `Content-Length` are the HTTP client's.
pub type Headers<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// Why a request cannot be composed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// The profile signs every request, and no key was handed in that can sign in its scheme.
    #[error("the profile `{0}` signs every request, but there is no secret that it can use")]
    NoSecret(String),
    /// A value that would break the header section, as an id with a line break.
    #[error("the value of the header `{0}` cannot be sent")]
    InvalidValue(String),
}

/// Makes the headers of one attempt.
///
/// A scheme with room for one signature uses the first signer that has a key for it.
///
/// ```
/// use tidings_wire::{profile::Profile, request::*, secret::Secret, sign::Signer};
///
/// let profile = Profile::builtin("emp").expect("comes with the crate");
/// let body = br#"{"event_type":"job.completed"}"#;
/// let custom = [("Authorization".to_owned(), "Bearer your-api-token".to_owned())];
/// let signers = [Signer::new(&Secret::parse("your-secret-key")?)];
/// let headers = compose(&Attempt {
///     profile,
///     shape: profile.body,
///     delivery: DeliveryView {
///         event_type: "job.completed",
///         event_id: "evt_1",
///         event_ms: 0,
///         webhook_id: "wh_1",
///         delivery_id: "dlv_1",
///         created_ms: 0,
///         is_test: false,
///     },
///     body,
///     custom: &custom,
///     signers: &signers,
///     timestamp_s: 1,
/// })?;
/// let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
/// assert_eq!(names, [
///     "Content-Type", "User-Agent", "X-Webhook-Event", "X-Webhook-ID", "X-Event-ID",
///     "X-Webhook-Signature", "Authorization",
/// ]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn compose<'a>(attempt: &Attempt<'a>) -> Result<Headers<'a>, ComposeError> {
    let profile = attempt.profile;
    let mut headers: Headers<'a> =
        Vec::with_capacity(3 + profile.headers.len() + attempt.custom.len());
    headers.push(("Content-Type", attempt.shape.content_type().into()));
    headers.push(("User-Agent", profile.user_agent.as_str().into()));
    if attempt.shape == BodyShape::CloudEventsBinary {
        headers.extend(cloud_event(&attempt.delivery));
    }
    for rule in &profile.headers {
        if attempt.delivery.is_test && !rule.in_test {
            continue;
        }
        let value = render(&rule.value, attempt);
        if !value.is_empty() {
            headers.push((&rule.name, value));
        }
    }
    if let Some((name, value)) = signature(attempt)? {
        headers.push((name, value.into()));
    }
    append_custom(&mut headers, attempt)?;
    Ok(headers)
}

/// Adds the custom headers, none of which overrides what is there, and looks at all values.
pub(crate) fn append_custom<'a>(
    headers: &mut Headers<'a>,
    attempt: &Attempt<'a>,
) -> Result<(), ComposeError> {
    let ours = headers.len();
    for (name, value) in attempt.custom {
        let is_ours = attempt.profile.owns_header(name)
            || attempt.shape.owns_header(name)
            || headers[..ours].iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if !is_ours && !is_reserved(name) && is_header_name(name) {
            headers.push((name, value.as_str().into()));
        }
    }
    match headers.iter().find(|(_, value)| !is_header_value(value)) {
        Some((name, _)) => Err(ComposeError::InvalidValue((*name).to_owned())),
        None => Ok(()),
    }
}

/// The attributes of a CloudEvent in binary mode (CloudEvents, HTTP Protocol Binding 1.0, 3.1.3). Its
/// `datacontenttype` is `Content-Type`.
fn cloud_event<'a>(delivery: &DeliveryView<'a>) -> [(&'static str, Cow<'a, str>); 5] {
    [
        ("ce-specversion", "1.0".into()),
        ("ce-id", percent_encode(delivery.event_id)),
        ("ce-source", body::SOURCE.into()),
        ("ce-type", percent_encode(delivery.event_type)),
        ("ce-time", rfc3339_ms(delivery.event_ms).into()),
    ]
}

/// Encodes what the binding says: spaces, double quotes, percent signs and all that is not visible
/// ASCII, by the bytes of their UTF-8 (3.1.3.2).
fn percent_encode(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%');
    if text.as_bytes().iter().all(is_plain) {
        return text.into();
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match is_plain(&byte) {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded.into()
}

fn signature<'a>(attempt: &Attempt<'a>) -> Result<Option<(&'a str, String)>, ComposeError> {
    let Some(rule) = &attempt.profile.signature else { return Ok(None) };
    let no_secret = || ComposeError::NoSecret(attempt.profile.name.clone());
    if attempt.signers.is_empty() {
        return match attempt.profile.secret {
            SecretRule::Optional => Ok(None),
            _ => Err(no_secret()),
        };
    }
    let value = match &rule.scheme {
        Scheme::StandardV1 => {
            let timestamp = attempt.timestamp_s.to_string();
            sign::standard(attempt.signers, attempt.delivery.event_id, &timestamp, attempt.body)
        }
        Scheme::HmacHex { prefix } => {
            let key = attempt.signers.iter().find_map(Signer::mac_key).ok_or_else(no_secret)?;
            sign::hmac_hex(key, prefix, attempt.body)
        }
    };
    Ok(Some((&rule.header, value)))
}

fn render<'a>(template: &'a Template, attempt: &Attempt<'a>) -> Cow<'a, str> {
    match &template.0[..] {
        [Part::Text(text)] => text.as_str().into(),
        [Part::Field(field)] => value_of(*field, attempt),
        parts => parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str().into(),
                Part::Field(field) => value_of(*field, attempt),
            })
            .collect::<String>()
            .into(),
    }
}

fn value_of<'a>(field: Field, attempt: &Attempt<'a>) -> Cow<'a, str> {
    let delivery = &attempt.delivery;
    match field {
        Field::EventType => body::told_type(attempt.shape, delivery.event_type).into(),
        Field::EventId => delivery.event_id.into(),
        Field::WebhookId => delivery.webhook_id.into(),
        Field::DeliveryId => delivery.delivery_id.into(),
        Field::TimestampS => attempt.timestamp_s.to_string().into(),
        Field::CreatedIso => rfc3339_ms(delivery.created_ms).to_string().into(),
    }
}

/// What becomes of a custom header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomUse {
    /// It is sent.
    Sent,
    /// It is ours already: what we write wins.
    Ignored,
}

/// Why a custom header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CustomError {
    /// Not a `token` of RFC 9110.
    #[error("is not a header name")]
    Name,
    /// A value with control characters or beyond ASCII.
    #[error("must have a value of visible ASCII, spaces and tabs")]
    Value,
    /// A header that frames the message or names its destination.
    #[error("is written by the sender itself")]
    Reserved,
    /// A `Content-Type` that is not the body's.
    #[error("must be `{0}`, the type of the body")]
    ContentType(&'static str),
}

/// Judges a header that somebody wants their webhook to carry, when it is registered.
///
/// [`compose`] never lets a custom header override ours, whatever was checked before.
pub fn check_custom(
    profile: &Profile,
    shape: BodyShape,
    name: &str,
    value: &str,
) -> Result<CustomUse, CustomError> {
    if !is_header_name(name) {
        return Err(CustomError::Name);
    }
    if !is_header_value(value) {
        return Err(CustomError::Value);
    }
    if is_reserved(name) {
        return Err(CustomError::Reserved);
    }
    // A type that equals ours says nothing new; another one would be a lie about the body.
    let ours = shape.content_type();
    if name.eq_ignore_ascii_case("content-type") && !value.trim().eq_ignore_ascii_case(ours) {
        return Err(CustomError::ContentType(ours));
    }
    let is_ours = profile.owns_header(name) || shape.owns_header(name);
    Ok(if is_ours { CustomUse::Ignored } else { CustomUse::Sent })
}

/// Headers that frame a message, steer its connection or name its destination (RFC 9110, 7.6.1 and
/// RFC 9112). A second one from elsewhere is how requests are smuggled.
const RESERVED: [&str; 11] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// `token` of RFC 9110, 5.6.2.
pub(crate) fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// `field-value` of RFC 9110, 5.5, without bytes beyond ASCII, which receivers read in many ways.
pub(crate) fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte))
}

#[cfg(test)]
mod tests;
