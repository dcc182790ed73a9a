//! What follows an answer.

use super::*;

fn handoff<'a>(format: Format, captured: &'a Captured, options: &'a Options) -> Handoff<'a> {
    Handoff::new(format, captured, options, url(format), OCCASION).unwrap()
}

#[test]
fn any_2xx_is_success_and_nothing_else_but_where_a_service_says_more() {
    let captured = captured(ADA);
    for format in Format::ALL {
        let options = Options::read(format, least(format)).unwrap();
        for status in 100..1_000 {
            let then = handoff(format, &captured, &options).answered(status, b"ok");
            let expected = match (format, status) {
                (Format::Hubspot, 207) => Then::Rejected("207: the contact was not accepted"),
                // The lead's tags make a second call.
                (Format::Mailchimp, 200..300) => Then::Next,
                (_, 200..300) => Then::Done,
                _ => Then::Failed,
            };
            assert_eq!(then, expected, "{format:?} {status}");
        }
    }
}

#[test]
fn slack_says_ok() {
    let (captured, options) = (captured(ADA), Options::default());
    let answered = |body: &[u8]| handoff(Format::Slack, &captured, &options).answered(200, body);
    assert_eq!(answered(b"ok\n"), Then::Done);
    for body in [&b""[..], b"no_service", b"{\"ok\":false}"] {
        assert_eq!(answered(body), Then::Rejected("the answer is not `ok`"));
    }
}

#[test]
fn discord_needs_no_body() {
    let (captured, options) = (captured(ADA), Options::default());
    assert_eq!(handoff(Format::Discord, &captured, &options).answered(204, b""), Then::Done);
}

#[test]
fn discord_says_in_the_body_how_long_to_wait() {
    let (captured, options) = (captured(ADA), Options::default());
    let waits = |format, body: &str| handoff(format, &captured, &options).wait_s(body.as_bytes());
    let limited =
        |wait| format!(r#"{{"message":"slow down","retry_after":{wait},"global":false}}"#);
    for (wait, expected) in [("0.35", 1), ("64.57", 65), ("3", 3), ("0", 0), ("-0.2", 0)] {
        assert_eq!(waits(Format::Discord, &limited(wait)), Some(expected), "{wait}");
    }
    for wait in ["-1", "1e300", "\"5\"", "null", "1e999"] {
        assert_eq!(waits(Format::Discord, &limited(wait)), None, "{wait}");
    }
    for body in ["", "{}", "[]", "rate limited"] {
        assert_eq!(waits(Format::Discord, body), None, "{body}");
    }
    assert_eq!(waits(Format::Slack, &limited("5")), None, "Slack has a header for it");
}

#[test]
fn a_failure_of_a_later_call_leaves_it_where_it_is() {
    let captured = captured(ADA);
    let options = br#"{"api_key":"k","form_id":1,"tag_id":2}"#;
    let options = Options::read(Format::Convertkit, options).unwrap();
    let mut kit = handoff(Format::Convertkit, &captured, &options);
    let (first, first_mark) = (kit.call(), kit.mark());
    assert_eq!(kit.answered(201, b"{}"), Then::Next);
    assert_eq!(kit.answered(503, b"{}"), Then::Failed);
    assert!(kit.call().url.ends_with("/forms/1/subscribers"));
    assert_eq!((first_mark.as_str(), kit.mark().as_str()), ("", "1 "));
    // Another try is another hand-off, with the very same calls.
    let mut again = handoff(Format::Convertkit, &captured, &options);
    assert_eq!(again.call(), first);
    assert_eq!(again.answered(200, b""), Then::Next);
    assert_eq!(again.call(), kit.call());
}

#[test]
fn activecampaign_takes_the_contact_from_the_first_answer() {
    let captured = captured(ADA);
    let options = br#"{"api_key":"k","list_id":2}"#;
    let options = Options::read(Format::Activecampaign, options).unwrap();
    let campaign = || handoff(Format::Activecampaign, &captured, &options);
    for id in ["113", "\"113\""] {
        let mut handoff = campaign();
        let answer = format!("{{\"contact\":{{\"id\":{id},\"links\":{{}}}}}}");
        assert_eq!(handoff.answered(201, answer.as_bytes()), Then::Next);
        assert!(handoff.call().body.contains(r#""contact":"113""#));
        // It can be shown later as it was.
        assert_eq!(handoff.mark(), "1 113");
        let shown = campaign().at(&handoff.mark());
        assert_eq!(shown.call(), handoff.call());
    }
    let lacks = Then::Rejected("the answer lacks the id that the next call needs");
    for answer in ["", "{}", r#"{"contact":{"id":null}}"#, r#"{"contact":{"id":"../1"}}"#] {
        assert_eq!(campaign().answered(200, answer.as_bytes()), lacks, "{answer}");
    }
    // Without list and tag nothing is needed of the answer.
    let alone = Options::read(Format::Activecampaign, br#"{"api_key":"k"}"#).unwrap();
    let mut handoff = handoff(Format::Activecampaign, &captured, &alone);
    assert_eq!(handoff.answered(200, b""), Then::Done);
}

#[test]
fn nothing_shows_a_key_or_the_person() {
    let captured = captured(ADA);
    for format in Format::ALL.into_iter().filter(|format| format.has_key()) {
        let options = br#"{"api_key":"key-never-shown","list_id":"1"}"#;
        let options = Options::read(format, options)
            .or_else(|_| Options::read(format, br#"{"api_key":"key-never-shown"}"#))
            .unwrap();
        let handoff = handoff(format, &captured, &options);
        let call = handoff.call();
        let shown = format!("{options:?} {handoff:?} {call:?} {captured:?}");
        assert!(!shown.contains("never-shown") && !shown.contains("example.com"), "{shown}");
        let masked = ["Authorization", "x-kit-api-key", "Api-Token"];
        assert!(masked.iter().any(|header| call.is_credential(header)), "{format:?}");
        assert!(!call.is_credential("content-type"));
    }
}
