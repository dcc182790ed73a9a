//! What people do with deliveries: retry, cancel, redrive.

use serde_json::{Value, json};

use crate::harness::{Receiver, Tidings};
use crate::{HOUR_MS, failed, hourly, publish, settled, settled_one, text, webhook};

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

/// Whoever sends a field means something by it.
#[tokio::test]
async fn what_only_happens_takes_no_fields() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let webhook = webhook(&tidings, &receiver, json!({})).await;
    let none = "dlv_0000000000001";
    for path in [
        format!("/api/webhooks/{webhook}/test"),
        format!("/api/webhooks/{webhook}/pause"),
        format!("/api/webhooks/{webhook}/resume"),
        format!("/api/webhooks/{webhook}/replays/rpl_0000000000001/cancel"),
        format!("/api/webhooks/deliveries/{none}/retry"),
        format!("/api/deliveries/{none}/retry"),
        format!("/api/deliveries/{none}/cancel"),
        "/api/jobs/job_0000000000001/cancel".to_owned(),
    ] {
        assert_eq!(tidings.post(&path, json!({"x": 1})).await.pointers(), ["/x"], "{path}");
        let taken = [tidings.act(&path).await.status, tidings.post(&path, json!({})).await.status];
        assert!(taken.iter().all(|status| [200, 404].contains(status)), "{path}: {taken:?}");
    }
    // As curl sends `-d ''`.
    let form = tidings.with_header("content-type", "application/x-www-form-urlencoded");
    form.act(&format!("/api/webhooks/{webhook}/pause")).await.expect(200);
    tidings.stop().await;
}
