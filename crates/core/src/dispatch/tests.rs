//! The dispatcher alone: one rule a test. Its life with a store, a network and crashes is simulated
//! in the crate `tidings-sim`.

mod direct;
mod gates;
mod paging;
mod shards;

use std::collections::BTreeMap;

use super::*;
use crate::delivery::Payload;
use crate::health::OPEN_AFTER_IN_A_ROW;
use crate::id::{EventId, TenantId};
use crate::retry::{RetryPolicy, Strategy};
use crate::retry_after::RetryAfter;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

const START: Timestamp = Timestamp::from_millis(1_795_362_000_000);

/// A dispatcher with a clock and a store that commits at once.
struct Stage {
    dispatcher: Dispatcher,
    now: Timestamp,
    next_id: i64,
    /// What the store holds.
    rows: BTreeMap<(Lane, Timestamp, DeliveryId), Owed>,
    started: Vec<Owed>,
    pages: usize,
    /// Shards of which nothing is given out any more.
    drained: Vec<u8>,
    ended: Vec<(DeliveryId, Status, Reason)>,
    news: Vec<News>,
    /// Settlements that wrote health, and that switched something off.
    healths: usize,
    disabled: usize,
    /// What deliveries bring along.
    rules: Option<Arc<Rules>>,
}

impl Stage {
    fn new(limits: Limits) -> Self {
        Self {
            dispatcher: Dispatcher::new(limits),
            now: START,
            next_id: 0,
            rows: BTreeMap::new(),
            started: Vec::new(),
            pages: 0,
            drained: Vec::new(),
            ended: Vec::new(),
            news: Vec::new(),
            healths: 0,
            disabled: 0,
            rules: None,
        }
    }

    fn signal(&mut self, signal: Signal) {
        self.dispatcher.handle(signal, self.now);
        self.run();
    }

    /// Carries out everything but attempts, which are collected in `started`.
    fn run(&mut self) {
        while let Some(command) = self.dispatcher.next_command(self.now) {
            self.obey(command);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Attempt(owed) => self.started.push(owed),
            Command::Settle { settlement, news } => {
                self.news.extend(news);
                self.commit(*settlement);
            }
            Command::Page { lane, limit, .. } => {
                self.pages += 1;
                let of_lane =
                    self.rows.range((lane, Timestamp::default(), DeliveryId::from_i64(0))..);
                let of_lane = of_lane.take_while(|((other, ..), _)| *other == lane);
                let rows: Vec<Owed> = of_lane.map(|(_, row)| row.clone()).take(limit).collect();
                let all = rows.len() < limit;
                self.dispatcher.handle(Signal::Paged { lane, rows, all }, self.now);
            }
            Command::Drained { shard } => self.drained.push(shard),
        }
    }

    fn commit(&mut self, settlement: Settlement) {
        self.healths += usize::from(settlement.health.is_some());
        self.disabled += usize::from(settlement.disable.is_some());
        let mut owed = settlement.owed;
        let (lane, id) = (owed.lane, owed.id);
        self.rows.remove(&(lane, owed.ready_at, id));
        let again = match settlement.verdict {
            Verdict::End { status, reason } => {
                self.ended.push((id, status, reason));
                None
            }
            Verdict::Retry { ready_at, not_before, attempts_granted } => {
                owed.attempts += 1;
                (owed.ready_at, owed.not_before) = (ready_at, not_before);
                owed.attempts_granted = attempts_granted;
                self.rows.insert((lane, ready_at, id), owed.clone());
                Some(owed)
            }
        };
        self.dispatcher.handle(Signal::Settled { lane, id, again }, self.now);
    }

    fn webhook(&mut self, id: i64, change: impl FnOnce(&mut WebhookSettings)) -> WebhookId {
        let policy = RetryPolicy {
            max_attempts: 20,
            strategy: Strategy::Fixed,
            initial_delay_ms: SECOND_MS,
            backoff_multiplier: 1.0,
            max_delay_ms: MINUTE_MS,
            jitter: false,
            schedule_ms: vec![],
        };
        let profile = tidings_wire::profile::Profile::builtin("standard").expect("built in");
        let mut settings = WebhookSettings {
            id: WebhookId::from_i64(id),
            revision: 1,
            paused: false,
            ordered: false,
            concurrency: 64,
            rate_limit: None,
            rules: Arc::new(Rules::new(policy, profile)),
            health: None,
        };
        change(&mut settings);
        let id = settings.id;
        self.signal(Signal::Webhook(Box::new(settings)));
        id
    }

    /// Publishes `count` deliveries to a lane.
    fn owe(&mut self, webhook: WebhookId, slot: u8, count: usize) {
        for _ in 0..count {
            self.next_id += 1;
            let lane = Lane { webhook, slot };
            let owed = Owed {
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
                gate: None,
                payload: Payload::Stored,
            };
            self.rows.insert((lane, owed.ready_at, owed.id), owed.clone());
            self.signal(Signal::Owed(owed));
        }
    }

    /// The attempts that have started since the last call.
    fn take_started(&mut self) -> Vec<Owed> {
        std::mem::take(&mut self.started)
    }

    fn finish(&mut self, owed: Owed, met: Met) {
        self.finish_after(owed, met, 1);
    }

    fn finish_after(&mut self, owed: Owed, met: Met, duration_ms: u32) {
        let finished = self.finished(owed, met, duration_ms);
        self.signal(Signal::Attempted(Box::new(finished)));
    }

    fn finished(&self, owed: Owed, met: Met, duration_ms: u32) -> Finished {
        let attempt = Attempt {
            number: owed.attempts + 1,
            started_at: self.now,
            duration_ms,
            revision: 1,
            signature: String::new(),
            response_status: None,
            response_headers: String::new(),
            response_body: String::new(),
            error: String::new(),
            error_type: "",
        };
        Finished { owed, attempt, met, rules: self.rules.clone() }
    }

    /// Lets time pass, waking the dispatcher when it asks for it.
    fn pass(&mut self, ms: i64) {
        let until = self.now + ms;
        while let Some(at) = self.dispatcher.wake_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.run();
        }
        self.now = until;
        self.run();
    }
}

const OK: Met = Met::Status { code: 200, retry_after: None };
const BROKEN: Met = Met::Status { code: 500, retry_after: None };

#[test]
fn turns_go_round_so_a_backlog_delays_only_itself() {
    let mut stage = Stage::new(Limits { attempts_in_flight: 8, ..Limits::default() });
    let busy = stage.webhook(1, |_| {});
    let other = stage.webhook(2, |_| {});
    stage.owe(busy, 0, 100);
    stage.owe(other, 0, 100);
    let mut turns = Vec::new();
    for _ in 0..100 {
        let owed = stage.started.remove(0);
        turns.push(owed.lane.webhook);
        stage.finish(owed, OK);
    }
    let of_other = turns.iter().filter(|webhook| **webhook == other).count();
    assert!((40..=60).contains(&of_other), "{of_other} of 100");
}

#[test]
fn hung_webhooks_leave_the_last_quarter_to_the_others() {
    let mut stage = Stage::new(Limits { attempts_in_flight: 64, ..Limits::default() });
    for id in 1..=20 {
        let hung = stage.webhook(id, |_| {});
        stage.owe(hung, 0, 100);
        stage.pass(2 * SECOND_MS);
    }
    // Twelve of them fill three quarters, four slots each; the other eight are tried once.
    assert_eq!(stage.dispatcher.in_flight(), 48 + 8);
    let healthy = stage.webhook(99, |_| {});
    stage.take_started();
    stage.owe(healthy, 0, 10);
    let first = stage.take_started().remove(0);
    stage.finish(first, OK);
    let next = stage.take_started().len();
    assert!((4..=8).contains(&next), "{next} at once, having answered");
}

#[test]
fn concurrency_is_never_exceeded_and_is_reached_by_a_quick_receiver() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| settings.concurrency = 40);
    stage.owe(webhook, 0, 400);
    let mut running = stage.take_started();
    let mut most = running.len();
    while let Some(owed) = running.pop() {
        stage.finish(owed, OK);
        running.extend(stage.take_started());
        most = most.max(running.len());
    }
    assert_eq!(most, 40);
    assert_eq!(stage.ended.len(), 400);
}

#[test]
fn a_webhook_of_one_at_a_time_gets_one_at_a_time() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| settings.concurrency = 1);
    stage.owe(webhook, 0, 3);
    assert_eq!(stage.dispatcher.in_flight(), 1);
}

#[test]
fn the_rate_holds_to_the_figure() {
    let mut stage = Stage::new(Limits::default());
    let limit = RateLimit { max: 10, per_ms: 1_000 };
    let webhook = stage.webhook(1, |settings| settings.rate_limit = Some(limit));
    stage.owe(webhook, 0, 500);
    let mut starts = Vec::new();
    for _ in 0..30_000 {
        for owed in stage.take_started() {
            starts.push(stage.now);
            stage.finish(owed, OK);
        }
        stage.pass(1);
    }
    assert!((299..=301).contains(&starts.len()), "{}", starts.len());
    for (n, first) in starts.iter().enumerate() {
        assert!(starts[n..].iter().filter(|at| at.since(*first) < 1_000).count() <= 10);
    }
}

#[test]
fn a_webhook_has_one_timer() {
    let mut stage = Stage::new(Limits::default());
    let limit = RateLimit { max: 10, per_ms: 1_000 };
    let webhook = stage.webhook(1, |settings| settings.rate_limit = Some(limit));
    stage.owe(webhook, 0, 1);
    let mut month = stage.take_started().remove(0);
    stage.rows.clear();
    stage.signal(Signal::Settled { lane: month.lane, id: month.id, again: None });
    (month.ready_at, month.not_before) = (START + 30 * DAY_MS, START + 30 * DAY_MS);
    month.id = DeliveryId::from_i64(9_999);
    stage.signal(Signal::Owed(month));
    for _ in 0..100 {
        stage.owe(webhook, 0, 2);
        stage.pass(SECOND_MS);
        assert!(stage.dispatcher.timers.len() <= 1, "{:?}", stage.dispatcher.timers);
        for owed in stage.take_started() {
            stage.finish(owed, OK);
        }
    }
    stage.signal(Signal::WebhookGone(webhook));
    assert!(stage.dispatcher.timers.is_empty());
}

#[test]
fn a_retry_waits_and_others_pass_it() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    stage.owe(webhook, 0, 2);
    let mut started = stage.take_started();
    stage.finish(started.remove(0), BROKEN);
    stage.finish(started.remove(0), OK);
    stage.pass(SECOND_MS - 1);
    assert!(stage.take_started().is_empty());
    stage.pass(1);
    let again = stage.take_started();
    assert_eq!((again[0].id.as_i64(), again[0].attempts), (1, 1));
}

#[test]
fn an_ordered_lane_waits_for_its_head_and_other_lanes_do_not() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| settings.ordered = true);
    stage.owe(webhook, 3, 3);
    stage.owe(webhook, 4, 1);
    let ids = |started: &[Owed]| started.iter().map(|o| o.id.as_i64()).collect::<Vec<_>>();
    let mut started = stage.take_started();
    assert_eq!(ids(&started), [1, 4]);
    stage.finish(started.remove(0), BROKEN);
    assert!(stage.take_started().is_empty(), "the second waits for the first");
    stage.pass(SECOND_MS);
    let mut again = stage.take_started();
    assert_eq!(ids(&again), [1]);
    stage.finish(again.remove(0), OK);
    assert_eq!(ids(&stage.take_started()), [2]);
}

#[test]
fn a_head_that_never_succeeds_holds_the_others_for_an_hour() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| {
        settings.ordered = true;
        let mut rules = (*settings.rules).clone();
        rules.policy.initial_delay_ms = 25 * MINUTE_MS;
        rules.policy.max_delay_ms = 25 * MINUTE_MS;
        settings.rules = Arc::new(rules);
    });
    stage.owe(webhook, 0, 2);
    let mut tries = 0;
    for _ in 0..65 {
        for owed in stage.take_started() {
            if owed.id.as_i64() == 2 {
                assert_eq!(tries, 4, "at 0, 25, 50 and 60 minutes");
                assert_eq!(stage.ended[0].2, Reason::OrderHold);
                return;
            }
            tries += 1;
            stage.finish(owed, BROKEN);
        }
        stage.pass(MINUTE_MS);
    }
    panic!("the second never came");
}

#[test]
fn the_breaker_opens_probes_and_closes() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    stage.owe(webhook, 0, 100);
    for _ in 0..OPEN_AFTER_IN_A_ROW {
        let owed = stage.started.remove(0);
        stage.finish(owed, BROKEN);
    }
    assert!(stage.news.contains(&News::Health(HealthNews::Opened)));
    // The attempts that were under way end; then there is one probe.
    for owed in stage.take_started() {
        stage.finish(owed, BROKEN);
    }
    stage.pass(MINUTE_MS - 1);
    assert!(stage.take_started().is_empty(), "nothing while it is open");
    stage.pass(1);
    let probe = stage.take_started();
    assert_eq!(probe.len(), 1);
    stage.finish(probe[0].clone(), OK);
    assert!(stage.news.contains(&News::Health(HealthNews::Recovered)));
    assert!(stage.take_started().len() > 1, "closed again");
}

#[test]
fn retry_after_pauses_the_whole_webhook() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| settings.concurrency = 1);
    stage.owe(webhook, 0, 2);
    let first = stage.take_started().remove(0);
    stage.finish(first, Met::Status { code: 429, retry_after: Some(RetryAfter::Seconds(60)) });
    stage.pass(59 * SECOND_MS);
    assert!(stage.take_started().is_empty());
    stage.pass(SECOND_MS);
    assert_eq!(stage.take_started().len(), 1);
}

#[test]
fn a_success_that_was_under_way_ends_no_pause() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| settings.concurrency = 2);
    stage.owe(webhook, 0, 4);
    let mut started = stage.take_started();
    let asks = Met::Status { code: 429, retry_after: Some(RetryAfter::Seconds(60)) };
    stage.finish(started.remove(0), asks);
    stage.finish(started.remove(0), OK);
    stage.pass(59 * SECOND_MS);
    assert!(stage.take_started().is_empty());
    stage.pass(SECOND_MS);
    assert!(!stage.take_started().is_empty());
}

#[test]
fn a_receiver_that_is_gone_is_switched_off_at_once() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| settings.concurrency = 1);
    stage.owe(webhook, 0, 2);
    let first = stage.take_started().remove(0);
    stage.finish(first, Met::Status { code: 410, retry_after: None });
    assert!(stage.news.contains(&News::Disabled(DISABLED_GONE)));
    assert!(stage.take_started().is_empty());
}

/// Of several attempts under way that all meet it, the first is told of.
#[test]
fn a_switch_off_is_told_once() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| settings.concurrency = 3);
    stage.owe(webhook, 0, 5);
    let started = stage.take_started();
    assert_eq!(started.len(), 3);
    for owed in started {
        stage.finish(owed, Met::Status { code: 410, retry_after: None });
    }
    let told = stage.news.iter().filter(|news| matches!(news, News::Disabled(_)));
    assert_eq!(told.count(), 1);
    assert!(stage.take_started().is_empty());
}

#[test]
fn memory_holds_the_least_few_and_the_rest_is_paged() {
    let limits = Limits { lane_rows: 8, page_rows: 8, ..Limits::default() };
    let mut stage = Stage::new(limits);
    let webhook = stage.webhook(1, |settings| settings.concurrency = 1);
    stage.owe(webhook, 0, 100);
    assert!(stage.dispatcher.held().0 <= 8);
    let mut order = Vec::new();
    while let Some(owed) = stage.take_started().pop() {
        order.push(owed.id.as_i64());
        stage.finish(owed, OK);
        assert!(stage.dispatcher.held().0 <= 8);
    }
    assert_eq!(order, (1..=100).collect::<Vec<_>>());
    assert!(stage.pages >= 100 / 16, "{}", stage.pages);
}

#[test]
fn lanes_found_at_the_start_are_read_when_they_are_due() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| settings.paused = true);
    stage.owe(webhook, 0, 3);
    let rows = std::mem::take(&mut stage.rows);
    // Another process starts, an hour before they are due.
    let mut stage = Stage::new(Limits::default());
    stage.rows = rows
        .into_iter()
        .map(|((lane, at, id), mut row)| {
            (row.ready_at, row.not_before) = (at + HOUR_MS, at + HOUR_MS);
            ((lane, row.ready_at, id), row)
        })
        .collect();
    let webhook = stage.webhook(1, |_| {});
    let lane = Lane { webhook, slot: 0 };
    stage.signal(Signal::Waiting { lane, next: START + HOUR_MS });
    assert_eq!(stage.pages, 0);
    stage.pass(HOUR_MS);
    assert_eq!(stage.take_started().len(), 3);
    assert_eq!(stage.pages, 1);
}

#[test]
fn an_expired_delivery_ends_without_an_attempt() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| settings.paused = true);
    stage.owe(webhook, 0, 1);
    let lane = Lane { webhook, slot: 0 };
    let (_, mut row) = stage.rows.pop_first().expect("it is owed");
    row.expires_at = Some(START + SECOND_MS);
    stage.signal(Signal::Ended { lane, id: row.id });
    stage.signal(Signal::Owed(row));
    stage.pass(SECOND_MS);
    stage.webhook(1, |_| {});
    assert!(stage.take_started().is_empty());
    assert_eq!(stage.ended[0].1, Status::Expired);
}

#[test]
fn a_page_that_was_read_too_early_brings_nothing_back() {
    let mut stage = Stage::new(Limits { lane_rows: 1, page_rows: 4, ..Limits::default() });
    let webhook = stage.webhook(1, |settings| settings.concurrency = 1);
    let lane = Lane { webhook, slot: 0 };
    stage.owe(webhook, 0, 1);
    let first = stage.take_started().remove(0);
    let stale = vec![first.clone()];
    // A page is asked for while the first is on the network, and arrives after it has ended.
    stage.dispatcher.handle(Signal::Waiting { lane, next: START }, stage.now);
    let page = stage.dispatcher.next_command(stage.now);
    assert!(matches!(page, Some(Command::Page { .. })), "{page:?}");
    stage.finish(first, OK);
    stage.signal(Signal::Paged { lane, rows: stale, all: true });
    assert!(stage.take_started().is_empty());
    assert_eq!(stage.ended.len(), 1);
}

#[test]
fn draining_starts_nothing_and_settles_what_is_under_way() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |settings| settings.concurrency = 1);
    stage.owe(webhook, 0, 2);
    stage.signal(Signal::Drain);
    let first = stage.take_started().remove(0);
    stage.finish(first, OK);
    assert!(stage.take_started().is_empty());
    assert_eq!(stage.dispatcher.unsettled(), 0);
}

#[test]
fn a_row_that_came_back_untried_is_tried_again() {
    let mut stage = Stage::new(Limits::default());
    let webhook = stage.webhook(1, |_| {});
    stage.owe(webhook, 0, 1);
    let first = stage.take_started().remove(0);
    stage.signal(Signal::Returned(Box::new(first)));
    assert!(stage.take_started().is_empty());
    stage.pass(SECOND_MS);
    assert_eq!(stage.take_started().len(), 1);
}
