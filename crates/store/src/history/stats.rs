//! Statistics: sums of the counts that were committed with what they count, never `COUNT(*)`.

use tidings_core::id::{TenantId, WebhookId};
use tidings_core::stats::{Counts, Histogram, LATENCY_BUCKETS};
use tidings_core::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};

use crate::error::ReadError;
use crate::store::Store;
use crate::tally::{self, Sums};
use crate::value::Fields;

/// What was counted, and what is owed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    pub counts: Counts,
    pub pending: i64,
    pub retrying: i64,
    pub last_attempt_at: Option<Timestamp>,
}

impl Totals {
    /// Accepted = pending + retrying + everything that ended; whatever happens.
    #[must_use]
    pub fn reconciles(&self) -> bool {
        self.counts.accepted == self.pending + self.retrying + self.counts.ended()
    }
}

/// How far a series reaches back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Hour,
    Day,
    Week,
    Month,
}

impl Period {
    #[must_use]
    pub const fn length_ms(self) -> i64 {
        match self {
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
            Self::Week => 7 * DAY_MS,
            Self::Month => 30 * DAY_MS,
        }
    }

    /// Of one point of the series.
    #[must_use]
    pub const fn step_ms(self) -> i64 {
        match self {
            Self::Hour | Self::Day => MINUTE_MS,
            Self::Week | Self::Month => HOUR_MS,
        }
    }
}

/// One point of a series: what was counted from `at` on, for one step. Empty points are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    pub at: Timestamp,
    pub counts: Counts,
}

/// The summed columns, in the order in which [`counts`] reads them.
macro_rules! sums {
    () => {
        "SUM(accepted), SUM(success), SUM(failed), SUM(cancelled), SUM(expired), SUM(attempts), \
         SUM(attempts_failed), SUM(l0), SUM(l1), SUM(l2), SUM(l3), SUM(l4), SUM(l5), SUM(l6), \
         SUM(l7), SUM(l8), SUM(l9), SUM(l10), SUM(l11), SUM(l12), SUM(l13), SUM(l14), SUM(l15)"
    };
}

/// The hours that are added up, in one row, and the tallies of the last second: in one statement, so that
/// none is missed or seen twice while they are added up.
const WEBHOOK: &str = concat!(
    "SELECT ",
    sums!(),
    ", SUM(pending), SUM(retrying), MAX(last_at), NULL FROM webhook_hours \
     WHERE webhook = $1 AND hour >= $2 UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
     NULL, counts FROM tallies"
);
// One row; with several nodes one of each.
const TENANT: &str = "SELECT SUM(accepted), SUM(success), SUM(failed), SUM(cancelled), \
     SUM(expired), SUM(attempts), SUM(attempts_failed), SUM(pending), SUM(retrying) \
     FROM tenant_totals WHERE tenant = $1";
const SERIES: &str = concat!(
    "SELECT minute / $1, ",
    sums!(),
    " FROM tenant_minutes WHERE tenant = $2 AND minute >= $3 GROUP BY 1 ORDER BY 1"
);

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] = &[WEBHOOK, TENANT, SERIES];

#[cfg(any(test, feature = "conformance"))]
pub(crate) fn shapes() -> Vec<String> {
    Vec::new()
}

/// A sum over no rows is null.
fn sum(f: &mut Fields) -> Result<i64, ReadError> {
    Ok(f.take::<Option<i64>>()?.unwrap_or(0))
}

fn ended(f: &mut Fields) -> Result<Counts, ReadError> {
    Ok(Counts {
        accepted: sum(f)?,
        success: sum(f)?,
        failed: sum(f)?,
        cancelled: sum(f)?,
        expired: sum(f)?,
        attempts: sum(f)?,
        attempts_failed: sum(f)?,
        latency: Histogram::default(),
    })
}

fn counts(f: &mut Fields) -> Result<Counts, ReadError> {
    let mut counts = ended(f)?;
    for bucket in 0..LATENCY_BUCKETS {
        counts.latency.0[bucket] = u64::try_from(sum(f)?).unwrap_or(0);
    }
    Ok(counts)
}

impl Store {
    /// A webhook's counts since its creation, whatever retention has taken since.
    pub async fn webhook_totals(&self, webhook: WebhookId) -> Result<Totals, ReadError> {
        self.webhook_since_hour(webhook, 0).await
    }

    /// A webhook's counts of the last 24 hours, to the hour.
    pub async fn webhook_day(
        &self,
        webhook: WebhookId,
        now: Timestamp,
    ) -> Result<Counts, ReadError> {
        let hour = (now.as_millis() - DAY_MS).div_euclid(HOUR_MS) + 1;
        Ok(self.webhook_since_hour(webhook, hour).await?.counts)
    }

    async fn webhook_since_hour(&self, webhook: WebhookId, hour: i64) -> Result<Totals, ReadError> {
        let mut all = Sums::default();
        for row in self.rows(WEBHOOK, vec![webhook.into(), hour.into()]).await? {
            let mut f = row.fields();
            let sums = Sums {
                counts: counts(&mut f)?,
                pending: sum(&mut f)?,
                retrying: sum(&mut f)?,
                last_at: f.take()?,
            };
            match f.take::<Option<Vec<u8>>>()? {
                None => all.merge(&sums),
                Some(counted) => tally::read(&counted)?
                    .iter()
                    .filter(|((of, at), _)| *of == webhook.as_i64() && *at >= hour)
                    .for_each(|(_, sums)| all.merge(sums)),
            }
        }
        let Sums { counts, pending, retrying, last_at } = all;
        let last_attempt_at = last_at.map(Timestamp::from_millis);
        Ok(Totals { counts, pending, retrying, last_attempt_at })
    }

    /// A tenant's counts since its creation (without latencies), and what is owed now.
    pub async fn tenant_totals(&self, tenant: TenantId) -> Result<Totals, ReadError> {
        let rows = self.rows(TENANT, vec![tenant.into()]).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(Totals::default()) };
        let mut f = row.fields();
        let counts = ended(&mut f)?;
        let (pending, retrying) = (sum(&mut f)?, sum(&mut f)?);
        Ok(Totals { counts, pending, retrying, last_attempt_at: None })
    }

    /// A tenant's counts over a period that ends at `now`.
    pub async fn tenant_series(
        &self,
        tenant: TenantId,
        period: Period,
        now: Timestamp,
    ) -> Result<Vec<Point>, ReadError> {
        let step = period.step_ms();
        let from = (now.as_millis() - period.length_ms()).div_euclid(step) + 1;
        let minutes = step / MINUTE_MS;
        let args = vec![minutes.into(), tenant.into(), (from * minutes).into()];
        let rows = self.rows(SERIES, args).await?;
        rows.into_iter()
            .map(|row| {
                let mut f = row.fields();
                let at = Timestamp::from_millis(f.take::<i64>()? * step);
                Ok(Point { at, counts: counts(&mut f)? })
            })
            .collect()
    }
}
