use super::*;

/// What lies between has just answered.
const OPEN: i64 = 300;

type Board = Releases<&'static str, u16>;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_795_362_000_000 + ms)
}

fn ticket(attempt: u16) -> Ticket {
    Ticket { delivery: DeliveryId::from_i64(5), shard: 7, attempt, call: 0 }
}

fn begin(board: &mut Board, ms: i64) -> Begun<&'static str, u16> {
    board.begin(ticket(1), 1_000, "owner", at(ms))
}

#[test]
fn whoever_waits_hears_the_reply_and_nobody_hears_it_twice() {
    let mut board = Board::default();
    assert_eq!(begin(&mut board, 0), Begun::Release);
    assert_eq!(board.awaited(), 1);
    board.taken(ticket(1), at(10));
    assert_eq!(board.replied(ticket(1), 200, at(50)), Some(("owner", 200)));
    assert_eq!(board.awaited(), 0);
    // The second of two workers that had it.
    assert_eq!(board.replied(ticket(1), 201, at(60)), None);
    assert_eq!(board.awaited(), 0);
}

#[test]
fn what_nobody_takes_is_lost_after_no_worker_would_start_it() {
    let mut board = Board::default();
    begin(&mut board, 0);
    assert!(board.sweep(at(RELEASE_WAIT_MS), OPEN).is_empty());
    assert_eq!(board.sweep(at(RELEASE_WAIT_MS + RELEASE_GRACE_MS), OPEN), ["owner"]);
    assert_eq!(begin(&mut board, 5_000), Begun::Release, "it is forgotten");
}

#[test]
fn what_was_taken_lasts_for_as_long_as_its_worker_says_so() {
    let mut board = Board::default();
    begin(&mut board, 0);
    for second in 0..100 {
        board.taken(ticket(1), at(second * 1_000));
        assert!(board.sweep(at(second * 1_000 + 900), OPEN).is_empty());
    }
    // The worker is dead; or it has replied, and what it said was lost.
    assert!(board.sweep(at(99_000 + WORKER_SILENT_MS - 1), OPEN).is_empty());
    assert_eq!(board.sweep(at(99_000 + WORKER_SILENT_MS), OPEN), ["owner"]);
}

#[test]
fn while_no_word_can_come_what_was_taken_is_not_lost_at_once() {
    let mut board = Board::default();
    begin(&mut board, 0);
    board.taken(ticket(1), at(100));
    for ms in (1_500..4_000).step_by(250) {
        assert!(board.sweep(at(100 + ms), ms).is_empty(), "the worker may be alive");
    }
    assert!(board.sweep(at(4_200), OPEN).is_empty(), "a word is on its way");
    assert_eq!(board.sweep(at(5_600), OPEN), ["owner"]);
    begin(&mut board, 10_000);
    board.taken(ticket(1), at(10_000));
    assert_eq!(board.sweep(at(14_000), AWAY_TAKEN_MS), ["owner"]);
    begin(&mut board, 20_000);
    assert_eq!(board.sweep(at(21_500), AWAY_MS), ["owner"], "nobody has it");
}

#[test]
fn a_new_owner_finds_the_reply_to_the_old_one() {
    let mut board = Board::default();
    assert_eq!(board.replied(ticket(1), 200, at(0)), None);
    assert_eq!(begin(&mut board, 1_000), Begun::Replied("owner", 200));
    assert_eq!(begin(&mut board, 2_000), Begun::Release, "a reply counts once");
}

#[test]
fn a_new_owner_waits_for_what_is_under_way() {
    let mut board = Board::default();
    board.taken(ticket(1), at(0));
    assert_eq!(begin(&mut board, 1_000), Begun::UnderWay);
    board.taken(ticket(1), at(2_000));
    assert!(board.sweep(at(4_000), OPEN).is_empty());
    assert_eq!(board.replied(ticket(1), 500, at(4_100)), Some(("owner", 500)));
}

#[test]
fn a_reply_is_of_its_own_attempt_only() {
    let mut board = Board::default();
    board.replied(ticket(1), 200, at(0));
    assert_eq!(board.begin(ticket(2), 1_000, "owner", at(1)), Begun::Release);
}

#[test]
fn what_could_not_be_released_is_told_to_who_waits() {
    let mut board = Board::default();
    begin(&mut board, 0);
    assert_eq!(board.withdraw(ticket(1)), Some("owner"));
    assert_eq!(board.withdraw(ticket(1)), None);
    assert_eq!(board.awaited(), 0);
}

#[test]
fn what_nobody_waits_for_is_bounded_in_number_and_time() {
    let mut board: Releases<(), ()> = Releases::default();
    for delivery in 0..REPLIES_KEPT_MAX as i64 + 10 {
        let delivery = DeliveryId::from_i64(delivery);
        board.replied(Ticket { delivery, shard: 7, attempt: 1, call: 0 }, (), at(0));
    }
    assert_eq!((board.entries.len(), board.awaited()), (REPLIES_KEPT_MAX, 0));
    assert!(board.sweep(at(REPLY_KEPT_MS), OPEN).is_empty());
    assert!(board.entries.is_empty());
    assert_eq!(board.unawaited, 0);
}

#[test]
fn where_nobody_takes_anything_nothing_is_released_for_a_while() {
    let mut board = Board::default();
    let (mut ms, lost_after) = (0, RELEASE_WAIT_MS + RELEASE_GRACE_MS);
    let mut lose = |board: &mut Board, after: i64, silent_ms| {
        begin(board, ms);
        assert_eq!(board.sweep(at(ms + after), silent_ms), ["owner"]);
        ms += 100_000;
        at(ms - 100_000 + after)
    };
    let now = lose(&mut board, lost_after, OPEN);
    assert!(board.rests(now));
    assert!(!board.rests(now + RELEASE_REST_MS), "it is tried again");
    let now = lose(&mut board, AWAY_MS, AWAY_MS);
    assert!(!board.rests(now), "it was away, and is back when it is back");
}

/// Whoever took them cannot say so, or is gone.
#[test]
fn after_a_loss_one_release_tries_whether_anybody_is_heard() {
    let mut board = Board::default();
    begin(&mut board, 0);
    board.begin(ticket(2), 1_000, "other", at(0));
    board.taken(ticket(2), at(10));
    assert!(board.has_room(1_000));
    assert_eq!(board.sweep(at(10 + WORKER_SILENT_MS), OPEN), ["other"]);
    assert!(!board.has_room(1_000), "the first waits still");
    assert_eq!(board.sweep(at(RELEASE_WAIT_MS + RELEASE_GRACE_MS), OPEN), ["owner"]);
    assert!(!board.rests(at(RELEASE_WAIT_MS + RELEASE_GRACE_MS)), "somebody was heard");
    assert!(board.has_room(1_000));
    begin(&mut board, 5_000);
    assert!(!board.has_room(1_000), "one is enough");
    board.taken(ticket(1), at(5_010));
    board.begin(ticket(3), 1_000, "third", at(5_020));
    assert!(board.has_room(1_000));
}

#[test]
fn workers_that_are_busy_are_no_reason_to_rest() {
    let mut board = Board::default();
    begin(&mut board, 0);
    board.begin(ticket(2), 1_000, "other", at(0));
    board.taken(ticket(2), at(0));
    board.taken(ticket(2), at(3_000));
    assert_eq!(board.sweep(at(RELEASE_WAIT_MS + RELEASE_GRACE_MS), OPEN), ["owner"]);
    assert!(!board.rests(at(RELEASE_WAIT_MS + RELEASE_GRACE_MS)));
}

#[test]
fn what_was_sent_already_or_is_under_way_is_known() {
    let mut board = Board::default();
    assert!(!board.knows(ticket(1)));
    board.begin(ticket(1), 1_000, "owner", at(0));
    assert!(!board.knows(ticket(1)), "it may be under way");
    board.taken(ticket(1), at(0));
    assert!(board.knows(ticket(1)));
    board.replied(ticket(2), 200, at(0));
    assert!(board.knows(ticket(2)));
}

#[test]
fn what_waits_for_workers_is_bounded_in_bytes() {
    let mut board = Board::default();
    assert!(board.has_room(2 * RELEASE_BYTES_MAX), "one is never too large");
    board.begin(ticket(1), RELEASE_BYTES_MAX - 1_000, "owner", at(0));
    assert!(board.has_room(1_000));
    assert!(!board.has_room(1_001));
    board.begin(ticket(2), 1_000, "other", at(0));
    assert!(!board.has_room(1));
    // Each way out of waiting makes room again.
    board.taken(ticket(1), at(10));
    board.taken(ticket(1), at(20));
    assert!(board.has_room(RELEASE_BYTES_MAX - 1_000));
    assert!(!board.has_room(RELEASE_BYTES_MAX));
    board.withdraw(ticket(2));
    assert_eq!(board.waiting_bytes, 0);
    board.begin(ticket(3), 500, "third", at(30));
    board.begin(ticket(3), 500, "third", at(40));
    assert_eq!(board.waiting_bytes, 500, "released again");
    board.replied(ticket(3), 200, at(50));
    assert_eq!(board.waiting_bytes, 0);
    board.begin(ticket(4), 500, "fourth", at(60));
    board.sweep(at(10_000), OPEN);
    assert_eq!(board.waiting_bytes, 0);
}

#[test]
fn words_that_are_repeated_for_ever_hold_nothing_up_for_ever() {
    let mut board = Board::default();
    begin(&mut board, 0);
    let lost_at = (0..).step_by(1_000).find(|&ms| {
        board.taken(ticket(1), at(ms));
        !board.sweep(at(ms), OPEN).is_empty()
    });
    assert_eq!(lost_at, Some(TAKEN_MS_MAX));
}

/// Somebody pushes again what a worker said before, in any order.
#[test]
fn what_is_said_again_changes_nothing() {
    let mut board = Board::default();
    begin(&mut board, 0);
    board.taken(ticket(1), at(10));
    assert_eq!(board.replied(ticket(1), 200, at(50)), Some(("owner", 200)));
    // The delivery goes on with its second attempt.
    assert_eq!(board.begin(ticket(2), 1_000, "owner", at(60)), Begun::Release);
    for ms in (100..400).step_by(100) {
        board.taken(ticket(1), at(ms));
        assert_eq!(board.replied(ticket(1), 200, at(ms)), None);
        board.taken(ticket(1), at(ms));
    }
    assert_eq!(board.awaited(), 1, "the second waits still");
    board.taken(ticket(2), at(500));
    assert_eq!(board.replied(ticket(2), 500, at(600)), Some(("owner", 500)));
    board.sweep(at(400 + REPLY_KEPT_MS), OPEN);
    assert!(board.entries.is_empty());
}

#[test]
fn a_word_for_what_waits_keeps_it_from_others_for_moments_only() {
    let mut board = Board::default();
    begin(&mut board, 0);
    // That of its last release; nobody has this one.
    board.taken(ticket(1), at(100));
    assert_eq!(board.sweep(at(100 + WORKER_SILENT_MS), OPEN), ["owner"]);
    assert_eq!(begin(&mut board, 5_000), Begun::Release);
}
