//! Rotation: what really arrives verifies, with the secrets that it should.

use serde_json::{Value, json};
use tidings_core::time::{DAY_MS, HOUR_MS};
use tidings_wire::secret::Secret;
use tidings_wire::verify::{Key, Scheme, Verifier, Why};

use super::{path, publish, register};
use crate::harness::{Received, Receiver, Tidings, store};

fn secret(shown: &Value) -> Secret {
    Secret::parse(shown["secret"].as_str().expect("it is shown")).expect("a secret")
}

fn signed_by(request: &Received, secret: &Secret, now_s: i64) -> bool {
    let verifier = Verifier::with_keys(Scheme::Standard, vec![Key::from(secret)]).expect("a key");
    match verifier.verify(&request.headers, &request.body, now_s) {
        Ok(_) => true,
        Err(refused) if refused.why == Why::Mismatch => false,
        Err(refused) => panic!("{}", refused.why),
    }
}

async fn rotate(tidings: &Tidings, webhook: &Value, body: Value) -> Value {
    tidings.post(&format!("{}/rotate-secret", path(webhook)), body).await.expect(200)
}

#[tokio::test]
async fn standard_signs_with_both_until_the_overlap_ends() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({})).await;
    let (old, rotated) = (secret(&made), rotate(&tidings, &made, json!({})).await);
    let new = secret(&rotated);
    assert_ne!(old, new);
    let until = rotated["previous_secret_valid_until"].as_i64().expect("a day");
    assert!((until - tidings.now().as_millis() - DAY_MS).abs() < 60_000);

    publish(&tidings, json!({"n": 1})).await;
    let request = receiver.next().await;
    let now_s = tidings.now().as_secs();
    assert!(signed_by(&request, &old, now_s) && signed_by(&request, &new, now_s));
    assert_eq!(request.header("webhook-signature").split(' ').count(), 2);

    // What signs is what the store keeps, sealed.
    let tidings = tidings.restart().await;
    tidings.advance(DAY_MS);
    publish(&tidings, json!({"n": 2})).await;
    let request = receiver.next().await;
    let now_s = tidings.now().as_secs();
    assert!(!signed_by(&request, &old, now_s) && signed_by(&request, &new, now_s));
}

#[tokio::test]
async fn an_overlap_of_nothing_switches_at_once() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({"secret": "the first one"})).await;
    let body = json!({"overlap_ms": 0, "secret": "the second one"});
    let rotated = rotate(&tidings, &made, body).await;
    assert_eq!(rotated["secret"], "the second one");
    assert_eq!(rotated["previous_secret_valid_until"], Value::Null);
    publish(&tidings, json!({})).await;
    let (request, now_s) = (receiver.next().await, tidings.now().as_secs());
    assert!(!signed_by(&request, &secret(&made), now_s));
    assert!(signed_by(&request, &secret(&rotated), now_s));
}

#[tokio::test]
async fn where_there_is_room_for_one_the_old_one_signs() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let fields = json!({"profile": "emp", "secret": "your-secret-key"});
    let made = register(&tidings, &receiver, fields).await;
    let rotated = rotate(&tidings, &made, json!({"overlap_ms": HOUR_MS})).await;
    for expected in [secret(&made), secret(&rotated)] {
        publish(&tidings, json!({})).await;
        let request = receiver.next().await;
        let verifier = Verifier::new(Scheme::Emp, &[expected.expose()]).expect("a key");
        verifier.verify(&request.headers, &request.body, 0).expect("it verifies");
        tidings.advance(HOUR_MS);
    }
}

const SHARED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ED25519: &str = "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const PUBLIC: &str = "whpk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";

fn verifies(request: &Received, secret: &str, tidings: &Tidings) -> bool {
    let verifier = Verifier::new(Scheme::Standard, &[secret]).expect("a key");
    verifier.verify(&request.headers, &request.body, tidings.now().as_secs()).is_ok()
}

#[tokio::test]
async fn an_ed25519_key_signs_alone_or_beside_a_shared_secret() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({"secret": ED25519})).await;
    assert_eq!(made["public_key"], PUBLIC);
    assert_eq!(made.get("secret_whsec"), None);
    publish(&tidings, json!({"n": 1.0})).await;
    let request = receiver.next().await;
    assert!(request.header("webhook-signature").starts_with("v1a,"));
    assert!(verifies(&request, PUBLIC, &tidings));
    assert!(verifies(&request, ED25519, &tidings));
    assert!(!verifies(&request, "the wrong secret", &tidings));

    // The old key, and the two new ones.
    let another = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let both = json!({"secret": format!("{SHARED} {another}")});
    let rotated = rotate(&tidings, &made, both).await;
    publish(&tidings, json!({"n": 2.0})).await;
    let request = receiver.next().await;
    let versions: Vec<&str> = request
        .header("webhook-signature")
        .split(' ')
        .filter_map(|token| Some(token.split_once(',')?.0))
        .collect();
    assert_eq!(versions, ["v1", "v1a", "v1a"]);
    let public = rotated["public_key"].as_str().expect("it has one");
    for secret in [PUBLIC, SHARED, public, rotated["secret"].as_str().expect("it is shown")] {
        assert!(verifies(&request, secret, &tidings), "{secret}");
    }
}

#[tokio::test]
async fn only_standard_webhooks_have_room_for_ed25519() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    for (profile, secret, why) in [
        ("emp", ED25519.to_owned(), "the profile `emp` cannot sign with a `whsk_` key"),
        ("aegisx", format!("{SHARED} {ED25519}"), "the profile `aegisx` cannot sign with"),
        ("standard", PUBLIC.to_owned(), "`whpk_` marks a public key, which cannot sign"),
        ("standard", "whsk_AAAA".to_owned(), "after `whsk_` a key must decode to 32 or 64 bytes"),
        ("standard", format!("{SHARED} {SHARED}"), "a secret holds at most one"),
    ] {
        let url = receiver.url();
        let body = json!({"url": url, "events": ["*"], "profile": profile, "secret": secret});
        let problem = tidings.post("/api/webhooks", body).await.problem(422);
        let error = &problem["errors"][0];
        assert_eq!(error["pointer"], "/secret");
        assert!(error["detail"].as_str().expect("a text").starts_with(why), "{error}");
    }

    // Nor does it get there when the profile changes under the key.
    let made = register(&tidings, &receiver, json!({"secret": ED25519})).await;
    let change = json!({"profile": "emp"});
    assert_eq!(tidings.patch(&path(&made), change).await.pointers(), ["/secret"]);
    let change = json!({"profile": "emp", "secret": "your-secret-key"});
    tidings.patch(&path(&made), change).await.expect(200);
    let rotation = json!({"secret": ED25519});
    let refused = tidings.post(&format!("{}/rotate-secret", path(&made)), rotation).await;
    assert_eq!(refused.pointers(), ["/secret"]);
}

#[tokio::test]
async fn rotations_that_are_refused() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made = register(&tidings, &receiver, json!({"secret": "current"})).await;
    let path = format!("{}/rotate-secret", path(&made));
    let wrong = json!({"overlap_ms": 7 * DAY_MS + 1, "secret": "current", "overlap": 1});
    let pointers = tidings.post(&path, wrong).await.pointers();
    assert_eq!(pointers, ["/overlap_ms", "/secret", "/overlap"]);
    for _ in 0..5 {
        tidings.act(&path).await.expect(200);
    }
    let problem = tidings.act(&path).await.problem(409);
    assert_eq!(problem["code"], "too_many_secrets");
    publish(&tidings, json!({})).await;
    let request = receiver.next().await;
    assert_eq!(request.header("webhook-signature").split(' ').count(), 6);
    assert!(signed_by(&request, &secret(&made), tidings.now().as_secs()));
}

#[tokio::test]
async fn no_secret_lies_open_on_disk() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let secret = "a-secret-that-nobody-may-read";
    let made = register(&tidings, &receiver, json!({"secret": secret})).await;
    rotate(&tidings, &made, json!({"secret": format!("{secret}-2")})).await;
    let files = store::files(&tidings.app().settings.data_dir);
    let holds = |text: &str| {
        files.iter().any(|file| {
            let bytes = std::fs::read(file).expect("a file that we may read");
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    };
    assert!(holds(&receiver.url()), "the webhook is there");
    assert!(!holds(secret));
}
