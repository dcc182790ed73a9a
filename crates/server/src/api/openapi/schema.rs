//! Schemas as the page shows them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::api::html::{Escaped, Inline};

/// The contract, to look things up in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a>(pub(super) &'a Value);

impl<'a> Document<'a> {
    /// What a reference such as `#/components/schemas/Event` leads to; anything else is itself.
    pub(super) fn resolve(self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else { return value };
        let target = reference.strip_prefix('#').and_then(|pointer| self.0.pointer(pointer));
        target.unwrap_or(&Value::Null)
    }

    /// The first of the shapes that something may have; anything else is itself.
    pub(super) fn plainest(self, schema: &'a Value) -> &'a Value {
        let schema = self.resolve(schema);
        schema["oneOf"].get(0).unwrap_or(schema)
    }

    /// The members of an object, those of the objects that it is put together from included: name,
    /// schema, whether it is required.
    pub(super) fn members(self, schema: &'a Value) -> Vec<(&'a str, &'a Value, bool)> {
        let schema = self.resolve(schema);
        let mut members = Vec::new();
        for part in schema["allOf"].as_array().into_iter().flatten() {
            members.extend(self.members(part));
        }
        let required = |name: &str| {
            let mut all = schema["required"].as_array().into_iter().flatten();
            all.any(|required| required == name)
        };
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            members.push((name, member, required(name)));
        }
        members
    }
}

/// The name that a reference ends in.
pub(super) fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next())
}

/// A type in words, with a link where it has a section of its own.
pub(super) fn type_of(schema: &Value) -> String {
    if let Some(name) = referred(schema) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", Escaped(name));
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(schemas) = schema[choice].as_array() {
            let types: Vec<String> = schemas.iter().map(type_of).collect();
            return types.join(if choice == "allOf" { " with " } else { " or " });
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> =
            values.iter().map(|value| format!("<code>{}</code>", Escaped(&text(value)))).collect();
        return values.join(" or ");
    }
    let name = match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            names.join(" or ")
        }
        _ => "any JSON".to_owned(),
    };
    if name.starts_with("array") {
        return format!("{} of {}", Escaped(&name), type_of(&schema["items"]));
    }
    match schema.get("additionalProperties").filter(|of| of.is_object()) {
        Some(of) => format!("{} of {}", Escaped(&name), type_of(of)),
        None => Escaped(&name).to_string(),
    }
}

/// A table of an object's members; nothing when it has none.
pub(super) fn table(document: Document<'_>, schema: &Value, out: &mut String) {
    let members = document.members(schema);
    if members.is_empty() {
        return;
    }
    out.push_str("<table><tr><th>Field</th><th>Type</th><th>Meaning</th></tr>\n");
    for (name, member, required) in members {
        let must = if required { " <span class=\"required\">required</span>" } else { "" };
        let meaning = meaning(document, member);
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code>{must}</td><td>{}</td><td>{}</td></tr>",
            Escaped(name),
            type_of(member),
            Inline(meaning)
        );
    }
    out.push_str("</table>\n");
}

/// A member's own description, else that of what it refers to.
fn meaning<'a>(document: Document<'a>, member: &'a Value) -> &'a str {
    let own = member["description"].as_str();
    own.or_else(|| document.resolve(member)["description"].as_str()).unwrap_or_default()
}

/// A value as text, texts without their quotes.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
