//! Which workers there are, whether Redis answers, and what time it is there.
//!
//! One exchange twice a second. Workers are in a sorted set by the time of their last word; those that
//! have been silent for long are dropped from it by the others. Owners and workers measure how long a
//! request waits by the clock of the Redis that has this set, the one clock that they share.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tidings_core::limits::{WORKER_CAPACITY, WORKER_SILENT_MS, WORKERS_MAX};
use tidings_core::time::{MINUTE_MS, Timestamp};
use tokio::sync::watch;

use super::AGAIN;
use super::parcel::Postbox;
use super::place::{Redis, first};
use super::trouble::Trouble;
use super::work::WorkerId;
use crate::clock::Clock;

const EVERY: Duration = Duration::from_millis(500);

/// What is known of Redis and of the workers.
#[derive(Debug, Clone, Default)]
pub(super) struct Sight {
    /// When Redis answered last, by our clock.
    pub(super) answered_at: Timestamp,
    /// What its clock is ahead of ours.
    ahead_ms: i64,
    /// Those heard of lately, and how many requests each takes at once.
    pub(super) workers: HashMap<WorkerId, Heard>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    at: Timestamp,
    pub(super) capacity: usize,
}

/// A member of the set, whoever has put it there.
type Scored = (Vec<u8>, f64);

impl Sight {
    /// A moment of ours by the clock of Redis.
    pub(super) fn there(&self, now: Timestamp) -> Timestamp {
        now + self.ahead_ms
    }

    pub(super) fn silent_ms(&self, now: Timestamp) -> i64 {
        now.since(self.answered_at)
    }
}

/// A worker's own entry in the set. One that is about to stop has no capacity, and lives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announced {
    pub(super) worker: WorkerId,
    pub(super) capacity: usize,
}

impl Announced {
    fn member(self) -> String {
        format!("{:016x} {}", self.worker, self.capacity)
    }

    fn read(member: &[u8]) -> Option<Self> {
        let (worker, capacity) = std::str::from_utf8(member).ok()?.split_once(' ')?;
        let worker = WorkerId::from_str_radix(worker, 16).ok()?;
        // Whatever it says of itself.
        let capacity = capacity.parse::<usize>().ok()?.min(WORKER_CAPACITY);
        Some(Self { worker, capacity })
    }
}

/// Keeps looking, and shows itself if it is a worker.
pub(super) struct Presence {
    redis: Redis,
    key: String,
    clock: Clock,
    /// `None` once it has left, or for who is no worker.
    announced: watch::Receiver<Option<Announced>>,
    sight: watch::Sender<Sight>,
    trouble: Trouble,
}

impl Presence {
    /// Its run, for a task, and what it sees. Before the first exchange it sees nothing.
    pub(super) fn new(
        redis: Redis,
        postbox: &Postbox,
        clock: Clock,
        announced: watch::Receiver<Option<Announced>>,
        trouble: Trouble,
    ) -> (Self, watch::Receiver<Sight>) {
        let answered_at = clock.now() - MINUTE_MS;
        let (sight, seen) = watch::channel(Sight { answered_at, ..Sight::default() });
        (Self { redis, key: postbox.workers(), clock, announced, sight, trouble }, seen)
    }

    pub(super) async fn run(mut self) {
        let mut connection = None;
        let mut failures: u32 = 0;
        loop {
            let wait = match self.exchange(&mut connection).await {
                Ok(()) => {
                    if std::mem::take(&mut failures) > 1 {
                        tracing::info!("Redis answers again");
                    }
                    self.trouble.works();
                    EVERY
                }
                // It answers, and refuses.
                Err(error) if !error.is_io_error() => {
                    connection = None;
                    self.trouble.failed(&first(error));
                    EVERY
                }
                Err(error) => {
                    connection = None;
                    failures = failures.saturating_add(1);
                    // Said once, however long it lasts; and not of a connection that broke.
                    if failures == 2 {
                        let refusal = self.redis.refusal().await;
                        let error = refusal.unwrap_or_else(|| error.to_string());
                        tracing::warn!(error, "Redis does not answer");
                    }
                    AGAIN
                }
            };
            // Who leaves says so at once.
            let _ = tokio::time::timeout(wait, self.announced.changed()).await;
        }
    }

    async fn exchange(&self, place: &mut Option<MultiplexedConnection>) -> redis::RedisResult<()> {
        let connection = match place {
            Some(connection) => connection,
            None => place.insert(self.redis.connect(&self.key).await?),
        };
        let there = self.sight.borrow().there(self.clock.now()).as_millis();
        let mut asked = redis::pipe();
        asked.cmd("TIME");
        // Not those of a future that never comes, either.
        let (from, to) = (there - WORKER_SILENT_MS, there + WORKER_SILENT_MS);
        asked.cmd("ZRANGE").arg(&self.key).arg(from).arg(to).arg("BYSCORE");
        asked.arg("LIMIT").arg(0).arg(WORKERS_MAX).arg("WITHSCORES");
        let sent_at = self.clock.now();
        let ((seconds, micros), members): ((i64, i64), Vec<Scored>) =
            asked.query_async(connection).await?;
        let now = self.clock.now();
        // The answer was made halfway.
        let here = sent_at.as_millis() + now.since(sent_at) / 2;
        let ahead_ms = seconds * 1_000 + micros / 1_000 - here;
        self.sight.send_modify(|sight| sight.take_in(now, ahead_ms, &members));
        self.announce(connection, now + ahead_ms).await
    }

    async fn announce(
        &self,
        connection: &mut MultiplexedConnection,
        there: Timestamp,
    ) -> redis::RedisResult<()> {
        let announced = *self.announced.borrow();
        let Some(announced) = announced else { return Ok(()) };
        let (key, there) = (&self.key, there.as_millis());
        let mut said = redis::pipe();
        said.cmd("ZADD").arg(key).arg(there).arg(announced.member());
        said.cmd("ZREMRANGEBYSCORE").arg(key).arg("-inf").arg(there - MINUTE_MS);
        said.cmd("ZREMRANGEBYSCORE").arg(key).arg(there + MINUTE_MS).arg("+inf");
        said.query_async(connection).await
    }
}

impl Sight {
    /// Members with the moments of their last words, there and in order: the last one counts.
    fn take_in(&mut self, now: Timestamp, ahead_ms: i64, members: &[Scored]) {
        (self.answered_at, self.ahead_ms) = (now, ahead_ms);
        for (member, there) in members {
            if let Some(Announced { worker, capacity }) = Announced::read(member) {
                let at = Timestamp::from_millis(*there as i64 - ahead_ms).min(now);
                self.workers.insert(worker, Heard { at, capacity });
            }
        }
        // A Redis that has just been started knows of none yet, so none is gone at once.
        self.workers.retain(|_, heard| now.since(heard.at) < WORKER_SILENT_MS);
    }
}

/// Takes a worker that stops out of the set.
pub(super) async fn leave(redis: &Redis, postbox: &Postbox, worker: WorkerId) {
    let key = postbox.workers();
    let gone = async {
        let mut connection = redis.connect(&key).await?;
        let mut said = redis::cmd("ZREM");
        said.arg(&key).arg(Announced { worker, capacity: 0 }.member());
        said.query_async::<()>(&mut connection).await
    };
    // Else it is dropped in time.
    let _ = gone.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_known_until_it_has_been_silent() {
        let at = |ms| Timestamp::from_millis(1_795_362_000_000 + ms);
        let (mut sight, one) = (Sight::default(), Announced { worker: 1, capacity: 5 });
        let there = at(40).as_millis() as f64;
        let strange = ["nonsense", "zz 5", "2 -5", "3 18446744073709551616"].map(str::to_owned);
        let members = strange.into_iter().chain([one.member()]).map(|it| (it.into_bytes(), there));
        let members: Vec<_> = members.chain([(vec![0xff], f64::INFINITY)]).collect();
        sight.take_in(at(0), 40, &members);
        assert_eq!((sight.workers.len(), sight.workers[&1].capacity), (1, 5));
        assert_eq!(sight.there(at(7)), at(47));
        sight.take_in(at(WORKER_SILENT_MS - 1), 0, &[]);
        assert!(sight.workers.contains_key(&1), "a Redis that was emptied knows it in a moment");
        // Its last word is there still, and is old.
        sight.take_in(at(WORKER_SILENT_MS), 40, &members);
        assert!(sight.workers.is_empty());
    }

    #[test]
    fn nobody_is_believed_to_take_more_than_a_worker_can() {
        let (mut sight, now) = (Sight::default(), Timestamp::from_millis(1_795_362_000_000));
        let boasts = (0..9).map(|n| format!("{n} {}", usize::MAX).into_bytes());
        let boasts: Vec<_> = boasts.map(|it| (it, now.as_millis() as f64)).collect();
        sight.take_in(now, 0, &boasts);
        assert!(sight.workers.values().all(|heard| heard.capacity == WORKER_CAPACITY));
        assert_eq!(sight.workers.len(), 9);
    }
}
