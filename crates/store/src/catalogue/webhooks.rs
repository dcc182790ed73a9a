//! Webhooks with their revisions and their health.
//!
//! Every change adds a revision and the expected one guards it. Deliveries and attempts name the
//! revision that shaped them, so a revision is never changed and outlives its webhook. Secrets are
//! sealed by the server and opaque here; they have no revisions, for an old secret must not come back.

use tidings_core::health::Health;
use tidings_core::id::{DeliveryId, TenantId, WebhookId};
use tidings_core::time::Timestamp;
use tidings_core::webhook::Webhook;

use crate::catalogue::moved::{Part, moved};
use crate::change::Statement;
use crate::error::ReadError;
use crate::store::Store;
use crate::value::Fields;

/// A webhook as the catalogue keeps it.
#[derive(Debug, Clone)]
pub struct WebhookRecord {
    /// Without its secrets.
    pub webhook: Webhook,
    /// The secrets, sealed.
    pub sealed: Vec<u8>,
}

const INSERT: &str = "INSERT INTO webhooks (id, tenant, revision, doc, secrets, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
pub(crate) const INSERT_REVISION: &str =
    "INSERT INTO webhook_revisions (webhook, revision, doc, created_at) VALUES ($1, $2, $3, $4)";
const UPDATE: &str = "UPDATE webhooks SET revision = $1, doc = $2, updated_at = $3 \
     WHERE id = $4 AND revision = $5 AND deleted_at IS NULL";
const RESEAL: &str = "UPDATE webhooks SET secrets = $1 WHERE id = $2";
const DELETE: &str = "UPDATE webhooks SET deleted_at = $1, secrets = $2 \
     WHERE id = $3 AND tenant = $4 AND deleted_at IS NULL";
pub(crate) const END_DELIVERIES: &str = "INSERT INTO ending (webhook, upto) VALUES ($1, $2) \
     ON CONFLICT (webhook) DO UPDATE SET upto = excluded.upto";
const DELETE_HEALTH: &str = "DELETE FROM webhook_health WHERE webhook = $1";
const ALL: &str = "SELECT id, tenant, revision, doc, created_at, updated_at, secrets \
     FROM webhooks WHERE deleted_at IS NULL ORDER BY id";
pub(crate) const ONE: &str = "SELECT id, tenant, revision, doc, created_at, updated_at, secrets \
     FROM webhooks WHERE id = $1 AND deleted_at IS NULL";
// Its moments are the webhook's creation and the revision's own.
const REVISION: &str = "SELECT w.id, w.tenant, r.revision, r.doc, w.created_at, r.created_at \
     FROM webhook_revisions r JOIN webhooks w ON w.id = r.webhook \
     WHERE r.webhook = $1 AND r.revision = $2";
const HEALTH_OF: &str = "SELECT doc FROM webhook_health WHERE webhook = $1";
const HEALTH: &str = "SELECT webhook, doc FROM webhook_health ORDER BY webhook";

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] = &[
    INSERT,
    INSERT_REVISION,
    UPDATE,
    RESEAL,
    DELETE,
    END_DELIVERIES,
    DELETE_HEALTH,
    ALL,
    ONE,
    REVISION,
    HEALTH_OF,
    HEALTH,
];

/// The document of a webhook: everything but its secrets and what has columns of its own.
pub(crate) fn document(webhook: &Webhook) -> String {
    serde_json::to_string(webhook).expect("a webhook has string keys only")
}

/// A new webhook, at the revision that it names.
#[must_use]
pub fn insert(webhook: &Webhook, sealed: Vec<u8>) -> Vec<Statement> {
    let doc = document(webhook);
    let row = vec![
        webhook.id.into(),
        webhook.tenant.into(),
        webhook.revision.into(),
        doc.as_str().into(),
        sealed.into(),
        webhook.created_at.into(),
        webhook.updated_at.into(),
    ];
    let mut statements = vec![Statement::expecting(1, INSERT, row), revision(webhook, doc)];
    statements.extend(moved(Part::Webhook(webhook.id)));
    statements
}

/// A changed webhook, whose `revision` is one more than the one it was changed from. `sealed`: its
/// secrets, when they changed as well.
#[must_use]
pub fn update(webhook: &Webhook, sealed: Option<Vec<u8>>) -> Vec<Statement> {
    let doc = document(webhook);
    let row = vec![
        webhook.revision.into(),
        doc.as_str().into(),
        webhook.updated_at.into(),
        webhook.id.into(),
        (webhook.revision - 1).into(),
    ];
    let mut statements = vec![Statement::expecting(1, UPDATE, row), revision(webhook, doc)];
    if let Some(sealed) = sealed {
        let args = vec![sealed.into(), webhook.id.into()];
        statements.push(Statement::expecting(1, RESEAL, args));
    }
    if !webhook.active {
        statements.push(end_deliveries(webhook.id, webhook.updated_at));
    }
    statements.extend(moved(Part::Webhook(webhook.id)));
    statements
}

/// Deletes a webhook and ends what is queued for it; its revisions stay for its history.
#[must_use]
pub fn delete(tenant: TenantId, id: WebhookId, now: Timestamp) -> Vec<Statement> {
    let no_secrets: &[u8] = &[];
    let args = vec![now.into(), no_secrets.into(), id.into(), tenant.into()];
    let mut statements = vec![
        Statement::expecting(1, DELETE, args),
        Statement::new(DELETE_HEALTH, vec![id.into()]),
        end_deliveries(id, now),
    ];
    statements.extend(moved(Part::Webhook(id)));
    statements
}

/// Forgets what was remembered of its answers: its breaker is closed.
#[must_use]
pub fn reset_health(id: WebhookId) -> Vec<Statement> {
    vec![Statement::new(DELETE_HEALTH, vec![id.into()])]
}

/// Ends, in maintenance steps, the deliveries planned until `now`.
pub(crate) fn end_deliveries(id: WebhookId, now: Timestamp) -> Statement {
    Statement::new(END_DELIVERIES, vec![id.into(), DeliveryId::floor(now + 1).into()])
}

fn revision(webhook: &Webhook, doc: String) -> Statement {
    let args =
        vec![webhook.id.into(), webhook.revision.into(), doc.into(), webhook.updated_at.into()];
    Statement::expecting(1, INSERT_REVISION, args)
}

/// Reads `id, tenant, revision, doc, created_at, updated_at`.
fn webhook(f: &mut Fields) -> Result<Webhook, ReadError> {
    let (id, tenant, revision) = (f.take()?, f.take()?, f.take()?);
    let doc: Box<str> = f.take()?;
    let mut webhook: Webhook =
        serde_json::from_str(&doc).map_err(|_| ReadError::Inconsistent("webhooks.doc"))?;
    (webhook.id, webhook.tenant, webhook.revision) = (id, tenant, revision);
    (webhook.created_at, webhook.updated_at) = (f.take()?, f.take()?);
    Ok(webhook)
}

fn health(f: &mut Fields) -> Result<Health, ReadError> {
    let doc: Box<str> = f.take()?;
    serde_json::from_str(&doc).map_err(|_| ReadError::Inconsistent("webhook_health.doc"))
}

pub(crate) fn record(mut f: Fields) -> Result<WebhookRecord, ReadError> {
    Ok(WebhookRecord { webhook: webhook(&mut f)?, sealed: f.take()? })
}

impl Store {
    /// Every webhook that is not deleted.
    pub async fn webhooks(&self) -> Result<Vec<WebhookRecord>, ReadError> {
        let rows = self.rows(ALL, Vec::new()).await?;
        rows.into_iter().map(|row| record(row.fields())).collect()
    }

    /// One webhook that is not deleted.
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<WebhookRecord>, ReadError> {
        let rows = self.rows(ONE, vec![id.into()]).await?;
        rows.into_iter().next().map(|row| record(row.fields())).transpose()
    }

    /// A webhook, deleted or not, as it was at one of its revisions.
    pub async fn webhook_revision(
        &self,
        id: WebhookId,
        revision: u32,
    ) -> Result<Option<Webhook>, ReadError> {
        let rows = self.rows(REVISION, vec![id.into(), revision.into()]).await?;
        rows.into_iter().next().map(|row| webhook(&mut row.fields())).transpose()
    }

    /// The health of one webhook, if there is anything to remember.
    pub async fn health(&self, id: WebhookId) -> Result<Option<Health>, ReadError> {
        let rows = self.rows(HEALTH_OF, vec![id.into()]).await?;
        rows.into_iter().next().map(|row| health(&mut row.fields())).transpose()
    }

    /// The health of every webhook that has anything to remember.
    pub async fn healths(&self) -> Result<Vec<(WebhookId, Health)>, ReadError> {
        let rows = self.rows(HEALTH, Vec::new()).await?;
        rows.into_iter()
            .map(|row| {
                let mut f = row.fields();
                let id = f.take()?;
                Ok((id, health(&mut f)?))
            })
            .collect()
    }
}
