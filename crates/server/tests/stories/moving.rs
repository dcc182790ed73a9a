//! A store moves to another: killed on the way, it goes on; nothing is lost, sent twice or usable by halves.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::harness::postgres::PostgresServer;
use crate::harness::store::leaves_out;
use crate::harness::{Binary, Client, Receiver};
use crate::{path, publish, register, settled_totals};

const PENDING: usize = 20_000;

fn migrate(arguments: &[&str], key: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command.env_clear().arg("migrate").args(arguments);
    command.envs(key.map(|key| ("TIDINGS_SECRET_KEY", key)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn done(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn refused(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    assert_eq!(status.code(), Some(1));
    String::from_utf8(stderr).unwrap()
}

/// Kills it as soon as it says that it does this.
fn killed_at(mut command: Command, word: &str) {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let at = lines.into_iter().any(|line| line == word);
    assert!(at, "it never comes to `{word}`");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn key_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("secret.key")).unwrap()
}

async fn on(url: &str, key: &str) -> Binary {
    let dir = tempdir().unwrap();
    Binary::start_with(dir.path(), &[("DATABASE_URL", url), ("TIDINGS_SECRET_KEY", key)]).await
}

/// Something of each kind, and much that is owed: a paused webhook, and what it hears of.
async fn fill(server: &Binary, receiver: &Receiver) -> Value {
    register(server, &receiver.url(), json!({"events": ["job.*", "story.*"]})).await;
    let failing = json!({"events": ["story.*"], "retry_config": {"max_attempts": 1}});
    register(server, "http://127.0.0.1:1/hook", failing).await;
    for n in 0..5 {
        publish(server, &format!("told-{n}")).await;
    }
    let job = json!({"job_type": "render", "callback_url": receiver.url(), "callback_secret": "of-the-job"});
    server.post("/api/jobs", job).await.expect(202);
    let direct =
        json!({"url": receiver.url(), "type": "a.b", "data": 1, "secret": "shared-secret"});
    server.post("/api/deliveries", direct).await.expect(202);
    settled_totals(server).await;
    let waiting = register(server, &receiver.url(), json!({"events": ["much.*"]})).await;
    server.act(&format!("{}/pause", path(&waiting))).await.expect(200);
    for _ in 0..PENDING / 1_000 {
        let events: Vec<_> = (0..1_000).map(|n| json!({"type": "much.of", "data": n})).collect();
        server.post("/api/events", events.into()).await.expect(202);
    }
    waiting
}

/// What the API shows.
async fn shown(client: &Client) -> Vec<Value> {
    let mut all = Vec::new();
    for list in
        ["stats", "webhooks", "deliveries?limit=100", "events?limit=100", "jobs", "dead-letters"]
    {
        let mut shown = client.get(&format!("/api/{list}")).await.expect(200);
        if list == "stats" {
            shown = shown["totals"].take();
        }
        all.push(shown);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_on_the_way_it_goes_on_and_back_again() {
    if leaves_out("a story with databases of its own") {
        return;
    }
    let dir = tempdir().unwrap();
    let database = PostgresServer::quick();
    let url = database.database();
    let receiver = Receiver::start().await;
    let server = Binary::start(dir.path()).await;
    let waiting = fill(&server, &receiver).await;
    let before = shown(&server).await;
    server.stop().await;
    let sent = receiver.take().await.len();

    let source = format!("sqlite:{}", dir.path().display());
    let go = || migrate(&["--from", &source, "--to", &url], None);
    for word in ["copying webhooks", "copying queue", "copying attempts", "comparing events"] {
        killed_at(go(), word);
        let (_, told) = Binary::refused(dir.path()).await;
        assert!(told.contains("it is being moved"), "{told}");
    }
    let key = key_of(dir.path());
    let variables = [("DATABASE_URL", url.as_str()), ("TIDINGS_SECRET_KEY", key.as_str())];
    let (_, told) = Binary::refused_with(tempdir().unwrap().path(), &variables).await;
    assert!(told.contains("it is being moved"), "half of it is not used: {told}");
    let told = done(go());
    assert!(told.contains("each compared with its source"), "{told}");
    assert!(told.lines().any(|line| line.split_whitespace().eq(["queue", "20000"])), "{told}");
    assert!(!told.contains(&key), "{told}");
    assert!(done(go()).contains("had moved"), "once more changes nothing");

    let server = on(&url, &key).await;
    assert_eq!(shown(&server).await, before);
    server.act(&format!("{}/resume", path(&waiting))).await.expect(200);
    let totals = settled_totals(&server).await;
    let arrived = receiver.take().await;
    assert_eq!(arrived.len(), PENDING, "each once; {sent} had been sent before");
    assert_eq!(totals["accepted"], before[0]["accepted"]);
    let before = shown(&server).await;
    server.stop().await;

    // And back, into a directory that is not there yet.
    let back = tempdir().unwrap();
    let place = format!("sqlite:{}", back.path().join("data").display());
    let back_again = ["--from", url.as_str(), "--to", place.as_str()];
    killed_at(migrate(&back_again, Some(&key)), "copying deliveries");
    done(migrate(&back_again, Some(&key)));
    let server = Binary::start(&back.path().join("data")).await;
    assert_eq!(shown(&server).await, before);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_moved_is_refused_and_changes_nothing() {
    if leaves_out("a story with databases of its own") {
        return;
    }
    let dir = tempdir().unwrap();
    let database = PostgresServer::quick();
    let (url, other) = (database.database(), database.database());
    let receiver = Receiver::start().await;
    let source = format!("sqlite:{}", dir.path().display());
    let to = |to: &str| migrate(&["--from", &source, "--to", to], None);
    let told = refused(migrate(&["--from", &source, "--to", &url], Some(&"00".repeat(32))));
    assert!(told.contains("there is no store in it"), "{told}");
    let server = Binary::start(dir.path()).await;
    assert!(refused(to(&url)).contains("another tidings process uses"));
    register(&server, &receiver.url(), json!({})).await;
    server.stop().await;

    let wrong = "ff".repeat(32);
    let told = refused(migrate(&["--from", &source, "--to", &url], Some(&wrong)));
    assert!(told.contains("the key does not open the secrets of the source"), "{told}");
    let name = url.split_once(":///").unwrap().1.split_once('?').unwrap().0;
    assert_eq!(database.sql(name, "SELECT COUNT(*) FROM pg_class WHERE relname = 'meta'"), "0");
    assert!(refused(to(&source)).contains("the same store"));
    assert!(
        refused(migrate(&["--from", &url, "--to", &source], None)).contains("TIDINGS_SECRET_KEY")
    );
    let one = ["--from", &source, "--to", &url, "--tenant"];
    assert!(
        refused(migrate(&[&one[..], &["nobody"]].concat(), None)).contains("no tenant `nobody`")
    );
    assert!(refused(migrate(&[&one[..], &["default"]].concat(), None)).contains("with all of it"));
    // A target in use, and one with something in it.
    let server = on(&other, &key_of(dir.path())).await;
    assert!(refused(to(&other)).contains("another tidings process uses"));
    register(&server, &receiver.url(), json!({})).await;
    server.stop().await;
    assert!(refused(to(&other)).contains("is not empty: it has rows in webhooks"));
    for words in
        [&["--to", "mysql://x"][..], &["--from", "/data", "--to", "sqlite:x"], &["--abandon"]]
    {
        let output = migrate(words, None).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
    // Nothing of this has touched the source; a move that was begun can be given up.
    Binary::start(dir.path()).await.stop().await;
    killed_at(to(&url), "comparing tenants");
    let (_, told) = Binary::refused(dir.path()).await;
    assert!(told.contains("it is being moved"), "{told}");
    assert!(refused(migrate(&one[..4], Some(&wrong))).contains("does not open"));
    done(migrate(&["--from", &source, "--abandon"], None));
    Binary::start(dir.path()).await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tenant_moves_in_with_others() {
    if leaves_out("a story with databases of its own") {
        return;
    }
    let (dir, database, receiver) =
        (tempdir().unwrap(), PostgresServer::quick(), Receiver::start().await);
    let url = database.database();
    let admin = ("TIDINGS_ADMIN_KEY", "the-admin-key-of-the-settings");
    let as_admin =
        |server: &Binary| server.client.with_header("authorization", format!("Bearer {}", admin.1));
    let source = Binary::start_with(dir.path(), &[admin]).await;
    let key = key_of(dir.path());
    let variables = [admin, ("DATABASE_URL", url.as_str()), ("TIDINGS_SECRET_KEY", key.as_str())];
    let far = tempdir().unwrap();
    let target = Binary::start_with(far.path(), &variables).await;
    let mut tenants = Vec::new();
    for (server, name) in [(&source, "moves"), (&source, "stays"), (&target, "resident")] {
        let root = as_admin(server);
        let id = root.post("/api/tenants", json!({"name": name})).await.expect(201)["id"].take();
        let client = root.with_header("x-tenant-id", id.as_str().unwrap());
        register(&client, &receiver.url(), json!({"events": ["story.*"]})).await;
        publish(&client, name).await;
        settled_totals(&client).await;
        let hook = register(&client, &receiver.url(), json!({"events": ["late.*"]})).await;
        client.act(&format!("{}/pause", path(&hook))).await.expect(200);
        client.post("/api/events", json!({"type": "late.one", "data": name})).await.expect(202);
        tenants.push((id, hook, shown(&client).await));
    }
    source.stop().await;
    target.stop().await;
    receiver.take().await;

    let from = format!("sqlite:{}", dir.path().display());
    let go = || migrate(&["--from", &from, "--to", &url, "--tenant", "moves"], None);
    killed_at(go(), "copying attempts");
    let others = migrate(&["--from", &from, "--to", &url], None);
    assert!(refused(others).contains("another move of the source is under way"));
    done(go());
    let source = Binary::start_with(dir.path(), &[admin]).await;
    let target = Binary::start_with(far.path(), &variables).await;
    let of = |server: &Binary, n: usize| {
        as_admin(server).with_header("x-tenant-id", tenants[n].0.as_str().unwrap())
    };
    assert_eq!(of(&source, 0).get("/api/webhooks").await.status, 404, "it is gone here");
    for (server, n) in [(&target, 0), (&source, 1), (&target, 2)] {
        let client = of(server, n);
        assert_eq!(shown(&client).await, tenants[n].2);
        client.act(&format!("{}/resume", path(&tenants[n].1))).await.expect(200);
    }
    for (server, n) in [(&target, 0), (&source, 1), (&target, 2)] {
        let totals = settled_totals(&of(server, n)).await;
        assert_eq!(totals["success"], totals["accepted"], "{totals:#}");
    }
    let late = receiver.take().await;
    assert_eq!(late.len(), tenants.len(), "each once, from where its tenant is");
    source.stop().await;
    target.stop().await;
}
