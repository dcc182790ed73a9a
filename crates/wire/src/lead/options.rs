//! What a format is told beside the lead: the key of an API, the list, the tags.

use std::fmt;

use serde_json::value::RawValue;

use super::Format;
use super::json::Object;
use super::read::{Reader, Refused};

/// The options of one hand-off. Which of them a format takes is said by [`Format::options`].
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// What authenticates to the service's API.
    pub(super) api_key: Option<String>,
    /// The list or audience that the lead joins.
    pub(super) list_id: Option<String>,
    /// The form that the lead joins.
    pub(super) form_id: Option<String>,
    /// The tag that the lead gets, by id.
    pub(super) tag_id: Option<String>,
    /// Tags that the lead gets beside its own, by name.
    pub(super) tags: Vec<String>,
    /// What the service calls the lead's fields: (ours, theirs).
    pub(super) fields: Vec<(String, String)>,
    /// Whether the service asks for consent by mail first.
    pub(super) double_opt_in: bool,
}

impl Options {
    /// Reads the options of a format. Those that it does not take are refused by name, as is what is
    /// missing. Pointers begin with `/options`.
    pub fn read(format: Format, json: &[u8]) -> Result<Self, Vec<Refused>> {
        let mut reader = Reader::new(json, "/options")?;
        let mut options = Self::default();
        for (name, _) in format.options() {
            match *name {
                "api_key" => options.api_key = read_api_key(&mut reader),
                "list_id" => options.list_id = read_id(&mut reader, "list_id", format),
                "form_id" => options.form_id = read_id(&mut reader, "form_id", format),
                "tag_id" => options.tag_id = read_id(&mut reader, "tag_id", format),
                "tags" => options.tags = reader.lines("tags", 50, 100),
                "fields" => options.fields = reader.dictionary("fields", 100, field_name),
                "double_opt_in" => {
                    let given = reader.parsed("double_opt_in", "true or false");
                    options.double_opt_in = given.unwrap_or_default();
                }
                unknown => unreachable!("`{unknown}` is an option that nobody reads"),
            }
        }
        reader.finish()?;
        let mut missing = Vec::new();
        options.check(format, &mut missing);
        if missing.is_empty() { Ok(options) } else { Err(missing) }
    }

    /// Notes the options that the format needs and that are not there.
    pub(super) fn check(&self, format: Format, refused: &mut Vec<Refused>) {
        for (name, is_required) in format.options() {
            let given = match *name {
                "api_key" => self.api_key.is_some(),
                "list_id" => self.list_id.is_some(),
                _ => true,
            };
            if *is_required && !given {
                let what = format!("is required by the format `{}`", format.name());
                refused.push(Refused::new(format!("/options/{name}"), what));
            }
        }
    }

    /// As JSON, the key included: for storing it, encrypted. [`Options::read`] reads it back.
    pub fn expose(&self) -> String {
        let mut object = Object::new()
            .known("api_key", self.api_key.as_deref())
            .known("list_id", self.list_id.as_deref())
            .known("form_id", self.form_id.as_deref())
            .known("tag_id", self.tag_id.as_deref());
        if !self.tags.is_empty() {
            object = object.texts("tags", &self.tags);
        }
        if !self.fields.is_empty() {
            let names = self.fields.iter();
            let fields =
                names.fold(Object::new(), |fields, (ours, theirs)| fields.text(ours, theirs));
            object = object.object("fields", fields);
        }
        if self.double_opt_in {
            object = object.json("double_opt_in", "true");
        }
        object.finish()
    }
}

/// Shows no key.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("list_id", &self.list_id)
            .field("form_id", &self.form_id)
            .field("tag_id", &self.tag_id)
            .finish_non_exhaustive()
    }
}

fn read_api_key(reader: &mut Reader<'_>) -> Option<String> {
    let key = reader.line("api_key", 1_000)?;
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        reader.refuse("api_key", "must be visible ASCII without spaces");
    }
    Some(key)
}

/// An id that becomes part of a URL, as text or as a number.
fn read_id(reader: &mut Reader<'_>, name: &str, format: Format) -> Option<String> {
    let id = match reader.parsed(name, "a text or a number")? {
        Id::Number(number) => number.to_string(),
        Id::Text(text) => text,
    };
    let has_number = matches!(format, Format::Convertkit | Format::Activecampaign);
    let is_good = match has_number {
        true => id.len() <= 18 && id.bytes().all(|byte| byte.is_ascii_digit()),
        false => id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
    };
    if id.is_empty() || !is_good {
        let kind = if has_number { "a number" } else { "letters and digits" };
        reader.refuse(name, format!("must be {kind}, as the service shows it"));
        return None;
    }
    Some(id)
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

fn field_name(raw: &RawValue) -> Result<Option<String>, &'static str> {
    const RULE: &str = "must be the name that the service has for it, 1 to 100 characters";
    let name: String = serde_json::from_str(raw.get()).map_err(|_| RULE)?;
    let is_good = (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if is_good { Ok(Some(name)) } else { Err(RULE) }
}
