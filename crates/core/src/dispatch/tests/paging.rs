//! Lanes whose rows are partly in the store only.

use super::*;

/// Rows as the store has them, ready now.
fn rows(lane: Lane, ids: std::ops::RangeInclusive<i64>) -> impl Iterator<Item = Owed> {
    ids.map(move |id| Owed {
        id: DeliveryId::from_i64(id),
        tenant: TenantId::from_i64(1),
        lane,
        event: EventId::from_i64(id),
        revision: 1,
        ready_at: START,
        not_before: START,
        expires_at: None,
        attempts: 0,
        attempts_granted: 0,
        gate: None,
        payload: Payload::Stored,
    })
}

impl Stage {
    /// A lane with a backlog in the store, found at the start.
    fn backlog(&mut self, lane: Lane, count: i64) {
        let backlog = rows(lane, self.next_id + 1..=self.next_id + count);
        self.rows.extend(backlog.map(|row| ((lane, row.ready_at, row.id), row)));
        self.next_id += count;
        self.dispatcher.handle(Signal::Waiting { lane, next: START }, self.now);
    }
}

#[test]
fn a_row_of_later_does_not_hold_up_what_lies_behind_a_page() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    let lane = Lane { webhook, slot: 0 };
    stage.backlog(lane, 1_000);
    let asked = stage.dispatcher.next_command(stage.now);
    let Some(Command::Page { limit, .. }) = asked else { panic!("{asked:?}") };
    // While the page is read, a delivery for the next hour is committed.
    let mut later = stage.rows.first_entry().expect("the backlog").get().clone();
    (later.id, later.ready_at) = (DeliveryId::from_i64(9_999), START + HOUR_MS);
    later.not_before = later.ready_at;
    stage.rows.insert((lane, later.ready_at, later.id), later.clone());
    stage.dispatcher.handle(Signal::Owed(later), stage.now);
    let page = stage.rows.values().take(limit).cloned().collect();
    stage.signal(Signal::Paged { lane, rows: page, all: false });
    while let Some(owed) = stage.started.pop() {
        stage.finish(owed, OK);
    }
    assert_eq!(stage.ended.len(), 1_000, "all that was due, without an hour's wait");
}

/// Lanes that nothing comes out of have all of the memory.
fn full(webhooks: i64) -> Stage {
    let mut stage = Stage::new(Limits { held_rows: 64, ..Limits::default() });
    for id in 1..=webhooks {
        let webhook = stage.webhook(id, |_| {});
        stage.owe(webhook, 0, 4);
        stage.backlog(Lane { webhook, slot: 0 }, 1_000);
        stage.run_a_while();
    }
    stage
}

impl Stage {
    /// Like `run`, but gives up on what never ends.
    fn run_a_while(&mut self) {
        for _ in 0..100 {
            let Some(command) = self.dispatcher.next_command(self.now) else { return };
            self.obey(command);
        }
        panic!("{} pages, and no end", self.pages);
    }
}

#[test]
fn full_memory_is_not_read_into_again_and_again() {
    let mut stage = full(8);
    let (rows, _) = stage.dispatcher.held();
    assert!((64..=64 + 8 * 16).contains(&rows), "{rows}");
    // A webhook that answers still gets through, a few rows at a time.
    let healthy = stage.webhook(99, |_| {});
    stage.backlog(Lane { webhook: healthy, slot: 0 }, 1_000);
    let before = stage.pages;
    stage.run_a_while();
    let mut read = stage.take_started();
    read.retain(|owed| owed.lane.webhook == healthy);
    while let Some(owed) = read.pop() {
        stage
            .dispatcher
            .handle(Signal::Attempted(Box::new(stage.finished(owed, OK, 1))), stage.now);
        stage.run_a_while();
        read.extend(stage.take_started());
    }
    assert_eq!(stage.ended.len(), 1_000);
    let pages = stage.pages - before;
    assert!((1_000 / 16..1_000 / 8).contains(&pages), "{pages} pages for 1,000 rows");
}
