//! Webhooks over HTTP: register, read, change, test, pause, rotate, delete.

mod harness;

use harness::Tidings;

#[tokio::test]
async fn unknown_paths_are_problems() {
    let tidings = Tidings::start().await;
    tidings.get("/api/nothing").await.problem(404);
}
