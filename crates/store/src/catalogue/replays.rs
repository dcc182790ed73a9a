//! Replays with how far they have come. A step of one is a [`crate::Change`]: it moves the replay on
//! and makes its deliveries owed, in one transaction.

use tidings_core::id::{ReplayId, TenantId, WebhookId};
use tidings_core::replay::{Replay, State};
use tidings_core::time::Timestamp;

use crate::change::Statement;
use crate::error::ReadError;
use crate::store::Store;
use crate::value::{Field, Fields, Value};

const INSERT: &str = "INSERT INTO replays (id, tenant, webhook, doc, rate, state, first, position, \
     events, deliveries, next_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
// A step that was made meanwhile, by whomever, has moved the position.
const ADVANCE: &str = "UPDATE replays SET state = $1, position = $2, events = $3, deliveries = $4, \
     next_at = $5, ended_at = $6 WHERE id = $7 AND position = $8 AND state = 0";
const END: &str = "UPDATE replays SET state = $1, ended_at = $2 WHERE id = $3 AND tenant = $4 \
     AND state = 0";
const FORGET: &str = "DELETE FROM replays WHERE tenant = $1 AND ended_at < $2";
const RUNNING: &str = "SELECT id, tenant, webhook, doc, rate, state, first, position, events, \
     deliveries, next_at, ended_at FROM replays WHERE state = 0 ORDER BY id";
const ONE: &str = "SELECT id, tenant, webhook, doc, rate, state, first, position, events, deliveries, \
     next_at, ended_at FROM replays WHERE id = $1 AND tenant = $2";
const OF_WEBHOOK: &str = "SELECT id, tenant, webhook, doc, rate, state, first, position, events, \
     deliveries, next_at, ended_at FROM replays WHERE webhook = $1 AND tenant = $2 AND id < $3 \
     ORDER BY id DESC LIMIT $4";

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] = &[INSERT, ADVANCE, END, FORGET, RUNNING, ONE, OF_WEBHOOK];

/// A new replay; a second one that runs for a webhook is a conflict. Those of its tenant that ended
/// before `forget` are forgotten.
#[must_use]
pub fn insert(replay: &Replay, forget: Timestamp) -> Vec<Statement> {
    let doc = serde_json::to_string(&replay.selection).expect("a selection has string keys only");
    let row = vec![
        replay.id.into(),
        replay.tenant.into(),
        replay.webhook.into(),
        doc.into(),
        replay.rate.into(),
        replay.state.into(),
        replay.first.into(),
        replay.position.into(),
        replay.events.into(),
        replay.deliveries.into(),
        replay.next_at.into(),
        replay.ended_at.into(),
    ];
    let old = vec![replay.tenant.into(), forget.into()];
    vec![Statement::new(FORGET, old), Statement::expecting(1, INSERT, row)]
}

/// A step: from one state of a running replay to the next. A conflict when it is no longer there.
#[must_use]
pub fn advance(from: &Replay, to: &Replay) -> Vec<Statement> {
    let args = vec![
        to.state.into(),
        to.position.into(),
        to.events.into(),
        to.deliveries.into(),
        to.next_at.into(),
        to.ended_at.into(),
        from.id.into(),
        from.position.into(),
    ];
    vec![Statement::expecting(1, ADVANCE, args)]
}

/// Ends a running replay, wherever it is. A conflict when it has ended.
#[must_use]
pub fn end(tenant: TenantId, id: ReplayId, state: State, now: Timestamp) -> Vec<Statement> {
    let args = vec![state.into(), now.into(), id.into(), tenant.into()];
    vec![Statement::expecting(1, END, args)]
}

impl From<State> for Value {
    fn from(state: State) -> Self {
        Self::Int(state.code())
    }
}

impl Field for State {
    fn read(value: Option<Value>) -> Option<Self> {
        i64::read(value).and_then(Self::from_code)
    }
}

fn replay(mut f: Fields) -> Result<Replay, ReadError> {
    let (id, tenant, webhook) = (f.take()?, f.take()?, f.take()?);
    let doc: Box<str> = f.take()?;
    let selection =
        serde_json::from_str(&doc).map_err(|_| ReadError::Inconsistent("replays.doc"))?;
    Ok(Replay {
        id,
        tenant,
        webhook,
        selection,
        rate: f.take()?,
        state: f.take()?,
        first: f.take()?,
        position: f.take()?,
        events: f.take()?,
        deliveries: f.take()?,
        next_at: f.take()?,
        ended_at: f.take()?,
    })
}

impl Store {
    /// Every replay that runs.
    pub async fn running_replays(&self) -> Result<Vec<Replay>, ReadError> {
        let rows = self.rows(RUNNING, Vec::new()).await?;
        rows.into_iter().map(|row| replay(row.fields())).collect()
    }

    /// A replay of a tenant.
    pub async fn replay(
        &self,
        tenant: TenantId,
        id: ReplayId,
    ) -> Result<Option<Replay>, ReadError> {
        let rows = self.rows(ONE, vec![id.into(), tenant.into()]).await?;
        rows.into_iter().next().map(|row| replay(row.fields())).transpose()
    }

    /// The replays of a tenant's webhook, newest first, those before `before`.
    pub async fn replays(
        &self,
        tenant: TenantId,
        webhook: WebhookId,
        before: Option<ReplayId>,
        limit: u32,
    ) -> Result<Vec<Replay>, ReadError> {
        let before = before.unwrap_or(ReplayId::from_i64(i64::MAX));
        let args = vec![webhook.into(), tenant.into(), before.into(), limit.into()];
        let rows = self.rows(OF_WEBHOOK, args).await?;
        rows.into_iter().map(|row| replay(row.fields())).collect()
    }
}
