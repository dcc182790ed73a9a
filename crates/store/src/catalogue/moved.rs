//! The version of the catalogue: it moves with every change, in the same transaction.
//!
//! Nodes keep the catalogue in memory. Whoever plans a publication says with which version, and is
//! refused when there is a newer one; then it reads what has changed since, and plans again. So what was
//! answered on one node holds for the next publication on any other. With the embedded store there is
//! one node, which is told of its changes and asks nobody.

use tidings_core::id::WebhookId;

use crate::change::Statement;
use crate::error::ReadError;
use crate::store::Store;

/// Locks the row until the commit: so versions are seen in their order.
const MOVE: &str = "UPDATE meta SET value = value + 1 WHERE key = 'catalogue'";
const NOTE: &str = "INSERT INTO changed (kind, id, version) \
     VALUES ($1, $2, (SELECT value FROM meta WHERE key = 'catalogue')) \
     ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version";
const VERSION: &str = "SELECT value FROM meta WHERE key = 'catalogue'";
const SINCE: &str = "SELECT version, kind, id FROM changed WHERE version > $1 ORDER BY version";

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] = &[MOVE, NOTE, VERSION, SINCE];

/// A part of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Webhook(WebhookId),
    /// The keys and the tenants: few, and read as a whole.
    Callers,
}

/// Says that this part has changed.
pub(crate) fn moved(part: Part) -> [Statement; 2] {
    let (kind, id) = match part {
        Part::Webhook(id) => (0_i64, id.as_i64()),
        Part::Callers => (1, 0),
    };
    [Statement::new(MOVE, Vec::new()), Statement::new(NOTE, vec![kind.into(), id.into()])]
}

impl Store {
    /// The version of the catalogue now.
    pub async fn catalogue_version(&self) -> Result<i64, ReadError> {
        let rows = self.rows(VERSION, Vec::new()).await?;
        rows.into_iter().next().map_or(Ok(0), |row| row.fields().take())
    }

    /// What has changed since a version, and at which one, oldest first.
    pub async fn catalogue_since(&self, version: i64) -> Result<Vec<(i64, Part)>, ReadError> {
        let rows = self.rows(SINCE, vec![version.into()]).await?;
        rows.into_iter()
            .map(|row| {
                let mut f = row.fields();
                let version = f.take()?;
                let part = match f.take::<i64>()? {
                    0 => Part::Webhook(f.take()?),
                    _ => Part::Callers,
                };
                Ok((version, part))
            })
            .collect()
    }
}
