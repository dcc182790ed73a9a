//! From an outcome to a verdict: done, retry at, or give up; and what it says about the webhook.
//!
//! The table is `docs/outcomes.md`. What a profile narrows (what it calls final) comes in with the
//! [`Rules`]; whether the receiver is to blame decides if the webhook's health hears of it.

use tidings_wire::profile::{ErrorType, Profile, StatusSet};

use crate::delivery::{Owed, Status};
use crate::limits::ORDER_HOLD_MS;
use crate::outcome::{FailureKind, Outcome};
use crate::retry::RetryPolicy;
use crate::retry_after::RetryAfter;
use crate::settlement::{Reason, Verdict};
use crate::time::{SECOND_MS, Timestamp};

/// What a webhook's profile and settings say about its failures.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    pub policy: RetryPolicy,
    /// Statuses that end a delivery at once. 410 does everywhere.
    pub final_statuses: StatusSet,
    /// Failures without an answer that end a delivery at once.
    pub final_errors: Vec<ErrorType>,
}

impl Rules {
    /// The profile's rules, with a policy that may be another than its own.
    #[must_use]
    pub fn new(policy: RetryPolicy, profile: &Profile) -> Self {
        Self {
            policy,
            final_statuses: profile.final_statuses.clone(),
            final_errors: profile.final_errors.clone(),
        }
    }

    /// What holds where nothing else is known.
    #[must_use]
    pub fn standard() -> Self {
        let profile = Profile::builtin("standard").expect("it is built in");
        Self::new(RetryPolicy::from(&profile.retry), profile)
    }
}

/// As much of an outcome as a verdict needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    Status {
        code: u16,
        retry_after: Option<RetryAfter>,
    },
    /// A 2xx by which the service says that it did not take it, and never will.
    Rejected,
    Failed(FailureKind),
}

impl From<&Outcome> for Met {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Answered(answer) if answer.objection.is_some() => Self::Rejected,
            Outcome::Answered(answer) => {
                Self::Status { code: answer.status, retry_after: answer.retry_after }
            }
            Outcome::Failed(failure) => Self::Failed(failure.kind),
        }
    }
}

/// What the outcome says about the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    Success,
    Failure,
    /// Nobody's fault, or ours.
    None,
}

/// The verdict with all that follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub verdict: Verdict,
    pub charge: Charge,
    /// The receiver asked to be left alone until then.
    pub pause_until: Option<Timestamp>,
    /// The receiver says that the webhook is gone (410).
    pub gone: bool,
    /// The receiver could not keep up: fewer at once from now on.
    pub overloaded: bool,
}

/// Trouble with our own resolver: tried again so soon, without using up an attempt.
const OUR_TROUBLE_RETRY_MS: i64 = 30 * SECOND_MS;
/// From this many attempts on, our own trouble counts like any failure, so that no delivery is
/// tried for ever.
const OUR_TROUBLE_ATTEMPTS_MAX: u16 = 200;

/// Judges attempt `owed.attempts + 1` of a delivery. `head_since` is given for the head of an ordered
/// lane: since when it holds the others.
#[must_use]
pub fn judge(
    owed: &Owed,
    rules: &Rules,
    met: Met,
    now: Timestamp,
    head_since: Option<Timestamp>,
) -> Judged {
    let mut judged = Judged {
        verdict: Verdict::End { status: Status::Success, reason: Reason::Delivered },
        charge: Charge::Success,
        pause_until: None,
        gone: false,
        overloaded: false,
    };
    let mut granted = owed.attempts_granted;
    let mut not_before = retry_at(owed, rules, now);
    match met {
        Met::Status { code: 200..=299, .. } => return judged,
        Met::Status { code, retry_after } => {
            judged.charge =
                if matches!(code, 408 | 413 | 425) { Charge::None } else { Charge::Failure };
            judged.gone = code == 410;
            judged.overloaded = matches!(code, 429 | 502..=504);
            if let Some(after) = retry_after.filter(|_| matches!(code, 429 | 503)) {
                let until = now + after.delay_ms_from(now.as_millis());
                judged.pause_until = Some(until);
                not_before = not_before.max(until);
            }
            if judged.gone || rules.final_statuses.contains(code) {
                judged.verdict = Verdict::End { status: Status::Failed, reason: Reason::Refused };
                return judged;
            }
        }
        Met::Rejected => {
            judged.charge = Charge::None;
            judged.verdict = Verdict::End { status: Status::Failed, reason: Reason::Refused };
            return judged;
        }
        Met::Failed(FailureKind::Unrepresentable) => {
            judged.charge = Charge::None;
            judged.verdict =
                Verdict::End { status: Status::Failed, reason: Reason::Unrepresentable };
            return judged;
        }
        Met::Failed(FailureKind::DnsOurs) => {
            judged.charge = Charge::None;
            if owed.attempts < OUR_TROUBLE_ATTEMPTS_MAX {
                granted = allowed(owed, rules) + 1;
                not_before = now + OUR_TROUBLE_RETRY_MS;
            }
        }
        Met::Failed(kind) => {
            judged.charge = if kind.is_receivers_fault() { Charge::Failure } else { Charge::None };
            judged.overloaded = matches!(kind, FailureKind::Timeout);
            if kind.error().is_some_and(|error| rules.final_errors.contains(&error)) {
                judged.verdict = Verdict::End { status: Status::Failed, reason: Reason::Refused };
                return judged;
            }
        }
    }
    let exhausted =
        owed.attempts + 1 >= if granted > 0 { granted } else { rules.policy.max_attempts };
    judged.verdict = after_failure(owed, exhausted, granted, not_before, now, head_since);
    judged
}

/// Attempts that the delivery is allowed in all.
#[must_use]
pub fn allowed(owed: &Owed, rules: &Rules) -> u16 {
    if owed.attempts_granted > 0 { owed.attempts_granted } else { rules.policy.max_attempts }
}

fn retry_at(owed: &Owed, rules: &Rules, now: Timestamp) -> Timestamp {
    now + rules.policy.jittered_delay_ms(owed.id, owed.attempts + 1)
}

fn after_failure(
    owed: &Owed,
    exhausted: bool,
    attempts_granted: u16,
    not_before: Timestamp,
    now: Timestamp,
    head_since: Option<Timestamp>,
) -> Verdict {
    let end = |status, reason| Verdict::End { status, reason };
    if exhausted {
        return end(Status::Failed, Reason::Exhausted);
    }
    let (ready_at, not_before) = match head_since {
        None => (not_before, not_before),
        Some(since) if now.since(since) >= ORDER_HOLD_MS => {
            return end(Status::Failed, Reason::OrderHold);
        }
        // The last try of a head comes when its hold ends, not after it.
        Some(since) => (owed.ready_at, not_before.min(since + ORDER_HOLD_MS)),
    };
    if owed.expires_at.is_some_and(|expires_at| not_before >= expires_at) {
        return end(Status::Expired, Reason::Expired);
    }
    Verdict::Retry { ready_at, not_before, attempts_granted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Lane, Payload};
    use crate::id::{DeliveryId, EventId, TenantId, WebhookId};
    use crate::retry::Strategy;

    const NOW: Timestamp = Timestamp::from_millis(1_795_362_000_000);

    fn owed(attempts: u16) -> Owed {
        Owed {
            id: DeliveryId::from_i64(5),
            tenant: TenantId::from_i64(1),
            lane: Lane { webhook: WebhookId::from_i64(2), slot: 0 },
            event: EventId::from_i64(3),
            revision: 1,
            ready_at: NOW,
            not_before: NOW,
            expires_at: None,
            attempts,
            attempts_granted: 0,
            gate: None,
            payload: Payload::Stored,
        }
    }

    fn rules() -> Rules {
        let policy = RetryPolicy {
            max_attempts: 3,
            strategy: Strategy::Exponential,
            initial_delay_ms: 1_000,
            backoff_multiplier: 2.0,
            max_delay_ms: 30_000,
            jitter: false,
            schedule_ms: vec![],
        };
        let standard = tidings_wire::profile::Profile::builtin("standard").expect("built in");
        Rules::new(policy, standard)
    }

    fn status(code: u16) -> Met {
        Met::Status { code, retry_after: None }
    }

    fn retry(ms: i64) -> Verdict {
        Verdict::Retry { ready_at: NOW + ms, not_before: NOW + ms, attempts_granted: 0 }
    }

    const EXHAUSTED: Verdict = Verdict::End { status: Status::Failed, reason: Reason::Exhausted };
    const REFUSED: Verdict = Verdict::End { status: Status::Failed, reason: Reason::Refused };

    /// Every status: 2xx is success, 410 and 413 end, everything else is retried.
    #[test]
    fn the_status_matrix() {
        for code in 100..1000 {
            let judged = judge(&owed(0), &rules(), status(code), NOW, None);
            let expected = match code {
                200..=299 => Verdict::End { status: Status::Success, reason: Reason::Delivered },
                410 | 413 => REFUSED,
                _ => retry(1_000),
            };
            assert_eq!(judged.verdict, expected, "{code}");
            assert_eq!(judged.gone, code == 410, "{code}");
        }
    }

    #[test]
    fn what_a_service_rejects_ends_and_harms_no_reputation() {
        let judged = judge(&owed(0), &rules(), Met::Rejected, NOW, None);
        assert_eq!((judged.verdict, judged.charge), (REFUSED, Charge::None));
    }

    #[test]
    fn attempts_are_used_up_unless_more_are_granted() {
        assert_eq!(judge(&owed(1), &rules(), status(500), NOW, None).verdict, retry(2_000));
        assert_eq!(judge(&owed(2), &rules(), status(500), NOW, None).verdict, EXHAUSTED);
        let mut granted = owed(3);
        granted.attempts_granted = 4;
        assert_eq!(judge(&granted, &rules(), status(500), NOW, None).verdict, EXHAUSTED);
        granted.attempts_granted = 5;
        let verdict = judge(&granted, &rules(), status(500), NOW, None).verdict;
        assert!(matches!(verdict, Verdict::Retry { attempts_granted: 5, .. }));
    }

    #[test]
    fn retry_after_is_a_floor_for_429_and_503_only() {
        let asked = |code| Met::Status { code, retry_after: Some(RetryAfter::Seconds(60)) };
        for code in [429, 503] {
            let judged = judge(&owed(0), &rules(), asked(code), NOW, None);
            assert_eq!((judged.verdict, judged.pause_until), (retry(60_000), Some(NOW + 60_000)));
        }
        assert_eq!(judge(&owed(0), &rules(), asked(500), NOW, None).verdict, retry(1_000));
        let short = Met::Status { code: 429, retry_after: Some(RetryAfter::Seconds(0)) };
        assert_eq!(judge(&owed(0), &rules(), short, NOW, None).verdict, retry(1_000));
    }

    #[test]
    fn our_own_trouble_costs_no_attempt_and_no_reputation() {
        let judged = judge(&owed(2), &rules(), Met::Failed(FailureKind::DnsOurs), NOW, None);
        assert_eq!(judged.charge, Charge::None);
        assert!(matches!(judged.verdict, Verdict::Retry { attempts_granted: 4, .. }));
        let judged = judge(&owed(200), &rules(), Met::Failed(FailureKind::DnsOurs), NOW, None);
        assert_eq!(judged.verdict, EXHAUSTED);
    }

    #[test]
    fn what_our_policy_blocks_uses_up_attempts_but_no_reputation() {
        let blocked = Met::Failed(FailureKind::Blocked);
        let judged = judge(&owed(0), &rules(), blocked, NOW, None);
        assert_eq!((judged.charge, judged.verdict), (Charge::None, retry(1_000)));
        assert_eq!(judge(&owed(2), &rules(), blocked, NOW, None).verdict, EXHAUSTED);
    }

    #[test]
    fn a_retry_beyond_its_expiry_is_not_waited_for() {
        let mut expiring = owed(0);
        expiring.expires_at = Some(NOW + 999);
        let verdict = judge(&expiring, &rules(), status(500), NOW, None).verdict;
        assert_eq!(verdict, Verdict::End { status: Status::Expired, reason: Reason::Expired });
    }

    #[test]
    fn an_ordered_head_keeps_its_place_and_holds_for_an_hour_at_most() {
        let mut rules = rules();
        rules.policy.max_attempts = 20;
        rules.policy.strategy = Strategy::Schedule;
        rules.policy.schedule_ms = vec![2 * ORDER_HOLD_MS];
        let first = judge(&owed(0), &rules, status(500), NOW, Some(NOW));
        let hold_end = NOW + ORDER_HOLD_MS;
        assert_eq!(
            first.verdict,
            Verdict::Retry { ready_at: NOW, not_before: hold_end, attempts_granted: 0 }
        );
        let last = judge(&owed(1), &rules, status(500), hold_end, Some(NOW));
        assert_eq!(
            last.verdict,
            Verdict::End { status: Status::Failed, reason: Reason::OrderHold }
        );
    }
}
