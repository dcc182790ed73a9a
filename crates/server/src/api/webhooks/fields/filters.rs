//! `filters`: which of the wanted events are really wanted.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tidings_core::filter::{Condition, Filters, Test};
use tidings_core::limits::{CUSTOM_FILTERS_MAX, FILTER_VALUES_MAX};

use super::Mode;
use crate::api::form::{Form, Given, pointer};
use crate::api::problem::FieldError;

/// Where they are in the body.
const CUSTOM_FILTERS: &str = "/filters/custom_filters";

type Conditions = BTreeMap<String, Condition>;

/// A value to compare with, and a path into the data, characters.
const TEXT_CHARS_MAX: usize = 255;
/// One condition of `custom_filters`, bytes of JSON: conditions are kept in memory.
const CONDITION_BYTES_MAX: usize = 4_096;

/// Reads the filters that are given over those that there are; what is wrong is noted in the form.
pub(super) fn read(form: &mut Form<'_>, mode: Mode, filters: &mut Filters) {
    texts(form, mode, "job_types", &mut filters.job_types);
    numbers(form, mode, "job_priorities", &mut filters.job_priorities);
    texts(form, mode, "machine_ids", &mut filters.machine_ids);
    texts(form, mode, "worker_ids", &mut filters.worker_ids);
    let given = custom(form);
    mode.set(form, "custom_filters", given, &mut filters.custom_filters);
    // Without a condition it is none.
    filters.custom_filters.take_if(|conditions| conditions.is_empty());
}

fn texts(form: &mut Form<'_>, mode: Mode, name: &'static str, place: &mut Option<Vec<String>>) {
    let expected = format!("must be a text of 1 to {TEXT_CHARS_MAX} characters");
    let given = elements(form, name, &expected, |json| {
        let text: String = serde_json::from_str(json).ok()?;
        (1..=TEXT_CHARS_MAX).contains(&text.chars().count()).then_some(text)
    });
    mode.set(form, name, given, place);
}

fn numbers(form: &mut Form<'_>, mode: Mode, name: &'static str, place: &mut Option<Vec<f64>>) {
    let given = elements(form, name, "must be a number", |json| serde_json::from_str(json).ok());
    mode.set(form, name, given, place);
}

fn elements<T>(
    form: &mut Form<'_>,
    name: &'static str,
    expected: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Given<Vec<T>> {
    let list = match form.list(name, FILTER_VALUES_MAX) {
        Given::Value(list) => list,
        Given::Null => return Given::Null,
        Given::Absent => return Given::Absent,
    };
    let mut values = Vec::with_capacity(list.len());
    for (n, raw) in list.into_iter().enumerate() {
        match parse(raw.get()) {
            Some(value) => values.push(value),
            None => form.refuse_item(name, n, expected),
        }
    }
    Given::Value(values)
}

fn custom(form: &mut Form<'_>) -> Given<Conditions> {
    let mut below = match form.dictionary("custom_filters") {
        Given::Value(below) => below,
        Given::Null => return Given::Null,
        Given::Absent => return Given::Absent,
    };
    let members = below.entries();
    if members.len() > CUSTOM_FILTERS_MAX {
        form.refuse("custom_filters", format!("must have at most {CUSTOM_FILTERS_MAX} conditions"));
    }
    let mut conditions = Conditions::new();
    for (path, raw) in members {
        match condition(&path, raw.get()) {
            Ok(condition) => {
                conditions.insert(path, condition);
            }
            Err(errors) => below.adopt(errors),
        }
    }
    form.absorb(below);
    Given::Value(conditions)
}

/// All that is wrong with it is told, each test at its own place.
fn condition(path: &str, json: &str) -> Result<Condition, Vec<FieldError>> {
    let at = pointer(CUSTOM_FILTERS, path);
    let wrong = |detail: String| Err(vec![FieldError { pointer: at.clone(), detail }]);
    if !(1..=TEXT_CHARS_MAX).contains(&path.chars().count()) {
        return wrong(format!("must be named by a path of 1 to {TEXT_CHARS_MAX} characters"));
    }
    if json.len() > CONDITION_BYTES_MAX {
        return wrong(format!("must have at most {CONDITION_BYTES_MAX} bytes"));
    }
    match serde_json::from_str(json) {
        Err(_) => wrong("is nested too deeply or out of range".to_owned()),
        Ok(Value::Object(tests)) if tests.is_empty() => wrong("must name at least one test".into()),
        Ok(Value::Array(values)) if values.is_empty() => {
            wrong("must have at least one value".into())
        }
        Ok(Value::Object(tests)) => self::tests(&at, &tests),
        Ok(value) => Condition::parse(&value).or_else(wrong),
    }
}

fn tests(at: &str, given: &Map<String, Value>) -> Result<Condition, Vec<FieldError>> {
    let (mut tests, mut errors) = (Vec::with_capacity(given.len()), Vec::new());
    for (operator, operand) in given {
        match Test::parse(operator, operand) {
            Ok(test) => tests.push(test),
            Err(detail) => errors.push(FieldError { pointer: pointer(at, operator), detail }),
        }
    }
    if errors.is_empty() { Ok(Condition::Tests(tests)) } else { Err(errors) }
}
