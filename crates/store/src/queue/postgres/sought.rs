//! What the works of a batch will look for, so that it can be fetched in one round trip.

use tidings_core::id::TenantId;
use tidings_core::publication::Publication;
use tidings_core::settlement::{Settlement, Verdict};
use tidings_core::shard;

use super::columns::Column;
use crate::nodes::Tenure;
use crate::queue::Job;
use crate::queue::batch::Work;
use crate::queue::batch::seen::Kind;
use crate::queue::table;
use crate::queue::transaction::Cell;

/// A key that a publisher gave.
pub(super) type Key = (TenantId, Kind, Box<str>);

pub(super) struct Sought {
    /// Queue rows that end: delivery, attempts, shard, epoch.
    pub(super) takes: [Column; 4],
    /// Queue rows that stay: the same, then their new values.
    pub(super) moves: [Column; 8],
    pub(super) keys: Vec<Key>,
    /// How things stand, for a step of maintenance.
    pub(super) maintains: bool,
}

impl Sought {
    pub(super) fn by(works: &[Work], tenure: &Tenure) -> Self {
        let mut sought = Self {
            takes: std::array::from_fn(|_| Column::new(table::Kind::Int)),
            moves: std::array::from_fn(|_| Column::new(table::Kind::Int)),
            keys: Vec::new(),
            maintains: false,
        };
        for work in works {
            match work {
                Work::Job(Job::Settle(settlement)) => {
                    sought.settled(settlement, tenure);
                    settlement.announcements.iter().for_each(|one| sought.published(one));
                }
                Work::Job(Job::Publish { publication, .. }) => sought.published(publication),
                Work::Job(Job::Change { change, .. }) => {
                    let key = change.key.iter();
                    sought.keys.extend(key.map(|k| (k.tenant, Kind::Key, k.key.key.clone())));
                    change.publications.iter().for_each(|one| sought.published(one));
                }
                Work::Fanout(fanout) => sought.published(&fanout.publication),
                Work::Job(Job::Maintain { .. }) | Work::Maintain => sought.maintains = true,
                Work::Job(Job::Control { .. }) => {}
            }
        }
        // Sorted, so that two nodes never wait for each other in a ring; each once.
        sought.keys.sort_unstable();
        sought.keys.dedup();
        sought
    }

    fn settled(&mut self, settlement: &Settlement, tenure: &Tenure) {
        let owed = &settlement.owed;
        let row = |columns: &mut [Column], cells: &[i64]| {
            columns.iter_mut().zip(cells).for_each(|(column, &int)| column.push(Cell::Int(int)));
        };
        let (id, attempts) = (owed.id.as_i64(), i64::from(owed.attempts));
        let shard = shard::of(owed.lane.webhook);
        let (epoch, shard) = (tenure.epoch(shard), i64::from(shard));
        match settlement.verdict {
            Verdict::End { .. } => row(&mut self.takes, &[id, attempts, shard, epoch]),
            Verdict::Retry { ready_at, not_before, attempts_granted } => {
                let more = attempts + i64::from(settlement.attempt.is_some());
                let (ready_at, not_before) = (ready_at.as_millis(), not_before.as_millis());
                let granted = attempts_granted.into();
                let cells = [id, attempts, shard, epoch, ready_at, not_before, more, granted];
                row(&mut self.moves, &cells);
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
