//! Changes of the catalogue and of state machines.

use super::publish::tell_published;
use super::rollup::Noted;
use super::seen::{self, Kind, Seen};
use super::{Applied, Failure, Tx};
use crate::change::{Change, ChangeAnswer, Statement};
use crate::committed::Committed;
use crate::error::WriteError;
use crate::queue::transaction::{Fault, Trouble};

/// The answer, and what is told.
type Changed = (ChangeAnswer, Vec<Committed>);

impl Tx<'_> {
    /// Makes a change, all or nothing: what it wrote before a conflict is taken back alone.
    pub(super) fn change(&mut self, change: &Change) -> Applied<Changed> {
        if let Some(key) = &change.key {
            let (name, fingerprint) = (&key.key.key, &key.key.fingerprint);
            if let Some(ids) = seen::find(self.db, key.tenant, Kind::Key, name, fingerprint)? {
                let replayed = Some(seen::decode_ids(&ids));
                return Ok((ChangeAnswer { replayed, ..ChangeAnswer::default() }, Vec::new()));
            }
        }
        if let Some(planned_at) = change.planned_at {
            self.refuse_stale(planned_at)?;
        }
        let mark = self.rollup.mark();
        self.db.savepoint()?;
        let result = self.write_change(change);
        if let Err(Failure::Refused(_)) = result {
            self.rollup.rewind(mark);
        }
        // After any other error the whole transaction is rolled back.
        if !matches!(result, Err(Failure::Failed(_))) {
            self.db.release(result.is_ok())?;
        }
        result
    }

    fn write_change(&mut self, change: &Change) -> Applied<Changed> {
        let (mut answer, mut told) = Changed::default();
        for statement in &change.statements {
            answer.rows.push(self.run(statement)?);
        }
        if let Some(key) = &change.key {
            let seen = Seen {
                tenant: key.tenant,
                kind: Kind::Key,
                key: &key.key.key,
                fingerprint: &key.key.fingerprint,
                event: None,
                answer: &seen::encode_ids(&key.ids),
            };
            seen::remember(self.db, &seen, self.now)?;
        }
        for publication in &change.publications {
            let publication = self.pass_gates(publication, &mut told)?;
            let published = self.publish(&publication)?;
            tell_published(publication.into_owned(), &published, &mut told);
            answer.published.push(published);
        }
        for owed in &change.owed {
            if self.row("SELECT 1 FROM events WHERE id = $1", &[owed.event.into()])?.is_none() {
                return Err(Failure::Refused(WriteError::Conflict));
            }
            self.insert_owed(owed)?;
            told.push(Committed::Owed(owed.clone()));
            self.rollup.note((owed.tenant, owed.lane.webhook), self.now, Noted::Accepted);
        }
        Ok((answer, told))
    }

    /// Runs one statement; an unmet expectation or a violated constraint is a conflict.
    pub(super) fn run(&mut self, statement: &Statement) -> Applied<usize> {
        match self.db.execute(statement.sql, &statement.args) {
            Ok(rows) if statement.expect.is_none_or(|expected| expected == rows) => Ok(rows),
            Ok(_) | Err(Trouble { fault: Fault::Constraint, .. }) => {
                Err(Failure::Refused(WriteError::Conflict))
            }
            Err(trouble) => Err(trouble.into()),
        }
    }
}
