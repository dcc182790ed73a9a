//! `/api/deliveries` and `/api/dead-letters`.

pub mod as_sent;
pub mod attempts;
pub mod cancel;
pub mod dead_letters;
pub mod get;
pub mod list;
pub mod publish;
pub mod redrive;
pub mod retry;
pub mod view;
