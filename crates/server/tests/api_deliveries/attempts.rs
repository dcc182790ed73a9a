//! Attempts show what was sent, byte for byte.

use serde_json::{Value, json};

use crate::harness::{Received, Receiver, Tidings};
use crate::{HOUR_MS, hourly, publish, settled, text, webhook};

/// A shown request is what was received: URL, headers, and every byte of the body.
pub fn assert_as_received(
    shown: &Value,
    receiver: &Receiver,
    received: &Received,
    masked: &[&str],
) {
    assert_eq!(shown["method"], received.method.as_str());
    assert_eq!(shown["url"], receiver.url());
    assert_eq!(text(&shown["body"]).as_bytes(), &received.body[..]);
    let headers = shown["headers"].as_object().expect("headers");
    for (name, value) in headers {
        match masked.contains(&name.as_str()) {
            true => {
                assert!(text(value).starts_with('•'), "{name}: {value}");
                assert_ne!(received.header(name), "", "{name} was sent");
            }
            false => assert_eq!(received.header(name), text(value), "{name}"),
        }
    }
    let transport = ["host", "content-length", "connection", "accept"];
    for name in received.headers.keys().map(http::HeaderName::as_str) {
        let is_shown = headers.keys().any(|shown| shown.eq_ignore_ascii_case(name));
        assert!(is_shown || transport.contains(&name), "{name} was sent and is not shown");
    }
}

#[tokio::test]
async fn attempts_show_what_was_received_byte_for_byte() {
    let tidings = Tidings::start().await;
    let (first, second) = (Receiver::start().await, Receiver::start().await);
    first.answers((500, "no, thank you"));
    for profile in ["standard", "emp", "aegisx"] {
        let id = webhook(
            &tidings,
            &first,
            json!({"profile": profile, "name": "Ünïcode \"x\"", "secret": "your-secret-key-of-32-characters",
                "headers": {"X-Custom": "a-very-secret-value"}, "retry_config": hourly(3)}),
        )
        .await;
        let event = publish(
            &tidings,
            json!({"type": "job.completed", "data": {"n": 1.5, "t": "ä\u{2028}", "list": [1, {}]}}),
        )
        .await;
        let one = first.next().await;
        let delivery = text(&settled(&tidings, &event, "retrying").await[0]["id"]);

        // Neither another URL nor other headers change what was sent.
        let moved = json!({"url": second.url(), "headers": {"X-Other": "another-secret-value"}});
        tidings.patch(&format!("/api/webhooks/{id}"), moved).await.expect(200);
        tidings.advance(HOUR_MS);
        let two = second.next().await;
        settled(&tidings, &event, "success").await;

        let list = tidings.get(&format!("/api/deliveries/{delivery}/attempts")).await;
        let attempts = list.expect(200);
        assert_eq!(list.json()["next_cursor"], Value::Null);
        assert_as_received(&attempts[0]["request"], &first, &one, &["X-Custom"]);
        assert_as_received(&attempts[1]["request"], &second, &two, &["X-Other"]);
        let (failed, delivered) = (&attempts[0], &attempts[1]);
        assert_eq!(failed["attempt_number"], 1);
        assert_eq!(failed["response_status"], 500);
        assert_eq!(failed["response_body"], "no, thank you");
        assert_eq!(failed["response_headers"]["content-length"], "13");
        assert_eq!(failed["error"], "HTTP 500: Internal Server Error");
        assert_eq!((&failed["error_type"], &failed["will_retry"]), (&json!("http"), &json!(true)));
        assert!(failed["retry_at"].as_i64() > failed["attempted_at"].as_i64());
        assert_eq!((&delivered["error"], &delivered["error_type"]), (&Value::Null, &Value::Null));
        assert_eq!(
            (&delivered["will_retry"], &delivered["retry_at"]),
            (&json!(false), &Value::Null)
        );

        let whole = tidings.get(&format!("/api/deliveries/{delivery}")).await.expect(200);
        assert_eq!(whole["attempts"], attempts);
        assert_eq!(whole["url"], second.url());
        assert_eq!(whole["attempt_count"], 2);
        tidings.delete(&format!("/api/webhooks/{id}")).await.expect(204);
    }
    tidings.stop().await;
}

#[tokio::test]
async fn a_success_at_once_shows_its_attempt_too() {
    let tidings = Tidings::start().await;
    let receiver = Receiver::start().await;
    webhook(&tidings, &receiver, json!({})).await;
    let event = publish(&tidings, json!({"type": "a.b", "data": null})).await;
    let received = receiver.next().await;
    let delivery = settled(&tidings, &event, "success").await.remove(0);
    assert_eq!(delivery["url"], receiver.origin(), "lists show the origin only");
    let path = format!("/api/deliveries/{}/attempts", text(&delivery["id"]));
    let attempts = tidings.get(&path).await.expect(200);
    assert_eq!(attempts.as_array().map(Vec::len), Some(1));
    assert_as_received(&attempts[0]["request"], &receiver, &received, &[]);
    tidings.stop().await;
}
