//! The contract: whole, sound, and the same as what the server does.

mod harness;

use std::collections::BTreeSet;

use harness::Tidings;
use http::Method;
use serde_json::Value;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

async fn contract(tidings: &Tidings) -> Value {
    let reply = tidings.get("/openapi.json").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/json");
    reply.json()
}

/// Path, method and description of every operation.
fn operations(contract: &Value) -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in contract["paths"].as_object().expect("paths") {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                operations.push((path.clone(), method.to_owned(), operation.clone()));
            }
        }
    }
    operations
}

fn each(value: &Value, visit: &mut impl FnMut(&Value)) {
    visit(value);
    match value {
        Value::Object(members) => members.values().for_each(|value| each(value, visit)),
        Value::Array(items) => items.iter().for_each(|value| each(value, visit)),
        _ => {}
    }
}

#[tokio::test]
async fn the_contract_is_sound() {
    let tidings = Tidings::start().await;
    let contract = contract(&tidings).await;
    assert_eq!(contract["openapi"], "3.1.0");
    assert_eq!(contract["info"]["title"], "Tidings");
    assert_eq!(contract["components"]["securitySchemes"]["key"]["scheme"], "bearer");
    let tags: BTreeSet<&str> = contract["tags"]
        .as_array()
        .expect("tags")
        .iter()
        .filter_map(|tag| tag["name"].as_str())
        .collect();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&contract) {
        let at = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        assert!(!id.is_empty() && ids.insert(id), "{at}: an operationId of its own");
        assert!(operation["summary"].is_string(), "{at}: a summary");
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        assert!(tags.contains(tag), "{at}: the tag `{tag}` is described");
        let responses = operation["responses"].as_object().expect("responses");
        assert!(responses.contains_key("default"), "{at}: failures are described");
        assert!(responses.keys().any(|status| status.starts_with('2') || status == "101"), "{at}");
        if path.starts_with("/api/") {
            assert!(responses.contains_key("401") && responses.contains_key("403"), "{at}");
        } else {
            assert_eq!(operation["security"], serde_json::json!([]), "{at}: needs no key");
        }
        assert_eq!(declared(&operation), in_path(&path), "{at}: the parameters of the path");
    }
    each(&contract, &mut |value| {
        if let Some(reference) = value["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').expect("a reference within the document");
            assert!(contract.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    });
    tidings.stop().await;
}

/// What the metaschema of OpenAPI 3.1 asks for, as far as it is easily said.
#[tokio::test]
async fn the_contract_has_what_openapi_requires() {
    let tidings = Tidings::start().await;
    let contract = contract(&tidings).await;
    let mut received = Vec::new();
    for (name, item) in contract["webhooks"].as_object().expect("webhooks") {
        received.push((name.clone(), "post".to_owned(), item["post"].clone()));
    }
    for (path, method, operation) in operations(&contract).into_iter().chain(received) {
        let at = format!("{method} {path}");
        for (status, response) in operation["responses"].as_object().expect("responses") {
            assert!(is_described(response), "{at} {status}: a description");
            let is_status = status.len() == 3 && status.starts_with(['1', '2', '3', '4', '5']);
            assert!(is_status || status == "default", "{at}: {status}");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["name"].is_string(), "{at}: {parameter}");
            assert!(parameter["schema"].is_object(), "{at}: {parameter}");
            let is_required = parameter["required"] == true || parameter["in"] != "path";
            assert!(is_required, "{at}: {parameter}");
        }
        if let Some(body) = operation.get("requestBody") {
            assert!(body["content"].as_object().is_some_and(|all| !all.is_empty()), "{at}");
        }
    }
    let responses = contract["components"]["responses"].as_object().expect("responses");
    assert!(responses.values().all(is_described));
    for (name, schema) in contract["components"]["schemas"].as_object().expect("schemas") {
        for required in schema["required"].as_array().into_iter().flatten() {
            let required = required.as_str().expect("a name");
            assert!(schema["properties"].get(required).is_some(), "{name}: {required}");
        }
    }
    tidings.stop().await;
}

fn is_described(response: &Value) -> bool {
    let text = response["description"].as_str();
    response["$ref"].is_string() || text.is_some_and(|text| !text.is_empty())
}

#[tokio::test]
async fn one_event_and_a_list_of_events_are_in_the_contract() {
    let tidings = Tidings::start().await;
    let contract = contract(&tidings).await;
    let shapes = |schema: &Value| {
        let pointer = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
        let schema = pointer.and_then(|it| contract.pointer(it)).unwrap_or(schema);
        (schema["oneOf"][0]["$ref"].clone(), schema["oneOf"][1]["items"]["$ref"].clone())
    };
    let operation = &contract["paths"]["/api/events"]["post"];
    let body = shapes(&operation["requestBody"]["content"]["application/json"]["schema"]);
    let new = "#/components/schemas/NewEvent";
    assert_eq!(body, (new.into(), new.into()));
    let answer = &operation["responses"]["202"]["content"]["application/json"]["schema"];
    let answer = contract.pointer(&answer["$ref"].as_str().expect("a schema")[1..]);
    let data = shapes(&answer.expect("it exists")["properties"]["data"]);
    let accepted = "#/components/schemas/AcceptedEvent";
    assert_eq!(data, (accepted.into(), accepted.into()));
    tidings.stop().await;
}

fn declared(operation: &Value) -> BTreeSet<String> {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
    in_path.map(|parameter| parameter["name"].as_str().expect("a name").to_owned()).collect()
}

fn in_path(path: &str) -> BTreeSet<String> {
    let parts = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    parts.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_failure_is_a_problem_and_the_webhooks_are_told() {
    let tidings = Tidings::start().await;
    let contract = contract(&tidings).await;
    for (path, method, operation) in operations(&contract) {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            if status.starts_with(['4', '5']) || status == "default" {
                let named = response["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
                let response = named.and_then(|it| contract.pointer(it)).unwrap_or(response);
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/ProblemBody", "{method} {path} {status}");
            }
        }
    }
    for (profile, signature) in [
        ("standard", "webhook-signature"),
        ("emp", "X-Webhook-Signature"),
        ("aegisx", "X-Webhook-Signature-256"),
        ("openvideo", "X-Webhook-Signature"),
        ("viewcreator", "X-Webhook-Signature"),
        ("lead", "X-Webhook-Signature"),
    ] {
        let operation = &contract["webhooks"][profile]["post"];
        let headers = operation["parameters"].as_array().expect("headers");
        assert!(headers.iter().any(|header| header["name"] == signature), "{headers:#?}");
        let content = operation["requestBody"]["content"]["application/json"].clone();
        let schema = content["schema"]["$ref"].as_str().expect("a schema").to_owned();
        let schema = contract.pointer(&schema[1..]).expect("it exists");
        let members = schema["properties"].as_object().expect("members");
        for name in content["example"].as_object().expect("an example").keys() {
            assert!(members.contains_key(name), "{profile}: `{name}` is not in the schema");
        }
    }
    tidings.stop().await;
}

/// Documented methods are taken, others are not: the router and the contract are the same.
#[tokio::test]
async fn the_server_takes_what_the_contract_says() {
    let tidings = Tidings::start().await;
    let contract = contract(&tidings).await;
    let documented: BTreeSet<(String, String)> =
        operations(&contract).into_iter().map(|(path, method, _)| (path, method)).collect();
    for path in contract["paths"].as_object().expect("paths").keys() {
        let concrete = path.replace(['{', '}'], "");
        for method in METHODS {
            let verb = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            // What it answers otherwise does not end.
            let path_and_query = concrete.replace("/api/live", "/api/live?unknown=");
            let reply = tidings.send(verb, &path_and_query, "").await;
            let taken = reply.status != 405 && !is_no_path(&reply);
            if reply.status == 405 {
                assert!(!reply.header("allow").is_empty(), "{method} {path}: Allow is missing");
            }
            let told = documented.contains(&(path.clone(), method.to_owned()));
            assert_eq!(taken, told, "{method} {path} answered {}", reply.status);
        }
    }
    tidings.stop().await;
}

fn is_no_path(reply: &harness::Reply) -> bool {
    reply.status == 404 && reply.json()["detail"].as_str().is_some_and(|it| it.contains("path"))
}

/// Whatever is routed is in the contract: the router tells its paths when it is printed.
#[tokio::test]
async fn no_route_is_left_out() {
    let tidings = Tidings::start().await;
    let contract = contract(&tidings).await;
    let printed = format!("{:?}", tidings_server::api::router::router(tidings.app().clone()));
    let routed: BTreeSet<&str> =
        printed.split('"').filter(|text| text.starts_with('/') && !text.contains("{*")).collect();
    assert!(routed.contains("/api/events/{id}"), "the router prints its paths: {printed}");
    let told: BTreeSet<&str> =
        contract["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    assert_eq!(routed, told);
    tidings.stop().await;
}

#[tokio::test]
async fn the_pages_are_plain_and_whole() {
    let tidings = Tidings::start().await;
    let contract = contract(&tidings).await;
    for path in ["/docs", "/"] {
        let reply = tidings.get(path).await;
        assert_eq!(reply.status, 200);
        assert!(reply.header("content-type").starts_with("text/html"));
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let page = String::from_utf8(reply.body.to_vec()).expect("UTF-8");
        for foreign in ["<script", "src=", "@import", "url(", "href=\"http"] {
            assert!(!page.contains(foreign), "{path} has {foreign}");
        }
        assert_well_formed(&page);
    }
    let page = tidings.get("/docs").await.body;
    let page = String::from_utf8(page.to_vec()).expect("UTF-8");
    let mut links: Vec<&str> = Vec::new();
    for part in page.split("href=\"#").skip(1) {
        links.push(part.split('"').next().expect("an end"));
    }
    for link in links {
        assert!(page.contains(&format!("id=\"{link}\"")), "#{link} leads nowhere");
    }
    for (path, method, operation) in operations(&contract) {
        let id = operation["operationId"].as_str().expect("an id");
        assert!(page.contains(&format!("<article id=\"{id}\">")), "{method} {path} is shown");
        assert!(
            page.contains(&format!("127.0.0.1:4000{}", path.split('{').next().expect("a part")))
        );
    }
    tidings.stop().await;
}

/// Every tag that is opened is closed, in order.
fn assert_well_formed(page: &str) {
    const VOID: [&str; 4] = ["meta", "!doctype", "br", "link"];
    let mut open: Vec<&str> = Vec::new();
    for part in page.split('<').skip(1) {
        let tag = part.split('>').next().expect("a tag ends");
        let name = tag.split_whitespace().next().expect("a tag has a name");
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "near <{tag}>"),
            None if VOID.contains(&name) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?} are never closed");
}
