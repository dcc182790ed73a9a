//! `/api/tenants`: the owners of everything else. For admin keys.

pub mod create;
pub mod delete;
mod fields;
pub mod list;
pub mod patch;
mod view;

pub(super) use fields::read_name;
