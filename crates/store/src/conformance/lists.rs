//! Lists and statistics: everything once, newest first, whatever has been moved meanwhile.

use tidings_core::delivery::Status;
use tidings_core::id::{DeliveryId, TenantId};
use tidings_core::publication::Publication;
use tidings_core::time::{HOUR_MS, MINUTE_MS};

use super::world::{Factory, TENANT, World};
use crate::history::deliveries::DeliveryFilter;
use crate::history::events::EventFilter;
use crate::history::stats::Period;

fn all(limit: u32) -> DeliveryFilter {
    DeliveryFilter { limit, ..DeliveryFilter::default() }
}

async fn ids(world: &World<'_>, filter: &DeliveryFilter) -> Vec<DeliveryId> {
    let list = world.store.deliveries(TENANT, filter).await.expect("read");
    list.iter().map(|delivery| delivery.id).collect()
}

pub async fn lists_are_complete_whatever_maintenance_has_done(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let (webhook, other) = (world.webhook_id(), world.webhook_id());
    let mut expected = Vec::new();
    let mut late = Vec::new();
    for n in 0..30 {
        let owed = world.publish(&[webhook, other]).await;
        expected.insert(0, owed[0].id);
        match n % 3 {
            0 => drop(world.succeed(&owed[0]).await),
            1 => drop(world.fail(&owed[0]).await),
            _ => late.push(owed[0].clone()),
        }
        if n == 10 || n == 20 {
            world.store.maintain().await.expect("maintained");
        }
        // Ends after the index has gone past it.
        if n == 25 {
            world.succeed(&late.remove(0)).await;
        }
    }
    let filter = DeliveryFilter { webhook: Some(webhook), ..all(100) };
    assert_eq!(ids(&world, &filter).await, expected);
    assert_eq!(ids(&world, &all(100)).await.len(), 60);
    world.store.maintain().await.expect("maintained");
    assert_eq!(ids(&world, &filter).await, expected);
    assert_eq!(ids(&world, &all(100)).await.len(), 60);
    let everything = world.store.deliveries(TENANT, &filter).await.expect("read");
    let count = |status| everything.iter().filter(|d| d.status == status).count();
    assert_eq!((count(Status::Success), count(Status::Failed)), (11, 10));
    assert_eq!((count(Status::Pending), count(Status::Retrying)), (9, 0));
}

pub async fn lists_filter_and_page(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let (webhook, other) = (world.webhook_id(), world.webhook_id());
    let mut rows = Vec::new();
    for n in 0..24 {
        world.advance(1_000);
        let owed = world.publish(&[webhook, other]).await;
        let (at, event) = (world.now(), owed[0].event);
        let status = match n % 4 {
            0 => (world.succeed(&owed[0]).await, Status::Success).1,
            1 => (world.fail(&owed[0]).await, Status::Failed).1,
            2 => (world.retry(&owed[0], MINUTE_MS).await, Status::Retrying).1,
            _ => Status::Pending,
        };
        rows.insert(0, (owed[1].id, other, event, at, Status::Pending));
        rows.insert(1, (owed[0].id, webhook, event, at, status));
        if n == 12 {
            world.store.maintain().await.expect("maintained");
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.0));
    let statuses = [
        vec![],
        vec![Status::Success],
        vec![Status::Failed],
        vec![Status::Failed, Status::Pending],
        vec![Status::Retrying],
        vec![Status::Success, Status::Failed, Status::Retrying],
    ];
    for statuses in statuses {
        for webhook in [None, Some(webhook)] {
            for event in [None, Some(rows[30].2)] {
                let (since, until) = (rows[40].3, rows[5].3);
                let filter = DeliveryFilter {
                    webhook,
                    event,
                    statuses: statuses.clone(),
                    since: Some(since),
                    until: Some(until),
                    ..all(3)
                };
                let expected: Vec<DeliveryId> = rows
                    .iter()
                    .filter(|row| webhook.is_none_or(|webhook| row.1 == webhook))
                    .filter(|row| event.is_none_or(|event| row.2 == event))
                    .filter(|row| row.3 >= since && row.3 < until)
                    .filter(|row| statuses.is_empty() || statuses.contains(&row.4))
                    .map(|row| row.0)
                    .collect();
                assert_eq!(pages(&world, filter.clone()).await, expected, "{filter:?}");
            }
        }
    }
    let stranger = TenantId::from_i64(2);
    assert_eq!(world.store.deliveries(stranger, &all(9)).await, Ok(Vec::new()));
    let theirs = DeliveryFilter { webhook: Some(webhook), ..all(9) };
    assert_eq!(world.store.deliveries(stranger, &theirs).await, Ok(Vec::new()));
}

/// All pages of a list, one after the other.
async fn pages(world: &World<'_>, mut filter: DeliveryFilter) -> Vec<DeliveryId> {
    let mut all = Vec::new();
    loop {
        let page = ids(world, &filter).await;
        all.extend(&page);
        if page.len() < filter.limit as usize {
            return all;
        }
        filter.before = page.last().copied();
    }
}

pub async fn events_are_found_and_listed(factory: &dyn Factory) {
    let world = World::new(factory);
    let mut expected = Vec::new();
    for n in 0..10_u8 {
        world.advance(10);
        let mut event = world.event(&[n]);
        event.client_id = (n == 4).then(|| "order/4".into());
        event.event_type = if n % 2 == 0 { "even" } else { "odd" }.into();
        event.ordering_key = Some("k".into());
        event.deliver_at = Some(world.now() + 5);
        event.expires_at = Some(world.now() + 50);
        expected.insert(0, event.clone());
        let events = vec![world.planned(event, &[])];
        let publication = Publication { tenant: TENANT, key: None, events };
        world.store.publish(publication).await.expect("published");
        if n == 5 {
            world.store.maintain().await.expect("maintained");
        }
    }
    let filter = EventFilter { limit: 4, ..EventFilter::default() };
    let first = world.store.events(TENANT, &filter).await.expect("read");
    assert_eq!(first, expected[..4]);
    let filter = EventFilter { before: Some(first[3].id), limit: 100, ..filter };
    assert_eq!(world.store.events(TENANT, &filter).await, Ok(expected[4..].to_vec()));
    let (since, until) = (Some(expected[8].timestamp), Some(expected[1].timestamp));
    let filter =
        EventFilter { event_type: Some("odd".into()), since, until, before: None, ..filter };
    let odd: Vec<_> = [2, 4, 6, 8].map(|n: usize| expected[n].clone()).to_vec();
    assert_eq!(world.store.events(TENANT, &filter).await, Ok(odd));
    let named = world.store.event_by_client_id(TENANT, "order/4").await.expect("read");
    assert_eq!(named.as_ref(), Some(&expected[5]));
    assert_eq!(world.store.event_of(TENANT, expected[5].id).await, Ok(named));
    let stranger = TenantId::from_i64(2);
    assert_eq!(world.store.event_of(stranger, expected[5].id).await, Ok(None));
    assert_eq!(world.store.event_by_client_id(stranger, "order/4").await, Ok(None));
    assert_eq!(world.store.events(stranger, &EventFilter::default()).await, Ok(Vec::new()));
}

pub async fn counts_follow_what_happens(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let (webhook, other) = (world.webhook_id(), world.webhook_id());
    let owed = world.publish(&[webhook, webhook, webhook, other]).await;
    world.succeed(&owed[0]).await;
    world.advance(2 * MINUTE_MS);
    let again = world.retry(&owed[1], 1).await;
    world.succeed(&owed[3]).await;
    let totals = world.store.webhook_totals(webhook).await.expect("read");
    assert_eq!((totals.counts.accepted, totals.pending, totals.retrying), (3, 1, 1));
    assert_eq!((totals.counts.success, totals.counts.attempts), (1, 2));
    assert_eq!((totals.counts.attempts_failed, totals.counts.latency.count()), (1, 2));
    assert_eq!(totals.last_attempt_at, Some(world.now()));
    let tenant = world.store.tenant_totals(TENANT).await.expect("read");
    assert_eq!((tenant.counts.accepted, tenant.counts.success), (4, 2));
    assert!(totals.reconciles() && tenant.reconciles());
    let series = world.store.tenant_series(TENANT, Period::Hour, world.now()).await.expect("read");
    let points: Vec<_> =
        series.iter().map(|p| (world.now().since(p.at), p.counts.success)).collect();
    assert_eq!(points, [(2 * MINUTE_MS, 1), (0, 1)]);
    world.advance(26 * HOUR_MS);
    world.fail(&again).await;
    let day = world.store.webhook_day(webhook, world.now()).await.expect("read");
    assert_eq!((day.failed, day.success, day.accepted), (1, 0, 0));
    let hour = world.store.tenant_series(TENANT, Period::Hour, world.now()).await.expect("read");
    assert_eq!(hour.iter().map(|p| p.counts.failed).collect::<Vec<_>>(), [1]);
    let week = world.store.tenant_series(TENANT, Period::Week, world.now()).await.expect("read");
    let counts: Vec<_> = week.iter().map(|p| (p.counts.accepted, p.counts.ended())).collect();
    assert_eq!(counts, [(4, 2), (0, 1)]);
    let nobody = world.store.webhook_totals(world.webhook_id()).await.expect("read");
    assert_eq!(nobody, crate::history::stats::Totals::default());
}
