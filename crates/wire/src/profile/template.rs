//! Header values with placeholders, taken apart when the profile is read.

use thiserror::Error;

/// What a template can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// `{event_type}`
    EventType,
    /// `{event_id}`
    EventId,
    /// `{webhook_id}`
    WebhookId,
    /// `{delivery_id}`
    DeliveryId,
    /// `{timestamp_s}`: the attempt, in Unix seconds.
    TimestampS,
    /// `{created_iso}`: when the delivery was made, ISO 8601.
    CreatedIso,
}

const FIELDS: [(&str, Field); 6] = [
    ("event_type", Field::EventType),
    ("event_id", Field::EventId),
    ("webhook_id", Field::WebhookId),
    ("delivery_id", Field::DeliveryId),
    ("timestamp_s", Field::TimestampS),
    ("created_iso", Field::CreatedIso),
];

/// A header value: text and placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(pub(crate) Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Field(Field),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum TemplateError {
    #[error("`{{{name}}}` is no placeholder; there are {known}")]
    Unknown { name: String, known: String },
    #[error("a `{{` or `}}` has no partner")]
    Unbalanced,
    #[error("a header value must be visible ASCII and spaces")]
    NotAscii,
}

fn known() -> String {
    FIELDS.map(|(name, _)| format!("{{{name}}}")).join(", ")
}

impl Template {
    /// Takes a text apart at its placeholders.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(TemplateError::NotAscii);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_owned()));
            }
            let inside = rest[at..].strip_prefix('{').ok_or(TemplateError::Unbalanced)?;
            let (name, behind) = inside.split_once('}').ok_or(TemplateError::Unbalanced)?;
            let field = FIELDS.iter().find(|(known, _)| *known == name);
            let (_, field) = field
                .ok_or_else(|| TemplateError::Unknown { name: name.to_owned(), known: known() })?;
            parts.push(Part::Field(*field));
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Whether the template is this one placeholder and nothing else.
    pub(crate) fn is_only(&self, field: Field) -> bool {
        self.0 == [Part::Field(field)]
    }
}
