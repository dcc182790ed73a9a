//! Profiles of one source, of one's own, and what they mean for what is sent.

use serde_json::{Value, json};

use super::{path, register};
use crate::harness::{Receiver, Tidings, eventually};

const URL: &str = "https://example.com/h";

#[tokio::test]
async fn a_profile_of_one_source_takes_its_events_only() {
    let tidings = Tidings::start().await;
    for (profile, events, wrong) in [
        ("viewcreator", json!(["job.*", "*", "execution.done"]), vec!["/events/1", "/events/2"]),
        ("openvideo", json!(["job.completed"]), vec!["/events/0"]),
        ("lead", json!(["leads.captured"]), vec!["/events/0"]),
        ("lead", json!(["lead.captured", "lead.*"]), vec![]),
    ] {
        let body = json!({"url": URL, "events": events, "profile": profile});
        let reply = tidings.post("/api/webhooks", body).await;
        if wrong.is_empty() {
            reply.expect(201);
        } else {
            assert_eq!(reply.pointers(), wrong, "{profile}");
        }
    }
    // A change of the one is judged by the other.
    let body = json!({"url": URL, "events": ["job.*"], "profile": "viewcreator"});
    let made = tidings.post("/api/webhooks", body).await.expect(201);
    let refused = tidings.put(&path(&made), json!({"profile": "lead"})).await.pointers();
    assert_eq!(refused, ["/profile"]);
    let refused = tidings.put(&path(&made), json!({"events": ["a.b"]})).await.pointers();
    assert_eq!(refused, ["/events/0"]);
    let both = json!({"profile": "lead", "events": ["lead.*"]});
    assert_eq!(tidings.put(&path(&made), both).await.expect(200)["profile"], "lead");
    let refused = tidings.put(&path(&made), json!({"body": "raw"})).await.pointers();
    assert_eq!(refused, ["/body"]);
}

#[tokio::test]
async fn a_job_is_told_in_its_shape_or_not_at_all() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({"profile": "viewcreator"})).await;
    tidings.act(&format!("{}/test", path(&made))).await.expect(200);
    let test = receiver.next().await;
    assert_eq!(
        (test.json()["job_id"].as_str(), test.header("x-webhook-event")),
        (Some("test_job_123"), "job.started")
    );

    let data = json!({"job_id": "j", "job_status": "cancelled", "progress": 40, "current_step": "Rendering"});
    let moment = "2024-01-14T10:30:56.789Z";
    let event = json!({"type": "job.cancelled", "data": data, "timestamp": moment});
    tidings.post("/api/events", event).await.expect(202);
    let told = receiver.next().await;
    assert_eq!(told.header("user-agent"), "ViewCreator-ClippingWorker/2.0");
    assert_eq!(told.header("x-webhook-event"), "job.failed");
    assert_eq!(
        told.body,
        r#"{"current_step":"Rendering","error":"Job cancelled","event":"job.failed","job_id":"j","progress_percent":40,"status":"failed","timestamp":"2024-01-14T10:30:56.789Z"}"#
    );

    let event = json!({"type": "job.submitted", "data": {"job_id": "j", "status": "pending"}});
    tidings.post("/api/events", event).await.expect(202);
    let failed = eventually("the delivery ends", || async {
        let list = tidings.get("/api/deliveries?status=failed").await.expect(200);
        list.as_array().and_then(|list| list.first()).cloned()
    })
    .await;
    assert_eq!(failed["reason"], "unrepresentable");
    let message = failed["error_message"].as_str().expect("why");
    assert!(message.contains("/data/progress_percent"), "{message}");
}

#[tokio::test]
async fn previews_have_the_bounds_of_jitter_and_end_when_deliveries_expire() {
    let tidings = Tidings::start().await;
    let make = |more: Value| {
        let mut body = json!({"url": URL, "events": ["execution.*"]});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        let client = tidings.client.clone();
        async move { client.post("/api/webhooks", body).await }
    };
    let standard = make(json!({})).await.expect(201);
    assert_eq!(standard["retry_preview_ms"][1], 5_000);
    assert_eq!(standard["retry_preview_latest_ms"][1], 6_000);
    // What was read can be sent back.
    let read = tidings.get(&path(&standard)).await.expect(200);
    let same = tidings.put(&path(&standard), read.clone()).await.expect(200);
    assert_eq!(same["revision"], read["revision"]);

    let openvideo = make(json!({"profile": "openvideo"})).await.expect(201);
    assert_eq!(openvideo["retry_preview_ms"], json!([0, 60_000, 180_000, 420_000]));
    assert!(openvideo.get("retry_preview_latest_ms").is_none(), "{openvideo:#}");
    let hours =
        json!({"strategy": "fixed", "initial_delay_ms": 36_000_000, "max_delay_ms": 36_000_000});
    let slow = make(json!({"profile": "openvideo", "retry_config": hours})).await.expect(201);
    assert_eq!(slow["retry_preview_ms"], json!([0, 36_000_000, 72_000_000]));

    let schedule = json!({"profile": "openvideo", "retry_config": {"strategy": "schedule"}});
    let refused = make(schedule).await.pointers();
    assert_eq!(refused, ["/retry_config/schedule_ms"]);
}

#[tokio::test]
async fn a_profile_of_ones_own_is_sent_and_listed() {
    let dir = tempfile::tempdir().expect("a directory");
    let emp = tidings_wire::profile::Profile::builtin_file("emp").expect("it comes with Tidings");
    let acme = emp.replace(
        "\"emp\"\nuser_agent = \"EMP-Job-Queue-Webhook/1.0\"",
        "\"acme\"\nuser_agent = \"Acme/1\"",
    );
    assert_ne!(acme, emp);
    std::fs::write(dir.path().join("acme.toml"), acme).expect("written");
    let profiles = tidings_server::profiles::Profiles::with_dir(dir.path()).expect("sound");
    let tidings = Tidings::start_with(|settings| settings.profiles = profiles).await;
    let receiver = Receiver::start().await;
    register(&tidings, &receiver, json!({"profile": "acme"})).await;
    super::publish(&tidings, json!({})).await;
    assert_eq!(receiver.next().await.header("user-agent"), "Acme/1");

    let listed = tidings.get("/api/profiles").await.expect(200);
    let own: Vec<&Value> =
        listed.as_array().expect("a list").iter().filter(|it| it["own"] == true).collect();
    assert_eq!((own.len(), &own[0]["name"]), (1, &json!("acme")));
    assert_eq!(own[0]["retry_preview_ms"], json!([0, 1000, 3000]));
    assert_eq!(listed[0]["name"], "standard");
}
