//! What direct deliveries bring along: written with their row of the queue, gone with their history.
//!
//! Whatever waits for the end of such a delivery (its [`tidings_core::direct::Subject`]) changes in the
//! transaction of that end: [`Tx::end`] is where every delivery comes to its end, and `Tx::reopen` where
//! a person takes the end back.

use tidings_core::delivery::Owed;
use tidings_core::direct::Subject;
use tidings_core::id::DeliveryId;

use super::{Applied, Tx};
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
        Ok(self.db.send("DELETE FROM directs WHERE delivery = $1", &[id.into()])?)
    }
}
