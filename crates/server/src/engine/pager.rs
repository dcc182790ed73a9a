//! Reads the rows that the dispatcher asks for. What it asks for while others are being read is read
//! with the next statement, of many lanes at once: among nodes nearly every delivery that another node
//! has accepted comes this way, and with a statement for each lane the reading took more of both
//! processors than the sending.

use std::sync::Arc;

use tidings_core::delivery::Lane;
use tidings_core::dispatch::Signal;
use tidings_core::limits::{PAGES_AT_ONCE, PAGES_ROWS};
use tokio::sync::mpsc;

use super::Parts;

/// Where pages are asked for. What can wait here is bounded by the lanes: each is read once at a time.
#[derive(Debug)]
pub(super) struct Pager(mpsc::UnboundedSender<(Lane, (usize, usize))>);

impl Pager {
    /// Reads until this is dropped.
    pub(super) fn start(parts: Arc<Parts>) -> Self {
        let (ask, mut asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut lanes = Vec::with_capacity(PAGES_AT_ONCE);
            while asked.recv_many(&mut lanes, PAGES_AT_ONCE).await > 0 {
                read(&parts, &shorten(&lanes)).await;
                lanes.clear();
            }
        });
        Self(ask)
    }

    pub(super) fn ask(&self, lane: Lane, (limit, known): (usize, usize)) {
        let _ = self.0.send((lane, (limit, known)));
    }
}

/// Many long pages at once would take more memory than rows may have; a lane that has more is asked for
/// again when these are given out.
fn shorten(lanes: &[(Lane, (usize, usize))]) -> Vec<(Lane, usize)> {
    let fresh_max = PAGES_ROWS / lanes.len();
    let short =
        |&(lane, (limit, known)): &(Lane, (usize, usize))| (lane, limit.min(known + fresh_max));
    lanes.iter().map(short).collect()
}

async fn read(parts: &Parts, lanes: &[(Lane, usize)]) {
    match parts.store.pages(lanes).await {
        Ok(pages) => {
            for (&(lane, limit), rows) in lanes.iter().zip(pages) {
                parts.inbox.signal(Signal::Paged { lane, all: rows.len() < limit, rows });
            }
        }
        Err(error) => {
            tracing::warn!(lanes = lanes.len(), %error, "lanes could not be read");
            lanes.iter().for_each(|&(lane, _)| parts.inbox.signal(Signal::PageFailed { lane }));
        }
    }
}
