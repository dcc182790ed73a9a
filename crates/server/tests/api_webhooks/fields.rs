//! What a body may say, and what is said of a body that may not.

use serde_json::{Value, json};

use super::{path, register};
use crate::harness::{Receiver, Tidings};

/// The documented example of the first `emp` receivers, as it stands there.
fn job_queue_registration() -> Value {
    json!({
        "url": "https://api.example.com/webhooks/jobs",
        "secret": "your-secret-key",
        "events": ["job.submitted", "job.completed", "job.failed"],
        "filters": {"job_types": ["comfyui"], "job_priorities": [1, 2, 3]},
        "headers": {"Authorization": "Bearer your-api-token"},
        "retry_config": {
            "max_attempts": 3,
            "initial_delay_ms": 1000,
            "backoff_multiplier": 2,
            "max_delay_ms": 30000
        },
        "active": true
    })
}

#[tokio::test]
async fn a_job_queue_registers_as_it_always_did() {
    let tidings = Tidings::start().await;
    let reply = tidings.post("/api/webhooks", job_queue_registration()).await;
    let made = reply.expect(201);
    assert!(made["id"].as_str().is_some_and(|id| id.starts_with("wh_")), "{made:#}");
    for same in ["url", "events", "filters", "active"] {
        assert_eq!(made[same].to_string(), job_queue_registration()[same].to_string(), "{same}");
    }
    assert_eq!(made["created_at"], made["updated_at"]);
    let at = made["created_at"].as_i64().expect("Unix milliseconds");
    assert!((0..60_000).contains(&(tidings.now().as_millis() - at)));
    assert_eq!(made["headers"], json!({"Authorization": "••••oken"}));
    assert_eq!(made["secret"], "your-secret-key");
    assert_eq!(made["secret_whsec"], "whsec_eW91ci1zZWNyZXQta2V5");
    assert_eq!(made["retry_config"]["strategy"], "exponential");
    assert_eq!(made["retry_config"]["backoff_multiplier"].to_string(), "2");
    assert_eq!(made["retry_preview_ms"], json!([0, 1000, 3000]));
    assert!(reply.json()["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')));

    let read = tidings.get(&path(&made)).await.expect(200);
    assert!(read.get("secret").is_none() && read.get("secret_whsec").is_none(), "{read:#}");
    assert_eq!(read["headers"], made["headers"]);
    let list = tidings.get("/api/webhooks").await;
    assert_eq!(list.expect(200), json!([read]));
    assert_eq!(list.json()["next_cursor"], Value::Null);
}

#[tokio::test]
async fn the_other_spelling_of_a_retry_policy() {
    let tidings = Tidings::start().await;
    let policy = json!({
        "maxAttempts": 5, "backoffStrategy": "linear", "initialDelay": 1000, "maxDelay": 3000
    });
    let body = json!({
        "name": "Orders", "url": "https://example.com/h", "events": ["order.*"],
        "profile": "aegisx", "retryPolicy": policy
    });
    let made = tidings.post("/api/webhooks", body).await.expect(201);
    assert_eq!(made["retry_preview_ms"], json!([0, 1000, 3000, 6000, 9000]));
    let secret = made["secret"].as_str().expect("one is made up");
    assert!(secret.len() == 64 && secret.bytes().all(|b| b.is_ascii_hexdigit()));
    assert!(made.get("secret_whsec").is_none());
}

#[tokio::test]
async fn profiles_bring_their_secrets_and_schedules() {
    let tidings = Tidings::start().await;
    let create = |profile: &'static str| {
        let body = json!({"url": "https://example.com", "events": ["*"], "profile": profile});
        let client = tidings.client.clone();
        async move { client.post("/api/webhooks", body).await.expect(201) }
    };
    let emp = create("emp").await;
    assert_eq!(emp["secret"], Value::Null);
    assert_eq!(emp["retry_preview_ms"], json!([0, 1000, 3000]));
    let standard = create("standard").await;
    assert!(standard["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")));
    assert_eq!(standard["retry_config"]["max_attempts"], 10);
    assert_eq!(standard["url"], "https://example.com/");
}

/// A body, and where it is wrong.
fn wrong() -> Vec<(Value, Vec<&'static str>)> {
    let over = |fields: Value| {
        let mut body = json!({"url": "https://example.com/", "events": ["*"]});
        let object = body.as_object_mut().expect("an object");
        object.extend(fields.as_object().expect("an object").clone());
        body
    };
    let long = "x".repeat(300);
    vec![
        (json!({}), vec!["/url", "/events"]),
        (json!([]), vec![""]),
        (over(json!({"url": "http://example.com"})), vec!["/url"]),
        (over(json!({"url": "https://10.0.0.1/"})), vec!["/url"]),
        (over(json!({"url": "https://user:pass@example.com/"})), vec!["/url"]),
        (over(json!({"url": "https://0x7f.1/"})), vec!["/url"]),
        (over(json!({"url": 7})), vec!["/url"]),
        (over(json!({"events": []})), vec!["/events"]),
        (over(json!({"events": "*"})), vec!["/events"]),
        (over(json!({"events": ["*", "job.*", "job..x", 7]})), vec!["/events/2", "/events/3"]),
        (over(json!({"events": vec!["a"; 101]})), vec!["/events"]),
        (over(json!({"name": ""})), vec!["/name"]),
        (over(json!({"name": long})), vec!["/name"]),
        (over(json!({"secret": ""})), vec!["/secret"]),
        (over(json!({"secret": "whsec_short"})), vec!["/secret"]),
        (over(json!({"secret": long})), vec!["/secret"]),
        (over(json!({"profile": "empp"})), vec!["/profile"]),
        (over(json!({"profile": "emp", "body": "raw"})), vec!["/body"]),
        (over(json!({"body": "xml"})), vec!["/body"]),
        (over(json!({"filters": []})), vec!["/filters"]),
        (
            over(json!({"filters": {
                "job_types": [], "job_priorities": [1, "2"], "machine_ids": "m", "worker": ["w"],
                "custom_filters": {"a/b": {"$near": 1}, "ok": 1, "n": {"$gt": "x"}, "e": {}}
            }})),
            vec![
                "/filters/job_types",
                "/filters/job_priorities/1",
                "/filters/machine_ids",
                "/filters/custom_filters/a~1b/$near",
                "/filters/custom_filters/n/$gt",
                "/filters/custom_filters/e",
                "/filters/worker",
            ],
        ),
        (
            over(json!({"headers": {
                "X-Key": "ok", "x-key": "again", "Bad Name": "x", "X-Break": "a\r\nb", "Host": "x",
                "X-Number": 1, "Content-Type": "text/plain", "X-Long": "x".repeat(5000)
            }})),
            vec![
                "/headers/Bad Name",
                "/headers/Content-Type",
                "/headers/Host",
                "/headers/X-Break",
                "/headers/X-Long",
                "/headers/X-Number",
                "/headers/x-key",
            ],
        ),
        (over(json!({"headers": {"X-Key": "••••oken"}})), vec!["/headers/X-Key"]),
        (
            over(json!({"retry_config": {
                "max_attempts": 21, "strategy": "never", "initial_delay_ms": 99,
                "backoff_multiplier": 0.5, "max_delay_ms": 999, "jitter": "yes",
                "schedule_ms": [1, -1], "max_atempts": 1
            }})),
            vec![
                "/retry_config/max_attempts",
                "/retry_config/strategy",
                "/retry_config/initial_delay_ms",
                "/retry_config/max_delay_ms",
                "/retry_config/backoff_multiplier",
                "/retry_config/jitter",
                "/retry_config/schedule_ms/1",
                "/retry_config/max_atempts",
            ],
        ),
        (
            over(json!({"retry_config": {"strategy": "fixed", "schedule_ms": [1000]}})),
            vec!["/retry_config/schedule_ms"],
        ),
        (
            over(json!({"retryPolicy": {"maxAttempts": 0, "backoffStrategy": "schedule"}})),
            vec!["/retryPolicy/maxAttempts", "/retryPolicy/backoffStrategy"],
        ),
        (over(json!({"retry_config": {}, "retryPolicy": {}})), vec!["/retryPolicy"]),
        (over(json!({"rate_limit": {"max": 0}})), vec!["/rate_limit/max", "/rate_limit/per_ms"]),
        (over(json!({"max_concurrency": 1001})), vec!["/max_concurrency"]),
        (over(json!({"timeout_ms": 1})), vec!["/timeout_ms"]),
        (over(json!({"ordered": "no", "active": 1})), vec!["/ordered", "/active"]),
        (over(json!({"id": "wh_1", "paused": true})), vec!["/id", "/paused"]),
        (over(json!({"urll": "x", "nonsense_entirely": 1})), vec!["/nonsense_entirely", "/urll"]),
    ]
}

#[tokio::test]
async fn everything_wrong_is_named_and_nothing_changes() {
    let tidings = Tidings::start().await;
    for (body, expected) in wrong() {
        let reply = tidings.post("/api/webhooks", body.clone()).await;
        let mut found = reply.pointers();
        // The client sorts the members of objects; where it does not matter, neither does the order.
        let mut expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{body:#} {:#}", reply.json());
    }
    assert_eq!(tidings.get("/api/webhooks").await.expect(200), json!([]));
}

#[tokio::test]
async fn changes_that_are_wrong_change_nothing() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({"name": "before"})).await;
    let before = tidings.get(&path(&made)).await.expect(200);
    for (mut body, _) in wrong().into_iter().skip(2) {
        let object = body.as_object_mut().expect("an object");
        if object.contains_key("name") {
            continue;
        }
        object.insert("name".into(), "after".into());
        tidings.put(&path(&made), body.clone()).await.problem(422);
        tidings.patch(&path(&made), body).await.problem(422);
    }
    assert_eq!(tidings.get(&path(&made)).await.expect(200), before);
}

#[tokio::test]
async fn misspelled_fields_name_their_neighbour() {
    let tidings = Tidings::start().await;
    let body = json!({"url": "https://example.com", "event": ["*"], "profile": "empp"});
    let problem = tidings.post("/api/webhooks", body).await.problem(422);
    let text = problem["errors"].to_string();
    assert!(text.contains("did you mean `events`?") && text.contains("did you mean `emp`?"));
    tidings.send(http::Method::POST, "/api/webhooks", "{\"url\":").await.problem(400);
}
