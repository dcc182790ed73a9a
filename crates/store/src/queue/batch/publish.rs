//! Publications: events with the deliveries that are owed for them.

use tidings_core::delivery::Owed;
use tidings_core::event::Event;
use tidings_core::publication::{PlannedEvent, Publication, Published};

use super::rollup::Noted;
use super::seen::{self, Kind, Seen};
use super::{Applied, Tx};
use crate::change::PublishAnswer;
use crate::committed::Committed;
use crate::queue::table::Table;

/// What is known of a publication before it is written.
pub(super) enum Known {
    /// Its key was seen: this is its answer.
    Replayed(PublishAnswer),
    /// For each event, what is to be answered if it was accepted before.
    New(Vec<Option<Published>>),
}

impl Tx<'_> {
    /// Writes a publication, unless it is known or in conflict with what is.
    pub(super) fn publish(&mut self, publication: &Publication) -> Applied<PublishAnswer> {
        match self.known(publication)? {
            Known::Replayed(answer) => Ok(answer),
            Known::New(known) => self.write_publication(publication, known),
        }
    }

    /// What was seen of it. Refuses a conflict; writes nothing.
    pub(super) fn known(&mut self, publication: &Publication) -> Applied<Known> {
        if let Some(key) = &publication.key {
            let tenant = publication.tenant;
            if let Some(answer) =
                seen::find(self.db, tenant, Kind::Key, &key.key, &key.fingerprint)?
            {
                let events = seen::decode(&answer);
                return Ok(Known::Replayed(PublishAnswer { events, replayed: true }));
            }
        }
        Ok(Known::New(seen::known_events(self.db, publication)?))
    }

    /// Writes a publication whose conflicts have been ruled out.
    pub(super) fn write_publication(
        &mut self,
        publication: &Publication,
        known: Vec<Option<Published>>,
    ) -> Applied<PublishAnswer> {
        let mut events = Vec::with_capacity(known.len());
        for (planned, known) in publication.events.iter().zip(known) {
            if let Some(known) = known {
                events.push(known);
                continue;
            }
            self.insert_event(&planned.event)?;
            for owed in &planned.deliveries {
                self.insert_owed(owed)?;
                self.rollup.note((owed.tenant, owed.lane.webhook), self.now, Noted::Accepted);
            }
            self.remember_event(planned)?;
            events.push(seen::published(planned, false));
        }
        self.remember_key(publication, &events)?;
        Ok(PublishAnswer { events, replayed: false })
    }

    pub(super) fn insert_event(&mut self, event: &Event) -> Applied<()> {
        let row = [
            event.id.into(),
            event.tenant.into(),
            event.client_id.as_deref().into(),
            (&*event.event_type).into(),
            event.timestamp.into(),
            event.ordering_key.as_deref().into(),
            event.deliver_at.into(),
            event.expires_at.into(),
            (&*event.data).into(),
        ];
        self.db.insert(Table::Events, &row)?;
        self.index_late_event(event)
    }

    pub(super) fn insert_owed(&mut self, owed: &Owed) -> Applied<()> {
        let row = [
            owed.id.into(),
            owed.tenant.into(),
            owed.lane.webhook.into(),
            owed.lane.slot.into(),
            owed.event.into(),
            owed.revision.into(),
            owed.ready_at.into(),
            owed.not_before.into(),
            owed.expires_at.into(),
            owed.attempts.into(),
            owed.attempts_granted.into(),
            owed.gate.map(|gate| gate.job).into(),
            owed.gate.and_then(|gate| gate.step.interval_ms()).into(),
        ];
        self.db.insert(Table::Queue, &row)?;
        self.index_late_owed(owed)?;
        self.insert_direct(owed)
    }

    /// Remembers the id that the publisher gave an event, if it gave one.
    pub(super) fn remember_event(&mut self, planned: &PlannedEvent) -> Applied<()> {
        let Some(client_id) = planned.event.client_id.as_deref() else { return Ok(()) };
        let seen = Seen {
            tenant: planned.event.tenant,
            kind: Kind::ClientId,
            key: client_id,
            fingerprint: &planned.fingerprint,
            event: Some(planned.event.id),
            answer: &seen::encode(&[seen::published(planned, false)]),
        };
        seen::remember(self.db, &seen, self.now)
    }

    pub(super) fn remember_key(
        &mut self,
        publication: &Publication,
        events: &[Published],
    ) -> Applied<()> {
        let Some(key) = &publication.key else { return Ok(()) };
        let seen = Seen {
            tenant: publication.tenant,
            kind: Kind::Key,
            key: &key.key,
            fingerprint: &key.fingerprint,
            event: None,
            answer: &seen::encode(events),
        };
        seen::remember(self.db, &seen, self.now)
    }
}

/// Tells of the events that were new, each before its deliveries.
pub(crate) fn tell_published(
    publication: Publication,
    answer: &PublishAnswer,
    told: &mut Vec<Committed>,
) {
    if answer.replayed {
        return;
    }
    for (planned, published) in publication.events.into_iter().zip(&answer.events) {
        if !published.duplicate {
            told.push(Committed::Accepted(planned.event));
            told.extend(planned.deliveries.into_iter().map(Committed::Owed));
        }
    }
}
