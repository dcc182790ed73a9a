//! The catalogue: tenants, API keys, webhooks and replays. The first three are small, read whole at
//! start-up and kept in memory by the server; a change is a list of statements for
//! [`crate::Store::change`].

pub mod keys;
pub mod moved;
pub mod replays;
pub mod tenants;
pub mod webhooks;

/// Every shared statement of the catalogue: a test prepares them on each database.
#[cfg(any(test, feature = "conformance"))]
pub(crate) fn statements() -> impl Iterator<Item = &'static str> {
    [tenants::SQL, keys::SQL, moved::SQL, webhooks::SQL, replays::SQL]
        .into_iter()
        .flatten()
        .copied()
}
