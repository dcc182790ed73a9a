//! `tidings serve --worker` without a database: sends what the owners of shards release, and nothing else.
//!
//! It keeps nothing and needs no store, so any number of them runs on any machine that reaches Redis and
//! the receivers. Operators and their tools find it at the address that it listens on.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};
use tidings_core::limits::WORKER_CAPACITY;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::assemble::sender;
use crate::clock::Clock;
use crate::config::Settings;
use crate::http_server::{self, HttpServer};
use crate::metrics::Metrics;
use crate::spread::{Ends, Means, Ready, Redis};

/// A worker that runs.
#[derive(Debug)]
pub struct WorkerOnly {
    settings: Settings,
    ends: Ends,
    http: HttpServer,
    stop: watch::Sender<bool>,
    /// Address and port for operators.
    pub address: SocketAddr,
}

/// What its answers are made of.
#[derive(Debug, Clone)]
struct Shown {
    ready: Ready,
    metrics: Arc<Metrics>,
    stopping: watch::Receiver<bool>,
}

impl WorkerOnly {
    /// Joins the workers, and listens.
    pub async fn start(settings: Settings, clock: Clock) -> Result<Self> {
        let (redis, key) = settings.redis.clone().zip(settings.secret_key).context(MISSING)?;
        let redis = redis.look().await?;
        let egress = Arc::new(settings.egress.clone());
        let sender = sender(&settings, Arc::clone(&egress))?;
        let metrics = Arc::new(Metrics::new());
        let means = Means { sender, egress, clock, metrics: Arc::clone(&metrics) };
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("cannot listen on {}", settings.listen))?;
        let address = listener.local_addr()?;
        say(&settings, &redis);
        let ends = Ends::open(redis, key, means, None).await;
        let (stop, stopping) = watch::channel(false);
        tokio::spawn(Arc::clone(&metrics).keep_up(stopping.clone()));
        let router = router(Shown { ready: ends.ready(), metrics, stopping });
        let http = http_server::start(listener, move |request| {
            let answer = router.clone().oneshot(request);
            async { answer.await.unwrap_or_else(|never| match never {}) }
        });
        Ok(Self { settings, ends, http, stop, address })
    }

    /// True once it has begun to stop.
    #[must_use]
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Takes nothing more, finishes what is on the network within the deadline, reports it.
    pub async fn stop(mut self) {
        let deadline = self.settings.stop_deadline;
        self.stop.send_replace(true);
        self.ends.stop_taking(deadline).await;
        self.ends.close().await;
        self.http.stop(deadline / 4).await;
    }
}

/// The settings have been looked at before.
const MISSING: &str = "Missing required settings: REDIS_URL, TIDINGS_SECRET_KEY";

fn say(settings: &Settings, redis: &Redis) {
    tracing::info!(
        store = "none",
        roles = "worker",
        redis = redis.places(),
        cluster = redis.is_cluster(),
        attempts_in_flight_max = WORKER_CAPACITY,
        egress_allow = settings.egress.allow.len(),
        egress_only = settings.egress.only,
        allow_http = settings.egress.allow_http,
        "started"
    );
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/healthz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(async || (StatusCode::NOT_FOUND, "this process only sends\n"))
        .with_state(shown)
}

async fn readyz(State(shown): State<Shown>) -> Response {
    let not_ready = |why: &'static str| (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    if *shown.stopping.borrow() {
        return not_ready("stopping\n");
    }
    if !shown.ready.answers() {
        return not_ready("Redis does not answer\n");
    }
    "ok\n".into_response()
}

async fn metrics(State(shown): State<Shown>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], shown.metrics.text()).into_response()
}
