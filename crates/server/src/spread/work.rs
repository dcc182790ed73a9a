//! The worker's end: takes requests, sends them, reports what became of them. It needs no store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tidings_core::egress::EgressPolicy;
use tidings_core::outcome::{FailureKind, Outcome};
use tidings_core::releases::WorkerId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::parcel::{Parcel, Postbox, Reply, Report};
use super::place::Redis;
use super::presence::{self, Announced, Sight};
use super::release::OwnerId;
use super::reply::{OWNER, REPORTS};
use super::{AGAIN, At, FORGOTTEN_S, GROUPS, LOOK_S};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::sender::{Sender, Sent};

/// Requests taken from a list at once. The rest is for other workers.
const TAKEN_AT_ONCE: usize = 64;
/// Reports written at once.
const REPORTED_AT_ONCE: usize = 256;
/// Entries of a stream, should nobody read it: far more than owners have released at once.
const STREAM_ENTRIES_MAX: usize = 10_000;

type Reports = mpsc::UnboundedSender<(OwnerId, Report)>;

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
    worker: WorkerId,
    group: u8,
    postbox: Postbox,
    means: Means,
    sight: watch::Receiver<Sight>,
    permits: Arc<Semaphore>,
    reports: Reports,
    stopping: watch::Receiver<bool>,
}

impl Worker {
    pub(super) fn start(
        at: At,
        announced: Announced,
        shown: watch::Sender<Option<Announced>>,
        means: Means,
    ) -> Self {
        let At { redis, postbox, sight } = at;
        let (stop, stopping) = watch::channel(false);
        let permits = Arc::new(Semaphore::new(announced.capacity));
        let (mut takers, mut reporters) = (JoinSet::new(), JoinSet::new());
        for group in 0..GROUPS {
            let (reports, written) = mpsc::unbounded_channel();
            let taker = Taker {
                worker: announced.worker,
                group,
                postbox: postbox.clone(),
                means: means.clone(),
                sight: sight.clone(),
                permits: Arc::clone(&permits),
                reports,
                stopping: stopping.clone(),
            };
            takers.spawn(taker.run(redis.clone()));
            reporters.spawn(report(redis.clone(), postbox.clone(), group, written));
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
            while self.reporters.join_next().await.is_some() {}
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
        while !*self.stopping.borrow() {
            if let Ok(mut connection) = redis.connect_to_wait(&key).await {
                // The connection broke, or nothing more is to be taken.
                let _ = self.take(&key, &mut connection).await;
            } else {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    async fn take(&self, key: &str, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut stopping = self.stopping.clone();
        loop {
            let mut permits = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
                permit = Arc::clone(&self.permits).acquire_owned() => {
                    permit.expect("it is never closed")
                }
            };
            // As many more as there are.
            while permits.num_permits() < TAKEN_AT_ONCE
                && let Ok(more) = Arc::clone(&self.permits).try_acquire_owned()
            {
                permits.merge(more);
            }
            let mut asked = redis::cmd("BLMPOP");
            asked.arg(LOOK_S).arg(1).arg(key).arg("LEFT").arg("COUNT").arg(permits.num_permits());
            let taken: Option<(String, Vec<Vec<u8>>)> = asked.query_async(connection).await?;
            let (_, sealed) = taken.unwrap_or_default();
            self.begin(sealed, permits);
        }
    }

    /// Starts what may be started still, and says so.
    fn begin(&self, sealed: Vec<Vec<u8>>, mut permits: OwnedSemaphorePermit) {
        let there = self.sight.borrow().there(self.means.clock.now());
        let mut begun: HashMap<OwnerId, Vec<_>> = HashMap::new();
        let mut parcels = Vec::with_capacity(sealed.len());
        for sealed in sealed {
            self.means.metrics.requests_taken.increment(1);
            let opened = self.postbox.open_request(self.group, &sealed);
            let Some(parcel) = opened.filter(|parcel| there <= parcel.slip.start_by) else {
                self.means.metrics.requests_dropped.increment(1);
                continue;
            };
            begun.entry(parcel.slip.owner).or_default().push(parcel.slip.ticket);
            parcels.push(parcel);
        }
        // Before the first reply.
        for (owner, tickets) in begun {
            let _ = self.reports.send((owner, Report::Taken { worker: self.worker, tickets }));
        }
        for parcel in parcels {
            let permit = permits.split(1).expect("no more was asked for");
            tokio::spawn(send(self.means.clone(), parcel, self.reports.clone(), permit));
        }
    }
}

async fn send(means: Means, parcel: Parcel, reports: Reports, _permit: OwnedSemaphorePermit) {
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
    let Sent { outcome, duration_ms } = sent;
    let (owner, ticket, stub) = (parcel.slip.owner, parcel.slip.ticket, parcel.slip.stub);
    let reply = Reply { ticket, stub, outcome, duration_ms, body };
    let _ = reports.send((owner, Report::Replied(Box::new(reply))));
}

/// Writes the reports of one group, however long Redis is away; nothing is taken meanwhile, so there are
/// never more than the worker has had under way.
async fn report(
    redis: Redis,
    postbox: Postbox,
    group: u8,
    mut reports: mpsc::UnboundedReceiver<(OwnerId, Report)>,
) {
    let key = postbox.replies(group);
    let mut connection = None;
    let mut batch = Vec::new();
    while reports.recv_many(&mut batch, REPORTED_AT_ONCE).await > 0 {
        let mut by_owner: HashMap<OwnerId, Vec<Report>> = HashMap::new();
        for (owner, report) in batch.drain(..) {
            by_owner.entry(owner).or_default().push(report);
        }
        let mut said = redis::pipe();
        for (owner, reports) in by_owner {
            said.cmd("XADD").arg(&key).arg("MAXLEN").arg("~").arg(STREAM_ENTRIES_MAX).arg("*");
            said.arg(OWNER).arg(owner).arg(REPORTS).arg(postbox.seal_reports(group, &reports));
        }
        said.cmd("EXPIRE").arg(&key).arg(FORGOTTEN_S).ignore();
        while let Err(()) = write(&redis, &key, &said, &mut connection).await {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn write(
    redis: &Redis,
    key: &str,
    said: &redis::Pipeline,
    place: &mut Option<MultiplexedConnection>,
) -> Result<(), ()> {
    let mut connection = match place.take() {
        Some(connection) => connection,
        None => redis.connect(key).await.map_err(|_| ())?,
    };
    said.query_async::<redis::Value>(&mut connection).await.map_err(|_| ())?;
    *place = Some(connection);
    Ok(())
}
