//! The one place that reads the machine's clock and draws randomness.
//!
//! What waits is due by [`Clock::now`], which never goes back: when the machine's clock is set back, it
//! runs on a little slower until that has caught up. When the machine's clock is set forward, or the
//! machine wakes up, it follows at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidings_core::time::Timestamp;

type Tell = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Tells the time. Handed to whatever needs it.
#[derive(Clone)]
pub struct Clock {
    now: Tell,
    wall: Tell,
}

impl Clock {
    /// The clock of this machine.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the time comes from")]
    pub fn system() -> Self {
        let (since, steady) = (Instant::now(), Mutex::new(Steady::default()));
        let now = move || {
            let elapsed = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let mut steady = steady.lock().unwrap_or_else(PoisonError::into_inner);
            steady.read(wall_ns(), elapsed)
        };
        Self { now: Arc::new(now), wall: Arc::new(|| millis(wall_ns())) }
    }

    /// A clock that tells what it is told, for tests.
    #[must_use]
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let now: Tell = Arc::new(now);
        Self { wall: Arc::clone(&now), now }
    }

    /// The time by which things are due; never goes back.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// The time that others are shown: what the machine's clock says, also right after it was set back.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        (self.wall)()
    }

    /// What has passed since the machine was started, also while it or this process slept: for what must
    /// not last longer than somebody else believes. It has nothing to do with [`Self::now`].
    #[must_use]
    pub fn awake(&self) -> Timestamp {
        #[cfg(target_os = "linux")]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
        let passed = rustix::time::clock_gettime(CLOCK);
        Timestamp::from_millis(passed.tv_sec * 1_000 + passed.tv_nsec / 1_000_000)
    }

    /// The clock as the store takes it.
    #[must_use]
    pub fn as_fn(&self) -> tidings_store::Now {
        Arc::clone(&self.now)
    }
}

/// A clock that is set back runs slower by one part in so many until the machine's has caught up: an
/// hour takes ten, and what waits is late by a tenth.
const SLOWER_BY: u64 = 10;

/// Makes a time that never goes back out of two that are read: what the machine's clock says, and what
/// has passed.
#[derive(Debug, Default)]
struct Steady {
    told_ns: u64,
    elapsed_ns: u64,
}

impl Steady {
    fn read(&mut self, wall_ns: u64, elapsed_ns: u64) -> Timestamp {
        let passed = elapsed_ns.saturating_sub(self.elapsed_ns);
        let steady = self.told_ns.saturating_add(passed);
        let ahead = steady.saturating_sub(wall_ns);
        self.told_ns = wall_ns.max(steady - ahead.min(passed / SLOWER_BY));
        self.elapsed_ns = self.elapsed_ns.max(elapsed_ns);
        millis(self.told_ns)
    }
}

fn millis(ns: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX))
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the time comes from")]
fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Random bytes from the operating system.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const HOUR: u64 = 3_600 * S;
    const START: u64 = 1_795_305_600 * S;

    fn told(steady: &mut Steady, wall_ns: u64, elapsed_ns: u64) -> i64 {
        steady.read(wall_ns, elapsed_ns).as_millis() - (START / 1_000_000) as i64
    }

    #[test]
    fn it_follows_the_machine_forward_at_once() {
        let mut steady = Steady::default();
        assert_eq!(told(&mut steady, START, 0), 0);
        assert_eq!(told(&mut steady, START + S, S), 1_000);
        // Asleep for an hour in which nothing passed.
        assert_eq!(told(&mut steady, START + S + HOUR, S + 1), 3_601_000);
    }

    #[test]
    fn set_back_it_goes_on_and_is_caught_up_with() {
        let mut steady = Steady::default();
        told(&mut steady, START + HOUR, 0);
        let mut before = 3_600_000;
        for minute in 1..=660 {
            let passed = 60 * S * minute;
            let now = told(&mut steady, START + passed, passed);
            let step = now - before;
            assert!((54_000..=60_000).contains(&step), "{step} in minute {minute}");
            before = now;
        }
        assert_eq!(before, 660 * 60_000, "after ten hours it is the machine's again");
    }

    #[test]
    fn it_never_goes_back() {
        let mut steady = Steady::default();
        let mut before = 0;
        for (wall, elapsed) in [(9, 1), (3, 1), (3, 0), (0, 2), (12, 3), (11, 5)] {
            let now = told(&mut steady, START + wall * S, elapsed * S);
            assert!(now >= before, "{now} after {before}");
            before = now;
        }
    }
}
