//! The command line as people and scripts meet it: the real binary, its output, its exit codes.

mod client;
mod local;
mod process;
