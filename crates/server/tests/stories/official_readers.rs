//! What receivers that use the packages of Svix and of CloudEvents make of what we send (npm, at fixed
//! versions: `tests/official`).

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::harness::{Received, Receiver, Tidings};
use crate::official_verifiers::{install_for_node, installed};
use crate::register;

/// One request for the reader of this name.
fn delivery(reader: &str, request: &Received, secret: &Value) -> Value {
    let headers = request.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
    let headers: serde_json::Map<String, Value> = headers.collect();
    let body = base64::engine::general_purpose::STANDARD.encode(&request.body);
    json!({"reader": reader, "headers": headers, "body": body, "secret": secret})
}

fn read(home: PathBuf, deliveries: &[Value]) -> Vec<Value> {
    let mut node = Command::new("node");
    let node = node.arg("receive.mjs").current_dir(home);
    let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    deliveries.iter().for_each(|delivery| writeln!(input, "{delivery}").unwrap());
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    let answers = String::from_utf8(output.stdout).unwrap();
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_packages_of_svix_and_cloudevents_read_what_they_should() {
    let tidings = Tidings::start().await;
    let data = json!({"text": "Grüße", "n": [1, 2.5, null]});
    let webhooks = [
        json!({"profile": "svix"}),
        json!({"profile": "svix", "body": "cloudevents-binary"}),
        json!({"body": "cloudevents"}),
        json!({"body": "cloudevents-binary"}),
    ];
    let mut heard = Vec::new();
    for more in webhooks {
        let receiver = Receiver::start().await;
        let made = register(&tidings, &receiver.url(), more).await;
        heard.push((receiver, made["secret"].clone()));
    }
    let moment = "2024-01-14T10:30:56.789Z";
    let event = json!({"id": "evt-1", "type": "story.told", "data": data, "timestamp": moment});
    tidings.post("/api/events", event).await.expect(202);
    let mut requests = Vec::new();
    for (receiver, _) in &mut heard {
        requests.push(receiver.next().await);
    }

    let mut forged = requests[0].clone();
    forged.body = r#"{"text":"forged"}"#.into();
    let secret = |n: usize| &heard[n].1;
    let deliveries = [
        delivery("svix", &requests[0], secret(0)),
        delivery("svix", &forged, secret(0)),
        delivery("svix", &requests[0], secret(1)),
        delivery("svix", &requests[1], secret(1)),
        delivery("cloudevents", &requests[1], &Value::Null),
        delivery("cloudevents", &requests[2], &Value::Null),
        delivery("cloudevents", &requests[3], &Value::Null),
    ];
    let cloud_event = json!({
        "id": "evt-1", "type": "story.told", "source": "/tidings", "specversion": "1.0",
        "time": moment, "datacontenttype": "application/json", "data": data
    });
    let no = json!(false);
    let expected = [&data, &no, &no, &data, &cloud_event, &cloud_event, &cloud_event];
    let answers = read(installed("node", install_for_node), &deliveries);
    assert_eq!(answers.iter().collect::<Vec<_>>(), expected);
}
