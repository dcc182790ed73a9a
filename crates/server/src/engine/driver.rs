//! The driver: the one loop between the dispatcher and the world.
//!
//! Wait for inputs or for the dispatcher's next moment, hand everything over, carry out what it wants.
//! No decision is taken here.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::delivery::Owed;
use tidings_core::dispatch::{Command, Dispatcher, Limits, News, Signal};
use tidings_core::settlement::Settlement;
use tidings_core::time::Timestamp;
use tidings_store::Committed;
use tokio::sync::{mpsc, watch};

use super::attempt::{self, Running};
use super::pager::Pager;
use super::{EngineState, Input, Parts, announce};

/// Inputs taken at once: a burst is handled with one look at the clock and one round of commands.
const INPUTS_AT_ONCE: usize = 1_024;
/// With nothing to wait for, the loop still turns now and then.
const IDLE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Driver {
    parts: Arc<Parts>,
    dispatcher: Dispatcher,
    pager: Pager,
    state: watch::Sender<EngineState>,
}

impl Driver {
    pub(super) fn new(
        parts: Arc<Parts>,
        limits: Limits,
        state: watch::Sender<EngineState>,
    ) -> Self {
        let pager = Pager::start(Arc::clone(&parts));
        Self { parts, dispatcher: Dispatcher::new(limits), pager, state }
    }

    pub(super) async fn run(mut self, mut inputs: mpsc::UnboundedReceiver<Input>) {
        let mut batch = Vec::with_capacity(INPUTS_AT_ONCE);
        loop {
            let received = inputs.recv_many(&mut batch, INPUTS_AT_ONCE);
            if let Ok(0) = tokio::time::timeout(self.patience(), received).await {
                return;
            }
            let now = self.parts.clock.now();
            for input in batch.drain(..) {
                self.take_in(input, now);
            }
            self.dispatcher.suspend(self.parts.membership.is_over(&self.parts.clock));
            while let Some(command) = self.dispatcher.next_command(now) {
                self.carry_out(command, now);
            }
            self.publish_state();
        }
    }

    /// How long there is nothing to do unless an input comes.
    fn patience(&self) -> Duration {
        let now = self.parts.clock.now();
        self.dispatcher.wake_at().map_or(IDLE, |at| {
            let ms = u64::try_from(at.since(now)).unwrap_or(0);
            Duration::from_millis(ms).min(IDLE)
        })
    }

    fn take_in(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Signal(signal) => self.dispatcher.handle(signal, now),
            Input::Ping(answer) => drop(answer.send(())),
            Input::Committed(changes) => {
                for change in changes {
                    self.committed(change, now);
                }
            }
        }
    }

    fn committed(&mut self, change: Committed, now: Timestamp) {
        let signal = match change {
            // For live streams, which hear of it themselves.
            Committed::Accepted(_) => return,
            Committed::Owed(owed) => Signal::Owed(owed),
            Committed::Moved(owed) => Signal::Moved(owed),
            Committed::Settled { lane, id, again } => Signal::Settled { lane, id, again },
            Committed::Late { lane, id } => Signal::Settled { lane, id, again: None },
            Committed::Ended { lane, id } => Signal::Ended { lane, id },
            Committed::Disabled { webhook, revision, reason } => {
                announce::switch_off(&self.parts, webhook, revision, reason);
                Signal::WebhookGone(webhook)
            }
        };
        self.dispatcher.handle(signal, now);
    }

    fn carry_out(&mut self, command: Command, now: Timestamp) {
        match command {
            Command::Attempt(owed) => self.attempt(owed),
            Command::Settle { settlement, news } => self.settle(settlement, &news, now),
            Command::Page { lane, limit, known } => self.pager.ask(lane, (limit, known)),
            Command::Drained { shard } => self.parts.membership.drained(shard),
        }
    }

    fn attempt(&self, owed: Owed) {
        let running = Running::new(owed, Arc::clone(&self.parts));
        tokio::spawn(attempt::run(running));
    }

    fn settle(&self, mut settlement: Box<Settlement>, news: &[News], now: Timestamp) {
        self.parts.metrics.settled(&settlement);
        announce::log(&settlement);
        if !news.is_empty() {
            settlement.announcements = announce::publications(&self.parts, &settlement, news, now);
        }
        self.parts.store.settle(settlement);
    }

    fn publish_state(&self) {
        let (held_rows, held_bytes) = self.dispatcher.held();
        self.state.send_if_modified(|state| {
            let unsettled = self.dispatcher.unsettled();
            let settled_all = unsettled == 0 && state.unsettled != 0;
            *state = EngineState {
                in_flight: self.dispatcher.in_flight(),
                unsettled,
                held_rows,
                held_bytes,
            };
            // Only whoever drains waits for a change.
            settled_all
        });
    }
}
