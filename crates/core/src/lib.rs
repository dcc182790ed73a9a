
pub mod egress;
pub mod outcome;
pub mod retry_after;
