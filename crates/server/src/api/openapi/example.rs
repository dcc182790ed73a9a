//! Example values and requests, made from schemas.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::schema::Document;

/// References may go round in circles.
const DEPTH_MAX: usize = 4;

/// A value that fits a schema: its own examples where it has any, else the plainest there is. Of an
/// object's members it has those that are required or have an example.
pub(super) fn value(document: Document<'_>, schema: &Value, depth: usize) -> Value {
    if let Some(example) = own(schema) {
        return example.clone();
    }
    let schema = document.resolve(schema);
    if let Some(example) = own(schema) {
        return example.clone();
    }
    if depth >= DEPTH_MAX {
        return Value::Null;
    }
    for choice in ["oneOf", "anyOf"] {
        let mut schemas = schema[choice].as_array().into_iter().flatten();
        if let Some(chosen) = schemas.find(|schema| schema["type"] != "null") {
            return value(document, chosen, depth + 1);
        }
    }
    let members = document.members(schema);
    if !members.is_empty() {
        let shown = members
            .into_iter()
            .filter(|(_, member, required)| *required || own(member).is_some())
            .map(|(name, member, _)| (name.to_owned(), value(document, member, depth + 1)));
        return Value::Object(shown.collect::<Map<_, _>>());
    }
    plain(document, schema, depth)
}

fn own(schema: &Value) -> Option<&Value> {
    schema.get("example").or_else(|| schema.get("examples").and_then(|all| all.get(0)))
}

fn plain(document: Document<'_>, schema: &Value, depth: usize) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    let name = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str());
    match name {
        Some("string") => json!("…"),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([value(document, &schema["items"], depth + 1)]),
        _ => json!({}),
    }
}

/// A command that calls an operation.
pub(super) fn curl(document: Document<'_>, path: &str, method: &str, operation: &Value) -> String {
    let mut command = String::from("curl");
    if method != "get" {
        let _ = write!(command, " -X {}", method.to_uppercase());
    }
    let path = path.replace('{', "$").replace('}', "").replace("$id", "$ID");
    let _ = write!(command, " \"http://127.0.0.1:4000{path}\"");
    // An empty list says that no key is needed.
    if operation["security"].as_array().is_none_or(|keys| !keys.is_empty()) {
        command.push_str(" \\\n  -H \"Authorization: Bearer $TIDINGS_KEY\"");
    }
    let body = document.resolve(&operation["requestBody"]);
    if let Some(content) = body["content"].get("application/json") {
        let example = content
            .get("example")
            .cloned()
            .unwrap_or_else(|| value(document, &content["schema"], 0));
        let json = serde_json::to_string_pretty(&example).unwrap_or_default();
        command.push_str(" \\\n  -H \"Content-Type: application/json\" \\\n  -d '");
        command.push_str(&json.replace('\'', "'\\''"));
        command.push('\'');
    }
    command
}
