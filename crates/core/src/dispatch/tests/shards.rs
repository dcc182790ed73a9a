//! Shards that come and go.

use super::*;
use crate::shard::ShardSet;

fn tell(stage: &mut Stage, held: ShardSet, open: ShardSet) {
    stage.signal(Signal::Shards(Shards { held, open, is_shared: true }));
}

/// Every shard but that of a webhook.
fn all_but(webhook: WebhookId) -> ShardSet {
    ShardSet::ALL.without(&ShardSet::from_iter([shard::of(webhook)]))
}

#[test]
fn what_is_another_nodes_is_left_in_the_store() {
    let mut stage = Stage::new(Limits::default());
    let (ours, theirs) = (stage.webhook(1, |_| {}), stage.webhook(2, |_| {}));
    tell(&mut stage, all_but(theirs), all_but(theirs));
    stage.owe(ours, 0, 1);
    stage.owe(theirs, 0, 1);
    let started: Vec<WebhookId> = stage.take_started().iter().map(|o| o.lane.webhook).collect();
    assert_eq!(started, [ours]);
    assert_eq!(stage.dispatcher.held(), (0, 0));
    // It comes over: admitted at once, attempted when all of it is known.
    tell(&mut stage, ShardSet::ALL, all_but(theirs));
    let lane = Lane { webhook: theirs, slot: 0 };
    stage.signal(Signal::Waiting { lane, next: START });
    stage.owe(theirs, 0, 1);
    assert!(stage.take_started().is_empty());
    tell(&mut stage, ShardSet::ALL, ShardSet::ALL);
    assert_eq!(stage.take_started().len(), 2);
}

#[test]
fn a_shard_that_goes_is_drained() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| settings.concurrency = 2);
    stage.owe(webhook, 0, 10);
    let started = stage.take_started();
    assert_eq!(started.len(), 2);
    tell(&mut stage, all_but(webhook), all_but(webhook));
    for owed in started {
        assert!(stage.drained.is_empty(), "attempts of it are under way");
        stage.finish(owed, OK);
    }
    assert_eq!(stage.drained, [shard::of(webhook)]);
    assert!(stage.take_started().is_empty());
    assert_eq!(stage.dispatcher.held(), (0, 0));
    // Of one with nothing under way it is said at once.
    let other = stage.webhook(2, |_| {});
    let held = all_but(webhook).without(&ShardSet::from_iter([shard::of(other)]));
    tell(&mut stage, held, held);
    assert_eq!(stage.drained.last(), Some(&shard::of(other)));
}

#[test]
fn a_row_of_another_node_finds_its_place_among_those_in_memory() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| settings.paused = true);
    stage.owe(webhook, 0, 3);
    let lane = Lane { webhook, slot: 0 };
    // Committed elsewhere before these, and heard of after them.
    let mut early = stage.rows.first_key_value().expect("one").1.clone();
    (early.id, early.ready_at) = (DeliveryId::from_i64(99), START - 1);
    stage.rows.insert((lane, early.ready_at, early.id), early.clone());
    stage.signal(Signal::Waiting { lane, next: early.ready_at });
    stage.webhook(1, |settings| settings.concurrency = 1);
    let first = stage.take_started().remove(0);
    assert_eq!(first.id, early.id);
    stage.finish(first, OK);
    assert_eq!(stage.take_started()[0].id, DeliveryId::from_i64(1));
}

#[test]
fn among_nodes_an_ordered_lane_is_read_from_the_store() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| settings.ordered = true);
    tell(&mut stage, ShardSet::ALL, ShardSet::ALL);
    stage.owe(webhook, 3, 2);
    assert!(stage.pages > 0);
    let first = stage.take_started().remove(0);
    assert_eq!(first.id, DeliveryId::from_i64(1));
    // A retry keeps its place.
    stage.finish(first, BROKEN);
    assert!(stage.take_started().is_empty());
    stage.pass(2 * SECOND_MS);
    assert_eq!(stage.take_started()[0].id, DeliveryId::from_i64(1));
}

#[test]
fn after_a_node_that_was_cut_off_a_webhook_waits() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    stage.signal(Signal::Wait { webhook, until: START + 5 * SECOND_MS });
    stage.owe(webhook, 0, 1);
    stage.pass(4 * SECOND_MS);
    assert!(stage.take_started().is_empty());
    stage.pass(2 * SECOND_MS);
    assert_eq!(stage.take_started().len(), 1);
}

#[test]
fn nothing_starts_while_it_is_suspended() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    stage.dispatcher.suspend(true);
    stage.owe(webhook, 0, 1);
    assert!(stage.take_started().is_empty());
    stage.dispatcher.suspend(false);
    stage.run();
    assert_eq!(stage.take_started().len(), 1);
}

#[test]
fn as_much_is_given_out_as_there_is_capacity() {
    let mut stage = Stage::new(Limits { attempts_in_flight: 1, ..Limits::default() });
    let webhook = stage.webhook(1, |settings| settings.concurrency = 100);
    stage.owe(webhook, 0, 10);
    let first = stage.take_started();
    assert_eq!(first.len(), 1);
    stage.signal(Signal::Capacity(8));
    assert_eq!(stage.take_started().len(), 3, "it gets four before it has answered");
    // Workers are gone: nothing more before what is under way is less than what remains.
    stage.signal(Signal::Capacity(1));
    first.into_iter().for_each(|owed| stage.finish(owed, OK));
    assert!(stage.take_started().is_empty());
}
