//! What is published is what arrives, to the byte, as often and when it was agreed.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Receiver, Reply, Tidings, eventually};
use crate::{register, settled_totals};

/// Numbers that a float would round, keys that a map would merge, spaces that a printer would drop.
const ODD: &str =
    r#"{"n":1.0,"a":1,"a":2, "big":12345678901234567890 , "e": 1e400,"s":"\u00e9\/é" }"#;

async fn post(tidings: &Tidings, body: impl Into<bytes::Bytes>) -> Reply {
    tidings.send(Method::POST, "/api/events", body).await
}

#[tokio::test]
async fn data_arrives_as_sent_spaces_included() {
    let tidings = Tidings::start().await;
    let (whole, raw) = (Receiver::start().await, Receiver::start().await);
    register(&tidings, &whole.url(), json!({})).await;
    register(&tidings, &raw.url(), json!({"body": "raw"})).await;
    post(&tidings, format!(r#"{{"data": {ODD}, "type":"story.told"}}"#)).await.expect(202);
    let body = whole.next().await.body;
    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.ends_with(&format!("\"data\":{ODD}}}")), "{text}");
    assert_eq!(raw.next().await.body, ODD);
}

#[tokio::test]
async fn what_waits_on_disk_comes_back_byte_for_byte() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let retry = json!({"body": "raw", "retry_config": crate::retry_every(1_000)});
    register(&tidings, &receiver.url(), retry).await;
    receiver.answers_once(500);
    post(&tidings, format!(r#"[{{"type":"story.told","data":{ODD}}}]"#)).await.expect(202);
    assert_eq!(receiver.next().await.body, ODD);
    let tidings = tidings.restart().await;
    tidings.advance(1_000);
    assert_eq!(receiver.next().await.body, ODD, "the retry, from disk");
}

/// A body of exactly so many bytes.
fn event_of(bytes: usize) -> String {
    let (head, tail) = (r#"{"type":"story.told","data":""#, r#""}"#);
    format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
}

#[tokio::test]
async fn a_mebibyte_is_taken_and_a_byte_more_is_not() {
    const MIB: usize = 1 << 20;
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    register(&tidings, &receiver.url(), json!({"body": "raw"})).await;
    post(&tidings, event_of(MIB + 1)).await.problem(413);
    post(&tidings, event_of(MIB)).await.expect(202);
    let arrived = receiver.next().await.body;
    assert_eq!(arrived.len(), MIB - r#"{"type":"story.told","data":}"#.len());
    assert!(receiver.is_quiet().await, "what was refused arrived");
}

fn numbered(range: std::ops::Range<usize>) -> Vec<Value> {
    range.map(|n| json!({"id": format!("n{n}"), "type": "story.told", "data": n})).collect()
}

#[tokio::test]
async fn a_list_of_a_thousand_is_taken_whole_or_not_at_all() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    register(&tidings, &receiver.url(), json!({})).await;
    tidings.post("/api/events", numbered(0..1_001).into()).await.problem(422);
    let mut broken = numbered(0..1_000);
    broken[617]["type"] = "no type".into();
    broken[618]["type"] = "".into();
    let reply = tidings.post("/api/events", broken.into()).await;
    assert_eq!(reply.pointers(), ["/617/type", "/618/type"]);
    let answers = tidings.post("/api/events", numbered(0..1_000).into()).await.expect(202);
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 1_000);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer, &json!({"id": format!("n{n}"), "deliveries": 1}));
    }

    let totals = settled_totals(&tidings).await;
    assert_eq!((&totals["accepted"], &totals["attempts"]), (&json!(1_000), &json!(1_000)));
    let arrived: BTreeSet<String> =
        receiver.take().await.iter().map(|it| it.header("webhook-id").to_owned()).collect();
    assert_eq!(arrived.len(), 1_000);
}

/// A million of them took 25 s and a quarter of a gigabyte.
#[tokio::test]
async fn a_list_that_makes_too_many_deliveries_is_refused() {
    let tidings = Tidings::start().await;
    for _ in 0..101 {
        register(&tidings, "http://127.0.0.1:9/", json!({})).await;
    }
    let problem = tidings.post("/api/events", numbered(0..1_000).into()).await.problem(422);
    assert_eq!(problem["code"], "too_many_deliveries");
    // Nothing of it was taken; and fewer of them are.
    let later = json!({"deliver_at": tidings.now().as_millis() + 3_600_000});
    let mut few = numbered(0..11);
    few.iter_mut().for_each(|event| event["deliver_at"] = later["deliver_at"].clone());
    let answers = tidings.post("/api/events", few.into()).await.expect(202);
    let sum: u64 =
        answers.as_array().unwrap().iter().filter_map(|a| a["deliveries"].as_u64()).sum();
    assert_eq!(sum, 1_111);
}

#[tokio::test]
async fn an_idempotency_key_is_one_request_for_ever() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    register(&tidings, &receiver.url(), json!({})).await;
    let keyed = tidings.with_header("idempotency-key", "once");
    let event = json!({"type": "story.told", "data": 1});
    // All at once, then after a restart: one event, one answer.
    let at_once: Vec<_> = (0..20)
        .map(|_| {
            let (keyed, event) = (keyed.clone(), event.clone());
            tokio::spawn(async move { keyed.post("/api/events", event).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in at_once {
        answers.push(task.await.unwrap());
    }
    let tidings = tidings.restart().await;
    let keyed = tidings.with_header("idempotency-key", "once");
    answers.push(keyed.post("/api/events", event).await);
    let first = answers[0].expect(202);
    assert!(answers.iter().all(|answer| answer.expect(202) == first));
    let replayed = answers.iter().filter(|it| it.header("idempotent-replayed") == "true");
    assert_eq!(replayed.count(), answers.len() - 1);

    let other = json!({"type": "story.told", "data": 2});
    let problem = keyed.post("/api/events", other).await.problem(409);
    assert_eq!(problem["code"], "idempotency_key_reused");
    assert_eq!(settled_totals(&tidings).await["accepted"], 1);
    assert_eq!(receiver.take().await.len(), 1);
}

#[tokio::test]
async fn an_event_id_is_one_event() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    register(&tidings, &receiver.url(), json!({})).await;
    let event = json!({"id": "order-17", "type": "story.told", "data": 1});
    let first = tidings.post("/api/events", event.clone()).await.expect(202);
    assert_eq!(first, json!({"id": "order-17", "deliveries": 1}));
    let again = tidings.post("/api/events", event).await.expect(202);
    assert_eq!((&again["id"], &again["duplicate"]), (&json!("order-17"), &json!(true)));
    let other = json!({"id": "order-17", "type": "story.told", "data": 2});
    let problem = tidings.post("/api/events", other).await.problem(409);
    assert_eq!(problem["code"], "event_id_reused");
    assert_eq!(settled_totals(&tidings).await["accepted"], 1);
    assert_eq!(receiver.take().await.len(), 1);
}

#[tokio::test]
async fn deliver_at_waits_over_a_restart() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    register(&tidings, &receiver.url(), json!({})).await;
    let at = tidings.now().as_millis() + 3_600_000;
    let event = json!({"id": "later", "type": "story.told", "data": 1, "deliver_at": at});
    tidings.post("/api/events", event).await.expect(202);
    tidings.post("/api/events", json!({"id": "now", "type": "story.told", "data": 1})).await;
    assert_eq!(receiver.next().await.header("webhook-id"), "now");
    let tidings = tidings.restart().await;
    tidings.advance(3_590_000);
    tidings.post("/api/events", json!({"id": "sooner", "type": "story.told", "data": 1})).await;
    assert_eq!(receiver.next().await.header("webhook-id"), "sooner");
    tidings.advance(10_000);
    assert_eq!(receiver.next().await.header("webhook-id"), "later");
}

#[tokio::test]
async fn what_expires_is_not_sent_any_more() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let retry = json!({"retry_config": crate::retry_every(60_000)});
    register(&tidings, &receiver.url(), retry).await;
    receiver.answers_once(500);
    let at = tidings.now().as_millis() + 90_000;
    let event = json!({"id": "brief", "type": "story.told", "data": 1, "expires_at": at});
    tidings.post("/api/events", event).await.expect(202);
    receiver.next().await;
    eventually("its retry is scheduled", || async {
        let totals = tidings.get("/api/stats").await.expect(200)["totals"].take();
        (totals["retrying"] == 1).then_some(())
    })
    .await;
    tidings.advance(100_000);
    let totals = settled_totals(&tidings).await;
    assert_eq!((&totals["expired"], &totals["attempts"]), (&json!(1), &json!(1)), "{totals:#}");
    assert!(receiver.is_quiet().await, "it was sent after its time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_reaches_each_of_1_500_webhooks_once() {
    const WEBHOOKS: usize = 1_500;
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let mut line = tidings.connect().await.unwrap();
    for n in 0..WEBHOOKS {
        let url = format!("{}/{n}", receiver.origin());
        let webhook = json!({"url": url, "events": ["story.*"]});
        assert_eq!(line.post("/api/webhooks", &webhook).await.unwrap().status, 201);
    }
    // More than one slice of 1,000; the answer comes after the last.
    let event = json!({"type": "story.told", "data": 1});
    let answer = tidings.post("/api/events", event).await.expect(202);
    assert_eq!(answer["deliveries"], WEBHOOKS);
    let totals = settled_totals(&tidings).await;
    assert_eq!((&totals["success"], &totals["attempts"]), (&json!(WEBHOOKS), &json!(WEBHOOKS)));
    let requests = receiver.take().await;
    let paths: BTreeSet<&str> = requests.iter().map(|request| request.path.as_str()).collect();
    assert_eq!((requests.len(), paths.len()), (WEBHOOKS, WEBHOOKS));
}
