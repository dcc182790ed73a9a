//! Deliveries of one job to one place.

use super::*;
use crate::gate::{Gate, Step};
use crate::shard::ShardSet;

impl Stage {
    /// A delivery that tells of a job becomes owed.
    fn tell(&mut self, webhook: WebhookId, job: i64) -> DeliveryId {
        self.tell_step(webhook, job, Step::Change)
    }

    fn tell_step(&mut self, webhook: WebhookId, job: i64, step: Step) -> DeliveryId {
        let owed = self.owed_step(webhook, job, step);
        self.rows.insert((owed.lane, owed.ready_at, owed.id), owed.clone());
        let id = owed.id;
        self.signal(Signal::Owed(owed));
        id
    }

    fn owed_step(&mut self, webhook: WebhookId, job: i64, step: Step) -> Owed {
        self.next_id += 1;
        let lane = Lane { webhook, slot: 0 };
        Owed {
            id: DeliveryId::from_i64(self.next_id),
            tenant: TenantId::from_i64(1),
            lane,
            event: EventId::from_i64(self.next_id),
            revision: 1,
            ready_at: self.now,
            not_before: self.now,
            expires_at: None,
            attempts: 0,
            attempts_granted: 0,
            gate: Some(Gate { job: JobId::from_i64(job), step }),
            payload: Payload::Stored,
        }
    }

    fn started_ids(&self) -> Vec<i64> {
        self.started.iter().map(|owed| owed.id.as_i64()).collect()
    }

    /// The store ended a row.
    fn end(&mut self, id: DeliveryId) {
        let key = *self.rows.keys().find(|key| key.2 == id).expect("it is owed");
        self.rows.remove(&key);
        self.signal(Signal::Ended { lane: key.0, id });
    }
}

#[test]
fn one_at_a_time_and_nobody_else_waits() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    for job in [1, 1, 1, 2] {
        stage.tell(webhook, job);
    }
    stage.owe(webhook, 0, 1);
    assert_eq!(stage.started_ids(), [1, 4, 5], "of the first job one, the others at once");
    assert_eq!(stage.dispatcher.held().0, 2);
    let first = stage.started.remove(0);
    stage.finish(first, OK);
    assert_eq!(stage.started_ids(), [4, 5, 2]);
}

#[test]
fn the_same_job_goes_to_two_places_at_once() {
    let mut stage = Stage::new(Limits::default());
    for id in [1, 2] {
        let webhook = stage.webhook(id, |_| {});
        stage.tell(webhook, 1);
    }
    assert_eq!(stage.started.len(), 2);
}

#[test]
fn a_retry_holds_no_gate_and_what_ended_waits_for_nothing() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    let ids: Vec<DeliveryId> = (0..4).map(|_| stage.tell(webhook, 1)).collect();
    stage.end(ids[1]);
    let first = stage.started.remove(0);
    stage.finish(first, BROKEN);
    assert_eq!(stage.started_ids(), [3], "the first is retried later, the second has ended");
    let third = stage.started.remove(0);
    // Ended while it is on the network: its gate stays taken until its settlement.
    stage.end(third.id);
    assert_eq!(stage.started_ids(), [0; 0]);
    stage.finish(third, OK);
    assert_eq!(stage.started_ids(), [4]);
}

/// Between the outcome of an attempt and its settlement the row may end as well; the interval that
/// others must keep to is written with the settlement.
#[test]
fn a_gate_is_free_with_the_settlement_and_not_before() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    let first = stage.tell(webhook, 1);
    stage.tell(webhook, 1);
    let owed = stage.started.remove(0);
    let finished = stage.finished(owed, OK, 1);
    stage.dispatcher.handle(Signal::Attempted(Box::new(finished)), stage.now);
    let settle = stage.dispatcher.next_command(stage.now);
    assert!(matches!(settle, Some(Command::Settle { .. })), "{settle:?}");
    stage.end(first);
    assert_eq!(stage.started_ids(), [0; 0]);
    let lane = Lane { webhook, slot: 0 };
    stage.signal(Signal::Settled { lane, id: first, again: None });
    assert_eq!(stage.started_ids(), [2]);
}

#[test]
fn what_came_back_untried_and_has_ended_is_not_tried_again() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    let first = stage.tell(webhook, 1);
    let owed = stage.started.remove(0);
    stage.end(first);
    stage.signal(Signal::Returned(Box::new(owed)));
    stage.pass(RETURNED_RETRY_MS);
    assert_eq!(stage.started_ids(), [0; 0]);
    assert_eq!(stage.dispatcher.held(), (0, 0));
}

#[test]
fn what_came_back_untried_gives_its_gate_back() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    stage.tell(webhook, 1);
    stage.tell(webhook, 1);
    let first = stage.started.remove(0);
    stage.signal(Signal::Returned(Box::new(first)));
    stage.pass(RETURNED_RETRY_MS);
    assert_eq!(stage.started_ids(), [1]);
    let first = stage.started.remove(0);
    stage.finish(first, OK);
    assert_eq!(stage.started_ids(), [2]);
}

#[test]
fn a_moved_row_waits_for_its_new_place() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    stage.tell(webhook, 1);
    let second = stage.tell(webhook, 1);
    let key = *stage.rows.keys().find(|key| key.2 == second).expect("it is owed");
    let mut moved = stage.rows.remove(&key).expect("it is owed");
    (moved.ready_at, moved.not_before) = (stage.now + 5_000, stage.now + 5_000);
    stage.rows.insert((moved.lane, moved.ready_at, second), moved.clone());
    stage.signal(Signal::Moved(moved));
    let first = stage.started.remove(0);
    stage.finish(first, OK);
    assert_eq!(stage.started_ids(), [0; 0]);
    stage.pass(4_999);
    assert_eq!(stage.started_ids(), [0; 0]);
    stage.pass(1);
    assert_eq!(stage.started_ids(), [2]);
}

#[test]
fn those_that_wait_do_not_fill_the_page() {
    let limits = Limits { lane_rows: 4, held_rows: 20, page_rows: 4, ..Limits::default() };
    let mut stage = Stage::new(limits);
    let webhook = stage.webhook(1, |_| {});
    for _ in 0..10 {
        stage.tell(webhook, 1);
    }
    stage.owe(webhook, 0, 2);
    assert_eq!(stage.started_ids(), [1, 11, 12]);
    // All of them go, one after the other, whatever is only in the store.
    let mut done = Vec::new();
    while let Some(owed) = stage.started.pop() {
        done.push(owed.id.as_i64());
        stage.finish(owed, OK);
    }
    done.sort_unstable();
    assert_eq!(done, (1..=12).collect::<Vec<i64>>());
    assert_eq!(stage.dispatcher.held(), (0, 0));
}

#[test]
fn memory_is_given_back_when_the_webhook_goes() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    for _ in 0..3 {
        stage.tell(webhook, 1);
    }
    stage.signal(Signal::WebhookGone(webhook));
    assert_eq!(stage.dispatcher.held(), (0, 0));
}

/// The store moves what it has. Progress that is here, and was superseded through another node, keeps to
/// the interval all the same.
#[test]
fn among_nodes_a_gate_keeps_its_interval() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    let (held, open) = (ShardSet::ALL, ShardSet::ALL);
    stage.signal(Signal::Shards(Shards { held, open, is_shared: true }));
    let progress = Step::Progress { interval_ms: 400 };
    stage.tell_step(webhook, 1, progress);
    stage.tell_step(webhook, 1, progress);
    assert_eq!(stage.started_ids(), [1]);
    stage.pass(50);
    let first = stage.started.remove(0);
    stage.finish(first, OK);
    assert!(stage.started_ids().is_empty(), "the interval is not over");
    // What is no progress does not wait, and takes the gate meanwhile.
    stage.tell_step(webhook, 1, Step::Change);
    assert_eq!(stage.started_ids(), [3]);
    let change = stage.started.remove(0);
    stage.finish(change, OK);
    stage.pass(349);
    assert!(stage.started_ids().is_empty());
    stage.pass(1);
    assert_eq!(stage.started_ids(), [2]);
    // Gone meanwhile, it is forgotten.
    let third = stage.tell_step(webhook, 1, progress);
    stage.end(third);
    let second = stage.started.remove(0);
    stage.finish(second, OK);
    stage.pass(1_000);
    assert!(stage.started_ids().is_empty());
    assert_eq!(stage.dispatcher.held(), (0, 0));
}

#[test]
fn among_nodes_each_gate_opens_at_its_own_time() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    let (held, open) = (ShardSet::ALL, ShardSet::ALL);
    stage.signal(Signal::Shards(Shards { held, open, is_shared: true }));
    for job in 1..=3 {
        // Nobody waits at the third, which opens first.
        let progress = Step::Progress { interval_ms: 400 - 100 * job as u32 };
        stage.tell_step(webhook, job, progress);
        if job < 3 {
            stage.tell_step(webhook, job, progress);
        }
        let first = stage.started.remove(0);
        stage.finish(first, OK);
    }
    assert_eq!(stage.started_ids(), [0; 0]);
    stage.pass(199);
    assert_eq!(stage.started_ids(), [0; 0]);
    stage.pass(1);
    assert_eq!(stage.started_ids(), [4]);
    stage.pass(100);
    assert_eq!(stage.started_ids(), [4, 2]);
}

#[test]
fn among_nodes_what_tells_of_a_job_is_read_in_its_order() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    let (held, open) = (ShardSet::ALL, ShardSet::ALL);
    stage.signal(Signal::Shards(Shards { held, open, is_shared: true }));
    // Accepted by another node a moment before, and not heard of yet.
    let earlier = stage.owed_step(webhook, 1, Step::Change);
    stage.rows.insert((earlier.lane, earlier.ready_at, earlier.id), earlier);
    stage.tell_step(webhook, 1, Step::Change);
    assert_eq!(stage.started_ids(), [1]);
}
