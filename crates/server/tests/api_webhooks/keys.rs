//! The public keys at `/.well-known/webhooks-keys`.

use serde_json::{Value, json};

use super::path;
use crate::harness::Tidings;

const ED25519: &str = "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
const PUBLIC: &str = "whpk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";
const KEYS: &str = "/.well-known/webhooks-keys";

async fn keys(tidings: &Tidings, path: &str) -> Vec<Value> {
    let reply = tidings.get(path).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/jwk-set+json"));
    reply.json()["keys"].as_array().expect("keys").clone()
}

#[tokio::test]
async fn public_keys_are_published_through_rotations_until_their_webhook_goes() {
    let tidings = Tidings::start().await;
    assert_eq!(keys(&tidings, KEYS).await, [json!(null); 0]);
    let body = json!({"url": "https://example.com/", "events": ["*"], "secret": ED25519});
    let made = tidings.post("/api/webhooks", body.clone()).await.expect(201);
    // A second webhook with the same key, and one whose secret is nobody else's business.
    let second = tidings.post("/api/webhooks", body).await.expect(201);
    let shared = json!({"url": "https://example.com/", "events": ["*"]});
    tidings.post("/api/webhooks", shared).await.expect(201);
    let published = keys(&tidings, KEYS).await;
    assert_eq!(
        published,
        [json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": published[0]["kid"], "x": "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw", "whpk": PUBLIC
        })]
    );
    tidings.delete(&path(&second)).await;

    let rotate = json!({"secret": "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "overlap_ms": 60_000});
    tidings.post(&format!("{}/rotate-secret", path(&made)), rotate).await.expect(200);
    let both = keys(&tidings, KEYS).await;
    assert_eq!(both.len(), 2);
    let old = both.iter().find(|key| key["whpk"] == PUBLIC).expect("it still signs");
    assert!(old["exp"].is_i64() && both.iter().filter(|key| key.get("exp").is_none()).count() == 1);
    tidings.advance(61_000);
    assert_ne!(keys(&tidings, KEYS).await[0]["whpk"], PUBLIC);
    tidings.delete(&path(&made)).await;
    assert!(keys(&tidings, KEYS).await.is_empty());
}

#[tokio::test]
async fn keys_are_a_tenants_own_and_need_no_key_to_read() {
    let tidings = Tidings::start_with(|settings| settings.admin_key = Some("admin".into())).await;
    let admin = tidings.client.with_header("authorization", "Bearer admin");
    let tenant = admin.post("/api/tenants", json!({"name": "other"})).await.expect(201);
    let id = tenant["id"].as_str().expect("an id");
    let body = json!({"url": "https://example.com/", "events": ["*"], "secret": ED25519});
    let other = admin.with_header("x-tenant-id", id);
    other.post("/api/webhooks", body).await.expect(201);
    assert!(keys(&tidings, KEYS).await.is_empty(), "the default tenant has none");
    assert_eq!(keys(&tidings, &format!("{KEYS}/{id}")).await.len(), 1);
    for nobody in ["ten_0000000000000", "nonsense", "wh_1"] {
        assert!(keys(&tidings, &format!("{KEYS}/{nobody}")).await.is_empty(), "{nobody}");
    }
    let reply = tidings.get(&format!("{KEYS}/{id}")).await;
    assert_eq!(reply.header("cache-control"), "public, max-age=300");
    let etag = reply.header("etag").to_owned();
    let again = tidings.client.with_header("if-none-match", &etag);
    assert_eq!(again.get(&format!("{KEYS}/{id}")).await.status, 304);
}
