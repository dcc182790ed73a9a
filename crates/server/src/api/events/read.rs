//! An event as a request gives it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use tidings_core::event::{Event, is_client_id, is_event_type};
use tidings_core::id::{EventId, TenantId};
use tidings_core::limits::{ORDERING_KEY_BYTES_MAX, SCHEDULE_AHEAD_MS_MAX};
use tidings_core::publication::IdempotencyKey;
use tidings_core::time::Timestamp;

use crate::api::App;
use crate::api::form::{Form, Given};
use crate::api::problem::Result;

/// What reading an event needs.
#[derive(Debug)]
pub struct EventReader<'a> {
    pub app: &'a App,
    /// The whole body, of which an event's data are a part.
    pub body: &'a Bytes,
    pub tenant: TenantId,
    pub now: Timestamp,
    /// `expires_at` must lie behind it.
    not_expired_by: Timestamp,
}

impl<'a> EventReader<'a> {
    #[must_use]
    pub fn new(app: &'a App, body: &'a Bytes, tenant: TenantId, now: Timestamp) -> Self {
        Self { app, body, tenant, now, not_expired_by: now }
    }

    /// One that takes what has expired: a repetition comes as late as it may.
    #[must_use]
    pub fn patient(&self) -> Self {
        Self { not_expired_by: Timestamp::default(), ..*self }
    }

    /// Whether whatever has expired among these was accepted before: under this key, or by its id.
    pub async fn were_accepted(
        &self,
        key: Option<&IdempotencyKey>,
        events: impl Iterator<Item = &Event>,
    ) -> Result<bool> {
        if let Some(key) = key
            && self.app.store.knows_key(self.tenant, &key.key).await?
        {
            return Ok(true);
        }
        let late = events.filter(|event| event.expires_at.is_some_and(|at| at <= self.now));
        let ids: Option<BTreeSet<&str>> = late.map(|event| event.client_id.as_deref()).collect();
        match ids {
            Some(ids) => Ok(self.app.store.knows_client_ids(self.tenant, &ids).await?),
            None => Ok(false),
        }
    }

    /// Takes one event apart; what is wrong is noted in the form.
    pub fn event(
        &self,
        form: &mut Form<'a>,
        client_id: Option<Cow<'a, str>>,
    ) -> Option<Arc<Event>> {
        let event_type = form.required_text("type");
        if event_type.as_deref().is_some_and(|text| !is_event_type(text)) {
            form.refuse(
                "type",
                "must be words of letters, digits and `_`, joined by `.` or `-`, at most 128 bytes",
            );
        }
        let data = match form.raw("data") {
            Given::Value(raw) => Some(raw.get()),
            Given::Null => Some("null"),
            Given::Absent => {
                form.require("data");
                None
            }
        };
        let timestamp = form.moment("timestamp").value().unwrap_or(self.now);
        let ordering_key = read_ordering_key(form);
        let deliver_at = self.read_moment_ahead(form, "deliver_at");
        let expires_at = self.read_moment_ahead(form, "expires_at");
        let starts = deliver_at.unwrap_or_default().max(self.not_expired_by);
        if expires_at.is_some_and(|expires_at| expires_at <= starts) {
            form.refuse("expires_at", "must lie in the future and after `deliver_at`");
        }
        if !form.is_sound() {
            return None;
        }
        Some(Arc::new(Event {
            id: self.app.ids.next(self.now),
            tenant: self.tenant,
            client_id: client_id.map(|id| id.into()),
            event_type: event_type?.into(),
            timestamp,
            ordering_key: ordering_key.map(|key| key.into()),
            deliver_at,
            expires_at,
            data: self.slice(data?),
        }))
    }

    /// The publisher's own id, if it gave one.
    pub fn client_id(&self, form: &mut Form<'a>) -> Option<Cow<'a, str>> {
        let id = form.text("id").value()?;
        if !is_client_id(&id) {
            form.refuse("id", "must be 1 to 128 visible ASCII characters without `.`");
        } else if id.parse::<EventId>().is_ok() {
            // It may be that of another event, and receivers would know both by one name.
            form.refuse("id", "has the form of our ids; put a word of your own before it");
        }
        Some(id)
    }

    fn read_moment_ahead(&self, form: &mut Form<'a>, name: &'static str) -> Option<Timestamp> {
        let at = form.moment(name).value()?;
        if at.since(self.now) > SCHEDULE_AHEAD_MS_MAX {
            form.refuse(name, "must lie at most 365 days ahead");
        }
        Some(at)
    }

    /// A part of the body: shared with it when it is most of it, else copied, for what is shared keeps
    /// the whole body in memory for as long as the delivery waits there.
    fn slice(&self, part: &'a str) -> Bytes {
        if part.len() < self.body.len() / 2 {
            return Bytes::copy_from_slice(part.as_bytes());
        }
        self.body.slice_ref(part.as_bytes())
    }
}

fn read_ordering_key<'a>(form: &mut Form<'a>) -> Option<Cow<'a, str>> {
    let key = form.text("ordering_key").value()?;
    if key.is_empty() || key.len() > ORDERING_KEY_BYTES_MAX {
        form.refuse("ordering_key", format!("must have 1 to {ORDERING_KEY_BYTES_MAX} bytes"));
    }
    Some(key)
}
