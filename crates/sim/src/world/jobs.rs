//! Jobs: their workers report now and again, and every report is told.

use tidings_core::delivery::Owed;
use tidings_core::direct::{Direct, Kind};
use tidings_core::id::{DeliveryId, JobId};
use tidings_core::jobs::publish::{Callback, Planner};
use tidings_core::jobs::{Job, JobEvent, Report, Status};
use tidings_core::publication::Publication;
use tidings_core::settlement::Reason;
use tidings_store::catalogue::tenants::DEFAULT;
use tidings_store::{Change, Committed};

use super::agenda::Happening;
use super::{START, TROUBLED_MS, World};
use crate::random::Random;

impl World {
    /// Jobs that are submitted in the troubled hours.
    pub(super) fn plan_jobs(&mut self, random: &mut Random) {
        for place in 0..random.between(1, 8) as usize {
            let id: JobId = self.ids.next(self.now);
            let mut job = Job::new(id, DEFAULT, "sim".into(), self.now);
            job.progress_interval_ms = Some(*random.pick(&[0, 2_000, 5_000, 60_000]));
            self.jobs.push(job);
            let at = self.now + random.between(0, TROUBLED_MS);
            self.plan(at, Happening::Report(place));
        }
    }

    /// A report of this job; another comes soon, unless it is the last.
    pub(super) fn report(&mut self, place: usize) -> Result<(), String> {
        let job = self.jobs[place].clone();
        let over = self.now.since(START) > TROUBLED_MS || self.random.once_in(30);
        let report = if over {
            let ends = [Status::Completed, Status::Failed, Status::Cancelled, Status::Timeout];
            Report::of(*self.random.pick(&ends))
        } else {
            let percent = self.random.draw() % 101;
            Report { progress_percent: Some(percent.into()), ..Report::default() }
        };
        let (next, events) = job.report(report, self.now).map_err(|refusal| refusal.to_string())?;
        self.tell(&next, job.status, &events)?;
        if !next.status.is_final() {
            let at = self.now + self.random.between(0, 4_000);
            self.plan(at, Happening::Report(place));
        }
        self.jobs[place] = next;
        Ok(())
    }

    fn tell(&mut self, job: &Job, before: Status, events: &[JobEvent]) -> Result<(), String> {
        let publication = self.planned(job, before, events);
        let deliveries = publication.events.iter().flat_map(|planned| &planned.deliveries);
        let Some(last) = deliveries.map(|owed| owed.id).next_back() else { return Ok(()) };
        let change = Change { publications: vec![publication], ..Change::default() };
        let changed = self.disk.run(|store| async move { store.change(change).await });
        changed.map_err(|error| format!("a report was refused: {error}"))?;
        let told = self.disk.told_until(|c| matches!(c, Committed::Owed(owed) if owed.id == last));
        for committed in &told {
            if let Committed::Owed(owed) = committed {
                self.ledger.accepted(owed, self.now);
                self.gates.accepted(owed);
            }
        }
        self.hear(told)
    }

    fn planned(&self, job: &Job, before: Status, events: &[JobEvent]) -> Publication {
        let planner = Planner { index: &self.index, ids: &self.ids, now: self.now };
        let mut hooks = self.hooks_in_order().into_iter();
        let origin = hooks.find_map(|hook| {
            let lane = tidings_core::delivery::Lane { webhook: hook.webhook.id, slot: 0 };
            let direct = lane.direct().filter(|of| of.kind == Kind::Callback && !of.ordered);
            direct.and(hook.direct.clone()).map(|direct| (lane, direct))
        });
        let Some((lane, direct)) = origin else { return planner.plan(job, before, events, None) };
        let bring = |_: DeliveryId| -> Direct { (*direct).clone() };
        planner.plan(job, before, events, Some(&Callback { lane, bring: &bring }))
    }

    /// A row has another place.
    pub(super) fn moved(&mut self, owed: Owed) {
        self.ledger.moved(&owed);
        self.signal(tidings_core::dispatch::Signal::Moved(owed));
    }

    /// Why a delivery ended, as the store says.
    pub(super) fn reason(&self, id: DeliveryId) -> Result<Option<Reason>, String> {
        let record = self.disk.run(|store| async move { store.delivery(DEFAULT, id).await });
        let record = record.map_err(|error| error.to_string())?;
        Ok(record.and_then(|record| record.reason))
    }
}
