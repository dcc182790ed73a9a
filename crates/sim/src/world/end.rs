//! The end: what was promised is compared with what is stored.

use tidings_core::time::HOUR_MS;
use tidings_store::catalogue::tenants::DEFAULT;

use super::{START, World};

impl World {
    /// Everything accepted has come to exactly one end, and the store says the same.
    pub(super) fn check_the_end(&mut self) -> Result<(), String> {
        while let Some(id) = self.ledger.some_owed_to(|webhook| self.hooks[&webhook].gone) {
            let told = self.disk.told_more().ok_or_else(|| {
                let record =
                    self.disk.run(|store| async move { store.delivery(DEFAULT, id).await });
                format!("{id} of a webhook that is gone never ended: {record:?}")
            })?;
            self.hear(told)?;
        }
        for (&id, entry) in self.ledger.iter() {
            let Some(ended) = entry.ended else {
                return Err(format!(
                    "{id}, accepted at {:?}, never came to an end",
                    entry.accepted_at
                ));
            };
            let record = self.disk.run(|store| async move { store.delivery(DEFAULT, id).await });
            let record = record.map_err(|error| error.to_string())?;
            let record = record.ok_or(format!("{id} has vanished"))?;
            if record.status != ended {
                let (store, model) = (record.status.as_str(), ended.as_str());
                return Err(format!("{id} is {store} in the store and {model} in the ledger"));
            }
        }
        let totals = self.disk.run(|store| async move { store.tenant_totals(DEFAULT).await });
        let totals = totals.map_err(|error| error.to_string())?;
        if !totals.reconciles() {
            return Err(format!("the counts do not reconcile: {totals:?}"));
        }
        if self.dispatcher.held() != (0, 0) {
            return Err(format!("{:?} is still held in memory", self.dispatcher.held()));
        }
        self.summary.deliveries = self.ledger.len();
        self.summary.virtual_hours = self.now.since(START) / HOUR_MS;
        Ok(())
    }
}
