//! The load: publishes events, as fast as answers come (closed loop) or at a fixed rate (open loop).

mod open_loop;
mod publisher;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::marker::{EventType, Marker, Template};
use crate::net::{self, Target};
use crate::{clock, process};
use publisher::{Publisher, Tally};

#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// Where events are published, as in http://127.0.0.1:4000/api/events; connections are dealt to
    /// several in turn.
    #[arg(long = "url", value_name = "URL", required = true)]
    pub urls: Vec<Target>,
    /// A header to send with every request, as in "Authorization: Bearer …".
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Connections that publish; each waits for its answer before it publishes again.
    #[arg(long, default_value_t = 128)]
    pub connections: usize,
    /// Publish for this long.
    #[arg(long, conflicts_with = "count", required_unless_present = "count")]
    pub seconds: Option<f64>,
    /// Publish this many events.
    #[arg(long)]
    pub count: Option<u64>,
    /// Events per request; above 1 the body is a JSON array.
    #[arg(long, default_value_t = 1)]
    pub batch: u64,
    /// Events per second, whether or not answers come (open loop, one event per request).
    #[arg(long, conflicts_with = "batch")]
    pub rate: Option<f64>,
    /// Size of one event as it is published.
    #[arg(long, default_value_t = 256)]
    pub body_bytes: usize,
    /// Type of the events.
    #[arg(long, default_value = "bench.event")]
    pub event_type: String,
    /// Spread over the types bench.h0 to bench.h<N-1> instead.
    #[arg(long, value_name = "N")]
    pub types: Option<u64>,
    /// Sequence number of the first event.
    #[arg(long, default_value_t = 0)]
    pub first_seq: u64,
    /// Worker threads [default: half the processors].
    #[arg(long)]
    pub threads: Option<usize>,
}

/// What was published, as one line of JSON on standard output.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Published {
    /// Events that a 2xx took over.
    pub accepted: u64,
    /// Events whose fate is unknown or that were refused.
    pub failed: u64,
    pub first_failure: Option<String>,
    /// Requests that were sent again after a 503 or 429.
    pub retried: u64,
    pub first_sent_ns: u64,
    pub seconds: f64,
    pub answer_p50_us: f64,
    pub answer_p99_us: f64,
    pub cpu_us: f64,
}

pub fn run(args: &LoadArgs) -> Result<()> {
    let published = publish(args)?;
    println!("{}", serde_json::to_string(&published)?);
    Ok(())
}

fn publish(args: &LoadArgs) -> Result<Published> {
    ensure!(args.batch > 0 && args.connections > 0, "nothing publishes nothing");
    let headers = args.headers.iter().map(|text| parse_header(text)).collect::<Result<_>>()?;
    let tally = Arc::new(Tally::default());
    let publisher = Publisher::new(args.urls.clone(), headers, Arc::clone(&tally));
    let plan = Arc::new(Plan::new(args));
    let (started, first_sent_ns) = (clock::instant(), clock::now_ns());
    match args.rate {
        Some(rate) => net::block_on(open_loop::run(&publisher, &plan, rate))?,
        None => closed_loop(&publisher, &plan, args)?,
    }
    Ok(Published {
        first_sent_ns,
        seconds: started.elapsed().as_secs_f64(),
        cpu_us: process::cpu_us(std::process::id())?,
        ..tally.published()
    })
}

fn parse_header(text: &str) -> Result<(hyper::header::HeaderName, hyper::header::HeaderValue)> {
    let (name, value) = text.split_once(':').with_context(|| format!("no colon in {text:?}"))?;
    Ok((name.trim().parse()?, value.trim().parse()?))
}

/// Which events are still to be published, shared by all connections.
#[derive(Debug)]
struct Plan {
    template: Template,
    batch: u64,
    next: AtomicU64,
    /// The first sequence number that is not published any more.
    end: u64,
    until: Option<Instant>,
}

impl Plan {
    fn new(args: &LoadArgs) -> Self {
        let event_type = match args.types {
            Some(types) => EventType::RoundRobin(types.max(1)),
            None => EventType::One(args.event_type.clone()),
        };
        let until = args.seconds.map(|seconds| clock::instant() + Duration::from_secs_f64(seconds));
        Self {
            template: Template::new(event_type, args.body_bytes),
            batch: args.batch,
            next: AtomicU64::new(args.first_seq),
            end: args.count.map_or(u64::MAX, |count| args.first_seq + count),
            until,
        }
    }

    /// The body of the next request and how many events it holds. The time is looked at before
    /// numbers are taken: a number that was taken is sent, so none is missing.
    fn next(&self) -> Option<(Vec<u8>, u64)> {
        if self.until.is_some_and(|until| clock::instant() >= until) {
            return None;
        }
        let seq = self.next.fetch_add(self.batch, Relaxed);
        let count = self.batch.min(self.end.saturating_sub(seq));
        let first = Marker { seq, sent_ns: clock::now_ns() };
        let mut body = Vec::with_capacity(512);
        match (count, self.batch) {
            (0, _) => return None,
            (_, 1) => self.template.write_event(first, &mut body),
            _ => self.template.write_batch(first, count, &mut body),
        }
        Some((body, count))
    }
}

fn closed_loop(publisher: &Publisher, plan: &Arc<Plan>, args: &LoadArgs) -> Result<()> {
    let threads = net::threads_beside_a_server(args.threads).min(args.connections);
    let running: Vec<_> = (0..threads)
        .map(|thread| {
            let connections =
                args.connections / threads + usize::from(thread < args.connections % threads);
            let (publisher, plan) = (publisher.clone(), Arc::clone(plan));
            thread::spawn(move || net::block_on(one_thread(publisher, plan, connections)))
        })
        .collect();
    for thread in running {
        thread.join().map_err(|_| anyhow::anyhow!("a load thread panicked"))??;
    }
    Ok(())
}

async fn one_thread(publisher: Publisher, plan: Arc<Plan>, connections: usize) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (publisher, plan) = (publisher.clone(), Arc::clone(&plan));
        tasks.spawn(async move {
            let mut connection = None;
            while let Some((body, count)) = plan.next() {
                connection = publisher.publish(connection, body.into(), count).await;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task?;
    }
    Ok(())
}
