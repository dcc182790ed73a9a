//! One operation as the page shows it.

use std::fmt::Write as _;

use serde_json::Value;

use super::example;
use super::schema::{Document, referred, table, type_of};
use crate::api::html::{Escaped, Inline, Prose};

/// An operation of the API, or a webhook that a receiver gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) path: &'a str,
    pub(super) method: &'a str,
    pub(super) value: &'a Value,
}

impl<'a> Operation<'a> {
    pub(super) fn id(self) -> &'a str {
        self.value["operationId"].as_str().unwrap_or(self.path)
    }

    pub(super) fn summary(self) -> &'a str {
        self.value["summary"].as_str().unwrap_or_default()
    }

    /// The first tag, which says in what section it is.
    pub(super) fn tag(self) -> &'a str {
        self.value["tags"][0].as_str().unwrap_or_default()
    }

    pub(super) fn render(self, document: Document<'a>, is_ours: bool, out: &mut String) {
        let id = Escaped(self.id());
        let _ = write!(out, "<article id=\"{id}\">\n<h3>");
        if is_ours {
            let method = self.method.to_uppercase();
            let _ = write!(out, "<span class=\"method\">{}</span> ", Escaped(&method));
        }
        let _ = writeln!(out, "<code>{}</code></h3>", Escaped(self.path));
        let description = self.value["description"].as_str().unwrap_or_default();
        let _ = writeln!(out, "<p>{}</p>{}", Inline(self.summary()), Prose(description));
        self.parameters(out);
        self.body(document, is_ours, out);
        if is_ours {
            self.responses(document, out);
            let curl = example::curl(document, self.path, self.method, self.value);
            let _ = writeln!(out, "<pre><code>{}</code></pre>", Escaped(&curl));
        }
        out.push_str("</article>\n");
    }

    fn parameters(self, out: &mut String) {
        let Some(parameters) = self.value["parameters"].as_array().filter(|all| !all.is_empty())
        else {
            return;
        };
        out.push_str("<h4>Parameters</h4>\n<table><tr><th>Name</th><th>In</th><th>Type</th><th>Meaning</th></tr>\n");
        for parameter in parameters {
            let text = |name: &str| parameter[name].as_str().unwrap_or_default();
            let must = match parameter["required"].as_bool() {
                Some(true) => " <span class=\"required\">required</span>",
                _ => "",
            };
            let _ = writeln!(
                out,
                "<tr><td><code>{}</code>{must}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                Escaped(text("name")),
                Escaped(text("in")),
                type_of(&parameter["schema"]),
                Inline(text("description"))
            );
        }
        out.push_str("</table>\n");
    }

    fn body(self, document: Document<'a>, is_ours: bool, out: &mut String) {
        let body = document.resolve(&self.value["requestBody"]);
        for (content_type, content) in body["content"].as_object().into_iter().flatten() {
            let schema = &content["schema"];
            let _ = write!(out, "<h4>Body: <code>{}</code>", Escaped(content_type));
            if let Some(name) = referred(schema) {
                let _ = write!(out, " <a href=\"#schema-{0}\">{0}</a>", Escaped(name));
            }
            out.push_str("</h4>\n");
            if let Some(text) = body["description"].as_str() {
                let _ = writeln!(out, "<p>{}</p>", Inline(text));
            }
            table(document, document.plainest(schema), out);
            if let (false, Some(example)) = (is_ours, content.get("example")) {
                let json = serde_json::to_string_pretty(example).unwrap_or_default();
                let _ = writeln!(out, "<pre><code>{}</code></pre>", Escaped(&json));
            }
        }
    }

    fn responses(self, document: Document<'a>, out: &mut String) {
        out.push_str("<h4>Answers</h4>\n<table>\n");
        for (status, response) in self.value["responses"].as_object().into_iter().flatten() {
            let response = document.resolve(response);
            let mut contents = response["content"].as_object().into_iter().flatten();
            let schema = contents.next().map(|(_, content)| &content["schema"]);
            let body = schema.filter(|schema| !schema.is_null()).map(type_of).unwrap_or_default();
            let meaning = response["description"].as_str().unwrap_or_default();
            let _ = writeln!(
                out,
                "<tr><td>{}</td><td>{}</td><td>{body}</td></tr>",
                Escaped(status),
                Inline(meaning)
            );
        }
        out.push_str("</table>\n");
    }
}
