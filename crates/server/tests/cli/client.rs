//! The commands that are clients, against a served instance and a `listen` receiver.

use crate::process::{Ended, Process, client, run, serve, serve_at, tidings, url_of};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

/// A server of one test.
struct Served {
    url: String,
    _process: Process,
    _dir: TempDir,
}

impl Served {
    fn start() -> Self {
        let dir = tempdir().unwrap();
        let mut process = Process::start(&mut serve(dir.path()));
        Self { url: url_of(&mut process), _process: process, _dir: dir }
    }

    fn run(&self, args: &[&str]) -> Ended {
        run(&mut client(&self.url, args), b"")
    }

    fn json(&self, args: &[&str]) -> Value {
        self.run(args).json()
    }

    /// A receiver that has registered itself, and its webhook's id.
    fn listen(&self, args: &[&str]) -> (Process, String) {
        let mut command = client(&self.url, &["listen", "--port", "0", "--register"]);
        let mut listening = Process::start(command.args(args));
        listening.line_with("tidings receiving on http://127.0.0.1:");
        let registered = listening.line_with("registered as ");
        let id = registered.split(' ').nth(2).unwrap().to_owned();
        (listening, id)
    }
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap_or_else(|| panic!("no id: {value}"))
}

#[test]
fn what_is_published_is_received_verified_and_found_again() {
    let served = Served::start();
    let (mut listening, webhook) = served.listen(&["--events", "job.*", "--raw"]);
    let published = served.json(&["publish", "job.completed", r#"{"n": 1.0}"#, "--id", "mine-1"]);
    assert_eq!((id(&published), &published["deliveries"]), ("mine-1", &1.into()));
    let told = listening.line_with("job.completed");
    assert!(told.contains("signature verified (standard)") && told.contains("answered 200"));
    assert!(listening.line().ends_with(r#""data":{"n": 1.0}}"#), "the bytes as they were given");

    let other = served.json(&["publish", "other.thing"]);
    assert_eq!(other["deliveries"], 0, "not what it registered for");

    let found = served.json(&["deliveries", "list", "--webhook", &webhook]);
    let [delivery] = &found.as_array().unwrap()[..] else { panic!("{found}") };
    assert_eq!(delivery["event_id"], "mine-1");
    let attempts = served.json(&["deliveries", "attempts", id(delivery)]);
    assert_eq!(attempts[0]["response_status"], 200);

    listening.signal("INT");
    let ended = listening.end();
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let gone = served.run(&["webhooks", "get", &webhook]);
    assert_eq!(gone.code(), Some(1), "it has removed itself: {gone:?}");
    assert!(gone.stderr.contains("(404 not_found)"), "{gone:?}");
}

#[test]
fn a_webhook_is_made_changed_tested_and_deleted() {
    let served = Served::start();
    let (mut listening, _) = served.listen(&["--events", "none.such"]);
    let receiver = served.json(&["webhooks", "list"])[0]["url"].as_str().unwrap().to_owned();
    let create = [
        "webhooks",
        "create",
        &receiver,
        "--events",
        "a.b,c.*",
        "-H",
        "X-Team: ops",
        "--rate",
        "5",
    ];
    let made = served.json(&create);
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"), "{made}");
    assert_eq!(made["events"], serde_json::json!(["a.b", "c.*"]));
    assert_eq!(made["rate_limit"], serde_json::json!({"max": 5, "per_ms": 1000}));
    let webhook = id(&made);

    let changed =
        served.json(&["webhooks", "update", webhook, "--name", "x", "--max-attempts", "3"]);
    assert_eq!((&changed["name"], &changed["events"][0]), (&"x".into(), &"a.b".into()));
    assert_eq!(changed["retry_config"]["max_attempts"], 3);

    served.run(&["webhooks", "test", webhook]).expect_success();
    let told = listening.line_with("signature NOT verified");
    assert!(
        told.contains("answered 200"),
        "signed with a secret that listen does not have: {told}"
    );

    assert_eq!(served.json(&["webhooks", "pause", webhook])["paused"], true);
    assert_eq!(served.json(&["webhooks", "resume", webhook])["paused"], false);
    let rotated = served.json(&["webhooks", "rotate-secret", webhook, "--overlap", "0s"]);
    assert_ne!(rotated["secret"], made["secret"]);
    assert_eq!(served.json(&["webhooks", "stats", webhook])["total_deliveries"], 0);
    assert_eq!(served.json(&["webhooks", "health", webhook])["total_deliveries"], 0);

    let quiet = served.run(&["webhooks", "list", "--quiet"]).expect_success();
    assert!(quiet.lines().any(|line| line == webhook), "{quiet}");
    let table = served.run(&["webhooks", "list", "-o", "table"]).expect_success();
    assert!(table.starts_with("ID ") && table.contains("a.b, c.*"), "{table}");
    served.run(&["webhooks", "delete", webhook]).expect_success();
    assert_eq!(served.run(&["webhooks", "delete", webhook]).code(), Some(1));
}

#[test]
fn what_fails_is_tailed_and_sent_again() {
    let served = Served::start();
    let (mut listening, webhook) = served.listen(&["--fail", "1"]);
    served.run(&["webhooks", "update", &webhook, "--max-attempts", "1"]).expect_success();
    let mut tail = client(&served.url, &["deliveries", "tail", "-o", "json", "--interval", "50"]);
    let mut tail = Process::start(&mut tail);
    tail.error_with("following");
    let accepted = served.json(&["publish", "job.failed", r#""text""#]);
    assert_eq!(accepted["deliveries"], 1);
    assert!(listening.line_with("answered").contains("503"));
    let ended: Value = serde_json::from_str(&tail.line()).unwrap();
    assert_eq!(ended["status"], "failed");
    assert_eq!(ended["error_message"], "HTTP 503: Service Unavailable");

    let dead = served.json(&["dead-letters", "list", "--webhook", &webhook]);
    assert_eq!(id(&dead[0]), id(&ended));
    let unsure = served.run(&["dead-letters", "redrive"]);
    assert_eq!(unsure.code(), Some(2), "{unsure:?}");
    let dry = served.json(&["dead-letters", "redrive", "--all", "--dry-run"]);
    assert_eq!(dry["deliveries"], 1);
    let redriven = served.json(&["dead-letters", "redrive", id(&ended)]);
    assert_eq!(redriven["deliveries"], 1);
    assert!(listening.line_with("answered").contains("200"));
    let again: Value = serde_json::from_str(&tail.line()).unwrap();
    assert_eq!((id(&again), &again["status"]), (id(&ended), &"success".into()));
    let attempts = served.json(&["deliveries", "attempts", id(&ended)]);
    assert_eq!(attempts.as_array().unwrap().len(), 2, "{attempts}");
}

#[test]
fn tails_wait_for_a_server_that_restarts_and_miss_nothing() {
    let dir = tempdir().unwrap();
    let mut first = Process::start(&mut serve(dir.path()));
    let url = url_of(&mut first);
    let address = url.strip_prefix("http://").unwrap();
    let mut listening = Process::start(&mut tidings(&["listen", "--port", "0"]));
    let receiver = listening.line().rsplit(' ').next().unwrap().to_owned();
    run(&mut client(&url, &["webhooks", "create", &receiver, "--events", "*"]), b"").json();
    let tail = &["deliveries", "tail", "-q", "--interval", "50"];
    let mut tail = Process::start(&mut client(&url, tail));
    let mut live = Process::start(&mut client(&url, &["tail", "a.*", "-o", "json"]));
    tail.error_with("following");
    live.error_with("following");
    first.signal("TERM");
    assert_eq!(first.end().code(), Some(0));
    tail.error_with("trying again");
    live.error_with("trying again");
    let mut second = Process::start(&mut serve_at(dir.path(), address));
    assert_eq!(url_of(&mut second), url);
    // Whether they are back already or not.
    for n in ["1", "2"] {
        run(&mut client(&url, &["publish", "a.b", n]), b"").expect_success();
        assert!(tail.line().starts_with("dlv_"));
        let event: Value = serde_json::from_str(&live.line()).unwrap();
        assert_eq!((&event["type"], event["data"].to_string().as_str()), (&"a.b".into(), n));
    }
    let refused = run(&mut client(&url, &["tail", "a**"]), b"");
    assert!(refused.stderr.contains("types"), "{refused:?}");
}

#[test]
fn refusals_name_every_wrong_field() {
    let served = Served::start();
    let both = ["webhooks", "create", "nonsense", "--events", "..", "--timeout-ms", "1"];
    let refused = served.run(&both);
    assert_eq!(refused.code(), Some(1));
    for field in ["/url", "/events", "/timeout_ms"] {
        assert!(refused.stderr.contains(field), "{field}: {refused:?}");
    }
    let not_json = served.run(&["publish", "a.b", "{broken"]);
    assert_eq!(not_json.code(), Some(2));
    assert!(not_json.stderr.contains("DATA is not JSON"), "{not_json:?}");
    let private = served.run(&["webhooks", "create", "https://10.0.0.1/", "--events", "*"]);
    assert!(private.stderr.contains("/url"), "{private:?}");
}

#[test]
fn keys_open_what_they_are_for() {
    let dir = tempdir().unwrap();
    let mut server =
        Process::start(serve(dir.path()).env("TIDINGS_ADMIN_KEY", "admin-admin-admin"));
    let url = url_of(&mut server);
    let with = |key: &str, args: &[&str]| run(client(&url, args).env("TIDINGS_API_KEY", key), b"");
    let without = run(&mut client(&url, &["webhooks", "list"]), b"");
    assert_eq!(without.code(), Some(1));
    assert!(without.stderr.contains("TIDINGS_API_KEY"), "{without:?}");

    let admin = |args: &[&str]| with("admin-admin-admin", args);
    let tenant = admin(&["tenants", "create", "acme"]).json();
    let update = ["tenants", "update", id(&tenant), "--name", "acme inc", "--retention-days", "9"];
    let changed = admin(&update).json();
    assert_eq!((&changed["name"], &changed["retention_days"]), (&json!("acme inc"), &json!(9)));
    let kept = admin(&["tenants", "update", id(&tenant), "--default-retention"]).json();
    assert_eq!((&kept["name"], &kept["retention_days"]), (&changed["name"], &json!(null)));
    let create = ["keys", "create", "ci", "--scopes", "events:write", "--tenant", id(&tenant)];
    let key = admin(&create).json();
    let secret = key["key"].as_str().unwrap();
    with(secret, &["publish", "a.b"]).expect_success();
    let refused = with(secret, &["webhooks", "list"]);
    assert!(refused.stderr.contains("403"), "{refused:?}");
    let listed = admin(&["keys", "list"]).json().to_string();
    assert!(listed.contains(id(&key)) && !listed.contains(secret), "{listed}");
    admin(&["keys", "revoke", id(&key)]).expect_success();
    assert!(with(secret, &["publish", "a.b"]).stderr.contains("401"));
    let unknown = run(&mut tidings(&["keys", "create", "x", "--scopes", "everything"]), b"");
    assert_eq!(unknown.code(), Some(2), "{unknown:?}");
}

#[test]
fn what_was_missed_is_replayed_and_followed() {
    let served = Served::start();
    let (mut listening, webhook) = served.listen(&["--events", "job.*"]);
    served.json(&["webhooks", "update", &webhook, "--active", "false"]);
    for n in 0..3 {
        served.json(&["publish", "job.completed", &n.to_string()]);
    }
    let off = served.run(&["replay", &webhook, "--since", "1h"]);
    assert_eq!(off.code(), Some(1), "{off:?}");
    assert!(off.stderr.contains("(409 webhook_inactive)"), "{off:?}");
    let resumed = served.json(&["webhooks", "resume", &webhook]);
    assert_eq!(resumed["missed"]["count"], 3);

    let would = served.json(&["replay", &webhook, "--since", "1h", "--dry-run"]);
    assert_eq!((&would["deliveries"], &would["missed"]), (&3.into(), &3.into()));
    let followed = served.run(&["replay", &webhook, "--since", "1h", "--follow"]);
    assert!(followed.stderr.contains("--cancel rpl_"), "{followed:?}");
    let followed = followed.json();
    assert_eq!((&followed["status"], &followed["deliveries"]), (&"completed".into(), &3.into()));
    for _ in 0..3 {
        listening.line_with("answered 200");
    }
    let listed = served.json(&["replay", &webhook, "--list"]);
    assert_eq!(listed[0]["id"], followed["id"]);
    let ended = served.run(&["replay", &webhook, "--cancel", id(&followed)]);
    assert!(ended.stderr.contains("(409 already_ended)"), "{ended:?}");
    for wrong in [&["replay", &webhook][..], &["replay", &webhook, "--since", "soon"]] {
        assert_eq!(served.run(wrong).code(), Some(2));
    }
}
