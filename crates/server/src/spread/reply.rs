//! Reads what workers report, from the stream of each group.
//!
//! An owner deletes what it has read of its own, so that a stream holds what nobody has read: that is
//! little, and is what a new owner wants when an old one is gone. So each reading begins at the start of
//! the stream, and needs no place to be remembered, nor clocks that never go back.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Pipeline, RedisResult};
use tidings_core::limits::REPLY_KEPT_MS;
use tidings_core::time::Timestamp;

use super::release::{OwnerId, Spread};
use super::trouble::{Trouble, Work};
use super::{AGAIN, GROUPS, LOOK_S};

/// Entries read at once, of up to some hundred reports each.
const READ_AT_ONCE: usize = 64;
const FROM_THE_START: &str = "0-0";
pub(super) const OWNER: &str = "owner";
pub(super) const REPORTS: &str = "reports";

/// What `XREAD` answers: of each stream its entries, each an id and its fields.
type Streams = Option<Vec<(String, Vec<(String, HashMap<Vec<u8>, Vec<u8>>)>)>>;

/// Reads one group for as long as the owner lives.
pub(super) async fn read(spread: Arc<Spread>, group: u8) {
    let key = spread.postbox.replies(group);
    let mut trouble = spread.troubles.of(Work::Read, group);
    loop {
        if let Err(error) = follow(&spread, group, &key, &mut trouble).await {
            trouble.failed(&error);
        }
        spread.reads(group, false);
        tokio::time::sleep(AGAIN).await;
    }
}

/// Until the connection breaks.
async fn follow(spread: &Spread, group: u8, key: &str, trouble: &mut Trouble) -> RedisResult<()> {
    let mut connection = spread.redis.connect_to_wait(key).await?;
    let mut from = FROM_THE_START.to_owned();
    let mut done: Vec<String> = Vec::new();
    let mut reads = false;
    loop {
        let mut asked = redis::pipe();
        forget(&mut asked, key, &done);
        asked.cmd("XREAD").arg("COUNT").arg(READ_AT_ONCE);
        if reads {
            asked.arg("BLOCK").arg(LOOK_S * 1_000);
        }
        asked.arg("STREAMS").arg(key).arg(&from);
        let (streams,): (Streams,) = asked.query_async(&mut connection).await?;
        done = take_in(spread, group, streams, &mut from);
        // What is released now can be heard of.
        reads = true;
        spread.reads(group, true);
        trouble.works();
    }
}

/// Reads what there is in all groups, in no particular order. What cannot be read now is read by
/// [`read`] in time: an attempt may be made twice then.
pub(super) async fn read_what_is_there(spread: &Spread) {
    let read = join_all((0..GROUPS).map(|group| read_group(spread, group))).await;
    if let Some(error) = read.into_iter().find_map(Result::err) {
        tracing::warn!(%error, "replies to a former owner could not be read");
    }
}

async fn read_group(spread: &Spread, group: u8) -> RedisResult<()> {
    let key = spread.postbox.replies(group);
    // On a busy machine a connection can take too long.
    let mut connection = match spread.redis.connect(&key).await {
        Ok(connection) => connection,
        Err(_) => spread.redis.connect(&key).await?,
    };
    let mut from = FROM_THE_START.to_owned();
    loop {
        let mut asked = redis::cmd("XREAD");
        asked.arg("COUNT").arg(READ_AT_ONCE).arg("STREAMS").arg(&key).arg(&from);
        let streams: Streams = asked.query_async(&mut connection).await?;
        if streams.is_none() {
            return Ok(());
        }
        take_in(spread, group, streams, &mut from);
    }
}

/// Takes in entries, and moves on behind them. The ids of those that nobody else needs.
fn take_in(spread: &Spread, group: u8, streams: Streams, from: &mut String) -> Vec<String> {
    let mut done = Vec::new();
    for (id, fields) in streams.into_iter().flatten().flat_map(|(_, entries)| entries) {
        let owner = fields.get(OWNER.as_bytes()).and_then(|owner| std::str::from_utf8(owner).ok());
        let is_own = owner.and_then(|owner| owner.parse().ok()) == Some::<OwnerId>(spread.owner);
        let now = spread.clock.now();
        if is_own || spread.heir.is_one(now) {
            let sealed = fields.get(REPORTS.as_bytes());
            let reports = sealed.and_then(|it| spread.postbox.open_reports(group, it));
            let reports = reports.unwrap_or_default();
            spread.take_in(group, if is_own { reports } else { spread.heir.share(reports, now) });
        }
        if is_own || is_stale(&id, spread.there()) {
            done.push(id.clone());
        }
        *from = id;
    }
    done
}

/// Old by the clock of Redis, if that is known: its owner is gone, and its heir has read it or never will.
fn is_stale(id: &str, there: Option<Timestamp>) -> bool {
    let said_at = id.split('-').next().and_then(|ms| ms.parse().ok()).map(Timestamp::from_millis);
    said_at.zip(there).is_some_and(|(at, there)| there.since(at) > 2 * REPLY_KEPT_MS)
}

fn forget(asked: &mut Pipeline, key: &str, done: &[String]) {
    if !done.is_empty() {
        asked.cmd("XDEL").arg(key).arg(done).ignore();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_stale_when_no_heir_would_want_it() {
        let at = |ms| Some(Timestamp::from_millis(1_795_362_000_000 + ms));
        let id = "1795362000000-3";
        assert!(!is_stale(id, at(2 * REPLY_KEPT_MS)));
        assert!(is_stale(id, at(2 * REPLY_KEPT_MS + 1)));
        assert!(!is_stale(id, None), "the time is not known");
        assert!(!is_stale("x", at(0)));
        assert!(!is_stale("99999999999999-0", at(0)), "of a clock that went back");
    }
}
