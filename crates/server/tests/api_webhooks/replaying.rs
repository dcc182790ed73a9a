//! Replays over HTTP: what is sent again, what is not, and what is refused.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::harness::{self, Client, Receiver, Tidings, eventually};
use super::{path, publish, register, stats_when};

/// Publishes `job.completed` as the event of this name.
async fn publish_as(client: &Client, id: &str) {
    let event = json!({"id": id, "type": "job.completed", "data": {"id": id}});
    client.post("/api/events", event).await.expect(202);
}

/// Begins a replay of the last hour, with further fields, and waits for its end.
async fn replayed(tidings: &Tidings, webhook: &Value, more: Value) -> Value {
    let begun = begin(tidings, webhook, more).await.expect(202);
    assert_eq!(begun["status"], "running");
    tidings.advance(2_000);
    ended(tidings, webhook, &begun).await
}

async fn begin(client: &Client, webhook: &Value, more: Value) -> harness::Reply {
    let mut body = json!({"since": 0});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
    client.post(&format!("{}/replay", path(webhook)), body).await
}

fn place(webhook: &Value, replay: &Value) -> String {
    format!("{}/replays/{}", path(webhook), replay["id"].as_str().expect("an id"))
}

async fn ended(tidings: &Tidings, webhook: &Value, replay: &Value) -> Value {
    eventually("the replay ends", || async {
        let replay = tidings.get(&place(webhook, replay)).await.expect(200);
        Some(replay).filter(|replay| replay["status"] != "running")
    })
    .await
}

async fn dry_run(tidings: &Tidings, webhook: &Value, more: Value) -> Value {
    let mut more = more;
    more["dry_run"] = true.into();
    begin(tidings, webhook, more).await.expect(200)
}

/// The ids of the next so many requests, in order.
async fn next(receiver: &Receiver, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(receiver.next().await.header("webhook-id").to_owned());
    }
    ids
}

/// A webhook with an event that failed, one that succeeded and one that it missed while it was inactive.
async fn eventful(tidings: &Tidings, receiver: &Receiver) -> Value {
    let more = json!({"retry_config": {"max_attempts": 1}, "max_concurrency": 1});
    let webhook = register(tidings, receiver, more).await;
    receiver.answers_once(500);
    publish_as(tidings, "failed").await;
    publish_as(tidings, "success").await;
    stats_when(tidings, &webhook, |stats| stats["total_deliveries"] == 2).await;
    tidings.patch(&path(&webhook), json!({"active": false})).await.expect(200);
    publish_as(tidings, "missed").await;
    publish(tidings, json!({"for": "nobody"})).await;
    tidings
        .patch(
            &path(&webhook),
            json!({"active": true, "filters":
        {"custom_filters": {"id": {"$exists": true}}}}),
        )
        .await
        .expect(200);
    assert_eq!(next(receiver, 2).await, ["failed", "success"]);
    webhook
}

#[tokio::test]
async fn what_failed_or_was_missed_is_sent_again_under_its_own_id() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let webhook = eventful(&tidings, &receiver).await;
    // One of the events tells of the failure.
    let would = dry_run(&tidings, &webhook, json!({})).await;
    assert_eq!(
        (&would["missed"], &would["failed"], &would["success"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!((&would["deliveries"], &would["events"]), (&json!(2), &json!(5)));
    let all = dry_run(&tidings, &webhook, json!({"statuses": ["success", "missed"]})).await;
    assert_eq!(
        (&all["deliveries"], &all["success"], &all["failed"]),
        (&json!(2), &json!(1), &json!(0))
    );
    let list = format!("{}/replays", path(&webhook));
    assert_eq!(tidings.get(&list).await.expect(200), json!([]), "a dry run is not kept");
    assert!(receiver.is_quiet().await);

    let done = replayed(&tidings, &webhook, json!({})).await;
    assert_eq!((&done["status"], &done["progress_percent"]), (&json!("completed"), &json!(100)));
    assert_eq!((&done["deliveries"], &done["events"]), (&json!(2), &json!(5)));
    assert_eq!(done["statuses"], json!(["missed", "failed", "cancelled", "expired"]));
    assert_eq!(next(&receiver, 2).await, ["failed", "missed"], "oldest first");
    let stats = stats_when(&tidings, &webhook, |stats| stats["total_deliveries"] == 4).await;
    assert_eq!(
        (&stats["successful_deliveries"], &stats["failed_deliveries"]),
        (&json!(3), &json!(1))
    );
    // The old delivery stays as it ended, beside the new one.
    let deliveries = format!("{}/deliveries?event_id=failed", path(&webhook));
    let both = tidings.get(&deliveries).await.expect(200);
    assert_eq!((&both[0]["status"], &both[1]["status"]), (&json!("success"), &json!("failed")));

    let nothing = replayed(&tidings, &webhook, json!({})).await;
    assert_eq!(nothing["deliveries"], 0, "what has succeeded since is not sent again");
    let asked = json!({"statuses": ["success"], "event_types": ["job.*"]});
    assert_eq!(replayed(&tidings, &webhook, asked).await["deliveries"], 3);
    assert_eq!(next(&receiver, 3).await, ["failed", "success", "missed"]);
    let other = json!({"statuses": ["success"], "event_types": ["other.*"]});
    assert_eq!(replayed(&tidings, &webhook, other).await["deliveries"], 0);
    let listed = tidings.get(&list).await.expect(200);
    assert_eq!(listed.as_array().map(Vec::len), Some(4));
    let page = tidings.get(&format!("{list}?limit=3")).await;
    let cursor = page.json()["next_cursor"].as_str().expect("there is more").to_owned();
    let rest = tidings.get(&format!("{list}?limit=3&cursor={cursor}")).await.expect(200);
    assert_eq!(rest, json!([done]));
}

#[tokio::test]
async fn resuming_offers_what_was_missed() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let webhook = register(&tidings, &receiver, json!({"max_concurrency": 1})).await;
    publish_as(&tidings, "before").await;
    assert_eq!(next(&receiver, 1).await, ["before"]);
    receiver.hold();
    receiver.answers_once(410);
    for id in ["gone", "queued"] {
        publish_as(&tidings, id).await;
    }
    assert_eq!(next(&receiver, 1).await, ["gone"]);
    receiver.release();
    eventually("it is switched off and its queue has ended", || async {
        let webhook = tidings.get(&path(&webhook)).await.expect(200);
        let stats = tidings.get(&format!("{}/stats", path(&webhook))).await.expect(200);
        (webhook["inactive_since"].is_i64() && stats["failed_deliveries"] == 2).then_some(())
    })
    .await;
    publish_as(&tidings, "missed").await;
    assert_eq!(begin(&tidings, &webhook, json!({})).await.problem(409)["code"], "webhook_inactive");
    assert_eq!(dry_run(&tidings, &webhook, json!({})).await["deliveries"], 3);

    tidings.advance(1);
    let resumed = tidings.act(&format!("{}/resume", path(&webhook))).await.expect(200);
    assert_eq!((&resumed["active"], &resumed["inactive_since"]), (&json!(true), &Value::Null));
    let missed = &resumed["missed"];
    let (count, more) = (&missed["count"], &missed["more"]);
    assert!(*count == 2 || *count == 3, "the one that answered 410 may be older: {missed}");
    assert_eq!(
        (more, &missed["replay"]),
        (&json!(false), &json!(format!("{}/replay", path(&webhook))))
    );
    let sent = replayed(&tidings, &webhook, json!({"since": missed["since"]})).await;
    assert_eq!(sent["deliveries"], *count);
    let ids = next(&receiver, 2).await;
    assert!(ids.contains(&"queued".to_owned()) || ids.contains(&"missed".to_owned()), "{ids:?}");
    let again = tidings.act(&format!("{}/resume", path(&webhook))).await.expect(200);
    assert_eq!(again["missed"], Value::Null);
}

/// Also what was accepted in the very millisecond in which it is asked for.
#[tokio::test]
async fn what_was_answered_is_counted_at_once() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let webhook = register(&tidings, &receiver, json!({"events": ["other.*"]})).await;
    tidings.patch(&path(&webhook), json!({"events": ["job.*"], "active": false})).await.expect(200);
    for n in 1..=100 {
        publish_as(&tidings, &format!("e{n}")).await;
        assert_eq!(dry_run(&tidings, &webhook, json!({})).await["deliveries"], n);
    }
}

#[tokio::test]
async fn one_runs_at_a_time_and_can_be_cancelled() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let webhook = register(&tidings, &receiver, json!({"events": ["other.*"]})).await;
    for n in 0..5 {
        publish_as(&tidings, &format!("e{n}")).await;
    }
    let wants = json!({"events": ["job.*"]});
    tidings.patch(&path(&webhook), wants).await.expect(200);
    tidings.advance(2_000);
    let keyed = tidings.client.with_header("idempotency-key", "once");
    let begun = begin(&keyed, &webhook, json!({"rate": 1})).await.expect(202);
    assert_eq!(begin(&keyed, &webhook, json!({"rate": 1})).await.expect(202)["id"], begun["id"]);
    begin(&keyed, &webhook, json!({"rate": 2})).await.problem(409);
    let second = begin(&tidings, &webhook, json!({})).await.problem(409);
    assert_eq!(second["code"], "replay_running");
    assert_eq!(next(&receiver, 1).await, ["e0"]);
    let cancel = format!("{}/cancel", place(&webhook, &begun));
    let cancelled = tidings.act(&cancel).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert!(cancelled["deliveries"].as_u64() < Some(5) && cancelled["ended_at"].is_i64());
    assert_eq!(tidings.act(&cancel).await.problem(409)["code"], "already_ended");
    // The rest is still there for another one.
    let rest = 5 - cancelled["deliveries"].as_u64().expect("a number");
    assert_eq!(replayed(&tidings, &webhook, json!({})).await["deliveries"], rest);
    // A webhook that is switched off ends its replay.
    tidings.patch(&path(&webhook), json!({"events": ["*"]})).await.expect(200);
    let running = begin(&tidings, &webhook, json!({"statuses": ["success"], "rate": 1})).await;
    let running = running.expect(202);
    tidings.patch(&path(&webhook), json!({"active": false})).await.expect(200);
    tidings.advance(2_000);
    let failed = ended(&tidings, &webhook, &running).await;
    assert_eq!((&failed["status"], failed["error"].is_string()), (&json!("failed"), true));
}

#[tokio::test]
async fn unkind_input_is_named_and_begins_nothing() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let webhook = register(&tidings, &receiver, json!({})).await;
    let far = tidings.now().as_millis() + 60_000;
    let wrong: [(Value, &[&str]); 12] = [
        (json!({}), &["/since"]),
        (json!({"since": "yesterday"}), &["/since"]),
        (json!({"since": far}), &["/since"]),
        (json!({"since": 0, "until": far}), &["/until"]),
        (json!({"since": 5, "until": 5}), &["/since"]),
        (json!({"since": 0, "statuses": []}), &["/statuses"]),
        (
            json!({"since": 0, "statuses": ["missed", "pending", "Failed"]}),
            &["/statuses/1", "/statuses/2"],
        ),
        (json!({"since": 0, "statuses": "failed"}), &["/statuses"]),
        (
            json!({"since": 0, "event_types": ["job.*", "job*", 7]}),
            &["/event_types/1", "/event_types/2"],
        ),
        (json!({"since": 0, "rate": 0}), &["/rate"]),
        (json!({"since": 0, "dry_run": "yes"}), &["/dry_run"]),
        (json!({"since": 0, "status": ["failed"], "rate": 10_001}), &["/rate", "/status"]),
    ];
    let start = format!("{}/replay", path(&webhook));
    for (body, pointers) in wrong {
        assert_eq!(tidings.post(&start, body.clone()).await.pointers(), pointers, "{body}");
    }
    tidings.act(&start).await.problem(400);
    let list = format!("{}/replays", path(&webhook));
    assert_eq!(tidings.get(&list).await.expect(200), json!([]));
    assert_eq!(tidings.get(&format!("{list}?colour=red")).await.pointers(), ["colour"]);
    for nothing in ["rpl_0000000000001", "wh_0000000000001", "x", "%ff"] {
        tidings.get(&format!("{list}/{nothing}")).await.problem(404);
        tidings.act(&format!("{list}/{nothing}/cancel")).await.problem(404);
    }
    let none = json!({"id": "wh_0000000000001"});
    begin(&tidings, &none, json!({})).await.problem(404);
    tidings.get("/api/webhooks/wh_0000000000001/replays").await.problem(404);
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let admin = "the-admin-key-of-the-settings";
    let tidings = Tidings::start_with(|settings| settings.admin_key = Some(admin.into())).await;
    let root = tidings.client.with_header("authorization", format!("Bearer {admin}"));
    let receiver = Receiver::start().await;
    let mut of = BTreeMap::new();
    for name in ["one", "two"] {
        let id = root.post("/api/tenants", json!({"name": name})).await.expect(201)["id"].take();
        let client = root.with_header("x-tenant-id", id.as_str().expect("an id"));
        let hook = json!({"url": receiver.url(), "events": ["*"], "active": false});
        let webhook = client.post("/api/webhooks", hook).await.expect(201);
        publish_as(&client, name).await;
        client.patch(&path(&webhook), json!({"active": true})).await.expect(200);
        of.insert(name, (client, webhook));
    }
    let ((one, ours), (two, theirs)) = (&of["one"], &of["two"]);
    tidings.advance(2_000);
    begin(two, ours, json!({})).await.problem(404);
    let begun = begin(one, ours, json!({})).await.expect(202);
    assert_eq!(next(&receiver, 1).await, ["one"], "and nothing of the other's");
    two.get(&place(ours, &begun)).await.problem(404);
    two.get(&place(theirs, &begun)).await.problem(404);
    one.get(&place(theirs, &begun)).await.problem(404);
    two.act(&format!("{}/cancel", place(ours, &begun))).await.problem(404);
    two.get(&format!("{}/replays", path(ours))).await.problem(404);
    assert_eq!(two.get(&format!("{}/replays", path(theirs))).await.expect(200), json!([]));
    let key = json!({"name": "reader", "scopes": ["read"]});
    let key = one.post("/api/keys", key).await.expect(201);
    let bearer = format!("Bearer {}", key["key"].as_str().expect("shown once"));
    let reader = tidings.client.with_header("authorization", bearer);
    reader.get(&place(ours, &begun)).await.expect(200);
    assert_eq!(begin(&reader, ours, json!({})).await.problem(403)["code"], "missing_scope");
    reader.act(&format!("{}/cancel", place(ours, &begun))).await.problem(403);
}
