//! The catalogue in memory: what publishing and sending need to know of tenants and webhooks.
//!
//! A change is committed first, then put here, then answered; so whoever has the answer is served by
//! the new state. Readers take a read lock for a look-up and share immutable values.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use tidings_core::direct::Direct;
use tidings_core::dispatch::WebhookSettings;
use tidings_core::egress::{EgressPolicy, Target};
use tidings_core::fanout::Index;
use tidings_core::health::Health;
use tidings_core::id::{TenantId, WebhookId};
use tidings_core::limits::{CONCURRENCY_DEFAULT, PUBLISHED_KEYS_MAX};
use tidings_core::retry::RetryPolicy;
use tidings_core::time::Timestamp;
use tidings_core::verdict::Rules;
use tidings_core::webhook::Webhook;
use tidings_wire::ed25519::PublicKey;
use tidings_wire::keys::Keys;
use tidings_wire::profile::{BodyShape, Profile};
use tidings_wire::sign::Signer;

use crate::profiles::Profiles;

/// A webhook with all that an attempt needs, made ready once.
#[derive(Debug)]
pub struct Outgoing {
    pub webhook: Arc<Webhook>,
    /// The id as receivers see it.
    pub public_id: Box<str>,
    pub profile: Arc<Profile>,
    pub shape: BodyShape,
    /// `None` when the URL is no longer one that the policy lets be written.
    pub target: Option<Arc<Target>>,
    /// Newest first.
    signers: Vec<Signer>,
    /// The end of each one's validity.
    valid_until: Vec<Option<Timestamp>>,
    pub rules: Arc<Rules>,
    pub timeout_ms: u64,
}

impl Outgoing {
    /// Makes a webhook ready. A profile that is not configured any more gets the default's rules.
    #[must_use]
    pub fn new(webhook: Arc<Webhook>, profiles: &Profiles, egress: &EgressPolicy) -> Self {
        let profile = Arc::clone(profiles.get_or_standard(&webhook.profile));
        let policy = webhook.retry.clone().unwrap_or_else(|| RetryPolicy::from(&profile.retry));
        let rules = Rules::new(policy, &profile);
        let shape = webhook.body.unwrap_or(profile.body);
        let target = egress.parse_url(&webhook.url).ok().map(Arc::new);
        let signers = webhook.secrets.iter().flat_map(|slot| {
            let keys = Keys::parse(&slot.text).unwrap_or_default();
            keys.signers().map(|signer| (signer, slot.valid_until)).collect::<Vec<_>>()
        });
        let (signers, valid_until) = signers.unzip();
        Self {
            public_id: webhook.id.to_string().into(),
            signers,
            valid_until,
            rules: Arc::new(rules),
            timeout_ms: webhook.timeout_ms.map_or(profile.timeout_ms, u64::from),
            shape,
            target,
            profile,
            webhook,
        }
    }

    /// The keys that sign at `now`. Where a scheme has room for several signatures all valid ones
    /// sign; where it has one, the old key signs until the overlap of its rotation ends.
    #[must_use]
    pub fn signers(&self, now: Timestamp) -> Cow<'_, [Signer]> {
        if self.signers.len() <= 1 {
            return Cow::Borrowed(&self.signers);
        }
        let valid = |until: &Option<Timestamp>| until.is_none_or(|until| until > now);
        let all = self.signers.iter().zip(&self.valid_until);
        let mut signers: Vec<&Signer> =
            all.filter(|(_, until)| valid(until)).map(|(signer, _)| signer).collect();
        if !self.profile.has_room_for_several_signatures() {
            // An Ed25519 key is left over when the profile changed during a rotation.
            signers.retain(|signer| signer.mac_key().is_some());
            signers.reverse();
            signers.truncate(1);
        }
        Cow::Owned(signers.into_iter().cloned().collect())
    }

    /// What the dispatcher needs to know.
    #[must_use]
    pub fn settings(&self, health: Option<Health>) -> WebhookSettings {
        WebhookSettings {
            id: self.webhook.id,
            revision: self.webhook.revision,
            paused: self.webhook.paused,
            ordered: self.webhook.ordered,
            concurrency: self.webhook.max_concurrency.unwrap_or(CONCURRENCY_DEFAULT),
            rate_limit: self.webhook.rate_limit,
            rules: Arc::clone(&self.rules),
            health,
        }
    }
}

/// A public key that verifies what some webhook gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedKey {
    pub key: PublicKey,
    /// The end of a rotation's overlap; `None`: it is current.
    pub valid_until: Option<Timestamp>,
}

/// The Ed25519 keys among the secrets of these webhooks, each once, of the newest so many.
fn published_keys<'a>(webhooks: impl Iterator<Item = &'a Arc<Webhook>>) -> Vec<PublishedKey> {
    let secrets = webhooks.flat_map(|webhook| &webhook.secrets);
    let keys = secrets.filter(|slot| slot.text.contains("whsk_")).filter_map(|slot| {
        let key = Keys::parse(&slot.text).ok()?.ed25519?.public_key();
        Some(PublishedKey { key, valid_until: slot.valid_until })
    });
    let mut published: Vec<PublishedKey> = keys.take(PUBLISHED_KEYS_MAX).collect();
    // Of a key that several webhooks have, the current use counts, else the last end.
    published
        .sort_by_key(|it| (*it.key.as_bytes(), it.valid_until.is_some(), Reverse(it.valid_until)));
    published.dedup_by_key(|it| it.key);
    published
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Registry {
    profiles: Profiles,
    egress: Arc<EgressPolicy>,
    webhooks: RwLock<HashMap<WebhookId, Arc<Outgoing>>>,
    tenants: RwLock<HashMap<TenantId, Arc<TenantEntry>>>,
}

#[derive(Debug, Default)]
struct TenantEntry {
    index: ArcSwap<Index>,
    keys: ArcSwap<Vec<PublishedKey>>,
    webhooks: RwLock<BTreeMap<WebhookId, Arc<Webhook>>>,
}

impl Registry {
    /// A registry of these webhooks, with one index built per tenant.
    #[must_use]
    pub fn new(profiles: Profiles, egress: Arc<EgressPolicy>, webhooks: Vec<Webhook>) -> Self {
        let registry =
            Self { profiles, egress, webhooks: RwLock::default(), tenants: RwLock::default() };
        registry.load(webhooks);
        registry
    }

    #[must_use]
    pub fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    #[must_use]
    pub fn egress(&self) -> &EgressPolicy {
        &self.egress
    }

    /// The tenant's index for fan-out.
    #[must_use]
    pub fn index(&self, tenant: TenantId) -> Arc<Index> {
        self.tenant(tenant).index.load_full()
    }

    /// The public keys of the tenant's webhooks, of a rotation's old secrets too.
    #[must_use]
    pub fn published_keys(&self, tenant: TenantId) -> Arc<Vec<PublishedKey>> {
        // Anybody may ask, for any tenant: an unknown one gets no entry.
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        tenants.get(&tenant).map_or_else(Arc::default, |entry| entry.keys.load_full())
    }

    #[must_use]
    pub fn outgoing(&self, id: WebhookId) -> Option<Arc<Outgoing>> {
        self.webhooks.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Every webhook, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Outgoing>> {
        let all = self.webhooks.read().unwrap_or_else(PoisonError::into_inner);
        all.values().cloned().collect()
    }

    /// A webhook of this tenant.
    #[must_use]
    pub fn webhook(&self, tenant: TenantId, id: WebhookId) -> Option<Arc<Outgoing>> {
        self.outgoing(id).filter(|outgoing| outgoing.webhook.tenant == tenant)
    }

    /// The tenant's webhooks, newest first, those before `before`.
    #[must_use]
    pub fn list(
        &self,
        tenant: TenantId,
        before: Option<WebhookId>,
        limit: usize,
    ) -> Vec<Arc<Webhook>> {
        let entry = self.tenant(tenant);
        let webhooks = entry.webhooks.read().unwrap_or_else(PoisonError::into_inner);
        let end = before.unwrap_or(WebhookId::from_i64(i64::MAX));
        webhooks.range(..end).rev().take(limit).map(|(_, webhook)| Arc::clone(webhook)).collect()
    }

    /// A webhook made ready, not yet in place.
    #[must_use]
    pub fn prepare(&self, webhook: Webhook) -> Arc<Outgoing> {
        Arc::new(Outgoing::new(Arc::new(webhook), &self.profiles, &self.egress))
    }

    /// A direct delivery made ready: as a webhook of which receivers are told nothing.
    #[must_use]
    pub fn prepare_direct(&self, direct: &Direct, tenant: TenantId) -> Arc<Outgoing> {
        let webhook = Arc::new(direct.as_webhook(tenant));
        let outgoing = Outgoing::new(webhook, &self.profiles, &self.egress);
        Arc::new(Outgoing { public_id: "".into(), ..outgoing })
    }

    /// Puts a new webhook in place: from the next publication on it is heard.
    pub fn put(&self, outgoing: &Arc<Outgoing>) {
        self.place(outgoing, |_| true);
        self.rebuild(outgoing.webhook.tenant);
    }

    /// Puts a changed webhook in place. Nothing happens, and it says so, when a newer revision is there
    /// already or when it has been deleted: of two changes that come here in the wrong order the later
    /// one stays.
    pub fn replace(&self, outgoing: &Arc<Outgoing>) -> bool {
        let revision = outgoing.webhook.revision;
        let allowed = |there: Option<&Arc<Outgoing>>| {
            there.is_some_and(|old| old.webhook.revision <= revision)
        };
        let placed = self.place(outgoing, allowed);
        if placed {
            self.rebuild(outgoing.webhook.tenant);
        }
        placed
    }

    /// Forgets a deleted webhook.
    pub fn remove(&self, tenant: TenantId, id: WebhookId) {
        let mut all = self.webhooks.write().unwrap_or_else(PoisonError::into_inner);
        all.remove(&id);
        let entry = self.tenant(tenant);
        entry.webhooks.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        drop(all);
        self.rebuild(tenant);
    }

    /// Places many at once, with one index built per tenant.
    fn load(&self, webhooks: Vec<Webhook>) {
        let mut tenants = std::collections::HashSet::new();
        for webhook in webhooks {
            tenants.insert(webhook.tenant);
            self.place(&self.prepare(webhook), |_| true);
        }
        tenants.into_iter().for_each(|tenant| self.rebuild(tenant));
    }

    /// Places one, if what is there allows it; tells whether it did. Both maps change under the lock
    /// of the first, so that they agree.
    fn place(
        &self,
        outgoing: &Arc<Outgoing>,
        allowed: impl Fn(Option<&Arc<Outgoing>>) -> bool,
    ) -> bool {
        let webhook = Arc::clone(&outgoing.webhook);
        let mut all = self.webhooks.write().unwrap_or_else(PoisonError::into_inner);
        if !allowed(all.get(&webhook.id)) {
            return false;
        }
        all.insert(webhook.id, Arc::clone(outgoing));
        let entry = self.tenant(webhook.tenant);
        entry.webhooks.write().unwrap_or_else(PoisonError::into_inner).insert(webhook.id, webhook);
        true
    }

    /// Builds a tenant's index anew. The lock is held until it is in place, so that of two changes the
    /// later one's index stays.
    fn rebuild(&self, tenant: TenantId) {
        let entry = self.tenant(tenant);
        let webhooks = entry.webhooks.write().unwrap_or_else(PoisonError::into_inner);
        let expiring = webhooks.values().map(|webhook| {
            let after_ms = self.profiles.get_or_standard(&webhook.profile).expires_after_ms;
            (webhook.as_ref(), after_ms.and_then(|ms| i64::try_from(ms).ok()))
        });
        entry.index.store(Arc::new(Index::build(expiring)));
        entry.keys.store(Arc::new(published_keys(webhooks.values().rev())));
    }

    fn tenant(&self, tenant: TenantId) -> Arc<TenantEntry> {
        let known =
            self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned();
        known.unwrap_or_else(|| {
            let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tenants.entry(tenant).or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(revision: u32, name: &str) -> Webhook {
        let mut webhook: Webhook = serde_json::from_value(serde_json::json!({
            "shape_revision": 1, "name": name, "url": "https://example.com/", "events": ["*"],
            "profile": "standard", "active": true
        }))
        .expect("a webhook");
        (webhook.id, webhook.tenant) = (WebhookId::from_i64(7), TenantId::from_i64(1));
        webhook.revision = revision;
        webhook
    }

    #[test]
    fn the_later_of_two_changes_stays_and_what_is_deleted_stays_away() {
        let registry = Registry::new(Profiles::default(), Arc::default(), Vec::new());
        let put = |revision, name| registry.replace(&registry.prepare(webhook(revision, name)));
        assert!(!put(1, "never created"));
        registry.put(&registry.prepare(webhook(1, "one")));
        assert!(put(3, "three") && !put(2, "two") && put(3, "three again"));
        let listed = registry.list(TenantId::from_i64(1), None, 9);
        assert_eq!(listed[0].name.as_deref(), Some("three again"));
        registry.remove(TenantId::from_i64(1), WebhookId::from_i64(7));
        assert!(!put(4, "four") && registry.list(TenantId::from_i64(1), None, 9).is_empty());
    }
}
