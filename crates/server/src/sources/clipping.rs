//! Reports of clipping workers at work: each is taken down together with what becomes of its job, and
//! its owner is notified.

use std::sync::Arc;

use tidings_core::clipping::{ClippingReport, Notification, Taken};
use tidings_core::event::Event;
use tidings_core::id::JobId;
use tidings_core::jobs::Job;
use tidings_core::jobs::publish::Planner;
use tidings_core::publication::Publication;
use tidings_core::time::Timestamp;
use tidings_store::sources::jobs;
use tidings_store::{Change, WriteError};

use super::inbound::{self, Received, Untaken, planned};
use super::{TRIES, count, told};
use crate::engine::Parts;
use crate::turns::Turns;

/// Commits what was received with what it says of its job, in one transaction. What comes too late for
/// its job, or tells of none that is known, is taken down and has no other effect.
pub async fn take(
    parts: &Parts,
    turns: &Turns,
    received: &Received,
    report: &ClippingReport,
) -> Result<(), Untaken> {
    let record = &received.record;
    let name = report.job_name();
    let Some(id) = parts.store.job_named(record.tenant, name).await? else {
        let source = record.source.as_str();
        tracing::warn!(source, job = name, "a webhook tells of a job that is not known");
        return inbound::take(parts, received).await;
    };
    let _turn = turns.of(id).await;
    for _ in 0..TRIES {
        let planned_at = parts.catalogue.known();
        let change = decide(parts, received, report, id).await?;
        match parts.change_planned(change, planned_at).await {
            Ok(answer) => {
                count(&parts.metrics, &answer);
                return Ok(());
            }
            Err(WriteError::Conflict) if received.is_known(parts).await? => return Ok(()),
            // Its deadline, or another node: again, from what holds now.
            Err(WriteError::Conflict | WriteError::Stale) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(WriteError::Conflict.into())
}

/// What is written, as the job stands now.
async fn decide(
    parts: &Parts,
    received: &Received,
    report: &ClippingReport,
    id: JobId,
) -> Result<Change, Untaken> {
    let now = parts.clock.now();
    let mut change = received.change(parts, now);
    let Some(record) = parts.store.job(received.record.tenant, id).await? else {
        return Ok(change);
    };
    match report.take(&record.job, now) {
        Ok(taken) => follow(parts, &mut change, report, &record.job, &taken, now),
        Err(idle) => {
            let source = received.record.source.as_str();
            tracing::info!(source, job = %id, why = %idle, "a webhook has no effect on its job");
        }
    }
    Ok(change)
}

/// Adds what becomes of the job that was `before`. Its own callback hears nothing of it: whoever
/// submitted it here is told by what is received, not by what it does to the record.
fn follow(
    parts: &Parts,
    change: &mut Change,
    report: &ClippingReport,
    before: &Job,
    taken: &Taken,
    now: Timestamp,
) {
    let Taken { job, events, notifications } = taken;
    let index = parts.registry.index(job.tenant);
    let planner = Planner { index: &index, ids: &parts.ids, now };
    change.statements.push(jobs::update(job));
    change.publications.extend(told(planner.plan(job, before.status, events, None)));
    if let Some(owner) = report.owner(job) {
        let events = notifications.iter().map(|told| {
            let event = Arc::new(notify(parts, job, owner, told, now));
            planned(parts, &event, now)
        });
        let publication = Publication { tenant: job.tenant, key: None, events: events.collect() };
        change.publications.extend(told(publication));
    }
}

/// The event that carries a notification: its ordering key is who is to have it.
fn notify(
    parts: &Parts,
    job: &Job,
    owner: &str,
    notification: &Notification,
    now: Timestamp,
) -> Event {
    Event {
        id: parts.ids.next(now),
        tenant: job.tenant,
        client_id: None,
        event_type: notification.event_type().into(),
        timestamp: now,
        ordering_key: Some(owner.into()),
        deliver_at: None,
        expires_at: None,
        data: serde_json::to_vec(notification).expect("its keys are strings").into(),
    }
}
