//! Remember in whole transactions.
//!
//! This crate decides nothing and is the only one that names SQL. What it keeps is split by need:
//!
//! - the *catalogue* (tenants, keys, webhooks) and the *history* are ordinary queries, written once
//!   for every database ([`catalogue`], [`history`]), and so is what the [`sources`] of events and the
//!   [`leads`] remember;
//! - the *queue* is a handful of whole-transaction methods behind one seam (`queue`), written per
//!   database on purpose, because there the database's own way is what makes it fast.
//!
//! All writes go through one committer, which commits whatever has gathered while the previous
//! commit was being synced to disk, and tells the [`Sink`] what it committed, in commit order.

pub mod catalogue;
mod change;
mod committed;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod history;
pub mod leads;
pub mod nodes;
mod queue;
pub mod sources;
mod store;
mod tally;
pub mod transfer;
mod value;

pub use change::{Change, ChangeAnswer, ChangeKey, Control, PublishAnswer, Statement};
pub use committed::{Committed, LaneSummary};
pub use error::{OpenError, ReadError, WriteError};
pub use store::{Connections, Now, Sink, Store};
pub use value::{Fields, Row, Value};
