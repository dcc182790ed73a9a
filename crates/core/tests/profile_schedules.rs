//! When each attempt is made under each profile, to the millisecond: the dispatcher itself, in virtual
//! time, with a receiver that always fails.

use std::sync::Arc;

use tidings_core::delivery::{Lane, Owed, Payload, Status};
use tidings_core::dispatch::{Command, Dispatcher, Finished, Limits, Signal, WebhookSettings};
use tidings_core::fanout::Index;
use tidings_core::health::Health;
use tidings_core::id::{DeliveryId, EventId, TenantId, WebhookId};
use tidings_core::outcome::FailureKind;
use tidings_core::retry::{RetryPolicy, Strategy};
use tidings_core::settlement::{Attempt, Reason, Verdict};
use tidings_core::time::Timestamp;
use tidings_core::verdict::{Met, Rules};
use tidings_wire::profile::Profile;

const START: Timestamp = Timestamp::from_millis(1_795_362_000_000);
const WEBHOOK: WebhookId = WebhookId::from_i64(7);

/// What became of a delivery: when it was attempted (ms from the start), and how it ended.
type Told = (Vec<i64>, (Status, Reason));

/// Runs one delivery to its end. The clock stands still but for what the dispatcher waits for.
fn run(rules: Rules, expires_at: Option<Timestamp>, delivery: i64, met: Met) -> Told {
    let mut dispatcher = Dispatcher::new(Limits::default());
    let settings = WebhookSettings {
        id: WEBHOOK,
        revision: 1,
        paused: false,
        ordered: false,
        concurrency: 1,
        rate_limit: None,
        rules: Arc::new(rules),
        health: Some(Health::default()),
    };
    let mut now = START;
    dispatcher.handle(Signal::Webhook(Box::new(settings)), now);
    dispatcher.handle(Signal::Owed(owed(delivery, expires_at)), now);
    let mut attempts = Vec::new();
    loop {
        while let Some(command) = dispatcher.next_command(now) {
            match command {
                Command::Attempt(owed) => {
                    attempts.push(now.since(START));
                    let finished = Finished { owed, attempt: attempt(now), met, rules: None };
                    dispatcher.handle(Signal::Attempted(Box::new(finished)), now);
                }
                Command::Settle { settlement, .. } => {
                    let mut owed = settlement.owed;
                    let (lane, id) = (owed.lane, owed.id);
                    match settlement.verdict {
                        Verdict::End { status, reason } => return (attempts, (status, reason)),
                        Verdict::Retry { ready_at, not_before, attempts_granted } => {
                            owed.attempts += 1;
                            (owed.ready_at, owed.not_before) = (ready_at, not_before);
                            owed.attempts_granted = attempts_granted;
                            let again = Some(owed);
                            dispatcher.handle(Signal::Settled { lane, id, again }, now);
                        }
                    }
                }
                Command::Drained { .. } => unreachable!("there is one node"),
                Command::Page { lane, .. } => {
                    dispatcher.handle(Signal::Paged { lane, rows: Vec::new(), all: true }, now);
                }
            }
        }
        now = dispatcher.wake_at().expect("a delivery that is owed is waited for");
    }
}

fn owed(delivery: i64, expires_at: Option<Timestamp>) -> Owed {
    Owed {
        id: DeliveryId::from_i64(delivery),
        tenant: TenantId::from_i64(1),
        lane: Lane { webhook: WEBHOOK, slot: 0 },
        event: EventId::from_i64(1),
        revision: 1,
        ready_at: START,
        not_before: START,
        expires_at,
        attempts: 0,
        attempts_granted: 0,
        gate: None,
        payload: Payload::Stored,
    }
}

fn attempt(now: Timestamp) -> Attempt {
    Attempt {
        number: 1,
        started_at: now,
        duration_ms: 0,
        revision: 1,
        signature: String::new(),
        response_status: None,
        response_headers: String::new(),
        response_body: String::new(),
        error: String::new(),
        error_type: "",
    }
}

fn profile(name: &str) -> &'static Profile {
    Profile::builtin(name).expect("it comes with the crate")
}

fn rules(profile: &Profile, change: impl FnOnce(&mut RetryPolicy)) -> Rules {
    let mut policy = RetryPolicy::from(&profile.retry);
    change(&mut policy);
    Rules::new(policy, profile)
}

const FAILED: Met = Met::Status { code: 500, retry_after: None };
const EXHAUSTED: (Status, Reason) = (Status::Failed, Reason::Exhausted);

fn seconds(moments: &[i64]) -> Vec<i64> {
    moments.iter().map(|s| s * 1_000).collect()
}

/// The waits that each system documents, without jitter, one after the other.
#[test]
fn every_profile_holds_its_schedule() {
    const HOUR: i64 = 3_600;
    let standard = [5, 300, 1_800, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
    let svix = [5, 300, 1_800, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR];
    let waits: [(&str, &[i64]); 7] = [
        ("standard", &standard),
        ("svix", &svix),
        ("emp", &[1, 2]),
        ("aegisx", &[1, 2]),
        ("openvideo", &[60, 120, 240]),
        ("viewcreator", &[1, 2]),
        ("lead", &[5, 25, 125]),
    ];
    assert_eq!(waits.map(|(name, _)| name), *names());
    for (name, waits) in waits {
        let mut at = vec![0];
        at.extend(waits.iter().scan(0, |sum, wait| {
            *sum += wait;
            Some(*sum)
        }));
        let rules = rules(profile(name), |policy| policy.jitter = false);
        assert_eq!(rules.policy.attempts_at_ms(), seconds(&at), "{name}: the preview");
        assert_eq!(run(rules, None, 1, FAILED), (seconds(&at), EXHAUSTED), "{name}");
    }
}

fn names() -> Vec<&'static str> {
    Profile::builtins().iter().map(|profile| &*profile.name).collect()
}

/// More attempts than a profile has by itself: its caps, and the wait that `lead` documents for a fifth.
#[test]
fn longer_schedules_grow_to_their_cap() {
    let twelve = |name| {
        let rules = rules(profile(name), |policy| policy.max_attempts = 12);
        let (at, _) = run(rules, None, 1, FAILED);
        at.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000).collect::<Vec<_>>()
    };
    assert_eq!(twelve("emp")[..7], [1, 2, 4, 8, 16, 30, 30]);
    assert_eq!(twelve("aegisx")[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(twelve("lead")[..4], [5, 25, 125, 625]);
}

/// With jitter every attempt comes within the bounds of the preview, and not always at the same time.
#[test]
fn jitter_stays_within_the_preview() {
    let rules = || rules(profile("standard"), |_| {});
    let (earliest, latest) =
        (rules().policy.attempts_at_ms(), rules().policy.attempts_latest_at_ms());
    let runs: Vec<Vec<i64>> =
        (1..200).map(|delivery| run(rules(), None, delivery, FAILED).0).collect();
    for at in &runs {
        assert_eq!(at.len(), 10);
        for (n, at) in at.iter().enumerate() {
            assert!((earliest[n]..=latest[n]).contains(at), "attempt {} at {at}", n + 1);
        }
    }
    assert!(runs.windows(2).any(|pair| pair[0] != pair[1]));
    assert_eq!(latest[1], 6_000);
}

#[test]
fn strategies_in_virtual_time() {
    let with = |strategy, schedule_ms: Vec<i64>| {
        let rules = rules(profile("emp"), |policy| {
            policy.max_attempts = 5;
            policy.strategy = strategy;
            policy.initial_delay_ms = 100;
            policy.max_delay_ms = 1_000;
            policy.backoff_multiplier = 2.5;
            policy.schedule_ms = schedule_ms;
        });
        let preview = rules.policy.attempts_at_ms();
        let (at, end) = run(rules, None, 1, FAILED);
        assert_eq!((&at, end), (&preview, EXHAUSTED));
        at
    };
    assert_eq!(with(Strategy::Exponential, vec![]), [0, 100, 350, 975, 1_975]);
    assert_eq!(with(Strategy::Linear, vec![]), [0, 100, 300, 600, 1_000]);
    assert_eq!(with(Strategy::Fixed, vec![]), [0, 100, 200, 300, 400]);
    // The last wait of a schedule repeats, and no cap is for it.
    assert_eq!(with(Strategy::Schedule, vec![0, 5_000]), [0, 0, 5_000, 10_000, 15_000]);
}

/// What ends at once, without a second attempt.
#[test]
fn final_answers_end_at_once() {
    let refused = (vec![0], (Status::Failed, Reason::Refused));
    let met = |name, met| run(rules(profile(name), |_| {}), None, 1, met);
    let code = |name, code| met(name, Met::Status { code, retry_after: None });
    for name in names() {
        assert_eq!(code(name, 410), refused, "{name}");
        assert_eq!(
            code(name, 413) == refused,
            matches!(name, "standard" | "svix" | "lead"),
            "{name}"
        );
        for retried in [429, 500, 503] {
            assert!(code(name, retried).0.len() > 1, "{name} {retried}");
        }
        for refused_by_lead in [302, 400, 404, 408] {
            assert_eq!(code(name, refused_by_lead) == refused, name == "lead", "{name}");
        }
        for kind in [FailureKind::Network, FailureKind::Timeout, FailureKind::Tls, FailureKind::Dns]
        {
            assert!(met(name, Met::Failed(kind)).0.len() > 1, "{name} {kind:?}");
        }
        let blocked = met(name, Met::Failed(FailureKind::Blocked));
        assert_eq!(blocked == refused, name == "lead", "{name}");
    }
}

/// `openvideo` wants nothing any more after 24 hours, however its webhook stretches the retries.
#[test]
fn what_expires_is_not_tried_any_more() {
    let openvideo = profile("openvideo");
    let day_ms = i64::try_from(openvideo.expires_after_ms.expect("it has one")).expect("a day");
    assert_eq!(day_ms, 86_400_000);
    let slow = rules(openvideo, |policy| {
        policy.max_attempts = 20;
        policy.strategy = Strategy::Fixed;
        policy.initial_delay_ms = day_ms / 2;
        policy.max_delay_ms = day_ms;
    });
    let told = run(slow, Some(START + day_ms), 1, FAILED);
    assert_eq!(told, (vec![0, day_ms / 2], (Status::Expired, Reason::Expired)));
    // Planning gives it that end.
    let webhook: tidings_core::webhook::Webhook = serde_json::from_value(serde_json::json!({
        "shape_revision": 1, "url": "https://example.com/", "events": ["execution.*"],
        "profile": "openvideo", "active": true
    }))
    .expect("a webhook");
    let event = Arc::new(tidings_core::event::Event {
        id: EventId::from_i64(1),
        tenant: TenantId::from_i64(1),
        client_id: None,
        event_type: "execution.completed".into(),
        timestamp: START,
        ordering_key: None,
        deliver_at: None,
        expires_at: None,
        data: bytes::Bytes::from_static(b"{}"),
    });
    let index = Index::build([(&webhook, Some(day_ms))]);
    let planned = index.plan(&event, &tidings_core::id::IdSource::new(0, 0), START);
    assert_eq!(planned[0].expires_at, Some(START + day_ms));
}
