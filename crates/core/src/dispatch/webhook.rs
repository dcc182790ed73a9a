//! A webhook's lanes and what they share: concurrency, rate, pause, breaker.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::gates::Gates;
use super::in_flight::InFlight;
use super::lane::{Head, LaneQueue, Wanted};
use super::pace::Pace;
use super::turn::Turn;

use super::{Command, DISABLED_FAILING, DISABLED_GONE, Finished, Held, News, WebhookSettings};
use crate::delivery::{Lane, Owed, Status};
use crate::direct::is_lane;
use crate::health::{Health, HealthNews};
use crate::id::{DeliveryId, JobId, WebhookId};
use crate::limits::SLOW_ATTEMPT_MS;
use crate::settlement::{Settlement, Verdict};
use crate::time::Timestamp;
use crate::verdict::{self, Charge, Rules};

/// Attempts at once to a webhook that has not shown yet what it can bear. A hung receiver takes
/// these and no more; each quick success allows one more, up to the webhook's concurrency.
const WINDOW_START: u32 = 4;
/// A wait of at least this makes it worth giving the lanes' memory back when memory is short.
const LONG_WAIT_MS: i64 = 10_000;

#[derive(Debug)]
pub(super) struct WebhookLanes {
    id: WebhookId,
    revision: u32,
    paused: bool,
    /// Its switch-off is being written.
    is_switched_off: bool,
    pub(super) ordered: bool,
    concurrency: u32,
    rules: Arc<Rules>,
    health: Health,
    pace: Pace,
    /// Nothing is attempted before: another node may have done so just now.
    pub(super) wait_until: Timestamp,
    /// Attempts at once that the receiver has shown it can bear.
    window: u32,
    /// It has succeeded, and not timed out since.
    has_answered: bool,
    in_flight: InFlight,
    /// Deliveries given out and not settled: their rows are still in the store.
    given_out: usize,
    lanes: BTreeMap<u8, LaneQueue>,
    gates: Gates,
    /// The slot after the one served last.
    next_slot: u8,
    pub(super) in_ring: bool,
    pub(super) timer: Option<Timestamp>,
}

impl WebhookLanes {
    pub(super) fn new(settings: WebhookSettings) -> Self {
        let mut lanes = Self {
            id: settings.id,
            revision: settings.revision,
            paused: settings.paused,
            is_switched_off: false,
            ordered: settings.ordered,
            concurrency: settings.concurrency,
            rules: settings.rules,
            health: settings.health.unwrap_or_default(),
            pace: Pace::default(),
            wait_until: Timestamp::default(),
            window: WINDOW_START,
            has_answered: false,
            in_flight: InFlight::default(),
            given_out: 0,
            lanes: BTreeMap::new(),
            gates: Gates::default(),
            next_slot: 0,
            in_ring: false,
            timer: None,
        };
        lanes.pace.set(settings.rate_limit);
        lanes
    }

    /// Takes on new settings; what was learnt about the receiver stays.
    pub(super) fn change(&mut self, settings: WebhookSettings) {
        self.revision = settings.revision;
        self.paused = settings.paused;
        self.is_switched_off = false;
        self.ordered = settings.ordered;
        self.concurrency = settings.concurrency;
        self.rules = settings.rules;
        self.pace.set(settings.rate_limit);
        if let Some(health) = settings.health {
            self.health = health;
        }
    }

    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    pub(super) fn revision(&self) -> u32 {
        self.revision
    }

    pub(super) fn lane(&mut self, slot: u8) -> &mut LaneQueue {
        self.lanes.entry(slot).or_default()
    }

    /// Whether a row has a place among others that another node may have accepted before it: it is read
    /// together with these.
    pub(super) fn comes_from_store(&self, owed: &Owed) -> bool {
        self.ordered || owed.gate.is_some()
    }

    pub(super) fn has_anything(&self) -> bool {
        self.gates.waiting() > 0 || self.lanes.values().any(|lane| !lane.is_empty())
    }

    /// Lanes of direct deliveries to which nothing is owed: as nobody will say when they are gone,
    /// they may be forgotten.
    pub(super) fn is_forgettable(&self) -> bool {
        self.is_direct() && self.given_out == 0 && !self.has_anything()
    }

    fn is_direct(&self) -> bool {
        is_lane(self.id)
    }

    /// Until when its health or its pace holds it back, if they do.
    pub(super) fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.health.held_until(now).max(self.pace.held_until(now))
    }

    pub(super) fn release_all(&mut self, held: &mut Held) {
        self.lanes.values_mut().for_each(|lane| lane.release(held));
        for owed in self.gates.release(held) {
            self.lane(owed.lane.slot).leave_out(owed.key());
        }
    }

    /// Forgets its rows: another node works them off.
    pub(super) fn forget(&mut self, held: &mut Held) {
        self.lanes.values_mut().for_each(|lane| lane.forget(held));
        drop(self.gates.release(held));
    }

    /// Asks for the pages that its lanes need.
    pub(super) fn request_pages(
        &mut self,
        page_rows: usize,
        now: Timestamp,
        held: &Held,
        outbox: &mut VecDeque<Command>,
    ) {
        if self.paused || self.is_switched_off || self.health.held_until(now).is_some() {
            return;
        }
        let elsewhere = self.given_out + self.gates.waiting();
        for (&slot, lane) in &mut self.lanes {
            if let Some(Wanted { limit, known }) = lane.wanted_page(page_rows, elsewhere, now, held)
            {
                let lane = Lane { webhook: self.id, slot };
                outbox.push_back(Command::Page { lane, limit, known });
            }
        }
    }

    pub(super) fn take_turn(
        &mut self,
        now: Timestamp,
        slow_allowed: bool,
        held: &mut Held,
    ) -> Turn {
        for owed in self.gates.open(now, held) {
            self.lane(owed.lane.slot).admit(owed, held);
        }
        if self.paused || self.is_switched_off {
            self.give_memory_back(held);
            return Turn::Idle;
        }
        if let Some(until) = self.health.held_until(now) {
            if until.since(now) >= LONG_WAIT_MS {
                self.give_memory_back(held);
            }
            return Turn::Wait(until);
        }
        if self.wait_until > now {
            return Turn::Wait(self.wait_until);
        }
        let most = if self.health.is_probing() { 1 } else { self.concurrency.min(self.window) };
        if self.in_flight.count() >= most {
            return Turn::Idle;
        }
        if let Some(until) = self.pace.held_until(now) {
            return Turn::Wait(until);
        }
        if !slow_allowed && !self.may_use_the_last_slots(now) {
            return Turn::Refused;
        }
        let slot = match self.pick_slot(now) {
            Ok(slot) => slot,
            Err(soonest) => {
                let soonest = soonest.into_iter().chain(self.gates.opens_at()).min();
                return soonest.map_or(Turn::Idle, Turn::Wait);
            }
        };
        self.start(slot, now, held)
    }

    /// Gives out the first row of a lane.
    fn start(&mut self, slot: u8, now: Timestamp, held: &mut Held) -> Turn {
        let ordered = self.ordered;
        let lane = self.lanes.entry(slot).or_default();
        let owed = lane.pop(held).expect("the slot was picked for its first row");
        let expired = owed.expires_at.is_some_and(|expires_at| expires_at <= now);
        let owed = if expired { Some(owed) } else { self.gates.enter(owed, now, held) };
        let Some(owed) = owed else { return Turn::Again };
        if ordered {
            let since = lane.head.filter(|head| head.id == owed.id).map_or(now, |head| head.since);
            lane.head = Some(Head { id: owed.id, since, busy: true });
        }
        self.next_slot = slot.wrapping_add(1);
        self.given_out += 1;
        if expired {
            return Turn::Expired(owed);
        }
        self.pace.spend(now);
        self.in_flight.started(owed.id, now);
        Turn::Attempt(owed)
    }

    /// The lane whose first row is due, going round; otherwise when one will be.
    fn pick_slot(&self, now: Timestamp) -> Result<u8, Option<Timestamp>> {
        let mut soonest: Option<Timestamp> = None;
        let (before, after) =
            (self.lanes.range(..self.next_slot), self.lanes.range(self.next_slot..));
        for (&slot, lane) in after.chain(before) {
            if self.ordered && lane.head.is_some_and(|head| head.busy) {
                continue;
            }
            let due = match lane.front() {
                Some(owed) if owed.not_before <= now => return Ok(slot),
                Some(owed) => Some(owed.not_before.min(owed.expires_at.unwrap_or(Timestamp::MAX))),
                None => lane.store_due(),
            };
            soonest = soonest.into_iter().chain(due).min();
        }
        Err(soonest)
    }

    /// The last slots are for webhooks that have answered and have no attempt hanging; any other may
    /// have one attempt there, to show what it is.
    fn may_use_the_last_slots(&mut self, now: Timestamp) -> bool {
        self.in_flight.count() == 0 || (self.has_answered && !self.in_flight.is_slow(now))
    }

    fn give_memory_back(&mut self, held: &mut Held) {
        if held.rows > held.rows_max / 2 {
            self.release_all(held);
        }
    }

    /// Decides what an outcome means, for the delivery and for the webhook.
    pub(super) fn judge(
        &mut self,
        finished: Finished,
        started_with: u32,
        now: Timestamp,
    ) -> (Settlement, Vec<News>) {
        let Finished { owed, attempt, met, rules } = finished;
        let began = self.slot_free(owed.id).unwrap_or(now);
        let head_since = self.head_since(&owed);
        let rules = rules.as_ref().unwrap_or(&self.rules);
        let judged = verdict::judge(&owed, rules, met, now, head_since);
        self.adapt_window(&judged, attempt.duration_ms);
        let mut news = Vec::new();
        let mut disable = None;
        let mut health = None;
        // An outcome says nothing about settings that it did not meet, and nothing more once it is off.
        if started_with == self.revision && !self.is_switched_off {
            let (health_news, changed) = self.note_health(&judged, began, now);
            news.extend(health_news.map(News::Health));
            // There is no webhook to switch off, and an origin's health lives as long as its lanes.
            if !self.is_direct() {
                health = changed.then(|| self.health.clone());
                disable = match (judged.gone, health_news) {
                    (true, _) => Some(DISABLED_GONE),
                    (_, Some(HealthNews::GiveUp)) => Some(DISABLED_FAILING),
                    _ => None,
                };
            }
            self.is_switched_off = disable.is_some();
            news.extend(disable.map(News::Disabled));
        }
        if let Verdict::End { status: Status::Failed, reason } = judged.verdict {
            news.push(News::Exhausted(reason));
        }
        let settlement = Settlement {
            owed,
            attempt: Some(attempt),
            verdict: judged.verdict,
            settled_at: now,
            health,
            disable,
            announcements: Vec::new(),
        };
        (settlement, news)
    }

    fn note_health(
        &mut self,
        judged: &verdict::Judged,
        began: Timestamp,
        now: Timestamp,
    ) -> (Option<HealthNews>, bool) {
        if let Some(until) = judged.pause_until {
            self.health.on_pause(until);
        }
        match judged.charge {
            Charge::Success => self.health.on_success(began, now),
            Charge::Failure => (self.health.on_failure(began, now), true),
            Charge::None => (None, judged.pause_until.is_some()),
        }
    }

    /// One more at once after a quick success; half as many when it cannot keep up.
    fn adapt_window(&mut self, judged: &verdict::Judged, duration_ms: u32) {
        if judged.overloaded {
            self.window = (self.window / 2).max(1);
            self.has_answered = false;
        } else if judged.charge == Charge::Success && i64::from(duration_ms) <= SLOW_ATTEMPT_MS {
            self.window = (self.window + 1).min(self.concurrency.max(WINDOW_START));
            self.has_answered = true;
        }
    }

    fn head_since(&mut self, owed: &Owed) -> Option<Timestamp> {
        if !self.ordered {
            return None;
        }
        self.lane(owed.lane.slot).head.filter(|head| head.id == owed.id).map(|head| head.since)
    }

    /// An attempt left the network, which began then.
    pub(super) fn slot_free(&mut self, id: DeliveryId) -> Option<Timestamp> {
        self.in_flight.ended(id)
    }

    /// A row left the queue, or its place in it.
    pub(super) fn remove(&mut self, slot: u8, id: DeliveryId, held: &mut Held) {
        self.lane(slot).remove(id, held);
        self.gates.remove(id, held);
    }

    /// Takes in a page; what is given out or waits at a gate is elsewhere already.
    pub(super) fn page_arrived(
        &mut self,
        slot: u8,
        rows: impl Iterator<Item = Owed>,
        all: bool,
        held: &mut Held,
    ) {
        let (lane, gates) = (self.lanes.entry(slot).or_default(), &self.gates);
        lane.page_arrived(rows.filter(|row| !gates.holds(row.id)), all, held);
    }

    /// A delivery that was given out is settled, or came back untried.
    /// Among nodes, a gate keeps its interval itself.
    pub(super) fn landed(
        &mut self,
        slot: u8,
        (id, job): (DeliveryId, Option<JobId>),
        (now, is_shared): (Timestamp, bool),
        held: &mut Held,
    ) {
        self.given_out = self.given_out.saturating_sub(1);
        if let Some(head) = &mut self.lane(slot).head
            && head.id == id
        {
            head.busy = false;
        }
        let Some(job) = job else { return };
        for owed in self.gates.leave(id, job, (now, is_shared), held) {
            self.lane(owed.lane.slot).admit(owed, held);
        }
    }
}
