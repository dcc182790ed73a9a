//! Receiving webhooks on real sockets: those of others become events of ours, each once, and those of
//! clipping workers update the jobs that they are about.

#[path = "../harness/mod.rs"]
mod harness;

mod clipping;
mod judged;
mod notifications;

use bytes::Bytes;
use harness::{Client, Receiver, Reply, Tidings};
use http::Method;
use serde_json::{Value, json};
use tidings_server::config::{Settings, Values, defaults};
use tidings_wire::keys::Keys;
use tidings_wire::sign::{MacKey, Signer, hmac_hex, standard};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SOURCES: &str = r#"[
    {name = "hub", scheme = "github", secrets = ["old", "It's a Secret to Everybody"]},
    {name = "clipping", kind = "clipping", scheme = "viewcreator", secrets = ["shared"]},
    {name = "pay", scheme = "standard", secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], body_bytes_max = 200},
]"#;
const PUSH: &str = r#"{"zen": 1,  "n": 1.50}"#;

async fn start() -> Tidings {
    Tidings::start_with(|settings: &mut Settings| {
        let mut values: Values = defaults();
        values.insert("inbound", SOURCES.to_owned());
        settings.inbound = Settings::parse(&values).expect("sound").inbound;
        settings.media_cdn_domain = Some("cdn.viewcreator.ai".to_owned());
    })
    .await
}

async fn push(client: &Client, id: &str, signed: &str, body: impl Into<Bytes>) -> Reply {
    let key = MacKey::from_key(b"It's a Secret to Everybody");
    let signature = hmac_hex(&key, "sha256=", signed.as_bytes());
    client
        .with_header("x-github-event", "push")
        .with_header("x-github-delivery", id)
        .with_header("x-hub-signature-256", signature)
        .send(Method::POST, "/webhooks/hub", body)
        .await
}

async fn pay(client: &Client, id: &str, at_s: i64, body: &str) -> Reply {
    let signers: Vec<Signer> = Keys::parse(SECRET).expect("a secret").signers().collect();
    let signature = standard(&signers, id, &at_s.to_string(), body.as_bytes());
    client
        .with_header("webhook-id", id)
        .with_header("webhook-timestamp", at_s.to_string())
        .with_header("webhook-signature", signature)
        .send(Method::POST, "/webhooks/pay", body.to_owned())
        .await
}

async fn received(client: &Client) -> Vec<Value> {
    let list = client.get("/api/inbound?limit=250").await.expect(200);
    list.as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_webhook_of_others_reaches_those_of_ours_byte_for_byte() {
    let tidings = start().await;
    let receiver = Receiver::start().await;
    let webhook = json!({"url": receiver.url(), "events": ["hub.*"], "body": "raw"});
    tidings.post("/api/webhooks", webhook).await.expect(201);
    let mut stream = tidings.listen("/api/live?types=hub.push").await;
    let reply = push(&tidings, "72d3162e", PUSH, PUSH).await;
    assert_eq!((reply.status, reply.json()), (200, json!({"received": true})));
    let request = receiver.next().await;
    assert_eq!(request.body, PUSH.as_bytes());
    let listed = received(&tidings).await;
    assert_eq!(listed[0]["event_id"], request.header("webhook-id"));
    assert_eq!(
        (&listed[0]["source"], &listed[0]["sender_id"]),
        (&json!("hub"), &json!("72d3162e"))
    );
    assert_eq!(stream.event().await["event_id"], listed[0]["event_id"]);
    assert_eq!(tidings.get("/api/inbound?source=pay").await.expect(200), json!([]));
    tidings.stop().await;
}

#[tokio::test]
async fn what_was_received_has_no_effect_again() {
    let tidings = start().await;
    push(&tidings, "one", PUSH, PUSH).await.expect_received();
    // The same again, under another id, after a restart, and another body under an id that is known.
    push(&tidings, "one", PUSH, PUSH).await.expect_received();
    push(&tidings, "two", PUSH, PUSH).await.expect_received();
    let tidings = tidings.restart().await;
    push(&tidings, "one", PUSH, PUSH).await.expect_received();
    let other = r#"{"zen": 2}"#;
    push(&tidings, "one", other, other).await.expect_received();
    assert_eq!(received(&tidings).await.len(), 1);
    // A signed id names it for sure: the same bytes under another are another webhook.
    let now_s = tidings.now().as_secs();
    let body = r#"{"type": "invoice.paid"}"#;
    for id in ["msg_1", "msg_2", "msg_1"] {
        pay(&tidings, id, now_s, body).await.expect_received();
    }
    let listed = received(&tidings).await;
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[0]["event_type"], "pay.invoice.paid");
    // Many times at once.
    let third = r#"{"zen": 3}"#;
    let all = (0..20).map(|_| push(&tidings, "three", third, third));
    for reply in futures_util::future::join_all(all).await {
        reply.expect_received();
    }
    assert_eq!(received(&tidings).await.len(), 4);
    tidings.stop().await;
}

#[tokio::test]
async fn what_is_not_right_is_refused_and_changes_nothing() {
    let tidings = start().await;
    let now_s = tidings.now().as_secs();
    assert_eq!(push(&tidings, "1", "other", PUSH).await.problem(401)["detail"], "not verified");
    let mut flipped = PUSH.as_bytes().to_vec();
    flipped[9] ^= 1;
    push(&tidings, "1", PUSH, flipped).await.problem(401);
    tidings.send(Method::POST, "/webhooks/hub", PUSH).await.problem(401);
    let unsigned = tidings.act("/webhooks/hub").await;
    assert_eq!(unsigned.header("www-authenticate"), "Signature");
    unsigned.problem(401);
    pay(&tidings, "msg_1", now_s - 301, "{}").await.problem(401);
    pay(&tidings, "msg_1", now_s + 301, "{}").await.problem(401);
    let large = format!("{:200}", "{}") + " ";
    pay(&tidings, "msg_1", now_s, &large).await.problem(413);
    for broken in ["", "nonsense", "{", "\u{feff}{}", "a=1&b=2"] {
        assert_eq!(push(&tidings, "1", broken, broken).await.problem(400)["code"], "invalid_json");
    }
    tidings.send(Method::POST, "/webhooks/nobody", "{}").await.problem(404);
    tidings.get("/webhooks/hub").await.problem(405);
    assert_eq!(received(&tidings).await, [] as [Value; 0]);
    assert_eq!(tidings.get("/api/events").await.expect(200), json!([]));
    assert_eq!(tidings.get("/api/inbound?sources=hub").await.pointers(), ["sources"]);
    // What was refused can still come.
    push(&tidings, "1", "[]", "[]").await.expect_received();
    pay(&tidings, "msg_1", now_s, &format!("{:200}", "{}")).await.expect_received();
    assert_eq!(received(&tidings).await[0]["event_type"], "pay.received");
    tidings.stop().await;
}

/// A clipping worker's webhook, signed.
async fn report(client: &Client, body: impl Into<Bytes>) -> Reply {
    let body = body.into();
    let signature = hmac_hex(&MacKey::from_key(b"shared"), "", &body);
    client
        .with_header("x-webhook-event", "job.progress")
        .with_header("x-webhook-signature", signature)
        .send(Method::POST, "/webhooks/clipping", body)
        .await
}

trait Received {
    fn expect_received(self);
}

impl Received for Reply {
    #[track_caller]
    fn expect_received(self) {
        assert_eq!((self.status, self.json()), (200, json!({"received": true})));
    }
}
