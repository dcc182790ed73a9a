//! The queue in an embedded SQLite file.

use std::borrow::Cow;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use tidings_core::delivery::{Lane, Owed};
use tidings_core::event::Event;
use tidings_core::id::EventId;

use crate::committed::LaneSummary;
use crate::error::{OpenError, ReadError, WriteError};
use crate::queue::{Job, Queue, Reading};
use crate::store::{Now, Sink};
use crate::value::{Row, Value};

#[derive(Debug)]
pub(crate) struct Sqlite;

impl Sqlite {
    pub(crate) fn open(_dir: &Path, _now: Now, _sink: Sink) -> Result<Self, OpenError> {
        Err(OpenError::Database("not written yet".into()))
    }
}

impl Queue for Sqlite {
    fn submit(&self, job: Job) {
        job.refuse(WriteError::Closed);
    }
    fn lanes(&self) -> Reading<'_, Vec<LaneSummary>> {
        Box::pin(async { Err(ReadError::Closed) })
    }
    fn page(&self, _lane: Lane, _limit: usize) -> Reading<'_, Vec<Owed>> {
        Box::pin(async { Err(ReadError::Closed) })
    }
    fn event(&self, _id: EventId) -> Reading<'_, Option<Arc<Event>>> {
        Box::pin(async { Err(ReadError::Closed) })
    }
    fn largest_id(&self) -> Reading<'_, i64> {
        Box::pin(async { Err(ReadError::Closed) })
    }
    fn rows(&self, _sql: Cow<'static, str>, _args: Vec<Value>) -> Reading<'_, Vec<Row>> {
        Box::pin(async { Err(ReadError::Closed) })
    }
    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {})
    }
}
