//! How a webhook is written: commit, swap in memory, tell the engine, then answer.
//!
//! Writers of one webhook take turns, so that what is in memory and what the engine knows are what was
//! committed last. A change runs as a task of its own: a client that goes away in the middle cannot
//! leave memory behind the store.

use std::sync::Arc;

use tidings_core::dispatch::Signal;
use tidings_core::health::Health;
use tidings_core::id::{TenantId, WebhookId};
use tidings_core::webhook::Webhook;
use tidings_store::catalogue::webhooks;
use tidings_store::{Change, Control, WriteError};

use super::look_up;
use crate::api::App;
use crate::api::problem::{Problem, Result};
use crate::api::task::uncancelled;
use crate::registry::Outgoing;

/// So often a change is decided again when someone else was faster. Within one process only the
/// engine can be, when it switches a webhook off.
const TRIES: usize = 5;

/// Commits a new webhook, unless its key was seen before: then the ids that were made then.
pub(super) async fn create(
    app: Arc<App>,
    webhook: Webhook,
    key: Option<tidings_store::ChangeKey>,
) -> Result<std::result::Result<Arc<Outgoing>, Vec<i64>>> {
    uncancelled(async move {
        let statements = webhooks::insert(&webhook, app.sealer.seal_webhook(&webhook));
        let committed = app.store.change(Change { key, statements, ..Change::default() }).await?;
        if let Some(ids) = committed.replayed {
            return Ok(Err(ids));
        }
        let outgoing = app.registry.prepare(webhook);
        // The engine first: it forgets deliveries of webhooks that it does not know.
        if outgoing.webhook.active {
            let settings = outgoing.settings(Some(Health::default()));
            app.inbox.signal(Signal::Webhook(Box::new(settings)));
        }
        app.registry.put(&outgoing);
        Ok(Ok(outgoing))
    })
    .await
}

/// Commits what `decide` makes of a webhook as it stands. It sets neither revisions nor times.
pub(super) async fn change(
    app: Arc<App>,
    tenant: TenantId,
    id: WebhookId,
    decide: impl Fn(&App, &Webhook) -> Result<Webhook> + Send + 'static,
) -> Result<Arc<Outgoing>> {
    uncancelled(async move {
        let _turn = app.turns.of(id).await;
        let outgoing = look_up(&app, tenant, id).await?;
        let mut current = (*outgoing.webhook).clone();
        for _ in 0..TRIES {
            let mut next = decide(&app, &current)?;
            if next == current {
                return Ok(outgoing);
            }
            number(&app, &current, &mut next);
            match commit(&app, &current, &next).await {
                Ok(()) => return install(&app, &current, next).await,
                Err(WriteError::Conflict) => current = read_again(&app, tenant, id).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(WriteError::Conflict.into())
    })
    .await
}

/// Deletes a webhook; its history stays.
pub(super) async fn delete(app: Arc<App>, tenant: TenantId, id: WebhookId) -> Result<()> {
    uncancelled(async move {
        let _turn = app.turns.of(id).await;
        look_up(&app, tenant, id).await?;
        let statements = webhooks::delete(tenant, id, app.clock.now());
        match app.store.change(statements.into()).await {
            Ok(_) => {}
            Err(WriteError::Conflict) => return Err(no_such_webhook()),
            Err(error) => return Err(error.into()),
        }
        app.registry.remove(tenant, id);
        end(&app, id).await;
        Ok(())
    })
    .await
}

/// 404 for a webhook.
pub(super) fn no_such_webhook() -> Problem {
    Problem::not_found("the webhook was")
}

fn number(app: &App, current: &Webhook, next: &mut Webhook) {
    next.revision = current.revision + 1;
    next.updated_at = app.clock.now();
    let shape = |webhook: &Webhook| (webhook.profile.clone(), webhook.body, webhook.name.clone());
    if shape(next) != shape(current) {
        next.shape_revision = next.revision;
    }
    if next.active {
        next.disabled_reason = None;
        next.inactive_since = None;
    } else if current.active {
        next.inactive_since = Some(next.updated_at);
    }
}

/// Whether what was learnt about the receiver is learnt anew: another one answers, or a person says
/// that it answers again.
fn starts_afresh(current: &Webhook, next: &Webhook) -> bool {
    next.url != current.url || (next.active && !current.active)
}

async fn commit(
    app: &App,
    current: &Webhook,
    next: &Webhook,
) -> std::result::Result<(), WriteError> {
    let same = next.secrets == current.secrets && next.headers == current.headers;
    let sealed = (!same).then(|| app.sealer.seal_webhook(next));
    let mut statements = webhooks::update(next, sealed);
    if starts_afresh(current, next) {
        statements.extend(webhooks::reset_health(next.id));
    }
    app.store.change(statements.into()).await.map(drop)
}

async fn install(app: &App, current: &Webhook, next: Webhook) -> Result<Arc<Outgoing>> {
    let (tenant, id) = (next.tenant, next.id);
    let health = starts_afresh(current, &next).then(Health::default);
    let outgoing = app.registry.prepare(next);
    if outgoing.webhook.active {
        let settings = outgoing.settings(health);
        app.inbox.signal(Signal::Webhook(Box::new(settings)));
    }
    if !app.registry.replace(&outgoing) {
        return catch_up(app, tenant, id).await;
    }
    if !outgoing.webhook.active {
        // Nothing more is planned from here on, so all that was planned can be ended.
        end(app, id).await;
    }
    Ok(outgoing)
}

/// The engine switched the webhook off right after the change and came to memory first, without
/// knowing of it: what the store has holds.
async fn catch_up(app: &App, tenant: TenantId, id: WebhookId) -> Result<Arc<Outgoing>> {
    let outgoing = app.registry.prepare(read_again(app, tenant, id).await?);
    app.registry.replace(&outgoing);
    if !outgoing.webhook.active {
        app.inbox.signal(Signal::WebhookGone(id));
    }
    Ok(outgoing)
}

/// Ends what is queued for a webhook that is gone or inactive.
async fn end(app: &App, id: WebhookId) {
    app.inbox.signal(Signal::WebhookGone(id));
    // The change itself ends what had been planned before it; this, what was being planned meanwhile.
    // If it cannot be written the next start does it.
    if let Err(error) = app.store.control(Control::EndDeliveries { webhook: id }).await {
        tracing::warn!(webhook = %id, %error, "deliveries of a webhook that is gone could not be ended");
    }
}

/// A webhook as the store has it, when memory is behind.
async fn read_again(app: &App, tenant: TenantId, id: WebhookId) -> Result<Webhook> {
    let record = app.store.webhook(id).await?.filter(|record| record.webhook.tenant == tenant);
    let mut record = record.ok_or_else(no_such_webhook)?;
    if app.sealer.open_webhook(&mut record.webhook, &record.sealed).is_err() {
        tracing::error!(webhook = %id, "its secrets cannot be opened");
        return Err(tidings_store::ReadError::Inconsistent("webhooks.secrets").into());
    }
    Ok(record.webhook)
}
