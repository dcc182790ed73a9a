use super::*;

#[test]
fn the_profiles_of_the_crate() {
    let names: Vec<&str> = Profile::builtins().iter().map(|profile| &*profile.name).collect();
    assert_eq!(names, ["standard", "emp", "aegisx"]);
    assert!(Profile::builtin("Standard").is_none());

    let standard = Profile::builtin("standard").unwrap();
    assert_eq!(standard.user_agent, format!("Tidings/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(standard.secret, SecretRule::GeneratedWhsec);
    assert!(standard.has_room_for_several_signatures());
    assert!(standard.is_final(410) && standard.is_final(413) && !standard.is_final(404));
    let seconds: Vec<u64> = standard.retry.schedule_ms.iter().map(|ms| ms / 1_000).collect();
    // 75 h 35 min 5 s from the first attempt to the tenth.
    assert_eq!(seconds, [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]);
    assert_eq!((standard.retry.max_attempts, standard.retry.jitter), (10, true));

    for (name, secret, cap) in
        [("emp", SecretRule::Optional, 30_000), ("aegisx", SecretRule::GeneratedHex, 60_000)]
    {
        let profile = Profile::builtin(name).unwrap();
        assert_eq!(profile.secret, secret);
        assert!(!profile.has_room_for_several_signatures());
        assert!(profile.is_final(410) && !profile.is_final(413));
        let expected = RetryDefaults {
            max_attempts: 3,
            strategy: Strategy::Exponential,
            initial_delay_ms: 1_000,
            multiplier: 2.0,
            max_delay_ms: cap,
            schedule_ms: vec![],
            jitter: false,
        };
        assert_eq!(profile.retry, expected);
    }
    assert!(Profile::builtins().iter().all(|profile| profile.timeout_ms == 30_000));
}

const FILE: &str = "\
name = \"acme\"
user_agent = \"Acme/1\"
body = \"raw\"
timeout_ms = 10_000
secret = \"required\"
final_statuses = [410, \"430-499\"]
headers = [
  { name = \"X-Event\", value = \"type={event_type}; id={event_id}\" },
  { name = \"X-Id\", value = \"{delivery_id}\", in_test = false },
]
[signature]
header = \"X-Signature\"
scheme = \"hmac_hex\"
[retry]
max_attempts = 5
strategy = \"schedule\"
schedule_ms = [1_000]
";

#[test]
fn a_profile_of_ones_own() {
    let profile = Profile::parse(FILE).unwrap();
    assert!(profile.is_final(430) && profile.is_final(499) && profile.is_final(410));
    assert!(!profile.is_final(429) && !profile.is_final(500));
    assert!(profile.owns_header("x-event") && profile.owns_header("X-SIGNATURE"));
    assert!(profile.owns_header("user-agent") && !profile.owns_header("x-other"));
    let scheme = profile.signature.unwrap().scheme;
    assert_eq!(scheme, Scheme::HmacHex { prefix: String::new() });
}

/// One thing of a good file changed: which line is named, and a part of what is said.
#[test]
fn errors_say_what_and_where() {
    Profile::parse(FILE).unwrap();
    for (from, to, line, what) in [
        ("\"acme\"", "\"Acme Ltd\"", 1, "`name`"),
        ("name = \"acme\"", "", 1, "missing field `name`"),
        ("\"Acme/1\"", "\"Acme\\n1\"", 2, "`user_agent`"),
        ("\"raw\"", "\"rwa\"", 3, "unknown variant `rwa`"),
        ("10_000", "0", 4, "`timeout_ms`"),
        ("10_000", "-1", 4, "invalid value"),
        ("required", "maybe", 5, "unknown variant `maybe`"),
        ("430-499", "499-430", 6, "`499-430` is neither"),
        ("430-499", "4xx", 6, "`4xx` is neither"),
        ("[410,", "[200,", 6, "`200` is neither"),
        ("X-Event", "X Event", 8, "is no header name"),
        ("X-Event", "content-Type", 8, "by the sender itself"),
        ("X-Event", "Host", 8, "by the sender itself"),
        ("{event_id}", "{event}", 8, "`{event}` is no placeholder; there are {event_type},"),
        ("{event_id}", "{event_id", 8, "no partner"),
        ("{event_id}", "event_id}", 8, "no partner"),
        ("type=", "é", 8, "visible ASCII"),
        ("X-Id", "x-event", 9, "twice"),
        ("in_test", "in_tset", 9, "unknown field `in_tset`"),
        ("X-Signature", "X-ID", 12, "twice"),
        ("hmac_hex", "hmac_md5", 13, "unknown variant `hmac_md5`"),
        ("hmac_hex", "standard_v1", 11, "signs {event_id} and {timestamp_s}"),
        ("\"hmac_hex\"", "\"standard_v1\"\nprefix = \"a\"", 14, "`prefix`"),
        ("= 5", "= 21", 15, "`max_attempts`"),
        ("= 5", "= 0", 15, "`max_attempts`"),
        ("schedule_ms = [1_000]", "", 16, "needs `schedule_ms`"),
        ("[1_000]", "[]", 17, "1 to 20 waits"),
        ("[1_000]", "[700_000_000]", 17, "a week"),
        ("[1_000]", "[1_000]\nmultiplier = 0.5", 18, "`multiplier`"),
        ("[1_000]", "[1_000]\nmultiplier = nan", 18, "`multiplier`"),
        ("[1_000]", "[1_000]\ninitial_delay_ms = 700_000_000", 18, "a week"),
        ("[1_000]", "[1_000]\nretries = 1", 18, "unknown field `retries`"),
        ("= [1_000]", "= [1_000", 17, "unclosed array"),
    ] {
        assert!(FILE.contains(from), "{from}");
        let error = Profile::parse(&FILE.replacen(from, to, 1)).unwrap_err();
        assert!(error.what.contains(what), "{from} -> {to}: {error}");
        assert_eq!(error.line, line, "{from} -> {to}: {error}");
    }
}

#[test]
fn a_secret_that_signs_nothing_is_refused() {
    let (head, rest) = FILE.split_once("[signature]").unwrap();
    let retry = &rest[rest.find("[retry]").unwrap()..];
    let unsigned = format!("{head}{retry}");
    let error = Profile::parse(&unsigned).unwrap_err();
    assert_eq!((error.line, error.what.contains("signs nothing")), (5, true), "{error}");
    Profile::parse(&unsigned.replace("required", "optional")).unwrap();
}
