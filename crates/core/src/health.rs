//! The health of a webhook: when to hold back, when to probe, when to switch it off, what to tell.
//!
//! The breaker opens after [`OPEN_AFTER_IN_A_ROW`] failures in a row, or when at least 70 % of at
//! least 20 attempts failed within five minutes. While it is open the webhook's deliveries wait and
//! use up no attempts. After 1, 2, 4 … 15 minutes one probe is let through: its success closes the
//! breaker, its failure opens it for longer.

use serde::{Deserialize, Serialize};

use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};

/// Failures in a row that open the breaker.
pub const OPEN_AFTER_IN_A_ROW: u32 = 10;
const WINDOW_MS: i64 = 5 * MINUTE_MS;
const WINDOW_ATTEMPTS_MIN: u32 = 20;
const WINDOW_FAILED_PERCENT: u32 = 70;
const PROBE_AFTER_MS: i64 = MINUTE_MS;
const PROBE_AFTER_MS_MAX: i64 = 15 * MINUTE_MS;
/// A webhook with nothing but failures for so long, over so many attempts, is switched off.
pub const DISABLE_AFTER_MS: i64 = 5 * DAY_MS;
const DISABLE_ATTEMPTS_MIN: u32 = 10;
/// `webhook.failing` is told when failures have lasted so long.
const WARN_AFTER_MS: [i64; 2] = [24 * HOUR_MS, 72 * HOUR_MS];

/// What is remembered of a webhook's recent answers. Written only when it changes, which a healthy
/// webhook's does not.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Health {
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// The first of them.
    pub failing_since: Option<Timestamp>,
    pub last_failure_at: Option<Timestamp>,
    pub breaker: Breaker,
    /// The receiver asked (429 or 503 with Retry-After) to be left alone until then.
    pub paused_until: Option<Timestamp>,
    /// How many of the warnings have been told.
    warnings: u8,
    #[serde(skip)]
    window: Window,
}

/// Whether attempts are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Breaker {
    #[default]
    Closed,
    /// Nothing until `until`, then one probe. `trips` counts the openings since it was closed.
    Open { until: Timestamp, trips: u32 },
}

/// Attempts of the last minutes, for the share that failed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Window {
    started_at: Timestamp,
    attempts: u32,
    failed: u32,
}

/// What is worth telling the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthNews {
    /// The breaker opened.
    Opened,
    /// Nothing but failures for a day, or for three.
    Failing,
    /// The first success after the breaker had opened or a warning was told.
    Recovered,
    /// Nothing but failures for five days: it is to be switched off.
    GiveUp,
}

impl Health {
    /// Until when nothing may be sent, if anything holds it back at `now`.
    #[must_use]
    pub fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        let breaker = match self.breaker {
            Breaker::Closed => None,
            Breaker::Open { until, .. } => Some(until),
        };
        breaker.max(self.paused_until).filter(|&until| until > now)
    }

    /// Whether only one attempt, a probe, may be in flight.
    #[must_use]
    pub fn is_probing(&self) -> bool {
        matches!(self.breaker, Breaker::Open { .. })
    }

    /// Notes the success of an attempt that began then. Returns what to tell; `changed` says whether
    /// there is anything to write.
    pub fn on_success(&mut self, began: Timestamp, now: Timestamp) -> (Option<HealthNews>, bool) {
        self.count(now, false);
        let stays_open = self.is_probing() && !self.is_probe(began);
        let was_told = self.is_probing() || self.warnings > 0;
        let next = Self {
            window: self.window,
            last_failure_at: self.last_failure_at,
            breaker: if stays_open { self.breaker } else { Breaker::Closed },
            // A pause is a floor: what was under way does not end it.
            paused_until: self.paused_until.filter(|&until| began < until),
            ..Self::default()
        };
        let changed = next != *self;
        if self.is_probing() && !stays_open {
            // Its failures are of before: with them the next would open it again at once.
            self.window = Window::default();
        }
        *self = Self { window: self.window, ..next };
        ((was_told && !stays_open).then_some(HealthNews::Recovered), changed)
    }

    /// Notes a failure, that is the receiver's own, of an attempt that began then.
    pub fn on_failure(&mut self, began: Timestamp, now: Timestamp) -> Option<HealthNews> {
        self.count(now, true);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.last_failure_at = Some(now);
        let since = *self.failing_since.get_or_insert(now);
        let opened = self.trip(began, now);
        let lasting = now.since(since);
        if lasting >= DISABLE_AFTER_MS && self.failures_in_a_row >= DISABLE_ATTEMPTS_MIN {
            return Some(HealthNews::GiveUp);
        }
        let due = WARN_AFTER_MS.iter().filter(|&&after| lasting >= after).count() as u8;
        if due > self.warnings {
            self.warnings = due;
            return Some(HealthNews::Failing);
        }
        opened.then_some(HealthNews::Opened)
    }

    /// The receiver asked for a pause.
    pub fn on_pause(&mut self, until: Timestamp) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// Whether an attempt that began then is the probe: those of before the breaker opened may last for
    /// longer than it is open.
    fn is_probe(&self, began: Timestamp) -> bool {
        matches!(self.breaker, Breaker::Open { until, .. } if until <= began)
    }

    /// Opens the breaker when the failures call for it; tells whether it was closed before.
    fn trip(&mut self, began: Timestamp, now: Timestamp) -> bool {
        match self.breaker {
            Breaker::Closed => {
                let share =
                    self.window.failed * 100 >= self.window.attempts * WINDOW_FAILED_PERCENT;
                let too_many = share && self.window.attempts >= WINDOW_ATTEMPTS_MIN;
                if self.failures_in_a_row >= OPEN_AFTER_IN_A_ROW || too_many {
                    self.breaker = Breaker::Open { until: now + PROBE_AFTER_MS, trips: 1 };
                    return true;
                }
            }
            // The outcome of an attempt that was in flight when the breaker opened changes nothing.
            Breaker::Open { .. } if !self.is_probe(began) => {}
            Breaker::Open { trips, .. } => {
                let wait = PROBE_AFTER_MS << trips.min(4);
                let until = now + wait.min(PROBE_AFTER_MS_MAX);
                self.breaker = Breaker::Open { until, trips: trips.saturating_add(1) };
            }
        }
        false
    }

    fn count(&mut self, now: Timestamp, failed: bool) {
        if now.since(self.window.started_at) > WINDOW_MS {
            self.window = Window { started_at: now, attempts: 0, failed: 0 };
        }
        self.window.attempts = self.window.attempts.saturating_add(1);
        self.window.failed = self.window.failed.saturating_add(u32::from(failed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000_000 + ms)
    }

    /// Ten failures have opened it.
    fn opened() -> Health {
        let mut health = Health::default();
        for n in 0..10 {
            health.on_failure(at(n), at(n));
        }
        health
    }

    #[test]
    fn opens_after_ten_failures_and_probes_ever_more_rarely() {
        let mut health = Health::default();
        for n in 0..9 {
            assert_eq!(health.on_failure(at(n), at(n)), None);
        }
        assert_eq!(health.on_failure(at(9), at(9)), Some(HealthNews::Opened));
        assert_eq!(health.held_until(at(10)), Some(at(9) + MINUTE_MS));
        let probe = at(9) + MINUTE_MS;
        assert_eq!(health.held_until(probe), None);
        assert!(health.is_probing());
        health.on_failure(probe, probe);
        assert_eq!(health.held_until(probe), Some(probe + 2 * MINUTE_MS));
        let (news, changed) = health.on_success(probe + 2 * MINUTE_MS, probe + 2 * MINUTE_MS);
        assert_eq!((news, changed), (Some(HealthNews::Recovered), true));
        assert!(!health.is_probing() && health.failures_in_a_row == 0);
    }

    #[test]
    fn a_late_failure_does_not_lengthen_an_open_breaker() {
        let mut health = Health::default();
        for n in 0..10 {
            health.on_failure(at(n), at(n));
        }
        let held = health.held_until(at(10));
        health.on_failure(at(11), at(11));
        assert_eq!(health.held_until(at(12)), held);
    }

    #[test]
    fn opens_at_seventy_percent_of_twenty() {
        let mut health = Health::default();
        for n in 0..30 {
            let news = if n % 4 == 3 {
                health.on_success(at(n), at(n)).0
            } else {
                health.on_failure(at(n), at(n))
            };
            if news == Some(HealthNews::Opened) {
                assert!(n >= 19);
                return;
            }
        }
        panic!("three failures in four never opened it");
    }

    #[test]
    fn five_days_of_nothing_but_failure_switch_it_off() {
        let mut health = Health::default();
        let mut told = Vec::new();
        for hour in 0..=120 {
            told.extend(health.on_failure(at(hour * HOUR_MS), at(hour * HOUR_MS)));
        }
        assert_eq!(told.iter().filter(|&&n| n == HealthNews::Failing).count(), 2);
        assert_eq!(told.last(), Some(&HealthNews::GiveUp));
    }

    #[test]
    fn a_healthy_webhook_writes_nothing() {
        let mut health = Health::default();
        assert_eq!(health.on_success(at(0), at(0)), (None, false));
    }

    #[test]
    fn what_was_under_way_ends_no_pause_and_closes_no_breaker() {
        let mut health = Health::default();
        health.on_pause(at(HOUR_MS));
        assert_eq!(health.on_success(at(0), at(1)).0, None);
        assert_eq!(health.held_until(at(2)), Some(at(HOUR_MS)));
        let mut health = opened();
        let until = health.held_until(at(10));
        // It lasts for longer than the breaker is open, and is no probe.
        assert_eq!(health.on_success(at(0), at(2 * MINUTE_MS)), (None, true));
        assert!(health.is_probing() && health.failures_in_a_row == 0);
        health.on_failure(at(0), at(2 * MINUTE_MS));
        assert_eq!(health.held_until(at(2 * MINUTE_MS)), None, "a probe may still begin");
        let began = until.expect("it is open");
        assert_eq!(health.on_success(began, began + 1), (Some(HealthNews::Recovered), true));
        assert!(!health.is_probing());
    }

    #[test]
    fn a_warning_is_taken_back_by_any_success_while_it_is_closed() {
        let mut health = Health::default();
        health.on_failure(at(0), at(0));
        assert_eq!(health.on_failure(at(DAY_MS), at(DAY_MS)), Some(HealthNews::Failing));
        health.on_pause(at(2 * DAY_MS));
        assert_eq!(health.on_success(at(DAY_MS), at(DAY_MS)), (Some(HealthNews::Recovered), true));
        assert_eq!(health.paused_until, Some(at(2 * DAY_MS)));
    }

    #[test]
    fn the_share_of_failures_is_counted_afresh_after_a_probe() {
        let mut health = opened();
        for n in 10..30 {
            health.on_failure(at(0), at(n));
        }
        let probe = at(9) + MINUTE_MS;
        health.on_success(probe, probe);
        assert_eq!(health.on_failure(probe, probe + 1), None);
        assert!(!health.is_probing());
    }

    /// Of 64 at once three in four fail, each after 100 ms or so.
    #[test]
    fn a_receiver_that_mostly_fails_is_told_of_now_and_then() {
        let mut health = Health::default();
        let mut under_way: Vec<(i64, i64)> = Vec::new();
        let (mut told, mut nth) = (0, 0);
        for ms in 0..10 * MINUTE_MS {
            let (over, still) = under_way.into_iter().partition(|&(_, end)| end <= ms);
            under_way = still;
            for (began, _) in Vec::from_iter::<Vec<_>>(over) {
                nth += 1;
                let fails = nth % 4 != 0;
                let news = if fails {
                    health.on_failure(at(began), at(ms))
                } else {
                    health.on_success(at(began), at(ms)).0
                };
                told += usize::from(news.is_some());
            }
            let most = if health.is_probing() { 1 } else { 64 };
            while under_way.len() < most && health.held_until(at(ms)).is_none() {
                under_way.push((ms, ms + 50 + (ms + under_way.len() as i64 * 7) % 100));
            }
        }
        assert!(told <= 20, "{told} times in ten minutes");
    }
}
