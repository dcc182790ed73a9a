//! What people do: send again, cancel.

use tidings_core::delivery::Status;
use tidings_core::id::{DeliveryId, TenantId};
use tidings_core::time::HOUR_MS;

use super::world::{Factory, TENANT, World};
use crate::{Committed, Control, WriteError};

pub async fn retrying_by_hand_takes_the_failure_back(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook, webhook]).await;
    world.fail(&owed[0]).await;
    world.succeed(&owed[1]).await;
    world.store.maintain().await.expect("indexed");
    world.advance(3 * HOUR_MS);
    for delivery in [owed[0].id, owed[1].id] {
        let control = Control::RetryNow { tenant: TENANT, delivery, more: 1 };
        world.store.control(control).await.expect("done");
    }
    let again = world.told_owed(2).await;
    assert_eq!((again[0].id, again[0].attempts, again[0].attempts_granted), (owed[0].id, 1, 2));
    assert_eq!((again[0].ready_at, again[0].not_before), (world.now(), world.now()));
    let totals = world.store.webhook_totals(webhook).await.expect("read");
    assert_eq!((totals.counts.failed, totals.counts.success), (0, 0));
    assert_eq!((totals.counts.accepted, totals.retrying), (2, 2));
    // The success was folded into its row; its attempt is not lost.
    let attempts = world.store.attempts(TENANT, owed[1].id).await.expect("read");
    assert_eq!(attempts.len(), 1);
    for again in &again {
        world.succeed(again).await;
    }
    for (delivery, made) in [(owed[0].id, 2), (owed[1].id, 2)] {
        let attempts = world.store.attempts(TENANT, delivery).await.expect("read");
        assert_eq!(attempts.len(), made);
    }
    let totals = world.store.webhook_totals(webhook).await.expect("read");
    assert_eq!((totals.counts.success, totals.counts.attempts), (2, 4));
    assert!(totals.reconciles());
    let totals = world.store.tenant_totals(TENANT).await.expect("read");
    assert!(totals.reconciles());
}

pub async fn retrying_needs_an_ended_delivery_of_the_tenant(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    let retry = |tenant, delivery| Control::RetryNow { tenant, delivery, more: 1 };
    let refused = world.store.control(retry(TENANT, owed.id)).await;
    assert_eq!(refused, Err(WriteError::StillOwed));
    let nobody = DeliveryId::from_i64(4);
    assert_eq!(world.store.control(retry(TENANT, nobody)).await, Err(WriteError::NotFound));
    world.fail(&owed).await;
    let stranger = TenantId::from_i64(2);
    assert_eq!(world.store.control(retry(stranger, owed.id)).await, Err(WriteError::NotFound));
    world.nothing_told();
}

pub async fn an_expiry_that_lies_ahead_outlives_a_retry(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let mut event = world.event(b"{}");
    let expires_at = world.now() + HOUR_MS;
    event.expires_at = Some(expires_at);
    let mut publication = world.publication(&[]);
    publication.events = vec![world.planned(event, &[webhook])];
    world.store.publish(publication).await.expect("published");
    let mut owed = world.told_owed(1).await.remove(0);
    for expected in [Some(expires_at), None] {
        world.fail(&owed).await;
        let control = Control::RetryNow { tenant: TENANT, delivery: owed.id, more: 1 };
        world.store.control(control).await.expect("done");
        owed = world.told_owed(1).await.remove(0);
        assert_eq!(owed.expires_at, expected);
        world.advance(HOUR_MS);
    }
}

pub async fn cancelling_ends_what_is_owed(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    let cancel = |tenant, delivery| Control::Cancel { tenant, delivery };
    let stranger = TenantId::from_i64(2);
    assert_eq!(world.store.control(cancel(stranger, owed.id)).await, Err(WriteError::NotFound));
    world.store.control(cancel(TENANT, owed.id)).await.expect("cancelled");
    let told = world.told().await;
    assert!(matches!(told.as_slice(), [Committed::Ended { id, .. }] if *id == owed.id));
    assert_eq!(world.store.control(cancel(TENANT, owed.id)).await, Err(WriteError::Conflict));
    assert_eq!(world.store.lanes().await, Ok(Vec::new()));
    let ended = world.store.delivery(TENANT, owed.id).await.expect("read").expect("there");
    assert_eq!((ended.status, ended.completed_at), (Status::Cancelled, Some(world.now())));
}
