//! A shard becomes this node's: what is known of its webhooks and what waits in its lanes is read, and
//! then attempts may start.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::direct::is_lane;
use tidings_core::dispatch::Signal;
use tidings_core::health::Health;
use tidings_core::id::WebhookId;
use tidings_core::shard;
use tidings_core::time::Timestamp;
use tidings_store::{Control, LaneSummary};
use tokio::sync::mpsc;

use crate::engine::Parts;
use crate::registry::Outgoing;

/// After trouble of the store.
const AGAIN: Duration = Duration::from_millis(500);
/// An origin has no timeout of its own; its deliveries have, and hardly any a longer one.
const ORIGIN_WAIT_MS: i64 = 30_000;

/// Shards that are gained at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Gained {
    /// With their epochs.
    pub(super) shards: HashMap<u8, Gain>,
    /// There are other nodes.
    pub(super) is_shared: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Gain {
    pub(super) epoch: i64,
    /// The former holder may have attempts under way.
    pub(super) was_cut_off: bool,
}

/// Reads what there is of these shards, however often it takes, and says when it is done.
pub(super) async fn take_over(
    parts: Arc<Parts>,
    gained: Gained,
    done: mpsc::UnboundedSender<Gained>,
) {
    while let Err(error) = read(&parts, &gained).await {
        tracing::warn!(error, "shards cannot be taken over yet");
        tokio::time::sleep(AGAIN).await;
    }
    let _ = done.send(gained);
}

async fn read(parts: &Parts, gained: &Gained) -> Result<(), String> {
    let told = |error: tidings_store::ReadError| error.to_string();
    let mut healths: HashMap<WebhookId, Health> =
        parts.store.healths().await.map_err(told)?.into_iter().collect();
    let lanes = parts.store.lanes().await.map_err(told)?;
    // After the lanes: whoever has rows is known then, or is gone.
    parts.catch_up().await.map_err(told)?;
    let gain = |webhook: WebhookId| gained.shards.get(&shard::of(webhook)).copied();
    let now = parts.clock.now();
    for outgoing in parts.registry.all() {
        let id = outgoing.webhook.id;
        let Some(gain) = gain(id).filter(|_| outgoing.webhook.active) else { continue };
        let health = healths.remove(&id).unwrap_or_default();
        parts.inbox.signal(Signal::Webhook(Box::new(outgoing.settings(Some(health)))));
        if let Some(until) = wait(&outgoing, gain, gained.is_shared, now) {
            parts.inbox.signal(Signal::Wait { webhook: id, until });
        }
    }
    let mut resumed = 0;
    for summary in lanes {
        let webhook = summary.lane.webhook;
        let Some(gain) = gain(webhook) else { continue };
        resumed += 1;
        resume(parts, summary, gain, now).await?;
    }
    if let Some(spread) = &parts.spread {
        let was_cut_off = gained.shards.values().any(|gain| gain.was_cut_off);
        spread.inherit(gained.shards.keys().copied(), was_cut_off).await;
    }
    if resumed > 0 {
        tracing::info!(shards = gained.shards.len(), lanes = resumed, "resuming");
    }
    Ok(())
}

async fn resume(
    parts: &Parts,
    summary: LaneSummary,
    gain: Gain,
    now: Timestamp,
) -> Result<(), String> {
    let LaneSummary { lane, next } = summary;
    let webhook = lane.webhook;
    let is_active = || parts.registry.outgoing(webhook).is_some_and(|known| known.webhook.active);
    if is_lane(webhook) || is_active() {
        parts.inbox.signal(Signal::Waiting { lane, next });
        if gain.was_cut_off && lane.direct().is_some_and(|direct| direct.ordered) {
            let until = now + ORIGIN_WAIT_MS;
            parts.inbox.signal(Signal::Wait { webhook, until });
        }
        return Ok(());
    }
    let end = Control::EndDeliveries { webhook };
    parts.store.control(end).await.map(drop).map_err(|error| error.to_string())
}

/// Until when a webhook waits for what its former owner may have done: the spacing of its rate, and, if
/// that node was cut off, the attempts that it may have under way.
fn wait(outgoing: &Outgoing, gain: Gain, is_shared: bool, now: Timestamp) -> Option<Timestamp> {
    let webhook = &outgoing.webhook;
    let limit = webhook.rate_limit.filter(|_| is_shared || gain.was_cut_off);
    let spaced = limit.map(|limit| i64::from(limit.per_ms.div_ceil(limit.max.max(1))));
    let counts = webhook.ordered || webhook.max_concurrency.is_some();
    let timeout = i64::try_from(outgoing.timeout_ms).unwrap_or(i64::MAX);
    let under_way = (gain.was_cut_off && counts).then_some(timeout);
    spaced.max(under_way).map(|ms| now + ms)
}
