//! PUT, PATCH, and many at once.

use serde_json::{Value, json};
use tidings_store::catalogue::webhooks;

use super::{path, publish, register};
use crate::harness::{Receiver, Tidings};

#[tokio::test]
async fn put_leaves_the_rest_and_patch_takes_null_for_the_default() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let fields = json!({
        "name": "jobs", "filters": {"job_types": ["comfyui"]}, "headers": {"X-Key": "k"},
        "retry_config": {"max_attempts": 2}, "rate_limit": {"max": 5, "per_ms": 1000},
        "max_concurrency": 3, "timeout_ms": 5000, "ordered": true
    });
    let made = register(&tidings, &receiver, fields).await;
    let changed = tidings.put(&path(&made), json!({"max_concurrency": 4})).await.expect(200);
    assert_eq!((&changed["max_concurrency"], &changed["revision"]), (&json!(4), &json!(2)));
    for same in ["name", "filters", "headers", "retry_config", "rate_limit", "url", "events"] {
        assert_eq!(changed[same], made[same], "{same}");
    }
    assert_eq!(tidings.put(&path(&made), json!({"name": null})).await.pointers(), ["/name"]);

    let nulls = json!({
        "name": null, "filters": null, "headers": null, "retry_config": null, "rate_limit": null,
        "max_concurrency": null, "timeout_ms": null, "ordered": null, "active": null, "body": null
    });
    let reset = tidings.patch(&path(&made), nulls).await.expect(200);
    assert_eq!(reset["name"], Value::Null);
    assert_eq!((&reset["filters"], &reset["headers"]), (&json!({}), &json!({})));
    assert_eq!(reset["retry_config"]["max_attempts"], 10);
    assert_eq!(reset["rate_limit"], Value::Null);
    assert_eq!((&reset["max_concurrency"], &reset["timeout_ms"]), (&json!(64), &json!(30_000)));
    assert_eq!((&reset["ordered"], &reset["active"]), (&json!(false), &json!(true)));
    let needed = json!({"url": null, "events": null, "secret": null});
    assert_eq!(
        tidings.patch(&path(&made), needed).await.pointers(),
        ["/url", "/events", "/secret"]
    );
}

/// To change one of several filters must not drop the others: the webhook would get more.
#[tokio::test]
async fn what_is_left_out_of_filters_retries_and_rates_stays() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let retry = json!({"max_attempts": 7, "strategy": "fixed", "initial_delay_ms": 2000});
    let fields = json!({
        "filters": {"job_types": ["a"], "machine_ids": ["b"], "custom_filters": {"x": 1}},
        "retry_config": retry, "rate_limit": {"max": 5, "per_ms": 1000}
    });
    let path = path(&register(&tidings, &receiver, fields).await);
    let patched = async |body: Value| tidings.patch(&path, body).await.expect(200);
    let put = json!({"filters": {"machine_ids": ["c"]}, "retry_config": {"max_attempts": 3},
        "rate_limit": {"max": 6}});
    let changed = tidings.put(&path, put).await.expect(200);
    let filters = json!({"job_types": ["a"], "machine_ids": ["c"], "custom_filters": {"x": 1}});
    assert_eq!(changed["filters"], filters);
    assert_eq!(changed["rate_limit"], json!({"max": 6, "per_ms": 1000}));
    let policy = &changed["retry_config"];
    assert_eq!((&policy["max_attempts"], &policy["strategy"]), (&json!(3), &json!("fixed")));
    assert_eq!(policy["initial_delay_ms"], 2000);
    assert_eq!(patched(json!({"filters": {}, "retry_config": {}})).await, changed);

    let null = json!({"filters": {"machine_ids": null}, "retry_config": {"max_attempts": null},
        "rate_limit": {"max": null}});
    assert_eq!(
        tidings.put(&path, null.clone()).await.pointers(),
        ["/filters/machine_ids", "/retry_config/max_attempts", "/rate_limit/max"]
    );
    assert_eq!(tidings.patch(&path, null).await.pointers(), ["/rate_limit/max"]);
    let null = json!({"filters": {"machine_ids": null, "custom_filters": {}},
        "retry_config": {"max_attempts": null}});
    let reset = patched(null).await;
    assert_eq!(reset["filters"], json!({"job_types": ["a"]}));
    assert_eq!(reset["retry_config"]["max_attempts"], 10);
    assert_eq!(reset["retry_config"]["strategy"], "fixed");
    assert_eq!(patched(json!({"filters": null})).await["filters"], json!({}));
}

#[tokio::test]
async fn a_strategy_has_the_waits_that_it_needs() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let retry = json!({"profile": "emp", "retry_config": {"schedule_ms": [1000, 5000]}});
    let path = path(&register(&tidings, &receiver, retry).await);
    let policy = async |retry: Value| {
        let body = json!({"retry_config": retry});
        tidings.patch(&path, body).await.expect(200)["retry_config"].take()
    };
    let more = policy(json!({"max_attempts": 5})).await;
    assert_eq!(
        (&more["strategy"], &more["schedule_ms"]),
        (&json!("schedule"), &json!([1000, 5000]))
    );
    // The profile has no waits to go back to.
    let none = tidings.patch(&path, json!({"retry_config": {"schedule_ms": null}})).await;
    assert_eq!(none.pointers(), ["/retry_config/schedule_ms"]);
    let grows = policy(json!({"initial_delay_ms": 2000})).await;
    assert_eq!((&grows["strategy"], &grows["schedule_ms"]), (&json!("exponential"), &Value::Null));
    assert_eq!((&grows["max_attempts"], &grows["initial_delay_ms"]), (&json!(5), &json!(2000)));
    let own = tidings.put(&path, json!({"retryPolicy": {"maxAttempts": 2}})).await.expect(200);
    assert_eq!(own["retry_config"]["initial_delay_ms"], 2000);
    assert_eq!(policy(Value::Null).await["max_attempts"], 3);
}

#[tokio::test]
async fn what_was_read_can_be_sent_back() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let headers = json!({"Authorization": "Bearer your-api-token", "X-Short": "k"});
    let made =
        register(&tidings, &receiver, json!({"headers": headers, "secret": "plain text"})).await;
    assert!(made["secret_whsec"].is_string());
    let mut read = tidings.get(&path(&made)).await.expect(200);
    assert_eq!(read["headers"], json!({"Authorization": "••••oken", "X-Short": "••••"}));
    let same = tidings.put(&path(&made), made.clone()).await.expect(200);
    assert_eq!(same, read, "also the answer to the creation");
    let same = tidings.put(&path(&made), read.clone()).await.expect(200);
    assert_eq!(same, read, "nothing changed, so nothing was written");
    read["headers"]["X-New"] = "new".into();
    let changed = tidings.put(&path(&made), read.clone()).await.expect(200);
    assert_eq!(changed["revision"], 2);
    // By now it says what is no longer so.
    tidings.put(&path(&made), read).await.problem(409);
    publish(&tidings, json!({})).await;
    let request = receiver.next().await;
    assert_eq!(request.header("authorization"), "Bearer your-api-token");
    assert_eq!((request.header("x-short"), request.header("x-new")), ("k", "new"));
}

#[tokio::test]
async fn writers_of_one_webhook_take_turns() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({})).await;
    let writers = (1..=20).map(|n| {
        let (client, path) = (tidings.client.clone(), path(&made));
        tokio::spawn(async move {
            let changed = client.patch(&path, json!({"max_concurrency": n})).await.expect(200);
            (changed["revision"].as_u64(), changed["max_concurrency"].clone())
        })
    });
    let mut answers = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        answers.push(writer.await.expect("it does not panic"));
    }
    answers.sort_by_key(|(revision, _)| *revision);
    let revisions: Vec<Option<u64>> = answers.iter().map(|(revision, _)| *revision).collect();
    assert_eq!(revisions, (2..=21).map(Some).collect::<Vec<_>>(), "each change is one revision");
    let last = &answers[19].1;
    let before = tidings.get(&path(&made)).await.expect(200);
    assert_eq!((&before["revision"], &before["max_concurrency"]), (&json!(21), last));
    let restarted = tidings.restart().await;
    assert_eq!(restarted.get(&path(&made)).await.expect(200), before);
}

#[tokio::test]
async fn a_change_behind_memory_is_taken_into_account() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({"secret": "kept"})).await;
    let id = made["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let app = tidings.app();
    let mut behind = (*app.registry.outgoing(id).expect("it is there").webhook).clone();
    (behind.revision, behind.name) = (2, Some("behind".to_owned()));
    app.store.change(webhooks::update(&behind, None).into()).await.expect("it is written");

    let changed = tidings.patch(&path(&made), json!({"max_concurrency": 7})).await.expect(200);
    assert_eq!((&changed["name"], &changed["revision"]), (&json!("behind"), &json!(3)));
    assert_eq!(changed["max_concurrency"], 7);
    publish(&tidings, json!({})).await;
    assert!(!receiver.next().await.header("webhook-signature").is_empty());
}

#[tokio::test]
async fn a_webhook_is_its_tenants_alone() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({})).await;
    let tenant = tidings.post("/api/tenants", json!({"name": "other"})).await.expect(201);
    let id = tenant["id"].as_str().expect("an id");
    let other = tidings.client.with_header("x-tenant-id", id);
    assert_eq!(other.get("/api/webhooks").await.expect(200), json!([]));
    let path = path(&made);
    other.get(&path).await.problem(404);
    other.put(&path, json!({"name": "mine"})).await.problem(404);
    other.patch(&path, json!({"name": "mine"})).await.problem(404);
    other.delete(&path).await.problem(404);
    for below in ["test", "rotate-secret", "pause", "resume"] {
        other.act(&format!("{path}/{below}")).await.problem(404);
    }
    for below in ["stats", "health", "deliveries"] {
        other.get(&format!("{path}/{below}")).await.problem(404);
    }
    tidings.get("/api/webhooks/nonsense").await.problem(404);
    assert_eq!(tidings.get(&path).await.expect(200)["revision"], 1);
}

#[tokio::test]
async fn an_idempotency_key_makes_one_webhook() {
    let tidings = Tidings::start().await;
    let client = tidings.client.with_header("idempotency-key", "\"abc\"");
    let body = json!({"url": "https://example.com/", "events": ["*"]});
    let first = client.post("/api/webhooks", body.clone()).await;
    let made = first.expect(201);
    assert_eq!(first.header("idempotent-replayed"), "");
    let again = client.post("/api/webhooks", body).await;
    assert_eq!(again.expect(201), made, "the secret too");
    assert_eq!(again.header("idempotent-replayed"), "true");
    let other = json!({"url": "https://example.com/other", "events": ["*"]});
    client.post("/api/webhooks", other).await.problem(409);
    let list = tidings.get("/api/webhooks").await.expect(200);
    assert_eq!(list.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn lists_page_by_cursor_and_by_number() {
    let tidings = Tidings::start().await;
    let mut made = Vec::new();
    for n in 0..5 {
        let body = json!({"url": format!("https://example.com/{n}"), "events": ["*"]});
        made.insert(0, tidings.post("/api/webhooks", body).await.expect(201)["id"].clone());
    }
    let ids = |list: Value| -> Vec<Value> {
        list.as_array().expect("a list").iter().map(|one| one["id"].clone()).collect()
    };
    let first = tidings.get("/api/webhooks?limit=2").await;
    assert_eq!(ids(first.expect(200)), made[..2]);
    let cursor = first.json()["next_cursor"].as_str().expect("there is more").to_owned();
    let second = tidings.get(&format!("/api/webhooks?limit=2&cursor={cursor}")).await;
    assert_eq!(ids(second.expect(200)), made[2..4]);
    let third = tidings.get("/api/webhooks?limit=2&page=3").await;
    assert_eq!(ids(third.expect(200)), made[4..]);
    assert_eq!(third.json()["next_cursor"], Value::Null);
    for wrong in ["limit=0", "limit=251", "page=0", "cursor=x", "pages=1"] {
        tidings.get(&format!("/api/webhooks?{wrong}")).await.problem(422);
    }
}
