//! `tidings serve`: puts the parts together, runs them, takes them apart.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tidings_core::direct::is_lane;
use tidings_core::dispatch::{Limits, Signal};
use tidings_core::id::IdSource;
use tidings_core::leases::Terms;
use tidings_core::webhook::Webhook;
use tidings_store::catalogue::webhooks::WebhookRecord;
use tidings_store::{Committed, Control, ReadError, Store};
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
use crate::nodes::follow::Follower;
use crate::nodes::keep::Keeper;
use crate::nodes::name::Name;
use crate::nodes::{Membership, catalogue};
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
    /// Of this node among others.
    keeper: Option<Keeper>,
    /// Nobody else may use it meanwhile.
    _name: Option<Name>,
    stop: watch::Sender<bool>,
    /// Address and port that it listens on.
    pub address: std::net::SocketAddr,
}

impl Server {
    /// Opens the store, restores what was owed, starts sending and listens.
    pub async fn start(settings: Settings, clock: Clock) -> Result<Self> {
        let (inbox, inputs) = Inbox::new();
        let (live, told) = Live::new();
        let name = settings.database_url.is_some().then(|| Name::of(&settings.data_dir));
        let name = name.transpose()?;
        let store = open_store(&settings, name.as_ref(), &clock, &inbox, &live)?;
        let sealer = Sealer::new(secret_key::of(&settings)?);
        // Before what it counts is read: what changes meanwhile is read again.
        let version = catalogue::Version::new(store.catalogue_version().await?);
        let keyring = Arc::new(Keyring::default());
        if let Some(admin_key) = &settings.admin_key {
            let entry = KeyEntry { id: None, tenant: None, scopes: Scope::ALL.to_vec() };
            keyring.put(hash(admin_key), entry);
        }
        load_keys(&store, &keyring).await?;
        refuse_open_doors(&settings, &keyring)?;
        let tenure = store.tenure();
        let (membership, drained) = Membership::new(tenure.clone());
        let egress = Arc::new(settings.egress.clone());
        let webhooks = load_webhooks(&store, &sealer).await?;
        miss_profiles(&webhooks, &settings.profiles);
        let registry = Registry::new(settings.profiles.clone(), Arc::clone(&egress), webhooks);
        let parts = Arc::new(Parts {
            ids: Arc::new(IdSource::new(store.node(), store.largest_id().await?)),
            keyring: Arc::clone(&keyring),
            catalogue: version,
            membership,
            registry: Arc::new(registry),
            sealer: sealer.clone(),
            sender: sender(&settings, egress)?,
            metrics: Arc::new(Metrics::new()),
            clock,
            inbox,
            live,
            store,
        });
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
        let terms = Terms { lease_ms: settings.lease.as_millis() as i64 };
        let follower = Follower::begin(&parts).await?;
        let keeper = match &tenure {
            Some(tenure) => {
                Some(Keeper::start(Arc::clone(&parts), Arc::clone(tenure), terms, drained).await)
            }
            None => None,
        };
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("cannot listen on {}", settings.listen))?;
        let address = listener.local_addr()?;
        let app =
            Arc::new(App::new(settings, &parts, sealer, engine.state.clone(), stopping.clone()));
        if let Some(tenure) = tenure {
            let (parts, replayer) = (Arc::clone(&parts), app.replayer.clone());
            let store = parts.store.clone();
            tokio::spawn(async move { store.keep_hinting().await });
            tokio::spawn(follower.run(parts, tenure, replayer, stopping));
        }
        let http = http_server::start(listener, Arc::clone(&app));
        Ok(Self { app, engine, http, keeper, _name: name, stop, address })
    }

    /// Accepts no more, finishes what is under way within the deadline, writes everything down.
    pub async fn stop(self) {
        let deadline = self.app.settings.stop_deadline;
        self.stop.send_replace(true);
        self.http.stop(deadline / 2).await;
        // WebSockets have left the HTTP server.
        let _ = tokio::time::timeout(deadline / 4, self.app.live.ended()).await;
        self.engine.drain(deadline).await;
        if let Some(keeper) = self.keeper {
            keeper.leave().await;
        }
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
    name: Option<&Name>,
    clock: &Clock,
    inbox: &Inbox,
    live: &Arc<Live>,
) -> Result<Store> {
    let (engine, live) = (inbox.clone(), Arc::clone(live));
    let told = Box::new(move |changes: Vec<Committed>| {
        live.tell(&changes);
        engine.tell(Input::Committed(changes));
    });
    Ok(match settings.database_url.as_deref().zip(name) {
        Some((url, name)) => Store::open_postgres(url, name.as_str(), clock.as_fn(), told)?,
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
