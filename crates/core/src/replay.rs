//! Replays: events of a time range are owed to a webhook once more.
//!
//! What is sent is a new delivery of the same event: another delivery id, the same event id, which is
//! what receivers know repetitions by. The old delivery stays in the history as it ended. A replay is
//! worked off in steps, each of which is one transaction that also moves the replay on; so it survives
//! any crash, and no event is sent by two steps of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::delivery::{Lane, Owed, Payload, Status};
use crate::event::Event;
use crate::id::{EventId, IdSource, ReplayId, TenantId, WebhookId};
use crate::limits::{REPLAY_STEP_EVENTS, REPLAY_YOUNG_MS};
use crate::pattern::Pattern;
use crate::time::{SECOND_MS, Timestamp};
use crate::webhook::Webhook;

/// Where an event stands with a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// No delivery was ever planned: the webhook was inactive, did not exist, or did not want it.
    Missed,
    /// A delivery is on its way.
    Owed,
    /// Every delivery has ended.
    Ended(Status),
}

impl Standing {
    /// From the statuses of its deliveries, oldest first. One that is on its way says most, then one
    /// that succeeded, then the last.
    pub fn of(statuses: impl IntoIterator<Item = Status>) -> Self {
        statuses.into_iter().fold(Self::Missed, |so_far, status| match so_far {
            Self::Owed => Self::Owed,
            _ if !status.is_final() => Self::Owed,
            Self::Ended(Status::Success) => so_far,
            _ => Self::Ended(status),
        })
    }
}

/// An event of a replay's range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub event: Arc<Event>,
    /// Whether its data are at hand; large ones are left in the store.
    pub whole: bool,
    pub standing: Standing,
}

/// Which events of its range a replay sends. Kept with it as a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Accepted at or after.
    pub since: Timestamp,
    /// Accepted before.
    pub until: Timestamp,
    /// Those that were never planned for the webhook, and that it wants as it is now.
    pub missed: bool,
    /// Those whose deliveries have ended so.
    pub statuses: Vec<Status>,
    /// Only types that match one of these. Empty: any.
    pub event_types: Vec<Pattern>,
}

impl Selection {
    /// Its events by their ids: those after the first and up to the second.
    #[must_use]
    pub fn range(&self) -> (EventId, EventId) {
        (before(self.since), before(self.until))
    }

    /// Whether it asks for this one; the filters of the webhook, which what was missed must also pass,
    /// are not looked at. What expired before anybody had asked for it is left alone.
    #[must_use]
    pub fn asks_for(&self, candidate: &Candidate, webhook: &Webhook, now: Timestamp) -> bool {
        let Candidate { event, standing, .. } = candidate;
        let typed = self.event_types.is_empty()
            || self.event_types.iter().any(|pattern| pattern.matches(&event.event_type));
        let current = event.expires_at.is_none_or(|at| at > now);
        typed
            && match standing {
                Standing::Missed => self.missed && current && webhook.wants(&event.event_type),
                Standing::Owed => false,
                Standing::Ended(status) => self.statuses.contains(status),
            }
    }
}

/// How a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Running,
    /// It has come to the end of its range.
    Completed,
    Cancelled,
    /// Its webhook was deleted or switched off.
    Failed,
}

impl State {
    const ALL: [Self; 4] = [Self::Running, Self::Completed, Self::Cancelled, Self::Failed];

    /// As the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    /// The number that the store keeps.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::Running => 0,
            Self::Completed => 1,
            Self::Cancelled => 2,
            Self::Failed => 3,
        }
    }

    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

/// A replay with how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    pub id: ReplayId,
    pub tenant: TenantId,
    pub webhook: WebhookId,
    pub selection: Selection,
    /// Deliveries queued in a second, at most.
    pub rate: u32,
    pub state: State,
    /// Where it began: just before the first event of its range.
    pub first: EventId,
    /// Every event up to this one has been looked at.
    pub position: EventId,
    /// Events looked at.
    pub events: u64,
    /// Deliveries queued.
    pub deliveries: u64,
    /// No further step before this moment.
    pub next_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

impl Replay {
    /// One that begins now; `oldest` is the first event of its range, if there is any.
    #[must_use]
    pub fn new(
        id: ReplayId,
        webhook: &Webhook,
        selection: Selection,
        oldest: Option<EventId>,
        rate: u32,
        now: Timestamp,
    ) -> Self {
        let first = oldest.map_or(before(selection.until), |id| EventId::from_i64(id.as_i64() - 1));
        Self {
            id,
            tenant: webhook.tenant,
            webhook: webhook.id,
            first,
            position: first,
            selection,
            rate,
            state: State::Running,
            events: 0,
            deliveries: 0,
            next_at: now,
            ended_at: None,
        }
    }

    /// The last event that a step at `now` may look at. Ids are drawn before they are committed, so one
    /// that is smaller than the youngest may still be on its way to the disk.
    #[must_use]
    pub fn horizon(&self, now: Timestamp) -> EventId {
        before(self.selection.until.min(now - REPLAY_YOUNG_MS)).max(self.position)
    }

    /// Whether every event of the range is old enough to be looked at.
    #[must_use]
    pub fn sees_its_end(&self, now: Timestamp) -> bool {
        self.selection.until <= now - REPLAY_YOUNG_MS
    }

    /// Deliveries that one step may queue: a quarter of a second's worth, so that the rate is even.
    #[must_use]
    pub fn step_deliveries_max(&self) -> usize {
        (self.rate as usize / 4).clamp(1, REPLAY_STEP_EVENTS)
    }

    /// How far through its range it has come, by time; 0 to 100.
    #[must_use]
    pub fn progress_percent(&self) -> u8 {
        if self.state == State::Completed {
            return 100;
        }
        let (from, to) = (self.first.created_at(), self.selection.until);
        let whole = to.since(from).max(1);
        let done = self.position.created_at().since(from).min(whole);
        u8::try_from(i128::from(done) * 99 / i128::from(whole)).unwrap_or(0)
    }

    /// The replay after a step that looked at `events` up to `position` and queued `deliveries`; `last`
    /// when nothing of its range lies beyond.
    #[must_use]
    pub fn stepped(
        &self,
        position: EventId,
        events: usize,
        deliveries: usize,
        last: bool,
        now: Timestamp,
    ) -> Self {
        let wait_ms = (deliveries as u64 * SECOND_MS as u64).div_ceil(u64::from(self.rate.max(1)));
        let next = Self {
            position,
            events: self.events + events as u64,
            deliveries: self.deliveries + deliveries as u64,
            next_at: now + wait_ms as i64,
            ..self.clone()
        };
        if last { next.ended(State::Completed, now) } else { next }
    }

    /// The replay when it ends.
    #[must_use]
    pub fn ended(&self, state: State, now: Timestamp) -> Self {
        Self { state, ended_at: Some(now), ..self.clone() }
    }
}

/// The last id before a moment.
fn before(at: Timestamp) -> EventId {
    EventId::from_i64(EventId::floor(at).as_i64().saturating_sub(1).max(0))
}

/// The delivery that a replay queues. An expiry that has passed is dropped, for a person asks for it
/// now.
#[must_use]
pub fn owe(webhook: &Webhook, candidate: &Candidate, ids: &IdSource, now: Timestamp) -> Owed {
    let event = &candidate.event;
    let ready_at = event.deliver_at.map_or(now, |at| at.max(now));
    Owed {
        id: ids.next(now),
        tenant: webhook.tenant,
        lane: Lane::of(webhook.id, webhook.ordered, event.ordering_key.as_deref()),
        event: event.id,
        revision: webhook.revision,
        ready_at,
        not_before: ready_at,
        expires_at: event.expires_at.filter(|&at| at > now),
        attempts: 0,
        attempts_granted: 0,
        gate: None,
        payload: if candidate.whole { Arc::clone(event).into() } else { Payload::Stored },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::time::HOUR_MS;

    const NOW: Timestamp = Timestamp::from_millis(1_795_362_000_000);

    fn candidate(event_type: &str, standing: Standing) -> Candidate {
        let event = Event {
            id: EventId::floor(NOW),
            tenant: TenantId::from_i64(1),
            client_id: None,
            event_type: event_type.into(),
            timestamp: NOW,
            ordering_key: None,
            deliver_at: None,
            expires_at: None,
            data: Bytes::new(),
        };
        Candidate { event: Arc::new(event), whole: true, standing }
    }

    fn selection() -> Selection {
        Selection {
            since: NOW - HOUR_MS,
            until: NOW,
            missed: true,
            statuses: vec![Status::Failed],
            event_types: Vec::new(),
        }
    }

    #[test]
    fn what_is_on_its_way_or_was_delivered_says_most() {
        use Status::{Cancelled, Failed, Pending, Retrying, Success};
        let of = |statuses: &[Status]| Standing::of(statuses.iter().copied());
        assert_eq!(of(&[]), Standing::Missed);
        assert_eq!(of(&[Failed, Cancelled]), Standing::Ended(Cancelled));
        assert_eq!(of(&[Failed, Success, Failed]), Standing::Ended(Success));
        assert_eq!(of(&[Success, Pending, Failed]), Standing::Owed);
        assert_eq!(of(&[Retrying]), Standing::Owed);
    }

    #[test]
    fn it_asks_for_what_was_missed_and_wanted_or_ended_so() {
        let mut webhook = Webhook::for_tests();
        webhook.events = vec!["job.*".parse().expect("a pattern")];
        let mut asked = selection();
        let asks = |asked: &Selection, event_type: &str, standing| {
            asked.asks_for(&candidate(event_type, standing), &webhook, NOW)
        };
        assert!(asks(&asked, "job.done", Standing::Missed));
        assert!(!asks(&asked, "other", Standing::Missed), "the webhook does not want it");
        assert!(asks(&asked, "other", Standing::Ended(Status::Failed)), "it was owed once");
        assert!(!asks(&asked, "job.done", Standing::Ended(Status::Success)));
        assert!(!asks(&asked, "job.done", Standing::Owed));
        asked.event_types = vec!["job.failed".parse().expect("a pattern")];
        assert!(!asks(&asked, "job.done", Standing::Missed));
        asked.missed = false;
        assert!(!asks(&asked, "job.failed", Standing::Missed));
    }

    #[test]
    fn steps_keep_to_the_rate_and_end() {
        let webhook = Webhook::for_tests();
        let id = ReplayId::from_i64(5);
        let oldest = EventId::floor(NOW - HOUR_MS);
        let replay = Replay::new(id, &webhook, selection(), Some(oldest), 100, NOW);
        assert!(replay.position < oldest);
        assert_eq!((replay.step_deliveries_max(), replay.progress_percent()), (25, 0));
        let half = EventId::floor(NOW - HOUR_MS / 2);
        let next = replay.stepped(half, 30, 25, false, NOW);
        assert_eq!((next.next_at, next.events, next.deliveries), (NOW + 250, 30, 25));
        assert_eq!(next.progress_percent(), 49);
        let last = next.stepped(half, 1, 0, true, NOW + 9);
        assert_eq!((last.state, last.ended_at), (State::Completed, Some(NOW + 9)));
        assert_eq!((last.progress_percent(), last.deliveries), (100, 25));
    }

    #[test]
    fn the_young_are_left_for_later() {
        let (id, webhook) = (ReplayId::from_i64(5), Webhook::for_tests());
        let oldest = Some(EventId::floor(NOW - HOUR_MS));
        let replay = Replay::new(id, &webhook, selection(), oldest, 1, NOW);
        assert!(replay.horizon(NOW) < EventId::floor(NOW - REPLAY_YOUNG_MS));
        assert!(!replay.sees_its_end(NOW) && replay.sees_its_end(NOW + REPLAY_YOUNG_MS));
        assert!(replay.horizon(NOW + HOUR_MS) < EventId::floor(NOW));
        assert!(replay.horizon(NOW - 2 * HOUR_MS) >= replay.position, "it never goes back");
    }

    #[test]
    fn an_expiry_that_has_passed_is_dropped_unless_it_was_missed() {
        let webhook = Webhook::for_tests();
        let mut old = candidate("a", Standing::Ended(Status::Expired));
        Arc::make_mut(&mut old.event).expires_at = Some(NOW - 1);
        assert_eq!(owe(&webhook, &old, &IdSource::new(0, 0), NOW).expires_at, None);
        let asked = Selection { statuses: vec![Status::Expired], ..selection() };
        assert!(asked.asks_for(&old, &webhook, NOW));
        old.standing = Standing::Missed;
        assert!(!asked.asks_for(&old, &webhook, NOW));
        assert!(asked.asks_for(&old, &webhook, NOW - 2));
    }
}
