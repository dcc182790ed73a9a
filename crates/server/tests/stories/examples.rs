//! The examples of the documentation, as they stand there.

use std::process::Command;

/// Runs one to its end; all of what it says.
fn run(name: &str) -> String {
    let script = format!("{}/../../examples/{name}/run.sh", env!("CARGO_MANIFEST_DIR"));
    let mut example = Command::new("bash");
    // A variable that only the tests know would be refused as one.
    example.arg(script).env_remove("TIDINGS_TEST_STORE");
    let ran = example.env("TIDINGS", env!("CARGO_BIN_EXE_tidings")).output().unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{text}\n{}", String::from_utf8_lossy(&ran.stderr));
    text
}

#[track_caller]
fn tells(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_webhook_gets_what_it_wants_alone() {
    let told = run("webhooks");
    tells(&told, &["of production: owed to 1", "of staging: owed to 0"]);
    tells(&told, &["job.failed  signature verified", r#""successful_deliveries":2"#]);
}

#[test]
fn a_job_tells_its_callback() {
    let told = run("jobs");
    tells(&told, &["50 reports of progress became", r#""event":"job.started""#]);
    tells(&told, &[r#""event":"job.completed""#]);
}

#[test]
fn a_diamond_of_jobs_tells_when_it_is_over() {
    let told = run("executions");
    tells(&told, &[r#"then runnable: ["left","right"]"#, r#""status":"completed""#]);
    tells(&told, &[r#""rootUrl":"https://cdn.example/source.mp4""#]);
}

#[test]
fn both_ends_of_a_callback_agree() {
    let told = run("clipping");
    for percent in [15, 42, 88] {
        tells(&told, &[&format!(r#""progressPercent":{percent},"#)]);
    }
    for percent in [19, 47] {
        assert!(!told.contains(&format!(r#""progressPercent":{percent},"#)), "{told}");
    }
    tells(&told, &["Your 2 clips are ready!", "https://cdn.example.com/clips/1.mp4"]);
}

#[test]
fn whoever_listens_hears_and_goes_on_where_they_were() {
    let told = run("live");
    tells(&told, &["heard order.paid 1", "heard order.paid 2", "and after the break: 3, 4"]);
    assert!(!told.contains("lead.captured"), "{told}");
}
