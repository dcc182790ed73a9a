//! How the handing over of leads goes, for each tenant, since the server started.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tidings_core::id::TenantId;
use tidings_core::time::{SECOND_MS, Timestamp};

/// Seconds that the rate is taken over.
const WINDOW_S: usize = 60;

/// The figures of one tenant's leads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct LeadWork {
    /// Deliveries of leads that have ended since the server started.
    pub processed: u64,
    pub failed: u64,
    /// Of the last minute.
    pub processed_per_second: f64,
    /// 0 to 100; 0 when none has ended.
    pub success_rate: f64,
    /// Attempts beyond the first, for each that has ended.
    pub average_retries: f64,
}

/// Counts what ends. Two hundred bytes for each tenant that has leads.
#[derive(Debug, Default)]
pub struct LeadFigures(Mutex<HashMap<TenantId, Counts>>);

#[derive(Debug)]
struct Counts {
    success: u64,
    failed: u64,
    retries: u64,
    /// Of each second, at its number modulo the window.
    recent: [u16; WINDOW_S],
    /// The second that was counted last.
    second: i64,
}

impl LeadFigures {
    /// A delivery of a lead has ended after so many attempts.
    pub fn ended(&self, tenant: TenantId, success: bool, attempts: u16, at: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = all.entry(tenant).or_insert_with(Counts::new);
        match success {
            true => counts.success += 1,
            false => counts.failed += 1,
        }
        counts.retries += u64::from(attempts.saturating_sub(1));
        counts.turn_to(at);
        let now = &mut counts.recent[slot(at.as_millis() / SECOND_MS)];
        *now = now.saturating_add(1);
    }

    /// What is shown to a tenant.
    #[must_use]
    pub fn of(&self, tenant: TenantId, now: Timestamp) -> LeadWork {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(counts) = all.get_mut(&tenant) else { return LeadWork::default() };
        counts.turn_to(now);
        let processed = counts.success + counts.failed;
        let of_processed = |part: u64| part as f64 / processed as f64;
        let recent: u32 = counts.recent.iter().copied().map(u32::from).sum();
        LeadWork {
            processed,
            failed: counts.failed,
            processed_per_second: f64::from(recent) / WINDOW_S as f64,
            success_rate: 100.0 * of_processed(counts.success),
            average_retries: of_processed(counts.retries),
        }
    }
}

impl Counts {
    fn new() -> Self {
        Self { success: 0, failed: 0, retries: 0, recent: [0; WINDOW_S], second: 0 }
    }

    /// Forgets the seconds that have passed out of the window.
    fn turn_to(&mut self, at: Timestamp) {
        let second = at.as_millis() / SECOND_MS;
        let first = self.second.max(second - WINDOW_S as i64) + 1;
        for passed in first..=second {
            self.recent[slot(passed)] = 0;
        }
        self.second = self.second.max(second);
    }
}

fn slot(second: i64) -> usize {
    second.rem_euclid(WINDOW_S as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_has_figures_of_its_own() {
        let (figures, now) = (LeadFigures::default(), Timestamp::from_millis(1_795_362_000_000));
        let (one, other) = (TenantId::from_i64(1), TenantId::from_i64(2));
        assert_eq!(figures.of(one, now), LeadWork::default());
        for (n, success) in [(1, true), (4, true), (2, true), (4, false)] {
            figures.ended(one, success, n, now);
        }
        figures.ended(other, true, 1, now);
        let work = LeadWork {
            processed: 4,
            failed: 1,
            processed_per_second: 4.0 / 60.0,
            success_rate: 75.0,
            average_retries: 7.0 / 4.0,
        };
        assert_eq!(figures.of(one, now), work);
        assert_eq!(figures.of(one, now + 59 * SECOND_MS), work);
        let later = figures.of(one, now + 60 * SECOND_MS);
        assert_eq!(later, LeadWork { processed_per_second: 0.0, ..work });
        assert_eq!(figures.of(other, now).processed, 1);
    }
}
