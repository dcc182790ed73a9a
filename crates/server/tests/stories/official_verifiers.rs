//! What we send, judged by the official verifiers of Standard Webhooks, which others wrote: the crate,
//! the package of PyPI and that of npm, at fixed versions (`tests/official`).
//!
//! Python and Node are installed from their registries at the first run, into the target directory.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::harness::{Received, Receiver, Tidings};
use crate::{path, register, retry_every};

const SHARED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ED25519: &str = "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// A request as it arrived, a secret, and whether they belong together.
struct Case {
    about: &'static str,
    request: Received,
    secret: String,
    genuine: bool,
}

fn case(about: &'static str, request: &Received, secret: &Value, genuine: bool) -> Case {
    let secret = secret.as_str().expect("it was shown").to_owned();
    Case { about, request: request.clone(), secret, genuine }
}

/// Publishes these bytes as data and returns the request that they became.
async fn delivered(tidings: &Tidings, receiver: &Receiver, data: &str) -> Received {
    let event = format!(r#"{{"type": "story.told", "data": {data}}}"#);
    tidings.send(http::Method::POST, "/api/events", event).await.expect(202);
    receiver.next().await
}

/// Real deliveries: plain, retried, raw, before, during and after a rotation; and forgeries.
async fn cases() -> Vec<Case> {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let made =
        register(&tidings, &receiver.url(), json!({"retry_config": retry_every(1_000)})).await;
    let old = &made["secret"];
    let odd =
        r#"{"n": 1.0, "a": 1, "a": 2, "text": "Grüße, 世界 \u0000", "big": 12345678901234567890}"#;

    receiver.answers_once(500);
    let first = delivered(&tidings, &receiver, odd).await;
    let retried = receiver.next().await;
    let mut forged = first.clone();
    forged.body = String::from_utf8(first.body.to_vec()).unwrap().replace("1.0", "1.1").into();
    let mut renamed = first.clone();
    renamed.headers.insert("webhook-id", "evt_another".parse().unwrap());

    let rotate = format!("{}/rotate-secret", path(&made));
    let new = &tidings.post(&rotate, json!({})).await.expect(200)["secret"];
    let during = delivered(&tidings, &receiver, "[]").await;
    let newest = &tidings.post(&rotate, json!({"overlap_ms": 0})).await.expect(200)["secret"];
    let after = delivered(&tidings, &receiver, "\"text\"").await;

    tidings.delete(&path(&made)).await;
    let raw = register(&tidings, &receiver.url(), json!({"body": "raw"})).await;
    let bare = delivered(&tidings, &receiver, odd).await;
    assert_eq!(bare.body, odd);

    // Of the packages none knows Ed25519: what it signs must not be in the way of what they know.
    tidings.delete(&path(&raw)).await;
    let both = json!({"secret": format!("{SHARED} {ED25519}")});
    let both = register(&tidings, &receiver.url(), both).await;
    let twofold = delivered(&tidings, &receiver, odd).await;
    assert_eq!(twofold.header("webhook-signature").split(' ').count(), 2);
    tidings.delete(&path(&both)).await;
    register(&tidings, &receiver.url(), json!({"secret": ED25519})).await;
    let foreign = delivered(&tidings, &receiver, odd).await;
    vec![
        case("first try", &first, old, true),
        case("retry", &retried, old, true),
        case("another secret", &first, new, false),
        case("another body", &forged, old, false),
        case("another id", &renamed, old, false),
        case("old secret during the rotation", &during, old, true),
        case("new secret during the rotation", &during, new, true),
        case("old secret after the rotation", &after, old, false),
        case("second secret after the rotation", &after, new, false),
        case("newest secret after the rotation", &after, newest, true),
        case("raw body", &bare, &raw["secret"], true),
        case("both kinds of signature", &twofold, &SHARED.into(), true),
        case("Ed25519 alone", &foreign, &SHARED.into(), false),
    ]
}

fn assert_agrees(cases: &[Case], verdicts: &[bool]) {
    assert_eq!(verdicts.len(), cases.len());
    for (case, verdict) in cases.iter().zip(verdicts) {
        assert_eq!(*verdict, case.genuine, "{}", case.about);
    }
}

#[tokio::test]
async fn the_crate_agrees() {
    let cases = cases().await;
    let verify = |case: &Case| {
        let verifier = standardwebhooks::Webhook::new(&case.secret).unwrap();
        verifier.verify(&case.request.body, &case.request.headers).is_ok()
    };
    let verdicts: Vec<bool> = cases.iter().map(verify).collect();
    assert_agrees(&cases, &verdicts);
}

#[tokio::test]
async fn the_package_of_python_agrees() {
    let home = installed("python", |dir| {
        run(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(dir));
        let pip = ["install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
        run(Command::new("venv/bin/python").args(["-m", "pip"]).args(pip).current_dir(dir));
    });
    let cases = cases().await;
    let mut verifier = Command::new("venv/bin/python");
    assert_agrees(&cases, &judged(verifier.arg("verify.py").current_dir(home), &cases));
}

#[tokio::test]
async fn the_package_of_node_agrees() {
    let home = installed("node", install_for_node);
    let cases = cases().await;
    let mut verifier = Command::new("node");
    assert_agrees(&cases, &judged(verifier.arg("verify.mjs").current_dir(home), &cases));
}

pub(crate) fn install_for_node(dir: &Path) {
    run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir(dir));
}

/// A directory with the files of `tests/official` and what `install` made of them; made at the first
/// run, and again when a file has changed. One test at a time: two may want the same packages.
pub(crate) fn installed(name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("official").join(name);
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official");
    let mut changed = !dir.join("installed").exists();
    std::fs::create_dir_all(&dir).unwrap();
    for file in std::fs::read_dir(files).unwrap() {
        let file = file.unwrap();
        let (from, to) = (std::fs::read(file.path()).unwrap(), dir.join(file.file_name()));
        if std::fs::read(&to).ok().as_ref() != Some(&from) {
            std::fs::write(to, from).unwrap();
            changed = true;
        }
    }
    if changed {
        let _ = std::fs::remove_file(dir.join("installed"));
        install(&dir);
        std::fs::write(dir.join("installed"), "").unwrap();
    }
    dir
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
}

/// Hands the cases over, a line each, and reads the verdicts.
fn judged(verifier: &mut Command, cases: &[Case]) -> Vec<bool> {
    let mut child = verifier.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for case in cases {
        let headers: serde_json::Map<String, Value> = ["id", "timestamp", "signature"]
            .map(|name| format!("webhook-{name}"))
            .into_iter()
            .map(|name| (name.clone(), case.request.header(&name).into()))
            .collect();
        let body = base64::engine::general_purpose::STANDARD.encode(&case.request.body);
        let line = json!({"headers": headers, "body": body, "secret": case.secret});
        writeln!(input, "{line}").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line == "true").collect()
}
