//! `/docs`: the contract as a page to read.

use std::fmt::Write as _;

use serde_json::Value;

use super::operation::Operation;
use super::schema::{Document, table, type_of};
use crate::api::html::{self, Escaped, Inline, Prose};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The page.
pub(super) fn render(contract: &Value) -> String {
    let document = Document(contract);
    let operations = operations(&contract["paths"]);
    let mut out = String::with_capacity(128 << 10);
    header(&contract["info"], &mut out);
    navigation(contract, &operations, &mut out);
    out.push_str("<main>\n");
    for tag in contract["tags"].as_array().into_iter().flatten() {
        let name = tag["name"].as_str().unwrap_or_default();
        let about = tag["description"].as_str().unwrap_or_default();
        let _ = writeln!(out, "<h2 id=\"tag-{0}\">{0}</h2>\n{1}", Escaped(name), Prose(about));
        for operation in operations.iter().filter(|operation| operation.tag() == name) {
            operation.render(document, true, &mut out);
        }
    }
    out.push_str("<h2 id=\"received\">What receivers get</h2>\n");
    for operation in self::operations(&contract["webhooks"]) {
        operation.render(document, false, &mut out);
    }
    schemas(document, &mut out);
    out.push_str("</main>\n");
    html::page("Tidings: the API", &out)
}

fn operations(paths: &Value) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    for (path, item) in paths.as_object().into_iter().flatten() {
        for method in METHODS {
            if let Some(value) = item.get(method) {
                operations.push(Operation { path, method, value });
            }
        }
    }
    operations
}

fn header(info: &Value, out: &mut String) {
    let version = info["version"].as_str().unwrap_or_default();
    let about = info["description"].as_str().unwrap_or_default();
    let _ = writeln!(
        out,
        "<header><h1>Tidings <span class=\"muted\">{}</span></h1>{}\
         <p><a href=\"/\">Status</a> · <a href=\"/openapi.json\">openapi.json</a></p></header>",
        Escaped(version),
        Prose(about)
    );
}

fn navigation(contract: &Value, operations: &[Operation<'_>], out: &mut String) {
    out.push_str("<nav>\n");
    for tag in contract["tags"].as_array().into_iter().flatten() {
        let name = tag["name"].as_str().unwrap_or_default();
        let _ = writeln!(out, "<h4><a href=\"#tag-{0}\">{0}</a></h4>\n<ul>", Escaped(name));
        for operation in operations.iter().filter(|operation| operation.tag() == name) {
            let _ = writeln!(
                out,
                "<li><a href=\"#{}\">{} {}</a></li>",
                Escaped(operation.id()),
                Escaped(&operation.method.to_uppercase()),
                Escaped(operation.path)
            );
        }
        out.push_str("</ul>\n");
    }
    out.push_str(
        "<h4><a href=\"#received\">What receivers get</a> · <a href=\"#schemas\">Schemas</a></h4>\n\
         </nav>\n",
    );
}

fn schemas(document: Document<'_>, out: &mut String) {
    out.push_str("<h2 id=\"schemas\">Schemas</h2>\n");
    let schemas = &document.0["components"]["schemas"];
    for (name, schema) in schemas.as_object().into_iter().flatten() {
        let _ = writeln!(out, "<h3 id=\"schema-{0}\">{0}</h3>", Escaped(name));
        if let Some(about) = schema["description"].as_str() {
            let _ = writeln!(out, "<p>{}</p>", Inline(about));
        }
        if document.members(schema).is_empty() {
            let _ = writeln!(out, "<p>{}</p>", type_of(schema));
        }
        table(document, schema, out);
    }
}
