//! Webhooks that were received: each once.

use tidings_core::id::TenantId;
use tidings_core::time::DAY_MS;

use super::world::{Factory, TENANT, World};
use crate::history::inbound::{Mark, ReceivedFilter, ReceivedRecord, insert};
use crate::{Change, WriteError};

fn mark(name: Option<&str>, hash: Option<&[u8]>) -> Mark {
    Mark { name: name.map(str::to_owned), hash: hash.map(<[u8]>::to_vec) }
}

/// Something received, and the change that takes it down with its event.
fn received(world: &World<'_>, source: &str, mark: Mark) -> (ReceivedRecord, Change) {
    let publication = world.publication(&[world.webhook_id()]);
    let record = ReceivedRecord {
        id: world.id(),
        tenant: TENANT,
        source: source.to_owned(),
        mark,
        event_type: "hub.push".to_owned(),
        event: publication.events[0].event.id,
    };
    let statements = vec![insert(&record)];
    let change = Change { statements, publications: vec![publication], ..Change::default() };
    (record, change)
}

pub async fn a_webhook_is_received_once(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let (first, change) = received(&world, "hub", mark(Some("1"), Some(b"a")));
    world.store.change(change).await.expect("received");
    world.told_owed(1).await;
    for again in [
        mark(Some("1"), Some(b"a")),
        mark(Some("1"), None),
        mark(Some("1"), Some(b"b")),
        mark(Some("2"), Some(b"a")),
        mark(None, Some(b"a")),
    ] {
        assert!(world.store.was_received(TENANT, "hub", &again).await.expect("read"));
        let (_, change) = received(&world, "hub", again);
        assert_eq!(world.store.change(change).await, Err(WriteError::Conflict));
    }
    world.nothing_told();
    let mut all = vec![first];
    for (source, other) in [
        ("hub", mark(Some("2"), Some(b"b"))),
        ("hub", mark(None, Some(b"c"))),
        ("hub", mark(Some("3"), None)),
        ("shop", mark(Some("1"), Some(b"a"))),
    ] {
        assert!(!world.store.was_received(TENANT, source, &other).await.expect("read"));
        let (record, change) = received(&world, source, other);
        world.store.change(change).await.expect("received");
        all.insert(0, record);
    }
    let list = async |tenant, filter| world.store.received(tenant, &filter).await.expect("read");
    let any = |limit| ReceivedFilter { limit, ..ReceivedFilter::default() };
    assert_eq!(list(TENANT, any(9)).await, all);
    assert_eq!(list(TenantId::from_i64(2), any(9)).await, []);
    let shop = ReceivedFilter { source: Some("shop".to_owned()), ..any(9) };
    assert_eq!(list(TENANT, shop).await, all[..1]);
    let page = ReceivedFilter { before: Some(all[1].id), ..any(2) };
    assert_eq!(list(TENANT, page).await, all[2..4]);
}

pub async fn what_was_received_goes_with_its_history(factory: &dyn Factory) {
    let world = World::new(factory);
    // More than one step takes.
    for n in 0..450_u32 {
        let (_, change) = received(&world, "hub", mark(None, Some(&n.to_be_bytes())));
        world.store.change(change).await.expect("received");
    }
    world.advance(31 * DAY_MS);
    let (young, change) = received(&world, "hub", mark(Some("young"), None));
    world.store.change(change).await.expect("received");
    world.store.maintain().await.expect("maintained");
    let filter = ReceivedFilter { limit: 9, ..ReceivedFilter::default() };
    assert_eq!(world.store.received(TENANT, &filter).await.expect("read"), [young]);
    let old = mark(None, Some(&0_u32.to_be_bytes()));
    assert!(!world.store.was_received(TENANT, "hub", &old).await.expect("read"));
}
