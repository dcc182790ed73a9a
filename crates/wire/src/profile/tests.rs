use super::*;

#[test]
fn the_profiles_of_the_crate() {
    let names: Vec<&str> = Profile::builtins().iter().map(|profile| &*profile.name).collect();
    assert_eq!(names, FILES.map(|(name, _)| name));
    assert!(Profile::builtin("Standard").is_none() && Profile::builtin_file("x").is_none());

    let standard = Profile::builtin("standard").unwrap();
    assert_eq!(standard.user_agent, format!("Tidings/{}", env!("CARGO_PKG_VERSION")));
    assert!(standard.has_room_for_several_signatures());
    assert!(standard.is_final(410) && standard.is_final(413) && !standard.is_final(404));
    for profile in Profile::builtins() {
        let is_ten = profile.name == "viewcreator";
        let timeout_ms = match &*profile.name {
            "svix" => 15_000,
            _ if is_ten => 10_000,
            _ => 30_000,
        };
        assert_eq!(profile.timeout_ms, timeout_ms, "{}", profile.name);
        let secret = match &*profile.name {
            "standard" | "svix" => SecretRule::GeneratedWhsec,
            "aegisx" => SecretRule::GeneratedHex,
            _ => SecretRule::Optional,
        };
        assert_eq!(profile.secret, secret, "{}", profile.name);
        let expires = (profile.name == "openvideo").then_some(86_400_000);
        assert_eq!(profile.expires_after_ms, expires, "{}", profile.name);
    }
}

/// Which answers end a delivery at once, of all that there are.
#[test]
fn what_is_final() {
    for profile in Profile::builtins() {
        for status in 300..600 {
            let is_final = match &*profile.name {
                "standard" | "svix" => matches!(status, 410 | 413),
                "lead" => status < 500 && status != 429,
                _ => status == 410,
            };
            assert_eq!(profile.is_final(status), is_final, "{} {status}", profile.name);
        }
        let blocked = [ErrorType::Blocked];
        let errors = if profile.name == "lead" { &blocked[..] } else { &[] };
        assert_eq!(profile.final_errors, errors, "{}", profile.name);
    }
}

#[test]
fn some_profiles_tell_of_one_kind_of_events() {
    for (name, told, not_told) in [
        ("openvideo", ["execution.completed", "execution.*"], "*"),
        ("viewcreator", ["job.*", "job.progress"], "jobs.started"),
        ("lead", ["lead.*", "lead.captured"], "lead"),
    ] {
        let profile = Profile::builtin(name).unwrap();
        assert!(told.iter().all(|pattern| profile.tells_of(pattern)), "{name}");
        assert!(!profile.tells_of(not_told), "{name}");
    }
    assert!(Profile::builtin("standard").unwrap().tells_of("*"));
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
    let more = FILE.replace(
        "timeout_ms = 10_000",
        "timeout_ms = 0x2710\nevents = 'a.b.*'\nexpires_after_ms = 1_000\nfinal_errors = ['tls']",
    );
    let profile = Profile::parse(&more).unwrap();
    assert_eq!((profile.timeout_ms, profile.expires_after_ms), (10_000, Some(1_000)));
    assert_eq!(profile.final_errors, [ErrorType::Tls]);
    assert!(profile.tells_of("a.b.c") && !profile.tells_of("a.c"));
}

/// One thing of a good file changed: which line is named, and a part of what is said.
#[test]
fn errors_say_what_and_where() {
    Profile::parse(FILE).unwrap();
    for (from, to, line, what) in [
        ("\"acme\"", "\"Acme Ltd\"", 1, "`name` must be 1 to 64 characters"),
        ("\"acme\"", "7", 1, "`name` must be a text"),
        ("name = \"acme\"", "", 1, "missing field `name`"),
        ("\"Acme/1\"", "\"Acme\\n1\"", 2, "`user_agent`"),
        ("\"raw\"", "\"rwa\"", 3, "`body`: `rwa` is none of standard, raw, cloudevents,"),
        ("\"raw\"", "\"rwa\"", 3, "; did you mean `raw`?"),
        ("10_000", "0", 4, "`timeout_ms` must be a whole number from 100 to 120000"),
        ("10_000", "-1", 4, "`timeout_ms`"),
        ("10_000", "1e4", 4, "`timeout_ms`"),
        ("timeout_ms", "timeout", 4, "unknown field `timeout`; did you mean `timeout_ms`?"),
        ("required", "maybe", 5, "`secret`: `maybe` is none of required"),
        ("430-499", "499-430", 6, "`499-430` is neither"),
        ("430-499", "4xx", 6, "`4xx` is neither"),
        ("[410,", "[200,", 6, "`200` is neither"),
        ("[410,", "[true,", 6, "`boolean` is neither"),
        ("[410, \"430-499\"]", "410", 6, "`final_statuses` must be a list"),
        ("final_statuses = [410, \"430-499\"]", "final_errors = ['tsl']", 6, "did you mean `tls`?"),
        ("final_statuses = [410, \"430-499\"]", "events = 'job'", 6, "a kind such as `job.*`"),
        ("final_statuses = [410, \"430-499\"]", "expires_after_ms = 1", 6, "`expires_after_ms`"),
        ("{ name = \"X-Event\"", "7, { name = \"X-Event\"", 8, "a list of tables"),
        ("name = \"X-Event\", ", "", 8, "missing field `name`"),
        ("X-Event", "X Event", 8, "is no header name"),
        ("X-Event", "content-Type", 8, "by the sender itself"),
        ("X-Event", "Host", 8, "by the sender itself"),
        ("X-Event", "Ce-Id", 8, "belongs to CloudEvents"),
        ("{event_id}", "{event}", 8, "`{event}` is no placeholder; there are {event_type},"),
        ("{event_id}", "{event_id", 8, "no partner"),
        ("{event_id}", "event_id}", 8, "no partner"),
        ("type=", "é", 8, "visible ASCII"),
        ("X-Id", "x-event", 9, "twice"),
        ("in_test", "in_tset", 9, "unknown field `in_tset`; did you mean `in_test`?"),
        ("= false", "= 1", 9, "`in_test` must be true or false"),
        ("X-Signature", "X-ID", 12, "twice"),
        ("hmac_hex", "hmac_hxe", 13, "did you mean `hmac_hex`?"),
        ("hmac_hex", "standard_v1", 11, "signs {event_id} and {timestamp_s}"),
        ("\"hmac_hex\"", "\"standard_v1\"\nprefix = \"a\"", 14, "`prefix`"),
        ("= 5", "= 21", 15, "`max_attempts` must be a whole number from 1 to 20"),
        ("= 5", "= 0", 15, "`max_attempts`"),
        ("\"schedule\"", "\"schedul\"", 16, "did you mean `schedule`?"),
        ("schedule_ms = [1_000]", "", 16, "needs `schedule_ms`"),
        ("[1_000]", "[]", 17, "1 to 19 waits"),
        ("[1_000]", "[700_000_000]", 17, "a week"),
        ("[1_000]", "[1_000]\nmultiplier = 0.5", 18, "`multiplier` must be a number from 1 to"),
        ("[1_000]", "[1_000]\nmultiplier = nan", 18, "`multiplier`"),
        ("[1_000]", "[1_000]\ninitial_delay_ms = 99", 18, "from 100 to 604800000"),
        ("[1_000]", "[1_000]\nmax_delay_ms = 999", 18, "from 1000 to 604800000"),
        ("[1_000]", "[1_000]\nretries = 1", 18, "unknown field `retries`"),
        ("= [1_000]", "= [1_000", 17, "unclosed array"),
        ("[retry]", "[rtery]", 14, "did you mean `retry`?"),
    ] {
        assert!(FILE.contains(from), "{from}");
        let errors = Profile::parse(&FILE.replacen(from, to, 1)).unwrap_err();
        let found = errors.0.iter().any(|error| error.line == line && error.what.contains(what));
        assert!(found, "{from} -> {to}: {errors}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let wrong = FILE
        .replace("\"acme\"", "\"Acme\"")
        .replace("10_000", "\"soon\"")
        .replace("X-Id", "x-event")
        .replace("hmac_hex", "hmac")
        .replace("max_attempts", "attempts")
        .replace("[1_000]", "[1_000, -1, 'x']");
    let errors = Profile::parse(&wrong).unwrap_err();
    let lines: Vec<usize> = errors.0.iter().map(|error| error.line).collect();
    // What is missing is told at its table's head, what is unknown where it stands.
    assert_eq!(lines, [1, 4, 9, 13, 14, 15, 17, 17], "{errors}");
    assert!(errors.to_string().starts_with("line 1: `name` must be"), "{errors}");
}

#[test]
fn a_secret_that_signs_nothing_is_refused() {
    let (head, rest) = FILE.split_once("[signature]").unwrap();
    let retry = &rest[rest.find("[retry]").unwrap()..];
    let unsigned = format!("{head}{retry}");
    let errors = Profile::parse(&unsigned).unwrap_err();
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert_eq!((errors.0[0].line, errors.0[0].what.contains("signs nothing")), (5, true));
    Profile::parse(&unsigned.replace("required", "optional")).unwrap();
}

/// The others document schedules that hold to the second.
#[test]
fn jitter_is_for_the_standards_only() {
    for profile in Profile::builtins() {
        let standard = matches!(&*profile.name, "standard" | "svix");
        assert_eq!(profile.retry.jitter, standard, "{}", profile.name);
    }
}
