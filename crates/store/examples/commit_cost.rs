//! What one event with one delivery and its settlement costs: four rows, committed and synced.
//!
//! `cargo run --release -p tidings-store --example commit_cost -- [place] [history …]`; the place is a
//! directory, `postgres`, or `postgres://…`.
//!
//! A closed loop keeps so many deliveries on their way that the batches have about the size that the
//! table names. The directory must be on a real disk, or the syncs cost nothing. `postgres` starts a server
//! of its own where temporary files go, and the same holds for that place; the processor time is ours
//! alone. A URL names a database that is there, with whatever history it has (`days.sql`, beside this
//! file, makes one). The sizes of the history that is made first are 0 and 1,000,000, if none are given.

#![expect(clippy::disallowed_methods, reason = "a measurement reads the real clock")]

#[path = "../tests/support/postgres.rs"]
mod postgres;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidings_core::delivery::{Lane, Owed, Payload, Status};
use tidings_core::event::Event;
use tidings_core::id::{IdSource, TenantId, WebhookId};
use tidings_core::publication::{PlannedEvent, Publication};
use tidings_core::settlement::{Attempt, Reason, Settlement, Verdict};
use tidings_core::time::Timestamp;
use tidings_store::{Committed, Store};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const TENANT: TenantId = TenantId::from_i64(1);
const DATA: &[u8] = &[b'x'; 600];

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp::from_millis(since.as_millis() as i64)
}

/// Where the stores are that are measured.
enum Place {
    Below(PathBuf),
    Postgres(postgres::PostgresServer),
    At(String),
}

/// A new store.
enum Fresh {
    Directory(tempfile::TempDir),
    Database(String),
}

impl Place {
    fn fresh(&self) -> Fresh {
        match self {
            Self::Below(dir) => Fresh::Directory(tempfile::tempdir_in(dir).expect("a directory")),
            Self::Postgres(server) => Fresh::Database(server.database()),
            Self::At(url) => Fresh::Database(url.clone()),
        }
    }
}

struct Bench {
    store: Store,
    told: UnboundedReceiver<Vec<Committed>>,
    commits: Arc<AtomicU64>,
    ids: IdSource,
    published: i64,
}

impl Bench {
    fn open(fresh: &Fresh) -> Self {
        let (sender, told) = unbounded_channel();
        let commits = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&commits);
        let sink = move |batch| {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(sender.send(batch));
        };
        let (now, sink): (tidings_store::Now, tidings_store::Sink) =
            (Arc::new(now), Box::new(sink));
        let store = match fresh {
            Fresh::Directory(dir) => Store::open_sqlite(dir.path(), now, sink),
            Fresh::Database(url) => Store::open_postgres(url, "bench", now, sink),
        };
        let store = store.expect("opens");
        let ids = IdSource::new(store.node(), 0);
        Self { store, told, commits, ids, published: 0 }
    }

    /// `events` events, each for one of `webhooks` in turn.
    fn publication(&mut self, events: usize, webhooks: i64) -> Publication {
        let at = now();
        let plan = |n: i64| {
            let event = Arc::new(Event {
                id: self.ids.next(at),
                tenant: TENANT,
                client_id: None,
                event_type: "job.completed".into(),
                timestamp: at,
                ordering_key: None,
                deliver_at: None,
                expires_at: None,
                data: DATA.into(),
            });
            // Spread over the range of ids as if the webhooks were made over a year.
            let webhook = WebhookId::from_i64((n * 7919 % webhooks + 1) << 40);
            let owed = Owed {
                id: self.ids.next(at),
                tenant: TENANT,
                lane: Lane { webhook, slot: 0 },
                event: event.id,
                revision: 1,
                ready_at: at,
                not_before: at,
                expires_at: None,
                attempts: 0,
                attempts_granted: 0,
                gate: None,
                payload: Payload::Stored,
            };
            PlannedEvent { event, fingerprint: [0; 16], deliveries: vec![owed] }
        };
        let events = (self.published..self.published + events as i64).map(plan).collect::<Vec<_>>();
        self.published += events.len() as i64;
        Publication { tenant: TENANT, key: None, events }
    }

    fn publish(&mut self, events: usize, webhooks: i64) {
        let publication = self.publication(events, webhooks);
        let store = self.store.clone();
        tokio::task::spawn_local(async move {
            store.publish(publication).await.expect("published");
        });
    }

    /// Runs `total` deliveries with `window` of them on their way; µs per delivery, and deliveries
    /// per commit (a delivery is in two commits).
    async fn run(&mut self, total: usize, window: usize, webhooks: i64) -> (f64, f64) {
        let (mut ended, mut started) = (0, window);
        let commits = self.commits.load(Ordering::Relaxed);
        let begun = Instant::now();
        (0..window).for_each(|_| self.publish(1, webhooks));
        while ended < total {
            for committed in self.told.recv().await.expect("the store is open") {
                match committed {
                    Committed::Owed(owed) => self.store.settle(settlement(owed)),
                    Committed::Settled { .. } => {
                        ended += 1;
                        if started < total {
                            started += 1;
                            self.publish(1, webhooks);
                        }
                    }
                    _ => {}
                }
            }
        }
        let commits = self.commits.load(Ordering::Relaxed) - commits;
        let per = begun.elapsed().as_secs_f64() * 1e6 / total as f64;
        (per, total as f64 * 2.0 / commits as f64)
    }

    /// Finished deliveries, as history.
    async fn fill(&mut self, total: usize, webhooks: i64) {
        let mut ended = 0;
        while ended < total {
            let publication = self.publication(500, webhooks);
            self.store.publish(publication).await.expect("published");
            let target = ended + 500;
            while ended < target {
                for committed in self.told.recv().await.expect("the store is open") {
                    match committed {
                        Committed::Owed(owed) => self.store.settle(settlement(owed)),
                        Committed::Accepted(_) => {}
                        _ => ended += 1,
                    }
                }
            }
        }
    }
}

fn settlement(owed: Owed) -> Box<Settlement> {
    let at = now();
    Box::new(Settlement {
        owed,
        attempt: Some(Attempt {
            number: 1,
            started_at: at,
            duration_ms: 12,
            revision: 1,
            signature: "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=".into(),
            response_status: Some(200),
            response_headers: "content-type: application/json\ncontent-length: 15\n".into(),
            response_body: "{\"success\":true}".into(),
            error: String::new(),
            error_type: "",
        }),
        verdict: Verdict::End { status: Status::Success, reason: Reason::Delivered },
        settled_at: at,
        health: None,
        disable: None,
        announcements: Vec::new(),
    })
}

fn sync_ms(dir: &Path) -> f64 {
    use std::io::Write as _;
    let mut file = std::fs::File::create(dir.join("sync")).expect("creates");
    let begun = Instant::now();
    for _ in 0..100 {
        file.write_all(&[1; 4096]).expect("writes");
        file.sync_data().expect("syncs");
    }
    begun.elapsed().as_secs_f64() * 10.0
}

fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after.split(' ').skip(12).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
    ticks / 100.0
}

async fn table(place: &Place, history: usize) {
    for webhooks in [1, 1_000] {
        let fresh = place.fresh();
        let mut bench = Bench::open(&fresh);
        bench.fill(history.max(1_000), webhooks).await;
        if history > 0 {
            bench.store.maintain().await.expect("maintained");
        }
        for batch in [32, 128, 512] {
            let total = (batch * 300).clamp(10_000, 100_000);
            let before = cpu_s();
            let (us, size) = bench.run(total, batch * 2, webhooks).await;
            let cpu = (cpu_s() - before) * 1e6 / total as f64;
            println!(
                "| {history:>9} | {webhooks:>5} | {batch:>4} | {us:>6.1} | {cpu:>6.1} | {size:>6.0} |"
            );
        }
        bench.store.close().await;
    }
}

/// What start-up and paging cost when a million deliveries are owed.
async fn backlog(place: &Place) {
    let fresh = place.fresh();
    let mut bench = Bench::open(&fresh);
    for _ in 0..2_000 {
        let publication = bench.publication(500, 1_000);
        bench.store.publish(publication).await.expect("published");
    }
    let ms = |begun: Instant| begun.elapsed().as_secs_f64() * 1e3;
    let begun = Instant::now();
    let lanes = bench.store.lanes().await.expect("read");
    println!("1,000,000 owed: {} lanes summed up in {:.0} ms", lanes.len(), ms(begun));
    let begun = Instant::now();
    for lane in lanes.iter().take(100) {
        let page = bench.store.page(lane.lane, 256).await.expect("read");
        assert_eq!(page.len(), 256);
    }
    println!("a page of 256: {:.2} ms", ms(begun) / 100.0);
    let begun = Instant::now();
    bench.store.close().await;
    println!("closed in {:.0} ms", ms(begun));
    let begun = Instant::now();
    let bench = Bench::open(&fresh);
    println!("opened in {:.0} ms", ms(begun));
    let begun = Instant::now();
    bench.store.maintain().await.expect("maintained");
    println!("1,000,000 events indexed in {:.0} ms", ms(begun));
    bench.store.close().await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (place, dir) = match std::env::args().nth(1).as_deref() {
        Some("postgres") => {
            (Place::Postgres(postgres::PostgresServer::durable()), std::env::temp_dir())
        }
        Some(url) if url.starts_with("postgres://") => {
            (Place::At(url.to_owned()), std::env::temp_dir())
        }
        given => {
            let dir = PathBuf::from(given.unwrap_or("target"));
            (Place::Below(dir.clone()), dir)
        }
    };
    println!("fdatasync of a page: {:.2} ms", sync_ms(&dir));
    println!("|   history | hooks | size |   µs   | CPU µs | actual |");
    tokio::task::LocalSet::new()
        .run_until(async {
            let sizes: Vec<usize> =
                std::env::args().skip(2).filter_map(|n| n.parse().ok()).collect();
            for &history in if sizes.is_empty() { &[0, 1_000_000][..] } else { &sizes } {
                table(&place, history).await;
            }
            if sizes.is_empty() {
                backlog(&place).await;
            }
        })
        .await;
}
