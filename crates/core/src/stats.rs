//! Statistics are counted as things happen and committed with them, never counted afterwards.

/// Upper bounds of the latency buckets, milliseconds; what is slower falls into one more.
pub const LATENCY_BOUNDS_MS: [u32; 15] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];
pub const LATENCY_BUCKETS: usize = LATENCY_BOUNDS_MS.len() + 1;

/// The bucket of a duration.
#[must_use]
pub fn latency_bucket(ms: u32) -> usize {
    LATENCY_BOUNDS_MS.partition_point(|&bound| bound < ms)
}

/// How many durations fell into each bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Histogram(pub [u64; LATENCY_BUCKETS]);

impl Histogram {
    pub fn add(&mut self, ms: u32) {
        self.0[latency_bucket(ms)] += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The duration below which `share` (0 to 1) of all lie, interpolated within its bucket,
    /// milliseconds; `None` when nothing was counted.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = share.clamp(0.0, 1.0) * count as f64;
        let mut below = 0.0;
        for (bucket, &n) in self.0.iter().enumerate().filter(|&(_, &n)| n > 0) {
            let n = n as f64;
            if below + n >= rank {
                let low = if bucket == 0 { 0.0 } else { f64::from(LATENCY_BOUNDS_MS[bucket - 1]) };
                let high = LATENCY_BOUNDS_MS.get(bucket).map_or(low, |&bound| f64::from(bound));
                return Some(low + (high - low) * ((rank - below) / n));
            }
            below += n;
        }
        None
    }
}

/// What is counted per tenant and minute, and per webhook and hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Deliveries that became owed (accepted, or sent again by hand).
    pub accepted: i64,
    pub success: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub expired: i64,
    /// HTTP tries.
    pub attempts: i64,
    pub attempts_failed: i64,
    /// Duration of the attempts.
    pub latency: Histogram,
}

impl Counts {
    /// Deliveries that ended.
    #[must_use]
    pub fn ended(&self) -> i64 {
        self.success + self.failed + self.cancelled + self.expired
    }

    pub fn merge(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.success += other.success;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.expired += other.expired;
        self.attempts += other.attempts;
        self.attempts_failed += other.attempts_failed;
        self.latency.merge(&other.latency);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_within_their_bucket() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(0.5), None);
        (0..99).for_each(|_| histogram.add(3));
        histogram.add(100_000);
        let median = histogram.percentile(0.5).expect("counted");
        assert!((2.0..=5.0).contains(&median));
        assert_eq!(histogram.percentile(1.0), Some(60_000.0));
    }
}
