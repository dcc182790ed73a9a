//! Deadlines: jobs that time out, executions that are not finished in their time.
//!
//! They are rows with an index, and looked at once a second: of a store in which nothing is due that is
//! two look-ups. A deadline that passed while nobody ran is found by the first look after the start.

use std::sync::Arc;
use std::time::Duration;

use tidings_store::{ReadError, WriteError};
use tokio::sync::watch;

use super::{executions, jobs};
use crate::engine::Parts;

const EVERY: Duration = Duration::from_secs(1);
/// So many are ended before the next look.
const AT_ONCE: u32 = 100;

/// Ends what is overdue, until the server stops.
pub async fn keep(parts: Arc<Parts>, mut stopping: watch::Receiver<bool>) {
    let mut patience = Duration::ZERO;
    while tokio::time::timeout(patience, stopping.wait_for(|stop| *stop)).await.is_err() {
        if !parts.membership.keeps_house() {
            patience = EVERY;
            continue;
        }
        patience = match end_overdue(&parts).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(%error, "deadlines could not be looked at");
                EVERY
            }
        };
    }
}

/// Ends what is overdue; tells how long nothing will be.
async fn end_overdue(parts: &Parts) -> Result<Duration, ReadError> {
    let now = parts.clock.now();
    for record in parts.store.jobs_due(now, AT_ONCE).await? {
        let Some((job, events)) = record.job.time_out(now) else { continue };
        note(jobs::commit(parts, &record, &job, &events, now).await);
    }
    for record in parts.store.executions_due(now, AT_ONCE).await? {
        let Some(progress) = record.execution.expire(now) else { continue };
        note(executions::commit(parts, &record, &progress, None, now).await);
    }
    let next =
        [parts.store.next_job_deadline().await?, parts.store.next_execution_deadline().await?];
    let soonest = next.into_iter().flatten().min();
    // At least a little: what could not be written now will hardly be in the same millisecond.
    let wait = soonest.map(|at| Duration::from_millis(at.since(now).unsigned_abs()));
    Ok(wait.map_or(EVERY, |wait| wait.clamp(Duration::from_millis(10), EVERY)))
}

/// Whoever reported in the same moment was faster, which is fine; of anything else the next look hears.
fn note(written: Result<(), WriteError>) {
    match written {
        Ok(()) | Err(WriteError::Conflict | WriteError::Stale) => {}
        Err(error) => tracing::warn!(%error, "a deadline could not be written"),
    }
}
