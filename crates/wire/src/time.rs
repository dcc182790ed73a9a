//! Unix milliseconds as RFC 3339 text, as JavaScript's `Date.prototype.toISOString` prints it.

use std::fmt;
use std::ops::Deref;

const MS_PER_DAY: i64 = 86_400_000;
/// 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z, between which a year has four digits.
const EARLIEST_MS: i64 = -62_167_219_200_000;
const LATEST_MS: i64 = 253_402_300_799_999;

/// `2024-01-14T10:30:56.789Z`, on the stack. Use it as a `&str`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339([u8; 24]);

/// A moment in Unix milliseconds as RFC 3339 text in UTC: see [`Rfc3339::new`].
///
/// ```
/// use tidings_wire::time::rfc3339_ms;
/// assert_eq!(rfc3339_ms(1_705_228_256_789), "2024-01-14T10:30:56.789Z");
/// ```
pub fn rfc3339_ms(ms: i64) -> String {
    Rfc3339::new(ms).to_string()
}

impl Rfc3339 {
    /// A moment in Unix milliseconds, in UTC.
    ///
    /// RFC 3339 has no years of more than four digits; what lies outside of 0000 to 9999 is drawn
    /// to the nearest moment inside.
    pub fn new(ms: i64) -> Self {
        let ms = ms.clamp(EARLIEST_MS, LATEST_MS);
        let (year, month, day) = civil_from_days(ms.div_euclid(MS_PER_DAY));
        let of_day = ms.rem_euclid(MS_PER_DAY);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        put_digits(&mut text[0..4], year);
        put_digits(&mut text[5..7], month);
        put_digits(&mut text[8..10], day);
        put_digits(&mut text[11..13], of_day / 3_600_000);
        put_digits(&mut text[14..16], of_day / 60_000 % 60);
        put_digits(&mut text[17..19], of_day / 1_000 % 60);
        put_digits(&mut text[20..23], of_day % 1_000);
        Self(text)
    }
}

/// The Gregorian date of a day counted from 1970-01-01.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`: the year
/// starts in March, so that the leap day is its last, and 400 years (an era) have 146,097 days.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // from 0000-03-01
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn put_digits(at: &mut [u8], mut number: i64) {
    for digit in at.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

impl Deref for Rfc3339 {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII digits and separators are written")
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_827_696_001, "2000-02-29T12:34:56.001Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LATEST_MS, "9999-12-31T23:59:59.999Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (EARLIEST_MS, "0000-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339_ms(ms), text, "{ms}");
        }
    }

    /// Walks every day from 1970 to 9999 with a calendar that only knows how to take one step.
    #[test]
    fn every_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=LATEST_MS / MS_PER_DAY {
            assert_eq!(civil_from_days(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 => 28 + i64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
        assert_eq!((year, month, day), (10_000, 1, 1));
    }
}
