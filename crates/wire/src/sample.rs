//! What a test delivery says: recognisable, and shaped as the real ones.

use crate::body::{EventView, Out, WebhookView, build};
use crate::profile::BodyShape;
use crate::time::Rfc3339;

/// A test delivery, to be composed with
/// [`DeliveryView::is_test`](crate::request::DeliveryView::is_test).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// The type that its headers name.
    pub event_type: &'static str,
    /// Its body.
    pub body: Vec<u8>,
}

/// An event id for a test: `test_<Unix ms>_<hex>`, from randomness that is handed in.
pub fn event_id(now_ms: i64, random: [u8; 4]) -> String {
    format!("test_{now_ms}_{:08x}", u32::from_be_bytes(random))
}

/// The sample of a body shape.
///
/// * `Emp`: a job that has been submitted, marked with `"metadata":{"test":true}`.
/// * `Aegisx`: type `webhook.test` with a message, and neither id nor `created_at`.
/// * all others: an event of type `webhook.test` in the shape itself.
pub fn sample(shape: BodyShape, webhook: &WebhookView<'_>, event_id: &str, now_ms: i64) -> Sample {
    match shape {
        BodyShape::Emp => emp(webhook, event_id, now_ms),
        BodyShape::Aegisx => aegisx(webhook, now_ms),
        BodyShape::Standard | BodyShape::Raw | BodyShape::CloudEvents => {
            plain(shape, webhook, event_id, now_ms)
        }
    }
}

fn emp(webhook: &WebhookView<'_>, event_id: &str, now_ms: i64) -> Sample {
    let mut out = Out(Vec::with_capacity(256));
    out.raw("{\"event_type\":\"job.submitted\",\"event_id\":").string(event_id);
    out.raw(",\"timestamp\":").number(now_ms);
    out.raw(",\"webhook_id\":").string(webhook.id);
    out.raw(",\"data\":{\"job_id\":\"test_job_123\",\"job_type\":\"test\"");
    out.raw(",\"job_status\":\"pending\"},\"metadata\":{\"test\":true}}");
    Sample { event_type: "job.submitted", body: out.0 }
}

fn aegisx(webhook: &WebhookView<'_>, now_ms: i64) -> Sample {
    let mut out = Out(Vec::with_capacity(256));
    out.raw("{\"type\":\"webhook.test\",\"data\":");
    message(&mut out, "This is a test webhook delivery", now_ms);
    out.raw(",\"webhook\":").webhook(webhook).raw("}");
    Sample { event_type: "webhook.test", body: out.0 }
}

fn plain(shape: BodyShape, webhook: &WebhookView<'_>, event_id: &str, now_ms: i64) -> Sample {
    let mut data = Out(Vec::with_capacity(128));
    message(&mut data, "This is a test delivery from Tidings", now_ms);
    let event =
        EventView { id: event_id, event_type: "webhook.test", timestamp_ms: now_ms, data: &data.0 };
    let body = build(shape, &event, webhook, 1).expect("only built bodies can fail");
    Sample { event_type: "webhook.test", body: body.into_owned() }
}

fn message(out: &mut Out, text: &str, now_ms: i64) {
    out.raw("{\"message\":").string(text);
    out.raw(",\"timestamp\":").string(&Rfc3339::new(now_ms)).raw("}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEBHOOK: WebhookView<'_> = WebhookView { id: "wh_123", name: Some("Orders") };

    fn text(shape: BodyShape) -> String {
        let id = event_id(1_705_228_256_789, [0, 0, 0xab, 0xc1]);
        String::from_utf8(sample(shape, &WEBHOOK, &id, 1_705_228_256_789).body).unwrap()
    }

    #[test]
    fn every_shape_has_its_sample() {
        assert_eq!(
            text(BodyShape::Emp),
            r#"{"event_type":"job.submitted","event_id":"test_1705228256789_0000abc1","timestamp":1705228256789,"webhook_id":"wh_123","data":{"job_id":"test_job_123","job_type":"test","job_status":"pending"},"metadata":{"test":true}}"#
        );
        assert_eq!(
            text(BodyShape::Aegisx),
            r#"{"type":"webhook.test","data":{"message":"This is a test webhook delivery","timestamp":"2024-01-14T10:30:56.789Z"},"webhook":{"id":"wh_123","name":"Orders"}}"#
        );
        assert_eq!(
            text(BodyShape::Standard),
            r#"{"type":"webhook.test","timestamp":"2024-01-14T10:30:56.789Z","data":{"message":"This is a test delivery from Tidings","timestamp":"2024-01-14T10:30:56.789Z"}}"#
        );
        assert_eq!(
            text(BodyShape::Raw),
            r#"{"message":"This is a test delivery from Tidings","timestamp":"2024-01-14T10:30:56.789Z"}"#
        );
        assert!(text(BodyShape::CloudEvents).contains(r#""type":"webhook.test","time":"2024"#));
    }

    #[test]
    fn samples_are_canonical() {
        for shape in [BodyShape::Emp, BodyShape::Aegisx, BodyShape::Standard] {
            let body = text(shape);
            let canonical = crate::canonical::canonicalize(body.as_bytes()).unwrap();
            assert_eq!(canonical, body.as_bytes());
        }
    }
}
