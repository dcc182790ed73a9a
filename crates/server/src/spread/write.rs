//! Writes the requests of a group into its list.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tidings_core::releases::Ticket;
use tokio::sync::mpsc;

use super::line::gather;
use super::parcel::NOTHING;
use super::release::Spread;
use super::trouble::{Trouble, Work};
use super::{AGAIN, FORGOTTEN_S, LOOK_S};

/// For as long as the owner lives. Whenever it fails the group has a rest, in which its requests are sent
/// here.
pub(super) async fn write(
    spread: Arc<Spread>,
    group: u8,
    mut queue: mpsc::UnboundedReceiver<(Ticket, Vec<u8>)>,
) {
    let key = spread.postbox.requests(group);
    let mut trouble = spread.troubles.of(Work::Write, group);
    loop {
        if let Err(error) = write_on(&spread, group, &key, &mut queue, &mut trouble).await {
            trouble.failed(&error);
        }
        tokio::time::sleep(AGAIN).await;
        while let Ok((ticket, _)) = queue.try_recv() {
            spread.withdraw(group, std::iter::once(ticket));
        }
    }
}

/// Writes several at once, until one cannot be written.
async fn write_on(
    spread: &Spread,
    group: u8,
    key: &str,
    queue: &mut mpsc::UnboundedReceiver<(Ticket, Vec<u8>)>,
    trouble: &mut Trouble,
) -> redis::RedisResult<()> {
    let mut connection = spread.redis.connect(key).await?;
    // Redis may answer and yet take nothing: it is full, only a replica, or the key is something else.
    push(&mut connection, key, [NOTHING]).await?;
    trouble.works();
    spread.writes(group, true);
    loop {
        let more = gather(queue, |(_, sealed)| sealed.len());
        let more = tokio::time::timeout(Duration::from_secs(LOOK_S), more).await;
        let batch = more.unwrap_or_default().unwrap_or_default();
        let written = if batch.entries.is_empty() {
            // A connection that has died in silence is not found out by a request.
            redis::cmd("PING").query_async(&mut connection).await
        } else {
            let _turn = spread.line.turn(batch.bytes).await;
            push(&mut connection, key, batch.entries.iter().map(|(_, sealed)| &sealed[..])).await
        };
        if let Err(error) = written {
            spread.writes(group, false);
            // One that came too late may have been written all the same, and be taken. If it is not, it
            // is lost in time.
            if !error.is_timeout() {
                spread.withdraw(group, batch.entries.iter().map(|(ticket, _)| *ticket));
            }
            return Err(error);
        }
    }
}

async fn push(
    connection: &mut MultiplexedConnection,
    key: &str,
    entries: impl IntoIterator<Item = &[u8]>,
) -> redis::RedisResult<()> {
    let mut pushed = redis::pipe();
    pushed.cmd("RPUSH").arg(key);
    for entry in entries {
        pushed.arg(entry);
    }
    pushed.cmd("EXPIRE").arg(key).arg(FORGOTTEN_S);
    pushed.query_async(connection).await
}
