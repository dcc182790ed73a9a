//! `tidings serve`: puts the parts together, runs them, takes them apart.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tidings_core::direct::is_lane;
use tidings_core::dispatch::{Limits, Signal};
use tidings_core::id::IdSource;
use tidings_core::webhook::Webhook;
use tidings_store::catalogue::webhooks::WebhookRecord;
use tidings_store::{Committed, Control, Store};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::api::App;
use crate::api::auth::{KeyEntry, KeyHash, Keyring, Scope, hash};
use crate::clock::Clock;
use crate::config::Settings;
use crate::engine::{Engine, Inbox, Input, Parts};
use crate::http_server;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::profiles::Profiles;
use crate::registry::{Outgoing, Registry};
use crate::seal::Sealer;
use crate::secret_key;
use crate::sender::{Sender, SenderConfig};
use crate::sources::deadlines;

/// A server that accepts requests.
#[derive(Debug)]
pub struct Server {
    pub app: Arc<App>,
    engine: Engine,
    http: http_server::HttpServer,
    stop: watch::Sender<bool>,
    /// Address and port that it listens on.
    pub address: std::net::SocketAddr,
}

impl Server {
    /// Opens the store, restores what was owed, starts sending and listens.
    pub async fn start(settings: Settings, clock: Clock) -> Result<Self> {
        let (inbox, inputs) = Inbox::new();
        let (live, told) = Live::new();
        let store = open_store(&settings, &clock, &inbox, &live)?;
        let sealer = Sealer::new(secret_key::of(&settings)?);
        let keyring = load_keys(&store, settings.admin_key.as_deref()).await?;
        refuse_open_doors(&settings, &keyring)?;
        let egress = Arc::new(settings.egress.clone());
        let webhooks = load_webhooks(&store, &sealer).await?;
        miss_profiles(&webhooks, &settings.profiles);
        let registry = Registry::new(settings.profiles.clone(), Arc::clone(&egress), webhooks);
        let parts = Arc::new(Parts {
            ids: Arc::new(IdSource::new(0, store.largest_id().await?)),
            registry: Arc::new(registry),
            sealer: sealer.clone(),
            sender: sender(&settings, egress)?,
            metrics: Arc::new(Metrics::new()),
            clock,
            inbox,
            live,
            store,
        });
        restore_queue(&parts).await?;
        let limits = Limits { leads: settings.leads, ..Limits::default() };
        let engine = Engine::start(Arc::clone(&parts), limits, inputs);
        let (stop, stopping) = watch::channel(false);
        tokio::spawn(Arc::clone(&parts.metrics).keep_up(stopping.clone()));
        tokio::spawn(Arc::clone(&parts.live).run(told, stopping.clone()));
        tokio::spawn(deadlines::keep(Arc::clone(&parts), stopping.clone()));
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("cannot listen on {}", settings.listen))?;
        let address = listener.local_addr()?;
        let app =
            Arc::new(App::new(settings, &parts, keyring, sealer, engine.state.clone(), stopping));
        let http = http_server::start(listener, Arc::clone(&app));
        Ok(Self { app, engine, http, stop, address })
    }

    /// Accepts no more, finishes what is under way within the deadline, writes everything down.
    pub async fn stop(self) {
        let deadline = self.app.settings.stop_deadline;
        self.stop.send_replace(true);
        self.http.stop(deadline / 2).await;
        // WebSockets have left the HTTP server.
        let _ = tokio::time::timeout(deadline / 4, self.app.live.ended()).await;
        self.engine.drain(deadline).await;
        self.app.store.close().await;
    }
}

/// Says which webhooks name a profile that is not there any more.
fn miss_profiles(webhooks: &[Webhook], profiles: &Profiles) {
    for webhook in webhooks.iter().filter(|webhook| profiles.get(&webhook.profile).is_none()) {
        tracing::warn!(
            webhook = %webhook.id,
            profile = webhook.profile,
            "this profile is not configured any more: the webhook is treated as `standard`"
        );
    }
}

fn open_store(
    settings: &Settings,
    clock: &Clock,
    inbox: &Inbox,
    live: &Arc<Live>,
) -> Result<Store> {
    let (engine, live) = (inbox.clone(), Arc::clone(live));
    let told = Box::new(move |changes: Vec<Committed>| {
        live.tell(&changes);
        engine.tell(Input::Committed(changes));
    });
    Ok(match &settings.database_url {
        Some(url) => Store::open_postgres(url, clock.as_fn(), told)?,
        None => Store::open_sqlite(&settings.data_dir, clock.as_fn(), told)?,
    })
}

fn sender(settings: &Settings, egress: Arc<tidings_core::egress::EgressPolicy>) -> Result<Sender> {
    let mut config = SenderConfig::new(egress);
    if let Some(path) = &settings.extra_ca_file {
        let pem =
            std::fs::read(path).with_context(|| format!("egress.ca_file {}", path.display()))?;
        config.extra_ca_pem = Some(pem);
    }
    Ok(Sender::new(config)?)
}

async fn load_keys(store: &Store, admin_key: Option<&str>) -> Result<Keyring> {
    let keyring = Keyring::default();
    for tenant in store.tenants().await? {
        keyring.put_tenant(tenant.id);
    }
    for key in store.keys().await?.into_iter().filter(|key| key.revoked_at.is_none()) {
        let Ok(hash) = KeyHash::try_from(key.hash.as_slice()) else { continue };
        let scopes = key.scopes.split(' ').filter_map(Scope::parse).collect();
        keyring.put(hash, KeyEntry { id: Some(key.id), tenant: key.tenant, scopes });
    }
    if let Some(admin_key) = admin_key {
        let entry = KeyEntry { id: None, tenant: None, scopes: Scope::ALL.to_vec() };
        keyring.put(hash(admin_key), entry);
    }
    Ok(keyring)
}

/// Without keys anyone who can connect may do anything, so only this machine may connect.
fn refuse_open_doors(settings: &Settings, keyring: &Keyring) -> Result<()> {
    if keyring.is_locked() || settings.listen.ip().is_loopback() {
        return Ok(());
    }
    bail!(
        "Missing required settings: TIDINGS_ADMIN_KEY. Without any key the server only listens on \
         loopback, and {} is not loopback",
        settings.listen
    )
}

async fn load_webhooks(store: &Store, sealer: &Sealer) -> Result<Vec<Webhook>> {
    let records = store.webhooks().await?;
    records.into_iter().map(|record| open_secrets(record, sealer)).collect()
}

fn open_secrets(record: WebhookRecord, sealer: &Sealer) -> Result<Webhook> {
    let mut webhook = record.webhook;
    let opened = sealer.open_webhook(&mut webhook, &record.sealed);
    opened.with_context(|| format!("the secrets of {}", webhook.id))?;
    Ok(webhook)
}

/// Tells the engine of every webhook and of every lane that has rows, and ends what is owed to
/// webhooks that are gone.
async fn restore_queue(parts: &Arc<Parts>) -> Result<()> {
    let mut healths: HashMap<_, _> = parts.store.healths().await?.into_iter().collect();
    for record in parts.store.webhooks().await? {
        let id = record.webhook.id;
        if let Some(outgoing) = parts.registry.outgoing(id).filter(|o| o.webhook.active) {
            let settings = outgoing.settings(healths.remove(&id));
            parts.inbox.signal(Signal::Webhook(Box::new(settings)));
        }
    }
    let lanes = parts.store.lanes().await?;
    if !lanes.is_empty() {
        tracing::info!(lanes = lanes.len(), "resuming");
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
