//! The worker's end: takes requests, sends them, reports what became of them. It needs no store.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redis::RedisResult;
use tidings_core::egress::EgressPolicy;
use tidings_core::limits::{WORKER_SAYS_MS, WORKER_SILENT_MS};
use tidings_core::outcome::{FailureKind, Outcome};
use tidings_core::releases::Ticket;
use tidings_core::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::parcel::{NOTHING, Parcel, Postbox, Reply, Report, Slip, Stub};
use super::place::Redis;
use super::presence::{self, Announced, Sight};
use super::release::OwnerId;
use super::report::{Mute, Reporter};
use super::trouble::{Trouble, Troubles, Work};
use super::{AGAIN, At, GROUPS, LOOK_S};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::sender::{Sender, Sent};

/// Requests taken from a list at once, and about how many bytes. The rest is for other workers.
const TAKEN_AT_ONCE: usize = 64;
const TAKEN_BYTES: usize = 256 << 10;
/// A worker, as it calls itself: another one after each start.
pub(super) type WorkerId = u64;

/// The requests of one group that are on the network, and where what becomes of them is told.
#[derive(Debug)]
struct UnderWay {
    requests: Mutex<HashMap<Ticket, (OwnerId, Timestamp)>>,
    reports: mpsc::UnboundedSender<(OwnerId, Report)>,
    is_mute: Mute,
}

/// A worker that takes requests.
#[derive(Debug)]
pub struct Worker {
    announced: Announced,
    shown: watch::Sender<Option<Announced>>,
    /// One for each request that may be on the network.
    permits: Arc<Semaphore>,
    /// True: nothing more is taken.
    stop: watch::Sender<bool>,
    takers: JoinSet<()>,
    reporters: JoinSet<()>,
    redis: Redis,
    postbox: Postbox,
}

/// What a worker sends with.
#[derive(Debug, Clone)]
pub(crate) struct Means {
    pub(crate) sender: Sender,
    /// Judges what others have let through once more: the network is this machine's.
    pub(crate) egress: Arc<EgressPolicy>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
}

/// One group's part of it.
struct Taker {
    group: u8,
    postbox: Postbox,
    means: Means,
    sight: watch::Receiver<Sight>,
    permits: Arc<Semaphore>,
    under_way: Arc<UnderWay>,
    stopping: watch::Receiver<bool>,
    troubles: Troubles,
}

impl Worker {
    pub(super) fn start(
        at: At,
        announced: Announced,
        shown: watch::Sender<Option<Announced>>,
        means: Means,
    ) -> Self {
        let At { redis, postbox, sight, troubles, line } = at;
        let (stop, stopping) = watch::channel(false);
        let permits = Arc::new(Semaphore::new(announced.capacity));
        let (mut takers, mut reporters) = (JoinSet::new(), JoinSet::new());
        for group in 0..GROUPS {
            let (reports, written) = mpsc::unbounded_channel();
            let is_mute = Mute::default();
            let reporter = Reporter {
                redis: redis.clone(),
                postbox: postbox.clone(),
                group,
                is_mute: Arc::clone(&is_mute),
                trouble: troubles.of(Work::Report, group),
                line: line.clone(),
            };
            let under_way = Arc::new(UnderWay { requests: Mutex::default(), reports, is_mute });
            tokio::spawn(say_so(Arc::downgrade(&under_way), means.clock.clone()));
            let taker = Taker {
                group,
                postbox: postbox.clone(),
                means: means.clone(),
                sight: sight.clone(),
                permits: Arc::clone(&permits),
                under_way,
                stopping: stopping.clone(),
                troubles: troubles.clone(),
            };
            takers.spawn(taker.run(redis.clone()));
            reporters.spawn(reporter.run(written));
        }
        shown.send_replace(Some(announced));
        Self { announced, shown, permits, stop, takers, reporters, redis, postbox }
    }

    /// Takes nothing more, finishes what it has within the deadline, and reports it.
    pub async fn stop(mut self, deadline: Duration) {
        self.stop.send_replace(true);
        // Owners count on it no more, and know that it lives.
        self.shown.send_replace(Some(Announced { capacity: 0, ..self.announced }));
        let finish = async {
            while self.takers.join_next().await.is_some() {}
            let all = u32::try_from(self.announced.capacity).unwrap_or(u32::MAX);
            let _ = self.permits.acquire_many(all).await;
            // What cannot be said now is not waited for any longer.
            let last_words = async { while self.reporters.join_next().await.is_some() {} };
            let _ =
                tokio::time::timeout(Duration::from_millis(WORKER_SILENT_MS as u64), last_words)
                    .await;
        };
        if tokio::time::timeout(deadline, finish).await.is_err() {
            tracing::warn!("what was under way is sent again by others");
        }
        self.shown.send_replace(None);
        presence::leave(&self.redis, &self.postbox, self.announced.worker).await;
    }
}

impl Taker {
    async fn run(self, redis: Redis) {
        let key = self.postbox.requests(self.group);
        let mut trouble = self.troubles.of(Work::Take, self.group);
        while let Err(error) = self.take(&redis, &key, &mut trouble).await {
            trouble.failed(&error);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Until nothing more is to be taken, or the connection breaks.
    async fn take(&self, redis: &Redis, key: &str, trouble: &mut Trouble) -> RedisResult<()> {
        let mut stopping = self.stopping.clone();
        let mut connection = redis.connect_to_wait(key).await?;
        let mut at_once = 1;
        while !*stopping.borrow() {
            if self.under_way.is_mute.load(Ordering::Relaxed) {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            let mut permits = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => break,
                permit = Arc::clone(&self.permits).acquire_owned() => {
                    permit.expect("it is never closed")
                }
            };
            while permits.num_permits() < at_once
                && let Ok(more) = Arc::clone(&self.permits).try_acquire_owned()
            {
                permits.merge(more);
            }
            let mut asked = redis::cmd("BLMPOP");
            asked.arg(LOOK_S).arg(1).arg(key).arg("LEFT").arg("COUNT").arg(permits.num_permits());
            let taken: Option<(String, Vec<Vec<u8>>)> = asked.query_async(&mut connection).await?;
            trouble.works();
            let (_, sealed) = taken.unwrap_or_default();
            at_once = next(&sealed);
            self.begin(sealed, permits);
        }
        Ok(())
    }

    /// Starts what may be started still, and says so.
    fn begin(&self, sealed: Vec<Vec<u8>>, mut permits: OwnedSemaphorePermit) {
        let now = self.means.clock.now();
        let there = self.sight.borrow().there(now);
        let mut parcels = Vec::with_capacity(sealed.len());
        for sealed in sealed.iter().filter(|sealed| &sealed[..] != NOTHING) {
            self.means.metrics.requests_taken.increment(1);
            match self.postbox.open_request(self.group, sealed) {
                Some(parcel) if there <= parcel.slip.start_by => parcels.push(parcel),
                _ => self.means.metrics.requests_dropped.increment(1),
            }
        }
        self.under_way.begun(&parcels, now);
        for parcel in parcels {
            let permit = permits.split(1).expect("no more was asked for");
            let under_way = Arc::clone(&self.under_way);
            tokio::spawn(send(self.means.clone(), parcel, under_way, permit));
        }
    }
}

/// How many to ask for after these. A group in which little comes does not keep others from what it will
/// not use, and where requests are large a few take as long as many small ones.
fn next(taken: &[Vec<u8>]) -> usize {
    let bytes = taken.iter().map(Vec::len).sum::<usize>().max(1);
    (2 * taken.len()).min(TAKEN_BYTES * taken.len() / bytes).clamp(1, TAKEN_AT_ONCE)
}

impl UnderWay {
    fn begun(&self, parcels: &[Parcel], now: Timestamp) {
        let mut requests = self.requests();
        let mut begun: HashMap<OwnerId, Vec<Ticket>> = HashMap::new();
        for Parcel { slip, .. } in parcels {
            requests.insert(slip.ticket, (slip.owner, now));
            begun.entry(slip.owner).or_default().push(slip.ticket);
        }
        self.say(begun);
    }

    /// Owners must hear of what lasts, or they would take it for lost.
    fn still(&self, now: Timestamp) {
        let requests = self.requests();
        let mut still: HashMap<OwnerId, Vec<Ticket>> = HashMap::new();
        for (&ticket, &(owner, since)) in requests.iter() {
            if now.since(since) >= WORKER_SAYS_MS / 2 {
                still.entry(owner).or_default().push(ticket);
            }
        }
        self.say(still);
    }

    fn ended(&self, reply: Reply) {
        let mut requests = self.requests();
        if let Some((owner, _)) = requests.remove(&reply.ticket) {
            let _ = self.reports.send((owner, Report::Replied(Box::new(reply))));
        }
    }

    /// While the requests are locked: a reply is the last word.
    fn say(&self, tickets: HashMap<OwnerId, Vec<Ticket>>) {
        for (owner, tickets) in tickets {
            let _ = self.reports.send((owner, Report::Taken(tickets)));
        }
    }

    fn requests(&self) -> MutexGuard<'_, HashMap<Ticket, (OwnerId, Timestamp)>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn say_so(under_way: Weak<UnderWay>, clock: Clock) {
    loop {
        tokio::time::sleep(Duration::from_millis(WORKER_SAYS_MS as u64)).await;
        match under_way.upgrade() {
            Some(under_way) => under_way.still(clock.now()),
            None => return,
        }
    }
}

async fn send(
    means: Means,
    parcel: Parcel,
    under_way: Arc<UnderWay>,
    _permit: OwnedSemaphorePermit,
) {
    let Slip { ticket, ref stub, .. } = parcel.slip;
    let mut sending = Sending { under_way, ticket, stub: Some(stub.clone()) };
    means.metrics.requests_in_flight.increment(1.0);
    let (sent, body) = match parcel.request(&means.egress) {
        None => {
            let outcome = Outcome::failed(FailureKind::Blocked, "address not allowed");
            (Sent { outcome, duration_ms: 0 }, Vec::new())
        }
        Some(request) if parcel.slip.whole => means.sender.send_and_read(&request).await,
        Some(request) => (means.sender.send(&request).await, Vec::new()),
    };
    means.metrics.requests_in_flight.decrement(1.0);
    sending.ended(sent, body);
}

/// A request that was taken. A panic is a failed attempt, so no owner waits for ever, and no poisonous
/// request is tried for ever.
struct Sending {
    under_way: Arc<UnderWay>,
    ticket: Ticket,
    /// Until it has ended.
    stub: Option<Stub>,
}

impl Sending {
    fn ended(&mut self, sent: Sent, body: Vec<u8>) {
        if let Some(stub) = self.stub.take() {
            let Sent { outcome, duration_ms } = sent;
            let ticket = self.ticket;
            self.under_way.ended(Reply { ticket, stub, outcome, duration_ms, body });
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let outcome = Outcome::failed(FailureKind::Network, "internal error");
        self.ended(Sent { outcome, duration_ms: 0 }, Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_are_asked_for_where_little_comes_or_much_in_each() {
        let taken = |count, bytes| next(&vec![vec![0; bytes]; count]);
        assert_eq!(next(&[]), 1);
        assert_eq!((taken(1, 0), taken(5, 1_000), taken(64, 1_000)), (2, 10, 64));
        assert_eq!((taken(64, 64 << 10), taken(3, 1 << 20)), (4, 1));
    }
}
