//! The parts of a server, made from its settings: the store is opened, and what is kept of it in memory is
//! read. Nothing runs yet but what takes requests of others from Redis.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tidings_core::egress::EgressPolicy;
use tidings_core::id::IdSource;
use tidings_core::webhook::Webhook;
use tidings_store::catalogue::webhooks::WebhookRecord;
use tidings_store::nodes::Member;
use tidings_store::{Committed, Store};
use tokio::sync::mpsc;

use crate::api::auth::{KeyEntry, Keyring, Scope, hash};
use crate::clock::Clock;
use crate::config::Settings;
use crate::engine::{Inbox, Input, Parts};
use crate::live::{Live, Told};
use crate::metrics::Metrics;
use crate::nodes::name::Name;
use crate::nodes::{Membership, catalogue};
use crate::profiles::Profiles;
use crate::registry::Registry;
use crate::seal::Sealer;
use crate::secret_key;
use crate::sender::{Sender, SenderConfig};
use crate::serve::load_keys;
use crate::spread::{Ends, Means};

/// All that runs is made of.
pub(crate) struct Assembled {
    pub(crate) parts: Arc<Parts>,
    /// The other end of the engine's inbox.
    pub(crate) inputs: mpsc::UnboundedReceiver<Input>,
    /// What live streams are told.
    pub(crate) told: Told,
    pub(crate) name: Option<Name>,
    /// Shards in which nothing is given out any more.
    pub(crate) drained: mpsc::UnboundedReceiver<u8>,
    pub(crate) ends: Option<Ends>,
}

pub(crate) async fn assemble(settings: &Settings, clock: Clock) -> Result<Assembled> {
    let (inbox, inputs) = Inbox::new();
    let (live, told) = Live::new();
    let name = settings.database_url.is_some().then(|| Name::of(&settings.data_dir));
    let name = name.transpose()?;
    let store = open_store(settings, name.as_ref(), &clock, &inbox, &live)?;
    let secret_key = secret_key::of(settings)?;
    let sealer = Sealer::new(secret_key.bytes);
    // Before what it counts is read: what changes meanwhile is read again.
    let version = catalogue::Version::new(store.catalogue_version().await?);
    let keyring = Arc::new(Keyring::default());
    if let Some(admin_key) = &settings.admin_key {
        let entry = KeyEntry { id: None, tenant: None, scopes: Scope::ALL.to_vec() };
        keyring.put(hash(admin_key), entry);
    }
    load_keys(&store, &keyring).await?;
    refuse_open_doors(settings, &keyring)?;
    let (membership, drained) = Membership::new(store.tenure());
    let egress = Arc::new(settings.egress.clone());
    let webhooks = load_webhooks(&store, &sealer).await;
    let webhooks = secret_key.explain(webhooks, &settings.data_dir)?;
    secret_key.keep(&settings.data_dir)?;
    miss_profiles(&webhooks, &settings.profiles);
    let registry = Registry::new(settings.profiles.clone(), Arc::clone(&egress), webhooks);
    let sender = sender(settings, Arc::clone(&egress))?;
    let metrics = Arc::new(Metrics::new());
    let means = Means { sender, egress, clock, metrics };
    let ends = join_redis(settings, secret_key.bytes, &means, &inbox).await?;
    let parts = Arc::new(Parts {
        ids: Arc::new(IdSource::new(store.node(), store.largest_id().await?)),
        keyring,
        catalogue: version,
        membership,
        registry: Arc::new(registry),
        sealer,
        sender: means.sender,
        spread: ends.as_ref().and_then(|ends| ends.owner.clone()),
        metrics: means.metrics,
        clock: means.clock,
        inbox,
        live,
        store,
    });
    Ok(Assembled { parts, inputs, told, name, drained, ends })
}

/// A node that only serves the API sends nothing but tests, and has no use of Redis.
async fn join_redis(
    settings: &Settings,
    secret_key: [u8; 32],
    means: &Means,
    inbox: &Inbox,
) -> Result<Option<Ends>> {
    let Some(redis) = settings.redis.clone().filter(|_| settings.roles.worker) else {
        return Ok(None);
    };
    let redis = redis.look().await?;
    Ok(Some(Ends::open(redis, secret_key, means.clone(), Some(inbox.clone())).await))
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
        Some((url, name)) => {
            let (name, owns) = (name.as_str().to_owned(), settings.roles.worker);
            Store::open_postgres(url, Member { name, owns }, clock.as_fn(), told)?
        }
        None => Store::open_sqlite(&settings.data_dir, clock.as_fn(), told)?,
    })
}

pub(crate) fn sender(settings: &Settings, egress: Arc<EgressPolicy>) -> Result<Sender> {
    let mut config = SenderConfig::new(egress);
    if let Some(path) = &settings.extra_ca_file {
        let pem =
            std::fs::read(path).with_context(|| format!("egress.ca_file {}", path.display()))?;
        config.extra_ca_pem = Some(pem);
    }
    Ok(Sender::new(config)?)
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
