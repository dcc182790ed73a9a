//! What waiting deliveries cost: memory, and the restart over them after a crash.

use anyhow::Result;
use serde_json::Value;

use crate::bench::{Bench, Load, Server};
use crate::tidings::{DataDir, Tidings};
use crate::{clock, process};

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let data = DataDir::create(bench.options, "memory")?;
    bench.progress.step("idle");
    let mut tidings = Tidings::start(bench.options, &data).await?;
    let webhook = tidings.webhook(&bench.hang_url(), "bench.*").await?;
    bench.settled(tidings.pid).await?;
    let idle = process::memory_mib(tidings.pid, "VmRSS")?;

    let pending = bench.options.pending();
    bench.progress.step(&format!("{pending} pending deliveries"));
    let published = bench.publish(&Server::from(&tidings), &Load::batches(pending, 100)).await?;
    bench.settled(tidings.pid).await?;
    let waiting = process::memory_mib(tidings.pid, "VmRSS")?;
    let highest = process::memory_mib(tidings.pid, "VmHWM")?;

    bench.progress.step("crash and restart");
    tidings.kill().await?;
    let killed = clock::instant();
    let mut tidings = Tidings::start(bench.options, &data).await?;
    let restart = killed.elapsed();
    bench.settled(tidings.pid).await?;
    let restarted = process::memory_mib(tidings.pid, "VmRSS")?;

    bench.progress.step("counting what was kept");
    let owed = owed(&mut tidings, &webhook).await?;
    if owed < published.accepted {
        let accepted = published.accepted;
        bench.fail(&format!("{owed} of {accepted} accepted deliveries are owed after a crash"));
    }
    tidings.stop().await?;

    let mut line = |name, value: f64| bench.figure(name, None, Some(value));
    line("rss_idle_mib", idle);
    line("rss_pending_mib", waiting);
    line("rss_highest_mib", highest);
    line("pending_deliveries", published.accepted as f64);
    line("restart_ms", restart.as_secs_f64() * 1_000.0);
    line("rss_after_restart_mib", restarted);
    line("disk_bytes_per_pending", data.bytes() as f64 / published.accepted.max(1) as f64);
    Ok(())
}

/// What the server says of its webhook: waiting for the first try, waiting for another, or ended.
async fn owed(tidings: &mut Tidings, webhook: &str) -> Result<u64> {
    let stats: Value = tidings.api.get(&format!("/api/webhooks/{webhook}/stats")).await?;
    let count = |name: &str| stats["data"][name].as_u64().unwrap_or(0);
    Ok(count("pending_deliveries") + count("retry_queue_size") + count("failed_deliveries"))
}
