//! A store, or one tenant of it, taken over by another store: ids, history and what is owed as they are.
//!
//! Both stores are held alone, so nothing moves while it is copied. The source is marked before the first
//! row is written, and neither of the two can be used while its mark is there: what is owed is owed in
//! one place. Tables are copied one by one in the order of their keys, each page in a transaction of the
//! target; so after a kill at any point the target itself says where to go on. At the end every row of
//! both is read again and compared.
//!
//! Secrets are copied as they are sealed, which ties them to their ids and to the key of the
//! installation. The caller says whether its key opens them, before anything is written.

mod copy;
mod marks;
mod place;
mod tables;

pub(crate) use marks::refuse;
pub use place::{NoPlace, Place};

use tidings_core::id::TenantId;
use tidings_core::time::Timestamp;

use self::copy::Copier;
use self::marks::{Mark, Source, Target};
use self::place::Held;
use self::tables::{TABLES, Whose};
use crate::catalogue::tenants;
use crate::error::OpenError;
use crate::queue::batch::rollup::fold;
use crate::queue::transaction::{Transaction, Trouble};
use crate::value::Value;

/// What is to be taken over.
#[derive(Debug, Clone)]
pub struct Transfer {
    pub from: Place,
    pub to: Place,
    /// The name of one tenant, or its id; none: all of it.
    pub tenant: Option<String>,
    /// Names this attempt, should it be the first: drawn by the caller.
    pub id: i64,
    pub now: Timestamp,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub step: Step,
    pub table: &'static str,
    /// Rows so far, of all tables.
    pub rows: u64,
    /// Of how many.
    pub of: u64,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Copying,
    Comparing,
}

/// What was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Rows by table, in the order in which they were copied; compared one by one. None, when all had
    /// been done before.
    pub rows: Vec<(&'static str, u64)>,
    /// An earlier attempt had begun it.
    pub resumed: bool,
}

/// Why it was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("the source: {0}")]
    Source(OpenError),
    #[error("the target: {0}")]
    Target(OpenError),
    #[error("the source: {0}")]
    Reading(String),
    #[error("the target: {0}")]
    Writing(String),
    #[error("the source and the target are the same store")]
    Same,
    #[error("there is no tenant `{0}` in the source")]
    NoTenant(String),
    #[error("the tenant `default` is part of its installation and moves only with all of it")]
    DefaultTenant,
    #[error("there is nothing in the source")]
    Nothing,
    #[error("the target is not empty: it has rows in {0}")]
    NotEmpty(&'static str),
    #[error("the key does not open the secrets of the {0}; is TIDINGS_SECRET_KEY the right one?")]
    WrongKey(&'static str),
    #[error("another move of the {0} is under way: finish it, or give it up with --abandon")]
    Another(&'static str),
    #[error("the two differ in {table} at {key}: nothing is given up, and the source is as it was")]
    Differs { table: &'static str, key: String },
}

/// Whether a key opens a sealed secret of what has this id.
pub type Opens<'a> = &'a dyn Fn(i64, &[u8]) -> bool;

impl Transfer {
    /// Takes it over, or goes on where an earlier attempt was. Blocks for as long as it takes; not to be
    /// called from within a runtime.
    pub fn run(
        &self,
        opens: Opens<'_>,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Taken, TransferError> {
        if self.from == self.to {
            return Err(TransferError::Same);
        }
        let mut from = Held::existing(&self.from).map_err(TransferError::Source)?;
        let whose = self.whose(&mut from)?;
        check_key(&mut from, opens)
            .map_err(reading)?
            .map_err(|()| TransferError::WrongKey("source"))?;
        if from.run(|tx| is_bare(tx, whose)).map_err(reading)? {
            return Err(TransferError::Nothing);
        }
        let mut to = Held::take(&self.to).map_err(TransferError::Target)?;
        check_key(&mut to, opens)
            .map_err(writing)?
            .map_err(|()| TransferError::WrongKey("target"))?;
        let begun = self.begin(&mut from, &mut to, whose)?;
        let mut rows = Vec::new();
        if !begun.complete {
            let mut copier = Copier::new(&mut from, &mut to, whose, tell)?;
            copier.copy()?;
            rows = copier.compare()?;
            to.run(|tx| Target::finish(tx, begun.id)).map_err(writing)?;
        }
        from.run(|tx| Source::finish(tx, whose, self.now)).map_err(reading)?;
        from.release();
        to.release();
        Ok(Taken { rows, resumed: begun.resumed })
    }

    fn whose(&self, from: &mut Held) -> Result<Whose, TransferError> {
        let Some(name) = &self.tenant else { return Ok(None) };
        let found = from.run(|tx| find_tenant(tx, name)).map_err(reading)?;
        match found {
            None => Err(TransferError::NoTenant(name.clone())),
            Some(id) if id == tenants::DEFAULT.as_i64() => Err(TransferError::DefaultTenant),
            found => Ok(found),
        }
    }

    /// Marks both, unless they are.
    fn begin(&self, from: &mut Held, to: &mut Held, whose: Whose) -> Result<Begun, TransferError> {
        let at_source = from.run(Source::mark).map_err(reading)?;
        if at_source.is_some_and(|mark| mark.whose != whose) {
            return Err(TransferError::Another("source"));
        }
        let id = at_source.map_or(self.id, |mark| mark.id);
        match to.run(Target::mark).map_err(writing)? {
            Target::Filling(its) if its == id => {
                return Ok(Begun { id, resumed: true, complete: false });
            }
            // It may be in use by now, and is not looked at any more.
            Target::Filled(its) if its == id => {
                return Ok(Begun { id, resumed: true, complete: true });
            }
            Target::Filling(_) => return Err(TransferError::Another("target")),
            Target::Free | Target::Filled(_) => {}
        }
        for table in TABLES.iter().filter(|table| table.name != "tenants") {
            let rows = to.run(|tx| tx.rows(&table.last(whose), &whose_args(whose)));
            if !rows.map_err(writing)?.is_empty() {
                return Err(TransferError::NotEmpty(table.name));
            }
        }
        // What is not added up has no owner to be moved with.
        while from.run(fold).map_err(reading)? {}
        from.run(|tx| Source::put(tx, Mark { id, whose })).map_err(reading)?;
        to.run(|tx| Target::put(tx, id)).map_err(writing)?;
        Ok(Begun { id, resumed: false, complete: false })
    }
}

/// A move whose stores are marked.
struct Begun {
    id: i64,
    resumed: bool,
    /// The target has all of it; the source may not know yet.
    complete: bool,
}

/// Gives a move up: the source can be used again as it is. What the target has is of no use.
pub fn abandon(from: &Place) -> Result<bool, TransferError> {
    let mut from = Held::existing(from).map_err(TransferError::Source)?;
    let had = from.run(Source::clear).map_err(reading)?;
    from.release();
    Ok(had)
}

/// The tables with what is sealed in them, and whose it is.
const SEALED: &[&str] = &[
    "SELECT id, secrets FROM webhooks WHERE id > $1 ORDER BY id LIMIT 500",
    "SELECT delivery, secrets FROM directs WHERE delivery > $1 ORDER BY delivery LIMIT 500",
    "SELECT id, secret FROM jobs WHERE id > $1 ORDER BY id LIMIT 500",
    "SELECT id, secret FROM executions WHERE id > $1 ORDER BY id LIMIT 500",
];

/// Every secret that the store holds must open.
fn check_key(held: &mut Held, opens: Opens<'_>) -> Result<Result<(), ()>, Trouble> {
    for sql in SEALED {
        let mut after = 0;
        loop {
            let rows = held.run(|tx| tx.rows(sql, &[Value::Int(after)]))?;
            let Some(last) = rows.last() else { break };
            if let [Value::Int(id), _] = *last.0 {
                after = id;
            }
            let fits = |row: &crate::Row| match &*row.0 {
                [Value::Int(id), Value::Blob(sealed)] => sealed.is_empty() || opens(*id, sealed),
                _ => true,
            };
            if !rows.iter().all(fits) {
                return Ok(Err(()));
            }
        }
    }
    Ok(Ok(()))
}

/// Whether there is nothing but the tenant that is there from the beginning.
fn is_bare(tx: &mut dyn Transaction, whose: Whose) -> Result<bool, Trouble> {
    for table in TABLES {
        let rows = tx.rows(&table.last(whose), &whose_args(whose))?;
        let first = |row: &crate::Row| row.0.first() == Some(&tenants::DEFAULT.into());
        let only_first = table.name == "tenants" && rows.iter().all(first);
        if !rows.is_empty() && !only_first {
            return Ok(false);
        }
    }
    Ok(true)
}

fn find_tenant(tx: &mut dyn Transaction, name: &str) -> Result<Option<i64>, Trouble> {
    let by_name = tx.rows("SELECT id FROM tenants WHERE name = $1", &[name.into()])?;
    let rows = match name.parse::<TenantId>() {
        Ok(id) if by_name.is_empty() => {
            tx.rows("SELECT id FROM tenants WHERE id = $1", &[id.into()])?
        }
        _ => by_name,
    };
    Ok(rows.into_iter().next().and_then(|row| row.fields().take().ok()))
}

fn whose_args(whose: Whose) -> Vec<Value> {
    whose.map(Value::Int).into_iter().collect()
}

fn reading(trouble: Trouble) -> TransferError {
    TransferError::Reading(trouble.text)
}

fn writing(trouble: Trouble) -> TransferError {
    TransferError::Writing(trouble.text)
}
