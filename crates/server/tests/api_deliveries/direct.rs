//! Direct deliveries: one event to one URL, delivered and shown like any other.

use serde_json::{Value, json};
use tidings_wire::verify::{Scheme, Verifier};

use crate::attempts::assert_as_received;
use crate::harness::{Receiver, Tidings, eventually};
use crate::{HOUR_MS, hourly, settled_one, text};

const PATH: &str = "/api/deliveries";

/// An event to this receiver with the profile `emp`, which needs no secret.
fn to(receiver: &Receiver, more: Value) -> Value {
    let mut body =
        json!({"url": receiver.url(), "type": "job.completed", "data": {"n": 1}, "profile": "emp"});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
    body
}

async fn accepted(tidings: &Tidings, body: Value) -> String {
    text(&tidings.post(PATH, body).await.expect(202)["id"])
}

#[tokio::test]
async fn it_is_signed_and_shown_as_it_was_sent() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let more = json!({"secret": "shared-secret", "headers": {"X-Custom": "a-very-secret-value"}});
    let planned = tidings.post(PATH, to(&receiver, more)).await.expect(202);
    assert_eq!(planned["retry_preview_ms"], json!([0, 1_000, 3_000]));
    let received = receiver.next().await;
    Verifier::new(Scheme::Emp, &["shared-secret"])
        .expect("a secret")
        .verify(&received.headers, &received.body, 0)
        .expect("signed with it");
    assert_eq!(received.header("x-event-id"), text(&planned["event_id"]));
    assert_eq!(received.header("x-custom"), "a-very-secret-value");
    assert!(!received.headers.contains_key("x-webhook-id"), "there is no webhook");
    let whole = settled_one(&tidings, &text(&planned["id"]), "success").await;
    assert_eq!(whole["webhook_id"], Value::Null);
    assert_eq!((&whole["url"], &whole["max_attempts"]), (&json!(receiver.url()), &json!(3)));
    assert_as_received(&whole["attempts"][0]["request"], &receiver, &received, &["X-Custom"]);
    let listed = tidings.get(PATH).await.expect(200);
    assert_eq!(listed[0]["url"], receiver.origin(), "lists show the origin only");
    let totals = tidings.get("/api/stats").await.expect(200)["totals"].take();
    assert_eq!((&totals["accepted"], &totals["success"]), (&json!(1), &json!(1)));
    tidings.stop().await;
}

#[tokio::test]
async fn webhooks_do_not_hear_of_it() {
    let tidings = Tidings::start().await;
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    let everything = json!({"url": other.url(), "events": ["*"]});
    tidings.post("/api/webhooks", everything).await.expect(201);
    accepted(&tidings, to(&receiver, json!({}))).await;
    receiver.next().await;
    tidings.post("/api/events", json!({"type": "a.b", "data": "for all"})).await.expect(202);
    assert_eq!(other.next().await.json()["data"], "for all");
    assert_eq!(tidings.get("/api/webhooks").await.expect(200).as_array().map(Vec::len), Some(1));
    tidings.stop().await;
}

#[tokio::test]
async fn it_is_retried_given_up_and_sent_again() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    receiver.answers(500);
    let more = json!({"retry_config": hourly(2), "secret": "shared-secret"});
    let delivery = accepted(&tidings, to(&receiver, more)).await;
    let first = receiver.next().await;
    settled_one(&tidings, &delivery, "retrying").await;
    // A restart in between: all that it brought along is read back.
    let tidings = tidings.restart().await;
    tidings.advance(HOUR_MS);
    let second = receiver.next().await;
    assert_eq!(first.header("x-event-id"), second.header("x-event-id"));
    assert_ne!(second.header("x-webhook-signature"), "");
    let dead = settled_one(&tidings, &delivery, "failed").await;
    assert_eq!((&dead["reason"], &dead["attempt_count"]), (&json!("exhausted"), &json!(2)));
    let letters = tidings.get("/api/dead-letters").await.expect(200);
    assert_eq!((&letters[0]["id"], &letters[0]["webhook_id"]), (&json!(delivery), &Value::Null));

    tidings.act(&format!("{PATH}/{delivery}/retry")).await.expect(202);
    receiver.next().await;
    eventually("the retry has failed", || async {
        let one = tidings.get(&format!("{PATH}/{delivery}")).await.expect(200);
        (one["status"] == "failed" && one["attempt_count"] == 3).then_some(())
    })
    .await;
    receiver.answers(200);
    let redriven = tidings.post("/api/dead-letters/redrive", json!({})).await.expect(202);
    assert_eq!((&redriven["deliveries"], &redriven["skipped"]), (&json!(1), &json!(0)));
    let last = receiver.next().await;
    assert_eq!(last.header("x-event-id"), first.header("x-event-id"));
    let done = settled_one(&tidings, &delivery, "success").await;
    assert_eq!(done["attempts"].as_array().map(Vec::len), Some(4));
    tidings.stop().await;
}

#[tokio::test]
async fn a_410_ends_the_delivery_and_nothing_else() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    receiver.answers_once(410);
    let refused = accepted(&tidings, to(&receiver, json!({}))).await;
    receiver.next().await;
    assert_eq!(settled_one(&tidings, &refused, "failed").await["reason"], "refused");
    accepted(&tidings, to(&receiver, json!({}))).await;
    receiver.next().await;
    tidings.stop().await;
}

#[tokio::test]
async fn one_ordering_key_is_one_after_the_other() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    receiver.hold();
    for n in 0..3 {
        let more = json!({"data": n, "ordering_key": "job-1"});
        accepted(&tidings, to(&receiver, more)).await;
    }
    // Another key does not wait for it.
    accepted(&tidings, to(&receiver, json!({"data": "other", "ordering_key": "job-2"}))).await;
    let mut first = [receiver.next().await, receiver.next().await];
    first.sort_by_key(|request| request.json()["data"].is_string());
    assert_eq!((&first[0].json()["data"], &first[1].json()["data"]), (&json!(0), &json!("other")));
    assert!(receiver.is_quiet().await, "the second waits for the end of the first");
    receiver.release();
    for n in 1..3 {
        assert_eq!(receiver.next().await.json()["data"], n);
    }
    tidings.stop().await;
}

#[tokio::test]
async fn the_same_key_is_one_delivery() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let keyed = tidings.with_header("idempotency-key", "once");
    let first = keyed.post(PATH, to(&receiver, json!({}))).await.expect(202);
    let again = keyed.post(PATH, to(&receiver, json!({}))).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.expect(202), first);
    let other = keyed.post(PATH, to(&receiver, json!({"data": 2}))).await.problem(409);
    assert_eq!(other["code"], "idempotency_key_reused");
    receiver.next().await;
    assert_eq!(tidings.get("/api/stats").await.expect(200)["totals"]["accepted"], 1);
    tidings.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_named_and_changes_nothing() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let refused = |more: Value| {
        let body = to(&receiver, more);
        let tidings = &tidings;
        async move { tidings.post(PATH, body).await.pointers() }
    };
    for url in
        ["http://169.254.169.254/", "https://10.0.0.1/", "https://u:p@a.example/", "ftp://x", ""]
    {
        assert_eq!(refused(json!({"url": url})).await, ["/url"], "{url}");
    }
    let all = json!({"type": "no good", "headers": {"Host": "x"}, "timeout_ms": 1, "events": ["*"],
        "retry_config": {"max_attempts": 0}, "id": "mine"});
    let pointers = refused(all).await;
    let wrong =
        ["/headers/Host", "/retry_config/max_attempts", "/timeout_ms", "/type", "/events", "/id"];
    assert!(wrong.iter().all(|one| pointers.contains(&(*one).to_owned())), "{pointers:?}");
    assert_eq!(pointers.len(), wrong.len(), "{pointers:?}");
    // Nobody would learn of a secret that was made up.
    assert_eq!(refused(json!({"profile": "standard"})).await, ["/secret"]);
    assert_eq!(refused(json!({"profile": "stndard", "secret": "given"})).await, ["/profile"]);
    assert_eq!(
        tidings.post(PATH, json!({})).await.pointers(),
        ["/url", "/secret", "/type", "/data"]
    );
    assert_eq!(tidings.get("/api/stats").await.expect(200)["totals"]["accepted"], 0);
    assert_eq!(tidings.get("/api/events").await.expect(200), json!([]));
    tidings.stop().await;
}
