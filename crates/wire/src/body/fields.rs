//! Bodies of named fields: taken out of an event's data, or given one by one, and written in order.

use crate::canonical::{self, Order, Unrepresentable, Why};
use crate::time::Rfc3339;

/// A JSON value in canonical form.
pub(super) type Printed = Vec<u8>;

pub(super) fn text(text: &str) -> Printed {
    let mut printed = Vec::with_capacity(text.len() + 2);
    canonical::append_string(text, &mut printed);
    printed
}

pub(super) fn time(ms: i64) -> Printed {
    text(&Rfc3339::new(ms))
}

/// Some JSON that stands at `pointer`.
pub(super) fn json(json: &[u8], pointer: &str, order: Order) -> Result<Printed, Unrepresentable> {
    let mut printed = Vec::with_capacity(json.len());
    canonical::append(json, pointer, order, &mut printed)?;
    Ok(printed)
}

/// An object of those fields that are there, in this order.
pub(super) fn object<const N: usize>(fields: [(&str, Option<Printed>); N]) -> Printed {
    let mut out = vec![b'{'];
    for (name, value) in fields {
        let Some(value) = value else { continue };
        if out.len() > 1 {
            out.push(b',');
        }
        canonical::append_string(name, &mut out);
        out.push(b':');
        out.extend_from_slice(&value);
    }
    out.push(b'}');
    out
}

/// What a field must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Number,
    Object,
}

impl Kind {
    fn is(self, printed: &[u8]) -> bool {
        match (self, printed.first()) {
            (Self::Text, Some(b'"')) | (Self::Object, Some(b'{')) => true,
            (Self::Number, Some(first)) => *first == b'-' || first.is_ascii_digit(),
            _ => false,
        }
    }

    fn named(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Object => "an object",
        }
    }
}

/// The data of an event in canonical form, to take fields out of.
pub(super) struct Data(Printed);

impl Data {
    /// Reads the data, which must be an object.
    pub(super) fn read(data: &[u8], order: Order) -> Result<Self, Unrepresentable> {
        let printed = json(data, "/data", order)?;
        match Kind::Object.is(&printed) {
            true => Ok(Self(printed)),
            false => Err(wrong("/data", Why::Not("an object"))),
        }
    }

    /// The first of these fields that is there; null is as if it were not.
    pub(super) fn any(&self, names: &[&str]) -> Option<Printed> {
        let members = canonical::members(&self.0).unwrap_or_default();
        names.iter().find_map(|name| {
            let quoted = text(name);
            let (_, value) = members.iter().find(|(key, _)| *key == quoted)?;
            (*value != b"null").then(|| value.to_vec())
        })
    }

    /// The same for fields of one kind; something else under their name is an error.
    fn of_kind(&self, names: &[&str], kind: Kind) -> Result<Option<Printed>, Unrepresentable> {
        match self.any(names) {
            Some(value) if !kind.is(&value) => Err(self.wrong(names, Why::Not(kind.named()))),
            value => Ok(value),
        }
    }

    /// The same for fields that may be missing; an empty text says nothing.
    pub(super) fn optional(
        &self,
        names: &[&str],
        kind: Kind,
    ) -> Result<Option<Printed>, Unrepresentable> {
        Ok(self.of_kind(names, kind)?.filter(|value| value != b"\"\""))
    }

    /// The same for fields of which one must be there.
    pub(super) fn required(&self, names: &[&str], kind: Kind) -> Result<Printed, Unrepresentable> {
        self.of_kind(names, kind)?.ok_or_else(|| self.wrong(names, Why::Missing))
    }

    /// Points at the first of the names that is there, else at the first.
    fn wrong(&self, names: &[&str], why: Why) -> Unrepresentable {
        let there = names.iter().find(|name| self.any(&[name]).is_some());
        wrong(&format!("/data/{}", there.unwrap_or(&names[0])), why)
    }
}

fn wrong(pointer: &str, why: Why) -> Unrepresentable {
    Unrepresentable { pointer: pointer.to_owned(), why }
}
