//! Leads: kept, told of, and handed over ([`super::webhook_delivery`]).

pub mod capture;
pub mod create;
pub mod get;
pub mod list;
pub mod view;
