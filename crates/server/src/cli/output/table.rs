//! Aligned columns.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use tidings_core::time::Timestamp;

use super::plain;

/// A cell is cut here, characters: the whole of it is in the JSON.
const CELL_CHARS_MAX: usize = 60;

/// A column: its heading and where its value is (JSON pointer; a name alone is a field).
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Column(pub &'static str, pub &'static str);

/// A heading and a line for each item.
pub(in crate::cli) fn rows(items: &[Value], columns: &[Column]) -> Vec<String> {
    let mut grid: Vec<Vec<String>> = vec![columns.iter().map(|c| c.0.to_uppercase()).collect()];
    grid.extend(items.iter().map(|item| columns.iter().map(|c| cell(item, c)).collect()));
    align(&grid)
}

/// The fields of an object in the order in which they came.
#[derive(Debug)]
pub(super) struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

/// A line for each field; those of an object below by `object.field`.
pub(super) fn fields(fields: Fields) -> Vec<String> {
    let mut grid = Vec::new();
    for (name, value) in &fields.0 {
        put(name, value, &mut grid);
    }
    align(&grid)
}

fn put(name: &str, value: &Value, grid: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(below) if !below.is_empty() => {
            below.iter().for_each(|(key, value)| put(&format!("{name}.{key}"), value, grid));
        }
        _ => grid.push(vec![plain(name).into_owned(), text(name, value).into_owned()]),
    }
}

fn cell(item: &Value, column: &Column) -> String {
    let name = column.1;
    let value = if name.starts_with('/') { item.pointer(name) } else { item.get(name) };
    let text = value.map_or(Cow::Borrowed("-"), |value| text(name, value));
    if text.chars().count() <= CELL_CHARS_MAX {
        return text.into_owned();
    }
    text.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
}

/// A value as people read it: moments as dates, lists joined, nothing as `-`.
fn text<'v>(name: &str, value: &'v Value) -> Cow<'v, str> {
    let empty = Cow::Borrowed("-");
    match value {
        Value::Null => empty,
        Value::String(text) if text.is_empty() => empty,
        Value::String(text) => plain(text),
        Value::Number(number) if name.ends_with("_at") => match number.as_i64() {
            Some(ms) => moment(Timestamp::from_millis(ms)).into(),
            None => number.to_string().into(),
        },
        Value::Array(items) if items.is_empty() => empty,
        Value::Object(fields) if fields.is_empty() => empty,
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            let items: Vec<_> = items.iter().map(|item| text("", item)).collect();
            items.join(", ").into()
        }
        other => plain(&other.to_string()).into_owned().into(),
    }
}

/// `2026-11-22 16:44:44Z`
pub(super) fn moment(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    format!("{} {}Z", &text[..10], &text[11..19])
}

/// Pads every column but the last to its widest cell.
fn align(grid: &[Vec<String>]) -> Vec<String> {
    let count = grid.iter().map(Vec::len).max().unwrap_or(0);
    let width = |n: usize| {
        let cells = grid.iter().filter_map(|row| row.get(n));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    grid.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_values_readable() {
        let items = [
            serde_json::json!({"id": "a", "events": ["x", "y.*"], "created_at": 0, "n": {"m": 1}}),
            serde_json::json!({"id": "grün\n", "events": [], "created_at": null}),
        ];
        let columns = [
            Column("id", "id"),
            Column("events", "events"),
            Column("created", "created_at"),
            Column("m", "/n/m"),
        ];
        let expected = [
            "ID      EVENTS  CREATED               M",
            "a       x, y.*  1970-01-01 00:00:00Z  1",
            "grün\\n  -       -                     -",
        ];
        assert_eq!(rows(&items, &columns), expected);
    }

    #[test]
    fn one_thing_keeps_its_order() {
        let json = r#"{"id":"wh_1","created_at":0,"retry":{"max":3},"filters":{},"active":true}"#;
        let expected = [
            "id          wh_1",
            "created_at  1970-01-01 00:00:00Z",
            "retry.max   3",
            "filters     -",
            "active      true",
        ];
        assert_eq!(fields(serde_json::from_str(json).unwrap()), expected);
        assert!(serde_json::from_str::<Fields>("[1]").is_err());
    }

    #[test]
    fn long_cells_are_cut() {
        let items = [serde_json::json!({"a": "é".repeat(100)})];
        assert_eq!(rows(&items, &[Column("a", "a")])[1].chars().count(), CELL_CHARS_MAX);
    }
}
