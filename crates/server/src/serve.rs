//! `tidings serve`: puts the parts together, runs them, takes them apart.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tidings_core::direct::is_lane;
use tidings_core::dispatch::{Limits, Signal};
use tidings_core::leases::{Leases, Terms};
use tidings_store::{Control, ReadError, Store};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::api::App;
use crate::api::auth::{KeyEntry, KeyHash, Keyring, Scope};
use crate::api::outer::outer;
use crate::api::router::router;
use crate::assemble::{self, Assembled};
use crate::clock::Clock;
use crate::config::Settings;
use crate::engine::{Engine, Parts};
use crate::http_server;
use crate::nodes::days;
use crate::nodes::follow::Follower;
use crate::nodes::keep::Keeper;
use crate::nodes::name::Name;
use crate::registry::Outgoing;
use crate::sources::deadlines;
use crate::spread::Ends;

/// A server that accepts requests.
#[derive(Debug)]
pub struct Server {
    pub app: Arc<App>,
    engine: Engine,
    http: http_server::HttpServer,
    /// Of this node among others.
    keeper: Option<Keeper>,
    /// At Redis.
    ends: Option<Ends>,
    /// Nobody else may use it meanwhile.
    _name: Option<Name>,
    stop: watch::Sender<bool>,
    /// Address and port that it listens on.
    pub address: std::net::SocketAddr,
}

impl Server {
    /// Opens the store, restores what was owed, starts sending and listens.
    pub async fn start(settings: Settings, clock: Clock) -> Result<Self> {
        let Assembled { parts, inputs, told, name, drained, ends } =
            assemble::assemble(&settings, clock).await?;
        let tenure = parts.store.tenure();
        introduce_webhooks(&parts).await?;
        if tenure.is_none() {
            restore_queue(&parts).await?;
        }
        let limits = Limits { leads: settings.leads, ..Limits::default() };
        let engine = Engine::start(Arc::clone(&parts), limits, inputs);
        let (stop, stopping) = watch::channel(false);
        tokio::spawn(Arc::clone(&parts.metrics).keep_up(stopping.clone()));
        tokio::spawn(Arc::clone(&parts.live).run(told, stopping.clone()));
        tokio::spawn(deadlines::keep(Arc::clone(&parts), stopping.clone()));
        let follower = Follower::begin(&parts).await?;
        let keeper = keep_lease(&parts, &settings, drained).await;
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("cannot listen on {}", settings.listen))?;
        let address = listener.local_addr()?;
        let app = Arc::new(App::new(settings, &parts, engine.state.clone(), stopping.clone()));
        if let Some(tenure) = tenure {
            let (parts, replayer) = (Arc::clone(&parts), app.replayer.clone());
            let store = parts.store.clone();
            tokio::spawn(days::keep(store.clone(), Arc::clone(&tenure), stopping.clone()));
            tokio::spawn(async move { store.keep_hinting().await });
            tokio::spawn(follower.run(parts, tenure, replayer, stopping));
        }
        let (router, outside) = (router(Arc::clone(&app)), Arc::clone(&app));
        let http = http_server::start(listener, move |request| {
            outer(Arc::clone(&outside), router.clone(), request)
        });
        Ok(Self { app, engine, http, keeper, ends, _name: name, stop, address })
    }

    /// Accepts no more, finishes what is under way within the deadline, writes everything down.
    pub async fn stop(self) {
        let deadline = self.app.settings.stop_deadline;
        self.stop.send_replace(true);
        self.http.stop(deadline / 2).await;
        // WebSockets have left the HTTP server.
        let _ = tokio::time::timeout(deadline / 4, self.app.live.ended()).await;
        let mut ends = self.ends;
        let stop_taking = async {
            if let Some(ends) = &mut ends {
                ends.stop_taking(deadline).await;
            }
        };
        tokio::join!(self.engine.drain(deadline), stop_taking);
        if let Some(ends) = ends {
            ends.close().await;
        }
        if let Some(keeper) = self.keeper {
            keeper.leave().await;
        }
        self.app.store.close().await;
    }
}

/// Begins to keep the lease of a node among others.
async fn keep_lease(
    parts: &Arc<Parts>,
    settings: &Settings,
    drained: mpsc::UnboundedReceiver<u8>,
) -> Option<Keeper> {
    let tenure = parts.store.tenure()?;
    let terms = Terms { lease_ms: settings.lease.as_millis() as i64 };
    let node = parts.store.node();
    let leases = if settings.roles.worker {
        Leases::new(node, terms)
    } else {
        Leases::without_shards(node, terms)
    };
    Some(Keeper::start(Arc::clone(parts), tenure, leases, terms, drained).await)
}

/// Puts the keys and tenants of the store in place of those that there are, but for the key of the
/// settings.
pub(crate) async fn load_keys(store: &Store, keyring: &Keyring) -> Result<(), ReadError> {
    let tenants = store.tenants().await?.into_iter().map(|tenant| tenant.id).collect();
    let valid = store.keys().await?.into_iter().filter(|key| key.revoked_at.is_none());
    let keys = valid.filter_map(|key| {
        let hash = KeyHash::try_from(key.hash.as_slice()).ok()?;
        let scopes = key.scopes.split(' ').filter_map(Scope::parse).collect();
        Some((hash, KeyEntry { id: Some(key.id), tenant: key.tenant, scopes }))
    });
    keyring.replace(tenants, keys.collect());
    Ok(())
}

/// Tells the engine of every webhook; of those of other nodes too, whose lanes it may get any time.
async fn introduce_webhooks(parts: &Arc<Parts>) -> Result<()> {
    let mut healths: HashMap<_, _> = parts.store.healths().await?.into_iter().collect();
    for outgoing in parts.registry.all().into_iter().filter(|outgoing| outgoing.webhook.active) {
        let settings = outgoing.settings(healths.remove(&outgoing.webhook.id));
        parts.inbox.signal(Signal::Webhook(Box::new(settings)));
    }
    Ok(())
}

/// Tells the engine of every lane that has rows, and ends what is owed to webhooks that are gone.
async fn restore_queue(parts: &Arc<Parts>) -> Result<()> {
    let lanes = parts.store.lanes().await?;
    if !lanes.is_empty() {
        tracing::info!(lanes = lanes.len(), "resuming");
        if let Some(spread) = &parts.spread {
            spread.inherit(0..=u8::MAX, true).await;
        }
    }
    for summary in lanes {
        let webhook = summary.lane.webhook;
        let active = |outgoing: Arc<Outgoing>| outgoing.webhook.active;
        if is_lane(webhook) || parts.registry.outgoing(webhook).is_some_and(active) {
            parts.inbox.signal(Signal::Waiting { lane: summary.lane, next: summary.next });
        } else {
            parts.store.control(Control::EndDeliveries { webhook }).await?;
        }
    }
    Ok(())
}
