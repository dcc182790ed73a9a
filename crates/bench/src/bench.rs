//! One measurement: a receiver, rounds of load through a server, and the account of each.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::api::Api;
use crate::clock;
use crate::options::Options;
use crate::process::{self, Role};
use crate::progress::Progress;
use crate::report::{Figure, Report};
use crate::roles::load::Published;
use crate::roles::receiver::Account;
use crate::tidings::Tidings;

/// What is still missing when nothing came for this long counts as lost.
const STALL: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);

/// What a scenario works with. The receiver is its own, so no scenario sees another's traffic.
#[derive(Debug)]
pub struct Bench<'a> {
    pub options: &'a Options,
    pub progress: &'a Progress,
    report: &'a mut Report,
    scenario: &'static str,
    receiver: Role,
    receiver_api: Api,
    next_seq: u64,
}

/// The name of the server that is measured.
pub const TIDINGS: &str = "tidings";
/// What helps a server.
pub const WORKER: &str = "worker";
pub const REDIS: &str = "redis";

/// A server that takes publishes: the relay or tidings.
#[derive(Debug, Clone)]
pub struct Server {
    pub name: &'static str,
    pids: Vec<u32>,
    /// What else works for it, by what it is.
    helpers: Vec<(&'static str, u32)>,
    /// Where it takes them.
    urls: Vec<String>,
}

impl From<&Tidings> for Server {
    fn from(tidings: &Tidings) -> Self {
        Self::of_nodes(std::slice::from_ref(tidings), false)
    }
}

impl Server {
    /// Several nodes that are one server; publishes go through the first, or through all of them.
    pub fn of_nodes(nodes: &[Tidings], spread: bool) -> Self {
        let through = if spread { nodes.len() } else { 1 };
        Self {
            name: TIDINGS,
            pids: nodes.iter().map(|node| node.pid).collect(),
            helpers: Vec::new(),
            urls: nodes.iter().take(through).map(|node| node.url.clone()).collect(),
        }
    }

    pub fn helped_by(&mut self, what: &'static str, pid: u32) {
        self.helpers.push((what, pid));
    }

    fn cpu_us(&self) -> Result<f64> {
        self.pids.iter().map(|&pid| process::cpu_us(pid)).sum()
    }

    fn helpers_cpu_us(&self, what: &str) -> Result<f64> {
        let of = self.helpers.iter().filter(|(helper, _)| *helper == what);
        of.map(|&(_, pid)| process::cpu_us(pid)).sum()
    }
}

/// What one round of load is made of.
#[derive(Debug, Clone)]
pub struct Load {
    pub amount: Amount,
    pub batch: u64,
    /// Open loop at this many events per second.
    pub rate: Option<f64>,
    pub types: Types,
}

#[derive(Debug, Clone, Copy)]
pub enum Amount {
    Seconds(f64),
    Events(u64),
}

#[derive(Debug, Clone, Copy)]
pub enum Types {
    One(&'static str),
    RoundRobin(u64),
}

impl Load {
    pub fn single(seconds: f64) -> Self {
        let types = Types::One("bench.event");
        Self { amount: Amount::Seconds(seconds), batch: 1, rate: None, types }
    }

    pub fn batches(events: u64, batch: u64) -> Self {
        Self { amount: Amount::Events(events), batch, ..Self::single(0.0) }
    }

    fn arguments(&self, urls: &[String], first_seq: u64, options: &Options) -> Vec<String> {
        let amount = match self.amount {
            Amount::Seconds(seconds) => format!("--seconds={seconds}"),
            Amount::Events(count) => format!("--count={count}"),
        };
        let types = match self.types {
            Types::One(name) => format!("--event-type={name}"),
            Types::RoundRobin(count) => format!("--types={count}"),
        };
        let pace = match self.rate {
            Some(rate) => format!("--rate={rate}"),
            None => format!("--batch={}", self.batch),
        };
        let more = [
            format!("--connections={}", options.connections),
            format!("--body-bytes={}", options.body_bytes),
            format!("--first-seq={first_seq}"),
            amount,
            types,
            pace,
        ];
        urls.iter().map(|url| format!("--url={url}/api/events")).chain(more).collect()
    }
}

/// What a round came to.
#[derive(Debug, Clone)]
pub struct Round {
    pub published: Published,
    pub account: Account,
    /// From the first publish to the last receipt.
    pub seconds: f64,
    pub server_cpu_us: f64,
    pub worker_cpu_us: f64,
    pub redis_cpu_us: f64,
    pub receiver_cpu_us: f64,
}

impl Round {
    pub fn missing(&self) -> u64 {
        self.published.accepted.saturating_sub(self.account.received)
    }
}

impl<'a> Bench<'a> {
    pub async fn new(
        scenario: &'static str,
        options: &'a Options,
        progress: &'a Progress,
        report: &'a mut Report,
    ) -> Result<Self> {
        let receiver = Role::start("receiver", &[]).await?;
        let receiver_api = Api::new(&receiver.url)?;
        Ok(Self { options, progress, report, scenario, receiver, receiver_api, next_seq: 0 })
    }

    pub fn hook_url(&self, number: u64) -> String {
        format!("{}/hook/{number}", self.receiver.url)
    }

    pub fn hang_url(&self) -> String {
        format!("{}/hang/0", self.receiver.url)
    }

    /// A relay in front of the receiver; it ends when the role is dropped.
    pub async fn relay(&self) -> Result<(Role, Server)> {
        self.relay_role("relay").await
    }

    /// The same of the one that is made of what is at hand.
    pub async fn plain_relay(&self) -> Result<(Role, Server)> {
        self.relay_role("plain-relay").await
    }

    async fn relay_role(&self, name: &'static str) -> Result<(Role, Server)> {
        let role = Role::start(name, &[format!("--target={}", self.hook_url(0))]).await?;
        let (pids, urls) = (vec![role.pid], vec![role.url.clone()]);
        Ok((role, Server { name, pids, helpers: Vec::new(), urls }))
    }

    pub fn figure(&mut self, name: &'static str, relay: Option<f64>, tidings: Option<f64>) {
        self.figures(name, relay, None, tidings, false);
    }

    /// A figure of all three; `ratio` when tidings over a relay says something.
    pub fn figures(
        &mut self,
        name: &'static str,
        relay: Option<f64>,
        plain_relay: Option<f64>,
        tidings: Option<f64>,
        ratio: bool,
    ) {
        let scenario = self.scenario;
        self.report.figures.push(Figure { scenario, name, relay, plain_relay, tidings, ratio });
    }

    /// Notes what must not have happened; the program then ends with 1.
    pub fn fail(&mut self, what: &str) {
        self.report.failures.push(format!("{}: {what}", self.scenario));
    }

    /// Publishes, waits until all is received, and takes the account.
    pub async fn round(&mut self, server: &Server, load: &Load) -> Result<Round> {
        self.all_settled(server).await?;
        self.reset().await?;
        let server_before = server.cpu_us()?;
        let helpers_before = [WORKER, REDIS].map(|what| server.helpers_cpu_us(what));
        let receiver_before = process::cpu_us(self.receiver.pid)?;
        let published = self.publish(server, load).await?;
        let account = self.received(published.accepted).await?;
        let receiver_cpu_us = process::cpu_us(self.receiver.pid)? - receiver_before;
        // Work that a server puts off until it is idle belongs to the deliveries that caused it,
        // and must not run beside the next round.
        self.all_settled(server).await?;
        let [workers_before, redis_before] = helpers_before;
        let round = Round {
            seconds: clock::between_ns(published.first_sent_ns, account.last_ns) as f64 / 1e9,
            server_cpu_us: server.cpu_us()? - server_before,
            worker_cpu_us: server.helpers_cpu_us(WORKER)? - workers_before?,
            redis_cpu_us: server.helpers_cpu_us(REDIS)? - redis_before?,
            receiver_cpu_us,
            published,
            account,
        };
        self.check(server, &round);
        Ok(round)
    }

    fn check(&mut self, server: &Server, round: &Round) {
        let name = server.name;
        if round.missing() > 0 {
            let (missing, accepted) = (round.missing(), round.published.accepted);
            self.fail(&format!("{name} lost {missing} of {accepted} accepted events"));
        }
        if round.account.unmarked > 0 {
            let unmarked = round.account.unmarked;
            self.fail(&format!("{name} sent {unmarked} requests without the event's data"));
        }
    }

    /// Publishes without waiting for receipt. A refused publish is a failure of the scenario.
    pub async fn publish(&mut self, server: &Server, load: &Load) -> Result<Published> {
        let arguments = load.arguments(&server.urls, self.next_seq, self.options);
        let output = process::run_role("load", &arguments).await?;
        let published: Published =
            serde_json::from_slice(&output).context("not the load's JSON")?;
        self.next_seq += published.accepted + published.failed;
        if published.failed > 0 {
            let reason = published.first_failure.as_deref().unwrap_or("for no known reason");
            let failed = published.failed;
            self.fail(&format!("{} did not take {failed} events: {reason}", server.name));
        }
        Ok(published)
    }

    /// Starts the account anew, with the numbers that are published next.
    pub async fn reset(&mut self) -> Result<()> {
        let path = format!("/bench/reset?base={}", self.next_seq);
        self.receiver_api.post(&path, "").await?;
        Ok(())
    }

    pub async fn account(&mut self) -> Result<Account> {
        self.receiver_api.get("/bench/account").await
    }

    /// Waits until `expected` events are received, or nothing has come for a while.
    async fn received(&mut self, expected: u64) -> Result<Account> {
        let mut account = self.account().await?;
        let mut progressed = clock::instant();
        while account.received < expected && progressed.elapsed() < STALL {
            tokio::time::sleep(POLL).await;
            let newer = self.account().await?;
            if newer.received > account.received {
                progressed = clock::instant();
            }
            account = newer;
        }
        Ok(account)
    }

    /// Waits until the receiver leaves a request without an answer.
    pub async fn hanging(&mut self) -> Result<bool> {
        let started = clock::instant();
        while started.elapsed() < STALL {
            if self.account().await?.hung > 0 {
                return Ok(true);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(false)
    }

    async fn all_settled(&self, server: &Server) -> Result<()> {
        for &pid in &server.pids {
            self.settled(pid).await?;
        }
        Ok(())
    }

    /// Waits until a process is quiet: at most one tick (10 ms) of CPU in 300 ms.
    pub async fn settled(&self, pid: u32) -> Result<()> {
        let started = clock::instant();
        let mut before = process::cpu_us(pid)?;
        while started.elapsed() < STALL {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = process::cpu_us(pid)?;
            if now - before <= 10_000.0 {
                break;
            }
            before = now;
        }
        Ok(())
    }
}
