//! `retry_config`, and `retryPolicy`, which says the same in another spelling.

use tidings_core::retry::{
    DELAY_MS_MAX, INITIAL_DELAY_MS_MIN, MAX_ATTEMPTS, MAX_DELAY_MS_MIN, RetryPolicy, Strategy,
};
use tidings_wire::profile::{Profile, RetryDefaults};

use crate::api::form::{Form, Given};

/// What is given, to be laid over a profile's defaults.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    max_attempts: Option<u16>,
    strategy: Option<Strategy>,
    initial_delay_ms: Option<i64>,
    backoff_multiplier: Option<f64>,
    max_delay_ms: Option<i64>,
    jitter: Option<bool>,
    schedule_ms: Option<Vec<i64>>,
}

/// Reads `retry_config`.
pub(super) fn read(form: &mut Form<'_>, profile: &Profile) -> Overrides {
    let overrides = Overrides {
        max_attempts: attempts(form, "max_attempts"),
        strategy: strategy(form, "strategy"),
        initial_delay_ms: delay(form, "initial_delay_ms", INITIAL_DELAY_MS_MIN),
        backoff_multiplier: multiplier(form),
        max_delay_ms: delay(form, "max_delay_ms", MAX_DELAY_MS_MIN),
        jitter: form.boolean("jitter").value(),
        schedule_ms: schedule(form),
    };
    if overrides.schedule_ms.is_some()
        && overrides.strategy.is_some_and(|strategy| strategy != Strategy::Schedule)
    {
        form.refuse("schedule_ms", "goes with the strategy `schedule` only");
    }
    let has_waits = overrides.schedule_ms.is_some() || !profile.retry.schedule_ms.is_empty();
    if overrides.strategy == Some(Strategy::Schedule) && !has_waits {
        form.require("schedule_ms");
    }
    overrides
}

/// Reads `retryPolicy`.
pub(super) fn read_camel_case(form: &mut Form<'_>) -> Overrides {
    Overrides {
        max_attempts: attempts(form, "maxAttempts"),
        strategy: strategy(form, "backoffStrategy"),
        initial_delay_ms: delay(form, "initialDelay", INITIAL_DELAY_MS_MIN),
        max_delay_ms: delay(form, "maxDelay", MAX_DELAY_MS_MIN),
        ..Overrides::default()
    }
}

impl Overrides {
    /// The policy: the profile's, but for what is given.
    pub(super) fn over(self, profile: &Profile) -> RetryPolicy {
        let default = RetryPolicy::from(&profile.retry);
        let strategy = self.strategy.unwrap_or_else(|| self.implied(default.strategy));
        let initial_delay_ms = self.initial_delay_ms.unwrap_or(default.initial_delay_ms);
        let schedule_ms = match strategy {
            Strategy::Schedule => self.schedule_ms.unwrap_or(default.schedule_ms),
            _ => Vec::new(),
        };
        RetryPolicy {
            max_attempts: self.max_attempts.unwrap_or(default.max_attempts),
            strategy,
            initial_delay_ms,
            backoff_multiplier: self.backoff_multiplier.unwrap_or(default.backoff_multiplier),
            // A longer first wait than the profile's longest is meant.
            max_delay_ms: self.max_delay_ms.unwrap_or(default.max_delay_ms.max(initial_delay_ms)),
            jitter: self.jitter.unwrap_or(default.jitter),
            schedule_ms,
        }
    }

    /// Without a strategy: waits that are listed are a schedule, waits that are computed (as in seed
    /// 001, which knows nothing else) grow exponentially.
    fn implied(&self, default: Strategy) -> Strategy {
        let computed = self.initial_delay_ms.is_some()
            || self.backoff_multiplier.is_some()
            || self.max_delay_ms.is_some();
        match default {
            _ if self.schedule_ms.is_some() => Strategy::Schedule,
            Strategy::Schedule if computed => Strategy::Exponential,
            default => default,
        }
    }
}

fn attempts(form: &mut Form<'_>, name: &'static str) -> Option<u16> {
    let number = form.integer(name, 1, i64::from(MAX_ATTEMPTS)).value()?;
    u16::try_from(number).ok()
}

fn delay(form: &mut Form<'_>, name: &'static str, least: i64) -> Option<i64> {
    form.integer(name, least, DELAY_MS_MAX).value()
}

fn strategy(form: &mut Form<'_>, name: &'static str) -> Option<Strategy> {
    let text = form.text(name).value()?;
    let strategy = match &*text {
        "exponential" => Strategy::Exponential,
        "linear" => Strategy::Linear,
        "fixed" => Strategy::Fixed,
        "schedule" if name == "strategy" => Strategy::Schedule,
        _ => {
            let more = if name == "strategy" { " or `schedule`" } else { "" };
            form.refuse(name, format!("must be `exponential`, `linear`, `fixed`{more}"));
            return None;
        }
    };
    Some(strategy)
}

fn multiplier(form: &mut Form<'_>) -> Option<f64> {
    let range = RetryDefaults::MULTIPLIER;
    let expected = format!("a number from {} to {}", range.start(), range.end());
    let number = form.parsed::<f64>("backoff_multiplier", &expected).value()?;
    if !range.contains(&number) {
        form.refuse("backoff_multiplier", format!("must be {expected}"));
    }
    Some(number)
}

/// The waits after the first, the second, … attempt.
fn schedule(form: &mut Form<'_>) -> Option<Vec<i64>> {
    let Given::Value(list) = form.list("schedule_ms", usize::from(MAX_ATTEMPTS - 1)) else {
        return None;
    };
    let mut waits = Vec::with_capacity(list.len());
    for (n, raw) in list.into_iter().enumerate() {
        match serde_json::from_str::<i64>(raw.get()) {
            Ok(wait) if (0..=DELAY_MS_MAX).contains(&wait) => waits.push(wait),
            _ => {
                let detail = format!("must be a whole number from 0 to {DELAY_MS_MAX}");
                form.refuse_item("schedule_ms", n, detail);
            }
        }
    }
    Some(waits)
}
