//! `/api/events`: publish and read back.

pub mod publish;
