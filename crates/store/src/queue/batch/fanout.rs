//! A fan-out too large for one transaction is written in slices, so that it does not make everything
//! else wait. It is answered, counted and handed on only with its last slice; until then `unfinished`
//! hides its rows, and an interrupted one is withdrawn, for nobody was told of it.

use std::sync::Arc;

use tidings_core::limits::FANOUT_SLICE;
use tidings_core::publication::{PlannedEvent, Publication, Published};

use super::control::DELETE_OWED;
use super::publish::Known;
use super::rollup::Noted;
use super::{Applied, Failure, Tx, seen};
use crate::change::PublishAnswer;
use crate::error::WriteError;
use crate::queue::Answer;
use crate::queue::committer::Room;
use crate::queue::table::Table;

/// A publication that is being written in slices.
#[derive(Debug)]
pub(crate) struct Fanout {
    pub(crate) publication: Publication,
    pub(crate) planned_at: i64,
    pub(crate) answer: Answer<PublishAnswer>,
    /// From its first slice on.
    pub(crate) begun: Option<Begun>,
    /// Given back when it is over.
    pub(crate) room: Room,
}

/// How far a fan-out is.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    /// For each event, what is to be answered if it was accepted before: nothing of it is written.
    known: Arc<[Option<Published>]>,
    /// Deliveries to be written in all, and those that are by now.
    total: usize,
    written: usize,
}

impl Begun {
    fn is_last(&self) -> bool {
        self.written + FANOUT_SLICE >= self.total
    }
}

impl Fanout {
    pub(crate) fn events(&self) -> impl Iterator<Item = i64> {
        self.publication.events.iter().map(|planned| planned.event.id.as_i64())
    }

    /// Whether the next slice looks for its keys: the first does, and the last, which writes them down.
    /// Someone else may have used one of them meanwhile.
    pub(crate) fn seeks(&self) -> bool {
        self.begun.as_ref().is_none_or(Begun::is_last)
    }
}

/// What a slice did.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is more to be written.
    Written(Begun),
    Finished(PublishAnswer),
}

/// Whether a publication is written in slices.
pub(crate) fn is_large(publication: &Publication) -> bool {
    publication.events.iter().map(|planned| planned.deliveries.len()).sum::<usize>() > FANOUT_SLICE
}

/// The events that were not accepted before.
fn fresh<'p>(
    publication: &'p Publication,
    known: &[Option<Published>],
) -> impl Iterator<Item = &'p PlannedEvent> {
    publication.events.iter().zip(known).filter_map(|(one, known)| known.is_none().then_some(one))
}

impl Tx<'_> {
    /// Writes the next slice.
    pub(super) fn fan_out(&mut self, fanout: &Fanout) -> Applied<Step> {
        let publication = &fanout.publication;
        let Some(begun) = &fanout.begun else { return self.begin(fanout) };
        if begun.is_last() {
            let known = self.known(publication)?;
            if !matches!(known, Known::New(known) if *known == *begun.known) {
                // It is withdrawn; asked again, it finds what the other one wrote.
                return Err(Failure::Refused(WriteError::Overloaded { retry_after_s: 1 }));
            }
        }
        self.write_slice(publication, begun.clone())
    }

    /// Writes the events, and the first slice.
    fn begin(&mut self, fanout: &Fanout) -> Applied<Step> {
        self.refuse_stale(fanout.planned_at)?;
        let publication = &fanout.publication;
        let known = match self.known(publication)? {
            Known::Replayed(answer) => return Ok(Step::Finished(answer)),
            Known::New(known) => known,
        };
        let total = fresh(publication, &known).map(|planned| planned.deliveries.len()).sum();
        if total <= FANOUT_SLICE {
            // The rest of it was accepted before.
            return Ok(Step::Finished(self.write_publication(publication, known)?));
        }
        for planned in fresh(publication, &known) {
            self.insert_event(&planned.event)?;
            let ids = || planned.deliveries.iter().map(|owed| owed.id.as_i64());
            let (first, last) = (ids().min().unwrap_or(0), ids().max().unwrap_or(0));
            let row = [planned.event.id.into(), first.into(), last.into()];
            self.db.insert(Table::Unfinished, &row)?;
        }
        self.write_slice(publication, Begun { known: known.into(), total, written: 0 })
    }

    fn write_slice(&mut self, publication: &Publication, begun: Begun) -> Applied<Step> {
        let all = fresh(publication, &begun.known).flat_map(|planned| &planned.deliveries);
        for owed in all.skip(begun.written).take(FANOUT_SLICE) {
            self.insert_owed(owed)?;
        }
        if begun.is_last() {
            return self.finish(publication, &begun.known);
        }
        Ok(Step::Written(Begun { written: begun.written + FANOUT_SLICE, ..begun }))
    }

    fn finish(&mut self, publication: &Publication, known: &[Option<Published>]) -> Applied<Step> {
        let mut events = Vec::with_capacity(known.len());
        for (planned, known) in publication.events.iter().zip(known) {
            if let Some(known) = known {
                events.push(known.clone());
                continue;
            }
            self.db.send("DELETE FROM unfinished WHERE event = $1", &[planned.event.id.into()])?;
            for owed in &planned.deliveries {
                self.rollup.note((owed.tenant, owed.lane.webhook), self.now, Noted::Accepted);
            }
            self.remember_event(planned)?;
            events.push(seen::published(planned, false));
        }
        self.remember_key(publication, &events)?;
        Ok(Step::Finished(PublishAnswer { events, replayed: false }))
    }

    /// Takes back up to `limit` rows of an interrupted fan-out; tells how many.
    pub(super) fn withdraw(&mut self, event: i64, limit: usize) -> Applied<usize> {
        let rows = self.db.rows(WITHDRAWN, &[event.into(), (limit as i64).into()])?;
        let count = rows.len();
        for row in rows {
            self.db.send(DELETE_OWED, &[row.fields().take::<i64>()?.into()])?;
        }
        if count < limit {
            for sql in [
                "DELETE FROM directs WHERE delivery IN (SELECT x.delivery FROM unfinished u \
                 JOIN directs x ON x.delivery BETWEEN u.first AND u.last WHERE u.event = $1 \
                 AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.id = x.delivery) \
                 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.id = x.delivery))",
                "DELETE FROM events_by_tenant WHERE id = $1 \
                 AND tenant = (SELECT tenant FROM events WHERE id = $1)",
                "DELETE FROM events WHERE id = $1",
                "DELETE FROM unfinished WHERE event = $1",
            ] {
                self.db.send(sql, &[event.into()])?;
            }
        }
        Ok(count)
    }
}

/// Deleted one by one: as one statement it read all of a queue that was taken for empty.
pub(super) const WITHDRAWN: &str = "SELECT q.id FROM unfinished u JOIN queue q \
     ON q.id BETWEEN u.first AND u.last AND q.event = u.event WHERE u.event = $1 LIMIT $2";
