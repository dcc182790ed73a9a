//! `tidings profiles`.

use crate::process::{run, tidings};
use tempfile::tempdir;

const EVENT: &str =
    r#"{"type": "job.completed", "id": "evt-7", "timestamp": 1705228256789, "data": {"n": 1.0}}"#;

#[test]
fn try_prints_the_request_that_would_go_out() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("event.json");
    std::fs::write(&file, EVENT).unwrap();
    let attempt = |more: &[&str]| {
        let mut command = tidings(&["profiles", "try", "--secret", "your-secret-key"]);
        command.args(["--at", "2024-01-14T10:31:40Z", "--event"]).arg(&file).args(more);
        run(&mut command, b"")
    };
    let first = attempt(&["emp"]).expect_success();
    let body = r#"{"event_type":"job.completed","event_id":"evt-7","timestamp":1705228256789,"webhook_id":"wh_1","data":{"n":1}}"#;
    // HMAC-SHA-256 as `tidings sign` makes it of the same body.
    let mut sign = tidings(&["sign", "--secret", "your-secret-key", "--profile", "emp"]);
    let signature = run(&mut sign, body.as_bytes()).expect_success();
    let head = "POST https://example.com/webhook\nContent-Type: application/json\n\
                User-Agent: EMP-Job-Queue-Webhook/1.0\nX-Webhook-Event: job.completed\n\
                X-Webhook-ID: wh_1\nX-Event-ID: evt-7\n";
    assert_eq!(first, format!("{head}{signature}\n{body}\n"));
    assert_eq!(attempt(&["emp"]).expect_success(), first);
    let second = attempt(&["emp", "--attempt", "2"]).expect_success();
    assert!(second.contains(r#""metadata":{"retry_attempt":1,"#), "{second}");
    let binary = attempt(&["standard", "--body", "cloudevents-binary"]).expect_success();
    assert!(binary.contains("ce-time: 2024-01-14T10:30:56.789Z\n"), "{binary}");
    assert!(binary.ends_with("\n\n{\"n\": 1.0}\n"), "{binary}");

    let told = attempt(&["viewcreator"]);
    assert_eq!(told.code(), Some(1));
    assert!(told.stderr.contains("/data/job_id"), "{told:?}");
    let told = attempt(&["openvideo"]);
    assert!(told.stderr.contains("takes events of `execution.*` only"), "{told:?}");
    let told = attempt(&["epm"]);
    assert_eq!(told.code(), Some(2));
    assert!(told.stderr.contains("did you mean `emp`?"), "{told:?}");
    std::fs::write(&file, r#"{"type": "a b", "dat": 1}"#).unwrap();
    let told = attempt(&["emp"]).stderr;
    for part in ["/type ", "/data is required", "/dat is not a known field"] {
        assert!(told.contains(part), "{told}");
    }
    let unsigned = run(&mut tidings(&["profiles", "try", "standard"]), b"");
    assert!(unsigned.code() == Some(2) && unsigned.stderr.contains("--secret"), "{unsigned:?}");
}

#[test]
fn profiles_of_ones_own_are_listed_shown_and_checked() {
    let dir = tempdir().unwrap();
    let shown = run(&mut tidings(&["profiles", "show", "standard"]), b"").expect_success();
    assert!(shown.contains("#   at the latest   0, 6000, "), "{shown}");
    let acme = dir.path().join("acme.toml");
    // What is shown is a file again.
    std::fs::write(&acme, shown.replace("name = \"standard\"", "name = \"acme\"")).unwrap();
    let sound = run(tidings(&["profiles", "check"]).arg(&acme), b"").expect_success();
    assert!(sound.ends_with("acme.toml: acme is sound\n"), "{sound}");
    let list = |format| {
        let mut command = tidings(&["profiles", "list", "-o", format, "--profiles"]);
        run(command.arg(dir.path()), b"").expect_success()
    };
    let table = list("table");
    assert!(table.starts_with("NAME ") && table.contains("\nacme "), "{table}");
    let all: serde_json::Value = serde_json::from_str(&list("json")).unwrap();
    assert_eq!(all.as_array().unwrap().iter().filter(|it| it["own"] == true).count(), 1);

    std::fs::write(&acme, "name = \"emp\"\nbody = \"rwa\"\n").unwrap();
    for (command, named) in [("profiles check", &*acme), ("serve --profiles", dir.path())] {
        let words: Vec<&str> = command.split(' ').collect();
        let told = run(tidings(&words).arg(named), b"");
        assert_eq!(told.code(), Some(1), "{told:?}");
        assert!(told.stderr.contains("acme.toml, line 2: `body`: `rwa` is none of"), "{told:?}");
        assert!(told.stderr.contains("did you mean `raw`?"), "{told:?}");
        assert!(told.stderr.contains("line 1: missing field `retry`"), "{told:?}");
    }
}
