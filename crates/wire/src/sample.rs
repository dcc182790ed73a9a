//! What a test delivery says: recognisable, and shaped as the real ones.

use crate::body::openvideo::{self, ExecutionView};
use crate::body::viewcreator;
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
/// * `OpenVideo`, `ViewCreator`, `Lead`: an execution, a job and a lead whose ids begin with `test_`.
/// * all others: an event of type `webhook.test` in the shape itself.
pub fn sample(shape: BodyShape, webhook: &WebhookView<'_>, event_id: &str, now_ms: i64) -> Sample {
    match shape {
        BodyShape::Emp => emp(webhook, event_id, now_ms),
        BodyShape::Aegisx => aegisx(webhook, now_ms),
        BodyShape::OpenVideo => execution(event_id, now_ms),
        BodyShape::ViewCreator => job(now_ms),
        BodyShape::Lead => {
            let lead = br#"{"lead":{"id":"test_lead_123","email":"test@example.com","name":"Test Lead"},"campaign":"Test Campaign"}"#;
            of_event(shape, webhook, event_id, "lead.captured", now_ms, lead)
        }
        BodyShape::Standard
        | BodyShape::Raw
        | BodyShape::CloudEvents
        | BodyShape::CloudEventsBinary => {
            let mut data = Out(Vec::with_capacity(128));
            message(&mut data, MESSAGE, now_ms);
            of_event(shape, webhook, event_id, "webhook.test", now_ms, &data.0)
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

fn execution(event_id: &str, now_ms: i64) -> Sample {
    let job = openvideo::JobView {
        id: "test_job_123",
        operation: "test",
        status: "completed",
        is_root: true,
        url: Some("https://example.com/test.mp4"),
    };
    let execution =
        ExecutionView { id: event_id, jobs: &[job], created_ms: now_ms, completed_ms: now_ms };
    Sample { event_type: "execution.completed", body: openvideo::report(&execution) }
}

fn job(now_ms: i64) -> Sample {
    let job = viewcreator::JobView {
        event_type: "job.started",
        timestamp_ms: now_ms,
        job_id: "test_job_123",
        external_job_id: None,
        owner_user_id: None,
        status: "downloading",
        progress_percent: 0.0,
        current_step: MESSAGE,
        clips_completed: 0,
        total_clips: 0,
        error: None,
        output: None,
    };
    let body = viewcreator::report(&job).expect("every part of it has a canonical form");
    Sample { event_type: job.event_type, body }
}

fn of_event(
    shape: BodyShape,
    webhook: &WebhookView<'_>,
    id: &str,
    event_type: &'static str,
    timestamp_ms: i64,
    data: &[u8],
) -> Sample {
    let event = EventView { id, event_type, timestamp_ms, data };
    let body = build(shape, &event, webhook, 1).expect("the data has all that the body needs");
    Sample { event_type, body: body.into_owned() }
}

const MESSAGE: &str = "This is a test delivery from Tidings";

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
        assert_eq!(text(BodyShape::CloudEventsBinary), text(BodyShape::Raw));
        assert_eq!(
            text(BodyShape::OpenVideo),
            r#"{"executionId":"test_1705228256789_0000abc1","status":"completed","outputs":{"test_job_123":{"url":"https://example.com/test.mp4","operation":"test"}},"rootUrl":"https://example.com/test.mp4","createdAt":"2024-01-14T10:30:56.789Z","completedAt":"2024-01-14T10:30:56.789Z"}"#
        );
        assert_eq!(
            text(BodyShape::ViewCreator),
            r#"{"current_step":"This is a test delivery from Tidings","event":"job.started","job_id":"test_job_123","progress_percent":0,"status":"downloading","timestamp":"2024-01-14T10:30:56.789Z"}"#
        );
        assert_eq!(
            text(BodyShape::Lead),
            r#"{"event":"lead.captured","timestamp":"2024-01-14T10:30:56.789Z","lead":{"id":"test_lead_123","email":"test@example.com","name":"Test Lead"},"campaign":"Test Campaign"}"#
        );
        assert!(text(BodyShape::CloudEvents).contains(r#""type":"webhook.test","time":"2024"#));
    }

    /// A profile that is bound to a kind of events has a sample of that kind.
    #[test]
    fn samples_are_events_that_their_profiles_tell_of() {
        for profile in crate::profile::Profile::builtins() {
            let sample = sample(profile.body, &WEBHOOK, "test_1", 0);
            assert!(profile.tells_of(sample.event_type), "{}", profile.name);
        }
    }

    #[test]
    fn samples_are_canonical() {
        for (_, shape) in BodyShape::ALL {
            let body = text(shape);
            let canonical = crate::canonical::canonicalize(body.as_bytes()).unwrap();
            assert_eq!(canonical, body.as_bytes());
        }
    }
}
