//! Deliveries over HTTP: search, look at attempts, retry, cancel, redrive; events; statistics.

mod harness;

use harness::{Received, Receiver, Tidings, eventually};
use serde_json::{Value, json};

const HOUR_MS: i64 = 3_600_000;

/// A webhook with these settings beside its URL; its id.
async fn webhook(tidings: &Tidings, receiver: &Receiver, settings: Value) -> String {
    let mut body = json!({"url": receiver.url(), "events": ["*"]});
    let settings = settings.as_object().cloned().unwrap_or_default();
    body.as_object_mut().expect("an object").extend(settings);
    text(&tidings.post("/api/webhooks", body).await.expect(201)["id"])
}

/// At most so many attempts, an hour apart.
fn hourly(max_attempts: u16) -> Value {
    json!({"max_attempts": max_attempts, "strategy": "fixed", "initial_delay_ms": HOUR_MS,
        "max_delay_ms": HOUR_MS, "jitter": false})
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

async fn publish(tidings: &Tidings, event: Value) -> String {
    text(&tidings.post("/api/events", event).await.expect(202)["id"])
}

/// Waits until the deliveries of an event all have this status; returns them.
async fn settled(tidings: &Tidings, event: &str, status: &str) -> Vec<Value> {
    let path = format!("/api/deliveries?event_id={event}");
    let path = &path;
    eventually(&format!("the deliveries of {event} are {status}"), || async move {
        let list = tidings.get(path).await.expect(200);
        let list = list.as_array().cloned().unwrap_or_default();
        (!list.is_empty() && list.iter().all(|one| one["status"] == status)).then_some(list)
    })
    .await
}

async fn failed(tidings: &Tidings, receiver: &Receiver, data: Value) -> (String, String) {
    receiver.answers_once(500);
    let event = publish(tidings, json!({"type": "a.b", "data": data})).await;
    receiver.next().await;
    let delivery = settled(tidings, &event, "failed").await.remove(0);
    (event, text(&delivery["id"]))
}

/// A shown request is what was received: URL, headers, and every byte of the body.
fn assert_as_received(shown: &Value, receiver: &Receiver, received: &Received, masked: &[&str]) {
    assert_eq!(shown["method"], received.method.as_str());
    assert_eq!(shown["url"], receiver.url());
    assert_eq!(text(&shown["body"]).as_bytes(), &received.body[..]);
    let headers = shown["headers"].as_object().expect("headers");
    for (name, value) in headers {
        match masked.contains(&name.as_str()) {
            true => {
                assert!(text(value).starts_with('•'), "{name}: {value}");
                assert_ne!(received.header(name), "", "{name} was sent");
            }
            false => assert_eq!(received.header(name), text(value), "{name}"),
        }
    }
    let transport = ["host", "content-length", "connection", "accept"];
    for name in received.headers.keys().map(http::HeaderName::as_str) {
        let is_shown = headers.keys().any(|shown| shown.eq_ignore_ascii_case(name));
        assert!(is_shown || transport.contains(&name), "{name} was sent and is not shown");
    }
}

#[tokio::test]
async fn attempts_show_what_was_received_byte_for_byte() {
    let tidings = Tidings::start().await;
    let (first, second) = (Receiver::start().await, Receiver::start().await);
    first.answers((500, "no, thank you"));
    for profile in ["standard", "emp", "aegisx"] {
        let id = webhook(
            &tidings,
            &first,
            json!({"profile": profile, "name": "Ünïcode \"x\"", "secret": "your-secret-key-of-32-characters",
                "headers": {"X-Custom": "a-very-secret-value"}, "retry_config": hourly(3)}),
        )
        .await;
        let event = publish(
            &tidings,
            json!({"type": "job.completed", "data": {"n": 1.5, "t": "ä\u{2028}", "list": [1, {}]}}),
        )
        .await;
        let one = first.next().await;
        let delivery = text(&settled(&tidings, &event, "retrying").await[0]["id"]);

        // Neither another URL nor other headers change what was sent.
        let moved = json!({"url": second.url(), "headers": {"X-Other": "another-secret-value"}});
        tidings.patch(&format!("/api/webhooks/{id}"), moved).await.expect(200);
        tidings.advance(HOUR_MS);
        let two = second.next().await;
        settled(&tidings, &event, "success").await;

        let list = tidings.get(&format!("/api/deliveries/{delivery}/attempts")).await;
        let attempts = list.expect(200);
        assert_eq!(list.json()["next_cursor"], Value::Null);
        assert_as_received(&attempts[0]["request"], &first, &one, &["X-Custom"]);
        assert_as_received(&attempts[1]["request"], &second, &two, &["X-Other"]);
        let (failed, delivered) = (&attempts[0], &attempts[1]);
        assert_eq!(failed["attempt_number"], 1);
        assert_eq!(failed["response_status"], 500);
        assert_eq!(failed["response_body"], "no, thank you");
        assert_eq!(failed["response_headers"]["content-length"], "13");
        assert_eq!(failed["error"], "HTTP 500: Internal Server Error");
        assert_eq!((&failed["error_type"], &failed["will_retry"]), (&json!("http"), &json!(true)));
        assert!(failed["retry_at"].as_i64() > failed["attempted_at"].as_i64());
        assert_eq!((&delivered["error"], &delivered["error_type"]), (&Value::Null, &Value::Null));
        assert_eq!(
            (&delivered["will_retry"], &delivered["retry_at"]),
            (&json!(false), &Value::Null)
        );

        let whole = tidings.get(&format!("/api/deliveries/{delivery}")).await.expect(200);
        assert_eq!(whole["attempts"], attempts);
        assert_eq!(whole["url"], second.url());
        assert_eq!(whole["attempt_count"], 2);
        tidings.delete(&format!("/api/webhooks/{id}")).await.expect(204);
    }
    tidings.stop().await;
}

#[tokio::test]
async fn a_success_at_once_shows_its_attempt_too() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    webhook(&tidings, &receiver, json!({})).await;
    let event = publish(&tidings, json!({"type": "a.b", "data": null})).await;
    let received = receiver.next().await;
    let delivery = settled(&tidings, &event, "success").await.remove(0);
    assert_eq!(delivery["url"], receiver.origin(), "lists show the origin only");
    let path = format!("/api/deliveries/{}/attempts", text(&delivery["id"]));
    let attempts = tidings.get(&path).await.expect(200);
    assert_eq!(attempts.as_array().map(Vec::len), Some(1));
    assert_as_received(&attempts[0]["request"], &receiver, &received, &[]);
    tidings.stop().await;
}

#[tokio::test]
async fn a_retry_by_hand_is_one_more_attempt() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    webhook(&tidings, &receiver, json!({"retry_config": {"max_attempts": 1}})).await;
    let (event, delivery) = failed(&tidings, &receiver, json!(1)).await;
    for (path, count) in [
        (format!("/api/deliveries/{delivery}/retry"), 2),
        (format!("/api/webhooks/deliveries/{delivery}/retry"), 3),
    ] {
        receiver.hold();
        receiver.answers_once(if count == 3 { 200 } else { 500 });
        let queued = tidings.act(&path).await.expect(202);
        assert_eq!(queued["message"], "Delivery queued for retry");
        assert_eq!(queued["delivery"]["status"], "retrying");
        receiver.next().await;
        assert_eq!(tidings.act(&path).await.problem(409)["code"], "still_owed");
        receiver.release();
        let status = if count == 3 { "success" } else { "failed" };
        let after = settled(&tidings, &event, status).await;
        assert_eq!(
            (&after[0]["attempt_count"], &after[0]["id"]),
            (&json!(count), &json!(delivery))
        );
    }
    tidings.stop().await;
}

#[tokio::test]
async fn nothing_is_retried_to_a_webhook_that_is_gone() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let id = webhook(&tidings, &receiver, json!({"retry_config": {"max_attempts": 1}})).await;
    let (event, delivery) = failed(&tidings, &receiver, json!(1)).await;
    tidings.delete(&format!("/api/webhooks/{id}")).await.expect(204);
    let refused = tidings.act(&format!("/api/deliveries/{delivery}/retry")).await.problem(409);
    assert_eq!(refused["code"], "webhook_inactive");
    let redriven = tidings.post("/api/dead-letters/redrive", json!({})).await.expect(202);
    assert_eq!((&redriven["deliveries"], &redriven["skipped"]), (&json!(0), &json!(1)));
    let history = tidings.get(&format!("/api/deliveries/{delivery}")).await.expect(200);
    assert_eq!(history["status"], "failed");
    assert_eq!(history["attempts"][0]["request"]["url"], receiver.url(), "its revisions stay");
    assert_eq!(settled(&tidings, &event, "failed").await.len(), 1);
    tidings.stop().await;
}

#[tokio::test]
async fn what_is_cancelled_is_not_sent() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    webhook(&tidings, &receiver, json!({})).await;
    let later = tidings.now().as_millis() + HOUR_MS;
    let event =
        publish(&tidings, json!({"type": "a.b", "data": "later", "deliver_at": later})).await;
    let waiting = settled(&tidings, &event, "pending").await.remove(0);
    assert_eq!(waiting["next_attempt_at"], later);
    let path = format!("/api/deliveries/{}/cancel", text(&waiting["id"]));
    let cancelled = tidings.act(&path).await.expect(200);
    assert_eq!(
        (&cancelled["status"], &cancelled["reason"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    assert_eq!(tidings.act(&path).await.problem(409)["code"], "already_ended");
    tidings.advance(2 * HOUR_MS);
    // What is published now comes after whatever had become due.
    publish(&tidings, json!({"type": "a.b", "data": "now"})).await;
    assert_eq!(receiver.next().await.json()["data"], "now");
    // Cancelled is not the end of it: a person may change their mind.
    tidings.act(&path.replace("cancel", "retry")).await.expect(202);
    assert_eq!(receiver.next().await.json()["data"], "later");
    tidings.stop().await;
}

#[tokio::test]
async fn dead_letters_are_sent_again_by_filter_and_by_id() {
    let tidings = Tidings::start().await;
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    let fails = json!({"events": ["a.b"], "retry_config": {"max_attempts": 1}});
    let id = webhook(&tidings, &receiver, fails).await;
    let mut dead = Vec::new();
    for n in 0..3 {
        dead.push(failed(&tidings, &receiver, json!(n)).await.1);
    }
    let elsewhere = json!({"events": ["c.d"], "retry_config": {"max_attempts": 1}});
    webhook(&tidings, &other, elsewhere).await;
    other.answers(500);
    let event = publish(&tidings, json!({"type": "c.d", "data": {}})).await;
    other.next().await;
    let elsewhere = text(&settled(&tidings, &event, "failed").await[0]["id"]);

    let all = tidings.get("/api/dead-letters").await.expect(200);
    assert_eq!(all.as_array().map(Vec::len), Some(4));
    let listed = tidings.get(&format!("/api/dead-letters?webhook_id={id}&limit=2")).await;
    let page = listed.expect(200);
    assert_eq!([text(&page[0]["id"]), text(&page[1]["id"])], [dead[2].clone(), dead[1].clone()]);
    let cursor = text(&listed.json()["next_cursor"]);
    let rest = format!("/api/dead-letters?webhook_id={id}&limit=2&cursor={cursor}");
    assert_eq!(tidings.get(&rest).await.expect(200)[0]["id"], dead[0]);

    let redrive = "/api/dead-letters/redrive";
    let ask = json!({"webhook_id": id, "dry_run": true});
    let dry = tidings.post(redrive, ask).await.expect(200);
    assert_eq!(dry, json!({"deliveries": 3, "skipped": 0, "more": false, "dry_run": true}));
    assert!(receiver.is_quiet().await);

    let unknown = "dlv_0000000000001";
    let by_id = json!({"delivery_ids": [dead[1], unknown]});
    let done = tidings.post(redrive, by_id).await.expect(202);
    assert_eq!((&done["deliveries"], &done["skipped"]), (&json!(1), &json!(1)));
    assert_eq!(receiver.next().await.json()["data"], 1);
    settled_one(&tidings, &dead[1], "success").await;

    let done = tidings.post(redrive, json!({"webhook_id": id})).await.expect(202);
    assert_eq!((&done["deliveries"], &done["skipped"]), (&json!(2), &json!(0)));
    let mut arrived = [
        receiver.next().await.json()["data"].clone(),
        receiver.next().await.json()["data"].clone(),
    ];
    arrived.sort_by_key(Value::as_i64);
    assert_eq!(arrived, [json!(0), json!(2)]);
    for delivery in &dead {
        settled_one(&tidings, delivery, "success").await;
    }
    let left = tidings.get("/api/dead-letters").await.expect(200);
    assert_eq!(left.as_array().map(Vec::len), Some(1));
    assert_eq!(left[0]["id"], elsewhere);
    tidings.stop().await;
}

/// Waits until this delivery has this status.
async fn settled_one(tidings: &Tidings, delivery: &str, status: &str) -> Value {
    let path = format!("/api/deliveries/{delivery}");
    let path = &path;
    eventually(&format!("{delivery} is {status}"), || async move {
        let one = tidings.get(path).await.expect(200);
        (one["status"] == status).then_some(one)
    })
    .await
}

#[tokio::test]
async fn a_redrive_gives_the_attempts_of_the_policy_again() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    receiver.answers(500);
    webhook(&tidings, &receiver, json!({"retry_config": hourly(2)})).await;
    let event = publish(&tidings, json!({"type": "a.b", "data": {}})).await;
    let mut delivery = String::new();
    for round in 0..2 {
        receiver.next().await;
        settled(&tidings, &event, "retrying").await;
        tidings.advance(HOUR_MS);
        receiver.next().await;
        let dead = settled(&tidings, &event, "failed").await.remove(0);
        assert_eq!(dead["attempt_count"], 2 + 2 * round);
        assert_eq!(
            (&dead["reason"], &dead["max_attempts"]),
            (&json!("exhausted"), &json!(2 + 2 * round))
        );
        delivery = text(&dead["id"]);
        if round == 0 {
            let ask = json!({"event_id": event, "status": ["failed", "expired"]});
            let done = tidings.post("/api/dead-letters/redrive", ask).await.expect(202);
            assert_eq!(done["deliveries"], 1);
        }
    }
    let attempts = tidings.get(&format!("/api/deliveries/{delivery}/attempts")).await.expect(200);
    let numbers: Vec<i64> = attempts
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|a| a["attempt_number"].as_i64())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    tidings.stop().await;
}

#[tokio::test]
async fn lists_filter_and_page() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let id = webhook(&tidings, &receiver, json!({"retry_config": {"max_attempts": 1}})).await;
    webhook(&tidings, &receiver, json!({"events": ["z.z"]})).await;
    let (event, dead) = failed(&tidings, &receiver, json!(0)).await;
    let mut all = vec![dead.clone()];
    for n in 1..5 {
        let event = publish(&tidings, json!({"type": "a.b", "data": n})).await;
        receiver.next().await;
        all.push(text(&settled(&tidings, &event, "success").await[0]["id"]));
    }
    all.reverse();
    let ids = |reply: &harness::Reply| -> Vec<String> {
        reply.expect(200).as_array().expect("a list").iter().map(|it| text(&it["id"])).collect()
    };
    let mut paged = Vec::new();
    let mut path = "/api/deliveries?limit=2".to_owned();
    loop {
        let reply = tidings.get(&path).await;
        paged.extend(ids(&reply));
        let Some(cursor) = reply.json()["next_cursor"].as_str().map(str::to_owned) else { break };
        path = format!("/api/deliveries?limit=2&cursor={cursor}");
    }
    assert_eq!(paged, all);
    let first = tidings.get(&format!("/api/deliveries/{}", all[0])).await.expect(200);
    let since = first["created_at"].as_i64().expect("a moment");
    for (query, expected) in [
        ("status=failed".to_owned(), &all[4..]),
        ("status=failed,success".to_owned(), &all[..]),
        ("status=pending,retrying".to_owned(), &all[..0]),
        (format!("webhook_id={id}&status=success"), &all[..4]),
        (format!("webhook_id={id}&event_id={event}"), &all[4..]),
        (format!("event_id={event}"), &all[4..]),
        ("event_id=nobody-knows-it".to_owned(), &all[..0]),
        (format!("since={since}"), &all[..1]),
        (format!("until={since}"), &all[1..]),
        ("page=2&limit=2".to_owned(), &all[2..4]),
    ] {
        assert_eq!(
            ids(&tidings.get(&format!("/api/deliveries?{query}")).await),
            expected,
            "{query}"
        );
    }
    // Both of one event and to a webhook that did not get it.
    let other = tidings.get("/api/webhooks").await.expect(200);
    let other = other.as_array().expect("a list").iter().map(|it| text(&it["id"]));
    let other = other.filter(|other| *other != id).last().expect("another webhook");
    let none = format!("/api/deliveries?event_id={event}&webhook_id={other}");
    assert_eq!(ids(&tidings.get(&none).await).len(), 0);
    tidings.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_pointed_at() {
    let tidings = Tidings::start().await;
    for (path, pointer) in [
        ("/api/deliveries?status=broken", "status"),
        ("/api/deliveries?limit=0", "limit"),
        ("/api/deliveries?limit=251", "limit"),
        ("/api/deliveries?cursor=wh_1", "cursor"),
        ("/api/deliveries?page=0", "page"),
        ("/api/deliveries?since=yesterday", "since"),
        ("/api/deliveries?webhook_id=evt_1", "webhook_id"),
        ("/api/deliveries?sort=up", "sort"),
        ("/api/dead-letters?status=failed", "status"),
        ("/api/events?type=no%20type", "type"),
        ("/api/stats?period=1y", "period"),
    ] {
        assert_eq!(tidings.get(path).await.pointers(), [pointer], "{path}");
    }
    let redrive = "/api/dead-letters/redrive";
    for (body, pointers) in [
        (json!({"delivery_ids": []}), vec!["/delivery_ids"]),
        (json!({"delivery_ids": ["dlv_0000000000001", 3]}), vec!["/delivery_ids"]),
        (json!({"delivery_ids": ["dlv_0000000000001", "wh_1"]}), vec!["/delivery_ids/1"]),
        (json!({"delivery_ids": ["dlv_0000000000001"], "since": 1}), vec!["/since"]),
        (json!({"status": ["success"], "webhook": 1}), vec!["/status", "/webhook"]),
        (json!({"dry_run": "yes", "until": -1}), vec!["/until", "/dry_run"]),
    ] {
        assert_eq!(tidings.post(redrive, body.clone()).await.pointers(), pointers, "{body}");
    }
    tidings.post(redrive, json!([])).await.problem(422);
    for path in [
        "/api/deliveries/dlv_0000000000001",
        "/api/deliveries/nonsense",
        "/api/deliveries/%ff",
        "/api/deliveries/dlv_0000000000001/attempts",
        "/api/events/evt_0000000000001",
    ] {
        tidings.get(path).await.problem(404);
    }
    for verb in ["retry", "cancel"] {
        tidings.act(&format!("/api/deliveries/dlv_0000000000001/{verb}")).await.problem(404);
    }
    tidings.stop().await;
}

#[tokio::test]
async fn events_are_read_back_as_they_were_published() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    webhook(&tidings, &receiver, json!({"events": ["a.b"]})).await;
    let data = r#"{ "n": 1.0,  "big": 123456789012345678901234567890, "n2":1e2 }"#;
    let body =
        format!(r#"{{"type":"a.b","id":"order-42","timestamp":1705228256789,"data":{data}}}"#);
    tidings.send(http::Method::POST, "/api/events", body).await.expect(202);
    receiver.next().await;
    settled(&tidings, "order-42", "success").await;
    let ours = publish(&tidings, json!({"type": "c.d", "data": []})).await;

    let reply = tidings.get("/api/events/order-42").await;
    let event = reply.expect(200);
    let whole = String::from_utf8(reply.body.to_vec()).expect("UTF-8");
    assert!(whole.contains(data), "the very bytes: {whole}");
    assert_eq!((&event["id"], &event["type"]), (&json!("order-42"), &json!("a.b")));
    assert_eq!(event["timestamp"], 1_705_228_256_789_i64);
    assert_eq!(
        (&event["deliveries"]["total"], &event["deliveries"]["success"]),
        (&json!(1), &json!(1))
    );
    let by_ours = format!("/api/events/{}", text(&event["event_id"]));
    assert_eq!(tidings.get(&by_ours).await.expect(200), event);
    let other = tidings.get(&format!("/api/events/{ours}")).await.expect(200);
    assert_eq!((&other["id"], &other["deliveries"]["total"]), (&json!(ours), &json!(0)));

    let all = tidings.get("/api/events").await.expect(200);
    assert_eq!((&all[0]["id"], &all[1]["id"]), (&json!(ours), &json!("order-42")));
    let typed = tidings.get("/api/events?type=a.b").await.expect(200);
    assert_eq!(typed.as_array().map(Vec::len), Some(1));
    assert_eq!(typed[0]["data_bytes"], data.len());
    let first = tidings.get("/api/events?limit=1").await;
    let cursor = text(&first.json()["next_cursor"]);
    let second = tidings.get(&format!("/api/events?limit=1&cursor={cursor}")).await;
    assert_eq!(second.expect(200)[0]["id"], "order-42");
    assert_eq!(second.json()["next_cursor"], Value::Null);
    tidings.stop().await;
}

#[tokio::test]
async fn statistics_reconcile() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    webhook(&tidings, &receiver, json!({"retry_config": {"max_attempts": 1}})).await;
    let (_, dead) = failed(&tidings, &receiver, json!(0)).await;
    for n in 1..4 {
        let event = publish(&tidings, json!({"type": "a.b", "data": n})).await;
        receiver.next().await;
        settled(&tidings, &event, "success").await;
    }
    let later = tidings.now().as_millis() + HOUR_MS;
    publish(&tidings, json!({"type": "a.b", "data": "later", "deliver_at": later})).await;
    let never =
        publish(&tidings, json!({"type": "a.b", "data": "never", "deliver_at": later})).await;
    let never = text(&settled(&tidings, &never, "pending").await[0]["id"]);
    tidings.act(&format!("/api/deliveries/{never}/cancel")).await.expect(200);
    // Sent again and failed again: still one delivery.
    receiver.answers_once(500);
    tidings.act(&format!("/api/deliveries/{dead}/retry")).await.expect(202);
    receiver.next().await;
    settled_one(&tidings, &dead, "failed").await;

    for period in ["1h", "24h", "7d", "30d"] {
        let stats = tidings.get(&format!("/api/stats?period={period}")).await.expect(200);
        let expected = json!({"pending": 1, "retrying": 0, "success": 3, "failed": 1,
            "cancelled": 1, "expired": 0});
        assert_eq!(stats["breakdown"], expected, "{period}");
        assert_eq!((&stats["period"], &stats["total"]), (&json!(period), &json!(6)));
        assert_eq!((&stats["attempts"], &stats["attempts_failed"]), (&json!(5), &json!(2)));
        assert_eq!(stats["success_rate"], 75.0);
        assert!(stats["latency_ms"]["p99"].as_f64() >= stats["latency_ms"]["p50"].as_f64());
        assert!(stats["latency_ms"]["p50"].is_f64());
        let totals = &stats["totals"];
        let sum: i64 = ["pending", "retrying", "success", "failed", "cancelled", "expired"]
            .iter()
            .filter_map(|status| totals[*status].as_i64())
            .sum();
        assert_eq!((totals["accepted"].as_i64(), sum), (Some(6), 6), "{totals}");
        let series = stats["series"].as_array().expect("a series");
        let attempts: i64 = series.iter().filter_map(|point| point["attempts"].as_i64()).sum();
        assert_eq!(attempts, 5);
    }
    assert_eq!(tidings.get("/api/stats").await.expect(200)["period"], "24h");
    let again = tidings.restart().await;
    let totals = again.get("/api/stats").await.expect(200)["totals"].clone();
    assert_eq!((&totals["accepted"], &totals["failed"]), (&json!(6), &json!(1)));
    again.stop().await;
}
