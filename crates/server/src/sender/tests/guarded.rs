//! Where no packet goes, and how names are taken.

use std::net::IpAddr;

use super::*;

fn ips(list: &[&str]) -> Result<Vec<IpAddr>, ResolveError> {
    Ok(list.iter().map(|ip| ip.parse().unwrap()).collect())
}

/// A listener that must stay untouched.
async fn untouched() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// On loopback a connection that was begun is in the queue at once.
fn assert_untouched(listener: TcpListener) {
    let listener = listener.into_std().unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

fn default_policy() -> EgressPolicy {
    EgressPolicy { allow_http: true, ..EgressPolicy::default() }
}

#[tokio::test]
async fn denied_addresses_get_no_packet() {
    let (listener, port) = untouched().await;
    let denied = [
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "0.0.0.0",
        "::",
        "::ffff:127.0.0.1",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "fe80::1",
    ];
    for ip in denied {
        let address: IpAddr = ip.parse().unwrap();
        for scheme in ["http", "https"] {
            let literal = match address {
                IpAddr::V4(ip) => format!("{scheme}://{ip}:{port}/"),
                IpAddr::V6(ip) => format!("{scheme}://[{ip}]:{port}/"),
            };
            let sender = sender_with(default_policy(), ips(&[ip]));
            failed(&post(&sender, &literal).await, FailureKind::Blocked, "address not allowed");
            let named = format!("{scheme}://hooks.example:{port}/");
            failed(&post(&sender, &named).await, FailureKind::Blocked, "address not allowed");
        }
    }
    let sender = sender_with(default_policy(), ips(&denied));
    let named = format!("http://hooks.example:{port}/");
    failed(&post(&sender, &named).await, FailureKind::Blocked, "address not allowed");
    let localhost = format!("http://localhost:{port}/");
    failed(&post(&sender, &localhost).await, FailureKind::Blocked, "address not allowed");
    assert_untouched(listener);
}

#[tokio::test]
async fn in_clear_only_where_it_is_allowed() {
    let allow = AllowRule::parse_list("10.0.0.0/8,127.0.0.0/8").unwrap();
    let policy = EgressPolicy { allow, ..EgressPolicy::default() };
    let sender = sender_with(policy, ips(&["10.0.0.1"]));
    for url in ["http://10.0.0.1:8080/", "http://hooks.example:8080/"] {
        failed(&post(&sender, url).await, FailureKind::Blocked, "address not allowed");
    }
    let receiver = Receiver::answering(ok("")).await;
    assert!(post(&sender, &receiver.url()).await.is_success());
}

#[tokio::test]
async fn what_is_denied_is_dropped_and_the_rest_used() {
    let receiver = Receiver::answering(ok("")).await;
    let url = format!("http://hooks.example:{}/", receiver.address.port());
    let policy = || EgressPolicy {
        allow: AllowRule::parse_list("127.0.0.1/32").unwrap(),
        ..default_policy()
    };
    let sender = sender_with(policy(), ips(&["10.0.0.1", "::1", "127.0.0.1"]));
    assert!(post(&sender, &url).await.is_success());
    // A name with a thousand addresses: only the first sixteen are looked at.
    let mut many = vec!["10.0.0.1"; 16];
    many.push("127.0.0.1");
    let sender = sender_with(policy(), ips(&many));
    failed(&post(&sender, &url).await, FailureKind::Blocked, "address not allowed");
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn an_address_that_refuses_leaves_the_next_its_turn() {
    let receiver = Receiver::answering(ok("")).await;
    let url = format!("http://hooks.example:{}/", receiver.address.port());
    // Nobody listens on 127.0.0.2.
    let sender = sender_with(loopback_policy(), ips(&["127.0.0.2", "127.0.0.1"]));
    assert!(post(&sender, &url).await.is_success());
}

/// A resolver that gives another address each time, as a rebinding attacker's does.
struct Turning {
    turns: Vec<&'static str>,
    asked: AtomicUsize,
}

impl Resolve for Turning {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(ips(&[self.turns[turn.min(self.turns.len() - 1)]])))
    }
}

#[tokio::test]
async fn a_name_is_asked_once_per_connection_and_judged_each_time() {
    let receiver =
        Receiver::answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            .await;
    let resolver = Arc::new(Turning {
        turns: vec!["127.0.0.1", "127.0.0.2", "169.254.169.254"],
        asked: AtomicUsize::new(0),
    });
    let policy =
        EgressPolicy { allow: AllowRule::parse_list("127.0.0.1/32").unwrap(), ..default_policy() };
    let config = SenderConfig { resolver: resolver.clone(), ..SenderConfig::new(policy.into()) };
    let sender = Sender::new(config).unwrap();
    let url = format!("http://hooks.example:{}/", receiver.address.port());
    assert!(post(&sender, &url).await.is_success());
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
    failed(&post(&sender, &url).await, FailureKind::Blocked, "address not allowed");
    failed(&post(&sender, &url).await, FailureKind::Blocked, "address not allowed");
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 3);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn names_that_do_not_resolve() {
    for (resolved, kind, detail) in [
        (Err(ResolveError::NoSuchName), FailureKind::Dns, "the host name does not exist"),
        (Err(ResolveError::NoAddress), FailureKind::Dns, "the host name has no address"),
        (Ok(vec![]), FailureKind::Dns, "the host name has no address"),
        (Err(ResolveError::Failed), FailureKind::DnsOurs, "the name server failed"),
    ] {
        let sender = sender_with(default_policy(), resolved);
        failed(&post(&sender, "https://hooks.example/").await, kind, detail);
    }
}

struct Silent;

impl Resolve for Silent {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
        Box::pin(std::future::pending())
    }
}

/// Time is a pretended one here: nothing is waited for.
#[tokio::test(start_paused = true)]
async fn a_silent_name_server_is_given_two_seconds() {
    let config =
        SenderConfig { resolver: Arc::new(Silent), ..SenderConfig::new(default_policy().into()) };
    let sender = Sender::new(config).unwrap();
    for (timeout, waited) in [(LONG, 2_000), (Duration::from_millis(500), 500)] {
        let sent = sender.send(&request("https://hooks.example/", timeout)).await;
        failed(&sent.outcome, FailureKind::DnsOurs, "the name server did not answer in time");
        assert!(sent.duration_ms.abs_diff(waited) <= 2, "{} ms", sent.duration_ms);
    }
}

#[tokio::test]
async fn localhost_is_never_asked_of_a_name_server() {
    let receiver = Receiver::answering(ok("")).await;
    let resolver =
        Arc::new(Fixed { resolved: Err(ResolveError::NoSuchName), asked: AtomicUsize::new(0) });
    let policy = EgressPolicy {
        allow: AllowRule::parse_list("127.0.0.0/8,[::1]/128").unwrap(),
        ..EgressPolicy::default()
    };
    let config = SenderConfig { resolver: resolver.clone(), ..SenderConfig::new(policy.into()) };
    let sender = Sender::new(config).unwrap();
    for name in ["localhost", "app.localhost"] {
        let url = format!("http://{name}:{}/", receiver.address.port());
        assert!(post(&sender, &url).await.is_success());
    }
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 0);
}
