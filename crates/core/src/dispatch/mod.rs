//! The dispatcher: which delivery is attempted next.
//!
//! A pure state machine. The engine driver feeds it [`Signal`]s and carries out the [`Command`]s that
//! it answers with; time comes in with each call. It gives out attempts turn by turn over the webhooks
//! that have something ready (each turn costs the same, so this is deficit round robin with a quantum
//! of one attempt), within each webhook's concurrency, rate, pause and breaker, and a global cap.
//!
//! First tries, `deliver_at`, retries and redrives differ only in `ready_at`: one code path.
//!
//! The lanes of direct deliveries are like those of a webhook that is never switched off, with two
//! differences: they need no introduction, for their id says what they may do, and they are forgotten
//! when they have been idle for a while, for nobody takes leave of them.

mod gates;
mod in_flight;
mod lane;
mod pace;
mod shards;
mod turn;
mod webhook;

#[cfg(test)]
mod tests;

use std::collections::hash_map::{Entry, HashMap};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::delivery::{Lane, Owed, Payload, Status};
use crate::direct::{DirectLane, Kind};
use crate::health::{Health, HealthNews};
use crate::id::{DeliveryId, JobId, WebhookId};
use crate::limits;
use crate::settlement::{Attempt, Reason, Settlement, Verdict};
use crate::shard::{self, SHARDS};
use crate::time::{MINUTE_MS, SECOND_MS, Timestamp};
use crate::verdict::{Met, Rules};
use crate::webhook::RateLimit;

pub use shards::Shards;
use turn::Turn;
use webhook::WebhookLanes;

/// What the dispatcher is told.
#[derive(Debug)]
pub enum Signal {
    /// A webhook was loaded, created or changed.
    Webhook(Box<WebhookSettings>),
    /// A webhook is deleted or inactive: its deliveries end elsewhere.
    WebhookGone(WebhookId),
    /// A lane has rows in the store that were not announced, the first of them ready at `next`: found
    /// at the start or with a shard, or another node has committed them.
    Waiting { lane: Lane, next: Timestamp },
    /// A row was committed: a new delivery, or one that a person sends again.
    Owed(Owed),
    /// The rows that [`Command::Page`] asked for; `all` when the lane has no others.
    Paged { lane: Lane, rows: Vec<Owed>, all: bool },
    /// The page could not be read; it is asked for again.
    PageFailed { lane: Lane },
    /// An attempt is over: its network slot is free, its settlement is not written yet.
    Attempted(Box<Finished>),
    /// An attempt could not even be made for a reason of our own (its payload could not be read):
    /// the row goes back to where it was.
    Returned(Box<Owed>),
    /// A row that is not given out has another place in its lane now.
    Moved(Owed),
    /// A settlement is committed; `again` is the row's new state when the delivery is still owed.
    Settled { lane: Lane, id: DeliveryId, again: Option<Owed> },
    /// A row left the queue in another way (cancelled, webhook gone).
    Ended { lane: Lane, id: DeliveryId },
    /// Which shards are this node's from now on. Until it is said, all are.
    Shards(Shards),
    /// Nothing is attempted at this webhook, or in this origin's lane, before then: another node may
    /// have done so just now.
    Wait { webhook: WebhookId, until: Timestamp },
    /// So many attempts may be on the network from now on.
    Capacity(usize),
    /// No further attempts: the node is about to stop.
    Drain,
}

/// An attempt that is over.
#[derive(Debug)]
pub struct Finished {
    pub owed: Owed,
    pub attempt: Attempt,
    pub met: Met,
    /// Of a direct delivery, which brings its own; a webhook's are known.
    pub rules: Option<Arc<Rules>>,
}

/// What the dispatcher wants done.
#[derive(Debug)]
pub enum Command {
    /// Try this delivery. Answered by [`Signal::Attempted`] or [`Signal::Returned`].
    Attempt(Owed),
    /// Write this. Answered by [`Signal::Settled`].
    Settle { settlement: Box<Settlement>, news: Vec<News> },
    /// Read the least `limit` rows of the lane. Fewer will do, but more than the `known`, which may all
    /// be in memory already. Answered by [`Signal::Paged`] or `PageFailed`.
    Page { lane: Lane, limit: usize, known: usize },
    /// Nothing is given out any more in a shard that was taken away.
    Drained { shard: u8 },
}

/// What a settlement means to the owner of the webhook: announced as operational events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    Health(HealthNews),
    /// A delivery was given up.
    Exhausted(Reason),
    /// The webhook was switched off, for this reason.
    Disabled(&'static str),
}

/// Why Tidings switched a webhook off.
pub const DISABLED_GONE: &str = "gone";
pub const DISABLED_FAILING: &str = "failing";

/// What the dispatcher needs to know of a webhook.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    pub id: WebhookId,
    pub revision: u32,
    pub paused: bool,
    pub ordered: bool,
    /// Attempts in flight at most.
    pub concurrency: u32,
    pub rate_limit: Option<RateLimit>,
    pub rules: Arc<Rules>,
    /// As stored, for a webhook that is new here; `None` keeps what is known.
    pub health: Option<Health>,
}

/// The lanes of direct deliveries are forgotten after so long without a delivery.
const FORGET_IDLE_MS: i64 = MINUTE_MS;
/// A row that came back untried waits so long: what it met was trouble of our own.
const RETURNED_RETRY_MS: i64 = 1_000;

/// Bounds of one dispatcher; see [`crate::limits`] for what is right in production.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub attempts_in_flight: usize,
    pub unsettled: usize,
    pub lane_rows: usize,
    pub held_rows: usize,
    pub held_bytes: usize,
    pub page_rows: usize,
    /// To one origin that leads are sent to directly.
    pub leads: DirectLimits,
    /// To any other origin.
    pub callbacks: DirectLimits,
}

/// Bounds of a lane of direct deliveries.
#[derive(Debug, Clone, Copy)]
pub struct DirectLimits {
    /// Attempts in flight at most.
    pub concurrency: u32,
    pub rate_limit: Option<RateLimit>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempts_in_flight: limits::ATTEMPTS_IN_FLIGHT_MAX,
            unsettled: limits::UNSETTLED_MAX,
            lane_rows: limits::LANE_ROWS_MAX,
            held_rows: limits::HELD_ROWS_MAX,
            held_bytes: limits::HELD_BYTES_MAX,
            page_rows: limits::PAGE_ROWS,
            leads: DirectLimits {
                concurrency: limits::LEAD_CONCURRENCY,
                rate_limit: Some(RateLimit { max: limits::LEAD_RATE, per_ms: SECOND_MS as u32 }),
            },
            callbacks: DirectLimits { concurrency: limits::CONCURRENCY_DEFAULT, rate_limit: None },
        }
    }
}

impl Limits {
    /// A lane of direct deliveries as if it were a webhook's.
    fn settings_of(&self, id: WebhookId, direct: DirectLane) -> WebhookSettings {
        let DirectLimits { concurrency, rate_limit } = match direct.kind {
            Kind::Lead => self.leads,
            Kind::Callback => self.callbacks,
        };
        WebhookSettings {
            id,
            revision: 0,
            paused: false,
            ordered: direct.ordered,
            concurrency,
            rate_limit,
            rules: Arc::new(Rules::standard()),
            health: None,
        }
    }
}

/// A delivery that was given out and is not settled yet.
#[derive(Debug)]
struct Flight {
    /// The webhook's revision at the start: an outcome judges only the settings that it met.
    revision: u32,
    /// The outcome is in; only its settlement is missing.
    attempted: bool,
    /// The row was announced again meanwhile (a person cancelled it and sent it again): when this
    /// flight ends, the store says whether it is still owed.
    recheck: bool,
    /// The row left the queue meanwhile.
    ended: bool,
    /// Whose gate it holds.
    job: Option<JobId>,
}

/// Rows and payload bytes held in memory over all lanes, against their budgets.
#[derive(Debug)]
struct Held {
    rows: usize,
    bytes: usize,
    rows_max: usize,
    bytes_max: usize,
    lane_rows_max: usize,
}

impl Held {
    fn take_in(&mut self, owed: &Owed) {
        self.rows += 1;
        self.bytes += owed.held_bytes();
    }

    fn let_go(&mut self, owed: &Owed) {
        self.rows -= 1;
        self.bytes -= owed.held_bytes();
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Dispatcher {
    limits: Limits,
    webhooks: HashMap<WebhookId, WebhookLanes>,
    /// Webhooks that may have something to attempt now, each at most once.
    ring: VecDeque<WebhookId>,
    /// Slow webhooks that were refused one of the last slots; back into the ring when slots are free.
    refused: Vec<WebhookId>,
    /// When to look at a webhook again: what `WebhookLanes::timer` says, in order.
    timers: BTreeSet<(Timestamp, WebhookId)>,
    flights: HashMap<DeliveryId, Flight>,
    /// Attempts on the network: flights that are not `attempted`.
    in_flight: usize,
    held: Held,
    outbox: VecDeque<Command>,
    draining: bool,
    shards: Shards,
    /// Flights by shard.
    busy: Box<[u32; SHARDS]>,
    /// Nothing starts: whether the shards are this node's still is not known.
    suspended: bool,
}

impl Dispatcher {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            webhooks: HashMap::new(),
            ring: VecDeque::new(),
            refused: Vec::new(),
            timers: BTreeSet::new(),
            flights: HashMap::new(),
            in_flight: 0,
            held: Held {
                rows: 0,
                bytes: 0,
                rows_max: limits.held_rows,
                bytes_max: limits.held_bytes,
                lane_rows_max: limits.lane_rows,
            },
            outbox: VecDeque::new(),
            draining: false,
            shards: Shards::default(),
            busy: Box::new([0; SHARDS]),
            suspended: false,
        }
    }

    /// Takes in one signal. Its effects come out of [`Self::next_command`].
    pub fn handle(&mut self, signal: Signal, now: Timestamp) {
        match signal {
            Signal::Webhook(settings) => self.set_webhook(*settings),
            Signal::WebhookGone(id) => self.webhook_gone(id),
            Signal::Waiting { lane, next } => self.lane_waits(lane, next),
            Signal::Owed(owed) => self.admit(owed, now),
            Signal::Paged { lane, rows, all } => self.paged(lane, rows, all),
            Signal::PageFailed { lane } => {
                if let Some(lanes) = self.webhooks.get_mut(&lane.webhook) {
                    lanes.lane(lane.slot).page_failed();
                    // Not at once: the store has just shown that it is in trouble.
                    self.wake_later(lane.webhook, now + 1_000);
                }
            }
            Signal::Attempted(finished) => self.attempted(*finished, now),
            Signal::Returned(owed) => self.returned(*owed, now),
            Signal::Moved(owed) => self.moved(owed, now),
            Signal::Settled { lane, id, again } => self.settled(lane, id, again, now),
            Signal::Ended { lane, id } => self.ended(lane, id, now),
            Signal::Shards(shards) => self.set_shards(shards, now),
            Signal::Wait { webhook, until } => {
                if let Some(lanes) = self.webhooks.get_mut(&webhook) {
                    lanes.wait_until = lanes.wait_until.max(until);
                    self.ring_up(webhook);
                }
            }
            Signal::Capacity(attempts) => self.limits.attempts_in_flight = attempts,
            Signal::Drain => self.draining = true,
        }
    }

    /// The next thing to do at `now`, until there is none.
    pub fn next_command(&mut self, now: Timestamp) -> Option<Command> {
        self.fire_timers(now);
        loop {
            if let Some(command) = self.outbox.pop_front() {
                return Some(command);
            }
            if self.draining || self.suspended || !self.has_room() {
                return None;
            }
            let id = self.ring.pop_front()?;
            self.turn(id, now);
        }
    }

    /// When to call again if no signal comes before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Attempts on the network.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Deliveries that were given out and are not settled.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.flights.len()
    }

    /// Rows and payload bytes in memory.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        (self.held.rows, self.held.bytes)
    }

    /// A webhook's health as it stands now.
    #[must_use]
    pub fn health(&self, id: WebhookId) -> Option<&Health> {
        self.webhooks.get(&id).map(WebhookLanes::health)
    }

    fn has_room(&self) -> bool {
        self.in_flight < self.limits.attempts_in_flight
            && self.flights.len() < self.limits.unsettled
    }

    /// Whether a slow webhook may take a slot: the last quarter is for the others.
    fn has_room_for_slow(&self) -> bool {
        self.in_flight < self.limits.attempts_in_flight / 4 * 3
    }

    /// One webhook's turn: at most one attempt.
    fn turn(&mut self, id: WebhookId, now: Timestamp) {
        let slow_allowed = self.has_room_for_slow();
        let Some(lanes) = self.webhooks.get_mut(&id) else { return };
        lanes.in_ring = false;
        if !self.shards.open.has(shard::of(id)) {
            return;
        }
        lanes.request_pages(self.limits.page_rows, now, &self.held, &mut self.outbox);
        match lanes.take_turn(now, slow_allowed, &mut self.held) {
            Turn::Attempt(owed) => {
                let revision = lanes.revision();
                let job = owed.gate.map(|gate| gate.job);
                let flight =
                    Flight { revision, attempted: false, recheck: false, ended: false, job };
                self.flights.insert(owed.id, flight);
                self.busy[usize::from(shard::of(id))] += 1;
                self.in_flight += 1;
                self.outbox.push_back(Command::Attempt(owed));
                self.ring_up(id);
            }
            Turn::Expired(owed) => {
                let revision = lanes.revision();
                let flight =
                    Flight { revision, attempted: true, recheck: false, ended: false, job: None };
                self.flights.insert(owed.id, flight);
                self.busy[usize::from(shard::of(id))] += 1;
                self.settle_untried(owed, Status::Expired, Reason::Expired, now);
                self.ring_up(id);
            }
            Turn::Again => self.ring_up(id),
            Turn::Wait(until) => self.wake_later(id, until),
            Turn::Refused => self.refused.push(id),
            Turn::Idle => {}
        }
    }

    fn set_webhook(&mut self, settings: WebhookSettings) {
        let id = settings.id;
        match self.webhooks.get_mut(&id) {
            Some(lanes) => lanes.change(settings),
            None => {
                self.webhooks.insert(id, WebhookLanes::new(settings));
            }
        }
        self.ring_up(id);
    }

    fn webhook_gone(&mut self, id: WebhookId) {
        if let Some(mut lanes) = self.webhooks.remove(&id) {
            lanes.release_all(&mut self.held);
            if let Some(at) = lanes.timer {
                self.timers.remove(&(at, id));
            }
        }
    }

    fn lane_waits(&mut self, lane: Lane, next: Timestamp) {
        if !self.shards.held.has(shard::of(lane.webhook)) {
            return;
        }
        let Some(lanes) = lanes_of(lane, &mut self.webhooks, &self.limits) else { return };
        lanes.lane(lane.slot).waits_in_store(next, &mut self.held);
        self.ring_up(lane.webhook);
    }

    fn admit(&mut self, owed: Owed, now: Timestamp) {
        if let Some(flight) = self.flights.get_mut(&owed.id) {
            (flight.recheck, flight.ended) = (true, false);
            return;
        }
        let id = owed.lane.webhook;
        if !self.shards.held.has(shard::of(id)) {
            return;
        }
        let Some(lanes) = lanes_of(owed.lane, &mut self.webhooks, &self.limits) else {
            // Planned before the webhook was gone, committed after its queue was ended.
            return self.settle_untried(owed, Status::Failed, Reason::Inactive, now);
        };
        if self.shards.is_shared && lanes.comes_from_store(&owed) {
            // Another node may have committed an earlier one: the page has both, in their order.
            lanes.lane(owed.lane.slot).waits_in_store(owed.ready_at, &mut self.held);
        } else {
            lanes.lane(owed.lane.slot).admit(owed, &mut self.held);
        }
        self.ring_up(id);
    }

    fn paged(&mut self, lane: Lane, rows: Vec<Owed>, all: bool) {
        if !self.shards.held.has(shard::of(lane.webhook)) {
            return;
        }
        let Some(lanes) = self.webhooks.get_mut(&lane.webhook) else { return };
        let flights = &self.flights;
        let fresh = rows.into_iter().filter(|row| !flights.contains_key(&row.id));
        lanes.page_arrived(lane.slot, fresh, all, &mut self.held);
        self.ring_up(lane.webhook);
    }

    fn attempted(&mut self, finished: Finished, now: Timestamp) {
        let Some(flight) = self.flights.get_mut(&finished.owed.id) else { return };
        let started_with = flight.revision;
        flight.attempted = true;
        self.in_flight -= 1;
        let id = finished.owed.lane.webhook;
        let Some(lanes) = self.webhooks.get_mut(&id) else {
            return self.settle_gone(finished, now);
        };
        let (settlement, news) = lanes.judge(finished, started_with, now);
        self.outbox.push_back(Command::Settle { settlement: Box::new(settlement), news });
        self.ring_up(id);
        if self.has_room_for_slow() {
            for id in std::mem::take(&mut self.refused) {
                self.ring_up(id);
            }
        }
    }

    /// The webhook went away while the attempt was under way: its outcome still counts.
    fn settle_gone(&mut self, finished: Finished, now: Timestamp) {
        let Finished { owed, attempt, met, .. } = finished;
        let delivered = matches!(met, Met::Status { code: 200..=299, .. });
        let (status, reason) = if delivered {
            (Status::Success, Reason::Delivered)
        } else {
            (Status::Failed, Reason::Inactive)
        };
        let settlement = Settlement {
            owed,
            attempt: Some(attempt),
            verdict: Verdict::End { status, reason },
            settled_at: now,
            health: None,
            disable: None,
            announcements: Vec::new(),
        };
        self.outbox
            .push_back(Command::Settle { settlement: Box::new(settlement), news: Vec::new() });
    }

    /// Ends a delivery without an attempt.
    fn settle_untried(&mut self, owed: Owed, status: Status, reason: Reason, now: Timestamp) {
        let settlement = Settlement {
            owed,
            attempt: None,
            verdict: Verdict::End { status, reason },
            settled_at: now,
            health: None,
            disable: None,
            announcements: Vec::new(),
        };
        self.outbox
            .push_back(Command::Settle { settlement: Box::new(settlement), news: Vec::new() });
    }

    fn returned(&mut self, mut owed: Owed, now: Timestamp) {
        let ended = self.landed(owed.lane, owed.id).is_some_and(|flight| flight.ended);
        self.in_flight -= 1;
        if let Some(lanes) = self.webhooks.get_mut(&owed.lane.webhook) {
            let job = owed.gate.map(|gate| gate.job);
            lanes.slot_free(owed.id);
            let at = (now, self.shards.is_shared);
            lanes.landed(owed.lane.slot, (owed.id, job), at, &mut self.held);
            if self.shards.is_shared && lanes.comes_from_store(&owed) {
                // It is read again, and the store knows of no wait.
                lanes.wait_until = lanes.wait_until.max(now + RETURNED_RETRY_MS);
            }
        }
        if ended {
            return self.ring_up(owed.lane.webhook);
        }
        owed.payload = Payload::Stored;
        owed.not_before = now + RETURNED_RETRY_MS;
        self.admit(owed, now);
    }

    fn ended(&mut self, lane: Lane, id: DeliveryId, now: Timestamp) {
        match self.flights.get_mut(&id) {
            // Its settlement is still to come, and will find no row. Until then its gate is taken.
            Some(flight) => flight.ended = true,
            None => self.settled(lane, id, None, now),
        }
    }

    fn settled(&mut self, lane: Lane, id: DeliveryId, again: Option<Owed>, now: Timestamp) {
        let flight = self.landed(lane, id);
        if let Some(lanes) = self.webhooks.get_mut(&lane.webhook) {
            match &flight {
                None => lanes.remove(lane.slot, id, &mut self.held),
                Some(flight) => {
                    if flight.recheck && again.is_none() {
                        lanes.lane(lane.slot).waits_in_store(Timestamp::default(), &mut self.held);
                    }
                    let at = (now, self.shards.is_shared);
                    lanes.landed(lane.slot, (id, flight.job), at, &mut self.held);
                }
            }
            lanes.lane(lane.slot).settled_while_paging(id);
        }
        match again {
            Some(owed) => self.admit(owed, now),
            None => {
                self.ring_up(lane.webhook);
                if self.webhooks.get(&lane.webhook).is_some_and(WebhookLanes::is_forgettable) {
                    self.wake_later(lane.webhook, now + FORGET_IDLE_MS);
                }
            }
        }
    }

    fn moved(&mut self, owed: Owed, now: Timestamp) {
        let (slot, id) = (owed.lane.slot, owed.id);
        if let Some(lanes) = self.webhooks.get_mut(&owed.lane.webhook)
            && !self.flights.contains_key(&id)
        {
            lanes.remove(slot, id, &mut self.held);
            lanes.lane(slot).settled_while_paging(id);
            self.admit(owed, now);
        }
    }

    fn ring_up(&mut self, id: WebhookId) {
        if let Some(lanes) = self.webhooks.get_mut(&id)
            && !lanes.in_ring
            && lanes.has_anything()
        {
            lanes.in_ring = true;
            self.ring.push_back(id);
        }
    }

    fn wake_later(&mut self, id: WebhookId, at: Timestamp) {
        let Some(lanes) = self.webhooks.get_mut(&id) else { return };
        if lanes.timer.is_none_or(|timer| at < timer) {
            if let Some(later) = lanes.timer.replace(at) {
                self.timers.remove(&(later, id));
            }
            self.timers.insert((at, id));
        }
    }

    fn fire_timers(&mut self, now: Timestamp) {
        while let Some(&(at, id)) = self.timers.first().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, id));
            let Some(lanes) = self.webhooks.get_mut(&id) else { continue };
            lanes.timer = None;
            match lanes.is_forgettable().then(|| lanes.held_until(now)) {
                None => self.ring_up(id),
                Some(None) => drop(self.webhooks.remove(&id)),
                // What was learnt is needed until then.
                Some(Some(until)) => self.wake_later(id, until),
            }
        }
    }
}

/// The lanes that this one belongs to: a webhook's, if it is known, or those of direct deliveries.
fn lanes_of<'w>(
    lane: Lane,
    webhooks: &'w mut HashMap<WebhookId, WebhookLanes>,
    limits: &Limits,
) -> Option<&'w mut WebhookLanes> {
    match webhooks.entry(lane.webhook) {
        Entry::Occupied(known) => Some(known.into_mut()),
        Entry::Vacant(place) => {
            let settings = limits.settings_of(lane.webhook, lane.direct()?);
            Some(place.insert(WebhookLanes::new(settings)))
        }
    }
}
