//! Tenants and keys over HTTP: who may do what, and to what.

mod harness;

use harness::{Client, Receiver, Tidings, eventually};
use serde_json::{Value, json};

const ADMIN: &str = "the-admin-key-of-the-settings";

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

fn with_key(client: &Client, key: &str) -> Client {
    client.with_header("authorization", format!("Bearer {key}"))
}

async fn locked() -> (Tidings, Client) {
    let tidings = Tidings::start_with(|settings| settings.admin_key = Some(ADMIN.into())).await;
    let admin = with_key(&tidings.client, ADMIN);
    (tidings, admin)
}

/// A tenant's id and a client with a key of it that may do everything.
async fn tenant(admin: &Client, open: &Client, name: &str) -> (String, Client) {
    let id = text(&admin.post("/api/tenants", json!({"name": name})).await.expect(201)["id"]);
    let key = admin.post("/api/keys", json!({"name": name, "tenant_id": id})).await.expect(201);
    (id, with_key(open, &text(&key["key"])))
}

#[tokio::test]
async fn a_key_is_shown_once_and_opens_until_it_is_revoked() {
    let (tidings, admin) = locked().await;
    let made = admin.post("/api/keys", json!({"name": "publisher", "scopes": ["read"]})).await;
    let made = made.expect(201);
    let key = text(&made["key"]);
    assert!(key.starts_with("td_") && key.len() == 46, "{key}");
    assert!(key.starts_with(&text(&made["prefix"])));
    assert_eq!((&made["admin"], &made["scopes"]), (&json!(false), &json!(["read"])));
    let listed = admin.get("/api/keys").await;
    assert!(!String::from_utf8_lossy(&listed.body).contains(&key), "never again");
    assert_eq!(listed.expect(200)[0]["id"], made["id"]);

    let holder = with_key(&tidings.client, &key);
    holder.get("/api/events").await.expect(200);
    let path = format!("/api/keys/{}", text(&made["id"]));
    admin.delete(&path).await.expect(204);
    assert_eq!(holder.get("/api/events").await.problem(401)["code"], "unauthorized");
    admin.delete(&path).await.problem(404);
    assert!(admin.get("/api/keys").await.expect(200)[0]["revoked_at"].is_i64());
    let again = tidings.restart().await;
    with_key(&again.client, &key).get("/api/events").await.problem(401);
    again.stop().await;
}

#[tokio::test]
async fn scopes_are_held_to() {
    let (tidings, admin) = locked().await;
    let refused = tidings.client.get("/api/events").await;
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    refused.problem(401);
    with_key(&tidings.client, "td_wrong").get("/api/events").await.problem(401);
    let mut holders = Vec::new();
    for scope in ["events:write", "webhooks:write", "deliveries:write", "read"] {
        let body = json!({"name": scope, "scopes": [scope]});
        let key = text(&admin.post("/api/keys", body).await.expect(201)["key"]);
        holders.push((scope, with_key(&tidings.client, &key)));
    }
    let none = "dlv_0000000000001";
    for (scope, holder) in &holders {
        let event = json!({"type": "a.b", "data": 1});
        let calls = [
            ("events:write", holder.post("/api/events", event).await),
            ("deliveries:write", holder.act(&format!("/api/deliveries/{none}/retry")).await),
            ("deliveries:write", holder.act(&format!("/api/deliveries/{none}/cancel")).await),
            ("deliveries:write", holder.post("/api/dead-letters/redrive", json!({})).await),
            ("webhooks:write", holder.post("/api/webhooks", json!({})).await),
            ("read", holder.get("/api/deliveries").await),
            ("read", holder.get(&format!("/api/deliveries/{none}")).await),
            ("read", holder.get(&format!("/api/deliveries/{none}/attempts")).await),
            ("read", holder.get("/api/dead-letters").await),
            ("read", holder.get("/api/events").await),
            ("read", holder.get("/api/events/x").await),
            ("read", holder.get("/api/stats").await),
            ("read", holder.get("/api/webhooks").await),
        ];
        for (needed, reply) in calls {
            assert_eq!(
                reply.status == 403,
                needed != *scope,
                "{scope} for {needed}: {}",
                reply.status
            );
            if reply.status == 403 {
                assert_eq!(reply.problem(403)["code"], "missing_scope");
            }
        }
        for path in ["/api/tenants", "/api/keys"] {
            assert_eq!(holder.get(path).await.problem(403)["code"], "admin_only");
            holder.post(path, json!({"name": "x"})).await.problem(403);
        }
        holder.delete("/api/keys/key_0000000000001").await.problem(403);
        holder.delete("/api/tenants/ten_0000000000001").await.problem(403);
    }
    tidings.stop().await;
}

#[tokio::test]
async fn the_first_key_locks_a_running_server() {
    let tidings = Tidings::start().await;
    let open = &tidings.client;
    let refused = open.post("/api/keys", json!({"name": "a"})).await.problem(409);
    assert_eq!(refused["code"], "first_key_must_be_admin");
    open.get("/api/events").await.expect(200);
    let made = open.post("/api/keys", json!({"name": "root", "admin": true})).await.expect(201);
    assert_eq!((&made["tenant_id"], &made["admin"]), (&Value::Null, &json!(true)));
    open.get("/api/events").await.problem(401);
    let page = open.get("/").await;
    assert!(page.status == 200 && !String::from_utf8_lossy(&page.body).contains("dead letters"));

    let root = with_key(open, &text(&made["key"]));
    root.get("/api/events").await.expect(200);
    let last = format!("/api/keys/{}", text(&made["id"]));
    assert_eq!(root.delete(&last).await.problem(409)["code"], "last_admin_key");
    let second = root.post("/api/keys", json!({"name": "root2", "admin": true})).await.expect(201);
    root.delete(&last).await.expect(204);
    root.get("/api/events").await.problem(401);
    let root = text(&second["key"]);
    let tidings = tidings.restart().await;
    tidings.client.get("/api/events").await.problem(401);
    with_key(&tidings.client, &root).get("/api/events").await.expect(200);
    tidings.stop().await;
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let (tidings, admin) = locked().await;
    let receiver = Receiver::start().await;
    let (one_id, one) = tenant(&admin, &tidings.client, "one").await;
    let (two_id, two) = tenant(&admin, &tidings.client, "two").await;
    let hook = json!({"url": receiver.url(), "events": ["*"], "retry_config": {"max_attempts": 1}});
    let webhook = text(&one.post("/api/webhooks", hook).await.expect(201)["id"]);
    receiver.answers_once(500);
    let event = json!({"type": "a.b", "data": 1, "id": "mine"});
    one.post("/api/events", event).await.expect(202);
    receiver.next().await;
    let dead = &eventually("it is a dead letter", || async {
        one.get("/api/dead-letters").await.expect(200).get(0).cloned()
    })
    .await;
    let delivery = text(&dead["id"]);
    let ours = text(&one.get("/api/events/mine").await.expect(200)["event_id"]);

    for path in [
        format!("/api/deliveries/{delivery}"),
        format!("/api/deliveries/{delivery}/attempts"),
        "/api/events/mine".to_owned(),
        format!("/api/events/{ours}"),
        format!("/api/webhooks/{webhook}"),
    ] {
        one.get(&path).await.expect(200);
        two.get(&path).await.problem(404);
    }
    for path in [
        "/api/deliveries".to_owned(),
        format!("/api/deliveries?webhook_id={webhook}"),
        format!("/api/deliveries?event_id={ours}"),
        format!("/api/deliveries?webhook_id={webhook}&status=failed"),
        "/api/dead-letters".to_owned(),
        "/api/events".to_owned(),
        "/api/webhooks".to_owned(),
    ] {
        assert_ne!(one.get(&path).await.expect(200), json!([]), "{path}");
        assert_eq!(two.get(&path).await.expect(200), json!([]), "{path}");
    }
    for verb in ["retry", "cancel"] {
        two.act(&format!("/api/deliveries/{delivery}/{verb}")).await.problem(404);
    }
    for ask in [json!({"delivery_ids": [delivery]}), json!({"webhook_id": webhook}), json!({})] {
        let done = two.post("/api/dead-letters/redrive", ask).await.expect(202);
        assert_eq!(done["deliveries"], 0);
    }
    assert_eq!(two.get("/api/stats").await.expect(200)["totals"]["accepted"], 0);
    assert_eq!(one.get("/api/stats").await.expect(200)["totals"]["accepted"], 1);

    // An admin acts for whom it names; a tenant's key for its own alone, which it may name.
    let acting = admin.with_header("x-tenant-id", two_id.clone());
    assert_eq!(acting.get("/api/dead-letters").await.expect(200), json!([]));
    for other in [&two_id[..], "default", "ten_0000000000009", "nonsense"] {
        let posing = one.with_header("x-tenant-id", other);
        let refused = posing.get("/api/dead-letters").await.problem(403);
        assert_eq!(refused["code"], "other_tenant", "{other}");
    }
    let itself = one.with_header("x-tenant-id", one_id);
    assert_ne!(itself.get("/api/dead-letters").await.expect(200), json!([]));
    admin.with_header("x-tenant-id", "ten_0000000000009").get("/api/events").await.problem(404);
    acting.with_header("x-tenant-id", "default").get("/api/events").await.problem(404);
    tidings.stop().await;
}

#[tokio::test]
async fn a_deleted_tenant_is_gone_with_its_keys_and_webhooks() {
    let (tidings, admin) = locked().await;
    let receiver = Receiver::start().await;
    let (id, one) = tenant(&admin, &tidings.client, "one").await;
    for _ in 0..3 {
        let hook = json!({"url": receiver.url(), "events": ["*"]});
        one.post("/api/webhooks", hook).await.expect(201);
    }
    let later = tidings.now().as_millis() + 3_600_000;
    let event = json!({"type": "a.b", "data": 1, "deliver_at": later});
    assert_eq!(one.post("/api/events", event).await.expect(202)["deliveries"], 3);
    admin.delete(&format!("/api/tenants/{id}")).await.expect(204);
    one.get("/api/events").await.problem(401);
    admin.with_header("x-tenant-id", id.clone()).get("/api/events").await.problem(404);
    admin.delete(&format!("/api/tenants/{id}")).await.problem(404);
    let keys = admin.get(&format!("/api/keys?tenant_id={id}")).await.expect(200);
    assert!(keys.as_array().expect("a list").iter().all(|key| key["revoked_at"].is_i64()));
    let tenant = id.parse().expect("an id");
    eventually("what was owed has ended", || async {
        let totals = tidings.app().store.tenant_totals(tenant).await.expect("it reads");
        (totals.pending == 0 && totals.counts.failed == 3).then_some(())
    })
    .await;
    assert!(tidings.app().registry.list(tenant, None, 10).is_empty());
    let tidings = tidings.restart().await;
    assert!(tidings.app().registry.list(tenant, None, 10).is_empty());
    let tenants = with_key(&tidings.client, ADMIN).get("/api/tenants").await.expect(200);
    assert_eq!(tenants.as_array().map(Vec::len), Some(1));
    assert_eq!(tenants[0]["name"], "default");
    tidings.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_pointed_at() {
    let (tidings, admin) = locked().await;
    for (path, body, pointers) in [
        ("/api/tenants", json!({}), vec!["/name"]),
        ("/api/tenants", json!({"name": ""}), vec!["/name"]),
        ("/api/tenants", json!({"name": 1, "retention_days": 0}), vec!["/name", "/retention_days"]),
        ("/api/tenants", json!({"name": "x", "retention": 1}), vec!["/retention"]),
        ("/api/keys", json!({"scopes": ["write"]}), vec!["/name", "/scopes/0"]),
        (
            "/api/keys",
            json!({"name": "x", "scopes": ["read", "raed", 1]}),
            vec!["/scopes/1", "/scopes/2"],
        ),
        ("/api/keys", json!({"name": "x", "scopes": []}), vec!["/scopes"]),
        ("/api/keys", json!({"name": "x", "tenant_id": "ten_0000000000009"}), vec!["/tenant_id"]),
        (
            "/api/keys",
            json!({"name": "x", "admin": true, "tenant_id": "default"}),
            vec!["/tenant_id"],
        ),
        ("/api/keys", json!({"name": "x", "admin": true, "scopes": ["read"]}), vec!["/scopes"]),
    ] {
        assert_eq!(admin.post(path, body.clone()).await.pointers(), pointers, "{body}");
    }
    admin.post("/api/tenants", json!({"name": "twice"})).await.expect(201);
    let taken = admin.post("/api/tenants", json!({"name": "twice"})).await.problem(409);
    assert_eq!(taken["code"], "tenant_exists");
    let kept = admin.delete("/api/tenants/ten_0000000000001").await.problem(409);
    assert_eq!(kept["code"], "default_tenant");
    tidings.stop().await;
}

#[tokio::test]
async fn an_idempotency_key_makes_one_tenant_and_one_key() {
    let (tidings, admin) = locked().await;
    let once = admin.with_header("idempotency-key", "\"k-1\"");
    let tenant = json!({"name": "one", "retention_days": 7});
    let first = once.post("/api/tenants", tenant.clone()).await.expect(201);
    assert_eq!(once.post("/api/tenants", tenant).await.expect(201), first);
    assert_eq!(first["retention_days"], 7);
    let other = once.post("/api/tenants", json!({"name": "other"})).await.problem(409);
    assert_eq!(other["code"], "idempotency_key_reused");
    let first = once.post("/api/keys", json!({"name": "k"})).await.expect(201);
    let again = once.post("/api/keys", json!({"name": "k"})).await.expect(201);
    assert_eq!(again["id"], first["id"]);
    assert!(first["key"].is_string() && again["key"].is_null(), "nobody knows it any more");
    let long = admin.with_header("idempotency-key", "x".repeat(256));
    let empty = admin.with_header("idempotency-key", "\"\"");
    for client in [long, empty, once.with_header("idempotency-key", "k-2")] {
        let refused = client.post("/api/tenants", json!({"name": "three"})).await.problem(400);
        assert_eq!(refused["code"], "invalid_idempotency_key");
    }
    assert_eq!(admin.get("/api/tenants").await.expect(200).as_array().map(Vec::len), Some(2));
    tidings.stop().await;
}

#[tokio::test]
async fn a_request_names_one_host() {
    let tidings = Tidings::start().await;
    let twice = tidings.client.with_header("host", "localhost");
    assert_eq!(twice.get("/api/events").await.problem(400)["code"], "invalid_request");
    tidings.client.get("/api/events").await.expect(200);
    tidings.stop().await;
}

/// Without keys the browser of this machine must not serve a page from elsewhere.
#[tokio::test]
async fn a_foreign_page_is_refused_without_keys() {
    let tidings = Tidings::start().await;
    let page = tidings.client.with_header("origin", "http://evil.example");
    let reply = page.post("/api/events", json!({"type": "a", "data": 1})).await;
    assert_eq!((reply.status, reply.json()["code"].as_str()), (403, Some("foreign_origin")));
    let own = tidings.client.with_header("origin", tidings.client.url());
    assert_eq!(own.post("/api/events", json!({"type": "a", "data": 1})).await.status, 202);
    tidings.stop().await;
}

#[tokio::test]
async fn a_tenant_is_renamed_and_its_retention_changed() {
    let (tidings, admin) = locked().await;
    let body = json!({"name": "one", "retention_days": 7});
    let made = admin.post("/api/tenants", body).await.expect(201);
    admin.post("/api/tenants", json!({"name": "two"})).await.expect(201);
    let path = format!("/api/tenants/{}", text(&made["id"]));
    let named = |name: &str, days: Value| json!({"id": made["id"], "name": name, "retention_days": days, "created_at": made["created_at"]});
    for (change, expected) in [
        (json!({}), named("one", json!(7))),
        (json!({"retention_days": 3650}), named("one", json!(3650))),
        (json!({"name": "uno"}), named("uno", json!(3650))),
        (json!({"name": "one", "retention_days": null}), named("one", Value::Null)),
    ] {
        assert_eq!(admin.patch(&path, change.clone()).await.expect(200), expected, "{change}");
        let listed = admin.get("/api/tenants").await.expect(200);
        assert!(listed.as_array().is_some_and(|all| all.contains(&expected)), "{listed}");
    }
    for (change, pointers) in [
        (json!({"name": null}), vec!["/name"]),
        (json!({"name": ""}), vec!["/name"]),
        (json!({"name": 1, "retention_days": 3651}), vec!["/name", "/retention_days"]),
        (json!({"retention_days": "7"}), vec!["/retention_days"]),
        (json!({"retention": 7}), vec!["/retention"]),
    ] {
        assert_eq!(admin.patch(&path, change.clone()).await.pointers(), pointers, "{change}");
    }
    let taken = admin.patch(&path, json!({"name": "two"})).await.problem(409);
    assert_eq!(taken["code"], "tenant_exists");
    let default = "/api/tenants/ten_0000000000001";
    let kept = admin.patch(default, json!({"name": "other"})).await.problem(409);
    assert_eq!(kept["code"], "default_tenant");
    let body = json!({"name": "default", "retention_days": 5});
    assert_eq!(admin.patch(default, body).await.expect(200)["retention_days"], 5);
    admin.patch("/api/tenants/ten_0000000000009", json!({})).await.problem(404);
    tidings.client.patch(&path, json!({})).await.problem(401);
    let key = admin.post("/api/keys", json!({"name": "k"})).await.expect(201);
    let holder = with_key(&tidings.client, &text(&key["key"]));
    holder.patch(&path, json!({})).await.problem(403);
    let listed = admin.get("/api/tenants").await.expect(200);
    assert!(listed.as_array().is_some_and(|all| all.contains(&named("one", Value::Null))));
    tidings.stop().await;
}
