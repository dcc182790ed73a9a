//! `filters`: which of the wanted events are really wanted.

use serde_json::Value;
use tidings_core::filter::{Condition, Filters};
use tidings_core::limits::{CUSTOM_FILTERS_MAX, FILTER_VALUES_MAX};

use crate::api::form::{Form, Given};

/// A value to compare with, and a path into the data, characters.
const TEXT_CHARS_MAX: usize = 255;
/// One condition of `custom_filters`, bytes of JSON: conditions are kept in memory.
const CONDITION_BYTES_MAX: usize = 4_096;

/// Reads the filters; what is wrong is noted in the form.
pub(super) fn read(form: &mut Form<'_>) -> Filters {
    Filters {
        job_types: texts(form, "job_types"),
        job_priorities: numbers(form, "job_priorities"),
        machine_ids: texts(form, "machine_ids"),
        worker_ids: texts(form, "worker_ids"),
        custom_filters: custom(form),
    }
}

fn texts(form: &mut Form<'_>, name: &'static str) -> Option<Vec<String>> {
    let expected = format!("must be a text of 1 to {TEXT_CHARS_MAX} characters");
    elements(form, name, &expected, |json| {
        let text: String = serde_json::from_str(json).ok()?;
        (1..=TEXT_CHARS_MAX).contains(&text.chars().count()).then_some(text)
    })
}

fn numbers(form: &mut Form<'_>, name: &'static str) -> Option<Vec<f64>> {
    elements(form, name, "must be a number", |json| serde_json::from_str(json).ok())
}

fn elements<T>(
    form: &mut Form<'_>,
    name: &'static str,
    expected: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<Vec<T>> {
    let list = form.list(name, FILTER_VALUES_MAX).value()?;
    let mut values = Vec::with_capacity(list.len());
    for (n, raw) in list.into_iter().enumerate() {
        match parse(raw.get()) {
            Some(value) => values.push(value),
            None => form.refuse_item(name, n, expected),
        }
    }
    Some(values)
}

fn custom(form: &mut Form<'_>) -> Option<std::collections::BTreeMap<String, Condition>> {
    let Given::Value(mut below) = form.dictionary("custom_filters") else { return None };
    let members = below.entries();
    if members.len() > CUSTOM_FILTERS_MAX {
        form.refuse("custom_filters", format!("must have at most {CUSTOM_FILTERS_MAX} conditions"));
    }
    let mut conditions = std::collections::BTreeMap::new();
    for (path, raw) in members {
        match condition(&path, raw.get()) {
            Ok(condition) => {
                conditions.insert(path, condition);
            }
            Err(detail) => below.refuse(&path, detail),
        }
    }
    form.absorb(below);
    Some(conditions).filter(|conditions| !conditions.is_empty())
}

fn condition(path: &str, json: &str) -> Result<Condition, String> {
    if !(1..=TEXT_CHARS_MAX).contains(&path.chars().count()) {
        return Err(format!("must be named by a path of 1 to {TEXT_CHARS_MAX} characters"));
    }
    if json.len() > CONDITION_BYTES_MAX {
        return Err(format!("must have at most {CONDITION_BYTES_MAX} bytes"));
    }
    let value: Value =
        serde_json::from_str(json).map_err(|_| "is nested too deeply or out of range")?;
    match &value {
        Value::Object(tests) if tests.is_empty() => Err("must name at least one test".to_owned()),
        Value::Array(values) if values.is_empty() => Err("must have at least one value".to_owned()),
        value => Condition::parse(value),
    }
}
