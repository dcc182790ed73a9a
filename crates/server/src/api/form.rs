//! Request bodies: every wrong field is found and named, unknown ones are refused, nothing is copied
//! that need not be.
//!
//! A [`Form`] is a JSON object whose members are taken one by one. What is wrong is noted with its
//! JSON pointer and told all at once by [`Form::finish`].

mod members;

use std::borrow::Cow;

use serde_json::value::RawValue;
use tidings_core::time::Timestamp;

use self::members::{Key, Members, duplicates};
use super::problem::{FieldError, Problem, Result};

pub use self::members::read_json;

/// A member of a PATCH: left out, back to its default, or given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given<T> {
    Absent,
    Null,
    Value(T),
}

impl<T> Given<T> {
    /// The value, if one is given.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}

/// See the module's documentation.
pub struct Form<'a> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
    /// The pointer of this object.
    at: String,
    /// Its members have names of the client's choice: none is unknown.
    free: bool,
}

impl<'a> Form<'a> {
    /// Reads a body that must be a JSON object; 400 when it is no JSON, 422 when no object.
    pub fn parse(body: &'a [u8]) -> Result<Self> {
        let Members(members) = read_json(body, "an object")?;
        Ok(Self::with(members, String::new()))
    }

    /// Reads an object somewhere in a body; `None` when it is none.
    pub fn of(raw: &'a RawValue, at: String) -> Option<Self> {
        let Members(members) = serde_json::from_str(raw.get()).ok()?;
        Some(Self::with(members, at))
    }

    fn with(members: Vec<(Cow<'a, str>, &'a RawValue)>, at: String) -> Self {
        let known = Vec::with_capacity(8);
        let mut form = Self { members, known, errors: Vec::new(), at, free: false };
        form.refuse_duplicates();
        form
    }

    /// One whose unknown members are not looked at.
    #[must_use]
    pub fn open(self) -> Self {
        Self { free: true, ..self }
    }

    fn refuse_duplicates(&mut self) {
        for name in duplicates(&self.members) {
            let pointer = pointer(&self.at, name);
            self.errors.push(FieldError { pointer, detail: "is given twice".to_owned() });
        }
    }

    /// Notes that a field is wrong.
    pub fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        let pointer = pointer(&self.at, name);
        self.errors.push(FieldError { pointer, detail: detail.into() });
    }

    /// Notes that an item of a list is wrong.
    pub fn refuse_item(&mut self, name: &str, index: usize, detail: impl Into<String>) {
        let pointer = format!("{}/{index}", pointer(&self.at, name));
        self.errors.push(FieldError { pointer, detail: detail.into() });
    }

    /// Notes that this object as a whole is wrong.
    pub fn refuse_whole(&mut self, detail: impl Into<String>) {
        self.errors.push(FieldError { pointer: self.at.clone(), detail: detail.into() });
    }

    /// Takes over what was found wrong by others, with pointers from the body on.
    pub fn adopt(&mut self, errors: impl IntoIterator<Item = impl Into<FieldError>>) {
        self.errors.extend(errors.into_iter().map(Into::into));
    }

    /// A member as it is, unparsed.
    pub fn raw(&mut self, name: &'static str) -> Given<&'a RawValue> {
        self.known.push(name);
        match self.members.iter().find(|(key, _)| key == name) {
            None => Given::Absent,
            Some((_, raw)) if raw.get() == "null" => Given::Null,
            Some((_, raw)) => Given::Value(raw),
        }
    }

    /// A member of some type that serde knows; `what` says what it should have been.
    pub fn parsed<T: serde::Deserialize<'a>>(
        &mut self,
        name: &'static str,
        what: &str,
    ) -> Given<T> {
        match self.raw(name) {
            Given::Absent => Given::Absent,
            Given::Null => Given::Null,
            Given::Value(raw) => match serde_json::from_str(raw.get()) {
                Ok(value) => Given::Value(value),
                Err(_) => {
                    self.refuse(name, format!("must be {what}"));
                    Given::Absent
                }
            },
        }
    }

    /// A text.
    pub fn text(&mut self, name: &'static str) -> Given<Cow<'a, str>> {
        match self.parsed::<Key<'a>>(name, "a text") {
            Given::Value(Key(text)) => Given::Value(text),
            Given::Null => Given::Null,
            Given::Absent => Given::Absent,
        }
    }

    /// A text that must be there.
    pub fn required_text(&mut self, name: &'static str) -> Option<Cow<'a, str>> {
        match self.text(name) {
            Given::Value(text) => Some(text),
            Given::Null | Given::Absent => {
                self.require(name);
                None
            }
        }
    }

    /// Notes that a field is missing, unless it was found wrong already.
    pub fn require(&mut self, name: &str) {
        let pointer = pointer(&self.at, name);
        if self.errors.iter().all(|error| error.pointer != pointer) {
            self.refuse(name, "is required");
        }
    }

    /// A whole number between two bounds, both included.
    pub fn integer(&mut self, name: &'static str, least: i64, most: i64) -> Given<i64> {
        let given = self.parsed::<i64>(name, &format!("a whole number from {least} to {most}"));
        match given {
            Given::Value(number) if !(least..=most).contains(&number) => {
                self.refuse(name, format!("must be a whole number from {least} to {most}"));
                Given::Absent
            }
            given => given,
        }
    }

    pub fn boolean(&mut self, name: &'static str) -> Given<bool> {
        self.parsed(name, "true or false")
    }

    /// A moment: Unix milliseconds, or RFC 3339 text.
    pub fn moment(&mut self, name: &'static str) -> Given<Timestamp> {
        match self.raw(name) {
            Given::Absent => Given::Absent,
            Given::Null => Given::Null,
            Given::Value(raw) => match parse_moment(raw.get()) {
                Some(at) => Given::Value(at),
                None => {
                    self.refuse(name, "must be Unix milliseconds or RFC 3339 text, 1970 to 9999");
                    Given::Absent
                }
            },
        }
    }

    /// An object below this one. What is wrong in it is noted here by [`Self::absorb`].
    pub fn object(&mut self, name: &'static str) -> Given<Form<'a>> {
        match self.raw(name) {
            Given::Absent => Given::Absent,
            Given::Null => Given::Null,
            Given::Value(raw) => match Form::of(raw, pointer(&self.at, name)) {
                Some(form) => Given::Value(form),
                None => {
                    self.refuse(name, "must be an object");
                    Given::Absent
                }
            },
        }
    }

    /// An object below this one whose members have names of the client's choice.
    pub fn dictionary(&mut self, name: &'static str) -> Given<Form<'a>> {
        match self.object(name) {
            Given::Value(form) => Given::Value(form.open()),
            other => other,
        }
    }

    /// A list, its elements unparsed, of at least one and at most `most`.
    pub fn list(&mut self, name: &'static str, most: usize) -> Given<Vec<&'a RawValue>> {
        match self.parsed::<Vec<&'a RawValue>>(name, "a list") {
            Given::Value(list) if list.is_empty() || list.len() > most => {
                self.refuse(name, format!("must have 1 to {most} elements"));
                Given::Absent
            }
            given => given,
        }
    }

    /// Takes over what is wrong in an object below, its unknown members included.
    pub fn absorb(&mut self, mut below: Form<'_>) {
        below.refuse_unknown();
        self.errors.append(&mut below.errors);
    }

    /// The names of the members, for objects with free keys.
    pub fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.members.iter().map(|(name, raw)| (name.as_ref(), *raw))
    }

    /// The members in order, to be judged one by one in this form.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, &'a RawValue)> {
        self.members().map(|(name, raw)| (name.to_owned(), raw)).collect()
    }

    /// Whether nothing has been found wrong so far.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.errors.is_empty()
    }

    fn refuse_unknown(&mut self) {
        if self.free {
            return;
        }
        let known = std::mem::take(&mut self.known);
        let unknown: Vec<FieldError> = self
            .members
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_ref()))
            .map(|(name, _)| FieldError {
                pointer: pointer(&self.at, name),
                detail: match nearest(name, known.iter().copied()) {
                    Some(near) => format!("is not a known field; did you mean `{near}`?"),
                    None => "is not a known field".to_owned(),
                },
            })
            .collect();
        self.errors.extend(unknown);
    }

    /// All that was wrong, unknown members included.
    #[must_use]
    pub fn errors(mut self) -> Vec<FieldError> {
        self.refuse_unknown();
        self.errors
    }

    /// 422 if anything was wrong.
    pub fn finish(self) -> Result<()> {
        let errors = self.errors();
        if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
    }
}

/// The pointer of a member of the object at `at` (RFC 6901).
#[must_use]
pub fn pointer(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The known name that a mistaken one most resembles, if any does.
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Unix milliseconds or RFC 3339, between 1970 and 9999.
fn parse_moment(json: &str) -> Option<Timestamp> {
    let ms = match serde_json::from_str::<Key<'_>>(json) {
        Ok(Key(text)) => parse_rfc3339(&text)?.as_millis(),
        Err(_) => json.parse().ok()?,
    };
    (0..=253_402_300_799_999).contains(&ms).then(|| Timestamp::from_millis(ms))
}

/// RFC 3339 text as a moment.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_millis(at.as_millisecond()))
}

impl std::fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form").field("at", &self.at).field("errors", &self.errors).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_named_at_once() {
        let body = br#"{"naem":"x","max":7,"max":8,"inner":{"a/b":1},"flag":"yes"}"#;
        let mut form = Form::parse(body).expect("an object");
        assert_eq!(form.required_text("name"), None);
        form.integer("max", 1, 5);
        form.boolean("flag");
        if let Given::Value(inner) = form.object("inner") {
            form.absorb(inner);
        }
        let problem = form.finish().expect_err("it is all wrong");
        let pointers: Vec<&str> = problem.errors.iter().map(|e| e.pointer.as_str()).collect();
        assert_eq!(pointers, ["/max", "/name", "/max", "/flag", "/inner/a~1b", "/naem"]);
        assert!(problem.errors[5].detail.contains("`name`"));
    }

    #[test]
    fn broken_json_is_400_and_other_json_422() {
        assert_eq!(Form::parse(b"{\"a\":").err().map(|p| p.status.as_u16()), Some(400));
        assert_eq!(Form::parse(b"").err().map(|p| p.status.as_u16()), Some(400));
        assert_eq!(Form::parse(b"\xff").err().map(|p| p.status.as_u16()), Some(400));
        assert_eq!(Form::parse(b"[]").err().map(|p| p.status.as_u16()), Some(422));
    }

    #[test]
    fn moments_in_both_forms() {
        for text in ["1705228256789", "\"2024-01-14T10:30:56.789Z\""] {
            assert_eq!(parse_moment(text), Some(Timestamp::from_millis(1_705_228_256_789)));
        }
        for text in ["-1", "1e3", "\"tomorrow\"", "99999999999999999", "true"] {
            assert_eq!(parse_moment(text), None, "{text}");
        }
    }
}
