//! The catalogue: tenants, keys, webhooks; and changes as such.

use tidings_core::id::TenantId;

use super::world::{Factory, TENANT, World, key};
use crate::catalogue::keys::{self, KeyRecord};
use crate::catalogue::tenants::{self, TenantRecord};
use crate::catalogue::webhooks;
use crate::{Change, ChangeKey, WriteError};

pub async fn webhooks_keep_their_revisions(factory: &dyn Factory) {
    let world = World::new(factory);
    let mut first = world.webhook();
    world.store.change(webhooks::insert(&first, vec![1, 2]).into()).await.expect("created");
    world.advance(5);
    // Their values are sealed by the server and no part of the document.
    first.headers.iter_mut().for_each(|(_, value)| value.clear());
    let mut second = first.clone();
    second.url = "https://example.com/other".into();
    (second.revision, second.updated_at) = (2, world.now());
    world.store.change(webhooks::update(&second, None).into()).await.expect("changed");
    let all = world.store.webhooks().await.expect("read");
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0].webhook, all[0].sealed.as_slice()), (&second, &[1, 2][..]));
    let read = world.store.webhook_revision(first.id, 1).await.expect("read").expect("kept");
    assert_eq!(read, first);
    let mut third = second.clone();
    third.revision = 3;
    world.store.change(webhooks::update(&third, Some(vec![3])).into()).await.expect("changed");
    let record = world.store.webhook(first.id).await.expect("read").expect("there");
    assert_eq!((record.webhook.revision, record.sealed.as_slice()), (3, &[3][..]));
    let delete = webhooks::delete(TENANT, first.id, world.now());
    world.store.change(delete.into()).await.expect("deleted");
    assert!(world.store.webhooks().await.expect("read").is_empty());
    assert!(world.store.webhook(first.id).await.expect("read").is_none());
    assert!(world.store.webhook_revision(first.id, 2).await.expect("read").is_some());
    assert!(world.store.webhook_revision(first.id, 4).await.expect("read").is_none());
}

pub async fn a_moved_revision_is_a_conflict(factory: &dyn Factory) {
    let world = World::new(factory);
    let mut webhook = world.webhook();
    world.store.change(webhooks::insert(&webhook, Vec::new()).into()).await.expect("created");
    webhook.revision = 2;
    let update = Change::from(webhooks::update(&webhook, None));
    world.store.change(update.clone()).await.expect("changed");
    assert_eq!(world.store.change(update).await, Err(WriteError::Conflict));
    let delete = || webhooks::delete(TENANT, webhook.id, world.now());
    let stranger = webhooks::delete(TenantId::from_i64(2), webhook.id, world.now());
    assert_eq!(world.store.change(stranger.into()).await, Err(WriteError::Conflict));
    world.store.change(delete().into()).await.expect("deleted");
    assert_eq!(world.store.change(delete().into()).await, Err(WriteError::Conflict));
    webhook.revision = 3;
    let update = webhooks::update(&webhook, None);
    assert_eq!(world.store.change(update.into()).await, Err(WriteError::Conflict));
}

pub async fn a_change_is_all_or_nothing(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook();
    let mut publication = world.publication(&[webhook.id]);
    publication.key = key("once", b"1");
    let mut statements = webhooks::insert(&webhook, Vec::new());
    let good = Change {
        statements: statements.clone(),
        publications: vec![publication.clone()],
        key: None,
        ..Change::default()
    };
    let answer = world.store.change(good).await.expect("made");
    assert_eq!(answer.rows[..2], [1, 1]);
    assert_eq!(answer.published[0].events[0].deliveries, 1);
    world.told_owed(1).await;
    // The second statement meets what exists; the first and the event go with it.
    let other = world.webhook();
    let event = world.publication(&[other.id]);
    let id = event.events[0].event.id;
    statements.splice(0..0, webhooks::insert(&other, Vec::new()));
    let bad = Change { statements, publications: vec![event.clone()], ..Change::default() };
    assert_eq!(world.store.change(bad).await, Err(WriteError::Conflict));
    // A publication in conflict takes the statements and the publications before it along.
    publication.key = key("once", b"2");
    let statements = webhooks::insert(&other, Vec::new());
    let bad = Change { statements, publications: vec![event, publication], ..Change::default() };
    assert_eq!(world.store.change(bad).await, Err(WriteError::KeyConflict));
    assert!(world.store.webhook(other.id).await.expect("read").is_none());
    assert_eq!(world.store.event(id).await, Ok(None));
    world.nothing_told();
    let totals = world.store.tenant_totals(TENANT).await.expect("read");
    assert_eq!((totals.counts.accepted, totals.pending), (1, 1));
}

pub async fn a_change_with_a_key_is_made_once(factory: &dyn Factory) {
    let world = World::new(factory);
    let make = |body: &[u8]| {
        let webhook = world.webhook();
        let key = key("POST /webhooks k", body).expect("a key");
        let ids = vec![webhook.id.as_i64()];
        let change = Change {
            key: Some(ChangeKey { tenant: TENANT, key, ids }),
            statements: webhooks::insert(&webhook, Vec::new()),
            ..Change::default()
        };
        (webhook.id, change)
    };
    let (id, first) = make(b"1");
    let (_, again) = make(b"1");
    let (_, other) = make(b"2");
    assert_eq!(world.store.change(first).await.expect("made").replayed, None);
    let answer = world.store.change(again).await.expect("answered");
    assert_eq!(answer.replayed, Some(vec![id.as_i64()]));
    assert_eq!(world.store.change(other).await, Err(WriteError::KeyConflict));
    assert_eq!(world.store.webhooks().await.expect("read").len(), 1);
}

pub async fn keys_and_tenants_are_kept(factory: &dyn Factory) {
    let world = World::new(factory);
    let all = world.store.tenants().await.expect("read");
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].id, all[0].name.as_str()), (tenants::DEFAULT, "default"));
    let mut acme = TenantRecord {
        id: world.id(),
        name: "acme".into(),
        retention_days: None,
        created_at: world.now(),
    };
    world.store.change(tenants::insert(&acme).into()).await.expect("created");
    let twin = TenantRecord { id: world.id(), ..acme.clone() };
    let again = world.store.change(tenants::insert(&twin).into()).await;
    assert_eq!(again, Err(WriteError::Conflict), "a name is taken");
    acme.retention_days = Some(7);
    world.store.change(tenants::update(&acme).into()).await.expect("changed");
    assert_eq!(world.store.tenants().await.expect("read")[1], acme);
    let key = KeyRecord {
        id: world.id(),
        tenant: Some(acme.id),
        name: "ci".into(),
        hash: vec![1; 32],
        prefix: "tk_abc".into(),
        scopes: "events:write events:read".into(),
        created_at: world.now(),
        revoked_at: None,
    };
    let admin = KeyRecord { id: world.id(), tenant: None, hash: vec![2; 32], ..key.clone() };
    for key in [&key, &admin] {
        world.store.change(keys::insert(key).into()).await.expect("created");
    }
    assert_eq!(world.store.keys().await, Ok(vec![key.clone(), admin.clone()]));
    world.store.change(keys::revoke(admin.id, world.now()).into()).await.expect("revoked");
    let twice = world.store.change(keys::revoke(admin.id, world.now()).into()).await;
    assert_eq!(twice, Err(WriteError::Conflict));
    world.store.change(keys::revoke_all(acme.id, world.now()).into()).await.expect("revoked");
    let revoked = world.store.keys().await.expect("read");
    assert!(revoked.iter().all(|key| key.revoked_at == Some(world.now())));
    world.store.change(tenants::delete(acme.id).into()).await.expect("deleted");
    assert_eq!(world.store.tenants().await.expect("read").len(), 1);
    assert!(world.store.largest_id().await.expect("read") >= admin.id.as_i64());
}
