//! What is measured. Each scenario starts its own receiver, relay and server, and ends them.

mod isolation;
mod latency;
mod memory;
mod throughput;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::bench::Bench;
use crate::options::Options;
use crate::progress::Progress;
use crate::report::Report;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Single publishes over many connections: deliveries per second, CPU per delivery.
    Single,
    /// The same in batches of 100.
    Batch100,
    /// 200 events per second: how long from sending to receipt, beside what one fsync costs.
    Latency,
    /// As `single`, spread over 1,000 webhooks with an event type each.
    Webhooks1000,
    /// As `single`, after a million finished deliveries.
    History,
    /// A healthy webhook at 200 events per second, alone and beside one that hangs.
    Isolation,
    /// Memory when idle and with a million pending deliveries, and the restart over them.
    Memory,
}

impl Scenario {
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Batch100 => "batch100",
            Self::Latency => "latency",
            Self::Webhooks1000 => "webhooks1000",
            Self::History => "history",
            Self::Isolation => "isolation",
            Self::Memory => "memory",
        }
    }

    /// Steps of the progress bar.
    pub fn steps(self) -> u64 {
        match self {
            Self::Single | Self::Batch100 => 9,
            Self::Latency => 5,
            Self::Webhooks1000 | Self::History => 10,
            Self::Isolation => 4,
            Self::Memory => 4,
        }
    }

    async fn measure(self, bench: &mut Bench<'_>) -> Result<()> {
        use throughput::Throughput;
        match self {
            Self::Single => throughput::run(bench, Throughput::Single).await,
            Self::Batch100 => throughput::run(bench, Throughput::Batches(100)).await,
            Self::Webhooks1000 => throughput::run(bench, Throughput::Webhooks(1_000)).await,
            Self::History => throughput::run(bench, Throughput::History).await,
            Self::Latency => latency::run(bench).await,
            // The relay knows no webhooks and keeps nothing: it has no part in these.
            Self::Isolation | Self::Memory if bench.options.relay_only => Ok(()),
            Self::Isolation => isolation::run(bench).await,
            Self::Memory => memory::run(bench).await,
        }
    }
}

/// Measures one scenario into the report. One that cannot be measured is a failure, and the others
/// are measured all the same.
pub async fn run(
    scenario: Scenario,
    options: &Options,
    progress: &mut Progress,
    report: &mut Report,
) {
    let name = scenario.name();
    progress.scenario(name, scenario.steps());
    let measured = async {
        let mut bench = Bench::new(name, options, progress, report).await?;
        scenario.measure(&mut bench).await
    };
    if let Err(error) = measured.await.with_context(|| format!("{name}: not measured")) {
        report.failures.push(format!("{error:#}"));
    }
}
