//! Leads reach the services behind their URLs: in the form of each, again when that may help, and no
//! more at once than a service takes.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::tempdir;
use tidings_wire::sign::{MacKey, hmac_hex};

use crate::harness::{Binary, Client, Receiver, Reply, Response, Tidings, eventually};
use crate::register;

/// The test of the systems that this route comes from, to this receiver.
fn test_lead(url: &str) -> Value {
    json!({"leadId": "test-lead-id", "webhookUrl": url, "webhookSecret": "test-secret",
        "campaignName": "Test Campaign"})
}

fn kit(receiver: &Receiver, lead: Value) -> Value {
    json!({"leadId": "ada", "webhookUrl": receiver.origin(), "format": "convertkit", "lead": lead,
        "options": {"api_key": "kit_key_never_shown", "form_id": 217}})
}

#[track_caller]
fn accepted(reply: &Reply) -> Value {
    let json = reply.json();
    assert_eq!((reply.status, &json["status"]), (202, &json!("success")), "{json:#}");
    json["delivery"].clone()
}

async fn hand_over(client: &Client, body: Value) -> Value {
    accepted(&client.post("/api/webhook-delivery", body).await)
}

/// The lead once it has this status, with its deliveries.
async fn lead(client: &Client, name: &str, status: &str) -> Value {
    let path = format!("/api/leads/{name}");
    let path = &path;
    eventually(&format!("{name} is {status}"), || async move {
        let lead = client.get(path).await.expect(200);
        (lead["status"] == status).then_some(lead)
    })
    .await
}

async fn list(client: &Client) -> Value {
    let reply = client.get("/api/webhook-delivery").await;
    assert_eq!(reply.status, 200);
    reply.json()
}

async fn attempts(client: &Client, delivery: &Value) -> Vec<Value> {
    let path = format!("/api/deliveries/{}/attempts", delivery["id"].as_str().unwrap());
    client.get(&path).await.expect(200).as_array().unwrap().clone()
}

#[tokio::test]
async fn the_test_of_older_systems_arrives_signed() {
    let dir = tempdir().unwrap();
    let tidings = Binary::start(dir.path()).await;
    let (receiver, told) = (Receiver::start().await, Receiver::start().await);
    register(&tidings, &told.url(), json!({"events": ["lead.*"]})).await;
    let delivery = hand_over(&tidings, test_lead(&receiver.url())).await;
    let request = receiver.next().await;
    assert_eq!(request.header("x-webhook-event"), "lead.captured");
    let signature = hmac_hex(&MacKey::from_key(b"test-secret"), "sha256=", &request.body);
    assert_eq!(request.header("x-webhook-signature"), signature);
    let body = request.json();
    assert_eq!(body["lead"], json!({"id": "test-lead-id"}));
    assert_eq!(
        (&body["event"], &body["campaign"]),
        (&json!("lead.captured"), &json!("Test Campaign"))
    );

    let known = lead(&tidings, "test-lead-id", "webhook_sent").await;
    assert_eq!(known["campaign"], "Test Campaign");
    let all = list(&tidings).await;
    assert_eq!((&all["status"], &all["total"]), (&json!("success"), &json!(1)));
    let shown = &all["deliveries"][0];
    assert_eq!(shown["id"], delivery["id"]);
    assert_eq!((&shown["status"], &shown["attempt"]), (&json!("success"), &json!(1)));
    assert_eq!((&shown["max_attempts"], &shown["lead_id"]), (&json!(4), &json!("test-lead-id")));
    assert_eq!((&shown["payload"], &shown["signature"]), (&body, &json!(signature)));
    assert_eq!(shown["webhook_url"], receiver.url());
    // A registered webhook that listens hears of it, once.
    assert_eq!(told.next().await.json()["data"]["lead"]["id"], "test-lead-id");
    hand_over(&tidings, test_lead(&receiver.url())).await;
    receiver.next().await;
    assert!(told.is_quiet().await);
    tidings.stop().await;
}

#[tokio::test]
async fn kit_gets_both_calls_and_a_failure_of_the_second_starts_again() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    for answer in [Response::from((201, "{}")), 500.into(), (200, "{}").into(), (200, "{}").into()]
    {
        receiver.answers_once(answer);
    }
    let person = json!({"email": "ada@example.com", "name": "Ada Lovelace"});
    let delivery = hand_over(&tidings, kit(&receiver, person)).await;
    let calls = ["/v4/subscribers", "/v4/forms/217/subscribers"];
    for path in calls {
        let request = receiver.next().await;
        assert_eq!(
            (request.path.as_str(), request.header("x-kit-api-key")),
            (path, "kit_key_never_shown")
        );
        assert_eq!(request.json()["email_address"], "ada@example.com");
        assert_eq!(request.header("x-webhook-signature"), "");
    }
    let waiting = eventually("it waits for its second attempt", || async {
        let shown = list(&tidings).await["deliveries"][0].take();
        (shown["status"] == "sent").then_some(shown)
    })
    .await;
    let wait = waiting["next_retry_at"].as_i64().unwrap() - waiting["sent_at"].as_i64().unwrap();
    assert!((5_000..8_000).contains(&wait), "{waiting:#}");
    assert_eq!(waiting["last_error"], "HTTP 500: Internal Server Error");
    assert_eq!(tidings.get("/api/leads/ada").await.expect(200)["status"], "webhook_pending");

    tidings.advance(5_000);
    for path in calls {
        assert_eq!(receiver.next().await.path, path);
    }
    let known = lead(&tidings, "ada", "webhook_sent").await;
    assert_eq!(known["lead"]["first_name"], "Ada");
    // Each attempt shows the call that was made last, and no key.
    let all = attempts(&tidings, &delivery).await;
    let form = format!("{}{}", receiver.origin(), calls[1]);
    assert_eq!(all.len(), 2);
    for attempt in &all {
        assert_eq!(attempt["request"]["url"], form);
        assert_eq!(attempt["request"]["headers"]["X-Kit-Api-Key"], "••••");
        assert_eq!(attempt["request"]["body"], r#"{"email_address":"ada@example.com"}"#);
        assert!(!attempt.to_string().contains("never_shown"));
    }
    assert_eq!(
        (&all[0]["response_status"], &all[1]["response_status"]),
        (&json!(500), &json!(200))
    );
    let worker = &list(&tidings).await["worker"];
    assert_eq!((&worker["processed"], &worker["failed"]), (&json!(1), &json!(0)));
    assert_eq!((&worker["success_rate"], &worker["average_retries"]), (&json!(100.0), &json!(1.0)));
    let figures = tidings.get("/metrics").await;
    let figures = String::from_utf8(figures.body.to_vec()).unwrap();
    assert!(
        figures.contains("tidings_lead_deliveries_ended_total{status=\"success\"} 1"),
        "{figures}"
    );
    assert!(figures.contains("tidings_lead_attempts_total 2"));
    tidings.stop().await;
}

#[tokio::test]
async fn a_refusal_ends_at_once_and_trouble_after_four_attempts() {
    let tidings = Tidings::start().await;
    let (refusing, failing) = (Receiver::start().await, Receiver::start().await);
    refusing.answers((400, r#"{"errors":["Email address is invalid"]}"#));
    failing.answers(503);
    let mut refused = kit(&refusing, json!({"email": "ada@example.com"}));
    refused["leadId"] = "refused".into();
    hand_over(&tidings, refused).await;
    let known = lead(&tidings, "refused", "webhook_failed").await;
    let shown = &known["deliveries"][0];
    assert_eq!((&shown["status"], &shown["attempt"]), (&json!("failed"), &json!(1)));
    assert_eq!((&shown["response_status"], &shown["next_retry_at"]), (&json!(400), &Value::Null));
    assert!(shown["response_body"].as_str().unwrap().contains("Email address is invalid"));

    let mut body = test_lead(&failing.url());
    body["leadId"] = "unlucky".into();
    let delivery = hand_over(&tidings, body).await;
    for wait_s in [5, 25, 125, 0] {
        failing.next().await;
        if wait_s > 0 {
            // Until it is settled that it is tried again, and then until it is.
            eventually("the retry is written down", || async {
                let shown = list(&tidings).await["deliveries"][0].take();
                let at = shown["next_retry_at"].as_i64()? - shown["sent_at"].as_i64()?;
                (wait_s * 1_000..wait_s * 1_000 + 3_000).contains(&at).then_some(())
            })
            .await;
            tidings.advance(wait_s * 1_000);
        }
    }
    lead(&tidings, "unlucky", "webhook_failed").await;
    // Once more by hand.
    failing.answers(200);
    let retry = format!("/api/deliveries/{}/retry", delivery["id"].as_str().unwrap());
    tidings.act(&retry).await.expect(202);
    lead(&tidings, "unlucky", "webhook_sent").await;
    assert_eq!(list(&tidings).await["worker"]["failed"], 2);
    tidings.stop().await;
}

#[tokio::test]
async fn what_a_service_says_within_its_success_counts() {
    let tidings = Tidings::start().await;
    let slack = Receiver::start().await;
    slack.answers((200, "ok"));
    slack.answers_once((200, "no_service"));
    for (name, status) in [("one", "webhook_failed"), ("two", "webhook_sent")] {
        let body = json!({"leadId": name, "webhookUrl": slack.url(), "format": "slack",
            "lead": {"name": "<Ada>"}});
        hand_over(&tidings, body).await;
        let text = slack.next().await.json()["blocks"][0]["text"]["text"].take();
        assert_eq!(text, "*New lead*\nName: &lt;Ada&gt;");
        lead(&tidings, name, status).await;
    }
    let one = lead(&tidings, "one", "webhook_failed").await["deliveries"][0].take();
    assert_eq!(one["last_error"], "HTTP 200: the answer is not `ok`");

    // The contact's id stands far behind what is kept of an answer.
    let campaign = Receiver::start().await;
    let answer = format!(r#"{{"fieldValues":["{}"],"contact":{{"id":"113"}}}}"#, "x".repeat(9_000));
    campaign.answers_once((201, answer.as_str()));
    let body = json!({"leadId": "three", "webhookUrl": campaign.origin(), "format": "activecampaign",
        "lead": {"email": "a@b.c"}, "options": {"api_key": "k", "list_id": 2}});
    let delivery = hand_over(&tidings, body).await;
    campaign.next().await;
    let joined = campaign.next().await.json();
    assert_eq!(joined["contactList"], json!({"list": "2", "contact": "113", "status": 1}));
    lead(&tidings, "three", "webhook_sent").await;
    let attempt = attempts(&tidings, &delivery).await.remove(0);
    assert!(attempt["request"]["body"].as_str().unwrap().contains("113"), "{attempt:#}");
    tidings.stop().await;
}

#[tokio::test]
async fn discord_is_left_alone_for_as_long_as_it_asks() {
    let tidings = Tidings::start().await;
    let discord = Receiver::start().await;
    discord.answers(204);
    discord.answers_once((429, r#"{"message":"slow down","retry_after":41.2,"global":false}"#));
    let body = json!({"leadId": "one", "webhookUrl": discord.url(), "format": "discord",
        "lead": {"name": "Ada"}});
    hand_over(&tidings, body).await;
    discord.next().await;
    eventually("the retry waits for what the body says", || async {
        let shown = list(&tidings).await["deliveries"][0].take();
        let wait_ms = shown["next_retry_at"].as_i64()? - shown["sent_at"].as_i64()?;
        (42_000..45_000).contains(&wait_ms).then_some(())
    })
    .await;
    tidings.advance(45_000);
    discord.next().await;
    lead(&tidings, "one", "webhook_sent").await;
    tidings.stop().await;
}

#[tokio::test]
async fn what_a_format_misses_is_refused_and_changes_nothing() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let with = |changes: Value| {
        let mut body = kit(&receiver, json!({"email": "ada@example.com"}));
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        body
    };
    for (changes, pointers) in [
        (json!({"lead": {"name": "Ada"}}), vec!["/lead/email"]),
        (json!({"lead": {"email": "nobody", "age": 7}}), vec!["/lead/email", "/lead/age"]),
        (json!({"options": {}}), vec!["/options/api_key"]),
        (json!({"options": {"api_key": "k", "list_id": 1}}), vec!["/options/list_id"]),
        (json!({"options": [], "leadId": null}), vec!["/leadId", "/options"]),
        (json!({"webhookUrl": receiver.url()}), vec!["/webhookUrl"]),
        (json!({"webhookUrl": "http://10.0.0.1/"}), vec!["/webhookUrl"]),
        (json!({"webhookSecret": "s"}), vec!["/webhookSecret"]),
        (json!({"format": "converkit"}), vec!["/format"]),
        (json!({"lead": {}, "options": {}}), vec!["/options/api_key", "/lead/email"]),
        (json!({"leadId": "", "campaignName": "a\nb"}), vec!["/leadId", "/campaignName"]),
        (json!({"retry_config": {"max_attempts": 21}}), vec!["/retry_config/max_attempts"]),
        (json!({"lead_id": "x"}), vec!["/lead_id"]),
    ] {
        let reply = tidings.post("/api/webhook-delivery", with(changes.clone())).await;
        assert_eq!(reply.pointers(), pointers, "{changes} {:#}", reply.json());
    }
    assert_eq!(list(&tidings).await["total"], 0);
    assert_eq!(tidings.get("/api/leads").await.expect(200), json!([]));
    tidings.get("/api/leads/ada").await.problem(404);
    tidings.post("/api/leads", json!({"leadId": "x"})).await.problem(422);
    assert!(receiver.is_quiet().await);
    tidings.stop().await;
}

#[tokio::test]
async fn a_lead_is_kept_and_told_of_once_and_handed_over_later() {
    let dir = tempdir().unwrap();
    let tidings = Binary::start(dir.path()).await;
    let (receiver, told) = (Receiver::start().await, Receiver::start().await);
    register(&tidings, &told.url(), json!({"events": ["lead.captured"], "profile": "lead"})).await;
    let body =
        json!({"leadId": "ada", "campaignName": "Spring", "lead": {"email": "ada@example.com"}});
    let keyed = tidings.with_header("idempotency-key", "capture-1");
    for _ in 0..2 {
        let made = keyed.post("/api/leads", body.clone()).await.expect(201);
        assert_eq!((&made["id"], &made["status"]), (&json!("ada"), &json!("new")));
    }
    assert_eq!(tidings.post("/api/leads", body).await.problem(409)["code"], "lead_exists");
    let event = told.next().await.json();
    assert_eq!(event["lead"], json!({"id": "ada", "email": "ada@example.com"}));
    let unnamed = tidings.post("/api/leads", json!({"lead": {}})).await.expect(201);
    assert!(unnamed["id"].as_str().unwrap().starts_with("lead_"));
    told.next().await;

    // What is known of it need not be said again; the same key hands it over once.
    let keyed = tidings.with_header("idempotency-key", "hand-over-1");
    let body = json!({"leadId": "ada", "webhookUrl": receiver.url(), "format": "zapier"});
    let first = accepted(&keyed.post("/api/webhook-delivery", body.clone()).await);
    let again = keyed.post("/api/webhook-delivery", body).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(accepted(&again)["id"], first["id"]);
    let request = receiver.next().await.json();
    assert_eq!(
        (&request["email"], &request["campaign"]),
        (&json!("ada@example.com"), &json!("Spring"))
    );
    lead(&tidings, "ada", "webhook_sent").await;
    assert!(receiver.is_quiet().await && told.is_quiet().await);
    let sent = tidings.get("/api/leads?status=webhook_sent").await.expect(200);
    assert_eq!(sent.as_array().unwrap().len(), 1);
    tidings.stop().await;
}

/// The example of the documentation, as it stands there.
#[test]
fn the_example_runs() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/leads/run.sh");
    let mut example = std::process::Command::new("sh");
    // A variable that only the tests know would be refused as one.
    example.arg(script).env_remove("TIDINGS_TEST_STORE");
    let ran = example.env("TIDINGS", env!("CARGO_BIN_EXE_tidings")).output().unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{text}\n{}", String::from_utf8_lossy(&ran.stderr));
    for told in ["200, genuine", "500, trouble", "/lead/email", "test-lead-id: webhook_sent"] {
        assert!(text.contains(told), "{told}: {text}");
    }
}

/// A quick service gets them evenly spaced, so that no second sees more than it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_gets_fifty_a_second_unless_the_settings_say_otherwise() {
    for (setting, rate, leads) in [(None, 50, 60), (Some(("TIDINGS_LEAD_RATE", "10")), 10, 12)] {
        let dir = tempdir().unwrap();
        let tidings = Binary::start_with(dir.path(), setting.as_slice()).await;
        let service = Receiver::start().await;
        for n in 0..leads {
            let mut body = test_lead(&service.url());
            body["leadId"] = format!("lead-{n}").into();
            hand_over(&tidings, body).await;
        }
        let mut times = Vec::new();
        for _ in 0..leads {
            times.push(service.next().await.at);
        }
        let took = times[times.len() - 1] - times[0];
        // The way here may differ a little from one to the next.
        let least = Duration::from_millis(1_000 * (leads - 1) / rate - 50);
        assert!(took >= least, "{leads} in {took:?}");
        let worker = eventually("all have ended", || async {
            let worker = list(&tidings).await["worker"].take();
            (worker["processed"] == leads).then_some(worker)
        })
        .await;
        // Of the last minute.
        assert_eq!(worker["processed_per_second"], leads as f64 / 60.0);
        assert_eq!((&worker["failed"], &worker["average_retries"]), (&json!(0), &json!(0.0)));
        tidings.stop().await;
    }
}

#[tokio::test]
async fn a_slow_service_gets_five_at_once_unless_the_settings_say_otherwise() {
    for (setting, at_once) in [(None, 5), (Some(("TIDINGS_LEAD_CONCURRENCY", "2")), 2)] {
        let dir = tempdir().unwrap();
        let tidings = Binary::start_with(dir.path(), setting.as_slice()).await;
        let slow = Receiver::start().await;
        let send = async |name: String| {
            let mut body = test_lead(&slow.url());
            body["leadId"] = name.into();
            hand_over(&tidings, body).await;
        };
        // A service that nobody knows yet gets four at once, and more with its successes.
        for n in 0..2 {
            send(format!("known-{n}")).await;
            slow.next().await;
            lead(&tidings, &format!("known-{n}"), "webhook_sent").await;
        }
        slow.hold();
        for n in 0..10 {
            send(format!("lead-{n}")).await;
        }
        for _ in 0..at_once {
            slow.next().await;
        }
        slow.release();
        for n in 0..10 {
            lead(&tidings, &format!("lead-{n}"), "webhook_sent").await;
        }
        assert_eq!(slow.most_at_once(), at_once);
        tidings.stop().await;
    }
}
