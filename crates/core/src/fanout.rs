//! Fan-out: which webhooks of a tenant want an event, and the deliveries that are owed for it.
//!
//! The index of a tenant is immutable and shared; a change of its webhooks builds a new one. Webhooks
//! that name an exact type are found by one look-up, so a thousand of them cost no more than one.

use std::collections::HashMap;
use std::sync::Arc;

use crate::delivery::{Lane, Owed};
use crate::event::Event;
use crate::filter::{Data, Filters};
use crate::gate::{Gate, Step};
use crate::id::{IdSource, WebhookId};
use crate::pattern::{Pattern, is_operational};
use crate::time::Timestamp;
use crate::webhook::Webhook;

/// What fan-out needs to know of a webhook.
#[derive(Debug)]
struct Listener {
    webhook: WebhookId,
    revision: u32,
    ordered: bool,
    /// How long after they are due its deliveries are wanted, ms; `None`: for ever.
    expires_after_ms: Option<i64>,
    /// Its own, for the progress of jobs.
    progress_interval_ms: Option<u32>,
    /// `None` when there is nothing to test.
    filters: Option<Box<Filters>>,
}

/// The webhooks of one tenant by what they listen to.
#[derive(Debug, Default)]
pub struct Index {
    listeners: Vec<Listener>,
    exact: HashMap<Box<str>, Vec<u32>>,
    /// Prefix (`job.`) and its listeners.
    below: Vec<(Box<str>, Vec<u32>)>,
    any: Vec<u32>,
}

impl Index {
    /// An index of the active webhooks among these, each with how long after they are due its
    /// deliveries are wanted (ms), if its profile says so.
    pub fn build<'a>(webhooks: impl IntoIterator<Item = (&'a Webhook, Option<i64>)>) -> Self {
        let mut index = Self::default();
        for (webhook, expires_after_ms) in
            webhooks.into_iter().filter(|(webhook, _)| webhook.active)
        {
            let place = index.listeners.len() as u32;
            index.listeners.push(Listener {
                webhook: webhook.id,
                revision: webhook.revision,
                ordered: webhook.ordered,
                expires_after_ms,
                progress_interval_ms: webhook.progress_interval_ms,
                filters: (!webhook.filters.is_empty()).then(|| Box::new(webhook.filters.clone())),
            });
            for pattern in &webhook.events {
                index.listen(pattern, place);
            }
        }
        index
    }

    fn listen(&mut self, pattern: &Pattern, place: u32) {
        match pattern {
            Pattern::Any => self.any.push(place),
            Pattern::Exact(exact) => {
                self.exact.entry(exact.as_str().into()).or_default().push(place);
            }
            Pattern::Below(prefix) => {
                match self.below.iter_mut().find(|(known, _)| **known == **prefix) {
                    Some((_, places)) => places.push(place),
                    None => self.below.push((prefix.as_str().into(), vec![place])),
                }
            }
        }
    }

    /// The deliveries that are owed for `event`, each webhook once, whatever its patterns overlap.
    #[must_use]
    pub fn plan(&self, event: &Arc<Event>, ids: &IdSource, now: Timestamp) -> Vec<Owed> {
        self.plan_each(event, ids, now, |_| None)
    }

    /// The same for an event of a job, whose deliveries pass a gate. An interval of the webhook's own
    /// goes before the one that is given.
    #[must_use]
    pub fn plan_gated(
        &self,
        event: &Arc<Event>,
        gate: Gate,
        ids: &IdSource,
        now: Timestamp,
    ) -> Vec<Owed> {
        let of = |listener: &Listener| match (gate.step, listener.progress_interval_ms) {
            (Step::Progress { .. }, Some(interval_ms)) => {
                Gate { step: Step::Progress { interval_ms }, ..gate }
            }
            _ => gate,
        };
        self.plan_each(event, ids, now, |listener| Some(of(listener)))
    }

    fn plan_each(
        &self,
        event: &Arc<Event>,
        ids: &IdSource,
        now: Timestamp,
        gate: impl Fn(&Listener) -> Option<Gate>,
    ) -> Vec<Owed> {
        let places = self.places(&event.event_type);
        let data = Data::new(&event.data);
        let mut deliveries = Vec::with_capacity(places.len());
        for place in places {
            let listener = &self.listeners[place as usize];
            if listener.filters.as_ref().is_none_or(|filters| filters.match_data(&data)) {
                let gate = gate(listener);
                deliveries.push(Owed { gate, ..owed(listener, event, ids, now) });
            }
        }
        deliveries
    }

    /// The listeners whose patterns match, in the order of the webhooks, none twice.
    fn places(&self, event_type: &str) -> Vec<u32> {
        let mut places = self.exact.get(event_type).cloned().unwrap_or_default();
        let exact_alone = self.below.is_empty() && self.any.is_empty();
        for (prefix, below) in &self.below {
            if event_type.starts_with(&**prefix) {
                places.extend(below);
            }
        }
        if !is_operational(event_type) {
            places.extend(&self.any);
        }
        if !exact_alone || places.len() > 1 {
            places.sort_unstable();
            places.dedup();
        }
        places
    }
}

/// The earlier of two moments, either of which may be missing.
fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

fn owed(listener: &Listener, event: &Arc<Event>, ids: &IdSource, now: Timestamp) -> Owed {
    let ready_at = event.deliver_at.map_or(now, |at| at.max(now));
    Owed {
        id: ids.next(now),
        tenant: event.tenant,
        lane: Lane::of(listener.webhook, listener.ordered, event.ordering_key.as_deref()),
        event: event.id,
        revision: listener.revision,
        ready_at,
        not_before: ready_at,
        expires_at: earlier(event.expires_at, listener.expires_after_ms.map(|ms| ready_at + ms)),
        attempts: 0,
        attempts_granted: 0,
        gate: None,
        payload: Arc::clone(event).into(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::id::{EventId, TenantId};

    const NOW: Timestamp = Timestamp::from_millis(1_795_362_000_000);

    fn webhook(id: i64, events: &[&str]) -> Webhook {
        let events = events.iter().map(|p| p.parse().expect("a pattern")).collect();
        Webhook { id: WebhookId::from_i64(id), events, ..Webhook::for_tests() }
    }

    fn event(event_type: &str, data: &'static str) -> Arc<Event> {
        Arc::new(Event {
            id: EventId::from_i64(77),
            tenant: TenantId::from_i64(1),
            client_id: None,
            event_type: event_type.into(),
            timestamp: NOW,
            ordering_key: None,
            deliver_at: None,
            expires_at: None,
            data: Bytes::from_static(data.as_bytes()),
        })
    }

    fn planned(webhooks: &[Webhook], event: &Arc<Event>) -> Vec<i64> {
        let index = Index::build(webhooks.iter().map(|webhook| (webhook, None)));
        let deliveries = index.plan(event, &IdSource::new(0, 0), NOW);
        deliveries.iter().map(|owed| owed.lane.webhook.as_i64()).collect()
    }

    #[test]
    fn each_webhook_once_in_order() {
        let webhooks = [
            webhook(1, &["*", "job.*", "job.completed"]),
            webhook(2, &["job.completed"]),
            webhook(3, &["job.failed"]),
            webhook(4, &["job.*"]),
        ];
        assert_eq!(planned(&webhooks, &event("job.completed", "1")), [1, 2, 4]);
        assert_eq!(planned(&webhooks, &event("other", "1")), [1]);
        assert_eq!(planned(&webhooks, &event("webhook.disabled", "1")), [0; 0]);
    }

    #[test]
    fn inactive_webhooks_and_filtered_events_are_left_out() {
        let mut inactive = webhook(1, &["*"]);
        inactive.active = false;
        let mut filtered = webhook(2, &["*"]);
        filtered.filters.job_types = Some(vec!["video".into()]);
        let webhooks = [inactive, filtered];
        assert_eq!(planned(&webhooks, &event("a", r#"{"job_type":"video"}"#)), [2]);
        assert_eq!(planned(&webhooks, &event("a", r#"{"job_type":"audio"}"#)), [0; 0]);
    }

    #[test]
    fn deliver_at_delays_and_the_past_does_not() {
        let mut late = (*event("a", "1")).clone();
        late.deliver_at = Some(NOW + 500);
        let mut past = late.clone();
        past.deliver_at = Some(NOW - 500);
        let webhook = webhook(1, &["*"]);
        let index = Index::build([(&webhook, None)]);
        let ready = |event| index.plan(&Arc::new(event), &IdSource::new(0, 0), NOW)[0].ready_at;
        assert_eq!((ready(late), ready(past)), (NOW + 500, NOW));
    }

    #[test]
    fn the_earlier_of_two_ends_holds() {
        let webhook = webhook(1, &["*"]);
        let expires = |expires_at, deliver_at, after| {
            let event = Event { expires_at, deliver_at, ..(*event("a", "1")).clone() };
            let index = Index::build([(&webhook, after)]);
            index.plan(&Arc::new(event), &IdSource::new(0, 0), NOW)[0].expires_at
        };
        assert_eq!(expires(None, None, None), None);
        assert_eq!(expires(Some(NOW + 50), None, None), Some(NOW + 50));
        assert_eq!(expires(Some(NOW + 50), None, Some(60)), Some(NOW + 50));
        assert_eq!(expires(Some(NOW + 50), None, Some(40)), Some(NOW + 40));
        // It counts from when the delivery is due.
        assert_eq!(expires(None, Some(NOW + 100), Some(40)), Some(NOW + 140));
    }
}
