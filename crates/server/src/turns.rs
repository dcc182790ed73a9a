//! Turns: writers of one thing come one after the other, so that none has to decide again.

use std::sync::Arc;

use tidings_core::id::Id;
use tokio::sync::{Mutex, OwnedMutexGuard};

const TURNS: usize = 64;

/// One lock for some of the things, by id.
#[derive(Debug)]
pub struct Turns([Arc<Mutex<()>>; TURNS]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Arc::default()))
    }
}

impl Turns {
    /// Waits for one's turn, which lasts until the answer is dropped.
    pub async fn of<K>(&self, id: Id<K>) -> OwnedMutexGuard<()> {
        // The low bits of an id are often zero: fold in those of its time.
        let at = (id.as_i64() ^ (id.as_i64() >> 22)).unsigned_abs() as usize % TURNS;
        Arc::clone(&self.0[at]).lock_owned().await
    }
}
