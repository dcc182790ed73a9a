//! Gates: of a job's progress only the latest is owed to a place, once in an interval.

use tidings_core::delivery::{Owed, Status};
use tidings_core::gate::{Gate, Step};
use tidings_core::id::{DeliveryId, JobId, WebhookId};
use tidings_core::settlement::{Reason, Verdict};

use super::world::{Factory, TENANT, World};
use crate::{Change, Committed};

const INTERVAL_MS: u32 = 5_000;
const PROGRESS: Step = Step::Progress { interval_ms: INTERVAL_MS };
const JOB: JobId = JobId::from_i64(77);

/// Publishes what tells of a job, with a change as the jobs do; what is told.
async fn tell(world: &mut World<'_>, webhook: WebhookId, job: JobId, step: Step) -> Vec<Committed> {
    let mut publication = world.publication(&[webhook]);
    publication.events[0].deliveries[0].gate = Some(Gate { job, step });
    let change = Change { publications: vec![publication], ..Change::default() };
    world.store.change(change).await.expect("committed");
    world.told().await
}

/// The same, when nothing but the delivery itself is told.
async fn owe(world: &mut World<'_>, webhook: WebhookId, step: Step) -> Owed {
    let mut told = tell(world, webhook, JOB, step).await;
    match (told.pop(), told.is_empty()) {
        (Some(Committed::Owed(owed)), true) => owed,
        other => panic!("told {other:?}"),
    }
}

/// What is told when a delivery takes the place of another.
fn replaced(told: &[Committed]) -> (DeliveryId, Owed) {
    match told {
        [Committed::Ended { id, .. }, Committed::Owed(owed)] => (*id, owed.clone()),
        other => panic!("told {other:?}"),
    }
}

async fn state(world: &World<'_>, id: DeliveryId) -> (Status, Option<Reason>) {
    let record = world.store.delivery(TENANT, id).await.expect("read").expect("there");
    (record.status, record.reason)
}

const SUPERSEDED: (Status, Option<Reason>) = (Status::Cancelled, Some(Reason::Superseded));

pub async fn newer_progress_takes_the_place_of_older(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let (webhook, other) = (world.webhook_id(), world.webhook_id());
    let started = owe(&mut world, webhook, Step::Change).await;
    let first = owe(&mut world, webhook, PROGRESS).await;
    // Another place, another job and what is no progress have nothing to do with it.
    owe(&mut world, other, PROGRESS).await;
    let told = tell(&mut world, webhook, JobId::from_i64(78), PROGRESS).await;
    assert!(matches!(told.as_slice(), [Committed::Owed(_)]), "{told:?}");
    let told = tell(&mut world, webhook, JOB, PROGRESS).await;
    let (ended, second) = replaced(&told);
    assert_eq!((ended, second.ready_at), (first.id, world.now()));
    assert_eq!(state(&world, first.id).await, SUPERSEDED);
    assert_eq!(state(&world, started.id).await.0, Status::Pending);
    let page = world.store.page(second.lane, 10).await.expect("read");
    assert_eq!(page.iter().filter(|row| row.gate == second.gate).count(), 1);
}

pub async fn progress_keeps_to_its_interval(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let first = owe(&mut world, webhook, PROGRESS).await;
    let started_at = world.success(&first).attempt.expect("one").started_at;
    world.succeed(&first).await;
    let until = started_at + i64::from(INTERVAL_MS);
    let second = owe(&mut world, webhook, PROGRESS).await;
    assert_eq!((second.ready_at, second.not_before), (until, until));
    // A restart does not forget it, and the next that takes its place inherits it.
    let mut world = world.reopen();
    world.advance(100);
    let told = tell(&mut world, webhook, JOB, PROGRESS).await;
    let (ended, third) = replaced(&told);
    assert_eq!((ended, third.ready_at), (second.id, until));
    // What is no progress does not wait.
    let change = owe(&mut world, webhook, Step::Change).await;
    assert_eq!(change.ready_at, world.now());
    world.advance(i64::from(INTERVAL_MS));
    world.succeed(&third).await;
    world.advance(i64::from(INTERVAL_MS));
    let fourth = owe(&mut world, webhook, PROGRESS).await;
    assert_eq!(fourth.ready_at, world.now());
    world.store.maintain().await.expect("maintained");
}

pub async fn progress_that_came_during_an_attempt_is_moved(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let first = owe(&mut world, webhook, PROGRESS).await;
    let told = tell(&mut world, webhook, JOB, PROGRESS).await;
    let (_, second) = replaced(&told);
    let settlement = world.success(&first);
    let until = settlement.attempt.as_ref().expect("one").started_at + i64::from(INTERVAL_MS);
    let told = world.settle(settlement).await;
    let [Committed::Moved(moved), Committed::Late { id, .. }] = told.as_slice() else {
        panic!("told {told:?}");
    };
    assert_eq!((moved.id, moved.ready_at, *id), (second.id, until, first.id));
    let page = world.store.page(second.lane, 10).await.expect("read");
    assert_eq!(
        page.iter().map(|row| (row.id, row.ready_at)).collect::<Vec<_>>(),
        [(second.id, until)]
    );
    // The receiver took it: that something newer had its place by then takes nothing away.
    assert_eq!(state(&world, first.id).await, (Status::Success, Some(Reason::Delivered)));
}

pub async fn the_end_of_a_job_cancels_its_progress(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let first = owe(&mut world, webhook, PROGRESS).await;
    let retried = world.failure(&first, 1_000);
    world.settle(retried).await;
    world.advance(500);
    let told = tell(&mut world, webhook, JOB, Step::End).await;
    let (ended, end) = replaced(&told);
    assert_eq!((ended, end.ready_at), (first.id, world.now()), "it waits for no interval");
    assert_eq!(state(&world, first.id).await, SUPERSEDED);
    // An attempt that failed meanwhile is not made again.
    let mut on_the_way = world.failure(&first, 1_000);
    on_the_way.owed.attempts = 1;
    let told = world.settle(on_the_way).await;
    assert!(matches!(told.as_slice(), [Committed::Late { .. }]), "{told:?}");
    assert_eq!(state(&world, first.id).await, SUPERSEDED);
    let totals = world.store.tenant_totals(TENANT).await.expect("read");
    assert!(totals.reconciles(), "{totals:?}");
}

pub async fn without_an_interval_each_progress_is_owed(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let each = Step::Progress { interval_ms: 0 };
    let first = owe(&mut world, webhook, each).await;
    world.succeed(&first).await;
    for _ in 0..2 {
        assert_eq!(owe(&mut world, webhook, each).await.ready_at, world.now());
    }
    let told = tell(&mut world, webhook, JOB, Step::End).await;
    assert_eq!(told.len(), 3, "the end cancels both: {told:?}");
}

pub async fn a_refused_change_supersedes_nothing(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let first = owe(&mut world, webhook, PROGRESS).await;
    let mut publication = world.publication(&[webhook]);
    publication.events[0].deliveries[0].gate = Some(Gate { job: JOB, step: PROGRESS });
    // Its event's id is taken, which is found only when it is written.
    let taken = publication.events[0].clone();
    publication.events.push(taken);
    let change = Change { publications: vec![publication], ..Change::default() };
    assert!(world.store.change(change).await.is_err());
    world.nothing_told();
    assert_eq!(state(&world, first.id).await, (Status::Pending, None));
    let again = world.retry(&first, 1).await;
    assert_eq!(again.gate, first.gate);
    let end = Verdict::End { status: Status::Success, reason: Reason::Delivered };
    assert_eq!(world.success(&again).verdict, end);
}
