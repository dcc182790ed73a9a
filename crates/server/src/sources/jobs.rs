//! Jobs: submitted, reported on, timed out.

use tidings_core::direct::{self, Direct, Kind, Subject};
use tidings_core::id::{DeliveryId, JobId, TenantId};
use tidings_core::jobs::publish::{Callback, Planner};
use tidings_core::jobs::{Job, JobEvent, Refusal, Status};
use tidings_core::publication::Publication;
use tidings_core::time::Timestamp;
use tidings_store::sources::jobs::{self, JobRecord};
use tidings_store::{Change, ChangeAnswer, ChangeKey, WriteError};

use super::{TRIES, Unchanged, bring, count, open, seal, told};
use crate::engine::Parts;

/// The profile of a job's own callback.
pub const CALLBACK_PROFILE: &str = "viewcreator";

/// Commits a new job and tells of it.
pub async fn submit(
    parts: &Parts,
    job: &Job,
    input: Option<&str>,
    secret: Option<&str>,
    key: Option<ChangeKey>,
) -> Result<ChangeAnswer, WriteError> {
    for _ in 0..TRIES {
        let planned_at = parts.catalogue.known();
        let submitted = &[JobEvent::Submitted];
        let publication = plan(parts, job, job.status, submitted, secret, job.created_at);
        let sealed = seal(&parts.sealer, job.id, secret);
        let change = Change {
            key: key.clone(),
            statements: vec![jobs::insert(job, input, sealed)],
            publications: told(publication),
            ..Change::default()
        };
        match parts.change_planned(change, planned_at).await {
            Err(WriteError::Stale) => {}
            answer => return answer.inspect(|answer| count(&parts.metrics, answer)),
        }
    }
    Err(WriteError::Stale)
}

/// Commits what `decide` makes of a job as it stands, and tells of it.
pub async fn change(
    parts: &Parts,
    tenant: TenantId,
    id: JobId,
    decide: impl Fn(&Job, Timestamp) -> Result<(Job, Vec<JobEvent>), Refusal>,
) -> Result<Job, Unchanged<Refusal>> {
    for _ in 0..TRIES {
        let record = parts.store.job(tenant, id).await?.ok_or(Unchanged::NotFound)?;
        let now = parts.clock.now();
        let (job, events) = decide(&record.job, now).map_err(Unchanged::Refused)?;
        match commit(parts, &record, &job, &events, now).await {
            Ok(()) => return Ok(job),
            Err(WriteError::Conflict | WriteError::Stale) => {}
            Err(error) => return Err(Unchanged::Unwritten(error)),
        }
    }
    Err(Unchanged::Unwritten(WriteError::Conflict))
}

/// Writes a job that was `record`, with the events that tell of it.
pub(super) async fn commit(
    parts: &Parts,
    record: &JobRecord,
    job: &Job,
    events: &[JobEvent],
    now: Timestamp,
) -> Result<(), WriteError> {
    let secret = open(&parts.sealer, job.id, &record.secret);
    let planned_at = parts.catalogue.known();
    let publication = plan(parts, job, record.job.status, events, secret.as_deref(), now);
    let change = Change {
        statements: vec![jobs::update(job)],
        publications: told(publication),
        ..Change::default()
    };
    let answer = parts.change_planned(change, planned_at).await?;
    count(&parts.metrics, &answer);
    Ok(())
}

/// What is owed for events of a job that was `before` until now.
fn plan(
    parts: &Parts,
    job: &Job,
    before: Status,
    events: &[JobEvent],
    secret: Option<&str>,
    now: Timestamp,
) -> Publication {
    let index = parts.registry.index(job.tenant);
    let planner = Planner { index: &index, ids: &parts.ids, now };
    let Some(url) = &job.callback_url else {
        return planner.plan(job, before, events, None);
    };
    let bring = |id: DeliveryId| -> Direct {
        bring(parts, id, url, CALLBACK_PROFILE, Subject::Job(job.id), secret)
    };
    let lane = direct::lane(job.tenant, Kind::Callback, direct::origin(url), None);
    planner.plan(job, before, events, Some(&Callback { lane, bring: &bring }))
}
