//! The `tidings` command: API, engine, sender, configuration.
//!
//! This crate does the I/O and decides nothing that `core` could. Read in this order:
//! [`api::events::publish`] accepts an event, [`engine`] drives the dispatcher of `core`,
//! [`sender`] makes one HTTP attempt; [`serve`] puts everything together.

pub mod api;
mod assemble;
pub mod cli;
pub mod clock;
pub mod config;
pub mod direct;
pub mod engine;
pub mod http_server;
pub mod live;
pub mod metrics;
pub mod nodes;
pub mod notify;
pub mod patience;
pub mod profiles;
pub mod registry;
pub mod replayer;
pub mod seal;
pub mod secret_key;
pub mod sender;
pub mod serve;
pub mod sources;
pub mod spread;
pub mod telemetry;
pub mod turns;
pub mod worker_only;
