//! Connections that are used again, and those that must not be.

use super::*;

#[tokio::test]
async fn one_connection_for_one_request_after_another() {
    let receiver = Receiver::answering(ok("hello")).await;
    let sender = sender();
    for _ in 0..10 {
        assert_eq!(answer(post(&sender, &receiver.url()).await).body, "hello");
    }
    assert_eq!(receiver.connections(), 1);
    // A clone shares it; another path is the same destination.
    let other = format!("http://{}/other", receiver.address);
    assert!(post(&sender.clone(), &other).await.is_success());
    assert_eq!(receiver.connections(), 1);
    // A name is another destination, even at the same address.
    let named = format!("http://hooks.example:{}/", receiver.address.port());
    assert!(post(&sender, &named).await.is_success());
    assert_eq!(receiver.connections(), 2);
}

/// Short ones go out behind their head, long ones from where they are.
#[tokio::test]
async fn bodies_of_every_size_arrive_whole() {
    let (seen, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let receiver = Receiver::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                seen.send(request).unwrap();
                stream.write_all(ok("").as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let sender = sender();
    for length in [1, 4_096, 4_097, 1 << 20, 0, 100_000, 2] {
        let text: String = ('a'..='z').cycle().take(length).collect();
        let message = Request { body: text.clone().into(), ..request(&receiver.url(), LONG) };
        assert!(sender.send(&message).await.outcome.is_success());
        let request = requests.recv().await.unwrap();
        assert!(request.ends_with(&format!("Content-Length: {length}\r\n\r\n{text}")), "{length}");
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_from_several_threads() {
    let receiver = Receiver::answering(ok("hello")).await;
    let sender = sender();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (sender, url) = (sender.clone(), receiver.url());
            tokio::spawn(async move {
                for _ in 0..200 {
                    assert_eq!(answer(post(&sender, &url).await).body, "hello");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(receiver.connections() <= 16, "{} connections", receiver.connections());
    assert!(sender.inner.pool.idle() <= 16);
}

#[tokio::test]
async fn no_more_idle_ones_than_asked_for() {
    // Nobody is answered before all four are there, so four connections are open at once.
    let together = Arc::new(tokio::sync::Barrier::new(4));
    let receiver = Receiver::start(move |_, mut stream| {
        let together = together.clone();
        async move {
            while read_request(&mut stream).await.is_some() {
                together.wait().await;
                let _ = stream.write_all(ok("").as_bytes()).await;
            }
        }
    })
    .await;
    for (per_destination, total, kept) in [(2, 100, 2), (100, 3, 3), (0, 100, 0)] {
        let config = SenderConfig {
            idle_per_destination: per_destination,
            idle_total: total,
            ..SenderConfig::new(loopback_policy().into())
        };
        let sender = Sender::new(config).unwrap();
        let url = receiver.url();
        let four = tokio::join!(
            post(&sender, &url),
            post(&sender, &url),
            post(&sender, &url),
            post(&sender, &url)
        );
        assert!(four.0.is_success() && four.1.is_success());
        assert!(four.2.is_success() && four.3.is_success());
        assert_eq!(sender.inner.pool.idle(), kept);
    }
}

#[tokio::test]
async fn closed_when_the_receiver_says_so() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let receiver = Receiver::answering(bytes).await;
        let sender = sender();
        for number in 1..=2 {
            assert_eq!(answer(post(&sender, &receiver.url()).await).body, "ok");
            assert_eq!(receiver.connections(), number);
            assert_eq!(sender.inner.pool.idle(), 0);
        }
    }
}

/// As HTTP/1.0 asked for it.
#[tokio::test]
async fn kept_when_an_old_receiver_says_so() {
    let head = "HTTP/1.0 200 OK\r\nConnection: x, Keep-Alive\r\nContent-Length: 2, 2\r\n\r\nok";
    let receiver = Receiver::answering(head).await;
    let sender = sender();
    for _ in 0..3 {
        assert_eq!(answer(post(&sender, &receiver.url()).await).body, "ok");
    }
    assert_eq!(receiver.connections(), 1);
}

/// Answers the first request of each connection; what it does with the second is `second`.
async fn one_answer_each(second: &'static [u8]) -> (Receiver, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = requests.clone();
    let receiver = Receiver::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            for bytes in [ok("fine").as_bytes(), second] {
                if read_request(&mut stream).await.is_none() {
                    return;
                }
                seen.fetch_add(1, Ordering::SeqCst);
                stream.write_all(bytes).await.unwrap();
            }
        }
    })
    .await;
    (receiver, requests)
}

#[tokio::test]
async fn a_kept_connection_that_dies_unheard_is_tried_again_once() {
    let (receiver, requests) = one_answer_each(b"").await;
    let sender = sender();
    assert!(post(&sender, &receiver.url()).await.is_success());
    // Written to the kept connection, dropped there, and written again to a new one.
    assert_eq!(answer(post(&sender, &receiver.url()).await).body, "fine");
    assert_eq!((receiver.connections(), requests.load(Ordering::SeqCst)), (2, 3));
}

#[tokio::test]
async fn a_new_connection_that_dies_is_not_tried_again() {
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = requests.clone();
    let receiver = Receiver::start(move |number, mut stream| {
        let seen = seen.clone();
        async move {
            read_request(&mut stream).await;
            seen.fetch_add(1, Ordering::SeqCst);
            if number == 0 {
                stream.write_all(ok("").as_bytes()).await.unwrap();
                read_request(&mut stream).await;
                seen.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    let sender = sender();
    assert!(post(&sender, &receiver.url()).await.is_success());
    let outcome = post(&sender, &receiver.url()).await;
    failed(&outcome, FailureKind::Network, "the connection was closed without an answer");
    assert_eq!((receiver.connections(), requests.load(Ordering::SeqCst)), (2, 3));
}

#[tokio::test]
async fn nothing_is_tried_again_once_a_byte_has_come() {
    let (receiver, requests) = one_answer_each(b"HTTP/1.1 20").await;
    let sender = sender();
    assert!(post(&sender, &receiver.url()).await.is_success());
    let outcome = post(&sender, &receiver.url()).await;
    failed(&outcome, FailureKind::Network, "the connection was closed without an answer");
    assert_eq!((receiver.connections(), requests.load(Ordering::SeqCst)), (1, 2));
}

#[tokio::test]
async fn one_that_was_closed_while_idle_is_passed_over() {
    let (closing, mut is_closed) = tokio::sync::mpsc::unbounded_channel();
    let receiver = Receiver::start(move |_, mut stream| {
        let closing = closing.clone();
        async move {
            read_request(&mut stream).await;
            stream.write_all(ok("fine").as_bytes()).await.unwrap();
            drop(stream);
            closing.send(()).unwrap();
        }
    })
    .await;
    let sender = sender();
    for number in 1..=3 {
        assert_eq!(answer(post(&sender, &receiver.url()).await).body, "fine");
        assert_eq!(receiver.connections(), number);
        is_closed.recv().await.unwrap();
    }
}

#[tokio::test]
async fn dropping_an_attempt_closes_its_connection() {
    let (arrived, mut has_arrived) = tokio::sync::mpsc::unbounded_channel();
    let (ended, mut has_ended) = tokio::sync::mpsc::unbounded_channel();
    let receiver = Receiver::start(move |_, mut stream| {
        let (arrived, ended) = (arrived.clone(), ended.clone());
        async move {
            read_request(&mut stream).await;
            arrived.send(()).unwrap();
            closed(&mut stream).await;
            ended.send(()).unwrap();
        }
    })
    .await;
    let sender = sender();
    let url = receiver.url();
    let attempt = tokio::spawn(async move { post(&sender, &url).await });
    has_arrived.recv().await.unwrap();
    attempt.abort();
    has_ended.recv().await.unwrap();
}
