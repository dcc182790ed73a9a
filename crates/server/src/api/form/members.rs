//! What a JSON body consists of, read in one pass.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::api::problem::{Problem, Result};

/// The members of a JSON object, in order, values unparsed.
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Members_;
        impl<'de> Visitor<'de> for Members_ {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Members_)
    }
}

/// So many names are compared with each other faster than they are hashed.
const FEW: usize = 16;

/// A text that is borrowed when it has no escapes.
#[derive(serde::Deserialize)]
pub(super) struct Key<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A whole body of some shape, read in one pass; 400 when it is no JSON, 422 when it is not `what`.
pub fn read_json<'a, T: Deserialize<'a>>(body: &'a [u8], what: &str) -> Result<T> {
    serde_json::from_slice(body).or_else(|_| {
        serde_json::from_slice::<&RawValue>(body).map_err(|error| no_json(body, &error))?;
        Err(Problem::invalid_field("", format!("must be {what}")))
    })
}

fn no_json(body: &[u8], error: &serde_json::Error) -> Problem {
    let detail = if body.is_empty() {
        "the body is empty; expected JSON".to_owned()
    } else {
        format!("the body is not valid JSON: {error}")
    };
    Problem::bad_request("invalid_json", detail)
}

/// The names that are there a second time.
pub(super) fn duplicates<'m>(members: &'m [(Cow<'_, str>, &RawValue)]) -> Vec<&'m str> {
    let names = members.iter().map(|(name, _)| &**name).enumerate();
    if members.len() <= FEW {
        let is_earlier = |n: usize, name: &str| members[..n].iter().any(|(other, _)| other == name);
        return names.filter(|&(n, name)| is_earlier(n, name)).map(|(_, name)| name).collect();
    }
    let mut earlier = HashSet::with_capacity(members.len());
    names.filter(|&(_, name)| !earlier.insert(name)).map(|(_, name)| name).collect()
}
