//! The sources of events: what they remember between one report and the next. Ordinary queries, one
//! text for every database.
//!
//! A change expects the version that it was made from, and is written with the events that tell of it
//! ([`crate::Store::change`]). When the version has moved, it is decided again from what holds then.

pub mod executions;
pub mod jobs;

/// Every shared statement of the sources, and one of each shape of the composed ones.
#[cfg(any(test, feature = "conformance"))]
pub(crate) fn statements() -> Vec<String> {
    let fixed = [jobs::SQL, executions::SQL].into_iter().flatten();
    let mut all: Vec<String> = fixed.map(|&sql| sql.to_owned()).collect();
    all.extend(jobs::shapes());
    all.extend(executions::shapes());
    all
}
