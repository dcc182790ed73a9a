//! What a receiver's answer leads to (`research` of others calls it the outcome table): the webhook is
//! switched off, its lane pauses, a delivery is given up, the breaker opens, nothing is ever followed.

use std::net::TcpListener;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::harness::{Binary, Receiver, Response, Tidings, eventually};
use crate::{path, publish, register, retry_every};

/// The deliveries of a webhook with this status, once there are so many.
async fn deliveries(tidings: &Tidings, webhook: &Value, status: &str, count: usize) -> Vec<Value> {
    let id = webhook["id"].as_str().unwrap();
    let path = format!("/api/deliveries?webhook_id={id}&status={status}");
    eventually(&format!("{count} deliveries are {status}"), || async {
        let list = tidings.get(&path).await.expect(200);
        list.as_array().cloned().filter(|list| list.len() == count)
    })
    .await
}

async fn health(tidings: &Tidings, webhook: &Value) -> Value {
    tidings.get(&format!("{}/health", path(webhook))).await.expect(200)
}

async fn failures(tidings: &Tidings, webhook: &Value, count: u32) -> Value {
    eventually("the failures are settled", || async {
        Some(health(tidings, webhook).await).filter(|health| health["failures_in_a_row"] == count)
    })
    .await
}

/// A webhook to a receiver of its own that names this operational event.
async fn listener(tidings: &Tidings, event: &str) -> Receiver {
    let receiver = Receiver::start().await;
    register(tidings, &receiver.url(), json!({"events": [event]})).await;
    receiver
}

/// Returns when the engine has done everything that was to be done before: a delivery to somebody
/// else, planned now, has arrived.
async fn engine_has_turned(tidings: &Tidings) {
    let receiver = Receiver::start().await;
    let webhook = register(tidings, &receiver.url(), json!({"events": ["a.turn"]})).await;
    let turn = json!({"type": "a.turn", "data": {}});
    tidings.post("/api/events", turn).await.expect(202);
    receiver.next().await;
    tidings.delete(&path(&webhook)).await;
}

#[tokio::test]
async fn gone_switches_the_webhook_off_at_once() {
    let tidings = Tidings::start().await;
    let told = listener(&tidings, "webhook.disabled").await;
    let receiver = Receiver::start().await;
    let more = json!({"events": ["story.*"], "max_concurrency": 1});
    let webhook = register(&tidings, &receiver.url(), more).await;
    receiver.answers(410);
    receiver.hold();
    for id in ["one", "two", "three"] {
        publish(&tidings, id).await;
    }
    receiver.next().await;
    receiver.release();

    let event = told.next().await.json();
    assert_eq!(event["type"], "webhook.disabled");
    assert_eq!(event["data"]["webhook_id"], webhook["id"]);
    assert_eq!(event["data"]["reason"], "gone");
    let failed = deliveries(&tidings, &webhook, "failed", 3).await;
    let queued: Vec<_> = failed.iter().filter(|it| it["attempt_count"] == 0).collect();
    assert_eq!(queued.len(), 2);
    for delivery in queued {
        assert_eq!(delivery["error_message"], "Endpoint not found or inactive", "{delivery:#}");
    }
    // From now on nothing is planned for it.
    publish(&tidings, "four").await;
    engine_has_turned(&tidings).await;
    assert!(receiver.is_quiet().await, "a receiver that is gone was asked again");
    assert_eq!(health(&tidings, &webhook).await["disabled_reason"], "gone");
}

/// The forms of a `Retry-After` that asks for this many seconds.
fn forms(tidings: &Tidings, seconds: i64) -> [String; 4] {
    let at = (tidings.now() + seconds * 1_000).as_millis() / 1_000;
    let imf = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at.try_into().unwrap()));
    // `Sun, 06 Nov 1994 08:49:37 GMT` in the two older spellings.
    let (date, time) = (&imf[5..16], &imf[17..25]);
    let (day, month, year) = (&date[..2], &date[3..6], &date[7..]);
    let long = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let name = long.iter().find(|name| name.starts_with(&imf[..3])).unwrap();
    let rfc850 = format!("{name}, {day}-{month}-{} {time} GMT", &year[2..]);
    let padded = day.strip_prefix('0').map_or(day.to_owned(), |digit| format!(" {digit}"));
    let asctime = format!("{} {month} {padded} {time} {year}", &imf[..3]);
    [seconds.to_string(), imf, rfc850, asctime]
}

fn asks_to_wait(status: u16, retry_after: &str) -> Response {
    Response { headers: vec![("retry-after", retry_after.to_owned())], ..status.into() }
}

#[tokio::test]
async fn retry_after_pauses_the_whole_webhook() {
    let tidings = Tidings::start().await;
    for (n, status) in [429_u16, 503, 429, 503].into_iter().enumerate() {
        let receiver = Receiver::start().await;
        let retry = json!({"events": ["story.*"], "retry_config": retry_every(100)});
        let webhook = register(&tidings, &receiver.url(), retry).await;
        let form = forms(&tidings, 300)[n].clone();
        receiver.answers_once(asks_to_wait(status, &form));
        publish(&tidings, &format!("refused-{n}")).await;
        receiver.next().await;
        let until = failures(&tidings, &webhook, 1).await["paused_until"].as_i64().unwrap();
        let wait = until - tidings.now().as_millis();
        assert!((295_000..=300_000).contains(&wait), "{form}: {wait} ms");

        // Another delivery waits as well, though it was never refused, up to the last moment.
        publish(&tidings, &format!("waits-{n}")).await;
        tidings.advance(290_000);
        engine_has_turned(&tidings).await;
        assert!(receiver.is_quiet().await, "{form}: it was not left alone");
        tidings.advance(10_000);
        let mut ids = [receiver.next().await, receiver.next().await]
            .map(|request| request.header("webhook-id").to_owned());
        ids.sort();
        assert_eq!(ids, [format!("refused-{n}"), format!("waits-{n}")]);
        tidings.delete(&path(&webhook)).await;
    }
}

#[tokio::test]
async fn nonsense_in_retry_after_is_as_if_it_were_not_there() {
    let tidings = Tidings::start().await;
    let digits = "9".repeat(4_096);
    for (n, nonsense) in ["inf", "1e18", "-5", "soon", "", &digits].into_iter().enumerate() {
        let receiver = Receiver::start().await;
        let retry = json!({"events": ["story.*"], "retry_config": retry_every(60_000)});
        let webhook = register(&tidings, &receiver.url(), retry).await;
        receiver.answers_once(asks_to_wait(429, nonsense));
        publish(&tidings, &format!("refused-{n}")).await;
        receiver.next().await;
        assert_eq!(failures(&tidings, &webhook, 1).await["paused_until"], Value::Null);
        // Others are not held up, and the one that failed comes when its own policy says.
        publish(&tidings, &format!("fresh-{n}")).await;
        assert_eq!(receiver.next().await.header("webhook-id"), format!("fresh-{n}"));
        tidings.advance(60_000);
        assert_eq!(receiver.next().await.header("webhook-id"), format!("refused-{n}"));
        tidings.delete(&path(&webhook)).await;
    }
}

#[tokio::test]
async fn too_large_is_given_up_and_announced() {
    let tidings = Tidings::start().await;
    let told = listener(&tidings, "delivery.exhausted").await;
    let receiver = Receiver::start().await;
    let webhook = register(&tidings, &receiver.url(), json!({})).await;
    receiver.answers_once(413);
    publish(&tidings, "large").await;
    receiver.next().await;

    let event = told.next().await.json();
    assert_eq!(
        (&event["data"]["event_id"], &event["data"]["last_status"]),
        (&json!("large"), &json!(413))
    );
    assert_eq!(event["data"]["reason"], "refused");
    let dead = tidings.get("/api/dead-letters").await.expect(200);
    assert_eq!((&dead[0]["event_id"], &dead[0]["attempt_count"]), (&json!("large"), &json!(1)));
    // It says nothing about the webhook.
    let health = health(&tidings, &webhook).await;
    assert_eq!((&health["failures_in_a_row"], &health["active"]), (&json!(0), &json!(true)));
}

#[tokio::test]
async fn the_last_attempt_is_the_end_and_announced() {
    let tidings = Tidings::start().await;
    let told = listener(&tidings, "delivery.exhausted").await;
    let receiver = Receiver::start().await;
    let mut retry = retry_every(1_000);
    retry["max_attempts"] = 3.into();
    let more = json!({"events": ["story.*"], "retry_config": retry});
    let webhook = register(&tidings, &receiver.url(), more).await;
    receiver.answers((500, "no"));
    publish(&tidings, "unwanted").await;
    for attempt in 1..=3 {
        assert_eq!(receiver.next().await.header("webhook-id"), "unwanted");
        failures(&tidings, &webhook, attempt).await;
        tidings.advance(1_000);
    }
    let event = told.next().await.json();
    assert_eq!(
        (&event["data"]["reason"], &event["data"]["attempts"]),
        (&json!("exhausted"), &json!(3))
    );
    let failed = deliveries(&tidings, &webhook, "failed", 1).await;
    assert_eq!(failed[0]["error_message"], "HTTP 500: Internal Server Error");
    tidings.advance(1_000_000);
    engine_has_turned(&tidings).await;
    assert!(receiver.is_quiet().await, "there was a fourth attempt");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let tidings = Tidings::start().await;
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    let retry = json!({"retry_config": retry_every(1_000)});
    let webhook = register(&tidings, &receiver.url(), retry).await;
    for (n, status) in [301_u16, 302, 303, 307, 308].into_iter().enumerate() {
        let headers = vec![("location", elsewhere.url())];
        receiver.answers_once(Response { headers, ..status.into() });
        if n == 0 {
            publish(&tidings, "moved").await;
        }
        receiver.next().await;
        failures(&tidings, &webhook, n as u32 + 1).await;
        tidings.advance(1_000);
    }
    // After all of them it is still delivered, where it was always meant to go.
    assert_eq!(receiver.next().await.header("webhook-id"), "moved");
    let delivered = deliveries(&tidings, &webhook, "success", 1).await;
    let id = delivered[0]["id"].as_str().unwrap();
    let attempts = tidings.get(&format!("/api/deliveries/{id}/attempts")).await.expect(200);
    assert_eq!(attempts[0]["response_headers"]["location"], elsewhere.url());
    assert!(elsewhere.is_quiet().await, "a redirect was followed");
}

#[tokio::test]
async fn the_breaker_opens_after_ten_failures_and_closes_with_a_probe() {
    let tidings = Tidings::start().await;
    let told = listener(&tidings, "webhook.breaker_opened").await;
    let receiver = Receiver::start().await;
    let more = json!({"events": ["story.*"], "retry_config": retry_every(3_600_000)});
    let webhook = register(&tidings, &receiver.url(), more).await;
    receiver.answers(500);
    for n in 1..=9 {
        publish(&tidings, &format!("e{n}")).await;
        receiver.next().await;
    }
    assert_eq!(failures(&tidings, &webhook, 9).await["breaker"]["state"], "closed");
    publish(&tidings, "e10").await;
    receiver.next().await;
    assert_eq!(failures(&tidings, &webhook, 10).await["breaker"]["state"], "open");
    assert_eq!(told.next().await.json()["data"]["webhook_id"], webhook["id"]);

    // While it is open deliveries wait and use up no attempts.
    receiver.answers(200);
    for id in ["waits", "waits-too"] {
        publish(&tidings, id).await;
    }
    engine_has_turned(&tidings).await;
    assert!(receiver.is_quiet().await, "the breaker is open, and yet something was sent");
    let pending = deliveries(&tidings, &webhook, "pending", 2).await;
    assert!(pending.iter().all(|it| it["attempt_count"] == 0), "{pending:#?}");

    // A minute later one probe at a time goes through, until the first success.
    receiver.hold();
    tidings.advance(61_000);
    receiver.next().await;
    engine_has_turned(&tidings).await;
    assert!(receiver.is_quiet().await, "more than one probe");
    assert_eq!(health(&tidings, &webhook).await["breaker"]["state"], "half_open");
    receiver.release();
    receiver.next().await;
    assert_eq!(failures(&tidings, &webhook, 0).await["breaker"]["state"], "closed");
}

/// Whether nobody has tried to connect.
fn is_untouched(listener: &TcpListener) -> bool {
    let tried = listener.accept();
    tried.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_address_never_gets_a_packet() {
    let dir = tempdir().unwrap();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    target.set_nonblocking(true).unwrap();
    let port = target.local_addr().unwrap().port();
    let literal = format!("http://127.0.0.1:{port}/hook");

    // Registered while loopback was open; the policy is judged at each attempt, not once.
    let open = Binary::start(dir.path()).await;
    let retry = json!({"retry_config": retry_every(60_000), "timeout_ms": 1_000});
    let by_address = register(&open, &literal, retry.clone()).await;
    open.stop().await;
    let shut = Binary::start_with(dir.path(), &[("TIDINGS_EGRESS_ALLOW", "127.0.0.0/8:1")]).await;
    // A literal address is refused when it is written, a name can only be judged when it is resolved.
    let refused = json!({"url": literal, "events": ["*"]});
    assert_eq!(shut.post("/api/webhooks", refused).await.pointers(), ["/url"]);
    let by_name = register(&shut, &format!("http://localhost:{port}/hook"), retry).await;
    publish(&shut, "blocked").await;
    for webhook in [by_address, by_name] {
        let query = format!("/api/deliveries?webhook_id={}", webhook["id"].as_str().unwrap());
        let tried = eventually("it was tried", || async {
            let list = shut.get(&query).await.expect(200);
            Some(list[0].clone()).filter(|delivery| delivery["attempt_count"] == 1)
        })
        .await;
        assert_eq!(
            (&tried["error_type"], &tried["status"]),
            (&json!("blocked"), &json!("retrying"))
        );
    }
    assert!(is_untouched(&target), "a connection was opened to a blocked address");
    // The listener would have noticed.
    let _knock = std::net::TcpStream::connect(target.local_addr().unwrap()).unwrap();
    assert!(!is_untouched(&target));
}
