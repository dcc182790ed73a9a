//! `/api/webhook-delivery`: leads handed over to one URL each, in the flat answers that its clients know.

pub mod create;
pub mod list;
mod read;
pub mod view;
