//! What the sources of events remember.

use tidings_core::delivery::Status as Delivered;
use tidings_core::direct::{self, Subject};
use tidings_core::executions::{Execution, JobReport, JobStatus, Outcome, PlannedJob};
use tidings_core::id::TenantId;
use tidings_core::jobs::{Job, Report, Status};

use super::world::{Factory, TENANT, World};
use crate::sources::executions::{self, ExecutionFilter};
use crate::sources::jobs::{self, JobFilter};
use crate::{Change, WriteError};

const STRANGER: TenantId = TenantId::from_i64(2);

async fn submit(world: &World<'_>, change: impl FnOnce(&mut Job)) -> Job {
    let mut job = Job::new(world.id(), TENANT, "video".into(), world.now());
    change(&mut job);
    let insert = jobs::insert(&job, Some(r#"{"n":1.50}"#), vec![1, 2]);
    world.store.change(vec![insert].into()).await.expect("committed");
    job
}

pub async fn jobs_are_kept_and_found(factory: &dyn Factory) {
    let world = World::new(factory);
    let job = submit(&world, |job| job.external_job_id = Some("theirs".into())).await;
    let other = submit(&world, |_| {}).await;
    let record = world.store.job(TENANT, job.id).await.expect("read").expect("there");
    assert_eq!((record.job.id, record.job.version, record.secret), (job.id, 1, vec![1, 2]));
    assert_eq!(record.job.external_job_id.as_deref(), Some("theirs"));
    assert!(world.store.job(STRANGER, job.id).await.expect("read").is_none());
    let input = world.store.job_input(TENANT, job.id).await.expect("read");
    assert_eq!(input.as_deref(), Some(r#"{"n":1.50}"#));
    let (done, _) = other.report(Report::of(Status::Completed), world.now()).expect("taken");
    world.store.change(vec![jobs::update(&done)].into()).await.expect("committed");
    let list = async |filter: JobFilter| {
        let jobs = world.store.jobs(TENANT, &JobFilter { limit: 9, ..filter }).await.expect("read");
        jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(list(JobFilter::default()).await, [other.id, job.id]);
    let before = Some(other.id);
    assert_eq!(list(JobFilter { before, ..JobFilter::default() }).await, [job.id]);
    let status = Some(Status::Completed);
    assert_eq!(list(JobFilter { status, ..JobFilter::default() }).await, [other.id]);
    let external_id = Some("theirs".to_owned());
    assert_eq!(list(JobFilter { external_id, ..JobFilter::default() }).await, [job.id]);
    let job_type = Some("audio".to_owned());
    assert_eq!(list(JobFilter { job_type, ..JobFilter::default() }).await, []);
}

pub async fn a_job_is_found_by_what_others_call_it(factory: &dyn Factory) {
    let world = World::new(factory);
    let called = |name: &str| {
        let name = name.to_owned();
        move |job: &mut Job| job.external_job_id = Some(name)
    };
    let first = submit(&world, called("theirs")).await;
    let again = submit(&world, called("theirs")).await;
    // Somebody calls another job what this one's id is.
    let confusing = submit(&world, called(&first.id.to_string())).await;
    let named = async |tenant, name: &str| world.store.job_named(tenant, name).await.expect("read");
    assert_eq!(named(TENANT, &first.id.to_string()).await, Some(first.id));
    assert_eq!(named(TENANT, &confusing.id.to_string()).await, Some(confusing.id));
    assert_eq!(named(TENANT, "theirs").await, Some(again.id));
    for nobody in ["", "mine", "job_0000000000000"] {
        assert_eq!(named(TENANT, nobody).await, None, "{nobody}");
    }
    assert_eq!(named(STRANGER, &first.id.to_string()).await, None);
    assert_eq!(named(STRANGER, "theirs").await, None);
}

pub async fn a_moved_version_is_a_conflict(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let job = submit(&world, |_| {}).await;
    let (assigned, _) = job.report(Report::of(Status::Assigned), world.now()).expect("taken");
    let (running, _) = job.report(Report::of(Status::Running), world.now()).expect("taken");
    world.store.change(vec![jobs::update(&assigned)].into()).await.expect("committed");
    let webhook = world.webhook_id();
    let change = Change {
        statements: vec![jobs::update(&running)],
        publications: vec![world.publication(&[webhook])],
        ..Change::default()
    };
    assert_eq!(world.store.change(change).await, Err(WriteError::Conflict));
    world.nothing_told();
    let record = world.store.job(TENANT, job.id).await.expect("read").expect("there");
    assert_eq!((record.job.status, record.job.version), (Status::Assigned, 2));
}

pub async fn deadlines_are_found_in_their_order(factory: &dyn Factory) {
    let world = World::new(factory);
    assert_eq!(world.store.next_job_deadline().await, Ok(None));
    let late = submit(&world, |job| job.timeout_ms = Some(2_000)).await;
    let soon = submit(&world, |job| job.timeout_ms = Some(1_000)).await;
    submit(&world, |_| {}).await;
    let due = async |ms: i64| {
        let due = world.store.jobs_due(world.now() + ms, 9).await.expect("read");
        due.into_iter().map(|record| record.job.id).collect::<Vec<_>>()
    };
    assert_eq!(world.store.next_job_deadline().await, Ok(Some(world.now() + 1_000)));
    assert_eq!((due(999).await, due(1_000).await), (vec![], vec![soon.id]));
    assert_eq!(due(5_000).await, [soon.id, late.id]);
    let (ended, _) = soon.time_out(world.now() + 1_000).expect("its time is over");
    world.store.change(vec![jobs::update(&ended)].into()).await.expect("committed");
    assert_eq!(due(5_000).await, [late.id]);
    let deleted = crate::catalogue::tenants::delete(TENANT);
    world.store.change(deleted.into()).await.expect("committed");
    assert_eq!(world.store.next_job_deadline().await, Ok(None), "nobody is left to be told");
}

pub async fn an_execution_tells_how_its_webhook_stands(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let plan =
        vec![PlannedJob { job_id: "a".into(), operation: "trim".into(), ..Default::default() }];
    let now = world.now();
    let execution = Execution::new(world.id(), TENANT, plan, now + 9_000, now).expect("a plan");
    let insert = executions::insert(&execution, vec![3]);
    world.store.change(vec![insert].into()).await.expect("committed");
    let record = world.store.execution(TENANT, execution.id).await.expect("read").expect("there");
    assert_eq!((&record.execution, record.secret, record.webhook), (&execution, vec![3], None));
    assert!(world.store.execution(STRANGER, execution.id).await.expect("read").is_none());
    assert_eq!(world.store.next_execution_deadline().await, Ok(Some(now + 9_000)));
    assert_eq!(world.store.executions_due(now + 9_000, 9).await.expect("read").len(), 1);

    let report = JobReport { status: JobStatus::Completed, url: None, error: None };
    let settled = execution.report("a", report, now).expect("taken").expect("news").execution;
    let lane = direct::lane(TENANT, direct::Kind::Callback, "https://a.example", None);
    let publication = world.publication_about(lane.webhook, Subject::Execution(execution.id));
    let change = Change {
        statements: executions::update(&settled, Some((0, r#"{"url":1}"#))),
        publications: vec![publication],
        ..Change::default()
    };
    world.store.change(change).await.expect("committed");
    let owed = world.told_owed(1).await.remove(0);
    assert_eq!(world.store.next_execution_deadline().await, Ok(None));
    let results = world.store.execution_results(execution.id).await.expect("read");
    assert_eq!(results, [(0, r#"{"url":1}"#.to_owned())]);
    let webhook = async |world: &World<'_>| {
        let record = world.store.execution(TENANT, execution.id).await.expect("read");
        record.expect("there").webhook.expect("it is owed")
    };
    assert_eq!((webhook(&world).await.delivery, webhook(&world).await.ended), (owed.id, None));
    world.succeed(&owed).await;
    assert_eq!(webhook(&world).await.ended, Some((Delivered::Success, world.now())));
    let list = async |outcome| {
        let filter = ExecutionFilter { outcome, limit: 9, ..ExecutionFilter::default() };
        world.store.executions(TENANT, &filter).await.expect("read").len()
    };
    assert_eq!((list(None).await, list(Some(None)).await), (1, 0));
    assert_eq!(list(Some(Some(Outcome::Completed))).await, 1);
}

pub async fn what_nobody_touches_goes_with_its_history(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let old = submit(&world, |_| {}).await;
    let touched = submit(&world, |_| {}).await;
    // The tenant is known to retention by what it has published.
    let owed = world.publish(&[webhook]).await.remove(0);
    world.succeed(&owed).await;
    world.advance(31 * tidings_core::time::DAY_MS);
    let (running, _) = touched.report(Report::of(Status::Running), world.now()).expect("taken");
    world.store.change(vec![jobs::update(&running)].into()).await.expect("committed");
    world.store.maintain().await.expect("maintained");
    assert!(world.store.job(TENANT, old.id).await.expect("read").is_none());
    assert!(world.store.job(TENANT, touched.id).await.expect("read").is_some());
}
