//! Replays: what they find, and how they move on.

use tidings_core::delivery::Status;
use tidings_core::id::{EventId, IdSource, TenantId};
use tidings_core::limits::PAGE_PAYLOAD_BYTES_MAX;
use tidings_core::publication::Publication;
use tidings_core::replay::{Replay, Selection, Standing, State, owe};
use tidings_core::time::{HOUR_MS, SECOND_MS};
use tidings_core::webhook::Webhook;

use super::world::{Factory, TENANT, World};
use crate::catalogue::replays;
use crate::{Change, Control, WriteError};

const FIRST: EventId = EventId::from_i64(0);
const LAST: EventId = EventId::from_i64(i64::MAX);

/// An event for nobody.
async fn lonely(world: &World<'_>, data: &[u8]) -> EventId {
    let events = vec![world.planned(world.event(data), &[])];
    let id = events[0].event.id;
    let publication = Publication { tenant: TENANT, key: None, events };
    world.store.publish(publication).await.expect("published");
    id
}

/// Every page of the candidates, of so many each.
async fn standings(world: &World<'_>, webhook: &Webhook, limit: usize) -> Vec<(EventId, Standing)> {
    let mut all = Vec::new();
    let mut after = FIRST;
    loop {
        let page = world.store.candidates(TENANT, webhook.id, after, LAST, limit).await;
        let page = page.expect("read");
        all.extend(page.iter().map(|one| (one.event.id, one.standing)));
        match page.last() {
            Some(last) if page.len() == limit => after = last.event.id,
            _ => return all,
        }
    }
}

pub async fn candidates_stand_as_their_deliveries_do(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let (webhook, other) = (world.webhook(), world.webhook_id());
    let mut expected = Vec::new();
    for n in 0..21 {
        world.advance(SECOND_MS);
        let owed = match n % 7 {
            6 => {
                expected.push((lonely(&world, b"{}").await, Standing::Missed));
                continue;
            }
            5 => world.publish(&[other]).await,
            _ => world.publish(&[other, webhook.id]).await,
        };
        let standing = match n % 7 {
            0 => (world.succeed(&owed[1]).await, Standing::Ended(Status::Success)).1,
            1 => (world.fail(&owed[1]).await, Standing::Ended(Status::Failed)).1,
            2 => (world.retry(&owed[1], HOUR_MS).await, Standing::Owed).1,
            3 => Standing::Owed,
            4 => {
                let control = Control::Cancel { tenant: TENANT, delivery: owed[1].id };
                world.store.control(control).await.expect("cancelled");
                world.told().await;
                Standing::Ended(Status::Cancelled)
            }
            _ => (world.succeed(&owed[0]).await, Standing::Missed).1,
        };
        expected.push((owed[0].event, standing));
        if n == 9 {
            world.store.maintain().await.expect("indexed");
        }
    }
    assert_eq!(standings(&world, &webhook, 4).await, expected);
    world.store.maintain().await.expect("indexed");
    assert_eq!(standings(&world, &webhook, 100).await, expected);
    let (from, to) = (expected[4].0, expected[8].0);
    let some = world.store.candidates(TENANT, webhook.id, from, to, 100).await.expect("read");
    let some: Vec<_> = some.iter().map(|one| (one.event.id, one.standing)).collect();
    assert_eq!(some, expected[5..=8]);
    assert_eq!(world.store.oldest_event(TENANT, from, LAST).await, Ok(Some(expected[5].0)));
    assert_eq!(world.store.oldest_event(TENANT, to, to).await, Ok(None));
    let stranger = TenantId::from_i64(2);
    assert_eq!(world.store.candidates(stranger, webhook.id, FIRST, LAST, 9).await, Ok(Vec::new()));
    assert_eq!(world.store.oldest_event(stranger, FIRST, LAST).await, Ok(None));
}

pub async fn large_candidates_are_left_in_the_store(factory: &dyn Factory) {
    let world = World::new(factory);
    let webhook = world.webhook();
    lonely(&world, &[b'x'; PAGE_PAYLOAD_BYTES_MAX]).await;
    lonely(&world, &[b'x'; PAGE_PAYLOAD_BYTES_MAX + 1]).await;
    let page = world.store.candidates(TENANT, webhook.id, FIRST, LAST, 9).await.expect("read");
    let whole: Vec<_> = page.iter().map(|one| (one.whole, one.event.data.len())).collect();
    assert_eq!(whole, [(true, PAGE_PAYLOAD_BYTES_MAX), (false, 0)]);
}

fn replay(world: &World<'_>, webhook: &Webhook, oldest: EventId) -> Replay {
    let selection = Selection {
        since: world.now() - HOUR_MS,
        until: world.now() + 1,
        missed: true,
        statuses: vec![Status::Failed],
        event_types: vec!["job.*".parse().expect("a pattern")],
    };
    Replay::new(world.id(), webhook, selection, Some(oldest), 50, world.now())
}

pub async fn a_replay_moves_on_with_its_deliveries(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook();
    let missed = [lonely(&world, b"1").await, lonely(&world, b"2").await];
    let first = replay(&world, &webhook, missed[0]);
    let insert = |replay: &Replay| Change::from(replays::insert(replay, world.now()));
    world.store.change(insert(&first)).await.expect("begun");
    let second = replay(&world, &webhook, missed[0]);
    let refused = world.store.change(insert(&second)).await;
    assert_eq!(refused, Err(WriteError::Conflict), "one at a time");
    assert_eq!(world.store.running_replays().await, Ok(vec![first.clone()]));

    let page = world.store.candidates(TENANT, webhook.id, first.position, LAST, 9).await;
    let page = page.expect("read");
    let ids = IdSource::new(2, world.now().as_millis());
    let owed: Vec<_> = page.iter().map(|one| owe(&webhook, one, &ids, world.now())).collect();
    let next = first.stepped(missed[1], 2, 2, false, world.now());
    let statements = replays::advance(&first, &next);
    let step = Change { statements, owed: owed.clone(), ..Change::default() };
    world.store.change(step.clone()).await.expect("made");
    let told = world.told_owed(2).await;
    assert_eq!([told[0].id, told[1].id], [owed[0].id, owed[1].id]);
    let again = world.store.change(step).await;
    assert_eq!(again, Err(WriteError::Conflict), "a step is made once");
    world.nothing_told();
    let totals = world.store.webhook_totals(webhook.id).await.expect("read");
    assert_eq!((totals.counts.accepted, totals.pending), (2, 2));
    let expected = [(missed[0], Standing::Owed), (missed[1], Standing::Owed)];
    assert_eq!(standings(&world, &webhook, 9).await, expected);

    let mut world = world.reopen();
    assert_eq!(world.store.running_replays().await, Ok(vec![next.clone()]));
    // An event that retention has taken meanwhile takes the step with it.
    let mut gone = owed[0].clone();
    (gone.id, gone.event) = (world.id(), world.id());
    let last = next.stepped(EventId::from_i64(missed[1].as_i64() + 1), 1, 1, true, world.now());
    let statements = replays::advance(&next, &last);
    let step = Change { statements, owed: vec![gone], ..Change::default() };
    assert_eq!(world.store.change(step).await, Err(WriteError::Conflict));
    assert_eq!(world.store.replay(TENANT, first.id).await, Ok(Some(next.clone())));
    let statements = replays::advance(&next, &last);
    world.store.change(statements.into()).await.expect("made");
    assert_eq!(world.store.replay(TENANT, first.id).await, Ok(Some(last)));
    assert_eq!(world.store.running_replays().await, Ok(Vec::new()));
    for owed in &told {
        world.succeed(owed).await;
    }
    assert!(world.store.tenant_totals(TENANT).await.expect("read").reconciles());
}

pub async fn replays_are_listed_cancelled_and_forgotten(factory: &dyn Factory) {
    let world = World::new(factory);
    let (webhook, stranger) = (world.webhook(), TenantId::from_i64(2));
    let mut all = Vec::new();
    for _ in 0..3 {
        let one = replay(&world, &webhook, FIRST);
        let insert = replays::insert(&one, world.now() - HOUR_MS);
        world.store.change(insert.into()).await.expect("begun");
        let theirs = replays::end(stranger, one.id, State::Cancelled, world.now());
        assert_eq!(world.store.change(theirs.into()).await, Err(WriteError::Conflict));
        let end = || replays::end(TENANT, one.id, State::Cancelled, world.now());
        world.store.change(end().into()).await.expect("cancelled");
        assert_eq!(world.store.change(end().into()).await, Err(WriteError::Conflict));
        // Too late for a step.
        let step = replays::advance(&one, &one.stepped(LAST, 1, 0, true, world.now()));
        assert_eq!(world.store.change(step.into()).await, Err(WriteError::Conflict));
        all.insert(0, one.ended(State::Cancelled, world.now()));
        world.advance(SECOND_MS);
    }
    let list = |tenant, before, limit| world.store.replays(tenant, webhook.id, before, limit);
    assert_eq!(list(TENANT, None, 9).await, Ok(all.clone()));
    assert_eq!(list(TENANT, Some(all[0].id), 1).await, Ok(vec![all[1].clone()]));
    assert_eq!(list(stranger, None, 9).await, Ok(Vec::new()));
    assert_eq!(world.store.replay(stranger, all[0].id).await, Ok(None));
    world.advance(2 * HOUR_MS);
    let new = replay(&world, &webhook, FIRST);
    let insert = replays::insert(&new, world.now() - HOUR_MS);
    world.store.change(insert.into()).await.expect("begun");
    assert_eq!(list(TENANT, None, 9).await, Ok(vec![new.clone()]), "the old ones are gone");
    assert!(world.store.largest_id().await.expect("read") >= new.id.as_i64());
}

pub async fn what_ended_with_a_webhook_is_found_again(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    let failed = world.publish(&[webhook]).await.remove(0);
    world.fail(&failed).await;
    world.advance(HOUR_MS);
    let at = world.now();
    let found = |at| world.store.first_ended_with(webhook, at);
    assert_eq!(found(at).await, Ok(None), "it has not ended yet");
    world.store.control(Control::EndDeliveries { webhook }).await.expect("asked");
    world.store.maintain().await.expect("ended and indexed");
    assert_eq!(found(at).await, Ok(Some(owed.event)));
    assert_eq!(found(at + 1).await, Ok(None), "an earlier time that it was switched off");
    assert_eq!(world.store.first_ended_with(world.webhook_id(), at).await, Ok(None));
}
