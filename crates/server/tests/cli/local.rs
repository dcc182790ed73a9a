//! Commands that need no server, or are one.

use crate::process::{Process, client, run, serve, tidings, url_of};
use tempfile::tempdir;

#[test]
fn the_demo_ends_by_itself_with_books_that_agree() {
    let place = tempdir().unwrap();
    let ended = Process::start(tidings(&["demo"]).env("TMPDIR", place.path())).end();
    let text = ended.expect_success();
    assert!(text.contains("12 events, 24 deliveries accepted\n"), "{text}");
    assert!(
        text.contains("  = 24 success + 0 failed + 0 cancelled + 0 expired + 0 owed\n"),
        "{text}"
    );
    assert!(text.contains("27 attempts, 3 of them refused on purpose\n"), "{text}");
    assert!(text.contains("24 deliveries arrived and verified, 0 signatures wrong, 0 twice\n"));
    assert!(text.ends_with("Everything accepted has arrived.\n"));
    let failed: Vec<&str> = text.lines().filter(|line| line.starts_with('✗')).collect();
    assert_eq!(failed.len(), 3, "{text}");
    assert!(failed.iter().all(|line| line.contains("503") && line.contains("retry in")), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with('✓')).count(), 24, "{text}");
    assert!(!text.contains('\x1b'), "no colour where no terminal is");
    assert_eq!(place.path().read_dir().unwrap().count(), 0, "the store is gone");
}

#[test]
fn serve_says_where_and_what_next_and_ends_in_order() {
    let dir = tempdir().unwrap();
    let mut server = Process::start(&mut serve(dir.path()));
    let first = server.line();
    let port = first.strip_prefix("tidings listening on http://127.0.0.1:").unwrap();
    assert_ne!(port.parse::<u16>().unwrap(), 0);
    server.line_with("curl");
    server.line_with("/api/events");
    server.line_with("/api/deliveries");
    server.signal("TERM");
    let ended = server.end();
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.contains("stopped"), "{ended:?}");
}

#[test]
fn a_data_directory_is_for_one_process() {
    let dir = tempdir().unwrap();
    let mut server = Process::start(&mut serve(dir.path()));
    url_of(&mut server);
    let second = run(&mut serve(dir.path()), b"");
    assert_eq!(second.code(), Some(1), "{second:?}");
    assert!(second.stderr.contains("another tidings process"), "{second:?}");
    assert_eq!(second.stdout, "");
    server.signal("INT");
    assert_eq!(server.end().code(), Some(0));
    // What it held is free again.
    let mut third = Process::start(&mut serve(dir.path()));
    url_of(&mut third);
}

#[test]
fn what_is_not_understood_is_told_with_its_neighbour() {
    let dir = tempdir().unwrap();
    let by_variable = run(serve(dir.path()).env("TIDINGS_LISTN", "127.0.0.1:0"), b"");
    assert_eq!(by_variable.code(), Some(1));
    let told = "unknown variable TIDINGS_LISTN; did you mean TIDINGS_LISTEN?";
    assert!(by_variable.stderr.contains(told), "{by_variable:?}");
    // With all else that is wrong.
    let wrong =
        [("TIDINGS_LISTN", "1"), ("TIDINGS_ALLOW_HTTP", "maybe"), ("TIDINGS_EGRESS_ALLOW", "nope")];
    let all = run(tidings(&["serve", "--data-dir"]).arg(dir.path()).envs(wrong), b"");
    for told in [told, "allow_http: `maybe`", "egress.allow: `nope`"] {
        assert!(all.stderr.contains(told), "{all:?}");
    }

    let file = dir.path().join("tidings.toml");
    std::fs::write(&file, "[egress]\nalow = []\n").unwrap();
    let by_file = run(tidings(&["serve", "--config"]).arg(&file), b"");
    assert_eq!(by_file.code(), Some(1));
    assert!(by_file.stderr.contains("egress.alow; did you mean egress.allow?"), "{by_file:?}");

    let by_flag = run(&mut tidings(&["serve", "--lissen", "x"]), b"");
    assert_eq!(by_flag.code(), Some(2));
    assert!(by_flag.stderr.contains("--listen"), "{by_flag:?}");
}

#[test]
fn what_a_command_takes_is_named_once_and_told_once() {
    let ended = run(&mut tidings(&["webhooks", "create"]), b"");
    assert_eq!(ended.code(), Some(2));
    assert_eq!(
        ended.stderr.matches("<URL>").count(),
        2,
        "where it is missing, and how to: {ended:?}"
    );
    for command in [&["webhooks", "update", "--help"][..], &["replay", "--help"]] {
        let help = run(&mut tidings(command), b"").expect_success();
        assert!(help.contains("The webhook: wh_…"), "{help}");
    }
    let nowhere = run(&mut tidings(&["serve", "--data-dir", "/proc/nope"]), b"");
    assert_eq!(nowhere.stderr.matches("No such file").count(), 1, "{nowhere:?}");
}

#[test]
fn an_address_to_listen_on_is_none_to_call() {
    let dir = tempdir().unwrap();
    let mut command = tidings(&["serve", "--listen", "0.0.0.0:0", "--data-dir"]);
    let mut server =
        Process::start(command.arg(dir.path()).env("TIDINGS_ADMIN_KEY", "hunter2-hunter2"));
    assert!(server.line().starts_with("tidings listening on http://0.0.0.0:"));
    assert!(server.line_with("curl").contains("http://127.0.0.1:"));
    server.signal("TERM");
    let ended = server.end();
    for told in ["store", "roles", "attempts_in_flight_max", "lead_rate", "egress_only"] {
        assert!(ended.stderr.contains(&format!("\"{told}\":")), "{told}: {ended:?}");
    }
}

/// Whoever can read them reads payloads, or opens secrets.
#[test]
fn what_is_stored_is_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempdir().unwrap();
    let mut server = Process::start(&mut serve(dir.path()));
    url_of(&mut server);
    for name in ["tidings.db", "tidings.db-wal", "tidings.db-shm", "secret.key"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// It may still be found: another one in its place would be taken for it.
#[test]
fn a_key_that_is_lost_is_not_replaced() {
    let dir = tempdir().unwrap();
    let key = dir.path().join("secret.key");
    let mut server = Process::start(&mut serve(dir.path()));
    let url = url_of(&mut server);
    let create = ["webhooks", "create", "https://example.com/hook", "--events", "*"];
    run(&mut client(&url, &create), b"").expect_success();
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0));
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let refused = run(&mut serve(dir.path()), b"");
    assert_eq!(refused.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("secret.key is missing"), "{refused:?}");
    assert!(!key.exists());
    std::fs::write(&key, kept).unwrap();
    url_of(&mut Process::start(&mut serve(dir.path())));
}

#[test]
fn an_open_door_is_refused() {
    let dir = tempdir().unwrap();
    let mut command = tidings(&["serve", "--listen", "0.0.0.0:0", "--data-dir"]);
    let ended = run(command.arg(dir.path()), b"");
    assert_eq!(ended.code(), Some(1));
    assert!(ended.stderr.contains("Missing required settings: TIDINGS_ADMIN_KEY"), "{ended:?}");
    assert_eq!(ended.stdout, "");
}

#[test]
fn one_role_alone_needs_what_others_share() {
    let needs = [
        ("--api", "--api needs DATABASE_URL"),
        ("--worker", "--worker needs DATABASE_URL, or REDIS_URL"),
    ];
    for (role, why) in needs {
        let ended = run(&mut tidings(&["serve", role]), b"");
        assert_eq!(ended.code(), Some(2));
        assert!(ended.stderr.contains(why), "{ended:?}");
    }
    // Who only serves the API has no use of Redis.
    let mut command = tidings(&["serve", "--api"]);
    let ended = run(command.env("REDIS_URL", "redis://127.0.0.1:1"), b"");
    assert_eq!(ended.code(), Some(2), "{ended:?}");
    let dir = tempdir().unwrap();
    let mut server = Process::start(serve(dir.path()).args(["--api", "--worker"]));
    url_of(&mut server);
}

#[test]
fn the_documented_settings_are_settings() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("tidings.toml");
    let text = run(&mut tidings(&["config", "--default"]), b"").expect_success();
    std::fs::write(&file, &text).unwrap();
    let mut command = tidings(&["config", "--config"]);
    command.arg(&file).env("TIDINGS_ADMIN_KEY", "hunter2-hunter2").env("TIDINGS_LOG", "warn");
    let effective = run(&mut command, b"").expect_success();
    assert!(effective.contains("listen = \"127.0.0.1:4000\""), "{effective}");
    assert!(effective.contains("log = \"warn\""), "variables come before the file: {effective}");
    assert!(!effective.contains("hunter2"), "{effective}");
    let wrong = run(tidings(&["config"]).env("TIDINGS_LISTEN", "nowhere"), b"");
    assert_eq!(wrong.code(), Some(1));
    assert!(wrong.stderr.contains("`nowhere` is not an address"), "{wrong:?}");
}

#[test]
fn what_is_signed_is_verified_and_what_is_changed_is_not() {
    let dir = tempdir().unwrap();
    let headers = dir.path().join("headers.txt");
    let from_file = format!("@{}", headers.to_str().unwrap());
    let body = br#"{"job_id":"job_1"}"#;
    for profile in ["standard", "svix", "emp", "aegisx", "openvideo"] {
        let mut sign = tidings(&["sign", "--secret", "s3cret", "--id", "evt_1"]);
        let signed = run(sign.args(["--profile", profile]), body).expect_success();
        std::fs::write(&headers, &signed).unwrap();
        let verify = |secret: &str, body: &[u8]| {
            run(&mut tidings(&["verify", "--secret", secret, "-H", &from_file]), body)
        };
        let told = verify("s3cret", body).expect_success();
        assert_eq!(told, format!("verified: {profile}, {} bytes\n", body.len()));
        for wrong in [verify("other", body), verify("s3cret", b"{}")] {
            assert_eq!(wrong.code(), Some(1), "{profile}");
            assert_eq!(wrong.stderr, "tidings: not verified: no signature matches\n");
        }
    }
}

#[test]
fn a_public_key_is_enough_to_verify() {
    let dir = tempdir().unwrap();
    let headers = dir.path().join("headers.txt");
    let from_file = format!("@{}", headers.to_str().unwrap());
    let secret = "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let public = "whpk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";
    let signed = run(&mut tidings(&["sign", "--secret", secret, "--id", "evt_1"]), b"{}");
    std::fs::write(&headers, signed.expect_success()).unwrap();
    let verify =
        |key, body| run(&mut tidings(&["verify", "--secret", key, "-H", &from_file]), body);
    assert_eq!(verify(public, b"{}").expect_success(), "verified: standard, 2 bytes\n");
    assert!(verify(public, b"[]").stderr.contains("no signature matches"));
    assert!(verify("s3cret", b"{}").stderr.contains("of a kind for which there is no key"));
    let sign = tidings(&["sign", "--secret", secret, "--profile", "emp"]);
    for mut wrong in [sign, tidings(&["sign", "--secret", public, "--id", "evt_1"])] {
        assert_eq!(run(&mut wrong, b"{}").code(), Some(2));
    }
}

/// The example of GitHub's documentation: a sender that is not ours, and that the headers tell.
#[test]
fn requests_of_others_are_verified() {
    let header = "X-Hub-Signature-256: \
                  sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let mut verify = tidings(&["verify", "--secret", "It's a Secret to Everybody", "-H", header]);
    let told = run(&mut verify, b"Hello, World!").expect_success();
    assert_eq!(told, "verified: github, 13 bytes\n");
}

#[test]
fn verify_says_why_not() {
    let verify = |args: &[&str]| {
        let mut command = tidings(&["verify", "--secret", "s3cret", "-H"]);
        run(command.args(args), b"{}")
    };
    let mut sign = tidings(&["sign", "--secret", "s3cret", "--id", "a", "--timestamp", "1000"]);
    let signed = run(&mut sign, b"{}").expect_success();
    let all: Vec<&str> = signed.lines().collect();
    let [id, timestamp, signature] = all[..] else { panic!("{signed}") };
    let old = verify(&[id, "-H", timestamp, "-H", signature]);
    assert_eq!(old.stderr, "tidings: not verified: the timestamp is too old\n");
    let then = verify(&[id, "-H", timestamp, "-H", signature, "--now", "1001"]);
    assert_eq!(then.code(), Some(0), "{then:?}");
    let missing = verify(&[id, "-H", signature]);
    assert!(missing.stderr.contains("`webhook-timestamp` is missing"), "{missing:?}");
    let unsigned = verify(&[id]);
    assert!(unsigned.stderr.contains("none of the headers holds a signature"), "{unsigned:?}");
    let misspelt = verify(&["no colon"]);
    assert_eq!(misspelt.code(), Some(2), "{misspelt:?}");
}

#[test]
fn completion_knows_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&mut tidings(&["completion", shell]), b"").expect_success();
        assert!(script.contains("dead-letters"), "{shell}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    // A port that was free a moment ago, and that nobody else is given so soon.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let ended = run(&mut client(&url, &["webhooks", "list"]), b"");
    assert_eq!(ended.code(), Some(1));
    assert!(ended.stderr.contains(&format!("cannot reach {url}")), "{ended:?}");
    assert!(ended.stderr.contains("TIDINGS_URL"), "{ended:?}");
    let wrong = run(&mut client("ftp://x", &["webhooks", "list"]), b"");
    assert!(wrong.stderr.contains("must begin with http:// or https://"), "{wrong:?}");
}
