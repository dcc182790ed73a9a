//! Reading JSON objects member by member, naming everything that is wrong.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

/// Something that a hand-off lacks or cannot use, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{pointer} {what}")]
pub struct Refused {
    /// A JSON pointer (RFC 6901) into `{"webhookUrl","lead","options"}`.
    pub pointer: String,
    /// What is wrong there, to follow its name: "is required".
    pub what: String,
}

impl Refused {
    pub(super) fn new(pointer: impl Into<String>, what: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), what: what.into() }
    }
}

/// The members of an object, in order, values unparsed.
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyObject;
        impl<'de> Visitor<'de> for AnyObject {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(AnyObject)
    }
}

/// An object that is taken apart. Members are asked for by name; [`Reader::finish`] refuses the others.
pub(super) struct Reader<'a> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
    at: String,
    refused: Vec<Refused>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(json: &'a [u8], at: &str) -> Result<Self, Vec<Refused>> {
        match serde_json::from_slice(json) {
            Ok(Members(members)) => {
                let mut reader = Self { members, at: at.to_owned(), refused: Vec::new() };
                reader.refuse_twice();
                Ok(reader)
            }
            Err(_) => Err(vec![Refused::new(at, "must be an object")]),
        }
    }

    fn refuse_twice(&mut self) {
        for n in 1..self.members.len() {
            let name = self.members[n].0.clone();
            if self.members[..n].iter().any(|(earlier, _)| *earlier == name) {
                self.refuse(&name, "is given twice");
            }
        }
    }

    pub(super) fn refuse(&mut self, name: &str, what: impl Into<String>) {
        self.refused.push(Refused::new(pointer(&self.at, name), what));
    }

    /// The value of a member, once. Null is as good as absent.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let mut found = None;
        self.members.retain(|(key, value)| {
            if key == name && found.is_none() {
                found = Some(*value);
            }
            key != name
        });
        found.filter(|value| value.get() != "null")
    }

    /// A value of some type; `what` says what it should be.
    pub(super) fn parsed<T: Deserialize<'a>>(&mut self, name: &str, what: &str) -> Option<T> {
        let value = self.take(name)?;
        match serde_json::from_str(value.get()) {
            Ok(parsed) => Some(parsed),
            Err(_) => {
                self.refuse(name, format!("must be {what}"));
                None
            }
        }
    }

    /// A text of one line without white space around it; an empty one is as good as none.
    pub(super) fn line(&mut self, name: &str, chars_max: usize) -> Option<String> {
        let text: String = self.parsed(name, "a text")?;
        let line = text.trim();
        if line.chars().count() > chars_max || line.chars().any(char::is_control) {
            let what = format!("must be one line of at most {chars_max} characters");
            self.refuse(name, what);
            return None;
        }
        (!line.is_empty()).then(|| line.to_owned())
    }

    /// A list of such texts.
    pub(super) fn lines(&mut self, name: &str, most: usize, chars_max: usize) -> Vec<String> {
        let given: Vec<String> = self.parsed(name, "a list of texts").unwrap_or_default();
        if given.len() > most {
            self.refuse(name, format!("must have at most {most} elements"));
        }
        for (n, text) in given.iter().enumerate() {
            if text.trim().is_empty()
                || text.chars().count() > chars_max
                || text.chars().any(char::is_control)
            {
                let what = format!("must be one line of 1 to {chars_max} characters");
                self.refused.push(Refused::new(format!("{}/{name}/{n}", self.at), what));
            }
        }
        let mut lines: Vec<String> = Vec::with_capacity(given.len());
        for text in given.iter().map(|text| text.trim()) {
            if !lines.iter().any(|known| known == text) {
                lines.push(text.to_owned());
            }
        }
        lines
    }

    /// An object of names of the client's choice, each value made by `read`; `Err` says what it must be.
    pub(super) fn dictionary<T>(
        &mut self,
        name: &str,
        most: usize,
        read: impl Fn(&RawValue) -> Result<Option<T>, &'static str>,
    ) -> Vec<(String, T)> {
        let Some(Members(members)) = self.parsed(name, "an object") else { return Vec::new() };
        if members.len() > most {
            self.refuse(name, format!("must have at most {most} members"));
            return Vec::new();
        }
        let at = pointer(&self.at, name);
        let mut entries: Vec<(String, T)> = Vec::with_capacity(members.len());
        for (key, value) in members {
            let mut refuse = |what: &str| self.refused.push(Refused::new(pointer(&at, &key), what));
            if !(1..=100).contains(&key.chars().count()) || key.chars().any(char::is_control) {
                refuse("must have a name of 1 to 100 characters on one line");
            } else if entries.iter().any(|(known, _)| *known == key) {
                refuse("is given twice");
            } else {
                match read(value) {
                    Ok(entry) => entries.extend(entry.map(|entry| (key.clone().into(), entry))),
                    Err(what) => refuse(what),
                }
            }
        }
        entries
    }

    /// Everything that was wrong, members that nobody asked for included.
    pub(super) fn finish(mut self) -> Result<(), Vec<Refused>> {
        for (name, _) in std::mem::take(&mut self.members) {
            self.refuse(&name, "is not a known field");
        }
        if self.refused.is_empty() { Ok(()) } else { Err(self.refused) }
    }
}

fn pointer(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}
