//! What the works of a batch will look for, so that it can be fetched in one round trip.

use tidings_core::delivery::Owed;
use tidings_core::id::{JobId, TenantId, WebhookId};
use tidings_core::publication::Publication;
use tidings_core::settlement::{Settlement, Verdict};
use tidings_core::shard;

use super::columns::Column;
use crate::change::Control;
use crate::nodes::Tenure;
use crate::queue::Job;
use crate::queue::batch::Work;
use crate::queue::batch::seen::Kind;
use crate::queue::table;
use crate::queue::transaction::Cell;

/// A key that a publisher gave.
pub(super) type Key = (TenantId, Kind, Box<str>);

pub(super) struct Sought {
    /// Gates that works pass or close, by their keys.
    pub(super) gates: Vec<i64>,
    /// All rows of the queue below and those that are cancelled, if they are of several kinds.
    pub(super) rows: Vec<i64>,
    /// Queue rows that end: delivery, attempts, shard, epoch.
    pub(super) takes: [Column; 4],
    /// Queue rows that stay: the same, then their new values.
    pub(super) moves: [Column; 8],
    pub(super) keys: Vec<Key>,
    /// How things stand, for a step of maintenance.
    pub(super) maintains: bool,
}

/// The key of a gate's lock.
pub(super) fn gate(place: WebhookId, job: JobId) -> i64 {
    place.as_i64() ^ job.as_i64().rotate_left(32)
}

/// In the order of the works.
#[derive(Default)]
struct Gathered {
    gates: Vec<i64>,
    takes: Vec<[i64; 4]>,
    moves: Vec<[i64; 8]>,
    cancels: Vec<i64>,
    keys: Vec<Key>,
    maintains: bool,
}

impl Sought {
    pub(super) fn by(works: &[Work], tenure: &Tenure) -> Self {
        let mut gathered = Gathered::default();
        works.iter().for_each(|work| gathered.work(work, tenure));
        let Gathered { mut gates, mut takes, mut moves, cancels, mut keys, maintains } = gathered;
        // Sorted, so that two nodes never wait for each other in a ring; each once.
        takes.sort_unstable();
        moves.sort_unstable();
        gates.sort_unstable();
        gates.dedup();
        keys.sort_unstable();
        keys.dedup();
        let kinds = [takes.is_empty(), moves.is_empty(), cancels.is_empty()];
        let mut rows = Vec::new();
        if !tenure.is_shared() {
            gates.clear();
        } else if kinds.iter().filter(|is_empty| !**is_empty).count() > 1 {
            rows.extend(takes.iter().map(|row| row[0]).chain(moves.iter().map(|row| row[0])));
            rows.extend(cancels);
            rows.sort_unstable();
        }
        Self { gates, rows, takes: columns(&takes), moves: columns(&moves), keys, maintains }
    }

    /// Tenants, kinds and names of the keys.
    pub(super) fn key_columns(&self) -> [Column; 3] {
        let (int, text) = (table::Kind::Int, table::Kind::Text);
        let mut columns = [Column::new(int), Column::new(int), Column::new(text)];
        for (tenant, kind, key) in &self.keys {
            let cells = [Cell::Int(tenant.as_i64()), Cell::Int(*kind as i64), Cell::Text(key)];
            columns.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
        }
        columns
    }
}

impl Gathered {
    fn work(&mut self, work: &Work, tenure: &Tenure) {
        match work {
            Work::Job(Job::Settle(settlement)) => {
                self.settled(settlement, tenure);
                settlement.announcements.iter().for_each(|one| self.published(one));
            }
            Work::Job(Job::Publish { publication, .. }) => self.published(publication),
            Work::Job(Job::Change { change, .. }) => {
                let key = change.key.iter();
                self.keys.extend(key.map(|k| (k.tenant, Kind::Key, k.key.key.clone())));
                change.publications.iter().for_each(|one| self.published(one));
                let planned = change.publications.iter().flat_map(|one| &one.events);
                let owed = planned.flat_map(|one| &one.deliveries);
                self.gates.extend(owed.filter_map(gate_of));
            }
            Work::Fanout(fanout) if fanout.seeks() => self.published(&fanout.publication),
            Work::Job(Job::Maintain { .. }) | Work::Maintain => self.maintains = true,
            Work::Job(Job::Control { control: Control::Cancel { delivery, .. }, .. }) => {
                self.cancels.push(delivery.as_i64());
            }
            Work::Job(Job::Control { .. }) | Work::Fanout(_) | Work::Fold => {}
        }
    }

    fn settled(&mut self, settlement: &Settlement, tenure: &Tenure) {
        let owed = &settlement.owed;
        // Progress is all that anyone else may end, or that closes a gate.
        let is_progress = owed.gate.is_some_and(|gate| gate.step.interval_ms().is_some());
        self.gates.extend(gate_of(owed).filter(|_| is_progress));
        let (id, attempts) = (owed.id.as_i64(), i64::from(owed.attempts));
        let shard = shard::of(owed.lane.webhook);
        let (epoch, shard) = (tenure.epoch(shard), i64::from(shard));
        match settlement.verdict {
            Verdict::End { .. } => self.takes.push([id, attempts, shard, epoch]),
            Verdict::Retry { ready_at, not_before, attempts_granted } => {
                let more = attempts + i64::from(settlement.attempt.is_some());
                let (ready_at, not_before) = (ready_at.as_millis(), not_before.as_millis());
                let granted = attempts_granted.into();
                self.moves.push([id, attempts, shard, epoch, ready_at, not_before, more, granted]);
            }
        }
    }

    fn published(&mut self, publication: &Publication) {
        let tenant = publication.tenant;
        let key = publication.key.iter().map(|key| (tenant, Kind::Key, key.key.clone()));
        self.keys.extend(key);
        let named = publication.events.iter().filter_map(|one| one.event.client_id.clone());
        self.keys.extend(named.map(|name| (tenant, Kind::ClientId, name)));
    }
}

fn gate_of(owed: &Owed) -> Option<i64> {
    owed.gate.map(|of| gate(owed.lane.webhook, of.job))
}

fn columns<const N: usize>(rows: &[[i64; N]]) -> [Column; N] {
    let mut columns = std::array::from_fn(|_| Column::new(table::Kind::Int));
    for row in rows {
        columns.iter_mut().zip(row).for_each(|(column, &int)| column.push(Cell::Int(int)));
    }
    columns
}
