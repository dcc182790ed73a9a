//! Figures for `/metrics`, in Prometheus' text format. No tenant or webhook labels: their figures are
//! in the API, and labels without bound would be the end of the monitoring system.

mod leads;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tidings_core::delivery::Status;
use tidings_core::direct::Kind;
use tidings_core::settlement::{Settlement, Verdict};
use tidings_store::Connections;

use tokio::sync::watch;

use crate::engine::EngineState;
use leads::LeadFigures;
pub use leads::LeadWork;

/// Handles to every figure; made once, cheap to count with.
pub struct Metrics {
    handle: PrometheusHandle,
    pub events_accepted: Counter,
    pub deliveries_planned: Counter,
    attempts: Counter,
    attempts_failed: Counter,
    retries: Counter,
    ended: Vec<(Status, Counter)>,
    attempt_seconds: Histogram,
    in_flight: Gauge,
    unsettled: Gauge,
    held_rows: Gauge,
    held_bytes: Gauge,
    live_listeners: Gauge,
    /// Live streams that were ended because their listener was too slow.
    pub live_dropped: Counter,
    connections: Gauge,
    connections_max: Gauge,
    shards: Gauge,
    nodes: Gauge,
    pub http_requests: Vec<(u16, Counter)>,
    pub commit_refused: Counter,
    /// Requests handed to workers, and those of them that nobody replied to.
    pub released: Counter,
    pub releases_lost: Counter,
    /// Workers that this owner counts on; 0 while it sends by itself.
    pub workers: Gauge,
    /// As a worker: requests taken, those of them that had waited for too long, those on the network.
    pub requests_taken: Counter,
    pub requests_dropped: Counter,
    pub requests_in_flight: Gauge,
    lead_attempts: Counter,
    leads_ended: Vec<(Status, Counter)>,
    /// The same by tenant, for the API.
    pub leads: LeadFigures,
}

const METADATA: Metadata<'static> = Metadata::new("tidings", Level::INFO, None);
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
const ATTEMPT_BUCKETS: [f64; 10] = [0.002, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0];

impl Metrics {
    /// Figures of one server; several may live in one process.
    #[must_use]
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&ATTEMPT_BUCKETS)
            .expect("the buckets are not empty")
            .build_recorder();
        describe(&recorder);
        let counter =
            |name: &'static str| recorder.register_counter(&Key::from_name(name), &METADATA);
        let gauge = |name: &'static str| recorder.register_gauge(&Key::from_name(name), &METADATA);
        let labelled = |name: &'static str, key: &'static str, value: String| {
            let key = Key::from_parts(name, vec![Label::new(key, value)]);
            recorder.register_counter(&key, &METADATA)
        };
        let by_end = |name: &'static str| {
            let ends = Status::ALL.into_iter().filter(|status| status.is_final());
            ends.map(|status| (status, labelled(name, "status", status.as_str().into()))).collect()
        };
        let classes = [2_u16, 4, 5].into_iter().map(|class| {
            (class, labelled("tidings_http_requests_total", "class", format!("{class}xx")))
        });
        let attempt_seconds = Key::from_name("tidings_attempt_seconds");
        let version = vec![Label::new("version", env!("CARGO_PKG_VERSION"))];
        recorder
            .register_gauge(&Key::from_parts("tidings_build_info", version), &METADATA)
            .set(1.0);
        Self {
            events_accepted: counter("tidings_events_accepted_total"),
            deliveries_planned: counter("tidings_deliveries_planned_total"),
            attempts: counter("tidings_attempts_total"),
            attempts_failed: counter("tidings_attempts_failed_total"),
            retries: counter("tidings_retries_scheduled_total"),
            ended: by_end("tidings_deliveries_ended_total"),
            attempt_seconds: recorder.register_histogram(&attempt_seconds, &METADATA),
            in_flight: gauge("tidings_attempts_in_flight"),
            unsettled: gauge("tidings_deliveries_unsettled"),
            held_rows: gauge("tidings_queue_rows_in_memory"),
            held_bytes: gauge("tidings_queue_payload_bytes_in_memory"),
            live_listeners: gauge("tidings_live_listeners"),
            live_dropped: counter("tidings_live_dropped_total"),
            connections: gauge("tidings_database_connections"),
            connections_max: gauge("tidings_database_connections_max"),
            shards: gauge("tidings_shards"),
            nodes: gauge("tidings_nodes"),
            http_requests: classes.collect(),
            commit_refused: counter("tidings_writes_refused_total"),
            released: counter("tidings_releases_total"),
            releases_lost: counter("tidings_releases_lost_total"),
            workers: gauge("tidings_workers"),
            requests_taken: counter("tidings_worker_requests_total"),
            requests_dropped: counter("tidings_worker_requests_dropped_total"),
            requests_in_flight: gauge("tidings_worker_requests_in_flight"),
            lead_attempts: counter("tidings_lead_attempts_total"),
            leads_ended: by_end("tidings_lead_deliveries_ended_total"),
            leads: LeadFigures::default(),
            handle: recorder.handle(),
        }
    }

    /// Counts what a settlement says.
    pub fn settled(&self, settlement: &Settlement) {
        if let Some(attempt) = &settlement.attempt {
            self.attempts.increment(1);
            self.attempt_seconds.record(f64::from(attempt.duration_ms) / 1_000.0);
            if !attempt.error.is_empty() {
                self.attempts_failed.increment(1);
            }
        }
        match settlement.verdict {
            Verdict::Retry { .. } => self.retries.increment(1),
            Verdict::End { status, .. } => count_end(&self.ended, status),
        }
        if settlement.owed.lane.direct().is_some_and(|lane| lane.kind == Kind::Lead) {
            self.lead_settled(settlement);
        }
    }

    fn lead_settled(&self, settlement: &Settlement) {
        let attempted = settlement.attempt.is_some();
        self.lead_attempts.increment(u64::from(attempted));
        if let Verdict::End { status, .. } = settlement.verdict {
            count_end(&self.leads_ended, status);
            let attempts = settlement.owed.attempts + u16::from(attempted);
            let (tenant, at) = (settlement.owed.tenant, settlement.settled_at);
            self.leads.ended(tenant, status == Status::Success, attempts, at);
        }
    }

    /// Counts an answer of the API by the class of its status.
    pub fn answered(&self, status: u16) {
        let class = self.http_requests.iter().find(|(class, _)| *class == status / 100);
        class.into_iter().for_each(|(_, counter)| counter.increment(1));
    }

    /// Folds the recorded durations into their buckets every few seconds, until the server stops: until
    /// then each takes memory, and nobody may ever ask for the figures.
    pub async fn keep_up(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(UPKEEP_EVERY);
        while !*stopping.borrow() {
            tokio::select! {
                _ = ticks.tick() => self.handle.run_upkeep(),
                changed = stopping.changed() => if changed.is_err() { return },
            }
        }
    }

    /// All figures as text, with the engine's state and the number of live streams as they are now.
    #[must_use]
    pub fn render(
        &self,
        state: &EngineState,
        listeners: usize,
        database: Option<Connections>,
        (shards, nodes): (usize, usize),
    ) -> String {
        self.shards.set(shards as f64);
        self.nodes.set(nodes as f64);
        self.live_listeners.set(listeners as f64);
        self.in_flight.set(state.in_flight as f64);
        self.unsettled.set(state.unsettled as f64);
        self.held_rows.set(state.held_rows as f64);
        self.held_bytes.set(state.held_bytes as f64);
        if let Some(Connections { open, max }) = database {
            self.connections.set(open as f64);
            self.connections_max.set(max as f64);
        }
        self.text()
    }

    /// All figures as text.
    #[must_use]
    pub fn text(&self) -> String {
        self.handle.run_upkeep();
        self.handle.render()
    }
}

fn count_end(counters: &[(Status, Counter)], status: Status) {
    let ended = counters.iter().find(|(known, _)| *known == status);
    ended.into_iter().for_each(|(_, counter)| counter.increment(1));
}

fn describe(recorder: &PrometheusRecorder) {
    let counters = [
        ("tidings_events_accepted_total", "Events accepted (committed)."),
        ("tidings_deliveries_planned_total", "Deliveries owed for accepted events."),
        ("tidings_attempts_total", "HTTP attempts."),
        ("tidings_attempts_failed_total", "HTTP attempts without success."),
        ("tidings_retries_scheduled_total", "Retries scheduled."),
        ("tidings_deliveries_ended_total", "Deliveries ended, by status."),
        ("tidings_http_requests_total", "Answers of the API, by class of status."),
        ("tidings_live_dropped_total", "Live streams ended because their listener was too slow."),
        ("tidings_lead_attempts_total", "Attempts to hand a lead over."),
        ("tidings_lead_deliveries_ended_total", "Deliveries of leads ended, by status."),
        ("tidings_writes_refused_total", "Writes refused because too much waited (503)."),
        ("tidings_releases_total", "Requests handed to workers through Redis."),
        ("tidings_releases_lost_total", "Those of them that came to nothing, and were sent again."),
        ("tidings_worker_requests_total", "Requests that this worker has taken."),
        (
            "tidings_worker_requests_dropped_total",
            "Those of them that had waited for too long, or could not be read.",
        ),
    ];
    for (name, text) in counters {
        recorder.describe_counter(name.into(), None, text.into());
    }
    let gauges = [
        ("tidings_attempts_in_flight", "Attempts on the network now."),
        ("tidings_deliveries_unsettled", "Deliveries given out and not settled."),
        ("tidings_queue_rows_in_memory", "Queue rows held in memory."),
        ("tidings_queue_payload_bytes_in_memory", "Payload bytes held in memory."),
        ("tidings_live_listeners", "Live streams open now."),
        (
            "tidings_database_connections",
            "Connections to PostgreSQL now; 0 with the embedded store.",
        ),
        ("tidings_database_connections_max", "The most that there ever are."),
        ("tidings_shards", "Of 256 shards, those whose deliveries this node attempts."),
        ("tidings_nodes", "Nodes on this database whose lease runs, this one among them."),
        ("tidings_workers", "Workers that this node counts on; 0 while it sends by itself."),
        ("tidings_worker_requests_in_flight", "Requests of others on the network now."),
        ("tidings_build_info", "The version that runs."),
    ];
    for (name, text) in gauges {
        recorder.describe_gauge(name.into(), None, text.into());
    }
    let text = "Duration of an attempt.";
    recorder.describe_histogram("tidings_attempt_seconds".into(), Some(Unit::Seconds), text.into());
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
