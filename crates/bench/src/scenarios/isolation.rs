//! One receiver must not harm another: a healthy webhook, alone and beside one that hangs.

use anyhow::Result;

use crate::bench::{Bench, Load, Server, Types};
use crate::tidings::{DataDir, Tidings};

pub async fn run(bench: &mut Bench<'_>) -> Result<()> {
    let data = DataDir::create(bench.options, "isolation")?;
    let mut tidings = Tidings::start(bench.options, &data).await?;
    tidings.webhook(&bench.hook_url(0), "bench.event").await?;
    tidings.webhook(&bench.hang_url(), "bench.hang").await?;
    let server = Server::from(&tidings);
    let steady = Load { rate: Some(bench.options.rate), ..Load::single(bench.options.seconds()) };

    bench.progress.step("warms up");
    bench.round(&server, &Load { rate: steady.rate, ..Load::single(1.0) }).await?;
    bench.progress.step("the healthy webhook alone");
    let alone = bench.round(&server, &steady).await?;

    let queued = bench.options.queued;
    bench.progress.step(&format!("queueing {queued} deliveries on a webhook that hangs"));
    let hung = Load { types: Types::One("bench.hang"), ..Load::batches(queued, 100) };
    bench.publish(&server, &hung).await?;
    if !bench.hanging().await? {
        bench.fail("the hanging webhook was never tried, so nothing was isolated");
    }
    bench.progress.step("the healthy webhook beside it");
    let beside = bench.round(&server, &steady).await?;
    tidings.stop().await?;

    let mut line = |name, value: f64| bench.figure(name, None, Some(value));
    line("alone_p50_us", alone.account.latency_p50_us);
    line("alone_p99_us", alone.account.latency_p99_us);
    line("beside_hung_p50_us", beside.account.latency_p50_us);
    line("beside_hung_p99_us", beside.account.latency_p99_us);
    line("beside_hung_max_us", beside.account.latency_max_us);
    line("queued_on_hung", queued as f64);
    line("events", beside.account.received as f64);
    line("missing", (alone.missing() + beside.missing()) as f64);
    Ok(())
}
