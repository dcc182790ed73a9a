//! What the writer does when its database does not do as it is told, and with what is too large for one
//! transaction.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidings_core::id::TenantId;
use tidings_core::limits::{COMMIT_QUEUE_BYTES_MAX, COMMIT_QUEUE_MS_MAX};
use tidings_core::publication::{IdempotencyKey, Publication};

use self::desk::{Desk, Fate, turns};
use crate::error::WriteError;

mod desk;

/// Maintenance took it for one that was interrupted, and the publisher was told that it is there.
#[test]
fn a_fanout_that_begins_while_a_commit_is_in_doubt_is_written_whole() {
    let mut desk = Desk::new();
    desk.script(|script| script.commits.push_back(Fate::NotMade));
    let mut lost = desk.submit(desk.publication(1));
    desk.turn();
    assert!(matches!(lost.try_recv(), Ok(Err(WriteError::Unavailable(_)))));
    let large = desk.submit(desk.publication(2_500));
    let (_, answer) = turns(&mut desk, large);
    assert_eq!(answer.expect("published").events[0].deliveries, 2_500);
    assert_eq!(desk.rows("SELECT COUNT(*) FROM queue"), 2_500);
    assert_eq!(desk.rows("SELECT COUNT(*) FROM unfinished"), 0);
}

/// It tried again and again, without a pause, for as long as the database took nothing.
#[test]
fn what_cannot_be_written_is_tried_once_more_and_then_the_store_is_closed() {
    let mut desk = Desk::new();
    let owed = desk.published();
    desk.script(|script| script.rest = Some(Fate::Fails));
    desk.settle(&owed);
    desk.turn();
    let script = Arc::clone(&desk.script);
    let before = script.lock().expect("no panic").tried;
    assert!(desk.close().is_empty());
    assert_eq!(script.lock().expect("no panic").tried, before + 1);
}

#[test]
fn a_settlement_that_waits_is_written_before_the_store_is_closed() {
    let mut desk = Desk::new();
    let owed = desk.published();
    desk.script(|script| script.commits.push_back(Fate::Fails));
    desk.settle(&owed);
    desk.turn();
    assert_eq!(desk.close().len(), 1);
}

#[test]
fn a_commit_in_doubt_is_cleared_up_before_the_store_is_closed() {
    for fate in [Fate::Unanswered, Fate::NotMade] {
        let mut desk = Desk::new();
        let owed = desk.published();
        desk.script(|script| script.commits.push_back(fate));
        desk.settle(&owed);
        desk.turn();
        assert!(desk.told.try_recv().is_err());
        assert_eq!(desk.close().len(), 1, "{fate:?}");
    }
}

#[test]
fn a_commit_that_stays_in_doubt_does_not_keep_the_store_open() {
    let mut desk = Desk::new();
    let (first, second) = (desk.published(), desk.published());
    desk.script(|script| script.commits.push_back(Fate::NotMade));
    desk.settle(&first);
    desk.turn();
    desk.script(|script| script.is_away = true);
    desk.settle(&second);
    assert!(desk.close().is_empty());
}

#[test]
fn a_fanout_takes_as_many_slices_as_it_fills() {
    for (deliveries, slices) in [(1_001, 2), (2_000, 2), (2_001, 3)] {
        let mut desk = Desk::new();
        let answered = desk.submit(desk.publication(deliveries));
        let (taken, answer) = turns(&mut desk, answered);
        assert_eq!((taken, answer.is_ok()), (slices, true), "{deliveries}");
        assert_eq!(desk.rows("SELECT COUNT(*) FROM queue"), deliveries as i64);
    }
}

fn named(mut publication: Publication, name: &str) -> Publication {
    let planned = &mut publication.events[0];
    Arc::make_mut(&mut planned.event).client_id = Some(name.into());
    publication
}

/// It was written in one transaction, however large.
#[test]
fn what_is_known_of_a_fanout_is_left_out_and_the_rest_is_written_in_slices() {
    let mut desk = Desk::new();
    let answered = desk.submit(named(desk.publication(1), "a"));
    turns(&mut desk, answered).1.expect("published");
    let mut large = named(desk.publication(2_500), "a");
    large.events.extend(desk.publication(2_000).events);
    let answered = desk.submit(large);
    let (taken, answer) = turns(&mut desk, answered);
    let answer = answer.expect("published").events;
    let told: Vec<_> = answer.iter().map(|event| (event.deliveries, event.duplicate)).collect();
    assert_eq!((taken, told), (2, vec![(1, true), (2_000, false)]));
    assert_eq!(desk.rows("SELECT COUNT(*) FROM queue"), 2_001);
    // What is left of it fits into one transaction, which hides nothing.
    let mut large = named(desk.publication(2_500), "a");
    large.events.extend(desk.publication(3).events);
    let answered = desk.submit(large);
    assert_eq!(turns(&mut desk, answered).0, 1);
    assert_eq!(desk.rows("SELECT COUNT(*) FROM queue"), 2_004);
    assert_eq!(desk.rows("SELECT COUNT(*) FROM unfinished"), 0);
}

#[test]
fn a_fanout_whose_key_was_used_meanwhile_is_withdrawn() {
    let mut desk = Desk::new();
    let key = Some(IdempotencyKey { key: "k".into(), fingerprint: [7; 16] });
    let mut large = desk.submit(Publication { key: key.clone(), ..desk.publication(2_500) });
    desk.turn();
    assert!(large.try_recv().is_err(), "it waits for its slices");
    let small = desk.submit(Publication { key, ..desk.publication(1) });
    turns(&mut desk, small).1.expect("published");
    let refused = turns(&mut desk, large).1;
    assert_eq!(refused, Err(WriteError::Overloaded { retry_after_s: 1 }));
    for _ in 0..20 {
        desk.turn();
    }
    assert_eq!(desk.rows("SELECT COUNT(*) FROM queue"), 1);
    assert_eq!(desk.rows("SELECT COUNT(*) FROM events"), 1);
}

/// They went from the queue into a list of their own, and nobody counted them.
#[test]
fn fanouts_that_wait_count_until_they_are_written() {
    let mut desk = Desk::new();
    let large = |desk: &Desk| {
        let mut publication = desk.publication(3_500);
        let event = Arc::make_mut(&mut publication.events[0].event);
        event.data = vec![7; COMMIT_QUEUE_BYTES_MAX / 4].into();
        publication
    };
    let waiting: Vec<_> = (0..4).map(|_| desk.submit(large(&desk))).collect();
    let overloaded = Ok(Err(WriteError::Overloaded { retry_after_s: 1 }));
    for _ in 0..4 {
        assert_eq!(desk.submit(desk.publication(1)).try_recv(), overloaded);
        desk.turn();
    }
    for answered in waiting {
        turns(&mut desk, answered).1.expect("published");
    }
    let answered = desk.submit(desk.publication(1));
    turns(&mut desk, answered).1.expect("there is room again");
}

#[test]
fn a_tenant_whose_fanout_takes_long_is_refused_another_and_nothing_else() {
    let mut desk = Desk::new();
    let first = desk.submit(desk.publication(2_500));
    desk.turn();
    desk.clock.fetch_add(COMMIT_QUEUE_MS_MAX + 1, Ordering::Relaxed);
    let overloaded = Ok(Err(WriteError::Overloaded { retry_after_s: 1 }));
    assert_eq!(desk.submit(desk.publication(1_001)).try_recv(), overloaded);
    let theirs = Publication { tenant: TenantId::from_i64(2), ..desk.publication(1_001) };
    let waiting = [first, desk.submit(desk.publication(1)), desk.submit(theirs)];
    for answered in waiting {
        turns(&mut desk, answered).1.expect("published");
    }
    let again = desk.submit(desk.publication(1_001));
    turns(&mut desk, again).1.expect("published");
}
