//! Executions: submitted, reported on, settled once.

use std::sync::Arc;

use bytes::Bytes;
use tidings_core::delivery::Owed;
use tidings_core::direct::{self, Kind, Subject};
use tidings_core::event::Event;
use tidings_core::executions::{Execution, JobReport, Progress, Refusal};
use tidings_core::id::{ExecutionId, TenantId};
use tidings_core::publication::{PlannedEvent, Publication};
use tidings_core::time::Timestamp;
use tidings_store::sources::executions::{self, ExecutionRecord};
use tidings_store::{Change, ChangeAnswer, ChangeKey, WriteError};

use super::{TRIES, Unchanged, bring, count, open, seal};
use crate::engine::Parts;

/// The profile of an execution's webhook.
pub const WEBHOOK_PROFILE: &str = "openvideo";

/// Commits a new execution.
pub async fn submit(
    parts: &Parts,
    execution: &Execution,
    secret: Option<&str>,
    key: Option<ChangeKey>,
) -> Result<ChangeAnswer, WriteError> {
    let sealed = seal(&parts.sealer, execution.id, secret);
    let statements = vec![executions::insert(execution, sealed)];
    parts.store.change(Change { key, statements, ..Change::default() }).await
}

/// Commits what is reported of one of its jobs, with the result (JSON) that comes with it. `Ok(None)`:
/// it was known.
pub async fn report(
    parts: &Parts,
    tenant: TenantId,
    id: ExecutionId,
    job_id: &str,
    report: &JobReport,
    result: Option<&str>,
) -> Result<Option<Progress>, Unchanged<Refusal>> {
    for _ in 0..TRIES {
        let record = parts.store.execution(tenant, id).await?.ok_or(Unchanged::NotFound)?;
        let now = parts.clock.now();
        let taken = record.execution.report(job_id, report.clone(), now);
        let Some(progress) = taken.map_err(Unchanged::Refused)? else { return Ok(None) };
        let place = progress.execution.jobs.iter().position(|job| job.job_id == job_id);
        let result = place.zip(result.filter(|_| report.status.is_final()));
        match commit(parts, &record, &progress, result, now).await {
            Ok(()) => return Ok(Some(progress)),
            Err(WriteError::Conflict | WriteError::Stale) => {}
            Err(error) => return Err(Unchanged::Unwritten(error)),
        }
    }
    Err(Unchanged::Unwritten(WriteError::Conflict))
}

/// Writes an execution that was `record`; if it is settled now, with what is owed for that.
pub(super) async fn commit(
    parts: &Parts,
    record: &ExecutionRecord,
    progress: &Progress,
    result: Option<(usize, &str)>,
    now: Timestamp,
) -> Result<(), WriteError> {
    let secret = open(&parts.sealer, record.execution.id, &record.secret);
    let planned_at = parts.catalogue.known();
    let publications = settled(parts, progress, secret.as_deref(), now);
    let change = Change {
        statements: executions::update(&progress.execution, result),
        publications: publications.into_iter().collect(),
        ..Change::default()
    };
    let answer = parts.change_planned(change, planned_at).await?;
    count(&parts.metrics, &answer);
    Ok(())
}

/// What is owed when an execution is settled: its event to whoever wants it, and its webhook, whose
/// body is fixed with it.
fn settled(
    parts: &Parts,
    progress: &Progress,
    secret: Option<&str>,
    now: Timestamp,
) -> Option<Publication> {
    let execution = &progress.execution;
    let outcome = execution.outcome?;
    let event = Arc::new(Event {
        id: parts.ids.next(now),
        tenant: execution.tenant,
        client_id: None,
        event_type: outcome.event_type().into(),
        timestamp: now,
        ordering_key: Some(execution.id.to_string().into()),
        deliver_at: None,
        expires_at: None,
        data: execution.body().into(),
    });
    let mut deliveries = parts.registry.index(execution.tenant).plan(&event, &parts.ids, now);
    deliveries.extend(webhook(parts, execution, &event, secret, now));
    let planned = PlannedEvent { event, fingerprint: [0; 16], deliveries };
    Some(Publication { tenant: execution.tenant, key: None, events: vec![planned] })
}

fn webhook(
    parts: &Parts,
    execution: &Execution,
    event: &Arc<Event>,
    secret: Option<&str>,
    now: Timestamp,
) -> Option<Owed> {
    let url = execution.webhook_url.as_deref()?;
    let id = parts.ids.next(now);
    let mut direct =
        bring(parts, id, url, WEBHOOK_PROFILE, Subject::Execution(execution.id), secret);
    direct.fixed_body = Some(Bytes::clone(&event.data));
    let lane = direct::lane(execution.tenant, Kind::Callback, direct::origin(url), None);
    let wanted_ms = parts.registry.profiles().get_or_standard(WEBHOOK_PROFILE).expires_after_ms;
    let expires_at = wanted_ms.map(|ms| now + i64::try_from(ms).unwrap_or(i64::MAX));
    Some(Owed { expires_at, ..direct::owe(Arc::new(direct), lane, event, id, now) })
}
