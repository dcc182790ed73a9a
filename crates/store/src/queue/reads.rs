//! Reads of the queue: what the dispatcher and the sender ask for.

use std::sync::Arc;

use futures_util::future::try_join_all;
use tidings_core::delivery::{Lane, Owed, Payload};
use tidings_core::direct::Direct;
use tidings_core::event::Event;
use tidings_core::gate::Gate;
use tidings_core::id::{DeliveryId, EventId, JobId};
use tidings_core::limits::PAGE_PAYLOAD_BYTES_MAX;

use super::Reader;
use crate::committed::LaneSummary;
use crate::error::ReadError;
use crate::history::{Query, events};
use crate::store::Store;
use crate::value::{Fields, Row, Value};

/// Columns of the queue, in the order in which [`owed`] reads them.
macro_rules! owed {
    () => {
        "q.id, q.tenant, q.webhook, q.slot, q.event, q.revision, q.ready_at, q.not_before, \
         q.expires_at, q.attempts, q.granted, q.job, q.progress_interval"
    };
}

/// One row of the queue.
pub(crate) const ONE: &str = concat!("SELECT ", owed!(), " FROM queue q WHERE q.id = $1");

/// Those of a webhook up to an id. Rows of a fan-out that is not finished are not there yet. Whoever names
/// the slot may use the index by lane (see the thirteenth migration).
pub(crate) const OF_WEBHOOK: &str = concat!(
    "SELECT ",
    owed!(),
    " FROM queue q WHERE q.webhook = $1 AND q.slot IS NOT NULL AND q.id <= $2 \
     AND NOT EXISTS (SELECT 1 FROM unfinished u WHERE u.event = q.event) LIMIT $3"
);

/// Those that expired before a moment, the oldest first.
pub(crate) const EXPIRED: &str = concat!(
    "SELECT ",
    owed!(),
    " FROM queue q WHERE q.expires_at < $1 ORDER BY q.expires_at LIMIT $2"
);

/// Progress of a job that is owed to one place; in no order, for by that the whole queue would be read.
pub(crate) const PROGRESS: &str = concat!(
    "SELECT ",
    owed!(),
    " FROM queue q WHERE q.webhook = $1 AND q.job = $2 AND q.progress_interval IS NOT NULL"
);

/// Every lane with its first moment: from each to the next through the index, whatever lies between.
/// With a million rows in 50 lanes it took 0.8 ms on PostgreSQL; to read the index through took 10 s, for
/// rows that no vacuum has seen yet are looked up one by one.
const LANES: &str = "WITH RECURSIVE l (webhook, slot) AS (SELECT * FROM (SELECT webhook, slot FROM queue \
     WHERE slot IS NOT NULL ORDER BY webhook, slot LIMIT 1) x UNION ALL SELECT \
     (SELECT q.webhook FROM queue q WHERE (q.webhook, q.slot) > (l.webhook, l.slot) \
     AND q.slot IS NOT NULL ORDER BY q.webhook, q.slot LIMIT 1), \
     (SELECT q.slot FROM queue q WHERE (q.webhook, q.slot) > (l.webhook, l.slot) \
     AND q.slot IS NOT NULL ORDER BY q.webhook, q.slot LIMIT 1) FROM l WHERE l.webhook IS NOT NULL) \
     SELECT webhook, slot, (SELECT MIN(q.ready_at) FROM queue q WHERE q.webhook = l.webhook \
     AND q.slot = l.slot) FROM l WHERE webhook IS NOT NULL";

/// The first rows of a lane. A large payload is left where it is, as is that of a direct delivery,
/// which is more than its event.
const PAGE: &str = concat!(
    "SELECT ",
    owed!(),
    ", e.client_id, e.type, e.timestamp, e.ordering_key, e.deliver_at, e.expires_at, \
     CASE WHEN LENGTH(e.data) <= $1 AND q.revision > 0 THEN e.data END \
     FROM queue q LEFT JOIN events e ON e.id = q.event WHERE q.webhook = $2 AND q.slot = $3 \
     AND NOT EXISTS (SELECT 1 FROM unfinished u WHERE u.event = q.event) \
     ORDER BY q.ready_at, q.id LIMIT $4"
);

/// The same of several lanes in one statement, each with a limit of its own: 36 lanes with one row each
/// took PostgreSQL 0.26 ms, and a statement for each of them took more than that in messages alone.
pub(crate) const PAGES: &str = concat!(
    "SELECT t.nth, ",
    owed!(),
    ", e.client_id, e.type, e.timestamp, e.ordering_key, e.deliver_at, e.expires_at, \
     CASE WHEN LENGTH(e.data) <= $1 AND q.revision > 0 THEN e.data END \
     FROM UNNEST(string_to_array($2, ',')::BIGINT[], string_to_array($3, ',')::BIGINT[], \
     string_to_array($4, ',')::BIGINT[]) WITH ORDINALITY AS t (webhook, slot, most, nth) \
     CROSS JOIN LATERAL (SELECT x.* FROM queue x WHERE x.webhook = t.webhook AND x.slot = t.slot \
     AND NOT EXISTS (SELECT 1 FROM unfinished u WHERE u.event = x.event) \
     ORDER BY x.ready_at, x.id LIMIT t.most) q LEFT JOIN events e ON e.id = q.event \
     ORDER BY t.nth, q.ready_at, q.id"
);

const EVENT: &str = "SELECT id, tenant, client_id, type, timestamp, ordering_key, deliver_at, \
     expires_at, data FROM events WHERE id = $1";

const EVENTS: &str = "SELECT id, tenant, client_id, type, timestamp, ordering_key, deliver_at, \
     expires_at, data FROM events";

const DIRECT: &str = "SELECT doc, secrets, body FROM directs WHERE delivery = $1";

const LARGEST_ID: &str = "SELECT MAX(id) FROM (SELECT MAX(id) AS id FROM events \
     UNION ALL SELECT * FROM (SELECT id FROM queue WHERE id > 0 ORDER BY id DESC LIMIT 1) q \
     UNION ALL SELECT MAX(id) FROM deliveries UNION ALL SELECT MAX(id) FROM webhooks \
     UNION ALL SELECT MAX(id) FROM tenants \
     UNION ALL SELECT MAX(id) FROM api_keys UNION ALL SELECT MAX(id) FROM replays \
     UNION ALL SELECT MAX(id) FROM inbound \
     UNION ALL SELECT MAX(id) FROM jobs UNION ALL SELECT MAX(id) FROM executions \
     UNION ALL SELECT MAX(id) FROM leads) x";

#[cfg(any(test, feature = "conformance"))]
pub(crate) const SQL: &[&str] =
    &[ONE, OF_WEBHOOK, EXPIRED, PROGRESS, LANES, PAGE, EVENT, DIRECT, LARGEST_ID];

/// Reads the columns of [`owed!`].
pub(crate) fn owed(f: &mut Fields) -> Result<Owed, ReadError> {
    Ok(Owed {
        id: f.take()?,
        tenant: f.take()?,
        lane: Lane { webhook: f.take()?, slot: f.take()? },
        event: f.take()?,
        revision: f.take()?,
        ready_at: f.take()?,
        not_before: f.take()?,
        expires_at: f.take()?,
        attempts: f.take()?,
        attempts_granted: f.take()?,
        gate: gate(f)?,
        payload: Payload::Stored,
    })
}

fn gate(f: &mut Fields) -> Result<Option<Gate>, ReadError> {
    let (job, interval_ms): (Option<JobId>, _) = (f.take()?, f.take()?);
    Ok(job.map(|job| Gate::stored(job, interval_ms)))
}

/// Reads a row of [`PAGE`], or of [`PAGES`] after its first column.
fn paged(mut f: Fields) -> Result<Owed, ReadError> {
    let mut owed = owed(&mut f)?;
    let client_id = f.take()?;
    // Null when the event is gone, and so are the others then.
    let Some(event_type) = f.take()? else { return Ok(owed) };
    let event = Event {
        id: owed.event,
        tenant: owed.tenant,
        client_id,
        event_type,
        timestamp: f.take()?,
        ordering_key: f.take()?,
        deliver_at: f.take()?,
        expires_at: f.take()?,
        data: match f.take::<Option<Vec<u8>>>()? {
            Some(data) => data.into(),
            None => return Ok(owed),
        },
    };
    owed.payload = Arc::new(event).into();
    Ok(owed)
}

/// The document of a direct delivery.
pub(crate) fn direct(doc: &str) -> Result<Direct, ReadError> {
    serde_json::from_str(doc).map_err(|_| ReadError::Inconsistent("directs.doc"))
}

fn lane(mut f: Fields) -> Result<LaneSummary, ReadError> {
    Ok(LaneSummary { lane: Lane { webhook: f.take()?, slot: f.take()? }, next: f.take()? })
}

impl Store {
    /// Every lane in which something waits.
    pub async fn lanes(&self) -> Result<Vec<LaneSummary>, ReadError> {
        let rows = self.queue_rows(LANES, Vec::new()).await?;
        rows.into_iter().map(|row| lane(row.fields())).collect()
    }

    /// The first rows of a lane by `(ready_at, id)`, small payloads along with them.
    pub async fn page(&self, lane: Lane, limit: usize) -> Result<Vec<Owed>, ReadError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let payload = PAGE_PAYLOAD_BYTES_MAX as i64;
        let args =
            vec![payload.into(), lane.webhook.into(), i64::from(lane.slot).into(), limit.into()];
        let rows = self.queue_rows(PAGE, args).await?;
        rows.into_iter().map(|row| paged(row.fields())).collect()
    }

    /// The first rows of several lanes, of each so many at most, in the order of the lanes. A database
    /// that is a server is asked once.
    pub async fn pages(&self, lanes: &[(Lane, usize)]) -> Result<Vec<Vec<Owed>>, ReadError> {
        if self.side().is_none() || lanes.len() == 1 {
            return try_join_all(lanes.iter().map(|&(lane, limit)| self.page(lane, limit))).await;
        }
        let list = |of: &dyn Fn(&(Lane, usize)) -> String| {
            Value::from(lanes.iter().map(of).collect::<Vec<_>>().join(","))
        };
        let args = vec![
            (PAGE_PAYLOAD_BYTES_MAX as i64).into(),
            list(&|(lane, _)| lane.webhook.as_i64().to_string()),
            list(&|(lane, _)| lane.slot.to_string()),
            list(&|(_, limit)| limit.to_string()),
        ];
        let mut pages: Vec<Vec<Owed>> = lanes.iter().map(|_| Vec::new()).collect();
        for row in self.queue_rows(PAGES, args).await? {
            let mut f = row.fields();
            let nth = usize::try_from(f.take::<i64>()? - 1).ok();
            let page = nth.and_then(|nth| pages.get_mut(nth));
            page.ok_or(ReadError::Inconsistent("a page's lane"))?.push(paged(f)?);
        }
        Ok(pages)
    }

    /// An event, whoever owns it: for the sender.
    pub async fn event(&self, id: EventId) -> Result<Option<Arc<Event>>, ReadError> {
        let rows = self.queue_rows(EVENT, vec![id.into()]).await?;
        let event = rows.into_iter().next().map(|row| events::event(row.fields())).transpose()?;
        Ok(event.map(Arc::new))
    }

    /// Those of these events that there are, oldest first; whoever owns them: for listeners.
    pub async fn events_of(&self, ids: &[EventId]) -> Result<Vec<Arc<Event>>, ReadError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut q = Query::default();
        q.push(EVENTS).list(" WHERE id IN", ids).push(" ORDER BY id");
        let rows = self.read(Reader::Dispatcher, q.sql, q.args).await?;
        rows.into_iter().map(|row| Ok(Arc::new(events::event(row.fields())?))).collect()
    }

    /// What a direct delivery brings along, its secrets sealed; whoever owns it: for the sender.
    pub async fn direct(&self, id: DeliveryId) -> Result<Option<Direct>, ReadError> {
        let rows = self.queue_rows(DIRECT, vec![id.into()]).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let mut f = row.fields();
        let direct = direct(&f.take::<Box<str>>()?)?;
        let sealed = f.take()?;
        let fixed_body = f.take::<Option<Vec<u8>>>()?.map(Into::into);
        Ok(Some(Direct { sealed, fixed_body, ..direct }))
    }

    /// The largest id in use: where an [`tidings_core::id::IdSource`] continues.
    pub async fn largest_id(&self) -> Result<i64, ReadError> {
        let rows = self.queue_rows(LARGEST_ID, Vec::new()).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(0) };
        Ok(row.fields().take::<Option<i64>>()?.unwrap_or(0))
    }

    async fn queue_rows(&self, sql: &'static str, args: Vec<Value>) -> Result<Vec<Row>, ReadError> {
        self.read(Reader::Dispatcher, sql, args).await
    }
}
