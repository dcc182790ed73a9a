//! Keeps this node's lease: an exchange with the database at least three times in a lease, and at once
//! when there is something to claim or to give back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::dispatch::{Shards, Signal};
use tidings_core::leases::{Leases, Standing, Step, Terms};
use tidings_core::shard::ShardSet;
use tidings_store::nodes::Tenure;
use tokio::sync::{mpsc, oneshot};

use super::takeover::{Gain, Gained, take_over};
use crate::engine::Parts;

/// After an exchange that failed.
const AGAIN: Duration = Duration::from_millis(300);
/// A claim that another was faster with is not repeated at once.
const PAUSE: Duration = Duration::from_millis(5);

/// The task that keeps the lease, and its other end.
#[derive(Debug)]
pub struct Keeper {
    leave: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Keeper {
    /// Starts it, and returns when the database has answered for the first time.
    pub async fn start(
        parts: Arc<Parts>,
        tenure: Arc<Tenure>,
        leases: Leases,
        terms: Terms,
        drained: mpsc::UnboundedReceiver<u8>,
    ) -> Self {
        let (leave, leaving) = oneshot::channel();
        let (begun, first) = oneshot::channel();
        let (opened, read) = mpsc::unbounded_channel();
        let keeping = Keeping {
            leases,
            unread: ShardSet::default(),
            told: None,
            nodes: Vec::new(),
            is_cut_off: false,
            parts,
            tenure,
            terms,
            opened,
        };
        let task = tokio::spawn(keeping.run(begun, drained, read, leaving));
        let _ = first.await;
        Self { leave: Some(leave), task }
    }

    /// Gives everything back, so that others take it at once.
    pub async fn leave(mut self) {
        let _ = self.leave.take().map(|leave| leave.send(()));
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the lease could not be given back");
        }
    }
}

struct Keeping {
    parts: Arc<Parts>,
    tenure: Arc<Tenure>,
    terms: Terms,
    leases: Leases,
    /// Gained, and not read yet: nothing starts there.
    unread: ShardSet,
    /// What the dispatcher was told last.
    told: Option<Shards>,
    nodes: Vec<u16>,
    /// The last exchange failed: told once, and again when it is over.
    is_cut_off: bool,
    opened: mpsc::UnboundedSender<Gained>,
}

impl Keeping {
    async fn run(
        mut self,
        begun: oneshot::Sender<()>,
        mut drained: mpsc::UnboundedReceiver<u8>,
        mut read: mpsc::UnboundedReceiver<Gained>,
        mut leaving: oneshot::Receiver<()>,
    ) {
        let mut begun = Some(begun);
        loop {
            let failed = !self.exchange().await;
            if !failed {
                let _ = begun.take().map(|begun| begun.send(()));
            }
            let wait = self.wait(failed);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.parts.store.leases_hinted() => {}
                Some(shard) = drained.recv() => {
                    self.leases.drained(shard);
                    while let Ok(shard) = drained.try_recv() {
                        self.leases.drained(shard);
                    }
                }
                Some(gained) = read.recv() => self.open(&gained),
                _ = &mut leaving => break,
            }
        }
        self.leases.leave();
        self.exchange().await;
    }

    fn wait(&self, failed: bool) -> Duration {
        if failed {
            return AGAIN;
        }
        let ms = self.leases.next_at().since(self.parts.clock.awake()).unsigned_abs();
        Duration::from_millis(ms).max(PAUSE)
    }

    /// Makes an exchange and does what follows; whether the database answered.
    async fn exchange(&mut self) -> bool {
        // Before it is sent: what the database grants begins later.
        let sent_at = self.parts.clock.awake();
        let asked = self.leases.exchange();
        let standing = match self.parts.store.exchange(&asked, self.terms.lease_ms).await {
            Ok(standing) => standing,
            Err(error) => {
                if !std::mem::replace(&mut self.is_cut_off, true) {
                    tracing::warn!(%error, "the lease cannot be renewed");
                }
                return false;
            }
        };
        if std::mem::take(&mut self.is_cut_off) {
            tracing::info!("the lease is renewed again");
        }
        let steps = self.leases.answered(&standing, sent_at);
        let gained = self.take_in(&steps);
        self.renew(&standing);
        let gives = asked.leaving || !asked.give_back.is_empty();
        if gives || self.nodes != standing.nodes {
            self.parts.store.hint_leases().await;
        }
        if self.nodes != standing.nodes {
            tracing::info!(nodes = ?standing.nodes, shards = self.leases.working().len(), "nodes");
            self.nodes = standing.nodes;
        }
        if !gained.shards.is_empty() {
            let opened = self.opened.clone();
            tokio::spawn(take_over(Arc::clone(&self.parts), gained, opened));
        }
        true
    }

    /// Notes what came and went; what has to be read before anything starts there.
    fn take_in(&mut self, steps: &[Step]) -> Gained {
        let mut shards = HashMap::new();
        for &step in steps {
            match step {
                Step::Gained { shard, epoch, was_cut_off } => {
                    self.tenure.set(shard, epoch);
                    self.unread.insert(shard);
                    shards.insert(shard, Gain { epoch, was_cut_off });
                }
                Step::Lost { shard } => {
                    self.tenure.set(shard, 0);
                    shards.remove(&shard);
                }
                // What is under way is still settled here.
                Step::Drain { .. } => {}
            }
        }
        Gained { shards, is_shared: self.leases.is_shared() }
    }

    fn renew(&mut self, standing: &Standing) {
        let was_over = self.parts.membership.is_over(&self.parts.clock);
        self.tenure.share(self.leases.is_shared());
        self.tell(was_over);
        self.parts.membership.renew(self.leases.until().unwrap_or_default());
        self.parts.membership.note(self.leases.working().len(), standing.nodes.len());
        if let Some(spread) = &self.parts.spread {
            spread.shared_by(standing.owners.len());
        }
        if was_over {
            // It sleeps, and is to look at the lease again.
            self.tell(true);
        }
    }

    /// Tells the dispatcher which shards are its own.
    fn tell(&mut self, anyway: bool) {
        let held = self.leases.working();
        let open = held.without(&self.unread);
        let shards = Shards { held, open, is_shared: self.leases.is_shared() };
        if anyway || self.told != Some(shards) {
            self.told = Some(shards);
            self.parts.inbox.signal(Signal::Shards(shards));
        }
    }

    /// All that there is of these shards has been told, so attempts may start; unless they have gone
    /// meanwhile, and come back as another gain.
    fn open(&mut self, gained: &Gained) {
        for (&shard, gain) in &gained.shards {
            if self.tenure.epoch(shard) == gain.epoch {
                self.unread.remove(shard);
            }
        }
        self.tell(false);
    }
}
