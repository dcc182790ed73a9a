//! A fan-out too large for one transaction is written in slices, so that it does not make everything
//! else wait. It is answered, counted and handed on only with its last slice; until then `unfinished`
//! hides its rows, and an interrupted one is withdrawn, for nobody was told of it.

use tidings_core::limits::FANOUT_SLICE;
use tidings_core::publication::Publication;

use super::control::DELETE_OWED;
use super::publish::Known;
use super::rollup::Noted;
use super::{Applied, Failure, Tx, seen};
use crate::change::PublishAnswer;
use crate::error::WriteError;
use crate::queue::Answer;
use crate::queue::table::Table;

/// A publication that is being written in slices.
#[derive(Debug)]
pub(crate) struct Fanout {
    pub(crate) publication: Publication,
    pub(crate) planned_at: i64,
    pub(crate) answer: Answer<PublishAnswer>,
    /// Deliveries written so far; the events are written with the first of them.
    pub(crate) written: Option<usize>,
}

impl Fanout {
    pub(crate) fn events(&self) -> impl Iterator<Item = i64> {
        self.publication.events.iter().map(|planned| planned.event.id.as_i64())
    }
}

/// What a slice did.
#[derive(Debug)]
pub(crate) enum Step {
    /// So many deliveries are written by now.
    Written(usize),
    Finished(PublishAnswer),
}

/// Whether a publication is written in slices.
pub(crate) fn is_large(publication: &Publication) -> bool {
    publication.events.iter().map(|planned| planned.deliveries.len()).sum::<usize>() > FANOUT_SLICE
}

impl Tx<'_> {
    /// Writes the next slice.
    pub(super) fn fan_out(&mut self, fanout: &Fanout) -> Applied<Step> {
        let publication = &fanout.publication;
        // Looked at before the first slice, and again with every other: someone else may have used
        // the same key or event id meanwhile.
        let known = match (self.known(publication)?, fanout.written) {
            (Known::Replayed(answer), None) => return Ok(Step::Finished(answer)),
            (Known::New(known), None) => known,
            (Known::New(known), Some(_)) if known.iter().all(Option::is_none) => known,
            // It is withdrawn; asked again, it finds what the other one wrote.
            _ => return Err(Failure::Refused(WriteError::Overloaded { retry_after_s: 1 })),
        };
        if known.iter().any(Option::is_some) {
            // Part of it is known: rare, and simplest done at once.
            return Ok(Step::Finished(self.write_publication(publication, known)?));
        }
        if fanout.written.is_none() {
            self.refuse_stale(fanout.planned_at)?;
            self.begin(publication)?;
        }
        let written = fanout.written.unwrap_or(0);
        let all = publication.events.iter().flat_map(|planned| &planned.deliveries);
        let mut end = written;
        for owed in all.skip(written).take(FANOUT_SLICE) {
            self.insert_owed(owed)?;
            end += 1;
        }
        if end - written == FANOUT_SLICE {
            Ok(Step::Written(end))
        } else {
            self.finish(publication)
        }
    }

    fn begin(&mut self, publication: &Publication) -> Applied<()> {
        for planned in &publication.events {
            self.insert_event(&planned.event)?;
            let ids = || planned.deliveries.iter().map(|owed| owed.id.as_i64());
            let (first, last) = (ids().min().unwrap_or(0), ids().max().unwrap_or(0));
            let row = [planned.event.id.into(), first.into(), last.into()];
            self.db.insert(Table::Unfinished, &row)?;
        }
        Ok(())
    }

    fn finish(&mut self, publication: &Publication) -> Applied<Step> {
        let mut events = Vec::with_capacity(publication.events.len());
        for planned in &publication.events {
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
