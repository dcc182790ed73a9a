//! Writing JSON objects, in the order in which their members are told.

use super::captured::Scalar;
use crate::body::Out;
use crate::canonical::canonicalize;

/// An object being written.
pub(super) struct Object(Out);

impl Object {
    pub(super) fn new() -> Self {
        Self(Out(b"{".to_vec()))
    }

    /// An object of these members.
    pub(super) fn of(entries: &[(String, Scalar)]) -> Self {
        entries.iter().fold(Self::new(), |object, (name, value)| object.json(name, value.as_json()))
    }

    /// A member that is JSON already.
    pub(super) fn json(mut self, name: &str, json: &str) -> Self {
        if self.0.0.len() > 1 {
            self.0.raw(",");
        }
        self.0.string(name).raw(":").raw(json);
        self
    }

    pub(super) fn text(self, name: &str, text: &str) -> Self {
        self.json(name, &quoted(text))
    }

    /// Left out when it is not known.
    pub(super) fn known(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    /// Null when it is not known.
    pub(super) fn nullable(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.json(name, "null"),
        }
    }

    pub(super) fn texts(self, name: &str, texts: &[String]) -> Self {
        self.list(name, texts.iter().map(|text| quoted(text)))
    }

    pub(super) fn object(self, name: &str, object: Self) -> Self {
        self.json(name, &object.finish())
    }

    pub(super) fn objects(self, name: &str, objects: impl IntoIterator<Item = Self>) -> Self {
        self.list(name, objects.into_iter().map(Self::finish))
    }

    fn list(self, name: &str, elements: impl Iterator<Item = String>) -> Self {
        let elements: Vec<String> = elements.collect();
        self.json(name, &format!("[{}]", elements.join(",")))
    }

    /// The object, canonical: names that people chose may be integers, which JavaScript puts first.
    pub(super) fn finish(mut self) -> String {
        self.0.raw("}");
        let canonical = canonicalize(&self.0.0).expect("only canonical values were put in");
        String::from_utf8(canonical).expect("JSON is UTF-8")
    }
}

fn quoted(text: &str) -> String {
    let mut out = Out(Vec::with_capacity(text.len() + 2));
    out.string(text);
    String::from_utf8(out.0).expect("a text stays UTF-8")
}
