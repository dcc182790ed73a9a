//! A proxy before a PostgreSQL server that cuts connections where it hurts most, and counts what it carries.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// What is lost of the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The commit itself, on its way there.
    Commit = 1,
    /// Its answer, on the way back.
    Answer = 2,
}

#[derive(Debug, Default)]
struct State {
    cut: AtomicU8,
    cuts: AtomicUsize,
    statements: AtomicUsize,
    round_trips: AtomicUsize,
}

pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

impl Proxy {
    pub fn before(socket: PathBuf) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let theirs = Arc::clone(&state);
        // A runtime of its own: opening a store blocks that of the test.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                listener.set_nonblocking(true).expect("a socket");
                let listener = TcpListener::from_std(listener).expect("a listener");
                while let Ok((client, _)) = listener.accept().await {
                    let server = UnixStream::connect(&socket).await.expect("the server listens");
                    tokio::spawn(carry(client, server, Arc::clone(&theirs)));
                }
            });
        });
        Self { address, state }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the connection at its next commit, once.
    pub fn cut_at_commit(&self, cut: Cut) {
        self.state.cut.store(cut as u8, Ordering::SeqCst);
    }

    pub fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }

    /// Statements and round trips since this was asked last. What is sent before everything else has been
    /// answered is part of the same round trip.
    pub fn take_traffic(&self) -> (usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::SeqCst);
        (take(&self.state.statements), take(&self.state.round_trips))
    }
}

/// One direction of PostgreSQL's protocol: a type and a length, then as many bytes.
struct Messages {
    /// Of the next message; the first one of a client has no type.
    head: Vec<u8>,
    /// Still to come of the last one.
    rest: usize,
}

impl Messages {
    fn of_server() -> Self {
        Self { head: Vec::new(), rest: 0 }
    }

    fn of_client() -> Self {
        Self { head: vec![0], rest: 0 }
    }

    /// The types of the messages that begin in these bytes.
    fn read(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut types = Vec::new();
        while !bytes.is_empty() {
            let skipped = self.rest.min(bytes.len());
            self.rest -= skipped;
            bytes = &bytes[skipped..];
            while self.rest == 0
                && let Some((&byte, more)) = bytes.split_first()
            {
                self.head.push(byte);
                bytes = more;
                if let [kind, a, b, c, d] = self.head[..] {
                    self.rest = u32::from_be_bytes([a, b, c, d]) as usize - 4;
                    self.head.clear();
                    types.push(kind);
                }
            }
        }
        types
    }
}

async fn carry(mut client: TcpStream, mut server: UnixStream, state: Arc<State>) {
    let (mut there, mut back) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut swallow = false;
    let (mut asked, mut answered) = (Messages::of_client(), Messages::of_server());
    let mut unanswered = 0_usize;
    loop {
        tokio::select! {
            read = client.read(&mut there) => {
                let Ok(read @ 1..) = read else { return };
                let is_commit = there[..read].windows(7).any(|bytes| bytes == b"COMMIT\0");
                let cut = if is_commit { state.cut.swap(0, Ordering::SeqCst) } else { 0 };
                if cut == Cut::Commit as u8 {
                    state.cuts.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                swallow |= cut == Cut::Answer as u8;
                for kind in asked.read(&there[..read]) {
                    // Query, or Execute; and what ends with an answer that all is done.
                    if matches!(kind, b'Q' | b'E') {
                        state.statements.fetch_add(1, Ordering::SeqCst);
                    }
                    if matches!(kind, b'Q' | b'S') {
                        let first = usize::from(unanswered == 0);
                        state.round_trips.fetch_add(first, Ordering::SeqCst);
                        unanswered += 1;
                    }
                }
                if server.write_all(&there[..read]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut back) => {
                let Ok(read @ 1..) = read else { return };
                let done = answered.read(&back[..read]).into_iter().filter(|kind| *kind == b'Z');
                // The first one says that the session has begun.
                unanswered = unanswered.saturating_sub(done.count());
                if swallow {
                    // What comes with the commit is answered before it is.
                    if unanswered > 0 {
                        continue;
                    }
                    state.cuts.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if client.write_all(&back[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}
