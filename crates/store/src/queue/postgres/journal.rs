//! The journal: what a batch did that other nodes must hear of, in one row for the whole batch.
//!
//! Its key is the transaction that wrote it. Whoever reads goes on at the oldest transaction that was
//! still running when it read before; so it sees each batch once it is committed, whatever the order of
//! the commits. A node writes here whatever comes into the queue, also what it believes to own: when a
//! shard changes hands meanwhile, its new owner reads of it.

use std::collections::HashMap;

use tidings_core::delivery::Lane;
use tidings_core::id::{DeliveryId, EventId, TenantId, WebhookId};
use tidings_core::publication::{Publication, Published};
use tidings_core::time::Timestamp;

use super::side::Side;
use crate::committed::Committed;
use crate::error::{ReadError, WriteError};
use crate::nodes::{Journal, Mark, News};
use crate::queue::batch::fanout::Step;
use crate::queue::batch::{Done, Work};
use crate::queue::{Job, Reader};
use crate::store::Store;
use crate::value::Value;

pub(super) const WRITE: &str = "INSERT INTO journal (node, news) VALUES ($1, $2)";
const TRIM: &str = "DELETE FROM journal WHERE xact < $1 RETURNING 1";
/// One snapshot for all of it: what is not in it belongs to a transaction at or after its `xmin`.
const READ: &str = "SELECT s.xmin, s.catalogue, j.xact, j.news FROM (SELECT \
     pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT AS xmin, \
     (SELECT value FROM meta WHERE key = 'catalogue') AS catalogue) s \
     LEFT JOIN journal j ON j.xact >= $1 AND j.node <> $2 \
     AND j.xact <> ALL (string_to_array($3, ',')::BIGINT[]) ORDER BY j.xact";

/// What stands before each piece of news.
const WAITING: u8 = 1;
const ENDED: u8 = 2;
const ACCEPTED: u8 = 3;
const CHANGED: u8 = 4;

/// What a batch did, in the bytes of its row; empty when nobody needs to hear of it.
pub(super) fn encode(works: &[Work], done: &[Result<Done, WriteError>]) -> Vec<u8> {
    let mut news = Gathered::default();
    for (work, done) in works.iter().zip(done) {
        match (work, done) {
            (Work::Job(Job::Publish { publication, .. }), Ok(Done::Published(answer)))
                if !answer.replayed =>
            {
                news.published(publication, &answer.events);
            }
            (Work::Fanout(fanout), Ok(Done::Stepped(Step::Finished(answer))))
                if !answer.replayed =>
            {
                news.published(&fanout.publication, &answer.events);
            }
            (_, Ok(Done::Settled(settled))) => {
                // Its own row is the owner's own doing, and so are those that wait behind its gate.
                news.told(&settled.more);
            }
            (_, Ok(Done::Changed(_, told) | Done::Controlled(told))) => {
                news.has_changed = true;
                news.told(told);
            }
            (_, Ok(Done::Maintained(step))) => news.told(&step.told),
            _ => {}
        }
    }
    news.bytes()
}

#[derive(Default)]
struct Gathered {
    /// Where rows came in, and the least of their moments.
    lanes: HashMap<Lane, Timestamp>,
    rest: Vec<u8>,
    has_changed: bool,
}

impl Gathered {
    fn published(&mut self, publication: &Publication, answers: &[Published]) {
        for (planned, answer) in publication.events.iter().zip(answers) {
            if answer.duplicate {
                continue;
            }
            self.piece(ACCEPTED, planned.event.tenant.as_i64(), 0, planned.event.id.as_i64());
            planned.deliveries.iter().for_each(|owed| self.waits(owed.lane, owed.ready_at));
        }
    }

    fn told(&mut self, told: &[Committed]) {
        for one in told {
            match one {
                Committed::Accepted(event) => {
                    self.piece(ACCEPTED, event.tenant.as_i64(), 0, event.id.as_i64());
                }
                Committed::Owed(owed) => self.waits(owed.lane, owed.ready_at),
                Committed::Ended { lane, id } => {
                    self.piece(ENDED, lane.webhook.as_i64(), lane.slot, id.as_i64());
                }
                // The owner's own doing, and nobody else's business.
                Committed::Moved(_) | Committed::Settled { .. } | Committed::Late { .. } => {}
                // Told by the catalogue's version.
                Committed::Disabled { .. } => {}
            }
        }
    }

    fn waits(&mut self, lane: Lane, at: Timestamp) {
        self.lanes.entry(lane).and_modify(|least| *least = at.min(*least)).or_insert(at);
    }

    fn piece(&mut self, kind: u8, first: i64, slot: u8, second: i64) {
        self.rest.push(kind);
        self.rest.extend(first.to_be_bytes());
        self.rest.push(slot);
        self.rest.extend(second.to_be_bytes());
    }

    fn bytes(mut self) -> Vec<u8> {
        for (lane, at) in std::mem::take(&mut self.lanes) {
            self.piece(WAITING, lane.webhook.as_i64(), lane.slot, at.as_millis());
        }
        if self.has_changed {
            self.piece(CHANGED, 0, 0, 0);
        }
        self.rest
    }
}

/// Of one piece, in the order of [`Gathered::piece`].
const PIECE_BYTES: usize = 18;

fn decode(bytes: &[u8], news: &mut Vec<News>) {
    for piece in bytes.chunks_exact(PIECE_BYTES) {
        let int = |at: usize| {
            i64::from_be_bytes(piece[at..at + 8].try_into().expect("eight of eighteen bytes"))
        };
        let (first, slot, second) = (int(1), piece[9], int(10));
        let lane = Lane { webhook: WebhookId::from_i64(first), slot };
        news.push(match piece[0] {
            WAITING => News::Waiting { lane, next: Timestamp::from_millis(second) },
            ENDED => News::Ended { lane, id: DeliveryId::from_i64(second) },
            ACCEPTED => News::Accepted {
                tenant: TenantId::from_i64(first),
                event: EventId::from_i64(second),
            },
            // Of a newer version as well: it says that something is other than it was.
            _ => News::Changed,
        });
    }
}

impl Side {
    pub(crate) async fn journal(
        &self,
        store: &Store,
        mark: &mut Mark,
    ) -> Result<Journal, ReadError> {
        let seen: Vec<String> = mark.seen.iter().map(ToString::to_string).collect();
        let args: Vec<Value> =
            vec![mark.from.unwrap_or(i64::MAX).into(), self.node().into(), seen.join(",").into()];
        let mut journal = Journal::default();
        let mut from = None;
        for row in store.read(Reader::Dispatcher, READ, args).await? {
            let mut f = row.fields();
            from = Some(f.take()?);
            journal.catalogue = f.take()?;
            if let Some(xact) = f.take::<Option<i64>>()? {
                mark.seen.insert(xact);
                decode(&f.take::<Vec<u8>>()?, &mut journal.news);
            }
        }
        if let Some(from) = from {
            mark.from = Some(from);
            mark.seen.retain(|&xact| xact >= from);
        }
        Ok(journal)
    }

    pub(crate) async fn trim(&self, store: &Store, before: i64) -> Result<(), ReadError> {
        store.read(Reader::Dispatcher, TRIM, vec![before.into()]).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gathered_is_read_back() {
        let mut gathered = Gathered { has_changed: true, ..Gathered::default() };
        let lane = Lane { webhook: WebhookId::from_i64(-7), slot: 63 };
        let at = Timestamp::from_millis(1_795_305_600_000);
        gathered.waits(lane, at + 5);
        gathered.waits(lane, at);
        let id = DeliveryId::from_i64(9);
        gathered.told(&[Committed::Ended { lane, id }, Committed::Late { lane, id }]);
        let mut news = Vec::new();
        decode(&gathered.bytes(), &mut news);
        let waiting = News::Waiting { lane, next: at };
        assert_eq!(news, [News::Ended { lane, id }, waiting, News::Changed]);
    }
}
