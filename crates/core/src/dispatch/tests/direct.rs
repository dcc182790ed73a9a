//! Lanes of direct deliveries.

use super::*;
use crate::direct;

fn lane_to(kind: Kind, ordering_key: Option<&str>) -> Lane {
    direct::lane(TenantId::from_i64(1), kind, "https://a.example:443", ordering_key)
}

#[test]
fn they_need_no_introduction_and_keep_to_their_kind() {
    let mut stage = Stage::new(Limits::default());
    let leads = lane_to(Kind::Lead, None).webhook;
    stage.owe(leads, 0, 200);
    let mut running = stage.take_started();
    let mut most = running.len();
    for _ in 0..1_000 {
        if let Some(owed) = running.pop() {
            stage.finish(owed, OK);
        }
        stage.pass(1);
        running.extend(stage.take_started());
        most = most.max(running.len());
    }
    assert!(most <= 5, "{most} at once");
    assert!((48..=51).contains(&stage.ended.len()), "{} in a second", stage.ended.len());
    // What waits in the store after a start is asked for as well.
    let callbacks = lane_to(Kind::Callback, None);
    stage.signal(Signal::Waiting { lane: callbacks, next: stage.now });
    assert_eq!(stage.pages, 1);
}

#[test]
fn those_with_one_ordering_key_follow_each_other() {
    let mut stage = Stage::new(Limits::default());
    let lane = lane_to(Kind::Callback, Some("job-1"));
    stage.owe(lane.webhook, lane.slot, 3);
    for _ in 0..3 {
        let mut started = stage.take_started();
        assert_eq!(started.len(), 1);
        stage.finish(started.remove(0), OK);
    }
}

#[test]
fn nothing_is_switched_off_and_no_health_is_written() {
    let mut stage = Stage::new(Limits::default());
    let lane = lane_to(Kind::Callback, None).webhook;
    stage.owe(lane, 0, 1);
    let owed = stage.take_started().remove(0);
    stage.finish(owed, Met::Status { code: 410, retry_after: None });
    assert_eq!(stage.ended[0].1, Status::Failed);
    assert_eq!(stage.news, [News::Exhausted(Reason::Refused)]);
    assert_eq!((stage.healths, stage.disabled), (0, 0));
    // The next one is tried as if nothing had been.
    stage.owe(lane, 0, 1);
    assert_eq!(stage.take_started().len(), 1);
}

#[test]
fn its_own_rules_judge_a_delivery() {
    let mut stage = Stage::new(Limits::default());
    stage.owe(lane_to(Kind::Callback, None).webhook, 0, 1);
    let mut rules = Rules::standard();
    rules.policy.max_attempts = 1;
    stage.rules = Some(Arc::new(rules));
    let owed = stage.take_started().remove(0);
    stage.finish(owed, BROKEN);
    assert_eq!((stage.ended[0].1, stage.ended[0].2), (Status::Failed, Reason::Exhausted));
}

#[test]
fn an_idle_origin_is_forgotten_but_not_what_it_asked_for() {
    let mut stage = Stage::new(Limits::default());
    let lane = lane_to(Kind::Callback, None).webhook;
    stage.owe(lane, 0, 1);
    let owed = stage.take_started().remove(0);
    let pause = RetryAfter::Seconds(3_600);
    let mut rules = Rules::standard();
    rules.policy.max_attempts = 1;
    stage.rules = Some(Arc::new(rules));
    stage.finish(owed, Met::Status { code: 429, retry_after: Some(pause) });
    assert_eq!(stage.ended.len(), 1);
    stage.pass(30 * MINUTE_MS);
    stage.owe(lane, 0, 1);
    assert_eq!(stage.take_started().len(), 0, "it asked to be left alone for an hour");
    stage.pass(30 * MINUTE_MS);
    let owed = stage.take_started().remove(0);
    stage.finish(owed, OK);
    assert!(stage.dispatcher.health(lane).is_some());
    stage.pass(FORGET_IDLE_MS);
    assert!(stage.dispatcher.health(lane).is_none());
}
