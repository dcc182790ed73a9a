//! A line to Redis that is as slow as it is told, or holds back what is to be written.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};

/// 100 Mbit/s, in bytes.
pub const SLOW: u64 = 12_500_000;

/// All connections through it share it.
pub struct SlowLine {
    address: SocketAddr,
    held: watch::Sender<bool>,
    given_up: Arc<AtomicUsize>,
}

/// One direction: when it is free again.
struct Way {
    bytes_per_s: u64,
    free_at: Mutex<Instant>,
}

impl Way {
    fn of(bytes_per_s: u64) -> Arc<Self> {
        Arc::new(Self { bytes_per_s, free_at: Mutex::new(Instant::now()) })
    }

    /// Takes as long as so many bytes take.
    async fn carry(&self, bytes: usize) {
        let mut free_at = self.free_at.lock().await;
        let takes = Duration::from_secs(1) * bytes as u32 / self.bytes_per_s as u32;
        *free_at = (*free_at).max(Instant::now()) + takes;
        tokio::time::sleep_until((*free_at).into()).await;
    }
}

impl SlowLine {
    /// To a Redis on this port of loopback.
    pub async fn to(port: u16, bytes_per_s: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (there, back) = (Way::of(bytes_per_s), Way::of(bytes_per_s));
        let (held, holding) = watch::channel(false);
        let given_up = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&given_up);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let ((from, to), (answers, client)) = (client.into_split(), server.into_split());
                let ways = (Arc::clone(&there), Arc::clone(&back));
                let (holding, counted) = (holding.clone(), Arc::clone(&counted));
                tokio::spawn(requests(from, client, ways.0, holding, counted));
                tokio::spawn(carry(answers, to, ways.1));
            }
        });
        Self { address, held, given_up }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// From now on what begins with a push stays on its way until it is let go on.
    pub fn hold_pushes(&self) {
        self.held.send_replace(true);
    }

    /// What was held arrives, although whoever has sent it may be gone.
    pub fn let_go_on(&self) {
        self.held.send_replace(false);
    }

    /// Connections on which a push was held that their clients have closed.
    pub fn given_up(&self) -> usize {
        self.given_up.load(Ordering::SeqCst)
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Arc<Way>) {
    let mut chunk = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        way.carry(count).await;
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Arc<Way>,
    mut holding: watch::Receiver<bool>,
    given_up: Arc<AtomicUsize>,
) {
    let mut chunk = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        let is_push = chunk[..count].windows(5).any(|word| word == b"RPUSH");
        let mut more = Vec::new();
        if is_push && *holding.borrow() {
            let _ = from.read_to_end(&mut more).await;
            given_up.fetch_add(1, Ordering::SeqCst);
            let _ = holding.wait_for(|held| !held).await;
        }
        way.carry(count + more.len()).await;
        if to.write_all(&chunk[..count]).await.is_err() || to.write_all(&more).await.is_err() {
            return;
        }
    }
}
