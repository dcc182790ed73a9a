//! Direct deliveries: what they bring along is kept as long as they are.

use tidings_core::delivery::{Owed, Payload, Status};
use tidings_core::direct::{self, Kind, Subject};
use tidings_core::id::{LeadId, WebhookId};
use tidings_core::settlement::Reason;
use tidings_core::time::DAY_MS;

use super::world::{Factory, TENANT, World};
use crate::catalogue::tenants;
use crate::catalogue::tenants::TenantRecord;
use crate::history::stats::Totals;
use crate::{Change, Control};

fn lane() -> WebhookId {
    direct::lane(TENANT, Kind::Callback, "https://direct.example:443", None).webhook
}

pub async fn what_a_direct_delivery_brings_is_kept(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook, lane()]).await;
    let brought = owed[1].payload.direct().expect("it came along");
    assert!(owed[0].payload.direct().is_none() && !brought.secrets.is_empty());
    let mut world = world.reopen();
    let read = world.store.direct(owed[1].id).await.expect("read").expect("kept");
    assert_eq!(
        (&read.sealed, &read.fixed_body, read.subject),
        (&brought.sealed, &brought.fixed_body, brought.subject)
    );
    assert_eq!((&read.url, &read.retry), (&brought.url, &brought.retry));
    assert!(read.secrets.is_empty(), "a secret lies open");
    assert_eq!(world.store.direct(owed[0].id).await, Ok(None));
    // Read in one with its event, so a page leaves it.
    let page = world.store.page(owed[1].lane, 9).await.expect("read");
    assert!(matches!(page[0].payload, Payload::Stored) && page[0].is_direct());
    let record = world.store.delivery(TENANT, owed[1].id).await.expect("read").expect("there");
    assert_eq!(record.direct.map(|direct| direct.url), Some(brought.url.clone()));
    // Sent again by hand it is what it was.
    world.fail(&page[0]).await;
    let control = Control::RetryNow { tenant: TENANT, delivery: owed[1].id, more: 1 };
    world.store.control(control).await.expect("done");
    let again = world.told_owed(1).await.remove(0);
    assert_eq!((again.lane, again.is_direct()), (owed[1].lane, true));
    assert_eq!(world.store.direct(again.id).await.expect("read").expect("kept"), read);
    world.succeed(&again).await;
    // The tenant's counts have it; a lane has none of its own.
    assert_eq!(world.store.tenant_totals(TENANT).await.expect("read").counts.success, 1);
    assert_eq!(world.store.webhook_totals(lane()).await, Ok(Totals::default()));
}

pub async fn deliveries_are_found_by_what_they_tell_of(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let owed = world.publish(&[lane(), lane()]).await;
    world.fail(&owed[0]).await;
    let subject = owed[0].payload.direct().expect("it came along").subject.expect("one");
    let found = world.store.deliveries_of(TENANT, subject, 9).await.expect("read");
    let found: Vec<_> = found.iter().map(|record| (record.id, record.status)).collect();
    assert_eq!(found, [(owed[1].id, Status::Pending), (owed[0].id, Status::Failed)]);
    let stranger = tidings_core::id::TenantId::from_i64(2);
    assert_eq!(world.store.deliveries_of(stranger, subject, 9).await, Ok(Vec::new()));
    let other = Subject::Lead(LeadId::from_i64(99));
    assert_eq!(world.store.deliveries_of(TENANT, other, 9).await, Ok(Vec::new()));
}

pub async fn what_was_brought_goes_with_its_delivery(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let owed = world.publish(&[lane(), lane()]).await;
    world.fail(&owed[0]).await;
    world.advance(31 * DAY_MS);
    world.store.maintain().await.expect("maintained");
    assert_eq!(world.store.direct(owed[0].id).await, Ok(None));
    assert!(world.store.direct(owed[1].id).await.expect("read").is_some(), "it is still owed");
}

pub async fn deleting_a_tenant_ends_its_direct_deliveries(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let tenant = TenantRecord {
        id: world.id(),
        name: "passing".into(),
        retention_days: None,
        created_at: world.now(),
    };
    world.store.change(tenants::insert(&tenant).into()).await.expect("created");
    let kept = world.publish(&[lane()]).await.remove(0);
    let lane = direct::lane(tenant.id, Kind::Lead, "https://direct.example:443", None).webhook;
    let mut publication = world.publication(&[lane]);
    publication.tenant = tenant.id;
    publication.events[0].deliveries[0].tenant = tenant.id;
    world.store.publish(publication).await.expect("published");
    let owed: Owed = world.told_owed(1).await.remove(0);
    world.store.change(Change::from(tenants::delete(tenant.id))).await.expect("deleted");
    world.store.maintain().await.expect("maintained");
    world.told().await;
    let ended = world.store.delivery(tenant.id, owed.id).await.expect("read").expect("there");
    assert_eq!((ended.status, ended.reason), (Status::Failed, Some(Reason::Inactive)));
    let lanes = world.store.lanes().await.expect("read");
    assert_eq!(lanes.iter().map(|lane| lane.lane).collect::<Vec<_>>(), [kept.lane]);
}
