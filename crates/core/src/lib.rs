//! What a delivery is and what happens next.
//!
//! Pure: this crate performs no I/O, reads no clock and draws no randomness that it was not handed;
//! it names neither tokio nor SQL. The modules below are in reading order: the words first, then the
//! rules, then the machine that applies them.

// The words.
pub mod id;
pub mod limits;
pub mod time;

pub mod delivery;
pub mod direct;
pub mod event;
pub mod gate;
pub mod lead;
pub mod outcome;
pub mod publication;
pub mod settlement;
pub mod shard;
pub mod stats;
pub mod webhook;

// The rules.
pub mod batch;
pub mod egress;
pub mod fanout;
pub mod filter;
pub mod health;
pub mod inbound;
pub mod live;
pub mod pattern;
pub mod replay;
pub mod retry;
pub mod retry_after;
pub mod verdict;

// The sources of events.
pub mod executions;
pub mod jobs;

pub mod clipping;

// The machine.
pub mod dispatch;
pub mod leases;
pub mod releases;
