use super::*;
use crate::secret::Secret;

const BODY: &[u8] = b"{}";

fn attempt<'a>(name: &str, signers: &'a [Signer], custom: &'a [(String, String)]) -> Attempt<'a> {
    let profile = Profile::builtin(name).unwrap();
    Attempt {
        profile,
        shape: profile.body,
        delivery: DeliveryView {
            event_type: "job.completed",
            event_id: "evt_1",
            event_ms: 1_705_228_200_000,
            webhook_id: "wh_1",
            delivery_id: "dlv_1",
            created_ms: 1_705_228_256_789,
            is_test: false,
        },
        body: BODY,
        custom,
        signers,
        timestamp_s: 1_705_228_300,
    }
}

fn lines(attempt: &Attempt<'_>) -> Vec<String> {
    let headers = compose(attempt).unwrap();
    headers.iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

fn signer(secret: &str) -> Signer {
    Signer::new(&Secret::parse(secret).unwrap())
}

/// HMAC-SHA-256 of `{}` with the key `your-secret-key`, by OpenSSL.
const HEX: &str = "86695d3e3d226e30a3ed77233bd69f655406747f93b251d287cd7e2094e9e32e";

#[test]
fn standard() {
    let signers = [signer("your-secret-key"), signer("old")];
    let signature = sign::standard(&signers, "evt_1", "1705228300", BODY);
    assert_eq!(
        lines(&attempt("standard", &signers, &[])),
        [
            "Content-Type: application/json".to_owned(),
            format!("User-Agent: Tidings/{}", env!("CARGO_PKG_VERSION")),
            "webhook-id: evt_1".to_owned(),
            "webhook-timestamp: 1705228300".to_owned(),
            format!("webhook-signature: {signature}"),
        ]
    );
    assert_eq!(signature.split(' ').count(), 2);
    let unsigned = compose(&attempt("standard", &[], &[]));
    assert_eq!(unsigned, Err(ComposeError::NoSecret("standard".into())));
}

#[test]
fn emp() {
    let mut expected = vec![
        "Content-Type: application/json".to_owned(),
        "User-Agent: EMP-Job-Queue-Webhook/1.0".to_owned(),
        "X-Webhook-Event: job.completed".to_owned(),
        "X-Webhook-ID: wh_1".to_owned(),
        "X-Event-ID: evt_1".to_owned(),
    ];
    assert_eq!(lines(&attempt("emp", &[], &[])), expected);
    // A test is no different.
    let mut test = attempt("emp", &[], &[]);
    test.delivery.is_test = true;
    assert_eq!(lines(&test), expected);
    // One signature only, by the first key.
    let signers = [signer("your-secret-key"), signer("other")];
    expected.push(format!("X-Webhook-Signature: sha256={HEX}"));
    assert_eq!(lines(&attempt("emp", &signers, &[])), expected);
    // A direct delivery has no webhook.
    let mut direct = attempt("emp", &signers, &[]);
    direct.delivery.webhook_id = "";
    expected.remove(3);
    assert_eq!(lines(&direct), expected);
}

#[test]
fn aegisx() {
    let signers = [signer("your-secret-key")];
    let mut expected = vec![
        "Content-Type: application/json".to_owned(),
        "User-Agent: AegisX-Webhooks/1.0".to_owned(),
        "X-Webhook-Event: job.completed".to_owned(),
        "X-Webhook-Delivery: dlv_1".to_owned(),
        "X-Webhook-Timestamp: 2024-01-14T10:30:56.789Z".to_owned(),
        format!("X-Webhook-Signature-256: sha256={HEX}"),
    ];
    assert_eq!(lines(&attempt("aegisx", &signers, &[])), expected);
    let mut test = attempt("aegisx", &signers, &[]);
    test.delivery.is_test = true;
    expected.drain(3..5);
    assert_eq!(lines(&test), expected);
    let unsigned = compose(&attempt("aegisx", &[], &[]));
    assert_eq!(unsigned, Err(ComposeError::NoSecret("aegisx".into())));
}

#[test]
fn openvideo_viewcreator_and_lead() {
    let signers = [signer("your-secret-key")];
    let head = |agent: &str| {
        vec!["Content-Type: application/json".to_owned(), format!("User-Agent: {agent}")]
    };
    let mut expected = head("OpenVideo-Webhook/1.0");
    assert_eq!(lines(&attempt("openvideo", &[], &[])), expected);
    expected.push(format!("X-Webhook-Signature: {HEX}"));
    assert_eq!(lines(&attempt("openvideo", &signers, &[])), expected);

    let mut expected = head("ViewCreator-ClippingWorker/2.0");
    expected.push("X-Webhook-Event: job.completed".to_owned());
    assert_eq!(lines(&attempt("viewcreator", &[], &[])), expected);
    expected.push(format!("X-Webhook-Signature: {HEX}"));
    assert_eq!(lines(&attempt("viewcreator", &signers, &[])), expected);
    // The header says what the body says.
    let mut cancelled = attempt("viewcreator", &[], &[]);
    cancelled.delivery.event_type = "job.cancelled";
    assert_eq!(lines(&cancelled)[2], "X-Webhook-Event: job.failed");

    let mut expected = head(concat!("Tidings/", env!("CARGO_PKG_VERSION")));
    expected.push("X-Webhook-Event: job.completed".to_owned());
    expected.push(format!("X-Webhook-Signature: sha256={HEX}"));
    assert_eq!(lines(&attempt("lead", &signers, &[])), expected);
}

#[test]
fn svix_is_standard_under_other_names() {
    let signers = [signer("your-secret-key"), signer("old")];
    let standard = lines(&attempt("standard", &signers, &[]));
    let svix = lines(&attempt("svix", &signers, &[]));
    let renamed: Vec<_> =
        standard.iter().map(|line| line.replacen("webhook-", "svix-", 1)).collect();
    assert_eq!(svix, renamed);
    assert_eq!(Profile::builtin("svix").unwrap().body, BodyShape::Raw);
}

#[test]
fn cloud_events_in_binary_mode() {
    let signers = [signer("your-secret-key")];
    let custom =
        [("CE-Id".to_owned(), "forged".to_owned()), ("ce-mine".to_owned(), "x".to_owned())];
    let mut binary = attempt("standard", &signers, &custom);
    binary.shape = BodyShape::CloudEventsBinary;
    binary.delivery.event_id = "100%-\"sure\"";
    let all = lines(&binary);
    assert_eq!(
        all[..8],
        [
            "Content-Type: application/json",
            concat!("User-Agent: Tidings/", env!("CARGO_PKG_VERSION")),
            "ce-specversion: 1.0",
            "ce-id: 100%25-%22sure%22",
            "ce-source: /tidings",
            "ce-type: job.completed",
            "ce-time: 2024-01-14T10:30:00.000Z",
            // Standard Webhooks knows of no encoding.
            "webhook-id: 100%-\"sure\"",
        ]
    );
    assert_eq!(all.len(), 10, "{all:?}");
    let check = |name| check_custom(binary.profile, BodyShape::CloudEventsBinary, name, "x");
    assert_eq!((check("Ce-Subject"), check("cent")), (Ok(CustomUse::Ignored), Ok(CustomUse::Sent)));
    assert_eq!(percent_encode("é 😀~!"), "%C3%A9%20%F0%9F%98%80~!");
}

#[test]
fn ours_win() {
    let custom: Vec<(String, String)> = [
        ("X-Api-Key", "k"),
        ("content-type", "text/plain"),
        ("USER-AGENT", "x"),
        ("x-event-id", "forged"),
        ("X-Webhook-Signature", "sha256=forged"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Host", "elsewhere"),
        ("not a name", "x"),
        ("", "x"),
        ("Authorization", "Bearer your-api-token"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let all = lines(&attempt("emp", &[], &custom));
    assert_eq!(all[5..], ["X-Api-Key: k", "Authorization: Bearer your-api-token"]);
    assert!(!all.concat().contains("forged"));
}

#[test]
fn no_value_breaks_the_header_section() {
    for bad in ["a\r\nX-Injected: 1", "a\nb", "a\0", "é"] {
        let custom = [("X-Custom".to_owned(), bad.to_owned())];
        let error = compose(&attempt("emp", &[], &custom)).unwrap_err();
        assert_eq!(error, ComposeError::InvalidValue("X-Custom".into()));
        let mut event = attempt("emp", &[], &[]);
        event.delivery.event_id = bad;
        let error = compose(&event).unwrap_err();
        assert_eq!(error, ComposeError::InvalidValue("X-Event-ID".into()));
    }
}

#[test]
fn custom_headers_are_judged_when_registered() {
    let profile = Profile::builtin("emp").unwrap();
    let check = |name, value| check_custom(profile, profile.body, name, value);
    assert_eq!(check("Authorization", "Bearer x"), Ok(CustomUse::Sent));
    assert_eq!(check("Content-Type", "application/json"), Ok(CustomUse::Ignored));
    assert_eq!(check("content-type", " Application/JSON "), Ok(CustomUse::Ignored));
    assert_eq!(check("x-webhook-id", "mine"), Ok(CustomUse::Ignored));
    assert_eq!(check("User-Agent", "mine"), Ok(CustomUse::Ignored));
    let other = check("Content-Type", "text/plain").unwrap_err();
    assert_eq!(other.to_string(), "must be `application/json`, the type of the body");
    assert_eq!(check("HOST", "x"), Err(CustomError::Reserved));
    assert_eq!(check("content-length", "1"), Err(CustomError::Reserved));
    assert_eq!(check("a b", "x"), Err(CustomError::Name));
    assert_eq!(check("", "x"), Err(CustomError::Name));
    assert_eq!(check("a", "x\r\ny: z"), Err(CustomError::Value));
}

#[test]
fn the_shape_decides_the_content_type() {
    let signers = [signer("your-secret-key")];
    let mut cloud = attempt("standard", &signers, &[]);
    cloud.shape = BodyShape::CloudEvents;
    let expected = "Content-Type: application/cloudevents+json; charset=utf-8";
    assert_eq!(lines(&cloud)[0], expected);
}

#[test]
fn templates_mix_text_and_placeholders() {
    let file = include_str!("../../profiles/emp.toml")
        .replace("\"{event_id}\"", "\"{event_type}/{event_id}@{timestamp_s}!\"");
    let profile = Profile::parse(&file).unwrap();
    let mut mixed = attempt("emp", &[], &[]);
    mixed.profile = &profile;
    assert_eq!(lines(&mixed)[4], "X-Event-ID: job.completed/evt_1@1705228300!");
}
