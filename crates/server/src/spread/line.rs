//! How much goes to Redis at once.
//!
//! A write has a second. So it is bounded in bytes as well as in number, and so is what all groups of a
//! process write at the same time: else they would time out on a slow line though Redis works.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

/// Entries of one write.
const ENTRIES_MAX: usize = 256;
/// Bytes after which no further entry goes into a write. The largest is some 1.1 MiB.
const BYTES_MAX: usize = 1 << 20;
/// Bytes of all writes at once: a third of a second at 100 Mbit/s.
const BYTES_AT_ONCE: usize = 4 << 20;

/// The way to Redis of one process.
#[derive(Debug, Clone)]
pub(super) struct Line(Arc<Semaphore>);

impl Default for Line {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BYTES_AT_ONCE)))
    }
}

impl Line {
    /// Waits until so much may be written; it may until what is returned is dropped.
    pub(super) async fn turn(&self, bytes: usize) -> SemaphorePermit<'_> {
        let bytes = bytes.min(BYTES_AT_ONCE) as u32;
        self.0.acquire_many(bytes).await.expect("it is never closed")
    }
}

/// What is written at once, and about how many bytes it is.
#[derive(Debug)]
pub(super) struct Batch<T> {
    pub(super) entries: Vec<T>,
    pub(super) bytes: usize,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), bytes: 0 }
    }
}

/// Waits for the first entry and takes what else is there, as far as one write carries it. `None`: there
/// will be none any more.
pub(super) async fn gather<T>(
    queue: &mut mpsc::UnboundedReceiver<T>,
    weight: impl Fn(&T) -> usize,
) -> Option<Batch<T>> {
    let first = queue.recv().await?;
    let mut batch = Batch { bytes: weight(&first), entries: vec![first] };
    while batch.entries.len() < ENTRIES_MAX
        && batch.bytes < BYTES_MAX
        && let Ok(next) = queue.try_recv()
    {
        batch.bytes += weight(&next);
        batch.entries.push(next);
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_is_bounded_in_number_and_in_bytes() {
        let (sender, mut queue) = mpsc::unbounded_channel();
        let sizes = std::iter::repeat_n(10, ENTRIES_MAX + 1).chain([BYTES_MAX - 1, 5_000, 7]);
        sizes.for_each(|bytes| sender.send(bytes).expect("it is open"));
        drop(sender);
        let mut gathered = Vec::new();
        while let Some(batch) = gather(&mut queue, |bytes| *bytes).await {
            gathered.push((batch.entries.len(), batch.bytes));
        }
        let second = (2, BYTES_MAX + 9);
        assert_eq!(gathered, [(ENTRIES_MAX, 10 * ENTRIES_MAX), second, (2, 5_007)]);
    }

    #[tokio::test]
    async fn what_is_too_much_for_the_line_goes_alone() {
        let line = Line::default();
        let turn = line.turn(usize::MAX).await;
        assert_eq!(line.0.available_permits(), 0);
        drop(turn);
        assert_eq!(line.0.available_permits(), BYTES_AT_ONCE);
    }
}
