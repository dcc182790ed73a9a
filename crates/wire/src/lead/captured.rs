//! A lead: somebody who left their address, and what is known of them.

use serde_json::value::RawValue;

use super::json::Object;
use super::read::{Reader, Refused};
use crate::canonical::canonicalize;

/// The type of the event that tells of a captured lead.
pub const EVENT_TYPE: &str = "lead.captured";

/// RFC 5321, 4.5.3.1.3: a path has at most 256 octets, its angle brackets included.
const EMAIL_CHARS_MAX: usize = 254;
const NAME_CHARS_MAX: usize = 500;
const TAGS_MAX: usize = 50;
const TAG_CHARS_MAX: usize = 100;
/// Of `fields`, and of `source`.
const FIELDS_MAX: usize = 100;
const FIELD_BYTES_MAX: usize = 10_000;

/// The data of a [`EVENT_TYPE`] event: a lead, with what names it and the campaign that won it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The id that the lead's owner calls it by.
    pub lead_id: String,
    /// The name of the campaign.
    pub campaign: Option<String>,
    /// Who it is.
    pub lead: Lead,
}

/// What is known of somebody. Everything may be missing; what a format needs, it asks for.
#[derive(Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields are what they are called")]
pub struct Lead {
    pub email: Option<String>,
    /// The whole name: as given, else joined from its parts.
    pub name: Option<String>,
    /// As given, else the first word of the name.
    pub first_name: Option<String>,
    /// As given, else the name without its first word.
    pub last_name: Option<String>,
    pub phone: Option<String>,
    pub company: Option<String>,
    /// Each once, in the order given.
    pub tags: Vec<String>,
    /// What else its owner knows, by names of their choice.
    pub fields: Vec<(String, Scalar)>,
    /// Where it came from, as `page` or `utm_source`.
    pub source: Vec<(String, Scalar)>,
}

/// A text, number or truth value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// As canonical JSON.
    json: String,
}

impl Scalar {
    /// Null is `None`.
    fn read(raw: &RawValue) -> Result<Option<Self>, &'static str> {
        let json = canonicalize(raw.get().as_bytes())
            .map_err(|_| "is a number that a double cannot hold")?;
        let json = String::from_utf8(json).expect("canonical JSON is UTF-8");
        match json.as_bytes()[0] {
            b'{' | b'[' => Err("must be a text, a number, true, false or null"),
            _ if json.len() > FIELD_BYTES_MAX => Err("must have at most 10,000 bytes"),
            _ if json == "null" => Ok(None),
            _ => Ok(Some(Self { json })),
        }
    }

    /// As canonical JSON: a text with its quotes.
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// As text: without quotes. Half of a surrogate pair, which no text can hold, keeps its escapes.
    pub fn text(&self) -> String {
        match self.json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) => serde_json::from_str(&self.json).unwrap_or_else(|_| inner.to_owned()),
            None => self.json.clone(),
        }
    }
}

impl Lead {
    /// Reads a lead, `{"email","name","first_name","last_name","phone","company","tags","fields",
    /// "source"}`, all optional. Pointers begin with `/lead`.
    pub fn read(json: &[u8]) -> Result<Self, Vec<Refused>> {
        Self::from_reader(Reader::new(json, "/lead")?)
    }

    fn from_reader(mut reader: Reader<'_>) -> Result<Self, Vec<Refused>> {
        let mut lead = Self {
            email: reader.line("email", EMAIL_CHARS_MAX),
            name: reader.line("name", NAME_CHARS_MAX),
            first_name: reader.line("first_name", NAME_CHARS_MAX),
            last_name: reader.line("last_name", NAME_CHARS_MAX),
            phone: reader.line("phone", NAME_CHARS_MAX),
            company: reader.line("company", NAME_CHARS_MAX),
            tags: reader.lines("tags", TAGS_MAX, TAG_CHARS_MAX),
            fields: reader.dictionary("fields", FIELDS_MAX, Scalar::read),
            source: reader.dictionary("source", FIELDS_MAX, Scalar::read),
        };
        if lead.email.as_deref().is_some_and(|email| !is_email(email)) {
            reader.refuse("email", "must be an e-mail address");
        }
        reader.finish()?;
        lead.complete_names();
        Ok(lead)
    }

    /// Splits or joins names where one form of them is missing. Names are not that simple; but services
    /// ask for both forms, and a person can correct it there.
    fn complete_names(&mut self) {
        match (&self.name, &self.first_name, &self.last_name) {
            (Some(name), None, None) => {
                let mut words = name.splitn(2, char::is_whitespace);
                self.first_name = words.next().map(str::to_owned);
                self.last_name = words.next().map(|rest| rest.trim_start().to_owned());
            }
            (None, Some(first), Some(last)) => self.name = Some(format!("{first} {last}")),
            (None, Some(only), None) | (None, None, Some(only)) => self.name = Some(only.clone()),
            _ => {}
        }
    }

    /// What is known by this name: one of ours, else one of the `fields`.
    pub fn value(&self, name: &str) -> Option<String> {
        let known = match name {
            "email" => &self.email,
            "name" => &self.name,
            "first_name" => &self.first_name,
            "last_name" => &self.last_name,
            "phone" => &self.phone,
            "company" => &self.company,
            _ => &None,
        };
        let field = || self.fields.iter().find(|(field, _)| field == name);
        known.clone().or_else(|| field().map(|(_, value)| value.text()))
    }

    /// What is known, as JSON. [`Lead::read`] reads it back.
    pub fn to_json(&self) -> String {
        self.object(Object::new()).finish()
    }

    /// Adds what is known to an object; what is not known is left out.
    fn object(&self, object: Object) -> Object {
        let mut object = object
            .known("email", self.email.as_deref())
            .known("name", self.name.as_deref())
            .known("first_name", self.first_name.as_deref())
            .known("last_name", self.last_name.as_deref())
            .known("phone", self.phone.as_deref())
            .known("company", self.company.as_deref());
        if !self.tags.is_empty() {
            object = object.texts("tags", &self.tags);
        }
        for (name, entries) in [("fields", &self.fields), ("source", &self.source)] {
            if !entries.is_empty() {
                object = object.object(name, Object::of(entries));
            }
        }
        object
    }
}

/// Shows nothing of the person.
impl std::fmt::Debug for Lead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lead(withheld)")
    }
}

/// A local part and a domain. What is between is the mail server's to judge.
fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    }) && !text.chars().any(char::is_whitespace)
}

impl Captured {
    /// The data of its event: `{"lead":{"id",…},"campaign"}`, canonical.
    pub fn to_data(&self) -> String {
        Object::new()
            .object("lead", self.lead_with_id())
            .nullable("campaign", self.campaign.as_deref())
            .finish()
    }

    /// Reads the data of an event back.
    pub fn from_data(data: &[u8]) -> Result<Self, Vec<Refused>> {
        let mut reader = Reader::new(data, "")?;
        let campaign = reader.parsed("campaign", "a text");
        let lead = reader.take("lead").map_or("{}", RawValue::get);
        reader.finish()?;
        let mut reader = Reader::new(lead.as_bytes(), "/lead")?;
        let lead_id = reader.parsed("id", "a text");
        if lead_id.is_none() {
            reader.refuse("id", "is required");
        }
        let lead = Lead::from_reader(reader)?;
        Ok(Self { lead_id: lead_id.unwrap_or_default(), campaign, lead })
    }

    pub(super) fn lead_with_id(&self) -> Object {
        self.lead.object(Object::new().text("id", &self.lead_id))
    }
}
