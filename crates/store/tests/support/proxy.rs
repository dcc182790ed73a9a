//! A proxy before a PostgreSQL server that cuts connections where it hurts most.

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
}

async fn carry(mut client: TcpStream, mut server: UnixStream, state: Arc<State>) {
    let (mut there, mut back) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut swallow = false;
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
                if server.write_all(&there[..read]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut back) => {
                let Ok(read @ 1..) = read else { return };
                if swallow {
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
