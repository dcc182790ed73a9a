//! A lead as a request gives it, and the event that tells of it.

use std::sync::Arc;

use tidings_core::delivery::Owed;
use tidings_core::event::Event;
use tidings_core::lead::{EVENT_TYPE, Lead, Person};
use tidings_core::publication::{PlannedEvent, Publication};
use tidings_core::time::Timestamp;

use crate::api::App;
use crate::api::form::{Form, Given};

const NAME_CHARS_MAX: usize = 128;
const CAMPAIGN_CHARS_MAX: usize = 500;

/// What a request says of a lead.
#[derive(Debug, Default)]
pub struct Told {
    /// What its owner calls it.
    pub name: Option<String>,
    pub campaign: Option<String>,
    pub person: Option<Person>,
}

/// Reads `leadId`, `campaignName` and `lead`; what is wrong is noted in the form.
pub fn read(form: &mut Form<'_>) -> Told {
    let name = line(form, "leadId", NAME_CHARS_MAX);
    let campaign = line(form, "campaignName", CAMPAIGN_CHARS_MAX);
    let person = match form.raw("lead") {
        Given::Value(raw) => match Person::read(raw.get().as_bytes()) {
            Ok(person) => Some(person),
            Err(refused) => {
                form.adopt(refused);
                None
            }
        },
        Given::Absent | Given::Null => None,
    };
    Told { name, campaign, person }
}

fn line(form: &mut Form<'_>, name: &'static str, most: usize) -> Option<String> {
    let text = form.text(name).value()?;
    if !(1..=most).contains(&text.chars().count()) || text.chars().any(char::is_control) {
        form.refuse(name, format!("must be one line of 1 to {most} characters"));
    }
    Some(text.into_owned())
}

/// The event that tells of a lead as it is known now.
#[must_use]
pub fn event(app: &App, lead: &Lead, now: Timestamp) -> Arc<Event> {
    Arc::new(Event {
        id: app.ids.next(now),
        tenant: lead.tenant,
        client_id: None,
        event_type: EVENT_TYPE.into(),
        timestamp: now,
        ordering_key: None,
        deliver_at: None,
        expires_at: None,
        data: lead.captured.to_data().into(),
    })
}

/// What is written of that event: with the deliveries that are owed directly, and, when the lead is new,
/// to the webhooks that want to know of it.
#[must_use]
pub fn publication(
    app: &App,
    event: Arc<Event>,
    is_new: bool,
    direct: Option<Owed>,
    now: Timestamp,
) -> Publication {
    let mut deliveries = Vec::from_iter(direct);
    if is_new {
        deliveries.extend(app.registry.index(event.tenant).plan(&event, &app.ids, now));
    }
    let planned = PlannedEvent { fingerprint: [0; 16], deliveries, event };
    Publication { tenant: planned.event.tenant, key: None, events: vec![planned] }
}
