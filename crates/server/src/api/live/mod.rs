//! Live streams over HTTP: server-sent events and WebSocket. [`crate::live`] has what they share.

pub mod notifications;
pub mod query;
mod session;
pub mod socket;
pub mod sse;

use super::auth::unauthorised;
use super::problem::Problem;
use crate::live::Refused;

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooMany => Self {
                retry_after_s: Some(30),
                ..Self::new(
                    http::StatusCode::TOO_MANY_REQUESTS,
                    "too_many_listeners",
                    "too many live streams are open",
                )
            },
            Refused::Revoked => unauthorised(),
            Refused::Store(error) => error.into(),
        }
    }
}
