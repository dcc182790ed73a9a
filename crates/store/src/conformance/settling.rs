//! Settlements: what an attempt led to is written once, whole, and told.

use tidings_core::delivery::{Lane, Status};
use tidings_core::health::Health;
use tidings_core::settlement::{INACTIVE_MESSAGE, Reason, Settlement, Verdict};
use tidings_core::time::MINUTE_MS;

use super::world::{Factory, TENANT, World};
use crate::catalogue::webhooks;
use crate::{Committed, Control};

pub async fn a_first_success_is_read_back_with_its_attempt(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    let waiting = world.store.delivery(TENANT, owed.id).await.expect("read").expect("there");
    assert_eq!((waiting.status, waiting.attempts), (Status::Pending, 0));
    assert_eq!(waiting.next_attempt_at, Some(owed.not_before));
    let attempt = world.success(&owed).attempt.expect("one");
    let told = world.succeed(&owed).await;
    assert!(
        matches!(told.as_slice(), [Committed::Settled { id, again: None, .. }] if *id == owed.id)
    );
    let ended = world.store.delivery(TENANT, owed.id).await.expect("read").expect("there");
    assert_eq!((ended.status, ended.reason), (Status::Success, Some(Reason::Delivered)));
    assert_eq!((ended.attempts, ended.response_status), (1, Some(200)));
    assert_eq!((ended.event_type.as_str(), ended.error.as_str()), ("job.completed", ""));
    assert_eq!(ended.response_body, "answer 200");
    assert_eq!(ended.last_attempt_at, Some(attempt.started_at));
    assert_eq!((ended.completed_at, ended.next_attempt_at), (Some(world.now()), None));
    let attempts = world.store.attempts(TENANT, owed.id).await.expect("read");
    assert_eq!(attempts.len(), 1);
    assert_eq!((&attempts[0].attempt, attempts[0].retry_at), (&attempt, None));
    let stranger = tidings_core::id::TenantId::from_i64(2);
    assert_eq!(world.store.delivery(stranger, owed.id).await, Ok(None));
    assert_eq!(world.store.attempts(stranger, owed.id).await, Ok(Vec::new()));
}

pub async fn a_retry_moves_the_row_and_keeps_its_attempts(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    let again = world.retry(&owed, MINUTE_MS).await;
    assert_eq!((again.attempts, again.ready_at), (1, world.now() + MINUTE_MS));
    assert!(again.payload.event().is_some(), "the payload stays at hand");
    let waiting = world.store.delivery(TENANT, owed.id).await.expect("read").expect("there");
    assert_eq!((waiting.status, waiting.response_status), (Status::Retrying, Some(500)));
    assert_eq!(waiting.error, "HTTP 500: Internal Server Error");
    assert_eq!(waiting.next_attempt_at, Some(again.not_before));
    world.advance(MINUTE_MS);
    world.succeed(&again).await;
    let attempts = world.store.attempts(TENANT, owed.id).await.expect("read");
    let numbers: Vec<u16> = attempts.iter().map(|record| record.attempt.number).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(attempts[0].retry_at, Some(again.not_before));
    assert_eq!((attempts[1].retry_at, attempts[1].attempt.error_type), (None, ""));
    let ended = world.store.delivery(TENANT, owed.id).await.expect("read").expect("there");
    assert_eq!((ended.status, ended.attempts), (Status::Success, 2));
    assert_eq!((ended.response_body.as_str(), ended.error.as_str()), ("answer 200", ""));
}

pub async fn a_dead_letter_keeps_its_reason_and_error(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    let again = world.retry(&owed, 1).await;
    world.fail(&again).await;
    let ended = world.store.delivery(TENANT, owed.id).await.expect("read").expect("there");
    assert_eq!((ended.status, ended.reason), (Status::Failed, Some(Reason::Exhausted)));
    assert_eq!((ended.error_type, ended.response_status), ("http", Some(500)));
    assert_eq!(ended.error, "HTTP 500: Internal Server Error");
    let owed = world.publish(&[webhook]).await.remove(0);
    let end = Verdict::End { status: Status::Failed, reason: Reason::Inactive };
    let gone = Settlement { attempt: None, verdict: end, ..world.success(&owed) };
    world.settle(gone).await;
    let ended = world.store.delivery(TENANT, owed.id).await.expect("read").expect("there");
    assert_eq!((ended.attempts, ended.error.as_str()), (0, INACTIVE_MESSAGE));
    assert_eq!(ended.last_attempt_at, None);
}

pub async fn an_ordered_lane_keeps_its_places(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let first = world.publish(&[webhook]).await.remove(0);
    world.advance(5);
    let second = world.publish(&[webhook]).await.remove(0);
    let not_before = world.now() + MINUTE_MS;
    let verdict = Verdict::Retry { ready_at: first.ready_at, not_before, attempts_granted: 3 };
    let held = Settlement { verdict, ..world.failure(&first, 0) };
    world.settle(held).await;
    let page = world.store.page(first.lane, 10).await.expect("read");
    assert_eq!(page.iter().map(|owed| owed.id).collect::<Vec<_>>(), [first.id, second.id]);
    assert_eq!((page[0].ready_at, page[0].not_before), (first.ready_at, not_before));
    assert_eq!((page[0].attempts, page[0].attempts_granted), (1, 3));
}

pub async fn a_settlement_of_something_cancelled_changes_nothing(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    let cancel = Control::Cancel { tenant: TENANT, delivery: owed.id };
    world.store.control(cancel).await.expect("cancelled");
    assert!(matches!(world.told().await.as_slice(), [Committed::Ended { .. }]));
    let told = world.succeed(&owed).await;
    assert!(matches!(told.as_slice(), [Committed::Late { id, .. }] if *id == owed.id));
    let ended = world.store.delivery(TENANT, owed.id).await.expect("read").expect("there");
    assert_eq!(ended.status, Status::Cancelled);
    let totals = world.store.webhook_totals(webhook).await.expect("read");
    assert!(totals.reconciles());
    assert_eq!((totals.counts.cancelled, totals.counts.success), (1, 0));
}

pub async fn a_settlement_written_twice_counts_once(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    let again = world.retry(&owed, 50).await;
    // The row has moved on: it is told as it is now, so that nobody loses it.
    let told = world.retry(&owed, 99).await;
    assert_eq!((told.attempts, told.ready_at), (1, again.ready_at));
    let totals = world.store.webhook_totals(webhook).await.expect("read");
    assert_eq!((totals.counts.attempts, totals.retrying, totals.pending), (1, 1, 0));
}

pub async fn health_is_written_with_the_settlement(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    let mut health = Health::default();
    health.on_failure(world.now(), world.now());
    let settlement = Settlement { health: Some(health.clone()), ..world.failure(&owed, 1) };
    world.settle(settlement).await;
    let healths = world.store.healths().await.expect("read");
    assert_eq!(healths.len(), 1);
    assert_eq!((healths[0].0, healths[0].1.failures_in_a_row), (webhook, 1));
}

pub async fn a_settlement_can_switch_a_webhook_off(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook();
    let made = webhooks::insert(&webhook, b"sealed".to_vec());
    world.store.change(made.into()).await.expect("created");
    let owed = world.publish(&[webhook.id, webhook.id]).await;
    world.advance(10);
    let end = Verdict::End { status: Status::Failed, reason: Reason::Refused };
    let gone = Settlement { disable: Some("gone"), verdict: end, ..world.failure(&owed[0], 0) };
    let told = world.settle(gone).await;
    assert!(told.iter().any(|committed| matches!(
        committed,
        Committed::Disabled { webhook: id, revision: 2, reason: "gone" } if *id == webhook.id
    )));
    let record = world.store.webhook(webhook.id).await.expect("read").expect("there");
    assert_eq!((record.webhook.active, record.webhook.revision), (false, 2));
    assert_eq!(record.webhook.disabled_reason.as_deref(), Some("gone"));
    assert_eq!(record.webhook.inactive_since, Some(world.now()));
    assert_eq!(record.sealed, b"sealed");
    let before = world.store.webhook_revision(webhook.id, 1).await.expect("read");
    assert!(before.is_some_and(|webhook| webhook.active));
    world.store.maintain().await.expect("maintained");
    let other = world.store.delivery(TENANT, owed[1].id).await.expect("read").expect("there");
    assert_eq!((other.status, other.reason), (Status::Failed, Some(Reason::Inactive)));
}

pub async fn announcements_are_published_with_the_settlement(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let (webhook, listener) = (world.webhook_id(), world.webhook_id());
    let owed = world.publish(&[webhook]).await.remove(0);
    let announcements = vec![world.publication(&[listener])];
    let settlement = Settlement { announcements, ..world.success(&owed) };
    let told = world.settle(settlement).await;
    let [Committed::Settled { .. }, Committed::Owed(news)] = told.as_slice() else {
        panic!("told {told:?}")
    };
    assert_eq!(news.lane, Lane { webhook: listener, slot: 0 });
    assert!(news.payload.event().is_some());
    assert!(world.store.event(news.event).await.expect("read").is_some());
}

pub async fn an_ending_without_an_attempt_is_told(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let webhook = world.webhook_id();
    let owed = world.publish(&[webhook]).await.remove(0);
    let again = world.retry(&owed, 1).await;
    let end = Verdict::End { status: Status::Expired, reason: Reason::Expired };
    let expired = Settlement { attempt: None, verdict: end, ..world.success(&again) };
    let told = world.settle(expired).await;
    assert!(matches!(told.as_slice(), [Committed::Settled { again: None, .. }]));
    let ended = world.store.delivery(TENANT, owed.id).await.expect("read").expect("there");
    assert_eq!((ended.status, ended.attempts), (Status::Expired, 1));
    // What its last attempt met is still to be seen.
    assert_eq!((ended.response_status, ended.response_body.as_str()), (Some(500), "answer 500"));
    let totals = world.store.webhook_totals(webhook).await.expect("read");
    assert_eq!((totals.counts.expired, totals.counts.attempts), (1, 1));
    assert!(totals.reconciles());
}

pub async fn pages_are_the_least_rows_of_a_lane(factory: &dyn Factory) {
    let mut world = World::new(factory);
    let (webhook, other) = (world.webhook_id(), world.webhook_id());
    let mut expected = Vec::new();
    for n in 0..20_i64 {
        let mut publication = world.publication(&[webhook, other]);
        let owed = &mut publication.events[0].deliveries[0];
        owed.ready_at = world.now() + (n * 7) % 5;
        owed.not_before = owed.ready_at;
        owed.lane.slot = u8::from(n % 4 == 3);
        expected.push(owed.clone());
        world.store.publish(publication).await.expect("published");
    }
    world.told_owed(40).await;
    expected.sort_by_key(|owed| (owed.lane.slot, owed.key()));
    for slot in [0, 1] {
        let lane = Lane { webhook, slot };
        let ids: Vec<_> =
            expected.iter().filter(|owed| owed.lane == lane).map(|owed| owed.id).collect();
        let page = world.store.page(lane, 7).await.expect("read");
        let read: Vec<_> = page.iter().map(|owed| owed.id).collect();
        assert_eq!(read, ids[..ids.len().min(7)]);
    }
    let lanes = [(1, 3), (0, 1_000), (2, 5), (0, 2)];
    let lanes = lanes.map(|(slot, limit)| (Lane { webhook, slot }, limit));
    let pages = world.store.pages(&lanes).await.expect("read");
    for ((lane, limit), page) in lanes.into_iter().zip(&pages) {
        let alone = world.store.page(lane, limit).await.expect("read");
        assert_eq!(format!("{page:?}"), format!("{alone:?}"));
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 15, 0, 2]);
}

pub async fn lanes_are_summed_up(factory: &dyn Factory) {
    let mut world = World::new(factory);
    assert_eq!(world.store.lanes().await, Ok(Vec::new()));
    let (webhook, other) = (world.webhook_id(), world.webhook_id());
    let owed = world.publish(&[webhook, other, webhook]).await;
    world.retry(&owed[0], MINUTE_MS).await;
    world.retry(&owed[1], MINUTE_MS).await;
    let lanes = world.store.lanes().await.expect("read");
    let summary: Vec<_> = lanes.iter().map(|lane| (lane.lane.webhook, lane.next)).collect();
    let later = world.now() + MINUTE_MS;
    assert_eq!(summary, [(webhook, world.now()), (other, later)]);
}
