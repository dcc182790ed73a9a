use super::*;

const OPEN: View<'_> = View { workers: &[7], silent_ms: 300 };
const TIMEOUT_MS: i64 = 30_000;

type Board = Releases<&'static str, u16>;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_795_362_000_000 + ms)
}

fn ticket(attempt: u16) -> Ticket {
    Ticket { delivery: DeliveryId::from_i64(5), attempt, call: 0 }
}

fn begin(board: &mut Board, ms: i64) -> Begun<&'static str, u16> {
    board.begin(ticket(1), "owner", TIMEOUT_MS, at(ms))
}

#[test]
fn whoever_waits_hears_the_reply_and_nobody_hears_it_twice() {
    let mut board = Board::default();
    assert_eq!(begin(&mut board, 0), Begun::Release);
    assert_eq!(board.awaited(), 1);
    board.taken(ticket(1), 7, at(10));
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
fn what_was_taken_may_last_as_long_as_its_timeout() {
    let mut board = Board::default();
    begin(&mut board, 0);
    board.taken(ticket(1), 7, at(2_000));
    assert!(board.sweep(at(2_000 + TIMEOUT_MS), OPEN).is_empty());
    assert_eq!(board.sweep(at(2_000 + TIMEOUT_MS + REPLY_GRACE_MS), OPEN), ["owner"]);
}

#[test]
fn what_a_dead_worker_had_is_lost_at_once() {
    let mut board = Board::default();
    begin(&mut board, 0);
    board.taken(ticket(1), 8, at(100));
    // A new worker is not heard of yet.
    assert!(board.sweep(at(200), OPEN).is_empty());
    assert_eq!(board.sweep(at(100 + WORKER_SILENT_MS), OPEN), ["owner"]);
}

#[test]
fn a_short_cut_loses_nothing_that_was_taken() {
    let mut board = Board::default();
    begin(&mut board, 0);
    board.taken(ticket(1), 8, at(100));
    let cut = |silent_ms| View { workers: &[], silent_ms };
    assert!(board.sweep(at(3_500), cut(3_400)).is_empty(), "the worker may be alive");
    assert_eq!(board.sweep(at(4_200), cut(4_100)), ["owner"]);
    begin(&mut board, 10_000);
    assert_eq!(board.sweep(at(11_500), cut(1_500)), ["owner"], "nobody has it");
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
    board.taken(ticket(1), 7, at(0));
    assert_eq!(begin(&mut board, 1_000), Begun::UnderWay);
    assert!(board.sweep(at(30_000), OPEN).is_empty());
    assert_eq!(board.replied(ticket(1), 500, at(30_100)), Some(("owner", 500)));
}

#[test]
fn a_reply_is_of_its_own_attempt_only() {
    let mut board = Board::default();
    board.replied(ticket(1), 200, at(0));
    assert_eq!(board.begin(ticket(2), "owner", TIMEOUT_MS, at(1)), Begun::Release);
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
        board.replied(Ticket { delivery, attempt: 1, call: 0 }, (), at(0));
    }
    assert_eq!((board.entries.len(), board.awaited()), (REPLIES_KEPT_MAX, 0));
    assert!(board.sweep(at(REPLY_KEPT_MS), OPEN).is_empty());
    assert!(board.entries.is_empty());
    assert_eq!(board.unawaited, 0);
}
