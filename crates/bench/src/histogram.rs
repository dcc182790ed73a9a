//! Latencies in logarithmic buckets: constant memory, lock-free, 1.6 % wide at the most.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets per power of two, as a power of two.
const FINE_BITS: u32 = 6;
const FINE: usize = 1 << FINE_BITS;
const BUCKETS: usize = (64 - FINE_BITS as usize + 1) * FINE;

/// Counts of values; recorded from many threads at once.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Histogram {
    pub fn record(&self, value: u64) {
        self.buckets[bucket_of(value)].fetch_add(1, Relaxed);
    }

    /// The value below which `part` (0 to 1) of all values lie, `None` when nothing was recorded.
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let total: u64 = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum();
        let rank = ((total as f64 * part).ceil() as u64).clamp(1, total.max(1));
        let mut below = 0;
        self.buckets.iter().enumerate().find_map(|(index, bucket)| {
            below += bucket.load(Relaxed);
            (below >= rank).then(|| middle_of(index))
        })
    }

    /// A quantile of nanoseconds, in microseconds; 0 when nothing was recorded.
    pub fn quantile_us(&self, part: f64) -> f64 {
        self.quantile(part).unwrap_or(0) as f64 / 1_000.0
    }

    pub fn clear(&self) {
        self.buckets.iter().for_each(|bucket| bucket.store(0, Relaxed));
    }
}

/// Values below `FINE` have a bucket each; above, the leading `FINE_BITS + 1` bits choose it.
fn bucket_of(value: u64) -> usize {
    let shift = (63 - (value | 1).leading_zeros()).saturating_sub(FINE_BITS);
    shift as usize * FINE + (value >> shift) as usize
}

fn middle_of(bucket: usize) -> u64 {
    let shift = (bucket / FINE).saturating_sub(1);
    let lowest = ((bucket - shift * FINE) as u64) << shift;
    lowest + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_are_exact_and_large_ones_within_two_percent() {
        for value in (0..FINE as u64).chain([64, 127, 128, 1_000, 123_456, 9_876_543_210, u64::MAX])
        {
            let middle = middle_of(bucket_of(value));
            let error = middle.abs_diff(value) as f64 / value.max(1) as f64;
            assert!(error < 0.016, "{value} became {middle}");
        }
    }

    #[test]
    fn buckets_rise_with_their_values() {
        let shown: Vec<usize> = (0..40).map(|power| bucket_of(1 << power)).collect();
        assert!(shown.is_sorted());
        assert!(bucket_of(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_come_from_the_counts() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=1_000).for_each(|value| histogram.record(value * 1_000));
        let near = |part: f64, expected: f64| {
            let found = histogram.quantile(part).expect("it has values") as f64;
            assert!((found - expected).abs() / expected < 0.02, "{part}: {found}");
        };
        near(0.5, 500_000.0);
        near(0.99, 990_000.0);
        near(1.0, 1_000_000.0);
        histogram.clear();
        assert_eq!(histogram.quantile(0.5), None);
    }
}
