//! Leads: their status changes in the transaction in which their delivery ends.

use tidings_core::delivery::Owed;
use tidings_core::direct::{self, Kind};
use tidings_core::id::{LeadId, TenantId};
use tidings_core::lead::{Captured, Lead, LeadStatus, Person};
use tidings_core::time::{DAY_MS, Timestamp};

use super::world::{Factory, TENANT, World};
use crate::{Change, Control, WriteError, leads};

fn lead(id: i64, name: &str, at: Timestamp) -> Lead {
    let lead = Person::read(br#"{"email":"ada@example.com"}"#).expect("a lead");
    let captured = Captured { lead_id: name.into(), campaign: Some("Spring".into()), lead };
    let id = LeadId::from_i64(LeadId::floor(at).as_i64() + id);
    Lead { id, tenant: TENANT, status: LeadStatus::WebhookPending, captured, updated_at: at }
}

/// A lead and a delivery that hands it over.
async fn handed_over(world: &mut World<'_>, id: i64) -> (Lead, Owed) {
    let lane = direct::lane(TENANT, Kind::Lead, "https://direct.example:443", None).webhook;
    let owed = world.publish(&[lane]).await.remove(0);
    let lead = lead(id, &format!("lead-{id}"), world.now());
    let statements = vec![leads::insert(&lead), leads::insert_delivery(&lead, owed.id)];
    world.store.change(Change::from(statements)).await.expect("committed");
    (lead, owed)
}

async fn status(world: &World<'_>, lead: &Lead) -> LeadStatus {
    world.store.lead(TENANT, lead.id).await.expect("read").expect("there").status
}

pub async fn leads_are_kept_and_found(factory: &dyn Factory) {
    let world = World::new(factory);
    let (first, second) = (lead(1, "one", world.now()), lead(2, "two", world.now()));
    let statements = vec![leads::insert(&first), leads::insert(&second)];
    world.store.change(Change::from(statements)).await.expect("committed");
    assert_eq!(world.store.lead(TENANT, first.id).await, Ok(Some(first.clone())));
    assert_eq!(world.store.lead_named(TENANT, "two").await, Ok(Some(second.clone())));
    let stranger = TenantId::from_i64(2);
    assert_eq!(world.store.lead(stranger, first.id).await, Ok(None));
    assert_eq!(world.store.lead_named(stranger, "one").await, Ok(None));
    // A name is given once.
    let again = world.store.change(Change::from(vec![leads::insert(&lead(3, "one", world.now()))]));
    assert_eq!(again.await, Err(WriteError::Conflict));

    let mut told = first.clone();
    (told.status, told.captured.campaign) = (LeadStatus::New, None);
    world.store.change(Change::from(vec![leads::update(&told)])).await.expect("committed");
    let all = world.store.leads(TENANT, None, None, 9).await;
    assert_eq!(all, Ok(vec![second.clone(), told.clone()]));
    let older = world.store.leads(TENANT, None, Some(second.id), 9).await;
    assert_eq!(older, Ok(vec![told.clone()]));
    let new = world.store.leads(TENANT, Some(LeadStatus::New), None, 9).await;
    assert_eq!(new, Ok(vec![told]));
}

pub async fn a_lead_stands_as_its_delivery_does(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let (sent, owed) = handed_over(&mut world, 1).await;
    let (failed, dead) = handed_over(&mut world, 2).await;
    let found = world.store.lead_deliveries(TENANT, None, 9).await;
    assert_eq!(found, Ok(vec![(dead.id, failed.id), (owed.id, sent.id)]));
    let older = world.store.lead_deliveries(TENANT, Some(dead.id), 9).await;
    assert_eq!(older, Ok(vec![(owed.id, sent.id)]));
    assert_eq!(world.store.lead_deliveries_count(TENANT).await, Ok(2));
    assert_eq!(world.store.lead_deliveries_count(TenantId::from_i64(2)).await, Ok(0));

    world.succeed(&owed).await;
    world.fail(&dead).await;
    assert_eq!(status(&world, &sent).await, LeadStatus::WebhookSent);
    assert_eq!(status(&world, &failed).await, LeadStatus::WebhookFailed);
    // Sent again by hand, it is owed again.
    let again = Control::RetryNow { tenant: TENANT, delivery: dead.id, more: 1 };
    world.store.control(again).await.expect("done");
    assert_eq!(status(&world, &failed).await, LeadStatus::WebhookPending);
    let cancel = Control::Cancel { tenant: TENANT, delivery: dead.id };
    world.store.control(cancel).await.expect("done");
    assert_eq!(status(&world, &failed).await, LeadStatus::WebhookFailed);
    assert_eq!(status(&world, &sent).await, LeadStatus::WebhookSent);
}

pub async fn old_leads_go_unless_they_are_owed(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let (sent, delivered) = handed_over(&mut world, 1).await;
    let (owed, _) = handed_over(&mut world, 2).await;
    world.succeed(&delivered).await;
    world.advance(31 * DAY_MS);
    world.store.maintain().await.expect("maintained");
    assert_eq!(world.store.lead(TENANT, sent.id).await, Ok(None));
    assert_eq!(status(&world, &owed).await, LeadStatus::WebhookPending);
    assert_eq!(world.store.lead_deliveries_count(TENANT).await, Ok(1));
}
