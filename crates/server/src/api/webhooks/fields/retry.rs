//! `retry_config`, and `retryPolicy`, which says the same in another spelling.

use tidings_core::retry::{
    DELAY_MS_MAX, INITIAL_DELAY_MS_MIN, MAX_ATTEMPTS, MAX_DELAY_MS_MIN, RetryPolicy, Strategy,
};
use tidings_wire::profile::{Profile, RetryDefaults};

use super::Mode;
use crate::api::form::{Form, Given};

/// What is given, to be laid over the policy that there is.
#[derive(Debug)]
pub(super) struct Changes {
    max_attempts: Given<u16>,
    strategy: Given<Strategy>,
    initial_delay_ms: Given<i64>,
    backoff_multiplier: Given<f64>,
    max_delay_ms: Given<i64>,
    jitter: Given<bool>,
    schedule_ms: Given<Vec<i64>>,
}

/// Reads `retry_config`; `unset` says whether the policy is the profile's.
pub(super) fn read(form: &mut Form<'_>, mode: Mode, unset: bool) -> Changes {
    let mut reader = Reader { form, mode, unset };
    let changes = Changes {
        max_attempts: reader.attempts("max_attempts"),
        strategy: reader.strategy("strategy"),
        initial_delay_ms: reader.delay("initial_delay_ms", INITIAL_DELAY_MS_MIN),
        backoff_multiplier: reader.multiplier(),
        max_delay_ms: reader.delay("max_delay_ms", MAX_DELAY_MS_MIN),
        jitter: reader.jitter(),
        schedule_ms: reader.schedule(),
    };
    let has_other = matches!(&changes.strategy, Given::Value(it) if *it != Strategy::Schedule);
    if has_other && is_value(&changes.schedule_ms) {
        form.refuse("schedule_ms", "goes with the strategy `schedule` only");
    }
    changes
}

/// Reads `retryPolicy`.
pub(super) fn read_camel_case(form: &mut Form<'_>, mode: Mode, unset: bool) -> Changes {
    let mut reader = Reader { form, mode, unset };
    Changes {
        max_attempts: reader.attempts("maxAttempts"),
        strategy: reader.strategy("backoffStrategy"),
        initial_delay_ms: reader.delay("initialDelay", INITIAL_DELAY_MS_MIN),
        backoff_multiplier: Given::Absent,
        max_delay_ms: reader.delay("maxDelay", MAX_DELAY_MS_MIN),
        jitter: Given::Absent,
        schedule_ms: Given::Absent,
    }
}

const fn is_value<T>(given: &Given<T>) -> bool {
    matches!(given, Given::Value(_))
}

/// What is given, else what there is; null is the default.
fn pick<T>(given: Given<T>, old: T, default: T) -> T {
    match given {
        Given::Value(value) => value,
        Given::Null => default,
        Given::Absent => old,
    }
}

impl Changes {
    /// The policy from now on: `old` but for what is given; without one the profile's.
    pub(super) fn over(self, old: Option<&RetryPolicy>, profile: &Profile) -> RetryPolicy {
        let default = RetryPolicy::from(&profile.retry);
        let old = old.unwrap_or(&default).clone();
        let strategy = match self.strategy {
            Given::Value(strategy) => strategy,
            Given::Null => self.implied(default.strategy),
            Given::Absent => self.implied(old.strategy),
        };
        let initial_delay_ms =
            pick(self.initial_delay_ms, old.initial_delay_ms, default.initial_delay_ms);
        // A longer first wait than the longest of before is meant.
        let longest = |ms: i64| ms.max(initial_delay_ms);
        let kept = if old.schedule_ms.is_empty() { &default } else { &old };
        let schedule_ms = match strategy {
            Strategy::Schedule => {
                pick(self.schedule_ms, kept.schedule_ms.clone(), default.schedule_ms.clone())
            }
            _ => Vec::new(),
        };
        RetryPolicy {
            max_attempts: pick(self.max_attempts, old.max_attempts, default.max_attempts),
            strategy,
            initial_delay_ms,
            backoff_multiplier: pick(
                self.backoff_multiplier,
                old.backoff_multiplier,
                default.backoff_multiplier,
            ),
            max_delay_ms: pick(
                self.max_delay_ms,
                longest(old.max_delay_ms),
                longest(default.max_delay_ms),
            ),
            jitter: pick(self.jitter, old.jitter, default.jitter),
            schedule_ms,
        }
    }

    /// Without a strategy: waits that are listed are a schedule, waits that are computed (as in seed
    /// 001, which knows nothing else) grow exponentially.
    fn implied(&self, otherwise: Strategy) -> Strategy {
        let computed = is_value(&self.initial_delay_ms)
            || is_value(&self.backoff_multiplier)
            || is_value(&self.max_delay_ms);
        match otherwise {
            _ if is_value(&self.schedule_ms) => Strategy::Schedule,
            Strategy::Schedule if computed => Strategy::Exponential,
            otherwise => otherwise,
        }
    }
}

/// Reads one field after the other; what is wrong is noted in the form.
struct Reader<'f, 'a> {
    form: &'f mut Form<'a>,
    mode: Mode,
    unset: bool,
}

impl Reader<'_, '_> {
    fn settle<T>(&mut self, name: &str, given: Given<T>) -> Given<T> {
        self.mode.settle(self.form, name, given, self.unset)
    }

    fn attempts(&mut self, name: &'static str) -> Given<u16> {
        let number = self.form.integer(name, 1, i64::from(MAX_ATTEMPTS));
        match self.settle(name, number) {
            Given::Value(number) => u16::try_from(number).map_or(Given::Absent, Given::Value),
            Given::Null => Given::Null,
            Given::Absent => Given::Absent,
        }
    }

    fn delay(&mut self, name: &'static str, least: i64) -> Given<i64> {
        let given = self.form.integer(name, least, DELAY_MS_MAX);
        self.settle(name, given)
    }

    fn jitter(&mut self) -> Given<bool> {
        let given = self.form.boolean("jitter");
        self.settle("jitter", given)
    }

    fn strategy(&mut self, name: &'static str) -> Given<Strategy> {
        let given = self.form.text(name);
        let text = match self.settle(name, given) {
            Given::Value(text) => text,
            Given::Null => return Given::Null,
            Given::Absent => return Given::Absent,
        };
        Given::Value(match &*text {
            "exponential" => Strategy::Exponential,
            "linear" => Strategy::Linear,
            "fixed" => Strategy::Fixed,
            "schedule" if name == "strategy" => Strategy::Schedule,
            _ => {
                let more = if name == "strategy" { " or `schedule`" } else { "" };
                self.form.refuse(name, format!("must be `exponential`, `linear`, `fixed`{more}"));
                return Given::Absent;
            }
        })
    }

    fn multiplier(&mut self) -> Given<f64> {
        let range = RetryDefaults::MULTIPLIER;
        let expected = format!("a number from {} to {}", range.start(), range.end());
        let given = self.form.parsed::<f64>("backoff_multiplier", &expected);
        if matches!(&given, Given::Value(number) if !range.contains(number)) {
            self.form.refuse("backoff_multiplier", format!("must be {expected}"));
        }
        self.settle("backoff_multiplier", given)
    }

    /// The waits after the first, the second, … attempt.
    fn schedule(&mut self) -> Given<Vec<i64>> {
        let given = self.form.list("schedule_ms", usize::from(MAX_ATTEMPTS - 1));
        let list = match self.settle("schedule_ms", given) {
            Given::Value(list) => list,
            Given::Null => return Given::Null,
            Given::Absent => return Given::Absent,
        };
        let mut waits = Vec::with_capacity(list.len());
        for (n, raw) in list.into_iter().enumerate() {
            match serde_json::from_str::<i64>(raw.get()) {
                Ok(wait) if (0..=DELAY_MS_MAX).contains(&wait) => waits.push(wait),
                _ => {
                    let detail = format!("must be a whole number from 0 to {DELAY_MS_MAX}");
                    self.form.refuse_item("schedule_ms", n, detail);
                }
            }
        }
        Given::Value(waits)
    }
}
