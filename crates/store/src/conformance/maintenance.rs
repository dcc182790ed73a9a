//! Maintenance: endings and retention.

use tidings_core::delivery::Status;
use tidings_core::settlement::{INACTIVE_MESSAGE, Reason};
use tidings_core::time::{DAY_MS, MINUTE_MS};

use super::world::{Factory, TENANT, World, key};
use crate::catalogue::tenants::TenantRecord;
use crate::catalogue::{tenants, webhooks};
use crate::history::deliveries::DeliveryFilter;
use crate::history::events::EventFilter;
use crate::{Committed, Control};

pub async fn deleting_a_webhook_ends_its_deliveries(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook();
    let other = world.webhook_id();
    let made = webhooks::insert(&webhook, Vec::new());
    world.store.change(made.into()).await.expect("created");
    let mut owed = Vec::new();
    for _ in 0..5 {
        owed.extend(world.publish(&[webhook.id; 100]).await);
    }
    let kept = world.publish(&[other]).await.remove(0);
    world.retry(&owed[0], 1).await;
    world.advance(1);
    let delete = webhooks::delete(TENANT, webhook.id, world.now());
    world.store.change(delete.into()).await.expect("deleted");
    // What had been planned before everyone knew.
    world.advance(1);
    owed.extend(world.publish(&[webhook.id]).await);
    let end = Control::EndDeliveries { webhook: webhook.id };
    world.store.control(end).await.expect("noted");
    world.store.maintain().await.expect("maintained");
    let mut ended = 0;
    while ended < owed.len() {
        for committed in world.told().await {
            assert!(
                matches!(committed, Committed::Ended { lane, .. } if lane.webhook == webhook.id)
            );
            ended += 1;
        }
    }
    let lanes = world.store.lanes().await.expect("read");
    assert_eq!(lanes.iter().map(|lane| lane.lane).collect::<Vec<_>>(), [kept.lane]);
    let one = world.store.delivery(TENANT, owed[7].id).await.expect("read").expect("there");
    assert_eq!((one.status, one.reason), (Status::Failed, Some(Reason::Inactive)));
    assert_eq!(one.error, INACTIVE_MESSAGE);
    let totals = world.store.webhook_totals(webhook.id).await.expect("read");
    assert_eq!((totals.counts.failed, totals.pending, totals.retrying), (501, 0, 0));
    assert!(totals.reconciles());
}

pub async fn what_expires_unseen_ends(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let expires_at = world.now() + MINUTE_MS;
    let mut publication = world.publication(&[webhook; 450]);
    let deliveries = &mut publication.events[0].deliveries;
    deliveries[..430].iter_mut().for_each(|owed| owed.expires_at = Some(expires_at));
    world.store.publish(publication).await.expect("published");
    let owed = world.told_owed(450).await;
    world.retry(&owed[0], 1).await;
    // The dispatcher has some time to come upon them itself.
    world.advance(5 * MINUTE_MS);
    world.store.maintain().await.expect("maintained");
    assert_eq!(world.store.webhook_totals(webhook).await.expect("read").pending, 449);
    world.advance(10 * MINUTE_MS);
    world.store.maintain().await.expect("maintained");
    let mut ended = 0;
    while ended < 430 {
        let told = world.told().await;
        assert!(told.iter().all(|one| matches!(one, Committed::Ended { .. })), "{told:?}");
        ended += told.len();
    }
    let one = world.store.delivery(TENANT, owed[0].id).await.expect("read").expect("there");
    assert_eq!((one.status, one.reason), (Status::Expired, Some(Reason::Expired)));
    let totals = world.store.webhook_totals(webhook).await.expect("read");
    assert_eq!((totals.counts.expired, totals.pending, totals.retrying), (430, 20, 0));
    assert!(totals.reconciles());
}

pub async fn what_was_taken_while_its_webhook_went_is_delivered(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook();
    let made = webhooks::insert(&webhook, Vec::new());
    world.store.change(made.into()).await.expect("created");
    let owed = world.publish(&[webhook.id]).await.remove(0);
    world.advance(1);
    let delete = webhooks::delete(TENANT, webhook.id, world.now());
    world.store.change(delete.into()).await.expect("deleted");
    world.store.maintain().await.expect("maintained");
    assert!(matches!(world.told().await[..], [Committed::Ended { .. }]));
    // The receiver's 200 comes in only now.
    let told = world.succeed(&owed).await;
    assert!(matches!(told[..], [Committed::Late { .. }]), "{told:?}");
    let one = world.store.delivery(TENANT, owed.id).await.expect("read").expect("there");
    assert_eq!((one.status, one.attempts), (Status::Success, 1));
    let totals = world.store.webhook_totals(webhook.id).await.expect("read");
    assert_eq!((totals.counts.success, totals.counts.failed), (1, 0));
    assert!(totals.reconciles());
}

pub async fn retention_takes_what_is_old_and_no_total(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let mut publication = world.publication(&[webhook]);
    publication.key = key("k", b"1");
    world.store.publish(publication.clone()).await.expect("published");
    let first = world.told_owed(1).await.remove(0);
    world.succeed(&first).await;
    for _ in 0..300 {
        let owed = world.publish(&[webhook]).await.remove(0);
        let again = world.retry(&owed, 1).await;
        world.fail(&again).await;
    }
    world.advance(10 * DAY_MS);
    let owed = world.publish(&[webhook]).await.remove(0);
    world.succeed(&owed).await;
    world.store.maintain().await.expect("maintained");
    // Keys are forgotten after a week, history after a month.
    publication.events.clear();
    assert!(!world.store.publish(publication).await.expect("published").replayed);
    assert!(world.store.delivery(TENANT, first.id).await.expect("read").is_some());
    world.advance(22 * DAY_MS);
    let before = world.store.webhook_totals(webhook).await.expect("read");
    let tenant = world.store.tenant_totals(TENANT).await.expect("read");
    world.store.maintain().await.expect("maintained");
    assert_eq!(world.store.delivery(TENANT, first.id).await, Ok(None));
    assert_eq!(world.store.event(first.event).await, Ok(None));
    assert_eq!(world.store.attempts(TENANT, first.id).await, Ok(Vec::new()));
    let filter = DeliveryFilter { limit: 9, ..DeliveryFilter::default() };
    assert_eq!(world.store.deliveries(TENANT, &filter).await.expect("read").len(), 1);
    let filter = EventFilter { limit: 9, ..EventFilter::default() };
    assert_eq!(world.store.events(TENANT, &filter).await.expect("read").len(), 1);
    assert_eq!(world.store.webhook_totals(webhook).await, Ok(before));
    assert_eq!(world.store.tenant_totals(TENANT).await, Ok(tenant));
    assert_eq!((before.counts.accepted, before.counts.failed), (302, 300));
    // A second time there is nothing left to fold.
    world.advance(DAY_MS);
    world.store.maintain().await.expect("maintained");
    assert_eq!(world.store.webhook_totals(webhook).await, Ok(before));
}

pub async fn counts_are_the_same_while_they_are_added_up(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhooks: Vec<_> = (0..40).map(|_| world.webhook_id()).collect();
    for round in 1..=5 {
        world.advance(2_000);
        let owed = world.publish(&webhooks).await;
        world.succeed(&owed[0]).await;
        let again = world.retry(&owed[1], 1).await;
        world.fail(&again).await;
        let mut before = Vec::new();
        for webhook in &webhooks {
            before.push(world.store.webhook_totals(*webhook).await.expect("read"));
        }
        assert_eq!((before[0].counts.accepted, before[0].counts.success), (round, round));
        assert_eq!((before[1].counts.attempts, before[1].counts.failed), (2 * round, round));
        let reads = async {
            for _ in 0..20 {
                assert_eq!(world.store.webhook_totals(webhooks[1]).await, Ok(before[1]));
            }
        };
        tokio::join!(async { world.store.maintain().await.expect("maintained") }, reads);
        for (webhook, before) in webhooks.iter().zip(before) {
            assert_eq!(world.store.webhook_totals(*webhook).await, Ok(before));
        }
    }
}

pub async fn retention_keeps_what_is_owed(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook, webhook]).await;
    let again = world.retry(&owed[0], 1).await;
    world.advance(40 * DAY_MS);
    // It ends today, though it is old.
    world.fail(&owed[1]).await;
    world.store.maintain().await.expect("maintained");
    assert!(world.store.event(owed[0].event).await.expect("read").is_some());
    assert!(world.store.delivery(TENANT, owed[1].id).await.expect("read").is_some());
    assert_eq!(world.store.attempts(TENANT, owed[0].id).await.expect("read").len(), 1);
    world.succeed(&again).await;
    let days = |days| {
        let tenant = TenantRecord {
            id: tenants::DEFAULT,
            name: "default".into(),
            retention_days: Some(days),
            created_at: world.now(),
        };
        tenants::update(&tenant).into()
    };
    world.store.change(days(90)).await.expect("changed");
    world.advance(45 * DAY_MS);
    world.store.maintain().await.expect("maintained");
    assert!(world.store.delivery(TENANT, owed[0].id).await.expect("read").is_some());
    world.store.change(days(40)).await.expect("changed");
    world.store.maintain().await.expect("maintained");
    assert_eq!(world.store.delivery(TENANT, owed[0].id).await, Ok(None));
    assert_eq!(world.store.event(owed[0].event).await, Ok(None));
}
