//! Executions: one webhook when all of it is over, delivered or told to be lost.

use serde_json::{Value, json};
use tidings_wire::secret::Secret;
use tidings_wire::sign::{MacKey, hmac_hex};

use crate::harness::{Receiver, Response, Tidings, eventually};

/// Runs a diamond that tells `url`; its path.
async fn diamond(tidings: &Tidings, url: &str) -> String {
    let job = |id: &str, on: &[&str]| json!({"jobId": id, "operation": "trim", "dependencies": on});
    let jobs = [
        job("top", &[]),
        job("left", &["top"]),
        job("right", &["top"]),
        job("end", &["left", "right"]),
    ];
    let body = json!({"executionPlan": {"jobs": jobs},
        "options": {"webhookUrl": url, "webhookSecret": "test-secret"}});
    let execution = tidings.post("/api/execute", body).await.expect(202);
    format!("/api/executions/{}", execution["executionId"].as_str().expect("an id"))
}

/// Runs whatever is runnable until nothing is.
async fn run(tidings: &Tidings, execution: &str, fails: &str) {
    let mut runnable = vec!["top".to_owned()];
    while let Some(job) = runnable.pop() {
        let end = if job == fails {
            json!({"status": "failed", "error": "no space left"})
        } else {
            json!({"status": "completed", "result": {"url": format!("https://cdn.example/{job}")}})
        };
        let at = format!("{execution}/jobs/{job}");
        let answer = tidings.post(&at, end).await.expect(200);
        let names = answer["runnable"].as_array().expect("a list");
        runnable = names.iter().map(|name| name.as_str().expect("a name").to_owned()).collect();
    }
}

async fn when(tidings: &Tidings, execution: &str, status: &str) -> Value {
    eventually(&format!("it is {status}"), || async {
        let read = tidings.get(execution).await.expect(200);
        Some(read).filter(|read| read["status"] == status)
    })
    .await
}

/// Hex of HMAC-SHA-256, as the receivers of OpenVideo compute it over the bytes.
fn signature(secret: &str, body: &[u8]) -> String {
    hmac_hex(&MacKey::new(&Secret::parse(secret).expect("a secret")), "", body)
}

#[tokio::test]
async fn all_done_one_webhook_says_so() {
    let tidings = Tidings::start().await;
    let (receiver, listener) = (Receiver::start().await, Receiver::start().await);
    let webhook = json!({"url": listener.url(), "events": ["execution.*"]});
    tidings.post("/api/webhooks", webhook).await.expect(201);
    let execution = diamond(&tidings, &receiver.url()).await;
    receiver.hold();
    run(&tidings, &execution, "").await;
    let told = receiver.next().await;
    assert_eq!(tidings.get(&execution).await.expect(200)["status"], "delivering");
    receiver.release();
    let ended = when(&tidings, &execution, "completed").await;
    assert!(ended["completedAt"].is_i64());
    assert_eq!(ended["result"]["url"], "https://cdn.example/top");
    assert_eq!(told.header("user-agent"), "OpenVideo-Webhook/1.0");
    assert_eq!(told.header("x-webhook-signature"), signature("test-secret", &told.body));
    let body = told.json();
    assert_eq!(body["status"], "completed");
    assert_eq!(body["rootUrl"], "https://cdn.example/top");
    let output = json!({"url": "https://cdn.example/end", "operation": "trim"});
    assert_eq!(body["outputs"]["end"], output);
    // Registered webhooks hear the same.
    let heard = listener.next().await.json();
    assert_eq!((&heard["type"], &heard["data"]), (&json!("execution.completed"), &body));
    let totals = crate::settled_totals(&tidings).await;
    assert_eq!(totals["accepted"], 2, "{totals:#}");
    tidings.stop().await;
}

#[tokio::test]
async fn a_failure_ends_what_waits_for_it() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let execution = diamond(&tidings, &receiver.url()).await;
    let at = |job: &str| format!("{execution}/jobs/{job}");
    let done = json!({"status": "completed", "result": {"url": "https://cdn.example/x"}});
    tidings.post(&at("top"), done.clone()).await.expect(200);
    tidings.post(&at("left"), json!({"status": "failed"})).await.expect(200);
    assert!(receiver.is_quiet().await, "the other arm is still running");
    tidings.post(&at("right"), done).await.expect(200);
    let body = receiver.next().await.json();
    assert_eq!(
        (&body["status"], body["outputs"].as_object().map(serde_json::Map::len)),
        (&json!("failed"), Some(2),)
    );
    let ended = when(&tidings, &execution, "failed").await;
    assert_eq!(ended["jobs"][3]["status"], "cancelled");
    tidings.stop().await;
}

/// Four attempts, 0, 60, 120 and 240 seconds apart, of the same bytes; then it says that it is lost, and
/// a person sends it once more.
#[tokio::test]
async fn a_webhook_that_nobody_takes_is_given_up_and_can_be_sent_again() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    receiver.answers(500);
    let execution = diamond(&tidings, &receiver.url()).await;
    run(&tidings, &execution, "top").await;
    let first = receiver.next().await;
    for wait_ms in [60_000, 120_000, 240_000] {
        crate::harness::eventually("the retry is planned", || async {
            let list = tidings.get("/api/deliveries").await.expect(200);
            list[0]["next_attempt_at"].as_i64().filter(|at| *at > tidings.now().as_millis())
        })
        .await;
        tidings.advance(wait_ms);
        assert_eq!(receiver.next().await.body, first.body);
    }
    let lost = when(&tidings, &execution, "undelivered").await;
    assert_eq!((&lost["outcome"], &lost["completedAt"]), (&json!("failed"), &Value::Null));
    receiver.answers(200);
    let delivery = lost["webhookDeliveryId"].as_str().expect("an id");
    tidings.act(&format!("/api/deliveries/{delivery}/retry")).await.expect(202);
    assert_eq!(receiver.next().await.body, first.body);
    when(&tidings, &execution, "failed").await;
    tidings.stop().await;
}

/// A day after it was owed nobody waits for it any more.
#[tokio::test]
async fn a_receiver_that_asks_for_a_day_is_told_nothing_later() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    receiver.answers(Response { headers: vec![("retry-after", "86400".into())], ..503.into() });
    let execution = diamond(&tidings, &receiver.url()).await;
    run(&tidings, &execution, "").await;
    receiver.next().await;
    let expired = eventually("it has expired", || async {
        let list = tidings.get("/api/deliveries?status=expired").await.expect(200);
        list.get(0).cloned()
    })
    .await;
    assert_eq!((&expired["reason"], &expired["attempt_count"]), (&json!("expired"), &json!(1)));
    assert_eq!(expired["next_attempt_at"], Value::Null);
    assert_eq!(crate::settled_totals(&tidings).await["expired"], 1);
    tidings.stop().await;
}
