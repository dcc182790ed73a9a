//! Where a store is, and the only hold of it while it is taken over.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::OpenError;
use crate::queue::postgres::days;
use crate::queue::transaction::{Commit, Database, Fault, Transaction, Trouble};
use crate::queue::{postgres, sqlite};

/// Where a store is: `sqlite:DIR` or `postgres://…`.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    Sqlite(PathBuf),
    Postgres(String),
}

/// A text that names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be sqlite:DIRECTORY or postgres://…")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        match text.strip_prefix("sqlite:") {
            Some(dir) if !dir.is_empty() => Ok(Self::Sqlite(dir.into())),
            None if text.starts_with("postgres://") || text.starts_with("postgresql://") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            _ => Err(NoPlace),
        }
    }
}

/// Without a password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(dir) => write!(f, "sqlite:{}", dir.display()),
            Self::Postgres(url) => f.write_str(&postgres::place(url)),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A store that nobody else uses.
pub(super) enum Held {
    Sqlite(Box<sqlite::Alone>),
    Postgres(Box<postgres::Writing>),
}

impl Held {
    /// Takes a store that is there already.
    pub(super) fn existing(place: &Place) -> Result<Self, OpenError> {
        if let Place::Sqlite(dir) = place
            && !sqlite::is_there(dir)
        {
            let why = std::io::Error::new(std::io::ErrorKind::NotFound, "there is no store in it");
            return Err(OpenError::Io { path: dir.clone(), why });
        }
        Self::take(place)
    }

    /// Takes a store, which is made if need be; its tables are brought up to date.
    pub(super) fn take(place: &Place) -> Result<Self, OpenError> {
        Ok(match place {
            Place::Sqlite(dir) => Self::Sqlite(Box::new(sqlite::Alone::take(dir)?)),
            Place::Postgres(url) => Self::Postgres(Box::new(postgres::Writing::alone(url)?)),
        })
    }

    /// Makes one transaction.
    pub(super) fn run<T>(
        &mut self,
        fill: impl FnOnce(&mut dyn Transaction) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        match self {
            Self::Sqlite(alone) => commit(&mut alone.writing, fill),
            Self::Postgres(writing) => commit(&mut **writing, fill),
        }
    }

    /// Makes the days that these ids are of, where history is in days.
    pub(super) fn make_days(&mut self, first: i64, last: i64) -> Result<(), Trouble> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(_) => self.run(|tx| days::make(tx, first, last)),
        }
    }

    /// Gives it back.
    pub(super) fn release(self) {
        match self {
            Self::Sqlite(alone) => alone.writing.close(),
            Self::Postgres(writing) => writing.close(),
        }
    }
}

fn commit<D: Database, T>(
    database: &mut D,
    fill: impl FnOnce(&mut dyn Transaction) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let result = match database.commit(&[], fill) {
        Commit::Made(made) => Ok(made),
        Commit::Failed(trouble) => Err(trouble),
        Commit::Unknown(_, text) => Err(Trouble::new(Fault::Database, text)),
    };
    database.rest();
    result
}
