//! From the events of a job to what is owed for them.

use std::sync::Arc;

use super::{Job, JobEvent, Status};
use crate::delivery::{Lane, Owed};
use crate::direct::{self, Direct};
use crate::event::Event;
use crate::fanout::Index;
use crate::gate::{Gate, Step};
use crate::id::{DeliveryId, IdSource};
use crate::limits::PROGRESS_INTERVAL_MS_DEFAULT;
use crate::publication::{PlannedEvent, Publication};
use crate::time::Timestamp;

/// A job's own callback.
pub struct Callback<'a> {
    pub lane: Lane,
    /// What each of its deliveries brings along, which is sealed for it alone.
    pub bring: &'a dyn Fn(DeliveryId) -> Direct,
}

/// What planning works with.
#[derive(Debug, Clone, Copy)]
pub struct Planner<'a> {
    /// The tenant's.
    pub index: &'a Index,
    pub ids: &'a IdSource,
    pub now: Timestamp,
}

impl std::fmt::Debug for Callback<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callback").field("lane", &self.lane).finish_non_exhaustive()
    }
}

impl Planner<'_> {
    /// The events of a job that was `before` until now, with the deliveries that are owed for them.
    #[must_use]
    pub fn plan(
        &self,
        job: &Job,
        before: Status,
        events: &[JobEvent],
        callback: Option<&Callback<'_>>,
    ) -> Publication {
        let events = events.iter().map(|&told| self.planned(job, before, told, callback));
        Publication { tenant: job.tenant, key: None, events: events.collect() }
    }

    fn planned(
        &self,
        job: &Job,
        before: Status,
        told: JobEvent,
        callback: Option<&Callback<'_>>,
    ) -> PlannedEvent {
        let event = Arc::new(Event {
            id: self.ids.next(self.now),
            tenant: job.tenant,
            client_id: None,
            event_type: told.event_type().into(),
            timestamp: self.now,
            // An ordered webhook hears of each job in order.
            ordering_key: Some(job.id.to_string().into()),
            deliver_at: None,
            expires_at: None,
            data: job.data(told, before),
        });
        let gate = Gate { job: job.id, step: step(job, told) };
        let mut deliveries = self.index.plan_gated(&event, gate, self.ids, self.now);
        if let Some(callback) = callback.filter(|_| told.is_called_back()) {
            let id = self.ids.next(self.now);
            let direct = Arc::new((callback.bring)(id));
            let owed = direct::owe(direct, callback.lane, &event, id, self.now);
            deliveries.push(Owed { gate: Some(gate), ..owed });
        }
        PlannedEvent { event, fingerprint: [0; 16], deliveries }
    }
}

/// Everything that is told at the end of a job is its end.
fn step(job: &Job, told: JobEvent) -> Step {
    match told {
        _ if job.status.is_final() => Step::End,
        JobEvent::Progress => Step::Progress {
            interval_ms: job.progress_interval_ms.unwrap_or(PROGRESS_INTERVAL_MS_DEFAULT),
        },
        _ => Step::Change,
    }
}
