//! History by day, on PostgreSQL: whichever node keeps house has days made ahead, and old ones dropped.

use std::sync::Arc;
use std::time::Duration;

use tidings_store::Store;
use tidings_store::nodes::Tenure;
use tokio::sync::watch;

/// Days are made for days ahead, and when a store is opened; what is dropped late only takes room.
const EVERY: Duration = Duration::from_secs(600);

/// Until the process ends.
pub async fn keep(store: Store, tenure: Arc<Tenure>, mut stopping: watch::Receiver<bool>) {
    loop {
        if tenure.keeps_house()
            && let Err(error) = store.keep_days().await
        {
            tracing::warn!(%error, "days of the history are made and dropped later");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stopping.changed() => return,
        }
    }
}
