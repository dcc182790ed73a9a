//! `/api/deliveries` and `/api/dead-letters`.
