//! Against code that others wrote: what we sign they verify, and what they sign we verify.
//!
//! The packages of npm are installed from their registry at the first run, at fixed versions
//! (`tests/official`), into the target directory.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tidings_wire::ed25519::SigningKey;
use tidings_wire::keys::Keys;
use tidings_wire::sign::{MacKey, Signer, hmac_hex, standard};
use tidings_wire::verify::{Scheme, Verifier};

const SHARED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const BODIES: [&str; 5] = [
    "{\"n\": 1.0, \"a\": 1, \"a\": 2}",
    "[]",
    "\"text\"\n",
    "{\"text\":\"Grüße, 世界 \u{2028}\",\"big\":12345678901234567890}",
    " {} ",
];

/// The packages' official verifiers read the real clock.
#[expect(clippy::disallowed_methods, reason = "those who judge read this clock, too")]
fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs() as i64
}

/// A directory with the files of `tests/official` and the packages; made at the first run, and again
/// when a file has changed.
fn installed() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("official");
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official");
    std::fs::create_dir_all(&dir).expect("a directory");
    let mut changed = !dir.join("installed").exists();
    for name in ["package.json", "package-lock.json", "judge.mjs"] {
        let (from, to) = (std::fs::read(files.join(name)).expect("a file"), dir.join(name));
        if std::fs::read(&to).ok().as_ref() != Some(&from) {
            std::fs::write(to, from).expect("room");
            changed = true;
        }
    }
    if changed {
        let _ = std::fs::remove_file(dir.join("installed"));
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir(&dir);
        assert!(npm.status().expect("this test needs `npm`").success());
        std::fs::write(dir.join("installed"), "").expect("room");
    }
    dir
}

/// Hands the requests over, a line each, and reads as many answers.
fn judge(requests: &[Value]) -> Vec<Value> {
    let mut node = Command::new("node");
    node.arg("judge.mjs").current_dir(installed()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = node.spawn().expect("this test needs `node`");
    let mut input = child.stdin.take().expect("it is piped");
    for request in requests {
        writeln!(input, "{request}").expect("it reads everything first");
    }
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{:?}", output.status);
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .expect("JSON")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(answers.len(), requests.len());
    answers
}

fn own(headers: &Value) -> Vec<(String, String)> {
    let headers = headers.as_object().expect("headers");
    headers
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().expect("text").into()))
        .collect()
}

/// All in one test, so that the packages are installed once.
#[test]
fn packages_of_npm_agree() {
    what_they_sign_we_verify();
    what_we_sign_they_verify();
}

fn what_they_sign_we_verify() {
    let key = SigningKey::generate([7; 32]);
    let (private, public) = (key.expose(), key.public_key().to_string());
    let senders = [
        ("standardwebhooks", Scheme::Standard, SHARED, SHARED),
        ("svix", Scheme::Svix, SHARED, SHARED),
        ("stripe", Scheme::Stripe, SHARED, SHARED),
        ("shopify", Scheme::Shopify, "hush", "hush"),
        ("octokit", Scheme::GitHub, "It's a Secret to Everybody", "It's a Secret to Everybody"),
        ("ed25519", Scheme::Standard, &private, &public),
    ];
    let now = now_s();
    let all = || senders.iter().flat_map(|sender| BODIES.iter().map(move |body| (sender, *body)));
    let requests: Vec<Value> = all()
        .map(|((by, _, secret, _), body)| {
            json!({
                "do": "sign", "by": by, "secret": secret, "id": "msg_1", "timestamp": now,
                "body": STANDARD.encode(body),
            })
        })
        .collect();
    for (((by, scheme, _, secret), body), headers) in all().zip(judge(&requests)) {
        let headers = own(&headers);
        let verifier = Verifier::new(*scheme, &[secret]).expect("a secret");
        let verdict = verifier.verify(&headers, body.as_bytes(), now);
        assert!(verdict.is_ok(), "{by}: {verdict:?} {headers:?}");
        let changed = format!("{body} ");
        assert!(verifier.verify(&headers, changed.as_bytes(), now).is_err(), "{by}");
        assert_eq!(
            verifier.verify(&headers, body.as_bytes(), now + 301).is_err(),
            scheme.signs_time()
        );
    }
}

fn what_we_sign_they_verify() {
    let key = SigningKey::generate([7; 32]);
    let both = Keys::parse(&format!("{SHARED} {}", key.expose())).expect("two keys");
    let next = Keys::parse("the next secret of a rotation").expect("a key");
    let signers: Vec<Signer> = next.signers().chain(both.signers()).collect();
    let timestamp = now_s().to_string();
    let public = key.public_key().to_string();
    let (mut requests, mut expected) = (Vec::new(), Vec::new());
    for body in BODIES {
        let value = standard(&signers, "msg_1", &timestamp, body.as_bytes());
        let named = |prefix: &str| {
            let pair = |name: &str, value: &str| (format!("{prefix}-{name}"), Value::from(value));
            let pairs =
                [pair("id", "msg_1"), pair("timestamp", &timestamp), pair("signature", &value)];
            Value::Object(Map::from_iter(pairs))
        };
        let hex = hmac_hex(&MacKey::from_key(b"your-secret-key"), "sha256=", body.as_bytes());
        for (by, secret, headers) in [
            ("standardwebhooks", SHARED, named("webhook")),
            ("svix", SHARED, named("svix")),
            ("svix", SHARED, named("webhook")),
            ("ed25519", &public, named("webhook")),
            ("octokit", "your-secret-key", json!({ "X-Webhook-Signature": hex })),
        ] {
            for (genuine, sent) in [(true, body.to_owned()), (false, format!("{body} "))] {
                requests.push(json!({
                    "do": "verify", "by": by, "secret": secret, "headers": headers,
                    "body": STANDARD.encode(sent),
                }));
                expected.push(Value::Bool(genuine));
            }
        }
    }
    for ((request, verdict), expected) in requests.iter().zip(judge(&requests)).zip(expected) {
        assert_eq!(verdict, expected, "{request}");
    }
}

#[test]
fn the_crate_agrees() {
    let theirs = standardwebhooks::Webhook::new(SHARED).expect("a secret");
    let signers: Vec<Signer> = Keys::parse(SHARED).expect("a key").signers().collect();
    let verifier = Verifier::new(Scheme::Standard, &[SHARED]).expect("a secret");
    let now = now_s();
    for body in BODIES {
        let timestamp = now.to_string();
        let value = standard(&signers, "msg_1", &timestamp, body.as_bytes());
        assert_eq!(theirs.sign("msg_1", now, body.as_bytes()).expect("UTF-8"), value);
        let mut headers = http::HeaderMap::new();
        for (name, value) in [("id", "msg_1"), ("timestamp", &timestamp), ("signature", &value)] {
            let name = http::HeaderName::try_from(format!("webhook-{name}")).expect("a name");
            headers.insert(name, value.parse().expect("a value"));
        }
        theirs.verify(body.as_bytes(), &headers).expect("it verifies");
        verifier.verify(&headers, body.as_bytes(), now).expect("it verifies");
        assert!(theirs.verify(b"forged", &headers).is_err());
    }
}
