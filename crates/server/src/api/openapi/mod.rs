//! The contract: OpenAPI 3.1, generated from the handlers, and a page that shows it.
//!
//! Each handler describes itself beside its code. What all of them share is added here: who may
//! call, how failures look, and the bodies that receivers get.

mod example;
mod operation;
mod outgoing;
mod page;
mod schema;

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::Tag;
use utoipa::openapi::{
    Content, Info, License, OpenApi, Ref, RefOr, Response as Described, SecurityRequirement,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::html;
use super::problem::{FieldError, ProblemBody};
use super::router;

/// The sections of the contract, in the order in which they are shown.
const TAGS: [(&str, &str); 9] = [
    ("webhooks", "Register URLs that want to know of events."),
    ("events", "Publish what happened; read it back."),
    ("deliveries", "What is owed to webhooks, what became of it, and what to do about it."),
    ("statistics", "How it goes."),
    ("jobs", "Jobs and executions: every change is an event."),
    ("leads", "Leads, and their delivery to one URL each."),
    ("live", "Events as they happen; webhooks that are received."),
    ("administration", "Tenants and API keys. Needs an admin key."),
    ("operations", "For operators and their tools. Needs no key."),
];

const DESCRIPTION: &str = "Tidings delivers webhooks: signed, durable, and never lost.\n\n\
    A success is `{\"success\": true, \"data\": …, \"timestamp\": \"<RFC 3339>\"}`; lists add \
    `next_cursor`, to be given back as `?cursor=`. A failure is `application/problem+json` (RFC \
    9457). Fields that end in `_at` are Unix milliseconds. Unknown fields in a request are refused \
    by name. An admin key acts for the tenant named by `X-Tenant-ID`, else for `default`.";

/// Failures: name, status, when.
const PROBLEMS: [(&str, &str, &str); 9] = [
    ("BadRequest", "400", "The request cannot be read"),
    ("Unauthorized", "401", "No key, or one that is not known"),
    ("Forbidden", "403", "The key may not do this"),
    ("NotFound", "404", "There is no such thing, or it is another tenant's"),
    ("TooLarge", "413", "The body is too large"),
    ("UnsupportedMediaType", "415", "The body is not JSON"),
    ("Invalid", "422", "Some fields are wrong; `errors` points to each"),
    ("Unavailable", "503", "Not now; `Retry-After` says when"),
    ("Problem", "default", "Any other failure"),
];

/// The contract.
static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(|| complete(router::routes().into_openapi()));
static JSON: LazyLock<String> =
    LazyLock::new(|| DOCUMENT.to_pretty_json().expect("the contract has string keys only"));
static PAGE: LazyLock<String> = LazyLock::new(|| {
    page::render(&serde_json::to_value(&*DOCUMENT).expect("the contract has string keys only"))
});

/// This contract, as OpenAPI 3.1.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
pub async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], JSON.as_str()).into_response()
}

/// This contract, to read.
#[utoipa::path(get, path = "/docs", tag = "operations", operation_id = "docs",
    responses((status = 200, description = "A page", content_type = "text/html")))]
pub async fn docs() -> Response {
    html::respond(PAGE.as_str())
}

/// Adds what all operations share.
fn complete(mut api: OpenApi) -> OpenApi {
    api.info = Info::new("Tidings", env!("CARGO_PKG_VERSION"));
    api.info.description = Some(DESCRIPTION.to_owned());
    api.info.license = Some(License::new("MIT OR Apache-2.0"));
    api.tags = Some(tags(&api));
    api.security = Some(vec![SecurityRequirement::new("key", [""; 0])]);
    let components = api.components.get_or_insert_default();
    components.security_schemes.insert("key".to_owned(), RefOr::T(bearer()));
    components.schemas.insert(ProblemBody::name().into_owned(), ProblemBody::schema());
    components.schemas.insert(FieldError::name().into_owned(), FieldError::schema());
    for (name, _, description) in PROBLEMS {
        components.responses.insert(name.to_owned(), RefOr::T(problem(description)));
    }
    for (path, item) in &mut api.paths.paths {
        for operation in operations(item) {
            share(path, operation);
        }
    }
    outgoing::describe(&mut api);
    api
}

/// The tags that operations have.
fn tags(api: &OpenApi) -> Vec<Tag> {
    let mut used: Vec<&String> = Vec::new();
    for item in api.paths.paths.values() {
        let operations =
            [&item.get, &item.put, &item.post, &item.delete, &item.patch].into_iter().flatten();
        used.extend(operations.filter_map(|operation| operation.tags.as_ref()).flatten());
    }
    let mut tags = Vec::new();
    for (name, description) in TAGS {
        if used.iter().any(|tag| *tag == name) {
            let mut tag = Tag::new(name);
            tag.description = Some(description.to_owned());
            tags.push(tag);
        }
    }
    tags
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn bearer() -> SecurityScheme {
    let mut scheme = Http::new(HttpAuthScheme::Bearer);
    let text = "An API key. A server without any key, on loopback only, needs none.";
    scheme.description = Some(text.to_owned());
    SecurityScheme::Http(scheme)
}

fn problem(description: &str) -> Described {
    let mut response = Described::new(description);
    let body = Content::new(Some(Ref::from_schema_name(ProblemBody::name())));
    response.content.insert("application/problem+json".to_owned(), body.into());
    response
}

/// Adds the failures that an operation can meet, and says whether it needs a key.
fn share(path: &str, operation: &mut Operation) {
    let needs_key = path.starts_with("/api/");
    if !needs_key {
        operation.security = Some(Vec::new());
    }
    let has_body = operation.request_body.is_some();
    let has_parameters = operation.parameters.as_ref().is_some_and(|all| !all.is_empty());
    for (name, status, _) in PROBLEMS {
        let meets = match status {
            "401" | "403" | "503" => needs_key,
            "404" => path.contains('{'),
            "413" | "415" => has_body,
            "400" | "422" => has_body || (needs_key && has_parameters),
            _ => true,
        };
        if meets {
            let described = operation.responses.responses.entry(status.to_owned());
            described.or_insert_with(|| Ref::from_response_name(name).into());
        }
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if status.starts_with(['4', '5']) {
            response.content = problem("").content;
        }
        if response.description.is_empty() {
            meaning(status).clone_into(&mut response.description);
        }
    }
}

/// What an answer means whose operation says nothing more of it: OpenAPI wants a text for each.
fn meaning(status: &str) -> &'static str {
    match status {
        "201" => "Created",
        "202" => "Accepted: it is committed",
        _ => {
            let named = PROBLEMS.iter().find(|(_, of, _)| *of == status);
            named.map_or("What was asked for", |(_, _, text)| text)
        }
    }
}
