//! How long from sending to receipt when there is room: a fixed rate far below the limit.

use anyhow::Result;

use crate::bench::{Bench, Load, Round, Server};
use crate::fsync;
use crate::tidings::{DataDir, Tidings};

/// Writes of the fsync probe.
const PROBES: u64 = 500;

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let data = DataDir::create(bench.options, "latency")?;
    bench.progress.step("fsync");
    let fsync = fsync::probe(data.path(), PROBES)?;
    let (_relay_process, relay) = bench.relay().await?;
    let relay = measure(bench, &relay).await?;
    let tidings = if bench.options.relay_only {
        None
    } else {
        let mut tidings = Tidings::start(bench.options, &data).await?;
        tidings.webhook(&bench.hook_url(0), "bench.*").await?;
        let round = measure(bench, &Server::from(&tidings)).await?;
        tidings.stop().await?;
        Some(round)
    };
    let mut line = |name, of: fn(&Round) -> f64| {
        bench.figure(name, Some(of(&relay)), tidings.as_ref().map(of));
    };
    line("latency_p50_us", |round| round.account.latency_p50_us);
    line("latency_p99_us", |round| round.account.latency_p99_us);
    line("latency_max_us", |round| round.account.latency_max_us);
    line("answer_p50_us", |round| round.published.answer_p50_us);
    line("answer_p99_us", |round| round.published.answer_p99_us);
    line("events", |round| round.account.received as f64);
    line("duplicates", |round| round.account.duplicates as f64);
    line("missing", |round| round.missing() as f64);
    // Of the machine, and so in the column of the limit.
    bench.figure("fsync_p50_us", Some(fsync.p50_us), None);
    bench.figure("fsync_p99_us", Some(fsync.p99_us), None);
    Ok(())
}

async fn measure(bench: &mut Bench<'_>, server: &Server) -> Result<Round> {
    let (seconds, rate) = (bench.options.seconds(), Some(bench.options.rate));
    bench.progress.step(&format!("{} warms up", server.name));
    bench.round(server, &Load { rate, ..Load::single(1.0) }).await?;
    bench.progress.step(server.name);
    bench.round(server, &Load { rate, ..Load::single(seconds * 2.0) }).await
}
