//! Webhooks that we receive: `POST /webhooks/{source}`, and what came.

pub mod list;
pub mod receive;
