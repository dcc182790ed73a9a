//! What is kept in memory of the catalogue, brought up to what the database has: webhooks for fan-out and
//! for sending, keys and tenants for whoever calls.

use std::sync::atomic::{AtomicI64, Ordering};

use tidings_core::dispatch::Signal;
use tidings_core::health::Health;
use tidings_core::id::WebhookId;
use tidings_store::catalogue::moved::Part;
use tidings_store::{Change, ChangeAnswer, ReadError, WriteError};

use crate::engine::Parts;
use crate::registry::Outgoing;
use crate::serve::load_keys;

/// Which version of the catalogue is in memory.
#[derive(Debug, Default)]
pub struct Version {
    known: AtomicI64,
    /// One at a time catches up.
    turn: tokio::sync::Mutex<()>,
}

impl Version {
    #[must_use]
    pub fn new(known: i64) -> Self {
        Self { known: known.into(), turn: tokio::sync::Mutex::default() }
    }

    /// Everything up to here is in memory. Read it before an index is: then a plan is never newer than
    /// it says.
    #[must_use]
    pub fn known(&self) -> i64 {
        self.known.load(Ordering::Acquire)
    }
}

impl Parts {
    /// Brings memory up to what the database has.
    pub async fn catch_up(&self) -> Result<(), ReadError> {
        let _turn = self.catalogue.turn.lock().await;
        for (version, part) in self.store.catalogue_since(self.catalogue.known()).await? {
            match part {
                Part::Webhook(id) => take_webhook(self, id).await?,
                Part::Callers => load_keys(&self.store, &self.keyring).await?,
            }
            self.catalogue.known.store(version, Ordering::Release);
        }
        Ok(())
    }

    /// Commits a change whose publications were planned with a version of the catalogue. When that has
    /// moved, memory is brought up to it and the answer is [`WriteError::Stale`]: decide again.
    pub async fn change_planned(
        &self,
        change: Change,
        planned_at: i64,
    ) -> Result<ChangeAnswer, WriteError> {
        let answer = self.store.change(Change { planned_at: Some(planned_at), ..change }).await;
        if answer == Err(WriteError::Stale) {
            self.catch_up_to_write().await?;
        }
        answer
    }

    /// Brings memory up to what the database has, on the way of something that is written.
    pub async fn catch_up_to_write(&self) -> Result<(), WriteError> {
        self.catch_up().await.map_err(|error| WriteError::Unavailable(error.to_string()))
    }
}

/// Takes over a webhook as the database has it.
async fn take_webhook(parts: &Parts, id: WebhookId) -> Result<(), ReadError> {
    let known = parts.registry.outgoing(id);
    let Some(mut record) = parts.store.webhook(id).await? else {
        if let Some(gone) = known {
            parts.registry.remove(gone.webhook.tenant, id);
        }
        parts.inbox.signal(Signal::WebhookGone(id));
        return Ok(());
    };
    if parts.sealer.open_webhook(&mut record.webhook, &record.sealed).is_err() {
        // As it was, for the others do not wait for it; the next start says so and ends.
        tracing::error!(webhook = %id, "its secrets cannot be opened: do all nodes have the same key?");
        return Ok(());
    }
    let next = parts.registry.prepare(record.webhook);
    // The engine first: it ends deliveries of webhooks that it does not know.
    if next.webhook.active {
        let health = starts_afresh(known.as_deref(), &next).then(Health::default);
        parts.inbox.signal(Signal::Webhook(Box::new(next.settings(health))));
    }
    if known.is_some() {
        parts.registry.replace(&next);
    } else {
        parts.registry.put(&next);
    }
    if !next.webhook.active {
        parts.inbox.signal(Signal::WebhookGone(id));
    }
    Ok(())
}

/// Whether what was learnt about the receiver is learnt anew.
fn starts_afresh(known: Option<&Outgoing>, next: &Outgoing) -> bool {
    known.is_some_and(|known| {
        known.webhook.url != next.webhook.url || (next.webhook.active && !known.webhook.active)
    })
}
