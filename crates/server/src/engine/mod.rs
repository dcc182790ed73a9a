//! The engine: the pure dispatcher of `core`, driven by real time, a real store and a real network.
//!
//! [`driver`] is its one loop. [`attempt`] makes one request out of a delivery and a record out of its
//! outcome, [`handoff`] the several of a lead format; [`released`] has a worker send them. [`pager`]
//! reads what is not in memory. [`announce`] turns what happened to a webhook into operational events.

pub mod announce;
pub mod attempt;
mod driver;
pub(crate) mod handoff;
mod pager;
mod released;

use std::sync::Arc;

use tidings_core::dispatch::{Limits, Signal};
use tidings_core::id::IdSource;
use tidings_store::{Committed, Store};
use tokio::sync::{mpsc, oneshot, watch};

use crate::api::auth::Keyring;
use crate::clock::Clock;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::nodes::Membership;
use crate::nodes::catalogue::Version;
use crate::registry::Registry;
use crate::seal::Sealer;
use crate::sender::Sender;
use crate::spread::Spread;

/// What the driver is told.
#[derive(Debug)]
pub enum Input {
    /// What a commit changed, in commit order.
    Committed(Vec<Committed>),
    Signal(Signal),
    /// Whoever asks wants to know that the loop comes round.
    Ping(oneshot::Sender<()>),
}

/// Where the driver is told things. Sending never blocks; what can be under way is bounded by the
/// limits of the committer and of the dispatcher.
#[derive(Debug, Clone)]
pub struct Inbox(mpsc::UnboundedSender<Input>);

impl Inbox {
    /// An inbox and its other end.
    #[must_use]
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Input>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Tells the driver. Nobody listens any more once it has stopped, which is fine: the store knows.
    pub fn tell(&self, input: Input) {
        let _ = self.0.send(input);
    }

    pub fn signal(&self, signal: Signal) {
        self.tell(Input::Signal(signal));
    }
}

/// What the engine works with; shared by all its tasks.
#[derive(Debug)]
pub struct Parts {
    pub store: Store,
    pub keyring: Arc<Keyring>,
    /// Which version of the catalogue is in memory.
    pub catalogue: Version,
    /// Of this node among others.
    pub membership: Membership,
    pub sealer: Sealer,
    pub registry: Arc<Registry>,
    pub sender: Sender,
    /// Has requests sent by workers, while there are any.
    pub spread: Option<Arc<Spread>>,
    pub ids: Arc<IdSource>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub inbox: Inbox,
    pub live: Arc<Live>,
}

/// How the engine stands; published by the driver whenever it has worked.
#[derive(Debug, Clone, Copy, Default)]
pub struct EngineState {
    pub in_flight: usize,
    pub unsettled: usize,
    pub held_rows: usize,
    pub held_bytes: usize,
}

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    pub state: watch::Receiver<EngineState>,
    task: tokio::task::JoinHandle<()>,
    inbox: Inbox,
}

impl Engine {
    /// Starts the driver, whose dispatcher keeps to these limits.
    #[must_use]
    pub fn start(
        parts: Arc<Parts>,
        limits: Limits,
        inputs: mpsc::UnboundedReceiver<Input>,
    ) -> Self {
        let (publish, state) = watch::channel(EngineState::default());
        let inbox = parts.inbox.clone();
        let task = tokio::spawn(driver::Driver::new(parts, limits, publish).run(inputs));
        Self { state, task, inbox }
    }

    /// Starts no further attempts and waits until those on the network are over and settled, or
    /// until the deadline. What is cut off is still owed and is tried again after the next start.
    pub async fn drain(mut self, deadline: std::time::Duration) {
        self.inbox.signal(Signal::Drain);
        let drained = self.state.wait_for(|state| state.unsettled == 0);
        let _ = tokio::time::timeout(deadline, drained).await;
        self.task.abort();
        let _ = self.task.await;
    }
}
