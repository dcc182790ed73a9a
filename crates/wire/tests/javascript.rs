//! Against a real JavaScript engine: `node` must be installed.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use support::Chance;
use tidings_wire::body::{self, EventView, WebhookView, openvideo, viewcreator};
use tidings_wire::canonical::{Why, canonicalize};
use tidings_wire::profile::{BodyShape, Profile};
use tidings_wire::request::{Attempt, DeliveryView, compose};
use tidings_wire::secret::Secret;
use tidings_wire::sign::Signer;

/// Runs a script over lines of input and returns as many lines of output.
fn node(script: &str, lines: &[String]) -> Vec<String> {
    let mut child = Command::new("node")
        .args(["-e", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs `node`");
    let mut input = child.stdin.take().expect("it is piped");
    let text = lines.join("\n");
    // From a thread of its own: the script may answer before it has read everything.
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("node runs");
    writer.join().expect("the writer does not panic").expect("node reads its input");
    assert!(output.status.success(), "the script failed");
    let output = String::from_utf8(output.stdout).expect("the script writes ASCII");
    let answers: Vec<String> = output.lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), lines.len());
    answers
}

fn stringify(texts: &[String]) -> Vec<Option<Vec<u8>>> {
    let lines: Vec<String> = texts.iter().map(|text| STANDARD.encode(text)).collect();
    node(include_str!("javascript/stringify.js"), &lines)
        .iter()
        .map(|line| (line != "-").then(|| STANDARD.decode(line).expect("the script encodes")))
        .collect()
}

/// Shows where two texts part, which may be thousands of bytes long.
fn assert_same(ours: &[u8], theirs: &[u8], text: &str) {
    let at = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    let around = |bytes: &[u8]| shown(&bytes[at.saturating_sub(40)..bytes.len().min(at + 40)]);
    assert!(ours == theirs, "ours {}\ntheirs {}\n{text}", around(ours), around(theirs));
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn prints_every_document_as_javascript_does() {
    let mut chance = Chance::new(1);
    let documents: Vec<String> = (0..20_000).map(|_| support::document(&mut chance)).collect();
    assert!(documents.iter().map(String::len).sum::<usize>() > 1_000_000);
    for (document, theirs) in documents.iter().zip(stringify(&documents)) {
        let theirs = theirs.unwrap_or_else(|| panic!("made no JSON: {document}"));
        match canonicalize(document.as_bytes()) {
            Ok(ours) => {
                assert_same(&ours, &theirs, document);
                assert_eq!(canonicalize(&ours).as_deref(), Ok(&*ours), "{document}");
            }
            Err(error) => panic!("{error}: {document}"),
        }
    }
}

/// Doubles of every size, and those that lie in the middle of two shortest decimals.
#[test]
fn prints_every_double_as_javascript_does() {
    let mut chance = Chance::new(5);
    let mut literals = Vec::new();
    while literals.len() < 100_000 {
        let any = f64::from_bits(chance.bits());
        // 53 bits with a few of them behind the point, or a few beyond the last bit.
        let scale = chance.below(24) as i32 - 14;
        let middle = (chance.bits() >> (11 + chance.below(6))) as f64 * 2_f64.powi(scale);
        let power = 2_f64.powi(chance.below(2_098) as i32 - 1_074);
        for double in [any, middle, power, power.next_up(), power.next_down()] {
            if double.is_finite() {
                literals.push(format!("{double:e}"));
            }
        }
    }
    for (literal, theirs) in literals.iter().zip(stringify(&literals)) {
        let theirs = theirs.expect("it is a number");
        let ours = canonicalize(literal.as_bytes()).expect("it is finite");
        assert_eq!(shown(&ours), shown(&theirs), "{literal}");
    }
}

/// What is not JSON for one is not JSON for the other.
#[test]
fn refuses_what_javascript_refuses() {
    let mut chance = Chance::new(2);
    let bytes: Vec<char> =
        "{}[]\",:\\ \n\t\r\u{b}\u{0}\u{1f}\u{a0}\u{feff}0123eE+-.tfnulNI/*'xé".chars().collect();
    let damaged: Vec<String> = (0..20_000)
        .map(|_| {
            let mut text: Vec<char> = support::document(&mut chance).chars().collect();
            let at = chance.below(text.len());
            match chance.below(4) {
                0 => drop(text.remove(at)),
                1 => text.insert(at, chance.one_of(&bytes)),
                2 => text[at] = chance.one_of(&bytes),
                _ => text.truncate(at),
            }
            text.into_iter().collect()
        })
        .collect();
    let mut refused = 0;
    for (text, theirs) in damaged.iter().zip(stringify(&damaged)) {
        match (canonicalize(text.as_bytes()), theirs) {
            (Ok(ours), Some(theirs)) => assert_same(&ours, &theirs, text),
            (Err(error), None) => {
                refused += 1;
                // A number may come before the place where it stops being JSON.
                if let Why::TooDeep = error.why {
                    panic!("{text}");
                }
            }
            (Err(error), Some(_)) => {
                assert!(
                    matches!(error.why, Why::InexactInteger | Why::OutOfRange),
                    "{error}: {text}"
                );
            }
            (Ok(ours), None) => panic!("took {text:?} for {}", shown(&ours)),
        }
    }
    assert!((5_000..19_000).contains(&refused), "{refused}");
}

#[test]
fn refuses_exactly_the_integers_that_a_double_falsifies() {
    let mut chance = Chance::new(3);
    let mut literals: Vec<String> = Vec::new();
    for power in 50..=63 {
        for offset in -5..=5 {
            literals.push(((1_i128 << power) + offset).to_string());
            literals.push((-(1_i128 << power) + offset).to_string());
        }
    }
    for _ in 0..5_000 {
        // As JavaScript writes them.
        let whole = (chance.bits() >> 1) as f64;
        literals.push(shown(&canonicalize(format!("{whole:.0}").as_bytes()).expect("a double")));
        // Doubles with all their digits, and their neighbours.
        let double = f64::from_bits(chance.bits());
        if double.is_finite() && double.abs() >= 1.0 {
            let mut digits = format!("{:.0}", double.trunc());
            literals.push(digits.clone());
            let last = digits.pop().expect("a number has digits");
            digits.push(if last == '9' { '8' } else { (last as u8 + 1) as char });
            literals.push(digits);
        }
        // Any digits, up to beyond the largest double.
        let length = 1 + chance.below(311);
        let digits: String = (0..length).map(|_| chance.one_of(&['1', '5', '9'])).collect();
        literals.push(digits);
        let zeros = chance.below(30);
        literals.push(format!("{}{}", 1 + chance.below(99), "0".repeat(zeros)));
    }
    literals.retain(|literal| {
        literal.trim_start_matches('-') == "0" || !literal.trim_start_matches('-').starts_with('0')
    });
    let answers = node(include_str!("javascript/integers.js"), &literals);
    for (literal, theirs) in literals.iter().zip(&answers) {
        let ours = match canonicalize(literal.as_bytes()) {
            Ok(printed) => shown(&printed),
            Err(error) => match error.why {
                Why::InexactInteger => "inexact".to_owned(),
                Why::OutOfRange => "beyond".to_owned(),
                other => panic!("{other}: {literal}"),
            },
        };
        assert_eq!(&ours, theirs, "{literal}");
    }
    for kind in ["inexact", "beyond"] {
        assert!(answers.iter().any(|answer| answer == kind), "{kind} never came up");
    }
}

/// The bodies of all shapes that are built, out of data that is as nasty as JSON allows, and out of
/// what the sources of jobs and executions know.
#[test]
fn built_bodies_are_what_javascript_prints() {
    let mut chance = Chance::new(6);
    let mut bodies = Vec::new();
    for _ in 0..200 {
        let data = support::document(&mut chance);
        for (_, shape) in BodyShape::ALL {
            if shape.is_built() {
                bodies.push(of_event(shape, &mut chance, &data));
            }
        }
        let attempt = 1 + chance.below(3) as u32;
        for shape in [BodyShape::Emp, BodyShape::Aegisx] {
            bodies.push(build(shape, &data, attempt));
        }
        bodies.push(job_report(&mut chance, &data));
        bodies.push(execution_report(&mut chance));
    }
    for (ours, theirs) in bodies.iter().zip(stringify(&bodies)) {
        let theirs = theirs.unwrap_or_else(|| panic!("made no JSON: {ours}"));
        assert_same(ours.as_bytes(), &theirs, ours);
    }
}

fn build(shape: BodyShape, data: &str, attempt: u32) -> String {
    let webhook = WebhookView { id: "wh_1", name: Some("Ünïcode \"name\" \u{2028}") };
    let event = EventView {
        id: "evt_1",
        event_type: "job.completed",
        timestamp_ms: 1_705_228_256_789,
        data: data.as_bytes(),
    };
    let body = body::build(shape, &event, &webhook, attempt);
    shown(&body.unwrap_or_else(|error| panic!("{error}: {data}")))
}

/// A body out of data that has all that any body needs, and something nasty wherever it may be.
fn of_event(shape: BodyShape, chance: &mut Chance, nasty: &str) -> String {
    let text = serde_json::to_string(&support::text(chance)).expect("a text");
    let data = format!(
        r#"{{"10":{nasty},"job_id":{text},"status":"x{{","progress":1e21,"current_step":{text},
            "output":{nasty},"executionId":{text},"outputs":{{"b":{nasty},"7":{nasty},"b":{nasty}}},
            "createdAt":"a\u2028","completedAt":"\ud800","lead":{{"z":{nasty},"1":0}},
            "campaign":{nasty}}}"#
    );
    build(shape, &data, 1)
}

fn job_report(chance: &mut Chance, output: &str) -> String {
    let texts: [String; 4] = std::array::from_fn(|_| support::text(chance));
    let report = viewcreator::report(&viewcreator::JobView {
        event_type: "job.progress",
        timestamp_ms: chance.bits() as i64 >> 20,
        job_id: &texts[0],
        external_job_id: Some(&texts[1]),
        owner_user_id: None,
        status: "rendering",
        progress_percent: f64::from_bits(chance.bits() & !(1 << 62)),
        current_step: &texts[2],
        clips_completed: chance.below(2) as u64,
        total_clips: chance.below(2) as u64,
        error: Some(&texts[3]),
        output: Some(output.as_bytes()),
    });
    shown(&report.unwrap_or_else(|error| panic!("{error}: {output}")))
}

fn execution_report(chance: &mut Chance) -> String {
    let texts: Vec<String> = (0..chance.below(12)).map(|_| support::text(chance)).collect();
    let jobs: Vec<_> = texts
        .iter()
        .map(|text| openvideo::JobView {
            id: text,
            operation: text,
            status: "completed",
            is_root: chance.below(2) == 0,
            url: (chance.below(3) > 0).then_some(text),
        })
        .collect();
    let id = texts.first().map_or("exec_1", String::as_str);
    let execution = openvideo::ExecutionView { id, jobs: &jobs, created_ms: 0, completed_ms: 1 };
    shown(&openvideo::report(&execution))
}

fn request(
    profile: &Profile,
    secret: &str,
    event: &EventView<'_>,
    attempt: u32,
) -> (Vec<u8>, String) {
    let webhook = WebhookView { id: "wh_1", name: Some("Ünïcode \"name\" \u{2028}") };
    let body = body::build(profile.body, event, &webhook, attempt).expect("it is representable");
    let signers = [Signer::new(&Secret::parse(secret).expect("a text secret"))];
    let headers = compose(&Attempt {
        profile,
        shape: profile.body,
        delivery: DeliveryView {
            event_type: event.event_type,
            event_id: event.id,
            event_ms: event.timestamp_ms,
            webhook_id: webhook.id,
            delivery_id: "dlv_1",
            created_ms: 0,
            is_test: false,
        },
        body: &body,
        custom: &[],
        signers: &signers,
        timestamp_s: 0,
    })
    .expect("there is a secret");
    let signature = headers
        .iter()
        .find(|(name, _)| name.starts_with("X-Webhook-Signature"))
        .expect("there is a signature");
    let signature = signature.1.to_string();
    (body.into_owned(), signature)
}

/// Receivers that parse the body, print it again and verify what they printed.
#[test]
fn receivers_in_production_accept_what_we_send() {
    let mut chance = Chance::new(4);
    let mut lines = Vec::new();
    let mut expected = Vec::new();
    for at in 0..4_000 {
        let name = chance.one_of(&["emp", "aegisx", "openvideo", "viewcreator"]);
        let profile = Profile::builtin(name).expect("builtin");
        let mut data = support::document(&mut chance);
        match name {
            "openvideo" => data = execution_report(&mut chance),
            "viewcreator" => data = job_report(&mut chance, &data),
            _ => {}
        }
        let event = EventView {
            id: "evt_1",
            event_type: "job.completed",
            timestamp_ms: 1_705_228_256_789,
            data: data.as_bytes(),
        };
        let secret = chance.one_of(&["your-secret-key", "schlüssel 🔑"]);
        let attempt = 1 + chance.below(3) as u32;
        let (mut body, signature) = request(profile, secret, &event, attempt);
        let is_genuine = at % 4 != 0;
        if !is_genuine {
            body.pop();
            body.extend_from_slice(b",\"forged\":true}");
        }
        lines.push(
            serde_json::json!({
                "profile": profile.name, "secret": secret, "signature": signature,
                "body": STANDARD.encode(body),
            })
            .to_string(),
        );
        expected.push(is_genuine.to_string());
    }
    let answers = node(include_str!("javascript/receivers.js"), &lines);
    for ((line, answer), expected) in lines.iter().zip(answers).zip(expected) {
        assert_eq!(answer, expected, "{line}");
    }
}

#[test]
fn bodies_that_are_not_built_are_not_what_such_receivers_expect() {
    for (_, shape) in BodyShape::ALL.into_iter().filter(|(_, shape)| !shape.is_built()) {
        let event = EventView { id: "e", event_type: "t", timestamp_ms: 0, data: b"{\"n\": 1.0}" };
        let body = body::build(shape, &event, &WebhookView { id: "", name: None }, 1)
            .expect("it is never looked at");
        assert!(shown(&body).contains("{\"n\": 1.0}"));
        assert_ne!(stringify(&[shown(&body)])[0].as_deref(), Some(&*body));
    }
}
