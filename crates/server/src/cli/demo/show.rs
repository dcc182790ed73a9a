//! What the demo prints: a line for each attempt, and the books at the end.

use std::collections::HashMap;

use anyhow::{Result, bail};
use serde::Deserialize;
use tidings_core::delivery::Status;

use super::receivers::Tally;
use crate::cli::client::{Api, Call, path};
use crate::cli::follow::{Follower, Moved};
use crate::cli::output::{Paint, line};

/// Prints what the API tells, and keeps count.
#[derive(Debug, Default)]
pub(super) struct Show {
    follower: Follower,
    names: HashMap<String, &'static str>,
    pub events: u64,
    /// Deliveries that the server has accepted.
    pub accepted: u64,
    attempts: u64,
    ended: HashMap<Status, u64>,
    has_heading: bool,
}

/// An attempt as the API shows it.
#[derive(Debug, Deserialize)]
struct Attempt {
    attempt_number: u16,
    attempted_at: i64,
    duration_ms: u64,
    response_status: Option<u16>,
    error: Option<String>,
    retry_at: Option<i64>,
}

impl Show {
    pub(super) fn name(&mut self, webhook: String, name: &'static str) {
        self.names.insert(webhook, name);
    }

    /// Whether everything accepted has come to its end.
    pub(super) fn all_ended(&self) -> bool {
        self.ended.values().sum::<u64>() == self.accepted
    }

    /// Prints the attempts made since the last look.
    pub(super) async fn look(&mut self, api: &Api) -> Result<()> {
        let mut lines = Vec::new();
        for moved in self.follower.look(api).await? {
            let status = moved.delivery.status;
            if status.is_final() {
                *self.ended.entry(status).or_default() += 1;
            }
            let call = Call::get(path(["deliveries", &moved.delivery.id, "attempts"]));
            let attempts: Vec<Attempt> = api.call(call).await?.parse()?;
            let told = moved.known_attempts + 1..=moved.delivery.attempt_count;
            for attempt in attempts.iter().filter(|a| told.contains(&a.attempt_number)) {
                lines.push((attempt.attempted_at, self.attempt(&moved, attempt)));
            }
        }
        self.attempts += lines.len() as u64;
        lines.sort_by_key(|(at, _)| *at);
        if !lines.is_empty() && !self.has_heading {
            self.has_heading = true;
            line("  STATUS  ATTEMPT  WEBHOOK  EVENT                       TIME  NEXT")?;
        }
        lines.into_iter().try_for_each(|(_, text)| line(text))
    }

    fn attempt(&self, moved: &Moved, attempt: &Attempt) -> String {
        let paint = Paint::stdout();
        let status = attempt.response_status.map_or("-".to_owned(), |status| status.to_string());
        let fine = attempt.error.as_deref().is_none_or(str::is_empty);
        let mark = if fine { paint.green("✓") } else { paint.red("✗") };
        let webhook = moved.delivery.webhook_id.as_ref().and_then(|id| self.names.get(id));
        let webhook = webhook.copied().unwrap_or("-");
        let event_type = moved.delivery.event_type.as_deref().unwrap_or("-");
        let event = format!("{:9} {event_type}", moved.delivery.event_id);
        let ended_at = attempt.attempted_at + i64::try_from(attempt.duration_ms).unwrap_or(0);
        let next = match attempt.retry_at {
            Some(at) => format!("retry in {} ms", (at - ended_at).max(0)),
            None if fine => String::new(),
            None => "given up".to_owned(),
        };
        let number = attempt.attempt_number;
        let ms = if attempt.duration_ms == 0 { "<1" } else { &attempt.duration_ms.to_string() };
        let told =
            format!("{mark} {status:6}  {number:>7}  {webhook:7}  {event:23}  {ms:>4} ms  {next}");
        told.trim_end().to_owned()
    }

    /// Prints the books of both sides; fails when they do not agree.
    pub(super) fn summary(&self, receivers: [&Tally; 2]) -> Result<()> {
        let seen = receivers.map(Tally::counts);
        let ended = |status| self.ended.get(&status).copied().unwrap_or(0);
        let (success, owed) = (ended(Status::Success), self.follower.owed() as u64);
        let [failed, cancelled, expired] =
            [Status::Failed, Status::Cancelled, Status::Expired].map(ended);
        let refused: u64 = seen.iter().map(|counts| counts.failed_on_purpose).sum();
        let wrong: u64 = seen.iter().map(|counts| counts.signatures_wrong).sum();
        let distinct: u64 = seen.iter().map(|counts| counts.taken.len() as u64).sum();
        let taken: u64 = seen.iter().flat_map(|counts| counts.taken.values()).sum();
        line(format!("\n{} events, {} deliveries accepted", self.events, self.accepted))?;
        line(format!(
            "  = {success} success + {failed} failed + {cancelled} cancelled + {expired} expired + {owed} owed"
        ))?;
        line(format!("{} attempts, {refused} of them refused on purpose", self.attempts))?;
        line(format!(
            "{distinct} deliveries arrived and verified, {wrong} signatures wrong, {} twice",
            taken - distinct
        ))?;
        if self.accepted != success + failed + cancelled + expired + owed {
            bail!("the books do not agree: a delivery is missing");
        }
        if distinct != success || wrong > 0 || owed > 0 {
            bail!("not everything arrived");
        }
        line("Everything accepted has arrived.")
    }
}
