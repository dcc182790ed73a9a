//! Bodies: what is written after the headers, and signed.
//!
//! [`build`] makes the body of an event for a webhook. Reports of jobs and executions are fixed when
//! they are owed, by whoever keeps these: [`viewcreator::report`], [`openvideo::report`].

mod fields;
mod lead;
pub mod openvideo;
pub mod viewcreator;

use std::borrow::Cow;
use std::io::Write;

use crate::canonical::{self, Order, Unrepresentable, append_string};
use crate::profile::BodyShape;
use crate::time::Rfc3339;

/// The event that a body tells of.
#[derive(Debug, Clone, Copy)]
pub struct EventView<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its type, as `job.completed`.
    pub event_type: &'a str,
    /// When it happened, in Unix milliseconds.
    pub timestamp_ms: i64,
    /// Its data: the bytes of a JSON value as they were published.
    pub data: &'a [u8],
}

/// The webhook that a body is for.
#[derive(Debug, Clone, Copy)]
pub struct WebhookView<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name, if it has one.
    pub name: Option<&'a str>,
}

/// What headers call an event of this type, in bodies of this shape.
pub(crate) fn told_type(shape: BodyShape, event_type: &str) -> &str {
    match shape {
        BodyShape::ViewCreator => viewcreator::told_type(event_type),
        _ => event_type,
    }
}

/// The `source` of our CloudEvents: together with the id it names an event (CloudEvents 1.0, 3.1.1).
pub(crate) const SOURCE: &str = "/tidings";

/// The body of one attempt (from 1) of a delivery.
///
/// | shape | body |
/// |---|---|
/// | `Standard` | `{"type","timestamp":<RFC 3339>,"data":<bytes as published>}` |
/// | `Raw`, `CloudEventsBinary` | the bytes as published, not copied |
/// | `CloudEvents` | `{"specversion","id","source","type","time","datacontenttype","data":<bytes as published>}` |
/// | `Emp` | `{"event_type","event_id","timestamp":<ms>,"webhook_id","data"}`; from the second attempt on also `"metadata":{"retry_attempt":<attempt − 1>,"original_timestamp":<ms>}` |
/// | `Aegisx` | `{"id","type","created_at":<ISO 8601>,"data","webhook":{"id","name"}}` |
///
/// | `OpenVideo` | `{"executionId","status","outputs","rootUrl"?,"createdAt","completedAt"}`, each out of the data |
/// | `ViewCreator` | `{"event","timestamp","job_id","external_job_id"?,"owner_user_id"?,"status","progress_percent","current_step","clips_completed"?,"total_clips"?,"error"?,"output"?}`, sorted at every level, out of the data |
/// | `Lead` | `{"event","timestamp","lead":{…},"campaign"}`, out of the data |
///
/// From `Emp` on they are built: their data goes through [`canonical`] JSON, which fails for data that
/// has no such form, and the last three also fail for data without what they need. They are the same
/// bytes for every attempt but for `metadata`. The other shapes never fail; their data is not looked at
/// and must be JSON already.
///
/// ```
/// use tidings_wire::body::{EventView, WebhookView, build};
/// use tidings_wire::profile::BodyShape;
///
/// let event = EventView { id: "evt_1", event_type: "a.b", timestamp_ms: 0, data: b"{\"n\": 1.0}" };
/// let webhook = WebhookView { id: "wh_1", name: None };
/// assert_eq!(
///     &*build(BodyShape::Standard, &event, &webhook, 1)?,
///     br#"{"type":"a.b","timestamp":"1970-01-01T00:00:00.000Z","data":{"n": 1.0}}"#,
/// );
/// assert_eq!(
///     &*build(BodyShape::Emp, &event, &webhook, 1)?,
///     br#"{"event_type":"a.b","event_id":"evt_1","timestamp":0,"webhook_id":"wh_1","data":{"n":1}}"#,
/// );
/// # Ok::<(), tidings_wire::canonical::Unrepresentable>(())
/// ```
pub fn build<'a>(
    shape: BodyShape,
    event: &EventView<'a>,
    webhook: &WebhookView<'_>,
    attempt: u32,
) -> Result<Cow<'a, [u8]>, Unrepresentable> {
    // Names and quotes are under 200 bytes, our own strings seldom escaped.
    let strings = event.id.len() + event.event_type.len() + webhook.id.len();
    let mut out = Out(Vec::with_capacity(event.data.len() + strings + 200));
    match shape {
        BodyShape::Raw | BodyShape::CloudEventsBinary => return Ok(Cow::Borrowed(event.data)),
        BodyShape::OpenVideo => return openvideo::from_event(event).map(Cow::Owned),
        BodyShape::ViewCreator => return viewcreator::from_event(event).map(Cow::Owned),
        BodyShape::Lead => return lead::from_event(event).map(Cow::Owned),
        BodyShape::Standard => standard(&mut out, event),
        BodyShape::CloudEvents => cloud_event(&mut out, event),
        BodyShape::Emp => emp(&mut out, event, webhook, attempt)?,
        BodyShape::Aegisx => aegisx(&mut out, event, webhook)?,
    }
    Ok(Cow::Owned(out.0))
}

fn standard(out: &mut Out, event: &EventView<'_>) {
    out.raw("{\"type\":").string(event.event_type);
    out.raw(",\"timestamp\":").string(&Rfc3339::new(event.timestamp_ms));
    out.raw(",\"data\":").bytes(event.data).raw("}");
}

fn cloud_event(out: &mut Out, event: &EventView<'_>) {
    out.raw("{\"specversion\":\"1.0\",\"id\":").string(event.id);
    out.raw(",\"source\":").string(SOURCE);
    out.raw(",\"type\":").string(event.event_type);
    out.raw(",\"time\":").string(&Rfc3339::new(event.timestamp_ms));
    out.raw(",\"datacontenttype\":\"application/json\",\"data\":").bytes(event.data).raw("}");
}

fn emp(
    out: &mut Out,
    event: &EventView<'_>,
    webhook: &WebhookView<'_>,
    attempt: u32,
) -> Result<(), Unrepresentable> {
    out.raw("{\"event_type\":").string(event.event_type);
    out.raw(",\"event_id\":").string(event.id);
    out.raw(",\"timestamp\":").number(event.timestamp_ms);
    out.raw(",\"webhook_id\":").string(webhook.id);
    out.raw(",\"data\":").canonical(event.data)?;
    if attempt > 1 {
        out.raw(",\"metadata\":{\"retry_attempt\":").number(i64::from(attempt - 1));
        out.raw(",\"original_timestamp\":").number(event.timestamp_ms).raw("}");
    }
    out.raw("}");
    Ok(())
}

fn aegisx(
    out: &mut Out,
    event: &EventView<'_>,
    webhook: &WebhookView<'_>,
) -> Result<(), Unrepresentable> {
    out.raw("{\"id\":").string(event.id);
    out.raw(",\"type\":").string(event.event_type);
    out.raw(",\"created_at\":").string(&Rfc3339::new(event.timestamp_ms));
    out.raw(",\"data\":").canonical(event.data)?;
    out.raw(",\"webhook\":").webhook(webhook).raw("}");
    Ok(())
}

/// A body being written. What it writes is canonical when the raw pieces are.
pub(crate) struct Out(pub(crate) Vec<u8>);

impl Out {
    pub(crate) fn raw(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn string(&mut self, text: &str) -> &mut Self {
        append_string(text, &mut self.0);
        self
    }

    /// Our own numbers (times in milliseconds, counts) stay below 2^53.
    pub(crate) fn number(&mut self, number: i64) -> &mut Self {
        write!(self.0, "{number}").expect("writing to a Vec cannot fail");
        self
    }

    /// The data of the event, which stands at `/data` in every built body.
    fn canonical(&mut self, data: &[u8]) -> Result<&mut Self, Unrepresentable> {
        canonical::append(data, "/data", Order::AsSet, &mut self.0)?;
        Ok(self)
    }

    pub(crate) fn webhook(&mut self, webhook: &WebhookView<'_>) -> &mut Self {
        self.raw("{\"id\":").string(webhook.id).raw(",\"name\":");
        match webhook.name {
            Some(name) => self.string(name),
            None => self.raw("null"),
        };
        self.raw("}")
    }
}

#[cfg(test)]
mod tests;
