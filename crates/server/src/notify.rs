//! What systemd is told, or whoever else listens at `NOTIFY_SOCKET`: that the server is ready, that it stops,
//! and, when there is a watchdog, that the engine still turns.
//!
//! The protocol is that of sd_notify(3) and sd_watchdog_enabled(3): datagrams of `NAME=value` lines.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram as Socket};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::sync::{oneshot, watch};

use crate::engine::{Inbox, Input};

/// Who listens reads at once; a server does not wait for one that does not.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells whom the environment names, or nobody.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<UnixDatagram>,
    /// A watchdog that hears nothing for so long ends the process.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment asks for it. A socket that cannot be used is logged: nothing is told then.
    #[must_use]
    pub fn from_env() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let Some(address) = variable("NOTIFY_SOCKET") else { return Self::default() };
        let watchdog = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        Self::new(&address, watchdog).unwrap_or_else(|error| {
            tracing::warn!(%error, "NOTIFY_SOCKET cannot be used: nobody is told that the server is ready");
            Self::default()
        })
    }

    fn new(address: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let socket = Socket::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect_addr(&socket_address(address)?)?;
        Ok(Self { socket: Some(UnixDatagram::from_std(socket)?), watchdog })
    }

    /// The server accepts requests at this URL.
    pub async fn ready(&self, url: &str) {
        self.tell(&format!("READY=1\nSTATUS=listening on {url}")).await;
    }

    /// It has begun to stop.
    pub async fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=finishing what is under way").await;
    }

    /// Feeds the watchdog, if there is one, for as long as the engine's loop answers. Once a stop has begun
    /// it is fed in any case: how long that takes has limits of its own.
    pub async fn feed_watchdog(
        self: Arc<Self>,
        engine: Option<Inbox>,
        stopping: watch::Receiver<bool>,
    ) {
        let Some(limit) = self.watchdog else { return };
        let mut turns = tokio::time::interval(limit / 2);
        loop {
            turns.tick().await;
            if *stopping.borrow() || answers(engine.as_ref()).await {
                self.tell("WATCHDOG=1").await;
            }
        }
    }

    async fn tell(&self, lines: &str) {
        let Some(socket) = &self.socket else { return };
        match tokio::time::timeout(PATIENCE, socket.send(lines.as_bytes())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "NOTIFY_SOCKET could not be told"),
            Err(_) => tracing::warn!("whoever listens at NOTIFY_SOCKET does not read"),
        }
    }
}

/// Whether the engine's loop, if there is one, comes round; waits for as long as it does not.
async fn answers(engine: Option<&Inbox>) -> bool {
    let Some(engine) = engine else { return true };
    let (answer, answered) = oneshot::channel();
    engine.tell(Input::Ping(answer));
    answered.await.is_ok()
}

/// How long the watchdog waits, if it waits for this process.
fn watchdog(microseconds: Option<OsString>, process: Option<OsString>) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    if process.is_some_and(|process| number(process) != Some(u64::from(std::process::id()))) {
        return None;
    }
    number(microseconds?).filter(|&limit| limit > 0).map(Duration::from_micros)
}

/// A path, or with `@` before it a name in the abstract namespace, which only Linux has.
fn socket_address(text: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::ffi::OsStrExt as _;
        if let Some(name) = text.as_bytes().strip_prefix(b"@") {
            return SocketAddr::from_abstract_name(name);
        }
    }
    SocketAddr::from_pathname(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(listener: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let received = tokio::time::timeout(Duration::from_secs(20), listener.recv(&mut bytes));
        let length = received.await.expect("it is told").expect("it can be read");
        String::from_utf8(bytes[..length].to_vec()).expect("text")
    }

    fn has_told_nothing(listener: &UnixDatagram) -> bool {
        listener
            .try_recv(&mut [0; 256])
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    #[tokio::test]
    async fn paths_and_abstract_names_are_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let at_path = UnixDatagram::bind(&path).expect("bound");
        let notifier = Notifier::new(path.as_os_str(), None).expect("it is there");
        notifier.ready("http://127.0.0.1:4000").await;
        assert_eq!(told(&at_path).await, "READY=1\nSTATUS=listening on http://127.0.0.1:4000");

        let name = format!("@tidings-{}", dir.path().display());
        let listener = Socket::bind_addr(&socket_address(name.as_ref()).expect("a name"));
        let listener = listener.expect("bound");
        listener.set_nonblocking(true).expect("set");
        let abstract_name = UnixDatagram::from_std(listener).expect("a socket");
        Notifier::new(name.as_ref(), None).expect("it is there").stopping().await;
        assert!(told(&abstract_name).await.starts_with("STOPPING=1\n"));

        drop(at_path);
        assert!(Notifier::new(dir.path().join("gone").as_os_str(), None).is_err());
        // Whoever listened has gone: nothing comes of it, and nothing waits.
        notifier.stopping().await;
        Notifier::default().stopping().await;
    }

    #[tokio::test]
    async fn the_watchdog_is_fed_while_the_engine_answers() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let listener = UnixDatagram::bind(&path).expect("bound");
        let limit = Some(Duration::from_millis(4));
        let notifier = Notifier::new(path.as_os_str(), limit).expect("it is there");
        let (inbox, mut engine) = Inbox::new();
        let (stop, stopping) = watch::channel(false);
        let feeding = tokio::spawn(Arc::new(notifier).feed_watchdog(Some(inbox), stopping));
        for _ in 0..3 {
            let Some(Input::Ping(answer)) = engine.recv().await else {
                panic!("the engine is asked")
            };
            assert!(has_told_nothing(&listener), "it has not answered");
            answer.send(()).expect("it is waited for");
            assert_eq!(told(&listener).await, "WATCHDOG=1");
        }
        let Some(Input::Ping(unanswered)) = engine.recv().await else { panic!("it is asked") };
        assert!(has_told_nothing(&listener));
        stop.send_replace(true);
        drop((unanswered, engine));
        assert_eq!(told(&listener).await, "WATCHDOG=1", "a stop is not cut short");
        feeding.abort();
    }

    #[test]
    fn only_the_process_that_is_watched_feeds_the_watchdog() {
        let text = |value: &str| Some(OsString::from(value));
        let me = std::process::id().to_string();
        assert_eq!(watchdog(text("30000000"), None), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(text("30000000"), text(&me)), Some(Duration::from_secs(30)));
        for (limit, process) in [("0", None), ("x", None), ("5", text("0")), ("5", text("x"))] {
            assert_eq!(watchdog(text(limit), process), None, "{limit}");
        }
        assert_eq!(watchdog(None, None), None);
    }
}
