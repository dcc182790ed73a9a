//! Hears what other nodes have committed, soon after a hint and at least four times a second.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::dispatch::Signal;
use tidings_core::id::EventId;
use tidings_core::shard;
use tidings_core::time::{MINUTE_MS, SECOND_MS, Timestamp};
use tidings_store::nodes::{Mark, News, Tenure};
use tidings_store::{Committed, ReadError};
use tokio::sync::watch;

use crate::engine::Parts;
use crate::replayer::Replayer;

/// When no hint comes. A key that was revoked opens nothing on any node after this and a moment.
const EVERY: Duration = Duration::from_millis(250);
/// The journal is kept for so long: far longer than a lease, so a node that has not read for longer has
/// lost its shards, and reads everything when it gets some back.
const KEPT_MS: i64 = 2 * MINUTE_MS;
const TRIM_EVERY_MS: i64 = 10 * SECOND_MS;
/// Events read at once for listeners.
const EVENTS_AT_ONCE: usize = 50;

/// A place in the journal that moves.
#[derive(Debug, Default)]
pub struct Follower {
    mark: Mark,
    /// Read, and not told yet.
    news: Vec<News>,
    /// Where the mark was, and when.
    passed: VecDeque<(Timestamp, i64)>,
}

impl Follower {
    /// Notes where the journal ends now: what comes later is heard of.
    pub async fn begin(parts: &Parts) -> Result<Self, ReadError> {
        let mut follower = Self::default();
        parts.store.journal(&mut follower.mark).await?;
        Ok(follower)
    }

    /// Until the process ends.
    pub async fn run(
        mut self,
        parts: Arc<Parts>,
        tenure: Arc<Tenure>,
        replayer: Replayer,
        mut stopping: watch::Receiver<bool>,
    ) {
        let mut has_failed = false;
        loop {
            let hinted = tokio::time::timeout(EVERY, parts.store.hinted());
            tokio::select! {
                _ = hinted => {}
                changed = stopping.changed() => if changed.is_err() { return },
            }
            match self.look(&parts, &tenure, &replayer).await {
                Ok(()) => has_failed = false,
                // Said once, however long it lasts.
                Err(_) if has_failed => tokio::time::sleep(EVERY).await,
                Err(error) => {
                    has_failed = true;
                    tracing::warn!(%error, "the journal of other nodes cannot be read");
                }
            }
        }
    }

    async fn look(
        &mut self,
        parts: &Parts,
        tenure: &Tenure,
        replayer: &Replayer,
    ) -> Result<(), ReadError> {
        let journal = parts.store.journal(&mut self.mark).await?;
        self.news.extend(journal.news);
        // Before the rows, which may be those of a new webhook. Should it fail, they wait for it.
        if journal.catalogue > parts.catalogue.known() {
            parts.catch_up().await?;
        }
        let is_ours = |webhook| tenure.holds(shard::of(webhook));
        let mut events = Vec::new();
        for news in std::mem::take(&mut self.news) {
            match news {
                News::Waiting { lane, next } if is_ours(lane.webhook) => {
                    parts.inbox.signal(Signal::Waiting { lane, next });
                }
                News::Ended { lane, id } if is_ours(lane.webhook) => {
                    parts.inbox.signal(Signal::Ended { lane, id });
                }
                News::Waiting { .. } | News::Ended { .. } => {}
                News::Accepted { tenant, event } => {
                    if parts.live.has_listeners(tenant) {
                        events.push(event);
                    }
                }
                News::Changed => replayer.wake(),
            }
        }
        tell_listeners(parts, &events).await;
        self.trim(parts, tenure).await
    }

    /// Whoever keeps house drops what every node has read long since.
    async fn trim(&mut self, parts: &Parts, tenure: &Tenure) -> Result<(), ReadError> {
        let now = parts.clock.awake();
        let Some(mark) = self.mark.from() else { return Ok(()) };
        if self.passed.back().is_none_or(|(at, _)| now.since(*at) >= TRIM_EVERY_MS) {
            self.passed.push_back((now, mark));
            let (at, before) = self.passed[0];
            if now.since(at) >= KEPT_MS {
                self.passed.pop_front();
                if tenure.keeps_house() {
                    parts.store.trim_journal(before).await?;
                }
            }
        }
        Ok(())
    }
}

/// What is lost here is found by whoever resumes.
async fn tell_listeners(parts: &Parts, events: &[EventId]) {
    for some in events.chunks(EVENTS_AT_ONCE) {
        match parts.store.events_of(some).await {
            Ok(events) => {
                let told: Vec<Committed> = events.into_iter().map(Committed::Accepted).collect();
                parts.live.tell(&told);
            }
            Err(error) => tracing::warn!(%error, "listeners miss events of another node"),
        }
    }
}
