//! What a listener asks for: `?types=job.*,lead.captured` and where it was.

use http::HeaderMap;
use tidings_core::id::EventId;
use tidings_core::live::Wanted;

use crate::api::page::ListQuery;
use crate::api::problem::{Problem, Result};

/// Which events, and after which one.
#[derive(Debug)]
pub struct Asked {
    pub wanted: Wanted,
    pub last: Option<EventId>,
}

impl Asked {
    /// From the query; `Last-Event-ID`, which browsers send when they come back, goes before
    /// `?last_event_id=`, which stays in their URL.
    pub fn read(query: &ListQuery, headers: &HeaderMap) -> Result<Self> {
        query.exactly(&["types", "last_event_id"])?;
        let header = headers.get("last-event-id").filter(|value| !value.is_empty());
        let last = match header {
            Some(value) => Some(parse_last(value.to_str().unwrap_or_default())?),
            None => query.get("last_event_id").map(parse_last).transpose()?,
        };
        let types = query.get("types").into_iter().flat_map(|types| types.split(','));
        let wanted = Wanted::parse(types)
            .map_err(|error| Problem::invalid_field("types", error.to_string()))?;
        Ok(Self { wanted, last })
    }
}

fn parse_last(text: &str) -> Result<EventId> {
    let invalid = |_| Problem::invalid_field("last_event_id", "must be the id of an event: evt_…");
    text.parse().map_err(invalid)
}
