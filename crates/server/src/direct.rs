//! Direct deliveries, planned: what every source does with the URL that it was told.

use std::sync::Arc;

use tidings_core::delivery::Owed;
use tidings_core::direct::{self, Direct, Kind};
use tidings_core::egress::UrlError;
use tidings_core::event::Event;
use tidings_core::time::Timestamp;

use crate::engine::Parts;

/// The delivery of an event to a URL, its secrets sealed, in the lane of its origin; to be put among the
/// deliveries of the event's publication. Fails when the egress policy does not let the URL be written.
///
/// With an ordering key, deliveries to an origin follow each other as they do on an ordered webhook.
pub fn plan(
    parts: &Parts,
    mut direct: Direct,
    kind: Kind,
    event: &Arc<Event>,
    now: Timestamp,
) -> Result<Owed, UrlError> {
    let target = parts.registry.egress().parse_url(&direct.url)?;
    let lane = direct::lane(event.tenant, kind, &target.origin, event.ordering_key.as_deref());
    let id = parts.ids.next(now);
    parts.sealer.seal_direct(id, &mut direct);
    let profile = parts.registry.profiles().get_or_standard(&direct.profile);
    let kept_ms = profile.expires_after_ms.and_then(|ms| i64::try_from(ms).ok());
    let mut owed = direct::owe(Arc::new(direct), lane, event, id, now);
    let by_profile = kept_ms.map(|ms| owed.ready_at + ms);
    owed.expires_at = owed.expires_at.into_iter().chain(by_profile).min();
    Ok(owed)
}
