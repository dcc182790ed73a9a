//! Tests, statistics, health and the list of deliveries.

use serde_json::{Value, json};
use tidings_core::time::SECOND_MS;

use super::{path, publish, register, stats_when};
use crate::harness::{Receiver, Tidings};

#[tokio::test]
async fn a_test_is_one_real_attempt_that_counts_nowhere() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({"profile": "emp", "secret": "s"})).await;
    let test = format!("{}/test", path(&made));
    receiver.answers_once((200, "thanks"));
    let result = tidings.act(&test).await.expect(200);
    assert_eq!((&result["success"], &result["error"]), (&json!(true), &Value::Null));
    let response = json!({"status": 200, "statusText": "OK", "body": "thanks"});
    assert_eq!(result["response"], response);
    let request = receiver.next().await;
    let body = request.json();
    assert_eq!(body["metadata"], json!({"test": true}));
    assert_eq!(body["data"]["job_id"], "test_job_123");
    assert_eq!(request.header("x-webhook-id"), made["id"]);
    assert!(request.header("x-webhook-signature").starts_with("sha256="));

    tidings.put(&path(&made), json!({"active": false})).await.expect(200);
    receiver.answers_once((500, "oh"));
    let result = tidings.act(&test).await.expect(200);
    assert_eq!((&result["success"], &result["response"]["status"]), (&json!(false), &json!(500)));
    assert_eq!(result["error"], "HTTP 500: Internal Server Error");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", closed.local_addr().expect("it is bound"));
    drop(closed);
    tidings.put(&path(&made), json!({"url": url})).await.expect(200);
    let result = tidings.act(&test).await.expect(200);
    assert_eq!((&result["success"], &result["response"]), (&json!(false), &Value::Null));
    assert_eq!(result["error_type"], "network");

    let stats = tidings.get(&format!("{}/stats", path(&made))).await.expect(200);
    assert_eq!((&stats["attempts"], &stats["total_deliveries"]), (&json!(0), &json!(0)));
    let health = tidings.get(&format!("{}/health", path(&made))).await.expect(200);
    assert_eq!((&health["success_rate"], &health["failures_in_a_row"]), (&json!(0.0), &json!(0)));
    assert_eq!((&health["last_delivery"], &health["latency"]["p50"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn statistics_and_health_say_what_happened() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let fields = json!({"retry_config": {"max_attempts": 2, "initial_delay_ms": 60_000}});
    let made = register(&tidings, &receiver, fields).await;
    for _ in 0..3 {
        publish(&tidings, json!({})).await;
        receiver.next().await;
    }
    receiver.answers(500);
    publish(&tidings, json!({"fails": true})).await;
    receiver.next().await;
    let stats = stats_when(&tidings, &made, |stats| stats["retry_queue_size"] == 1).await;
    assert_eq!(stats["successful_deliveries"], 3);
    assert_eq!((&stats["failed_deliveries"], &stats["pending_deliveries"]), (&json!(0), &json!(0)));
    tidings.advance(80 * SECOND_MS);
    receiver.next().await;
    let stats = stats_when(&tidings, &made, |stats| stats["failed_deliveries"] == 1).await;
    assert_eq!((&stats["total_deliveries"], &stats["retry_queue_size"]), (&json!(4), &json!(0)));
    assert_eq!((&stats["attempts"], &stats["failed_attempts"]), (&json!(5), &json!(2)));

    let health = tidings.get(&format!("{}/health", path(&made))).await.expect(200);
    assert_eq!((&health["success_rate"], &health["total_deliveries"]), (&json!(75.0), &json!(4)));
    assert_eq!(
        (&health["failures_in_a_row"], &health["breaker"]["state"]),
        (&json!(2), &json!("closed"))
    );
    assert!(health["failing_since"].is_i64() && health["latency"]["p99"].is_number());
    assert_eq!(health["last_delivery"]["status"], "failed");
    assert_eq!(health["last_delivery"]["error_message"], "HTTP 500: Internal Server Error");

    // Another address starts afresh.
    let other = Receiver::start().await;
    tidings.put(&path(&made), json!({"url": other.url()})).await.expect(200);
    let health = tidings.get(&format!("{}/health", path(&made))).await.expect(200);
    assert_eq!((&health["failures_in_a_row"], &health["failing_since"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn an_open_breaker_shows_until_when() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({"retry_config": {"max_attempts": 1}})).await;
    receiver.answers(500);
    for _ in 0..10 {
        publish(&tidings, json!({})).await;
        receiver.next().await;
    }
    stats_when(&tidings, &made, |stats| stats["failed_deliveries"] == 10).await;
    let health_path = format!("{}/health", path(&made));
    let open = tidings.get(&health_path).await.expect(200);
    assert_eq!(open["breaker"]["state"], "open");
    let until = open["breaker"]["until"].as_i64().expect("a moment");
    assert!((0..=60_000).contains(&(until - tidings.now().as_millis())));
    publish(&tidings, json!({"n": "waits"})).await;
    stats_when(&tidings, &made, |stats| stats["pending_deliveries"] == 1).await;
    assert!(receiver.is_quiet().await);
    // Another address is not judged by what this one did: what waited goes there at once.
    let other = Receiver::start().await;
    tidings.put(&path(&made), json!({"url": other.url()})).await.expect(200);
    assert_eq!(other.next().await.json()["data"], json!({"n": "waits"}));
    let closed = tidings.get(&health_path).await.expect(200);
    assert_eq!(closed["breaker"], json!({"state": "closed", "until": null}));
}

#[tokio::test]
async fn deliveries_are_listed_newest_first() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({})).await;
    let other = register(&tidings, &receiver, json!({"events": ["other"]})).await;
    for n in 0..5 {
        let event = json!({"type": "job.completed", "id": format!("event-{n}"), "data": {}});
        tidings.post("/api/events", event).await.expect(202);
        receiver.next().await;
    }
    stats_when(&tidings, &made, |stats| stats["successful_deliveries"] == 5).await;
    let list = format!("{}/deliveries", path(&made));
    let events = |list: Value| -> Vec<String> {
        let all = list.as_array().expect("a list").iter();
        all.map(|one| one["event_id"].as_str().expect("a text").to_owned()).collect()
    };
    let first = tidings.get(&format!("{list}?limit=2")).await;
    assert_eq!(events(first.expect(200)), ["event-4", "event-3"]);
    let one = &first.expect(200)[0];
    assert_eq!((&one["status"], &one["attempt_count"]), (&json!("success"), &json!(1)));
    assert_eq!((&one["webhook_id"], &one["url"]), (&made["id"], &json!(receiver.origin())));
    let cursor = first.json()["next_cursor"].as_str().expect("there is more").to_owned();
    let second = tidings.get(&format!("{list}?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!(events(second), ["event-2", "event-1"]);
    let third = tidings.get(&format!("{list}?limit=2&page=3")).await.expect(200);
    assert_eq!(events(third), ["event-0"]);
    for none in ["status=failed,cancelled", "until=2020-01-01T00:00:00Z", "since=4102444800000"] {
        assert_eq!(tidings.get(&format!("{list}?{none}")).await.expect(200), json!([]), "{none}");
    }
    let all = tidings.get(&format!("{list}?status=success&since=2020-01-01T00:00:00Z")).await;
    assert_eq!(events(all.expect(200)).len(), 5);
    tidings.get(&format!("{list}?status=done")).await.problem(422);
    let none = tidings.get(&format!("{}/deliveries", path(&other))).await;
    assert_eq!(none.expect(200), json!([]));
}
