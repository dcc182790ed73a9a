//! The worker's end: takes requests, sends them, reports what became of them. It needs no store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tidings_core::egress::EgressPolicy;
use tidings_core::limits::WORKER_SAYS_MS;
use tidings_core::outcome::{FailureKind, Outcome};
use tidings_core::releases::Ticket;
use tidings_core::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::parcel::{Parcel, Postbox, Reply, Report, Slip, Stub};
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

/// A worker, as it calls itself: another one after each start.
pub(super) type WorkerId = u64;

/// The requests of one group that are on the network, and where what becomes of them is told.
#[derive(Debug)]
struct UnderWay {
    requests: Mutex<HashMap<Ticket, (OwnerId, Timestamp)>>,
    reports: mpsc::UnboundedSender<(OwnerId, Report)>,
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
            let under_way = Arc::new(UnderWay { requests: Mutex::default(), reports });
            tokio::spawn(say_so(Arc::downgrade(&under_way), means.clock.clone()));
            let taker = Taker {
                group,
                postbox: postbox.clone(),
                means: means.clone(),
                sight: sight.clone(),
                permits: Arc::clone(&permits),
                under_way,
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
        let now = self.means.clock.now();
        let there = self.sight.borrow().there(now);
        let mut parcels = Vec::with_capacity(sealed.len());
        for sealed in sealed {
            self.means.metrics.requests_taken.increment(1);
            match self.postbox.open_request(self.group, &sealed) {
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
