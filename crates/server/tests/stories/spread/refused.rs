//! A Redis that is there and refuses, or holds what we have not put there: nothing is lost, sending goes
//! on, and nobody asks again and again without a pause.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::tempdir;

use super::trouble::{GOES_ON, goes_through_redis, seen_all};
use super::{RedisServer, Worker, counts_on, owner};
use crate::harness::store::SECRET_KEY;
use crate::harness::{Binary, Receiver, eventually};
use crate::ledger::{Ledger, Load, Seen};
use crate::{register, settled_totals};

const PUBLISHERS: usize = 4;
const CONCURRENCY: usize = 100;
/// Whatever is tried again at once would be tried some thousand times in a second.
const CALLS_A_SECOND_MAX: f64 = 500.0;

type Does = fn(&RedisServer);
const NO_WAY_BACK: Option<Does> = None;

/// Does this to Redis under load. When there is a way back, Redis is used again after it.
async fn refuses(begin: impl FnOnce(&RedisServer), way_back: Option<impl FnOnce(&RedisServer)>) {
    refuses_until(begin, way_back, |_| true).await;
}

/// The same, and it lasts until the logs of owner and worker say enough. In the end they say that it is over.
async fn refuses_until(
    begin: impl FnOnce(&RedisServer),
    way_back: Option<impl FnOnce(&RedisServer)>,
    say_enough: impl Fn(&[String; 2]) -> bool,
) -> [String; 2] {
    let redis = RedisServer::start();
    let worker = Worker::start(&redis.url()).await;
    let dir = tempdir().unwrap();
    let server = owner(dir.path(), &redis.url()).await;
    let receiver = Receiver::start().await;
    register(&server, &receiver.url(), json!({"max_concurrency": CONCURRENCY})).await;
    counts_on(&server, 2).await;
    let ledger = Ledger::new();
    let load = Load::start(&ledger, &server.client, PUBLISHERS, 100);
    goes_through_redis(&server).await;
    redis.cli(&["CONFIG", "RESETSTAT"]);
    begin(&redis);
    let since = Instant::now();
    for _ in 0..2 {
        let last = ledger.count();
        eventually("sending goes on", || async { seen_all(&server, last).await.then_some(()) })
            .await;
    }
    let lasted = since.elapsed();
    assert!(lasted < GOES_ON + Duration::from_secs(2), "{lasted:?}");
    // What was lost once does not wait for nothing again.
    let lost = server.figure("tidings_releases_lost_total").await;
    assert!(lost <= 1.2 * CONCURRENCY as f64, "{lost} lost");
    let logs = || [server.log(), worker.log()];
    eventually("it is said", || async { say_enough(&logs()).then_some(()) }).await;
    if let Some(end) = way_back {
        end(&redis);
        counts_on(&server, 2).await;
        goes_through_redis(&server).await;
        for process in [&server, &worker.binary] {
            let is_over = async || {
                let log = process.log();
                NEWS.iter().all(|[begin, end]| said(&log, begin) == said(&log, end)).then_some(())
            };
            eventually("it is said that it is over", is_over).await;
        }
    }
    let (failed, lasted) = (failed_calls(&redis), since.elapsed());
    let may_fail = CALLS_A_SECOND_MAX * (lasted.as_secs_f64() + 1.0);
    assert!(failed < may_fail, "{failed} calls failed in {lasted:?}");
    load.stop().await;
    let totals = settled_totals(&server).await;
    let mut seen = Seen::default();
    seen.note(receiver.take().await);
    ledger.assert_all_in(&seen);
    assert_eq!(totals["success"], ledger.count(), "{totals:#}");
    let again = seen.again().count();
    assert!(again <= 2 * CONCURRENCY, "{again} came again");
    let logs = logs();
    server.stop().await;
    worker.binary.stop().await;
    logs
}

/// What is said of trouble with Redis, and of its end.
const NEWS: [[&str; 2]; 2] = [
    ["Redis does not answer", "Redis answers again"],
    ["not everything gets through Redis", "everything gets through Redis again"],
];

fn said(log: &str, message: &str) -> usize {
    log.matches(&format!("\"{message}\"")).count()
}

fn failed_calls(redis: &RedisServer) -> f64 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let fields = stats.split([',', '\n']).filter_map(|field| field.trim().split_once('='));
    let failed = fields.filter(|(name, _)| ["rejected_calls", "failed_calls"].contains(name));
    failed.map(|(_, count)| count.parse::<f64>().expect("a number")).sum()
}

fn forbid(redis: &RedisServer, command: &str) {
    redis.cli(&["ACL", "SETUSER", "default", &format!("-{command}")]);
}

fn allow(redis: &RedisServer) {
    redis.cli(&["ACL", "SETUSER", "default", "+@all"]);
}

/// Runs a line of Lua with each key of this kind.
fn with_each(redis: &RedisServer, kind: &str, line: &str) {
    let workers = redis.cli(&["--scan", "--pattern", "*:workers"]);
    let prefix = workers.strip_suffix("workers").expect("there are workers");
    for group in 0..16 {
        let key = format!("{prefix}{{{group}}}:{kind}");
        redis.cli(&["EVAL", &format!("local key = KEYS[1]; {line}"), "1", &key]);
    }
}

const SPOIL: &str = "redis.call('DEL', key); redis.call('SET', key, 'x')";
const MEND: &str = "redis.call('DEL', key)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_cannot_be_written() {
    refuses(|redis| forbid(redis, "rpush"), Some(allow as Does)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_cannot_be_taken() {
    refuses(|redis| forbid(redis, "blmpop"), NO_WAY_BACK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_that_cannot_be_written() {
    refuses(|redis| forbid(redis, "xadd"), NO_WAY_BACK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_that_cannot_be_read() {
    refuses(|redis| forbid(redis, "xread"), NO_WAY_BACK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_that_are_something_else() {
    let spoil: Does = |redis| with_each(redis, "requests", SPOIL);
    refuses(spoil, Some(|redis: &RedisServer| with_each(redis, "requests", MEND))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_something_else() {
    refuses(|redis| with_each(redis, "replies", SPOIL), NO_WAY_BACK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_is_passed_over() {
    let litter: Does = |redis| {
        with_each(redis, "requests", "redis.call('RPUSH', key, '', 'x', '\\255')");
        with_each(redis, "replies", "redis.call('XADD', key, '*', '\\255', '\\255')");
        with_each(redis, "replies", "redis.call('XADD', key, '*', 'owner', '1', 'reports', 'x')");
        let workers = redis.cli(&["--scan", "--pattern", "*:workers"]);
        for line in [
            "redis.call('ZADD', KEYS[1], 'inf', '\\255')",
            "local now = redis.call('TIME')[1] * 1000
             for n = 1, 9 do redis.call('ZADD', KEYS[1], now, n .. ' 18446744073709551615') end",
        ] {
            redis.cli(&["EVAL", line, "1", &workers]);
        }
    };
    refuses(litter, Some(|_: &RedisServer| {})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_becomes_a_replica() {
    let begin: Does = |redis| drop(redis.cli(&["REPLICAOF", "127.0.0.1", "1"]));
    let back: Does = |redis| drop(redis.cli(&["REPLICAOF", "NO", "ONE"]));
    let why = "You can't write against a read only replica.";
    let say_why = |logs: &[String; 2]| logs.iter().all(|log| log.contains(why));
    for log in refuses_until(begin, Some(back), say_why).await {
        assert_eq!(said(&log, NEWS[1][0]), 1, "{log}");
        assert!(!log.contains("does not answer"), "it answers: {log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_has_no_room_for_connections() {
    let admin = std::cell::RefCell::new(None);
    let begin = |redis: &RedisServer| {
        let mut connection = redis.connect();
        connection.say("CONFIG SET maxclients 5");
        connection.say("CLIENT KILL TYPE normal SKIPME yes");
        admin.replace(Some(connection));
    };
    let back = |_: &RedisServer| {
        admin.take().expect("it is connected").say("CONFIG SET maxclients 1000");
    };
    let why = "max number of clients reached";
    let say_why = |logs: &[String; 2]| logs.iter().any(|log| log.contains(why));
    for log in refuses_until(begin, Some(back), say_why).await {
        assert!(NEWS.iter().all(|[begin, _]| said(&log, begin) <= 1), "{log}");
    }
}

/// Who is started while it is so is told why it cannot be.
#[tokio::test]
async fn a_redis_without_room_is_named_at_the_start() {
    let redis = RedisServer::start();
    let mut admin = redis.connect();
    admin.say("CONFIG SET maxclients 1");
    let dir = tempdir().unwrap();
    let variables = [("REDIS_URL", &*redis.url()), ("TIDINGS_SECRET_KEY", SECRET_KEY)];
    let (status, told) = Binary::refused_with(dir.path(), &variables).await;
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("max number of clients reached"), "{told}");
}
