//! The second yardstick: a relay as one writes it in an afternoon. axum on one runtime of several threads, a
//! task for each delivery, and `hyper-util`'s pooled client.

use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;

use super::relay::{RelayArgs, take_each};
use crate::net::{Target, processors};

pub fn run(args: &RelayArgs) -> Result<()> {
    let listener = args.listen.open("relay")?;
    listener.set_nonblocking(true)?;
    let threads = args.listen.threads.unwrap_or_else(processors).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let relay = Arc::new(Relay::new(args));
        let app = Router::new().fallback(post(accept)).with_state(relay);
        Ok(axum::serve(listener, app).await?)
    })
}

#[derive(Debug)]
struct Relay {
    client: Client<HttpConnector, Full<Bytes>>,
    target: Target,
    /// As many deliveries at once as the other relay has connections.
    permits: Semaphore,
}

impl Relay {
    fn new(args: &RelayArgs) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let permits = Semaphore::new(args.connections);
        Self { client, target: args.target.clone(), permits }
    }

    /// What fails is lost, as the receiver will show: this stores nothing.
    async fn deliver(self: Arc<Self>, body: Bytes) {
        let Ok(_permit) = self.permits.acquire().await else { return };
        let request = Request::post(format!("http://{}{}", self.target.host, self.target.path))
            .header("content-type", "application/json")
            .body(Full::new(body))
            .expect("the target was a URL");
        if let Ok(answer) = self.client.request(request).await {
            // Read to its end, so that the connection is used again.
            drop(answer.into_body().collect().await);
        }
    }
}

async fn accept(State(relay): State<Arc<Relay>>, body: Bytes) -> StatusCode {
    let taken = take_each(&body, |body| drop(tokio::spawn(Arc::clone(&relay).deliver(body))));
    if taken { StatusCode::ACCEPTED } else { StatusCode::BAD_REQUEST }
}
