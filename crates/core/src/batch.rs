//! What is committed next: the order in which waiting writes enter a transaction.
//!
//! Four classes share every batch by deficit round robin, measured in rows, and within publications
//! the tenants do the same, so that no caller can make another wait: a tenant that publishes a
//! million events delays its own next publish and nobody's settlement. Within a class (and tenant)
//! the order is kept. What a class does not use, the others get.
//!
//! Publishers are refused rather than made to wait: a 503 now is better than a timeout later.
//! Settlements are never refused, for what they tell has already happened.

use std::collections::{HashMap, VecDeque};

use crate::id::TenantId;
use crate::limits::{
    COMMIT_BYTES_MAX, COMMIT_QUEUE_BYTES_MAX, COMMIT_QUEUE_MS_MAX, COMMIT_ROWS_MAX,
};
use crate::time::Timestamp;

/// Who shares a batch with whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    Settlement,
    Publication(TenantId),
    Change,
    Maintenance,
}

/// How much of a transaction something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weight {
    pub rows: usize,
    pub bytes: usize,
}

/// More waits than can be written soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overloaded {
    pub retry_after_s: u32,
}

/// Rows that each class may add in one round, settlements first: they free what an attempt holds.
const QUANTA: [usize; 4] = [400, 400, 100, 50];
/// The same for a tenant among the publications.
const TENANT_QUANTUM: usize = 100;
const PUBLICATIONS: usize = 1;

/// What waits to be written.
#[derive(Debug)]
pub struct Batcher<T> {
    /// By class; the queue of the publications stays empty.
    queues: [VecDeque<Waiting<T>>; 4],
    tenants: Tenants<T>,
    /// Rows that each class may still add in its turn.
    deficits: [usize; 4],
    /// The class whose turn it is: the one that found the previous batch full.
    turn: usize,
    /// Of publications and changes.
    waiting_bytes: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    weight: Weight,
    since: Timestamp,
}

impl<T> Default for Batcher<T> {
    fn default() -> Self {
        Self {
            queues: std::array::from_fn(|_| VecDeque::new()),
            tenants: Tenants { queues: HashMap::new(), ring: VecDeque::new() },
            deficits: [0; 4],
            turn: 0,
            waiting_bytes: 0,
        }
    }
}

impl<T> Batcher<T> {
    /// Takes something to be written, or gives it back when too much waits already.
    pub fn push(
        &mut self,
        class: Class,
        weight: Weight,
        now: Timestamp,
        item: T,
    ) -> Result<(), (T, Overloaded)> {
        if self.is_overloaded(class, now) {
            return Err((item, Overloaded { retry_after_s: 1 }));
        }
        let waiting = Waiting { item, weight, since: now };
        match class {
            Class::Settlement => self.queues[0].push_back(waiting),
            Class::Publication(tenant) => {
                self.waiting_bytes += weight.bytes;
                self.tenants.push(tenant, waiting);
            }
            Class::Change => {
                self.waiting_bytes += weight.bytes;
                self.queues[2].push_back(waiting);
            }
            Class::Maintenance => self.queues[3].push_back(waiting),
        }
        Ok(())
    }

    /// A tenant is refused for its own oldest publication, so a flood of one does not refuse another.
    fn is_overloaded(&self, class: Class, now: Timestamp) -> bool {
        let oldest = match class {
            Class::Publication(tenant) => self.tenants.oldest(tenant),
            Class::Change => None,
            Class::Settlement | Class::Maintenance => return false,
        };
        self.waiting_bytes > COMMIT_QUEUE_BYTES_MAX
            || oldest.is_some_and(|since| now.since(since) > COMMIT_QUEUE_MS_MAX)
    }

    /// What was taken and is written in parts waits on: its bytes count until [`Self::release`].
    pub fn keep(&mut self, bytes: usize) {
        self.waiting_bytes += bytes;
    }

    pub fn release(&mut self, bytes: usize) {
        self.waiting_bytes -= bytes;
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tenants.ring.is_empty() && self.queues.iter().all(VecDeque::is_empty)
    }

    /// The next batch: at most [`COMMIT_ROWS_MAX`] rows and [`COMMIT_BYTES_MAX`] bytes, unless a
    /// single item is larger; empty only when nothing waits.
    pub fn take(&mut self) -> Vec<T> {
        let mut batch = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        while !self.is_empty() {
            let class = self.turn;
            self.deficits[class] += QUANTA[class];
            while let Some(weight) = self.peek(class) {
                if weight.rows > self.deficits[class] {
                    break;
                }
                rows += weight.rows;
                bytes += weight.bytes;
                if !batch.is_empty() && (rows > COMMIT_ROWS_MAX || bytes > COMMIT_BYTES_MAX) {
                    // It keeps its turn, but not what it was granted for it.
                    self.deficits[class] = self.deficits[class].saturating_sub(QUANTA[class]);
                    return batch;
                }
                self.deficits[class] -= weight.rows;
                batch.extend(self.pop(class));
            }
            if self.peek(class).is_none() {
                self.deficits[class] = 0;
            }
            self.turn = (class + 1) % QUANTA.len();
        }
        batch
    }

    /// Everything that waits, for a shutdown that answers it.
    pub fn drain(&mut self) -> Vec<T> {
        let mut all = Vec::new();
        while !self.is_empty() {
            all.append(&mut self.take());
        }
        all
    }

    fn peek(&mut self, class: usize) -> Option<Weight> {
        if class == PUBLICATIONS {
            return self.tenants.peek();
        }
        self.queues[class].front().map(|waiting| waiting.weight)
    }

    fn pop(&mut self, class: usize) -> Option<T> {
        let popped = match class {
            PUBLICATIONS => self.tenants.pop(),
            _ => self.queues[class].pop_front(),
        }?;
        if class == PUBLICATIONS || class == 2 {
            self.waiting_bytes -= popped.weight.bytes;
        }
        Some(popped.item)
    }
}

/// Publications by tenant. A tenant is here only while something of it waits.
#[derive(Debug)]
struct Tenants<T> {
    queues: HashMap<TenantId, Tenant<T>>,
    /// Whose turn it is.
    ring: VecDeque<TenantId>,
}

#[derive(Debug)]
struct Tenant<T> {
    waiting: VecDeque<Waiting<T>>,
    deficit: usize,
}

impl<T> Tenants<T> {
    fn push(&mut self, tenant: TenantId, waiting: Waiting<T>) {
        let queue = self.queues.entry(tenant).or_insert_with(|| {
            self.ring.push_back(tenant);
            Tenant { waiting: VecDeque::new(), deficit: TENANT_QUANTUM }
        });
        queue.waiting.push_back(waiting);
    }

    fn oldest(&self, tenant: TenantId) -> Option<Timestamp> {
        self.queues.get(&tenant)?.waiting.front().map(|waiting| waiting.since)
    }

    /// The weight of the next publication; turns the ring to the tenant that may add it.
    fn peek(&mut self) -> Option<Weight> {
        loop {
            let tenant = *self.ring.front()?;
            let queue = self.queues.get_mut(&tenant)?;
            let weight = queue.waiting.front()?.weight;
            if weight.rows <= queue.deficit {
                return Some(weight);
            }
            queue.deficit += TENANT_QUANTUM;
            self.ring.rotate_left(1);
        }
    }

    fn pop(&mut self) -> Option<Waiting<T>> {
        let tenant = *self.ring.front()?;
        let queue = self.queues.get_mut(&tenant)?;
        let popped = queue.waiting.pop_front()?;
        queue.deficit = queue.deficit.saturating_sub(popped.weight.rows);
        if queue.waiting.is_empty() {
            self.queues.remove(&tenant);
            self.ring.pop_front();
        }
        Some(popped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn tenant(n: i64) -> Class {
        Class::Publication(TenantId::from_i64(n))
    }

    fn rows(rows: usize) -> Weight {
        Weight { rows, bytes: rows * 100 }
    }

    fn push(batcher: &mut Batcher<(Class, usize)>, class: Class, weight: Weight, count: usize) {
        for n in 0..count {
            batcher.push(class, weight, NOW, (class, n)).expect("there is room");
        }
    }

    fn count(batch: &[(Class, usize)], class: Class) -> usize {
        batch.iter().filter(|&&(c, _)| c == class).count()
    }

    #[test]
    fn everything_comes_out_once_and_in_order_within_its_class() {
        let mut batcher = Batcher::default();
        let classes = [Class::Settlement, tenant(1), tenant(2), Class::Change, Class::Maintenance];
        for class in classes {
            push(&mut batcher, class, rows(3), 2_000);
        }
        let mut all = Vec::new();
        while !batcher.is_empty() {
            let batch = batcher.take();
            assert!(!batch.is_empty() && batch.len() * 3 <= COMMIT_ROWS_MAX);
            all.extend(batch);
        }
        for class in classes {
            let order: Vec<usize> =
                all.iter().filter(|&&(c, _)| c == class).map(|&(_, n)| n).collect();
            assert_eq!(order, (0..2_000).collect::<Vec<_>>(), "{class:?}");
        }
    }

    #[test]
    fn a_flood_of_one_class_leaves_room_for_the_others() {
        let mut batcher = Batcher::default();
        push(&mut batcher, tenant(1), rows(2), 50_000);
        push(&mut batcher, Class::Settlement, rows(3), 100);
        push(&mut batcher, Class::Change, rows(3), 5);
        push(&mut batcher, Class::Maintenance, rows(10), 1);
        let batch = batcher.take();
        assert_eq!(count(&batch, Class::Settlement), 100);
        assert_eq!(count(&batch, Class::Change), 5);
        assert_eq!(count(&batch, Class::Maintenance), 1);
        assert!(count(&batch, tenant(1)) * 2 >= COMMIT_ROWS_MAX - 500);
    }

    #[test]
    fn a_flood_of_one_tenant_leaves_room_for_the_others() {
        let mut batcher = Batcher::default();
        push(&mut batcher, tenant(1), rows(1_000), 100);
        (2..12).for_each(|n| push(&mut batcher, tenant(n), rows(2), 3));
        let batches: Vec<_> = (0..2).flat_map(|_| batcher.take()).collect();
        for n in 2..12 {
            assert_eq!(count(&batches, tenant(n)), 3, "tenant {n}");
        }
    }

    #[test]
    fn something_larger_than_a_batch_is_taken_alone() {
        let mut batcher = Batcher::default();
        push(&mut batcher, Class::Settlement, rows(3), 1);
        push(&mut batcher, tenant(1), rows(COMMIT_ROWS_MAX * 3), 1);
        push(&mut batcher, tenant(1), rows(1), 1);
        let sizes: Vec<usize> =
            std::iter::from_fn(|| Some(batcher.take().len()).filter(|&n| n > 0)).take(9).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 3);
        assert!(sizes.len() >= 2, "{sizes:?}");
    }

    #[test]
    fn bytes_bound_a_batch_as_well() {
        let mut batcher = Batcher::default();
        let heavy = Weight { rows: 2, bytes: COMMIT_BYTES_MAX / 4 };
        push(&mut batcher, tenant(1), heavy, 10);
        assert_eq!(batcher.take().len(), 4);
    }

    #[test]
    fn refuses_the_tenant_that_waits_too_long_and_no_other() {
        let mut batcher = Batcher::default();
        push(&mut batcher, tenant(1), rows(2), 1);
        let later = NOW + COMMIT_QUEUE_MS_MAX + 1;
        assert!(batcher.push(tenant(1), rows(2), later, (tenant(1), 1)).is_err());
        assert!(batcher.push(tenant(2), rows(2), later, (tenant(2), 0)).is_ok());
        assert!(batcher.push(Class::Settlement, rows(2), later, (Class::Settlement, 0)).is_ok());
        assert_eq!(batcher.take().len(), 3);
        assert!(batcher.push(tenant(1), rows(2), later, (tenant(1), 1)).is_ok());
    }

    #[test]
    fn refuses_publications_when_too_many_bytes_wait() {
        let mut batcher = Batcher::default();
        let heavy = Weight { rows: 2, bytes: COMMIT_QUEUE_BYTES_MAX + 1 };
        push(&mut batcher, tenant(1), heavy, 1);
        for class in [tenant(2), Class::Change] {
            assert!(batcher.push(class, rows(1), NOW, (class, 0)).is_err());
        }
        assert!(batcher.push(Class::Settlement, rows(1), NOW, (Class::Settlement, 0)).is_ok());
        assert_eq!(batcher.drain().len(), 2);
        assert!(batcher.push(tenant(2), rows(1), NOW, (tenant(2), 0)).is_ok());
    }
}
