//! Somebody can write to Redis and has no key: what lay there is pushed again, and exchanged. Nothing is
//! recorded wrongly.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tempfile::tempdir;

use super::{RedisServer, Worker, counts_on, owner, replied};
use crate::harness::{Binary, Receiver, eventually};
use crate::{register, settled_totals};

/// Runs Lua with all keys of a kind.
fn with_all(redis: &RedisServer, kind: &str, script: &str) -> String {
    let workers = redis.cli(&["--scan", "--pattern", "*:workers"]);
    let prefix = workers.strip_suffix("workers").expect("there are workers");
    let keys: Vec<String> = (0..16).map(|group| format!("{prefix}{{{group}}}:{kind}")).collect();
    let mut call = vec!["EVAL", script, "16"];
    call.extend(keys.iter().map(String::as_str));
    redis.cli(&call)
}

/// Keeps every reply, and puts all of them into every stream, the last first.
const EXCHANGE: &str = "
    local all = {}
    for _, key in ipairs(KEYS) do
        for _, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do
            table.insert(all, entry[2])
            redis.call('RPUSH', 'kept', key, cmsgpack.pack(entry[2]))
        end
    end
    for _, key in ipairs(KEYS) do
        redis.call('DEL', key)
        for n = #all, 1, -1 do redis.call('XADD', key, '*', unpack(all[n])) end
    end
    return #all";
/// Puts the replies that were kept where they were.
const REPEAT: &str = "
    local kept = redis.call('LRANGE', 'kept', 0, -1)
    for n = 1, #kept, 2 do redis.call('XADD', kept[n], '*', unpack(cmsgpack.unpack(kept[n + 1]))) end";
/// Keeps every request.
const KEEP: &str = "
    local count = 0
    for _, key in ipairs(KEYS) do
        for _, entry in ipairs(redis.call('LRANGE', key, 0, -1)) do
            if entry ~= '' then count = count + 1; redis.call('RPUSH', 'kept', entry) end
        end
    end
    return count";
/// Puts all requests that were kept into every list.
const PUSH: &str = "
    for _, key in ipairs(KEYS) do
        for _, entry in ipairs(redis.call('LRANGE', 'kept', 0, -1)) do
            redis.call('RPUSH', key, entry)
        end
    end";

/// The deliveries, by their type.
async fn deliveries(server: &Binary) -> Vec<Value> {
    server.get("/api/deliveries?limit=250").await.expect(200).as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_count_once_and_for_their_own_attempt() {
    let redis = RedisServer::start();
    let worker = Worker::start(&redis.url()).await;
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &redis.url()).await;
    counts_on(&server, 2).await;
    let receiver = Receiver::start().await;
    receiver.decides(|it| it.json()["type"].as_str()?.ends_with("bad").then(|| 500.into()));
    receiver.hold();
    for n in 0..10 {
        let once = json!({"events": [format!("to{n}.*")], "retry_config": {"max_attempts": 1}});
        register(&server, &receiver.url(), once).await;
        for end in ["good", "bad"] {
            let event = json!({"type": format!("to{n}.{end}"), "data": {}});
            server.post("/api/events", event).await.expect(202);
        }
    }
    for _ in 0..20 {
        receiver.next().await;
    }
    server.pause();
    receiver.release();
    replied(&worker, &redis).await;
    assert_ne!(with_all(&redis, "replies", EXCHANGE), "0");
    server.go_on();
    let totals = settled_totals(&server).await;
    assert_eq!((&totals["success"], &totals["failed"]), (&json!(10), &json!(10)), "{totals:#}");
    for delivery in deliveries(&server).await {
        let is_bad = delivery["event_type"].as_str().expect("a type").ends_with("bad");
        let status = if is_bad { 500 } else { 200 };
        assert_eq!(delivery["response_status"], status, "{delivery:#}");
        assert_eq!(delivery["attempt_count"], 1, "{delivery:#}");
    }
    // What was said of the first attempt says nothing of the second.
    receiver.decides(|_| None);
    with_all(&redis, "replies", REPEAT);
    server.post("/api/dead-letters/redrive", json!({})).await.expect(202);
    with_all(&redis, "replies", REPEAT);
    let totals = settled_totals(&server).await;
    assert_eq!(totals["success"], 20, "{totals:#}");
    for delivery in deliveries(&server).await {
        let is_bad = delivery["event_type"].as_str().expect("a type").ends_with("bad");
        assert_eq!(delivery["attempt_count"], if is_bad { 2 } else { 1 }, "{delivery:#}");
    }
    assert_eq!(receiver.take().await.len(), 10, "each attempt was made once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_may_be_sent_again_and_are_recorded_once() {
    let redis = RedisServer::start();
    let worker = Worker::start(&redis.url()).await;
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &redis.url()).await;
    let receiver = Receiver::start().await;
    for n in 0..4 {
        register(&server, &receiver.url(), json!({"events": [format!("to{n}.*")]})).await;
    }
    counts_on(&server, 2).await;
    redis.cli(&["CONFIG", "RESETSTAT"]);
    redis.cli(&["ACL", "SETUSER", "default", "-blmpop"]);
    let refused = || async { redis.rejected("blmpop").filter(|&count| count >= 32).map(drop) };
    eventually("nobody takes anything", refused).await;
    for n in 0..4 {
        server.post("/api/events", json!({"type": format!("to{n}.it"), "data": {"n": n}})).await;
    }
    eventually("all are there", || async {
        redis.cli(&["DEL", "kept"]);
        (with_all(&redis, "requests", KEEP) == "4").then_some(())
    })
    .await;
    redis.cli(&["ACL", "SETUSER", "default", "+@all"]);
    with_all(&redis, "requests", PUSH);
    let totals = settled_totals(&server).await;
    assert_eq!(totals["success"], 4, "{totals:#}");
    // In time they are too old for anybody.
    let dropped = async || {
        let figure = "tidings_worker_requests_dropped_total";
        worker.figure(figure).await + server.figure(figure).await
    };
    eventually("they are dropped", || async {
        let before = dropped().await;
        with_all(&redis, "requests", PUSH);
        eventually("they are taken", || async {
            (with_all(&redis, "requests", KEPT_THERE) == "0").then_some(())
        })
        .await;
        (dropped().await == before + 64.0).then_some(())
    })
    .await;
    let mut came: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for request in receiver.take().await {
        came.entry(request.header("webhook-id").to_owned())
            .or_default()
            .insert(request.body.into());
    }
    assert_eq!(came.len(), 4);
    assert!(came.values().all(|bodies| bodies.len() == 1), "{came:?}");
    for delivery in deliveries(&server).await {
        assert_eq!(delivery["attempt_count"], 1, "{delivery:#}");
    }
    assert_eq!(settled_totals(&server).await, totals);
}

const KEPT_THERE: &str = "
    local count = 0
    for _, key in ipairs(KEYS) do count = count + redis.call('LLEN', key) end
    return count";
