//! Lists, events read back, statistics, and what is refused.

use serde_json::{Value, json};

use crate::harness::{Receiver, Reply, Tidings};
use crate::{HOUR_MS, failed, publish, settled, settled_one, text, webhook};

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
    let ids = |reply: &Reply| -> Vec<String> {
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
    let mut others = other.as_array().expect("a list").iter().map(|it| text(&it["id"]));
    let other = others.find(|other| *other != id).expect("another webhook");
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
        ("/api/deliveries?limit=1&limit=2", "limit"),
        ("/api/deliveries?cursor=wh_1", "cursor"),
        ("/api/deliveries?page=0", "page"),
        ("/api/deliveries?since=yesterday", "since"),
        ("/api/deliveries?webhook_id=evt_1", "webhook_id"),
        ("/api/deliveries?sort=up", "sort"),
        ("/api/dead-letters?status=failed", "status"),
        ("/api/events?type=no%20type", "type"),
        ("/api/stats?period=1y", "period"),
        ("/api/profiles?name=emp", "name"),
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
        "/api/webhooks/%ff",
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
