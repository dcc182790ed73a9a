//! A replay as answers show it.

use serde::Serialize;
use tidings_core::delivery::Status;
use tidings_core::replay::{Replay, Selection, State};
use tidings_core::time::Timestamp;

/// The word for what was never planned, among the statuses.
pub(super) const MISSED: &str = "missed";

/// A replay and how far it has come.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReplayView {
    #[schema(example = "rpl_05n3q0c8g0001")]
    id: String,
    webhook_id: String,
    /// `running`, `completed`, `cancelled` or `failed`.
    status: &'static str,
    /// Why it failed.
    error: Option<&'static str>,
    /// Events accepted from then on, Unix milliseconds …
    since: i64,
    /// … and before then.
    until: i64,
    /// `missed` and statuses of deliveries.
    statuses: Vec<&'static str>,
    /// Empty: any.
    event_types: Vec<String>,
    /// Deliveries queued in a second, at most.
    rate: u32,
    /// How far through its range it has come, by time.
    progress_percent: u8,
    /// Events looked at so far.
    events: u64,
    /// Deliveries queued so far. What became of them is in the deliveries of the webhook.
    deliveries: u64,
    created_at: i64,
    /// Null while it runs.
    ended_at: Option<i64>,
}

impl From<&Replay> for ReplayView {
    fn from(replay: &Replay) -> Self {
        let Selection { since, until, event_types, .. } = &replay.selection;
        let failed = replay.state == State::Failed;
        Self {
            id: replay.id.to_string(),
            webhook_id: replay.webhook.to_string(),
            status: replay.state.as_str(),
            error: failed.then_some("the webhook is gone or inactive"),
            since: since.as_millis(),
            until: until.as_millis(),
            statuses: words(&replay.selection),
            event_types: event_types.iter().map(ToString::to_string).collect(),
            rate: replay.rate,
            progress_percent: replay.progress_percent(),
            events: replay.events,
            deliveries: replay.deliveries,
            created_at: replay.id.created_at().as_millis(),
            ended_at: replay.ended_at.map(Timestamp::as_millis),
        }
    }
}

/// What a selection asks for, as it is written in a request.
fn words(selection: &Selection) -> Vec<&'static str> {
    let missed = selection.missed.then_some(MISSED);
    missed.into_iter().chain(selection.statuses.iter().copied().map(Status::as_str)).collect()
}
