//! A real server, a plain client and real receivers, in one process, for the tests of the API.
//!
//! ```ignore
//! mod harness;
//! use harness::{Receiver, Tidings};
//!
//! #[tokio::test]
//! async fn what_is_published_arrives() {
//!     let tidings = Tidings::start().await;
//!     let receiver = Receiver::start().await;
//!     let webhook = tidings
//!         .post("/api/webhooks", json!({"url": receiver.url(), "events": ["*"]}))
//!         .await
//!         .expect(201);
//!     tidings.post("/api/events", json!({"type": "a.b", "data": {}})).await.expect(202);
//!     let request = receiver.next().await;
//!     assert_eq!(request.header("webhook-id"), …);
//! }
//! ```
//!
//! - [`Tidings::start`] serves on a free port of loopback, keeps its data in a directory that goes
//!   away with it, needs no key, and may send to loopback. [`Tidings::start_with`] changes settings,
//!   [`Tidings::restart`] stops it in order and starts it again on the same data.
//! - [`Tidings::advance`] moves its clock on, so that tomorrow's retry comes now.
//! - [`Receiver`] records what arrives and answers what it is told ([`Receiver::answers`]);
//!   [`Receiver::next`] waits for the next request, [`Receiver::hold`] lets answers wait.
//! - [`Client::listen`] and [`Client::socket`] open live streams.
//! - [`Binary`] is the same server as the process that users run, for tests that kill it, stop it or
//!   need its log.
//! - Nothing sleeps for a fixed time. Whatever waits gives up after [`PATIENCE`] and says for what.

#![expect(clippy::disallowed_methods, reason = "tests measure real time")]
#![allow(dead_code, unused_imports, reason = "each test file uses its own part of the harness")]

mod binary;
mod client;
pub mod line;
mod live;
#[path = "../../../store/tests/support/postgres.rs"]
pub mod postgres;
mod receiver;
pub mod redis;
pub mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tidings_core::dispatch::Signal;
use tidings_core::id::WebhookId;
use tidings_core::time::Timestamp;
use tidings_server::api::App;
use tidings_server::clock::Clock;
use tidings_server::config::{SETTINGS, Settings};
use tidings_server::serve::Server;

pub use binary::Binary;
pub use client::{Client, Line, Reply};
pub use live::{Closed, Socket, Stream, Told};
pub use receiver::{Received, Receiver, Response};

/// Whoever waits for longer than this waits in vain.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub struct Tidings {
    server: Server,
    /// Calls it as the tenant `default`, without a key. [`Client::with_header`] makes others.
    pub client: Client,
    settings: Settings,
    /// How far its clock is ahead of the machine's, milliseconds.
    ahead: Arc<AtomicI64>,
    dir: TempDir,
}

impl Tidings {
    /// With the default settings, but for the address, the directory and `egress.allow`.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With settings changed before the start.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut settings = settings(&dir);
        change(&mut settings);
        Self::run(dir, settings, Arc::default()).await
    }

    /// Stops in order and starts again on the same data. The port changes.
    pub async fn restart(self) -> Self {
        self.server.stop().await;
        Self::run(self.dir, self.settings, self.ahead).await
    }

    /// Stops in order; what is on disk goes away.
    pub async fn stop(self) {
        self.server.stop().await;
    }

    async fn run(dir: TempDir, settings: Settings, ahead: Arc<AtomicI64>) -> Self {
        let (system, by) = (Clock::system(), Arc::clone(&ahead));
        let clock = Clock::from_fn(move || system.now() + by.load(Ordering::SeqCst));
        let server = Server::start(settings.clone(), clock).await.expect("the server starts");
        let client = Client::new(server.address);
        Self { server, client, settings, ahead, dir }
    }

    /// What its handlers work with, for tests that look or reach inside.
    pub fn app(&self) -> &Arc<App> {
        &self.server.app
    }

    /// The time as the server sees it.
    pub fn now(&self) -> Timestamp {
        self.server.app.clock.now()
    }

    /// Moves the server's clock on. What has become due happens at once.
    pub fn advance(&self, ms: i64) {
        self.ahead.fetch_add(ms, Ordering::SeqCst);
        // The engine sleeps until a moment of the old time; any signal makes it look at the clock.
        self.server.app.inbox.signal(Signal::WebhookGone(WebhookId::from_i64(0)));
        self.server.app.replayer.wake();
    }
}

/// The client's calls, shorter.
impl std::ops::Deref for Tidings {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

fn settings(dir: &TempDir) -> Settings {
    let mut values: tidings_server::config::Values =
        SETTINGS.iter().filter_map(|s| Some((s.name, s.default?.to_owned()))).collect();
    values.insert("listen", "127.0.0.1:0".to_owned());
    values.insert("data_dir", dir.path().to_str().expect("a path in UTF-8").to_owned());
    values.insert("egress.allow", "127.0.0.0/8".to_owned());
    if let Some(url) = store::database_url(dir.path()) {
        values.insert("database_url", url);
        values.insert("secret_key", store::SECRET_KEY.to_owned());
    }
    Settings::parse(&values).expect("the defaults are sound")
}

/// Asks again and again until the answer is `Some`; panics with `what` when it never is. For what no
/// signal tells of: prefer [`Receiver::next`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("it never came to pass: {what}"),
    }
}
