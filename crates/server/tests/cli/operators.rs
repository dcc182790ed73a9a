//! What operators' tools meet: systemd's notifications and watchdog, and the health check of a container.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use tempfile::tempdir;

use crate::process::{Process, run, serve, tidings, url_of};

/// The other end of `NOTIFY_SOCKET`.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(socket)
    }

    fn told(&self) -> String {
        let mut bytes = [0; 512];
        let length = self.0.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }
}

#[test]
fn systemd_hears_of_the_start_of_every_turn_and_of_the_stop() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = Manager::at(&path);
    let mut command = serve(&dir.path().join("data"));
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000");
    let mut server = Process::start(&mut command);
    let url = url_of(&mut server);
    assert_eq!(manager.told(), format!("READY=1\nSTATUS=listening on {url}"));
    for _ in 0..3 {
        assert_eq!(manager.told(), "WATCHDOG=1");
    }
    server.signal("TERM");
    let mut last = manager.told();
    while last == "WATCHDOG=1" {
        last = manager.told();
    }
    assert!(last.starts_with("STOPPING=1\n"), "{last}");
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn a_socket_that_nobody_listens_at_stops_no_server() {
    let dir = tempdir().unwrap();
    let mut command = serve(dir.path());
    command.env("NOTIFY_SOCKET", dir.path().join("gone")).env("WATCHDOG_USEC", "100000");
    let mut server = Process::start(&mut command);
    url_of(&mut server);
    server.error_with("NOTIFY_SOCKET cannot be used");
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn whether_it_takes_requests_is_asked_without_a_key() {
    let dir = tempdir().unwrap();
    let mut server = Process::start(serve(dir.path()).env("TIDINGS_ADMIN_KEY", "the-admin-key"));
    let url = url_of(&mut server);
    let asked = run(&mut tidings(&["ready", "--url", &url]), b"");
    assert_eq!((asked.code(), asked.stdout.as_str()), (Some(0), "ready\n"), "{asked:?}");
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0));
    let asked = run(&mut tidings(&["ready", "--url", &url]), b"");
    assert_eq!((asked.code(), asked.stdout.as_str()), (Some(1), ""), "{asked:?}");
    assert!(asked.stderr.contains("cannot reach"), "{asked:?}");
}
