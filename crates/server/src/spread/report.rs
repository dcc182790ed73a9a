//! Writes what a worker reports into the stream of each group.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc;

use super::line::{Line, gather};
use super::parcel::{Postbox, Report};
use super::place::Redis;
use super::release::OwnerId;
use super::reply::{OWNER, REPORTS};
use super::trouble::Trouble;
use super::{AGAIN, FORGOTTEN_S};

/// Entries of a stream, should nobody read it: far more than owners have released at once.
const STREAM_ENTRIES_MAX: usize = 10_000;

/// Nothing can be reported now. Whoever takes more meanwhile would send what its owner gives out again.
pub(super) type Mute = Arc<AtomicBool>;

/// Writes the reports of one group, however long Redis is away; nothing is taken meanwhile, so there are
/// never more than the worker has had under way.
pub(super) struct Reporter {
    pub(super) redis: Redis,
    pub(super) postbox: Postbox,
    pub(super) group: u8,
    pub(super) is_mute: Mute,
    pub(super) trouble: Trouble,
    pub(super) line: Line,
}

impl Reporter {
    pub(super) async fn run(mut self, mut reports: mpsc::UnboundedReceiver<(OwnerId, Report)>) {
        let key = self.postbox.replies(self.group);
        let mut connection = None;
        while let Some(batch) = gather(&mut reports, |(_, report)| report.weight()).await {
            let said = self.put(&key, batch.entries);
            while let Err(error) = self.write(&key, &said, batch.bytes, &mut connection).await {
                self.is_mute.store(true, Ordering::Relaxed);
                self.trouble.failed(&error);
                tokio::time::sleep(AGAIN).await;
            }
            self.is_mute.store(false, Ordering::Relaxed);
            self.trouble.works();
        }
    }

    fn put(&self, key: &str, batch: Vec<(OwnerId, Report)>) -> redis::Pipeline {
        let mut by_owner: HashMap<OwnerId, Vec<Report>> = HashMap::new();
        for (owner, report) in batch {
            by_owner.entry(owner).or_default().push(report);
        }
        let mut said = redis::pipe();
        for (owner, reports) in by_owner {
            said.cmd("XADD").arg(key).arg("MAXLEN").arg("~").arg(STREAM_ENTRIES_MAX).arg("*");
            let sealed = self.postbox.seal_reports(self.group, &reports);
            said.arg(OWNER).arg(owner).arg(REPORTS).arg(sealed);
        }
        said.cmd("EXPIRE").arg(key).arg(FORGOTTEN_S).ignore();
        said
    }

    async fn write(
        &self,
        key: &str,
        said: &redis::Pipeline,
        bytes: usize,
        place: &mut Option<MultiplexedConnection>,
    ) -> RedisResult<()> {
        let _turn = self.line.turn(bytes).await;
        // It may have been closed while there was nothing to say.
        if let Some(mut connection) = place.take()
            && said.query_async::<redis::Value>(&mut connection).await.is_ok()
        {
            *place = Some(connection);
            return Ok(());
        }
        let mut connection = self.redis.connect(key).await?;
        said.query_async::<redis::Value>(&mut connection).await?;
        *place = Some(connection);
        Ok(())
    }
}
