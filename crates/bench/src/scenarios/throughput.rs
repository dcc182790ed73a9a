//! How fast: the relays and tidings in turn, twice, so that a drift of the machine cancels out.

use anyhow::Result;

use crate::bench::{Bench, Load, REDIS, Round, Server, TIDINGS, Types, WORKER};
use crate::tidings::{DataDir, Tidings};
use crate::workers::{self, Redis};

#[derive(Debug, Clone, Copy)]
pub enum Throughput {
    Single,
    Batches(u64),
    Webhooks(u64),
    History,
}

const ROUNDS: u32 = 2;
/// Events per second of round length in batches: they are taken over faster than they are
/// delivered, so a round is a number of events and not a time.
const BATCHED_PER_S: f64 = 50_000.0;

impl Throughput {
    fn load(self, seconds: f64) -> Load {
        match self {
            Self::Single | Self::History => Load::single(seconds),
            Self::Batches(batch) => Load::batches((seconds * BATCHED_PER_S) as u64, batch),
            Self::Webhooks(count) => {
                Load { types: Types::RoundRobin(count), ..Load::single(seconds) }
            }
        }
    }
}

pub async fn run(bench: &mut Bench<'_>, kind: Throughput) -> Result<()> {
    if bench.options.relay_only {
        return compare(bench, kind, None).await;
    }
    let beside = DataDir::create(bench.options, "beside")?;
    let redis = match bench.options.workers {
        0 => None,
        _ => Some(Redis::start(&beside).await?),
    };
    let options = redis.as_ref().map(|redis| redis.joined_by(bench.options));
    let options = options.as_ref().unwrap_or(bench.options);
    let mut nodes = Vec::new();
    let mut dirs = Vec::new();
    for nth in 0..options.nodes.max(1) {
        dirs.push(DataDir::create(options, &format!("throughput{nth}"))?);
        nodes.push(Tidings::start(options, &dirs[dirs.len() - 1]).await?);
    }
    let workers = workers::start(options, &beside).await?;
    let tidings = &mut nodes[0];
    if !workers.is_empty() {
        workers::counted_on(tidings, workers.len()).await?;
    }
    match kind {
        Throughput::Webhooks(count) => {
            bench.progress.step("registering webhooks");
            for number in 0..count {
                let event_type = format!("bench.h{number}");
                tidings.webhook(&bench.hook_url(number), &event_type).await?;
            }
        }
        _ => drop(tidings.webhook(&bench.hook_url(0), "bench.*").await?),
    }
    if let Throughput::History = kind {
        make_history(bench, tidings, &dirs[0]).await?;
    }
    let mut server = Server::of_nodes(&nodes, bench.options.spread);
    workers.iter().for_each(|worker| server.helped_by(WORKER, worker.pid));
    redis.iter().for_each(|redis| server.helped_by(REDIS, redis.pid));
    compare(bench, kind, Some(server)).await?;
    if let Some(redis) = &redis {
        bench.figure("redis_memory_peak_mib", None, Some(redis.memory_peak_mib()?));
    }
    for worker in workers {
        worker.stop().await?;
    }
    // The last first, so that what it gives back is taken over by one that has it all in the end.
    for node in nodes.into_iter().rev() {
        node.stop().await?;
    }
    Ok(())
}

async fn make_history(bench: &mut Bench<'_>, tidings: &Tidings, data: &DataDir) -> Result<()> {
    let events = bench.options.history();
    bench.progress.step(&format!("making a history of {events} deliveries"));
    let round = bench.round(&Server::from(tidings), &Load::batches(events, 100)).await?;
    let received = round.account.received as f64;
    bench.figure("history_deliveries", None, Some(received));
    bench.figure("history_filled_per_s", None, Some(received / round.seconds));
    bench.figure("disk_bytes_per_delivery", None, Some(data.bytes() as f64 / received));
    Ok(())
}

async fn compare(bench: &mut Bench<'_>, kind: Throughput, tidings: Option<Server>) -> Result<()> {
    let (_relay_process, relay) = bench.relay().await?;
    let (_plain_process, plain) = bench.plain_relay().await?;
    let mut measured: Vec<(Server, Totals)> = [relay, plain]
        .into_iter()
        .chain(tidings)
        .map(|server| (server, Totals::default()))
        .collect();
    let seconds = bench.options.seconds();
    for (server, _) in &measured {
        bench.progress.step(&format!("{} warms up", server.name));
        bench.round(server, &kind.load((seconds / 10.0).max(0.5))).await?;
    }
    let load = kind.load(seconds);
    for nth in 1..=ROUNDS {
        for (server, totals) in &mut measured {
            bench.progress.step(&format!("{}, round {nth} of {ROUNDS}", server.name));
            let round = bench.round(server, &load).await?;
            if server.name == TIDINGS {
                all_reached(bench, kind, &round);
            }
            totals.add(round);
        }
    }
    report(bench, &measured.into_iter().map(|(_, totals)| totals).collect::<Vec<_>>());
    Ok(())
}

/// Each of the webhooks has got something.
fn all_reached(bench: &mut Bench<'_>, kind: Throughput, round: &Round) {
    let paths = round.account.paths;
    if let Throughput::Webhooks(count) = kind
        && paths != count
    {
        bench.fail(&format!("only {paths} of {count} webhooks were reached"));
    }
}

/// The rounds of one server together.
#[derive(Debug, Default)]
struct Totals {
    rounds: Vec<Round>,
}

impl Totals {
    fn add(&mut self, round: Round) {
        self.rounds.push(round);
    }

    fn sum(&self, of: impl Fn(&Round) -> f64) -> f64 {
        self.rounds.iter().map(of).sum()
    }

    fn received(&self) -> f64 {
        self.sum(|round| round.account.received as f64).max(1.0)
    }

    fn mean(&self, of: impl Fn(&Round) -> f64) -> f64 {
        self.sum(of) / self.rounds.len().max(1) as f64
    }

    fn delivered_per_s(&self) -> f64 {
        self.received() / self.sum(|round| round.seconds).max(1e-9)
    }

    /// How far apart the rounds are: what a difference must exceed to mean something.
    fn spread_percent(&self) -> f64 {
        let rate = |round: &Round| round.account.received as f64 / round.seconds.max(1e-9);
        let (mut least, mut most) = (f64::MAX, 0.0_f64);
        for rate in self.rounds.iter().map(rate) {
            (least, most) = (least.min(rate), most.max(rate));
        }
        (most - least) / self.delivered_per_s() * 100.0
    }
}

/// Of the relay, the plain relay, and of tidings if it was measured.
fn report(bench: &mut Bench<'_>, totals: &[Totals]) {
    let mut line = |name, compared: bool, of: &dyn Fn(&Totals) -> f64| {
        let [relay, plain, tidings] = [0, 1, 2].map(|nth| totals.get(nth).map(of));
        bench.figures(name, relay, plain, tidings, compared);
    };
    line("delivered_per_s", true, &Totals::delivered_per_s);
    line("spread_percent", false, &Totals::spread_percent);
    line("cpu_us_per_delivery", true, &|all| all.sum(|round| round.server_cpu_us) / all.received());
    let workers = |all: &Totals| all.sum(|round| round.worker_cpu_us) / all.received();
    line("workers_cpu_us_per_delivery", false, &workers);
    line("redis_cpu_us_per_delivery", false, &|all| {
        all.sum(|round| round.redis_cpu_us) / all.received()
    });
    line("load_cpu_us_per_event", false, &|all| {
        all.sum(|round| round.published.cpu_us) / all.received()
    });
    line("receiver_cpu_us_per_delivery", false, &|all| {
        all.sum(|round| round.receiver_cpu_us) / all.received()
    });
    line("answer_p50_us", false, &|all| all.mean(|round| round.published.answer_p50_us));
    line("answer_p99_us", false, &|all| all.mean(|round| round.published.answer_p99_us));
    line("asked_to_retry", false, &|all| all.sum(|round| round.published.retried as f64));
    line("duplicates", false, &|all| all.sum(|round| round.account.duplicates as f64));
    line("missing", false, &|all| all.sum(|round| round.missing() as f64));
}
