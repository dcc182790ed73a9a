//! `/api/deliveries` and `/api/dead-letters`.

pub mod view;
