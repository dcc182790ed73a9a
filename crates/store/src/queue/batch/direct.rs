//! What direct deliveries bring along: written with their row of the queue, gone with their history.
//!
//! Whatever waits for the end of such a delivery (its [`tidings_core::direct::Subject`]) changes in the
//! transaction of that end: [`Tx::end`] is where every delivery comes to its end, and `Tx::reopen` where
//! a person takes the end back.

use tidings_core::delivery::{Owed, Status};
use tidings_core::direct::{Kind, Subject};
use tidings_core::id::DeliveryId;
use tidings_core::lead::LeadStatus;
use tidings_core::time::Timestamp;

use super::{Applied, Tx};
use crate::leads;
use crate::queue::table::Table;

impl Tx<'_> {
    /// Writes what a new direct delivery brings along; any other brings nothing.
    pub(super) fn insert_direct(&mut self, owed: &Owed) -> Applied<()> {
        let Some(direct) = owed.payload.direct() else { return Ok(()) };
        let doc = serde_json::to_string(&**direct).expect("its keys are strings");
        let subject = direct.subject.map(Subject::code);
        let row = [
            owed.id.into(),
            doc.as_str().into(),
            (&*direct.sealed).into(),
            direct.fixed_body.as_deref().into(),
            subject.map(|(kind, _)| kind).into(),
            subject.map(|(_, id)| id).into(),
        ];
        Ok(self.db.insert(Table::Directs, &row)?)
    }

    pub(super) fn forget_direct(&mut self, id: DeliveryId) -> Applied<()> {
        self.db.send(leads::FORGET_DELIVERY, &[id.into()])?;
        Ok(self.db.send("DELETE FROM directs WHERE delivery = $1", &[id.into()])?)
    }

    /// The lead that a delivery hands over stands as the delivery does; of any other nothing is noted.
    pub(super) fn note_lead(&mut self, owed: &Owed, status: Status, at: Timestamp) -> Applied<()> {
        if owed.lane.direct().is_none_or(|lane| lane.kind != Kind::Lead) {
            return Ok(());
        }
        let status = match status {
            Status::Pending | Status::Retrying => LeadStatus::WebhookPending,
            Status::Success => LeadStatus::WebhookSent,
            Status::Failed | Status::Cancelled | Status::Expired => LeadStatus::WebhookFailed,
        };
        Ok(self.db.send(leads::NOTE, &[status.into(), at.into(), owed.id.into()])?)
    }
}
