//! Works off replays: one task takes a step of each that is due, the oldest first, and sleeps until the
//! next is due or a new one begins.
//!
//! A step is one transaction that moves the replay on and queues what it found, so nothing is held in
//! memory between two steps, and a start goes on where the last process was.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::delivery::Status;
use tidings_core::event::Event;
use tidings_core::filter::Data;
use tidings_core::id::EventId;
use tidings_core::limits::{REPLAY_STEP_EVENTS, REPLAY_YOUNG_MS};
use tidings_core::replay::{Candidate, Replay, Selection, Standing, State, owe};
use tidings_core::time::{SECOND_MS, Timestamp};
use tidings_core::webhook::Webhook;
use tidings_store::catalogue::replays;
use tidings_store::{Change, ReadError, Store, WriteError};
use tokio::sync::{Notify, watch};

use crate::engine::Parts;

/// After trouble of the store, so much later.
const TROUBLE_MS: i64 = SECOND_MS;
/// While another node works them off, this one looks so often whether it is to take over.
const ELSEWHERE_MS: i64 = SECOND_MS;
/// Events that a count reads at once.
const COUNT_PAGE: usize = 1_000;

/// The task's other end.
#[derive(Debug, Clone)]
pub struct Replayer(Arc<Notify>);

impl Replayer {
    /// Starts the task; it ends when the server stops.
    #[must_use]
    pub fn start(parts: Arc<Parts>, mut stopping: watch::Receiver<bool>) -> Self {
        let wake = Arc::new(Notify::new());
        let woken = Arc::clone(&wake);
        tokio::spawn(async move {
            tokio::select! {
                () = run(&parts, &woken) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
        });
        Self(wake)
    }

    /// There is a new replay.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

async fn run(parts: &Parts, wake: &Notify) {
    loop {
        let next = match round(parts).await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "replays could not be read");
                Some(parts.clock.now() + TROUBLE_MS)
            }
        };
        match next {
            None => wake.notified().await,
            Some(at) => {
                let ms = at.since(parts.clock.now()).unsigned_abs();
                let _ = tokio::time::timeout(Duration::from_millis(ms), wake.notified()).await;
            }
        }
    }
}

/// A step of every replay that is due; when the next is.
async fn round(parts: &Parts) -> Result<Option<Timestamp>, ReadError> {
    if !parts.membership.keeps_house() {
        return Ok(Some(parts.clock.now() + ELSEWHERE_MS));
    }
    let mut next = None;
    for replay in parts.store.running_replays().await? {
        let now = parts.clock.now();
        let due = if replay.next_at > now {
            replay.next_at
        } else {
            step(parts, &replay, now).await.unwrap_or_else(|error| {
                tracing::warn!(replay = %replay.id, error, "a replay could not go on");
                now + TROUBLE_MS
            })
        };
        next = Some(next.map_or(due, |next: Timestamp| next.min(due)));
    }
    Ok(next)
}

/// Takes a step; when the next is due.
async fn step(parts: &Parts, replay: &Replay, now: Timestamp) -> Result<Timestamp, String> {
    let outgoing = parts.registry.webhook(replay.tenant, replay.webhook);
    let Some(outgoing) = outgoing.filter(|outgoing| outgoing.webhook.active) else {
        tracing::warn!(replay = %replay.id, webhook = %replay.webhook,
            "a replay has ended: its webhook is gone or inactive");
        let end = replays::end(replay.tenant, replay.id, State::Failed, now);
        return commit(&parts.store, end.into(), now).await;
    };
    let upto = replay.horizon(now);
    if upto == replay.position && !replay.sees_its_end(now) {
        return Ok(replay.selection.until + REPLAY_YOUNG_MS);
    }
    let page = parts
        .store
        .candidates(replay.tenant, replay.webhook, replay.position, upto, REPLAY_STEP_EVENTS)
        .await
        .map_err(|error| error.to_string())?;
    let mut owed = Vec::new();
    let mut looked_at = 0;
    for candidate in &page {
        if owed.len() == replay.step_deliveries_max() {
            break;
        }
        looked_at += 1;
        let chosen = chooses(&parts.store, &replay.selection, candidate, &outgoing.webhook, now);
        if chosen.await.map_err(|error| error.to_string())? {
            owed.push(owe(&outgoing.webhook, candidate, &parts.ids, now));
        }
    }
    let (position, seen_all) = reached(&page, looked_at, upto);
    let last = seen_all && replay.sees_its_end(now);
    let next = replay.stepped(position, looked_at, owed.len(), last, now);
    if last {
        tracing::info!(replay = %replay.id, deliveries = next.deliveries, "a replay is complete");
    }
    let statements = replays::advance(replay, &next);
    commit(&parts.store, Change { statements, owed, ..Change::default() }, next.next_at).await
}

/// The last event that was looked at, and whether that is all there are up to `upto`.
fn reached(page: &[Candidate], looked_at: usize, upto: EventId) -> (EventId, bool) {
    match page.get(looked_at.saturating_sub(1)) {
        Some(last) if looked_at < page.len() || page.len() == REPLAY_STEP_EVENTS => {
            (last.event.id, false)
        }
        _ => (upto, true),
    }
}

/// Commits a step. A conflict (cancelled meanwhile, an event gone) means to look again.
async fn commit(store: &Store, change: Change, then: Timestamp) -> Result<Timestamp, String> {
    match store.change(change).await {
        Ok(_) | Err(WriteError::Conflict) => Ok(then),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a selection sends this one. What was missed must also pass the webhook's filters, for which
/// a large event is read.
async fn chooses(
    store: &Store,
    selection: &Selection,
    candidate: &Candidate,
    webhook: &Webhook,
    now: Timestamp,
) -> Result<bool, ReadError> {
    if !selection.asks_for(candidate, webhook, now) {
        return Ok(false);
    }
    if candidate.standing != Standing::Missed || webhook.filters.is_empty() {
        return Ok(true);
    }
    let passes = |event: &Event| webhook.filters.match_data(&Data::new(&event.data));
    if candidate.whole {
        return Ok(passes(&candidate.event));
    }
    let event = store.event(candidate.event.id).await?;
    Ok(event.is_some_and(|event| passes(&event)))
}

/// What a replay would send.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Events that were never planned for the webhook.
    pub missed: u64,
    /// Events whose deliveries have ended so.
    pub ended: [u64; Status::ALL.len()],
    /// Events looked at.
    pub events: u64,
    /// There are more events than were looked at.
    pub more: bool,
}

impl Counted {
    #[must_use]
    pub fn deliveries(&self) -> u64 {
        self.missed + self.ended.iter().sum::<u64>()
    }

    fn note(&mut self, standing: Standing) {
        match standing {
            Standing::Missed => self.missed += 1,
            Standing::Ended(status) => self.ended[status.code() as usize] += 1,
            Standing::Owed => {}
        }
    }
}

/// Counts what a selection would send to a webhook, looking at so many events at most.
pub async fn count(
    store: &Store,
    webhook: &Webhook,
    selection: &Selection,
    events_max: usize,
    now: Timestamp,
) -> Result<Counted, ReadError> {
    // What it would want if it were on.
    let webhook = Webhook { active: true, ..webhook.clone() };
    let mut counted = Counted::default();
    let (mut after, upto) = selection.range();
    loop {
        let page = store.candidates(webhook.tenant, webhook.id, after, upto, COUNT_PAGE).await?;
        for candidate in &page {
            if chooses(store, selection, candidate, &webhook, now).await? {
                counted.note(candidate.standing);
            }
        }
        counted.events += page.len() as u64;
        match page.last() {
            Some(last) if page.len() == COUNT_PAGE => after = last.event.id,
            _ => return Ok(counted),
        }
        if counted.events >= events_max as u64 {
            counted.more = true;
            return Ok(counted);
        }
    }
}
