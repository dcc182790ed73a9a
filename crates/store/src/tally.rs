//! What a batch has counted for webhooks, in few bytes.
//!
//! A batch may touch as many webhooks as it has deliveries. To add to a wide row for each of them, when they
//! are published and again when they end, was a tenth of a delivery's cost with a thousand webhooks. So a
//! batch writes one tally of all of them, and once a second the tallies are added up into those rows.

use tidings_core::stats::{Counts, Histogram};

use crate::error::ReadError;

/// The sums of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    pub(crate) counts: Counts,
    pub(crate) pending: i64,
    pub(crate) retrying: i64,
    pub(crate) last_at: Option<i64>,
}

/// A webhook and an hour.
pub(crate) type Hour = (i64, i64);

const FIELDS: usize = 10 + tidings_core::stats::LATENCY_BUCKETS;

impl Sums {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        self.pending += other.pending;
        self.retrying += other.retrying;
        self.last_at = self.last_at.max(other.last_at);
    }

    fn fields(&self) -> [i64; FIELDS] {
        let c = &self.counts;
        let mut fields = [0; FIELDS];
        let (counted, latency) = fields.split_at_mut(10);
        counted.copy_from_slice(&[
            c.accepted,
            c.success,
            c.failed,
            c.cancelled,
            c.expired,
            c.attempts,
            c.attempts_failed,
            self.pending,
            self.retrying,
            // Nothing was attempted in 1970.
            self.last_at.unwrap_or(0),
        ]);
        for (field, n) in latency.iter_mut().zip(c.latency.0) {
            *field = i64::try_from(n).unwrap_or(i64::MAX);
        }
        fields
    }

    fn of(fields: &[i64; FIELDS]) -> Self {
        let [accepted, success, failed, cancelled, expired, attempts, attempts_failed, ..] =
            *fields;
        let mut latency = Histogram::default();
        for (n, &field) in latency.0.iter_mut().zip(&fields[10..]) {
            *n = u64::try_from(field).unwrap_or(0);
        }
        Self {
            counts: Counts {
                accepted,
                success,
                failed,
                cancelled,
                expired,
                attempts,
                attempts_failed,
                latency,
            },
            pending: fields[7],
            retrying: fields[8],
            last_at: Some(fields[9]).filter(|&at| at != 0),
        }
    }
}

/// For each hour of a webhook: both, a bit for each field that is not 0, and those fields.
pub(crate) fn write<'s>(hours: impl IntoIterator<Item = (Hour, &'s Sums)>) -> Vec<u8> {
    let mut out = Vec::new();
    for ((webhook, hour), sums) in hours {
        let fields = sums.fields();
        let present = (0..FIELDS).filter(|&n| fields[n] != 0);
        put(&mut out, webhook);
        put(&mut out, hour);
        put(&mut out, present.clone().map(|n| 1_i64 << n).sum());
        present.for_each(|n| put(&mut out, fields[n]));
    }
    out
}

/// What [`write`] has written.
pub(crate) fn read(mut bytes: &[u8]) -> Result<Vec<(Hour, Sums)>, ReadError> {
    let mut hours = Vec::new();
    while !bytes.is_empty() {
        let hour = take_hour(&mut bytes);
        hours.push(hour.ok_or(ReadError::Inconsistent("a tally"))?);
    }
    Ok(hours)
}

fn take_hour(bytes: &mut &[u8]) -> Option<(Hour, Sums)> {
    let hour = (take(bytes)?, take(bytes)?);
    let present = take(bytes)?;
    let mut fields = [0; FIELDS];
    for (n, field) in fields.iter_mut().enumerate() {
        if present & 1 << n != 0 {
            *field = take(bytes)?;
        }
    }
    Some((hour, Sums::of(&fields)))
}

/// Seven bits a byte, the lowest first, all but the last with the eighth set; small negative numbers are
/// small as well.
fn put(out: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn take(bytes: &mut &[u8]) -> Option<i64> {
    let mut folded = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        folded |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for number in [0, 1, -1, 63, 64, -64, -65, 1 << 40, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put(&mut out, number);
            let mut bytes = &out[..];
            assert_eq!((take(&mut bytes), bytes), (Some(number), &[][..]));
        }
    }

    #[test]
    fn sums_come_back() {
        let mut counts =
            Counts { accepted: 3, success: -1, attempts_failed: 9, ..Counts::default() };
        counts.latency.0 = std::array::from_fn(|n| n as u64 * 1_000);
        let full = Sums { counts, pending: -7, retrying: 2, last_at: Some(1_795_305_600_000) };
        let hours = [((i64::MAX, 498_696), full), ((1, -1), Sums::default())];
        let bytes = write(hours.iter().map(|(hour, sums)| (*hour, sums)));
        assert_eq!(read(&bytes).expect("ours"), hours);
        assert!(read(&bytes[..bytes.len() - 1]).is_err());
        assert_eq!(read(&[]).expect("none"), []);
    }
}
