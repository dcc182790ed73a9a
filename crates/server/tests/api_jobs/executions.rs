//! Executions.

use serde_json::{Value, json};

use crate::harness::{Receiver, Tidings, eventually};
use crate::refused;

/// Runs a plan; the answer's data.
async fn execute(tidings: &Tidings, jobs: Value, options: Value) -> Value {
    let body = json!({"executionPlan": {"jobs": jobs}, "options": options});
    let reply = tidings.post("/api/execute", body).await;
    let data = reply.expect(202);
    assert_eq!(reply.json()["executionId"], data["executionId"]);
    data
}

fn path(execution: &Value) -> String {
    format!("/api/executions/{}", execution["executionId"].as_str().expect("an id"))
}

fn chain() -> Value {
    json!([
        {"jobId": "cut", "operation": "trim"},
        {"jobId": "join", "operation": "concat", "dependencies": ["cut"]}
    ])
}

#[tokio::test]
async fn an_execution_runs_to_its_end() {
    let tidings = Tidings::start().await;
    let execution = execute(&tidings, chain(), json!({})).await;
    let path = path(&execution);
    assert_eq!(
        (&execution["status"], &execution["jobs"][0]["status"]),
        (&json!("running"), &json!("runnable"),)
    );
    let early = tidings.post(&format!("{path}/jobs/join"), json!({"status": "completed"})).await;
    let reason = "the job waits for `cut`, which is not completed";
    assert_eq!(refused(&early), ("job_waits".into(), reason.into()));

    let done =
        json!({"status": "completed", "result": {"url": "https://cdn.example/1", "n": 1.50}});
    let reply = tidings.post(&format!("{path}/jobs/cut"), done.clone()).await;
    assert_eq!(reply.expect(200)["runnable"], json!(["join"]));
    // The same again changes nothing, another end is refused.
    let again = tidings.post(&format!("{path}/jobs/cut"), done).await.expect(200);
    assert_eq!(again["status"], "running");
    let other = tidings.post(&format!("{path}/jobs/cut"), json!({"status": "failed"})).await;
    assert_eq!(refused(&other).0, "job_ended");
    let done = json!({"status": "completed"});
    let ended = tidings.post(&format!("{path}/jobs/join"), done).await.expect(200);
    assert_eq!((&ended["status"], &ended["outcome"]), (&json!("completed"), &json!("completed")));
    let read = tidings.get(&path).await.expect(200);
    assert_eq!(read["result"], json!({"url": "https://cdn.example/1", "n": 1.5}));
    assert_eq!(read["jobs"][0]["result"], read["result"]);
    assert!(read["completed_at"].is_null() && read["completedAt"].is_i64(), "{read:#}");
    for (query, count) in [("", 1), ("?outcome=completed", 1), ("?outcome=none", 0)] {
        let listed = tidings.get(&format!("/api/executions{query}")).await.expect(200);
        assert_eq!(listed.as_array().map(Vec::len), Some(count), "{query}");
    }
    tidings.stop().await;
}

#[tokio::test]
async fn wrong_plans_are_refused_by_name() {
    let tidings = Tidings::start().await;
    let job = |id: &str, on: &[&str]| json!({"jobId": id, "operation": "x", "dependencies": on});
    for (body, pointers) in [
        (json!({}), vec!["/executionPlan"]),
        (json!({"executionPlan": {}}), vec!["/executionPlan/jobs"]),
        (json!({"executionPlan": {"jobs": []}}), vec!["/executionPlan/jobs"]),
        (
            json!({"executionPlan": {"jobs": [{"jobId": "a"}]}}),
            vec!["/executionPlan/jobs/0/operation"],
        ),
        (
            json!({"executionPlan": {"jobs": [job("a", &["b"]), job("b", &["a"])]}}),
            vec!["/executionPlan/jobs/0/dependencies"],
        ),
        (
            json!({"executionPlan": {"jobs": [job("a", &[]), job("a", &["nobody"])]}}),
            vec!["/executionPlan/jobs/1/jobId", "/executionPlan/jobs/1/dependencies/0"],
        ),
        (
            json!({"executionPlan": {"jobs": [{"jobId": "a", "operation": "x", "deps": []}]}}),
            vec!["/executionPlan/jobs/0/deps"],
        ),
        (
            json!({"executionPlan": {"jobs": [job("a", &[])]}, "options": {"webhookUrl": "nope"}}),
            vec!["/options/webhookUrl"],
        ),
        (
            json!({"executionPlan": {"jobs": [job("a", &[])]}, "options": {"webhookSecret": "s"}}),
            vec!["/options/webhookSecret"],
        ),
    ] {
        let reply = tidings.post("/api/execute", body.clone()).await;
        assert_eq!(reply.pointers(), pointers, "{body}");
    }
    let cycle = json!({"executionPlan": {"jobs": [job("a", &["b"]), job("b", &["a"])]}});
    let problem = tidings.post("/api/execute", cycle).await.problem(422);
    assert_eq!(problem["errors"][0]["detail"], "waits for itself: `a` → `b` → `a`");
    assert_eq!(tidings.get("/api/executions").await.expect(200), json!([]));

    let execution = execute(&tidings, chain(), json!({})).await;
    let at = |job: &str| format!("{}/jobs/{job}", path(&execution));
    for (body, pointers) in [
        (json!({}), vec!["/status"]),
        (json!({"status": "runnable"}), vec!["/status"]),
        (json!({"status": "running", "result": {}}), vec!["/result"]),
        (json!({"status": "completed", "output": {}}), vec!["/output"]),
    ] {
        let reply = tidings.post(&at("cut"), body.clone()).await;
        assert_eq!(reply.pointers(), pointers, "{body}");
    }
    tidings.post(&at("nobody"), json!({"status": "completed"})).await.problem(404);
    tidings.get("/api/executions/exec_0000000000000").await.problem(404);
    tidings.stop().await;
}

#[tokio::test]
async fn an_execution_is_made_once_under_its_key() {
    let tidings = Tidings::start().await;
    let once = tidings.client.with_header("idempotency-key", "k-1");
    let body = json!({"executionPlan": {"jobs": chain()}});
    let first = once.post("/api/execute", body.clone()).await.json();
    let reply = once.post("/api/execute", body).await;
    assert_eq!(reply.header("idempotent-replayed"), "true");
    assert_eq!(reply.json()["executionId"], first["executionId"]);
    tidings.stop().await;
}

#[tokio::test]
async fn a_deadline_settles_what_nobody_finishes() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    let options = json!({"webhookUrl": receiver.url(), "deadlineMs": 60_000});
    let execution = execute(&tidings, chain(), options).await;
    let done = json!({"status": "completed", "result": {"url": "https://cdn.example/1"}});
    tidings.post(&format!("{}/jobs/cut", path(&execution)), done).await.expect(200);
    tidings.advance(60_000);
    let told = receiver.next().await.json();
    assert_eq!(
        (&told["status"], &told["rootUrl"]),
        (&json!("partial"), &json!("https://cdn.example/1"))
    );
    let ended = eventually("it is complete", || async {
        let read = tidings.get(&path(&execution)).await.expect(200);
        Some(read).filter(|read| read["status"] == "partial")
    })
    .await;
    assert_eq!(ended["jobs"][1]["error"], "the execution's deadline passed");
    tidings.stop().await;
}
