use super::*;
use crate::canonical::{Why, canonicalize};

const WEBHOOK: WebhookView<'_> = WebhookView { id: "wh_1", name: Some("Orders \"EU\"") };

fn event(data: &[u8]) -> EventView<'_> {
    EventView { id: "evt_1", event_type: "job.completed", timestamp_ms: 1_705_228_256_789, data }
}

fn text(shape: BodyShape, data: &[u8], attempt: u32) -> String {
    String::from_utf8(build(shape, &event(data), &WEBHOOK, attempt).unwrap().into_owned()).unwrap()
}

#[test]
fn standard_leaves_the_data_as_it_is() {
    assert_eq!(
        text(BodyShape::Standard, b"{ \"n\": 1.0,\n\"n\": 12345678901234567890 }", 3),
        "{\"type\":\"job.completed\",\"timestamp\":\"2024-01-14T10:30:56.789Z\",\
         \"data\":{ \"n\": 1.0,\n\"n\": 12345678901234567890 }}"
    );
}

#[test]
fn raw_is_the_data_itself() {
    let data = b" {\"n\": 1.0} ";
    let body = build(BodyShape::Raw, &event(data), &WEBHOOK, 1).unwrap();
    assert!(matches!(body, Cow::Borrowed(same) if std::ptr::eq(same, data.as_slice())));
}

#[test]
fn cloud_events_have_all_that_they_must() {
    assert_eq!(
        text(BodyShape::CloudEvents, b"[ 1.0 ]", 1),
        "{\"specversion\":\"1.0\",\"id\":\"evt_1\",\"source\":\"/tidings\",\
         \"type\":\"job.completed\",\"time\":\"2024-01-14T10:30:56.789Z\",\
         \"datacontenttype\":\"application/json\",\"data\":[ 1.0 ]}"
    );
}

#[test]
fn emp_adds_metadata_from_the_second_attempt_on() {
    let head = "{\"event_type\":\"job.completed\",\"event_id\":\"evt_1\",\"timestamp\":1705228256789,\
                \"webhook_id\":\"wh_1\",\"data\":{\"job_id\":\"j\",\"n\":1}";
    let data = br#"{ "job_id": "j", "n": 1.0 }"#;
    assert_eq!(text(BodyShape::Emp, data, 1), format!("{head}}}"));
    for attempt in [2, 3, 20] {
        let metadata = format!(
            ",\"metadata\":{{\"retry_attempt\":{},\"original_timestamp\":1705228256789}}}}",
            attempt - 1
        );
        assert_eq!(text(BodyShape::Emp, data, attempt), format!("{head}{metadata}"));
    }
}

#[test]
fn aegisx_is_the_same_for_every_attempt() {
    let expected = "{\"id\":\"evt_1\",\"type\":\"job.completed\",\
                    \"created_at\":\"2024-01-14T10:30:56.789Z\",\"data\":{\"1\":0,\"b\":1e-7},\
                    \"webhook\":{\"id\":\"wh_1\",\"name\":\"Orders \\\"EU\\\"\"}}";
    for attempt in 1..4 {
        assert_eq!(text(BodyShape::Aegisx, br#"{"b":1E-7,"1":0}"#, attempt), expected);
    }
    let unnamed = WebhookView { id: "wh_1", name: None };
    let body = build(BodyShape::Aegisx, &event(b"1"), &unnamed, 1).unwrap();
    assert!(body.ends_with(b",\"webhook\":{\"id\":\"wh_1\",\"name\":null}}"));
}

#[test]
fn built_bodies_are_canonical_as_a_whole() {
    for shape in [BodyShape::Emp, BodyShape::Aegisx] {
        let body = text(shape, br#"{"z":[1.0,"\u0001\ud800"],"5":{}}"#, 2);
        assert_eq!(canonicalize(body.as_bytes()).unwrap(), body.as_bytes());
    }
}

#[test]
fn what_a_double_would_falsify_ends_built_bodies_only() {
    let data = br#"{"ids":[1,9007199254740993]}"#;
    for shape in [BodyShape::Emp, BodyShape::Aegisx] {
        let error = build(shape, &event(data), &WEBHOOK, 1).unwrap_err();
        assert_eq!((error.pointer.as_str(), error.why), ("/data/ids/1", Why::InexactInteger));
    }
    for shape in [BodyShape::Standard, BodyShape::Raw, BodyShape::CloudEvents] {
        build(shape, &event(data), &WEBHOOK, 1).unwrap();
    }
}
