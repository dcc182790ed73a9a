//! The command line as people and scripts meet it: the real binary, its output, its exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod local;
mod operators;
mod process;
mod profiles;
mod tls;
