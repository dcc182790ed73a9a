//! Publishing: what a 2xx promises.

use std::sync::Arc;

use tidings_core::delivery::{Lane, Owed, Payload};
use tidings_core::id::DeliveryId;
use tidings_core::publication::{Publication, Published};
use tidings_core::settlement::Settlement;

use super::world::{Factory, TENANT, World, key};
use crate::{Change, Statement, WriteError};

pub async fn publishing_answers_commits_and_hands_over(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhooks = [world.webhook_id(), world.webhook_id()];
    let publication = world.publication(&webhooks);
    let event = Arc::clone(&publication.events[0].event);
    let planned: Vec<DeliveryId> =
        publication.events[0].deliveries.iter().map(|owed| owed.id).collect();
    let answer = world.store.publish(publication).await.expect("published");
    assert!(!answer.replayed);
    assert_eq!(answer.events, [Published { id: event.id, deliveries: 2, duplicate: false }]);
    let owed = world.told_owed(2).await;
    assert_eq!(owed.iter().map(|owed| owed.id).collect::<Vec<_>>(), planned);
    for owed in &owed {
        let held = owed.payload.event().expect("its event came along");
        assert!(Arc::ptr_eq(held, &event), "the event was copied");
    }
    let read = world.store.event(event.id).await.expect("read").expect("kept");
    assert_eq!(*read, *event);
    let largest = world.store.largest_id().await.expect("read");
    assert_eq!(largest, planned[1].as_i64());
}

pub async fn payloads_come_back_byte_for_byte(factory: &dyn Factory) {
    let world = World::new(factory);
    let webhook = world.webhook_id();
    let all_bytes: Vec<u8> = (0..=255).collect();
    let samples: [&[u8]; 6] = [
        b"{\"b\":1,  \"a\":1.0e+2 ,\"b\":2}\n",
        "{\"é\":\"\\u00e9 \u{2028}\"}".as_bytes(),
        b"\0\0nul\0",
        b"",
        &all_bytes,
        &[7; 100_000],
    ];
    for data in samples {
        let event = world.event(data);
        let (id, planned) = (event.id, world.planned(event, &[webhook]));
        let publication = Publication { tenant: TENANT, key: None, events: vec![planned] };
        world.store.publish(publication).await.expect("published");
        let read = world.store.event(id).await.expect("read").expect("kept");
        assert_eq!(read.data, data);
    }
    let lane = Lane { webhook, slot: 0 };
    let page = world.store.page(lane, 10).await.expect("read");
    assert_eq!(page.len(), samples.len());
    for (owed, data) in page.iter().zip(samples) {
        match &owed.payload {
            Payload::Held { event, .. } => assert_eq!(event.data, data),
            Payload::Stored => assert_eq!(data.len(), 100_000),
        }
    }
}

pub async fn the_same_key_gets_the_same_answer(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let first = Publication { key: key("POST /events a", b"1"), ..world.publication(&[webhook]) };
    let again = Publication { key: first.key.clone(), ..world.publication(&[webhook, webhook]) };
    let answer = world.store.publish(first).await.expect("published");
    world.told_owed(1).await;
    let mut world = world.reopen();
    let repeated = world.store.publish(again).await.expect("answered");
    assert!(repeated.replayed);
    assert_eq!(repeated.events, answer.events);
    world.nothing_told();
    assert_eq!(world.rows_owed().await, 1);
}

pub async fn another_body_under_a_key_is_a_conflict(factory: &dyn Factory) {
    let world = World::new(factory);
    let first = Publication { key: key("k", b"1"), ..world.publication(&[]) };
    let other = Publication { key: key("k", b"2"), ..world.publication(&[]) };
    world.store.publish(first).await.expect("published");
    assert_eq!(world.store.publish(other).await, Err(WriteError::KeyConflict));
    // Another tenant's key is another key.
    let tenant = tidings_core::id::TenantId::from_i64(2);
    let theirs = Publication { tenant, key: key("k", b"2"), events: Vec::new() };
    assert!(!world.store.publish(theirs).await.expect("published").replayed);
}

/// One event with the publisher's own id.
fn named(world: &World<'_>, id: &str, data: &[u8]) -> Publication {
    let webhook = world.webhook_id();
    let mut event = world.event(data);
    event.client_id = Some(id.into());
    let events = vec![world.planned(event, &[webhook])];
    Publication { tenant: TENANT, key: None, events }
}

pub async fn a_client_id_is_accepted_once(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let first = named(&world, "order-1", b"1");
    let id = first.events[0].event.id;
    let again = named(&world, "order-1", b"1");
    world.store.publish(first).await.expect("published");
    world.told_owed(1).await;
    let answer = world.store.publish(again).await.expect("answered");
    assert_eq!(answer.events, [Published { id, deliveries: 1, duplicate: true }]);
    assert!(!answer.replayed);
    world.nothing_told();
    // Twice in one publication.
    let mut twice = named(&world, "order-2", b"2");
    twice.events.extend(named(&world, "order-2", b"2").events);
    let answer = world.store.publish(twice).await.expect("published");
    let duplicates: Vec<bool> = answer.events.iter().map(|event| event.duplicate).collect();
    assert_eq!(duplicates, [false, true]);
    assert_eq!(answer.events[0].id, answer.events[1].id);
    world.told_owed(1).await;
}

/// So that a repetition can be told from a first time before anything is written.
pub async fn what_was_seen_is_known(factory: &dyn Factory) {
    use std::collections::BTreeSet;
    let world = World::new(factory);
    let store = &world.store;
    let other = tidings_core::id::TenantId::from_i64(2);
    for id in ["order-1", "order-2"] {
        store.publish(named(&world, id, b"1")).await.expect("published");
    }
    let keyed = Publication { key: key("order-3", b"1"), ..world.publication(&[]) };
    store.publish(keyed).await.expect("published");
    for (ids, known) in
        [(vec![], true), (vec!["order-1", "order-2"], true), (vec!["order-1", "order-3"], false)]
    {
        let ids: BTreeSet<&str> = ids.into_iter().collect();
        assert_eq!(store.knows_client_ids(TENANT, &ids).await, Ok(known), "{ids:?}");
    }
    assert_eq!(store.knows_client_ids(other, &BTreeSet::from(["order-1"])).await, Ok(false));
    assert_eq!(store.knows_key(TENANT, "order-3").await, Ok(true));
    assert_eq!(store.knows_key(TENANT, "order-1").await, Ok(false));
    assert_eq!(store.knows_key(other, "order-3").await, Ok(false));
}

pub async fn another_event_under_a_client_id_writes_nothing(factory: &dyn Factory) {
    let world = World::new(factory);
    world.store.publish(named(&world, "a", b"1")).await.expect("published");
    let conflict = Err(WriteError::EventConflict { client_id: "a".into() });
    let mut mixed = named(&world, "b", b"1");
    let fresh = mixed.events[0].event.id;
    mixed.events.extend(named(&world, "a", b"2").events);
    assert_eq!(world.store.publish(mixed).await, conflict);
    assert_eq!(world.store.event(fresh).await, Ok(None));
    let mut within = named(&world, "c", b"1");
    within.events.extend(named(&world, "c", b"2").events);
    let conflict = Err(WriteError::EventConflict { client_id: "c".into() });
    assert_eq!(world.store.publish(within).await, conflict);
    assert!(world.store.publish(named(&world, "c", b"2")).await.is_ok());
}

pub async fn repetitions_in_one_batch_are_found(factory: &dyn Factory) {
    let world = World::new(factory);
    let publications: Vec<Publication> = (0..100)
        .map(|n| {
            let keyed = key(&format!("k{}", n % 2), b"1");
            Publication { key: keyed, ..named(&world, &format!("e{}", n % 4), b"1") }
        })
        .collect();
    let waits: Vec<_> = publications
        .into_iter()
        .map(|publication| {
            let store = world.store.clone();
            tokio::spawn(async move { store.publish(publication).await })
        })
        .collect();
    let mut answers = Vec::new();
    for wait in waits {
        answers.push(wait.await.expect("no panic").expect("answered"));
    }
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 2);
    for chunk in answers.chunks(2).skip(1) {
        assert_eq!(chunk[0].events, answers[0].events);
        assert_eq!(chunk[1].events, answers[1].events);
    }
    assert_eq!(world.rows_owed().await, 2);
}

pub async fn a_large_fanout_is_handed_over_whole(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhooks: Vec<_> = (0..2_500).map(|_| world.webhook_id()).collect();
    let mut large = world.publication(&webhooks);
    large.key = key("large", b"1");
    let again = large.clone();
    let small = world.publication(&webhooks[..1]);
    let store = world.store.clone();
    let waits = tokio::spawn(async move { store.publish(large).await });
    world.store.publish(small).await.expect("published");
    let answer = waits.await.expect("no panic").expect("published");
    assert_eq!(answer.events[0].deliveries, 2_500);
    let mut told: Vec<Owed> = Vec::new();
    while told.len() < 2_501 {
        let part = world.told().await;
        // In one piece, whatever else was committed with it.
        assert!(part.len() == 1 || part.len() >= 2_500, "{}", part.len());
        told.extend(part.into_iter().map(|committed| match committed {
            crate::Committed::Owed(owed) => owed,
            other => panic!("told {other:?}"),
        }));
    }
    assert_eq!(world.rows_owed().await, 2_501);
    assert!(world.store.publish(again).await.expect("answered").replayed);
    let totals = world.store.tenant_totals(TENANT).await.expect("read");
    assert_eq!((totals.counts.accepted, totals.pending), (2_501, 2_501));
}

pub async fn one_bad_publication_fails_alone(factory: &dyn Factory) {
    let world = World::new(factory);
    let webhook = world.webhook_id();
    let taken = world.publication(&[webhook]);
    world.store.publish(taken.clone()).await.expect("published");
    let mut waits = Vec::new();
    for n in 0..20 {
        // The id of an event that exists: a fault that no check foresees.
        let publication = if n == 13 { taken.clone() } else { world.publication(&[webhook]) };
        let store = world.store.clone();
        waits.push(tokio::spawn(async move { store.publish(publication).await }));
    }
    for (n, wait) in waits.into_iter().enumerate() {
        let result = wait.await.expect("no panic");
        match n {
            13 => assert!(matches!(result, Err(WriteError::Unavailable(_))), "{result:?}"),
            _ => assert!(result.is_ok(), "{n}: {result:?}"),
        }
    }
    let totals = world.store.tenant_totals(TENANT).await.expect("read");
    assert_eq!((totals.counts.accepted, totals.pending), (20, 20));
}

pub async fn what_was_committed_survives_a_restart(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook, webhook]).await;
    world.succeed(&owed[0]).await;
    let last = world.store.largest_id().await.expect("read");
    let world = world.reopen();
    assert_eq!(world.store.largest_id().await, Ok(last));
    let page = world.store.page(owed[1].lane, 10).await.expect("read");
    assert_eq!(page.iter().map(|owed| owed.id).collect::<Vec<_>>(), [owed[1].id]);
    let ended = world.store.delivery(TENANT, owed[0].id).await.expect("read");
    assert!(ended.is_some_and(|delivery| delivery.status.is_final()));
}

pub async fn a_closed_store_says_so(factory: &dyn Factory) {
    let world = World::new(factory);
    let publication = world.publication(&[]);
    world.store.close().await;
    world.store.close().await;
    assert_eq!(world.store.publish(publication).await, Err(WriteError::Closed));
    let change = Change::from(vec![Statement::new("SELECT 1", Vec::new())]);
    assert_eq!(world.store.change(change).await, Err(WriteError::Closed));
    assert_eq!(world.store.lanes().await, Err(crate::ReadError::Closed));
    let world = world.reopen();
    assert_eq!(world.store.lanes().await, Ok(Vec::new()));
}

/// In commit order, once, with or without deliveries; what was accepted before is not told again.
pub async fn accepted_events_are_told_once(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let named = |world: &World<'_>| {
        let mut event = world.event(b"{}");
        event.client_id = Some("order-1".into());
        let events = vec![world.planned(event, &[webhook])];
        Publication { tenant: TENANT, key: None, events }
    };
    let (first, again) = (named(&world), named(&world));
    let unwanted = world.publication(&[]);
    let announced = world.publication(&[]);
    let order = [&first, &unwanted, &announced].map(|it| it.events[0].event.id);
    world.store.publish(first).await.expect("published");
    assert!(world.store.publish(again).await.expect("answered").events[0].duplicate);
    world.store.publish(unwanted).await.expect("published");
    let owed = world.told_owed(1).await.remove(0);
    let settlement = Settlement { announcements: vec![announced], ..world.success(&owed) };
    world.settle(settlement).await;
    for id in order {
        assert_eq!(world.told_accepted().await.id, id);
    }
}
