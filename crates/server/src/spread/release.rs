//! The owner's end: releases requests, hands replies to who waits, gives back what is lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidings_core::dispatch::Signal;
use tidings_core::id::WebhookId;
use tidings_core::limits::{ATTEMPTS_IN_FLIGHT_MAX, RELEASE_WAIT_MS, RELEASES_MAX, WORKER_SAYS_MS};
use tidings_core::releases::{AWAY_MS, Begun, Releases, Ticket};
use tidings_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::abroad::Abroad;
use super::heir::Heir;
use super::line::Line;
use super::parcel::{Parcel, Postbox, Reply, Report, Stub, weight};
use super::place::Redis;
use super::presence::Sight;
use super::trouble::{Trouble, Troubles, Work};
use super::work::WorkerId;
use super::{AGAIN, At, GROUPS, group, reply, write};
use crate::clock::{self, Clock};
use crate::engine::Inbox;
use crate::metrics::Metrics;
use crate::sender::Request;

/// An owner, as it calls itself: another one after each start.
pub(super) type OwnerId = u64;

/// How often it is looked for what is lost.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// A request that is to be sent by a worker.
#[derive(Debug)]
pub struct Order<'a> {
    pub ticket: Ticket,
    pub request: &'a Request,
    /// The body of the answer is wanted.
    pub whole: bool,
    pub stub: Stub,
}

/// Nobody will reply, and whether it was sent is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

/// Spreads requests over workers.
pub struct Spread {
    pub(super) owner: OwnerId,
    pub(super) redis: Redis,
    pub(super) postbox: Postbox,
    pub(super) clock: Clock,
    metrics: Arc<Metrics>,
    inbox: Inbox,
    groups: Vec<Outgoing>,
    sight: watch::Receiver<Sight>,
    /// The worker in this process.
    own_worker: WorkerId,
    /// Nodes that share the workers.
    owners: AtomicUsize,
    /// Redis answers, and there is a worker beside this process.
    is_open: AtomicBool,
    abroad: Abroad,
    pub(super) heir: Heir,
    started_at: Timestamp,
    pub(super) troubles: Troubles,
    pub(super) line: Line,
    tasks: Mutex<JoinSet<()>>,
}

type Board = Releases<oneshot::Sender<Reply>, Reply>;

/// The requests of one group on their way to Redis, and what becomes of them.
#[derive(Debug)]
struct Outgoing {
    board: Mutex<Board>,
    queue: mpsc::UnboundedSender<(Ticket, Vec<u8>)>,
    /// There are connections to write and to read.
    writes: AtomicBool,
    reads: AtomicBool,
    /// Workers take what is released, as far as is known.
    is_taken_from: AtomicBool,
}

/// For whom an owner works.
#[derive(Debug)]
pub(super) struct Around {
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) inbox: Inbox,
}

impl Spread {
    pub(super) fn start(at: At, own_worker: WorkerId, around: Around) -> Arc<Self> {
        let At { redis, postbox, sight, troubles, line } = at;
        let Around { clock, metrics, inbox } = around;
        let (groups, queues): (Vec<_>, Vec<_>) = (0..GROUPS)
            .map(|_| {
                let (queue, taken) = mpsc::unbounded_channel();
                let (writes, reads, is_taken_from) = (false.into(), false.into(), true.into());
                let board = Mutex::default();
                (Outgoing { board, queue, writes, reads, is_taken_from }, taken)
            })
            .unzip();
        let started_at = clock.now();
        let spread = Arc::new(Self {
            owner: OwnerId::from_le_bytes(clock::random()),
            redis,
            postbox,
            clock,
            metrics,
            inbox,
            groups,
            sight,
            own_worker,
            owners: 1.into(),
            is_open: false.into(),
            abroad: Abroad::default(),
            heir: Heir::default(),
            started_at,
            troubles,
            line,
            tasks: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for (group, queue) in (0..GROUPS).zip(queues) {
            tasks.spawn(write::write(Arc::clone(&spread), group, queue));
            tasks.spawn(reply::read(Arc::clone(&spread), group));
        }
        tasks.spawn(sweep(Arc::clone(&spread)));
        *spread.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        spread
    }

    /// Whether a worker is to send this, or has already.
    #[must_use]
    pub fn takes(&self, webhook: WebhookId, ticket: Ticket, request: &Request) -> bool {
        let outgoing = self.group(group(webhook));
        let is_open = self.is_open.load(Ordering::Relaxed) && outgoing.is_open();
        let bytes = weight(request);
        let board = outgoing.board();
        is_open && self.abroad.has_room(bytes) && board.has_room(bytes) || board.knows(ticket)
    }

    /// Has a request sent, and waits for what became of it: for as long as a worker says that it is at it,
    /// and some seconds.
    pub async fn send(&self, webhook: WebhookId, order: Order<'_>) -> Result<Reply, Lost> {
        let Order { ticket, request, whole, stub } = order;
        let (now, bytes) = (self.clock.now(), weight(request));
        let _away = self.abroad.goes(bytes);
        let (who, replied) = oneshot::channel();
        let (group, outgoing) = (group(webhook), self.group(group(webhook)));
        let begun = outgoing.board().begin(ticket, bytes, who, now);
        match begun {
            Begun::Replied(_, reply) => return Ok(reply),
            Begun::UnderWay => {}
            Begun::Release => {
                let start_by = self.sight.borrow().there(now) + RELEASE_WAIT_MS;
                let parcel = Parcel::new((self.owner, ticket, start_by), request, whole, stub);
                let sealed = self.postbox.seal_request(group, &parcel);
                self.metrics.released.increment(1);
                let _ = outgoing.queue.send((ticket, sealed));
            }
        }
        replied.await.map_err(|_| Lost)
    }

    /// Takes in what workers report.
    pub(super) fn take_in(&self, group: u8, reports: Vec<Report>) {
        let now = self.clock.now();
        let mut board = self.group(group).board();
        for report in reports {
            match report {
                Report::Taken(tickets) => {
                    tickets.into_iter().for_each(|ticket| board.taken(ticket, now));
                }
                Report::Replied(reply) => {
                    if let Some((who, reply)) = board.replied(reply.ticket, *reply, now) {
                        // Whoever waited may have been cut off by a stop.
                        let _ = who.send(reply);
                    }
                }
            }
        }
    }

    /// Shards of another owner, or of a former process, are to be this one's: what was replied to it is read
    /// first, and counts for the time being. When it was cut off that may have been a moment ago, so workers
    /// are given the time to say what they are at.
    pub async fn inherit(&self, shards: impl IntoIterator<Item = u8>, was_cut_off: bool) {
        self.heir.inherit(shards, self.clock.now());
        // Of what is younger than half of it when workers say so, they say it the next time.
        let silent_ms = WORKER_SAYS_MS / 2 * 3;
        // A node that was killed finds its shards still its own.
        let is_new = self.clock.now().since(self.started_at) < silent_ms;
        if (was_cut_off || is_new) && !self.sight.borrow().workers.is_empty() {
            tokio::time::sleep(Duration::from_millis(silent_ms as u64) + AGAIN).await;
        }
        // Soon after a start, on a busy machine, it need not be known yet that Redis answers.
        if is_new || self.there().is_some() {
            reply::read_what_is_there(self).await;
        } else {
            tracing::warn!("redis is away: what was replied to a former owner is not known");
        }
    }

    /// What time it is at Redis, if it answers.
    pub(super) fn there(&self) -> Option<Timestamp> {
        let (sight, now) = (self.sight.borrow(), self.clock.now());
        (sight.silent_ms(now) < AWAY_MS).then(|| sight.there(now))
    }

    /// So many nodes share the workers, this one among them.
    pub fn shared_by(&self, owners: usize) {
        self.owners.store(owners.max(1), Ordering::Relaxed);
    }

    /// Ends its tasks. What is under way is lost.
    pub async fn stop(&self) {
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }

    pub(super) fn reads(&self, group: u8, does: bool) {
        self.group(group).reads.store(does, Ordering::Relaxed);
    }

    pub(super) fn writes(&self, group: u8, does: bool) {
        self.group(group).writes.store(does, Ordering::Relaxed);
    }

    fn group(&self, group: u8) -> &Outgoing {
        &self.groups[usize::from(group)]
    }

    pub(super) fn withdraw(&self, group: u8, requests: impl Iterator<Item = Ticket>) {
        let mut board = self.group(group).board();
        let lost: Vec<_> = requests.filter_map(|ticket| board.withdraw(ticket)).collect();
        drop(board);
        self.metrics.releases_lost.increment(lost.len() as u64);
    }
}

impl Outgoing {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> bool {
        self.writes.load(Ordering::Relaxed)
            && self.reads.load(Ordering::Relaxed)
            && self.is_taken_from.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spread").field("redis", &self.redis).finish_non_exhaustive()
    }
}

/// Gives back what is lost, and tells the dispatcher how much it may give out.
async fn sweep(spread: Arc<Spread>) {
    let mut told = ATTEMPTS_IN_FLIGHT_MAX;
    let troubles = (0..GROUPS).map(|group| spread.troubles.of(Work::Arrive, group));
    let mut troubles: Vec<_> = troubles.collect();
    let mut now = spread.clock.now();
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let before = std::mem::replace(&mut now, spread.clock.now());
        if now.since(before) >= AWAY_MS {
            // It is this process that stood still. What came meanwhile is read first.
            continue;
        }
        let sight = spread.sight.borrow().clone();
        let silent_ms = sight.silent_ms(now);
        for (outgoing, trouble) in spread.groups.iter().zip(&mut troubles) {
            spread.sweep_one(outgoing, trouble, now, silent_ms);
        }
        let takers: Vec<_> = sight.workers.iter().filter(|(_, heard)| heard.capacity > 0).collect();
        let others = takers.iter().filter(|(worker, _)| **worker != spread.own_worker).count();
        let is_open = silent_ms < AWAY_MS && others > 0;
        spread.metrics.workers.set(if is_open { takers.len() as f64 } else { 0.0 });
        if is_open != spread.is_open.swap(is_open, Ordering::Relaxed) {
            say(is_open, others, silent_ms);
        }
        let capacity = takers.iter().map(|(_, heard)| heard.capacity).sum();
        let share = if is_open { spread.share(capacity) } else { ATTEMPTS_IN_FLIGHT_MAX };
        let wanted = spread.abroad.given_out(share);
        if wanted != told {
            told = wanted;
            spread.inbox.signal(Signal::Capacity(wanted));
        }
    }
}

impl Spread {
    fn sweep_one(
        &self,
        outgoing: &Outgoing,
        trouble: &mut Trouble,
        now: Timestamp,
        silent_ms: i64,
    ) {
        let mut board = outgoing.board();
        let lost = board.sweep(now, silent_ms);
        let is_taken_from = !board.rests(now);
        drop(board);
        self.metrics.releases_lost.increment(lost.len() as u64);
        let was = outgoing.is_taken_from.swap(is_taken_from, Ordering::Relaxed);
        match (was, is_taken_from) {
            (true, false) => trouble.begins(&"no worker takes what is released"),
            (false, true) => trouble.works(),
            _ => {}
        }
    }

    /// What this owner may have under way, when workers have room for so many. What goes to no worker is
    /// sent here.
    fn share(&self, capacity: usize) -> usize {
        let open = self.groups.iter().filter(|outgoing| outgoing.is_open()).count();
        let share = (capacity / self.owners.load(Ordering::Relaxed)).clamp(1, RELEASES_MAX);
        match share.checked_sub(ATTEMPTS_IN_FLIGHT_MAX) {
            Some(more) => ATTEMPTS_IN_FLIGHT_MAX + more * open / usize::from(GROUPS),
            None if open == 0 => ATTEMPTS_IN_FLIGHT_MAX,
            None => share,
        }
    }
}

fn say(is_open: bool, workers: usize, silent_ms: i64) {
    if is_open {
        tracing::info!(workers, "sending is spread over workers");
    } else if silent_ms < AWAY_MS {
        tracing::info!("there is no worker left: this node sends by itself");
    } else {
        tracing::warn!("Redis is away: this node sends by itself");
    }
}
