//! Answers that are wrong, endless, slow or aimed at the next request. The letters are those of the
//! corpus of receiver behaviour that these cases come from.

use super::*;

const EMPTY: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn what_is_written() {
    let (seen, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let receiver = Receiver::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            while let Some(request) = read_request(&mut stream).await {
                seen.send(request).unwrap();
                stream.write_all(EMPTY.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let sender = sender();
    let mut message = request(&receiver.url(), LONG);
    message.headers = lines(&[
        ("Content-Type", "application/json"),
        ("webhook-id", "evt_1"),
        ("host", "evil.example"),
        ("Content-Length", "999"),
        ("transfer-encoding", "chunked"),
        ("connection", "close, webhook-id"),
        ("accept-encoding", "gzip"),
        ("expect", "100-continue"),
        ("X-Webhook-ID", "2"),
    ]);
    let sent = sender.send(&message).await;
    let answer = answer(sent.outcome);
    assert_eq!((answer.status, answer.truncated, &*answer.body), (204, false, ""));
    let authority = receiver.address;
    assert_eq!(
        requests.recv().await.unwrap(),
        format!(
            "POST /hook?x=1 HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
             webhook-id: evt_1\r\nX-Webhook-ID: 2\r\nContent-Length: 2\r\n\r\n{{}}"
        )
    );
    message.body = Bytes::new();
    message.headers = Lines::default();
    sender.send(&message).await;
    let written = requests.recv().await.unwrap();
    assert!(written.to_lowercase().ends_with("\r\ncontent-length: 0\r\n\r\n"), "{written}");
    message.method = http::Method::GET;
    sender.send(&message).await;
    let written = requests.recv().await.unwrap();
    assert_eq!(written, format!("GET /hook?x=1 HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
}

#[tokio::test]
async fn e1_e2_redirects_are_answers() {
    let elsewhere = Receiver::answering(ok("")).await;
    for status in [301, 302, 303, 307, 308] {
        let location = elsewhere.url();
        let receiver = Receiver::answering(format!(
            "HTTP/1.1 {status} Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
        let outcome = post(&sender(), &receiver.url()).await;
        assert!(!outcome.is_success());
        let answer = answer(outcome);
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers.get("location"), Some(&*location));
        assert_eq!(receiver.connections(), 1);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn e3_e4_endless_bodies_are_cut_and_closed() {
    for head in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let (cut, was_cut) = tokio::sync::oneshot::channel();
        let cut = Arc::new(std::sync::Mutex::new(Some(cut)));
        let receiver = Receiver::start(move |_, mut stream| {
            let cut = cut.clone();
            async move {
                read_request(&mut stream).await;
                stream.write_all(head.as_bytes()).await.unwrap();
                let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
                while stream.write_all(chunk.as_bytes()).await.is_ok() {}
                let cut = cut.lock().unwrap().take();
                cut.unwrap().send(()).unwrap();
            }
        })
        .await;
        let sender = sender();
        let answer = answer(post(&sender, &receiver.url()).await);
        assert_eq!((answer.status, answer.truncated), (200, true));
        assert_eq!(answer.body.chars().count(), 1_000);
        was_cut.await.unwrap();
        assert_eq!(sender.inner.pool.idle(), 0);
    }
}

#[tokio::test]
async fn e5_a_head_in_drops_ends_at_the_deadline() {
    let receiver = Receiver::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        for byte in b"HTTP/1.1 200 OK\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let sent = sender().send(&request(&receiver.url(), SHORT)).await;
    failed(&sent.outcome, FailureKind::Timeout, "timed out waiting for an answer");
    assert!((200..2_000).contains(&sent.duration_ms), "{} ms", sent.duration_ms);
}

#[tokio::test]
async fn an_answer_in_single_bytes_is_one() {
    let receiver = Receiver::start(|_, mut stream| async move {
        stream.set_nodelay(true).unwrap();
        let whole = "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nRetry-After: 7\r\n\
                     Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        while read_request(&mut stream).await.is_some() {
            for byte in whole.as_bytes() {
                stream.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    let sender = sender();
    for _ in 0..2 {
        let answer = answer(post(&sender, &receiver.url()).await);
        assert_eq!((answer.status, &*answer.body, answer.truncated), (200, "abcde", false));
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn e6_a_body_in_drops_is_cut_at_the_deadline() {
    let receiver = Receiver::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc").await.unwrap();
        closed(&mut stream).await;
    })
    .await;
    let sent = sender().send(&request(&receiver.url(), SHORT)).await;
    let answer = answer(sent.outcome);
    assert_eq!((answer.status, &*answer.body, answer.truncated), (200, "abc", true));
    assert!((200..2_000).contains(&sent.duration_ms), "{} ms", sent.duration_ms);
}

#[tokio::test]
async fn e7_heads_are_bounded() {
    let headers = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(count));
    let fits = headers(99).replace("OK\r\n", "OK\r\nContent-Length: 0\r\n");
    let receiver = Receiver::answering(fits).await;
    assert!(post(&sender(), &receiver.url()).await.is_success());
    for head in [
        headers(101),
        headers(100_000),
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)),
        format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(1 << 20)),
    ] {
        let receiver = Receiver::answering(head).await;
        let outcome = post(&sender(), &receiver.url()).await;
        failed(&outcome, FailureKind::Network, "the head of the answer is too large");
    }
}

#[tokio::test]
async fn e8_nothing_is_decompressed() {
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\x02\x03";
    let mut bytes =
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 13\r\n\r\n".to_vec();
    bytes.extend_from_slice(gzip);
    let receiver = Receiver::answering(bytes).await;
    let answer = answer(post(&sender(), &receiver.url()).await);
    assert_eq!(answer.headers.get("content-encoding"), Some("gzip"));
    assert_eq!(answer.body, String::from_utf8_lossy(gzip));
    assert!(!answer.truncated);
}

/// Sends these bytes, then closes, politely or with a reset.
async fn says_and_ends(bytes: &'static [u8], reset: bool) -> Receiver {
    Receiver::start(move |_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(bytes).await.unwrap();
        if reset {
            stream.set_zero_linger().unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn e9_e16_bodies_that_break_off_leave_the_status() {
    for reset in [false, true] {
        for head in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            let receiver = Receiver::start(move |_, mut stream| async move {
                read_request(&mut stream).await;
                stream.write_all(head).await.unwrap();
                // The head has arrived when the reset overtakes what follows it.
                tokio::time::sleep(Duration::from_millis(20)).await;
                if reset {
                    stream.set_zero_linger().unwrap();
                }
            })
            .await;
            let answer = answer(post(&sender(), &receiver.url()).await);
            assert_eq!((answer.status, answer.truncated), (200, true));
        }
    }
}

#[tokio::test]
async fn e16_no_answer_at_all() {
    let receiver = says_and_ends(b"", false).await;
    let outcome = post(&sender(), &receiver.url()).await;
    failed(&outcome, FailureKind::Network, "the connection was closed without an answer");
    let receiver = says_and_ends(b"HTTP/1.1 200 O", false).await;
    let outcome = post(&sender(), &receiver.url()).await;
    failed(&outcome, FailureKind::Network, "the connection was closed without an answer");
    let receiver = says_and_ends(b"", true).await;
    let outcome = post(&sender(), &receiver.url()).await;
    failed(&outcome, FailureKind::Network, "connection reset");
}

#[tokio::test]
async fn e10_e11_what_is_not_http() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/1.1 1000 High\r\n\r\n",
        b"HTTP/1.1 abc Odd\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 \x1b[31m\r\n\r\n",
        b"<html>HTTP/0.9</html>\r\n",
        b"220 mail.example ESMTP\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x50\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : space\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    ] {
        let receiver = says_and_ends(bytes, false).await;
        let outcome = post(&sender(), &receiver.url()).await;
        let text = String::from_utf8_lossy(bytes).into_owned();
        match outcome {
            Outcome::Failed(failure) => {
                assert_eq!(failure.kind, FailureKind::Network, "{text:?}");
                assert_eq!(failure.detail, "the answer is not valid HTTP", "{text:?}");
            }
            Outcome::Answered(answer) => panic!("{text:?}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn e12_interim_answers_are_bounded() {
    let few = format!(
        "{}HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{}",
        "HTTP/1.1 100 Continue\r\n\r\n".repeat(3),
        ok("done")
    );
    let receiver = Receiver::answering(few).await;
    assert_eq!(answer(post(&sender(), &receiver.url()).await).body, "done");
    for interim in
        ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"]
    {
        let receiver = Receiver::start(move |_, mut stream| async move {
            read_request(&mut stream).await;
            while stream.write_all(interim.as_bytes()).await.is_ok() {}
        })
        .await;
        let outcome = post(&sender(), &receiver.url()).await;
        failed(&outcome, FailureKind::Network, "the head of the answer is too large");
    }
}

#[tokio::test]
async fn e13_protocols_are_not_switched() {
    for head in [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let receiver = Receiver::answering(head).await;
        let sender = sender();
        let outcome = post(&sender, &receiver.url()).await;
        failed(&outcome, FailureKind::Network, "the receiver switched protocols");
        assert_eq!(sender.inner.pool.idle(), 0);
    }
}

/// The first connection's answer carries more than was asked for; the second request must not see it.
#[tokio::test]
async fn e14_e20_nothing_leaks_into_the_next_answer() {
    for first in [
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        format!("{}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", ok("first")),
        format!("{}junk", ok("first")),
    ] {
        let receiver = Receiver::start(move |number, mut stream| {
            let first = first.clone();
            async move {
                while read_request(&mut stream).await.is_some() {
                    let bytes = if number == 0 { first.clone() } else { ok("second") };
                    let _ = stream.write_all(bytes.as_bytes()).await;
                }
            }
        })
        .await;
        let sender = sender();
        let _ = answer(post(&sender, &receiver.url()).await);
        assert_eq!(answer(post(&sender, &receiver.url()).await).body, "second");
        assert_eq!(receiver.connections(), 2);
    }
}

#[tokio::test]
async fn e15_an_answer_before_the_request() {
    let receiver = Receiver::start(|_, mut stream| async move {
        let _ = stream.write_all(ok("early").as_bytes()).await;
        read_request(&mut stream).await;
    })
    .await;
    // Whichever side is faster, it is an answer or a failure, and at once.
    let sender = sender();
    for _ in 0..20 {
        let sent = sender.send(&request(&receiver.url(), LONG)).await;
        assert!(sent.duration_ms < 5_000, "{sent:?}");
    }
}

/// An answer that comes while we are still writing, as a refusal of a large body does.
#[tokio::test]
async fn e15_an_answer_before_the_body_is_read() {
    let receiver = Receiver::start(|_, mut stream| async move {
        let mut some = [0; 64];
        let _ = stream.read(&mut some).await;
        let head = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(head).await.unwrap();
        closed(&mut stream).await;
    })
    .await;
    let mut message = request(&receiver.url(), LONG);
    message.body = vec![b'x'; 8 << 20].into();
    let outcome = sender().send(&message).await.outcome;
    assert_eq!(answer(outcome).status, 413);
}

#[tokio::test]
async fn e17_silence_ends_at_the_deadline() {
    let receiver = Receiver::start(|_, mut stream| async move { closed(&mut stream).await }).await;
    let sender = sender();
    let attempts: Vec<_> = (0..100)
        .map(|_| {
            let (sender, message) = (sender.clone(), request(&receiver.url(), SHORT));
            tokio::spawn(async move { sender.send(&message).await })
        })
        .collect();
    for attempt in attempts {
        let sent = attempt.await.unwrap();
        failed(&sent.outcome, FailureKind::Timeout, "timed out waiting for an answer");
        assert!(sent.duration_ms < 5_000, "{} ms", sent.duration_ms);
    }
    assert_eq!(sender.inner.pool.idle(), 0);
}

#[tokio::test]
async fn e19_refused_fails_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let outcome = post(&sender(), &url).await;
    failed(&outcome, FailureKind::Network, "connection refused");
}

#[tokio::test]
async fn e24_e25_odd_bytes_are_kept_safely() {
    let mut bytes = b"HTTP/1.1 500 \xe9\r\nX-Odd: \xe9\xff\x80\r\nRetry-After: inf\r\n".to_vec();
    bytes.extend_from_slice(b"Content-Length: 19\r\n\r\n\0\xff\x1b[31m</script>\xc3\xa9\xe2");
    let receiver = Receiver::answering(bytes).await;
    let outcome = post(&sender(), &receiver.url()).await;
    assert_eq!(outcome.error_message().as_deref(), Some("HTTP 500: Internal Server Error"));
    let answer = answer(outcome);
    assert_eq!(answer.headers.get("x-odd"), Some("\u{e9}\u{ff}\u{80}"));
    assert_eq!(answer.body, "\0\u{fffd}\u{1b}[31m</script>é\u{fffd}");
    assert_eq!(answer.retry_after, None);
}

#[tokio::test]
async fn what_is_kept_of_an_ordinary_answer() {
    use tidings_core::retry_after::RetryAfter;
    let chunked = "HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nRetry-After: 5\r\n\
                   Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
    let receiver = Receiver::answering(chunked).await;
    let sender = sender();
    for _ in 0..2 {
        let answer = answer(post(&sender, &receiver.url()).await);
        assert_eq!((answer.status, &*answer.body, answer.truncated), (503, "abcde", false));
        assert_eq!(answer.retry_after, Some(RetryAfter::Seconds(120)));
    }
    assert_eq!(receiver.connections(), 1);
    let long = "é".repeat(1_500);
    let receiver = Receiver::answering(ok(&long)).await;
    let answer = answer(post(&sender, &receiver.url()).await);
    assert_eq!((answer.body.chars().count(), answer.truncated), (1_000, true));
    assert_eq!(sender.inner.pool.idle(), 2, "cut for keeping, read to its end: still usable");
}

/// No bytes at all make the sender panic, hang or outlive its deadline.
#[tokio::test]
async fn noise() {
    let seed =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n";
    // A small generator of our own: the point is many different mutilations, the same each time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let sender = sender();
    for _ in 0..300 {
        let mut bytes = seed.as_bytes().to_vec();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = next(256) as u8,
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let bytes: &'static [u8] = bytes.leak();
        let receiver = says_and_ends(bytes, false).await;
        let sent = sender.send(&request(&receiver.url(), Duration::from_secs(5))).await;
        assert!(sent.duration_ms < 5_000, "{:?}", String::from_utf8_lossy(bytes));
    }
}
