//! History: what happened, for the API and the pages. Ordinary queries, one text for every database.
//!
//! A delivery is in the queue while it is owed and in the history when it has ended; readers need not
//! know which. Lists go by descending id, which is newest first, and page by the last id seen.

pub mod attempts;
pub mod candidates;
pub mod deliveries;
pub mod events;
pub mod inbound;
pub mod stats;

use crate::value::Value;

/// A query that is put together from fixed fragments; its arguments are numbered as they appear.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) sql: String,
    pub(crate) args: Vec<Value>,
}

impl Query {
    pub(crate) fn push(&mut self, fragment: &str) -> &mut Self {
        self.sql.push_str(fragment);
        self
    }

    /// Adds a fragment and, behind it, an argument.
    pub(crate) fn arg(&mut self, fragment: &str, value: impl Into<Value>) -> &mut Self {
        use std::fmt::Write as _;
        self.args.push(value.into());
        write!(self.sql, "{fragment}${}", self.args.len()).expect("writing to a string succeeds");
        self
    }

    /// Adds `fragment (a, b, …)`.
    pub(crate) fn list(&mut self, fragment: &str, values: &[impl Copy + Into<Value>]) -> &mut Self {
        self.push(fragment).push(" (");
        for (n, &value) in values.iter().enumerate() {
            self.arg(if n == 0 { "" } else { ", " }, value);
        }
        self.push(")")
    }
}

/// Every shared statement of the history, and one of each shape of the composed ones.
#[cfg(any(test, feature = "conformance"))]
pub(crate) fn statements() -> Vec<String> {
    let mut all: Vec<String> =
        [events::SQL, attempts::SQL, stats::SQL, deliveries::SQL, inbound::SQL]
            .into_iter()
            .flatten()
            .map(|&sql| sql.to_owned())
            .collect();
    all.extend(deliveries::shapes());
    all.extend(candidates::shapes());
    all.extend(events::shapes());
    all.extend(inbound::shapes());
    all.extend(stats::shapes());
    all
}
