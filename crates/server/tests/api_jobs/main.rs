//! Jobs and executions over HTTP: what is taken, what is refused, and why.

#[path = "../harness/mod.rs"]
mod harness;

mod executions;
mod jobs;

use harness::{Client, Reply};
use serde_json::{Value, json};

/// Submits a job with these fields; its path.
async fn submit(client: &Client, more: Value) -> String {
    let mut body = json!({"job_type": "comfyui"});
    let object = body.as_object_mut().expect("an object");
    object.extend(more.as_object().expect("an object").clone());
    let job = client.post("/api/jobs", body).await.expect(202);
    format!("/api/jobs/{}", job["job_id"].as_str().expect("an id"))
}

/// The code of a refusal, and its reason.
#[track_caller]
fn refused(reply: &Reply) -> (String, String) {
    let problem = reply.problem(409);
    let text = |name: &str| problem[name].as_str().expect("a text").to_owned();
    (text("code"), text("detail"))
}
