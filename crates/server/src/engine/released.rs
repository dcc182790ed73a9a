//! An attempt whose requests a worker sends.

use std::sync::Arc;

use tidings_core::releases::Ticket;
use tidings_core::shard;

use super::attempt::Running;
use crate::sender::{Request, Sent};
use crate::spread::{Order, Spread, Stub};

impl Running {
    /// Who has it sent, if it is not sent here.
    pub(super) fn spread(&self, call: u8, request: &Request) -> Option<Arc<Spread>> {
        let spread = self.parts.spread.as_ref()?;
        let takes = spread.takes(self.owed().lane.webhook, self.ticket(call), request);
        takes.then(|| Arc::clone(spread))
    }

    fn ticket(&self, call: u8) -> Ticket {
        let owed = self.owed();
        let shard = shard::of(owed.lane.webhook);
        Ticket { delivery: owed.id, shard, attempt: owed.attempts + 1, call }
    }

    /// Has the request sent, and takes over what became of it. When that will never be known the delivery
    /// goes back to where it was.
    pub(super) async fn release(
        mut self,
        spread: Arc<Spread>,
        request: Request,
        signature: String,
    ) {
        let order = self.order(&request, 0, false, signature);
        match spread.send(self.owed().lane.webhook, order).await {
            Ok(reply) => {
                // That of a former owner, it may be.
                let Stub { started_at, revision, signature } = reply.stub;
                (self.started_at, self.revision) = (started_at, revision);
                let sent = Sent { outcome: reply.outcome, duration_ms: reply.duration_ms };
                self.finish(signature, sent);
            }
            Err(_) => self.give_back(),
        }
    }

    /// Sends one of several requests, here or there, and returns what became of it with the body of the
    /// answer; `None` when that will never be known.
    pub(super) async fn call(&self, request: &Request, number: u8) -> Option<(Sent, Vec<u8>)> {
        let Some(spread) = self.spread(number, request) else {
            return Some(self.parts.sender.send_and_read(request).await);
        };
        let order = self.order(request, number, true, String::new());
        let reply = spread.send(self.owed().lane.webhook, order).await.ok()?;
        Some((Sent { outcome: reply.outcome, duration_ms: reply.duration_ms }, reply.body))
    }

    fn order<'a>(
        &self,
        request: &'a Request,
        call: u8,
        whole: bool,
        signature: String,
    ) -> Order<'a> {
        let ticket = self.ticket(call);
        let stub = Stub { started_at: self.started_at, revision: self.revision, signature };
        Order { ticket, request, whole, stub }
    }
}
