//! Replays: send again by time range and status.

pub mod cancel;
pub mod get;
pub mod list;
pub mod start;
pub mod view;
