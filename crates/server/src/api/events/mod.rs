//! `/api/events`: publish and read back.

pub mod get;
pub mod list;
pub mod named;
pub mod publish;
pub mod read;
