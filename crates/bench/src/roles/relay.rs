//! The yardstick: accept a POST, answer 202, POST the body on. Stores nothing and signs nothing,
//! so no webhook server on this machine can deliver faster with the same HTTP library.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::value::RawValue;

use super::Listen;
use crate::net::{self, Connection, Target};

#[derive(Debug, Args)]
pub struct RelayArgs {
    #[command(flatten)]
    pub listen: Listen,
    /// Where bodies are POSTed on to.
    #[arg(long, value_name = "URL")]
    pub target: Target,
    /// Most connections to the target.
    #[arg(long, default_value_t = 128)]
    pub connections: usize,
}

pub fn run(args: &RelayArgs) -> Result<()> {
    let listener = args.listen.open("relay")?;
    let threads = args.listen.threads.unwrap_or_else(net::processors).max(1);
    let share = (args.connections / threads).max(1);
    match net::serve(&listener, threads, || {
        let pool = Arc::new(Pool::new(args.target.clone(), share));
        move |request| accept(Arc::clone(&pool), request)
    })? {}
}

async fn accept(pool: Arc<Pool>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let mut answer = Response::default();
    if request.method() != Method::POST {
        *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return answer;
    }
    let taken = match request.into_body().collect().await {
        Ok(body) => take_each(&body.to_bytes(), |body| pool.submit(body)),
        Err(_) => false,
    };
    *answer.status_mut() = if taken { StatusCode::ACCEPTED } else { StatusCode::BAD_REQUEST };
    answer
}

/// Takes a body as it came, or each element of a batch; whether it could be read. Elements are slices of
/// what arrived, never copied.
pub fn take_each(body: &Bytes, mut take: impl FnMut(Bytes)) -> bool {
    if body.first() != Some(&b'[') {
        take(body.clone());
        return true;
    }
    let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(body) else { return false };
    for element in elements {
        take(body.slice_ref(element.get().as_bytes()));
    }
    true
}

/// The queue and the connections of one thread. Its lock is never contended: only that thread
/// takes it, and never across an await.
#[derive(Debug)]
struct Pool {
    target: Target,
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Last in, first out: the warm connections stay warm.
    idle: Vec<Connection>,
    busy: usize,
    waiting: VecDeque<Bytes>,
}

impl Pool {
    fn new(target: Target, limit: usize) -> Self {
        Self { target, limit, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(self: &Arc<Self>, body: Bytes) {
        let mut state = self.state();
        if state.busy == self.limit {
            state.waiting.push_back(body);
            return;
        }
        state.busy += 1;
        let connection = state.idle.pop();
        drop(state);
        tokio::spawn(Arc::clone(self).drain(connection, body));
    }

    /// Sends one body, then whatever waits, on one connection.
    async fn drain(self: Arc<Self>, mut connection: Option<Connection>, mut body: Bytes) {
        loop {
            connection = self.deliver(connection, body).await;
            let mut state = self.state();
            match state.waiting.pop_front() {
                Some(next) => body = next,
                None => {
                    state.busy -= 1;
                    state.idle.extend(connection);
                    return;
                }
            }
        }
    }

    /// One delivery. A broken connection is opened again once; what then fails is lost, as the
    /// receiver will show: this stores nothing.
    async fn deliver(&self, mut kept: Option<Connection>, body: Bytes) -> Option<Connection> {
        if let Some(connection) = &mut kept
            && connection.send(self.target.post(body.clone())).await.is_ok()
        {
            return kept;
        }
        let mut fresh = Connection::open(self.target.address).await.ok()?;
        fresh.send(self.target.post(body)).await.ok()?;
        Some(fresh)
    }
}
