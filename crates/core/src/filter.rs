//! Filters: which events of the wanted types a webhook really wants, judged on the event's data.
//!
//! The data stay bytes: only the values that a filter names are looked at, object by object, so a
//! webhook without filters costs nothing and deep nesting cannot exhaust the stack.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// All given conditions must hold. An absent value matches no condition but `$exists: false` and `$ne`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filters {
    /// `data.job_type`; `*` stands for any characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_types: Option<Vec<String>>,
    /// `data.priority`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_priorities: Option<Vec<f64>>,
    /// `data.machine_id`, with `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_ids: Option<Vec<String>>,
    /// `data.worker_id`, with `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_ids: Option<Vec<String>>,
    /// Path into the data (`customer.plan`) and what its value must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_filters: Option<BTreeMap<String, Condition>>,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    Equals(Value),
    OneOf(Vec<Value>),
    /// All given tests must hold.
    Tests(Vec<Test>),
}

/// One test of a condition object.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    Greater(f64),
    GreaterOrEqual(f64),
    Less(f64),
    LessOrEqual(f64),
    NotEqual(Value),
    In(Vec<Value>),
    Exists(bool),
    Prefix(String),
}

impl Filters {
    /// Whether there is nothing to test.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an event with these data passes.
    #[must_use]
    pub fn match_data(&self, data: &Data<'_>) -> bool {
        if self.is_empty() {
            return true;
        }
        let Some(root) = data.members() else { return false };
        globs(self.job_types.as_deref(), root, "job_type")
            && numbers(self.job_priorities.as_deref(), root, "priority")
            && globs(self.machine_ids.as_deref(), root, "machine_id")
            && globs(self.worker_ids.as_deref(), root, "worker_id")
            && self.custom_filters.iter().flatten().all(|(path, condition)| {
                condition.holds(lookup(root, path).and_then(value).as_ref())
            })
    }
}

/// The data (JSON) of one event. They are read when the first filter asks, and once for all of them.
#[derive(Debug)]
pub struct Data<'d> {
    json: &'d [u8],
    /// `None` when they are no JSON.
    members: OnceCell<Option<Members<'d>>>,
}

impl<'d> Data<'d> {
    #[must_use]
    pub const fn new(json: &'d [u8]) -> Self {
        Self { json, members: OnceCell::new() }
    }

    fn members(&self) -> Option<&Members<'d>> {
        let read = || serde_json::from_slice(self.json).ok().map(Members::of);
        self.members.get_or_init(read).as_ref()
    }
}

/// What a value consists of.
#[derive(Debug)]
enum Members<'d> {
    Object(BTreeMap<Cow<'d, str>, &'d RawValue>),
    Array(Vec<&'d RawValue>),
    Neither,
}

impl<'d> Members<'d> {
    fn of(value: &'d RawValue) -> Self {
        let json = value.get();
        let object = serde_json::from_str(json).map(Self::Object);
        object.or_else(|_| serde_json::from_str(json).map(Self::Array)).unwrap_or(Self::Neither)
    }

    /// A member of an object, or an element of an array by its index; the last of duplicate keys.
    fn get(&self, name: &str) -> Option<&'d RawValue> {
        match self {
            Self::Object(object) => object.get(name).copied(),
            Self::Array(elements) => elements.get(name.parse::<usize>().ok()?).copied(),
            Self::Neither => None,
        }
    }
}

fn globs(wanted: Option<&[String]>, root: &Members<'_>, field: &str) -> bool {
    let Some(wanted) = wanted else { return true };
    let Some(Value::String(found)) = lookup(root, field).and_then(value) else { return false };
    wanted.iter().any(|pattern| glob(pattern, &found))
}

fn numbers(wanted: Option<&[f64]>, root: &Members<'_>, field: &str) -> bool {
    let Some(wanted) = wanted else { return true };
    let found = lookup(root, field).and_then(value).as_ref().and_then(Value::as_f64);
    found.is_some_and(|found| wanted.contains(&found))
}

/// `*` stands for any run of characters, also none. Linear in the text for each star.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// The value at a dotted path. A whole key wins over a path, so `{"a.b": 1}` can be named `a.b`.
fn lookup<'d>(root: &Members<'d>, path: &str) -> Option<&'d RawValue> {
    let mut below;
    let (mut members, mut rest) = (root, path);
    loop {
        if let Some(whole) = members.get(rest) {
            return Some(whole);
        }
        let (head, tail) = rest.split_once('.')?;
        below = Members::of(members.get(head)?);
        (members, rest) = (&below, tail);
    }
}

/// The value itself; `None` when it is nested too deeply to be compared with anything.
fn value(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

impl Condition {
    fn holds(&self, found: Option<&Value>) -> bool {
        match self {
            Self::Equals(wanted) => found.is_some_and(|found| same(found, wanted)),
            Self::OneOf(wanted) => found.is_some_and(|found| wanted.iter().any(|w| same(found, w))),
            Self::Tests(tests) => tests.iter().all(|test| test.holds(found)),
        }
    }

    /// From the JSON that a user writes; the error says what is wrong.
    pub fn parse(json: &Value) -> Result<Self, String> {
        match json {
            Value::Array(values) => Ok(Self::OneOf(values.clone())),
            Value::Object(tests) => tests
                .iter()
                .map(|(name, operand)| Test::parse(name, operand))
                .collect::<Result<_, _>>()
                .map(Self::Tests),
            scalar => Ok(Self::Equals(scalar.clone())),
        }
    }

    /// As the user wrote it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Equals(value) => value.clone(),
            Self::OneOf(values) => Value::Array(values.clone()),
            Self::Tests(tests) => Value::Object(tests.iter().map(Test::to_json).collect()),
        }
    }
}

impl Test {
    fn holds(&self, found: Option<&Value>) -> bool {
        let number = found.and_then(Value::as_f64);
        match self {
            Self::Greater(bound) => number.is_some_and(|n| n > *bound),
            Self::GreaterOrEqual(bound) => number.is_some_and(|n| n >= *bound),
            Self::Less(bound) => number.is_some_and(|n| n < *bound),
            Self::LessOrEqual(bound) => number.is_some_and(|n| n <= *bound),
            Self::NotEqual(other) => !found.is_some_and(|found| same(found, other)),
            Self::In(values) => found.is_some_and(|found| values.iter().any(|v| same(found, v))),
            Self::Exists(wanted) => found.is_some() == *wanted,
            Self::Prefix(prefix) => {
                found.and_then(Value::as_str).is_some_and(|text| text.starts_with(prefix.as_str()))
            }
        }
    }

    /// From its operator and what that is given; the error says what is wrong.
    pub fn parse(name: &str, operand: &Value) -> Result<Self, String> {
        let number = || operand.as_f64().ok_or_else(|| format!("{name} takes a number"));
        match name {
            "$gt" => number().map(Self::Greater),
            "$gte" => number().map(Self::GreaterOrEqual),
            "$lt" => number().map(Self::Less),
            "$lte" => number().map(Self::LessOrEqual),
            "$ne" => Ok(Self::NotEqual(operand.clone())),
            "$in" => match operand {
                Value::Array(values) => Ok(Self::In(values.clone())),
                _ => Err("$in takes a list".to_owned()),
            },
            "$exists" => operand
                .as_bool()
                .map(Self::Exists)
                .ok_or_else(|| "$exists takes true or false".into()),
            "$prefix" => match operand {
                Value::String(prefix) => Ok(Self::Prefix(prefix.clone())),
                _ => Err("$prefix takes a text".to_owned()),
            },
            other => Err(format!(
                "unknown operator {other}; known are $gt, $gte, $lt, $lte, $ne, $in, $exists, $prefix"
            )),
        }
    }

    fn to_json(&self) -> (String, Value) {
        let (name, operand) = match self {
            Self::Greater(bound) => ("$gt", Value::from(*bound)),
            Self::GreaterOrEqual(bound) => ("$gte", Value::from(*bound)),
            Self::Less(bound) => ("$lt", Value::from(*bound)),
            Self::LessOrEqual(bound) => ("$lte", Value::from(*bound)),
            Self::NotEqual(other) => ("$ne", other.clone()),
            Self::In(values) => ("$in", Value::Array(values.clone())),
            Self::Exists(wanted) => ("$exists", Value::Bool(*wanted)),
            Self::Prefix(prefix) => ("$prefix", Value::String(prefix.clone())),
        };
        (name.to_owned(), operand)
    }
}

/// Equal as JSON means it: `1` is `1.0`.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

impl Serialize for Condition {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(filters: &str, data: &str) -> bool {
        let filters: Filters = serde_json::from_str(filters).expect("filters");
        filters.match_data(&Data::new(data.as_bytes()))
    }

    #[test]
    fn job_filters_with_globs() {
        let filters = r#"{"job_types":["comfyui"],"job_priorities":[1,2,3]}"#;
        assert!(passes(filters, r#"{"job_type":"comfyui","priority":2}"#));
        assert!(!passes(filters, r#"{"job_type":"comfyui","priority":4}"#));
        assert!(!passes(filters, r#"{"job_type":"comfyui"}"#), "absent matches nothing");
        let machines = r#"{"machine_ids":["prod-cluster-*"]}"#;
        assert!(passes(machines, r#"{"machine_id":"prod-cluster-7"}"#));
        assert!(!passes(machines, r#"{"machine_id":"dev-cluster-7"}"#));
    }

    #[test]
    fn custom_filters_look_into_the_data() {
        let passes_one = |condition: &str, data: &str| {
            passes(&format!(r#"{{"custom_filters":{{"a.b":{condition}}}}}"#), data)
        };
        assert!(passes_one("1", r#"{"a":{"b":1.0}}"#));
        assert!(passes_one("1", r#"{"a.b":1}"#));
        assert!(passes_one(r#"["x","y"]"#, r#"{"a":{"b":"y"}}"#));
        assert!(passes_one(r#"{"$gt":1,"$lt":3}"#, r#"{"a":{"b":2}}"#));
        assert!(!passes_one(r#"{"$gt":1,"$lt":3}"#, r#"{"a":{"b":3}}"#));
        assert!(passes_one(r#"{"$exists":false}"#, r#"{"a":{}}"#));
        assert!(passes_one(r#"{"$ne":1}"#, r#"{}"#));
        assert!(passes_one(r#"{"$prefix":"de"}"#, r#"{"a":{"b":"default"}}"#));
        assert!(passes_one(r#"{"$in":[1,null]}"#, r#"{"a":{"b":null}}"#));
        assert!(!passes_one("1", r#"[1]"#) && !passes_one("1", "17"));
    }

    #[test]
    fn the_data_are_read_once_for_all_filters() {
        let data = Data::new(br#"{"a":[{"b":1},{"b":2}],"c":1,"c":2}"#);
        let passes = |path: &str, wanted: i64| {
            let filters = format!(r#"{{"custom_filters":{{"{path}":{wanted}}}}}"#);
            serde_json::from_str::<Filters>(&filters).expect("filters").match_data(&data)
        };
        assert!(Filters::default().match_data(&data) && data.members.get().is_none());
        assert!(passes("a.1.b", 2) && !passes("a.2.b", 2) && !passes("a.b", 2));
        assert!(passes("c", 2) && !passes("c", 1), "the last of two counts");
        assert!(data.members.get().is_some());
        let cut = Data::new(br#"{"c":2"#);
        let absent = r#"{"custom_filters":{"c":{"$exists":false}}}"#;
        assert!(!serde_json::from_str::<Filters>(absent).expect("filters").match_data(&cut));
    }

    #[test]
    fn unknown_operators_are_named() {
        let error = serde_json::from_str::<Filters>(r#"{"custom_filters":{"a":{"$near":1}}}"#);
        assert!(error.expect_err("refused").to_string().contains("$near"));
    }

    #[test]
    fn depth_does_not_exhaust_the_stack() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(!passes(r#"{"custom_filters":{"a":1}}"#, &deep));
    }

    #[test]
    fn globs() {
        for (pattern, text) in [("*", ""), ("a*c", "abc"), ("*b*", "abc"), ("a*b*c", "aXbYc")] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a*c", "ab"), ("a*a", "a"), ("*b", "bc")] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }
}
