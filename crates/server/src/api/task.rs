//! Changes that are seen through.

use http::StatusCode;

use super::problem::{Problem, Result};

/// Runs to its end even when whoever waits goes away: a change is committed first and taken over in
/// memory then, and between the two nobody may leave.
pub(super) async fn uncancelled<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(died) => {
            tracing::error!(%died, "a change died");
            let detail = "the change failed; look at what holds";
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail))
        }
    }
}
