//! A direct delivery: owed to a URL that no registered webhook names.
//!
//! A source that knows where to tell of one thing (the callback of a job, the service that takes a
//! lead) brings the URL along, with all that a webhook would have said about it. From there on such a
//! delivery is like any other: it waits in a lane, is attempted, settled, retried, given up, sent again.
//!
//! Its lane is that of its (tenant, [`Kind`], origin). The lane's id is a hash of these, so that it is
//! the same on every node and after every start without being written down anywhere.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tidings_wire::profile::BodyShape;

use crate::delivery::{Lane, Owed, Payload};
use crate::event::Event;
use crate::id::{DeliveryId, ExecutionId, JobId, LeadId, TenantId, WebhookId};
use crate::lead::LeadFormat;
use crate::retry::RetryPolicy;
use crate::time::Timestamp;
use crate::webhook::{SigningSecret, Webhook, names_only};

/// What a direct delivery brings along. Serialised without its secrets and its fixed body, as the
/// row's document.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Direct {
    /// Normalised, without userinfo.
    pub url: String,
    pub profile: String,
    /// The body shape, when it is not the profile's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyShape>,
    /// What was asked for, over the profile's.
    pub retry: RetryPolicy,
    /// Of an attempt; `None`: the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// Custom headers, in the order given. Values are secret, as those of a webhook are.
    #[serde(default, with = "names_only")]
    pub headers: Vec<(String, String)>,
    /// What it tells of, when something waits for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// How a lead is handed over, instead of a body that is built out of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<LeadFormat>,
    /// The options of that format, as JSON. A secret: it may hold the key of a service.
    #[serde(skip)]
    pub options: String,
    /// Sent as it is, instead of a body that is built out of the event: what a source fixes when the
    /// delivery is planned.
    #[serde(skip)]
    pub fixed_body: Option<Bytes>,
    #[serde(skip)]
    pub secrets: Vec<SigningSecret>,
    /// Secrets and header values as the store keeps them: sealed, and opaque to it.
    #[serde(skip)]
    pub sealed: Vec<u8>,
}

/// Shows no secret.
impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Direct")
            .field("origin", &self.origin())
            .field("profile", &self.profile)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl Direct {
    /// Scheme, host and port: what lists, logs and lanes may show of where it goes.
    #[must_use]
    pub fn origin(&self) -> &str {
        origin(&self.url)
    }

    /// The webhook that would be behind it: for what is common to both.
    #[must_use]
    pub fn as_webhook(&self, tenant: TenantId) -> Webhook {
        Webhook {
            url: self.url.clone(),
            body: self.body,
            headers: self.headers.clone(),
            retry: Some(self.retry.clone()),
            timeout_ms: self.timeout_ms,
            secrets: self.secrets.clone(),
            revision: 0,
            shape_revision: 0,
            ..Webhook::new(WebhookId::from_i64(0), tenant, &self.profile, Timestamp::default())
        }
    }

    /// Bytes that it keeps in memory, roughly.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let body = self.fixed_body.as_ref().map_or(0, Bytes::len);
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let secrets = self.options.len() + self.sealed.len();
        size_of::<Self>() + self.url.len() + headers + body + secrets
    }
}

/// Scheme, host and port of a normalised URL without userinfo.
#[must_use]
pub fn origin(url: &str) -> &str {
    let Some(host) = url.find("://").map(|at| at + 3) else { return "" };
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    &url[..end]
}

/// What a direct delivery tells of. The store finds the deliveries of a subject by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    Lead(LeadId),
    Job(JobId),
    Execution(ExecutionId),
}

impl Subject {
    /// The numbers that the store keeps: of its kind, and its id.
    #[must_use]
    pub const fn code(self) -> (i64, i64) {
        match self {
            Self::Lead(id) => (0, id.as_i64()),
            Self::Job(id) => (1, id.as_i64()),
            Self::Execution(id) => (2, id.as_i64()),
        }
    }
}

/// What is sent directly, as far as its lane's limits are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// To services that take few at once.
    Lead,
    /// Whatever else somebody asked to be called back about.
    Callback,
}

/// What the id of a lane says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectLane {
    pub kind: Kind,
    pub ordered: bool,
}

/// Above all ids that webhooks can have before 2054.
const DIRECT: i64 = 1 << 62;
const LEAD: i64 = 1;
const ORDERED: i64 = 2;

/// The lane of direct deliveries to an origin (`https://host:port`). Those with an ordering key reach
/// it one after the other; they have lanes, and limits, of their own.
///
/// SHA-256, so that nobody can choose an origin whose lane is somebody else's.
#[must_use]
pub fn lane(tenant: TenantId, kind: Kind, origin: &str, ordering_key: Option<&str>) -> Lane {
    let hash = Sha256::new().chain_update(tenant.as_i64().to_be_bytes()).chain_update(origin);
    let hash: [u8; 32] = hash.finalize().into();
    let hash = i64::from_be_bytes(*hash.first_chunk().expect("32 bytes hold 8"));
    let ordered = ordering_key.is_some();
    let mut id = (hash & (DIRECT - 1) & !(LEAD | ORDERED)) | DIRECT;
    if kind == Kind::Lead {
        id |= LEAD;
    }
    if ordered {
        id |= ORDERED;
    }
    Lane::of(WebhookId::from_i64(id), ordered, ordering_key)
}

/// Whether an id is no webhook's but that of a lane of direct deliveries.
#[must_use]
pub const fn is_lane(id: WebhookId) -> bool {
    id.as_i64() & DIRECT != 0
}

impl Lane {
    /// What its id says, when it is a lane of direct deliveries.
    #[must_use]
    pub const fn direct(self) -> Option<DirectLane> {
        if !is_lane(self.webhook) {
            return None;
        }
        let id = self.webhook.as_i64();
        let kind = if id & LEAD == 0 { Kind::Callback } else { Kind::Lead };
        Some(DirectLane { kind, ordered: id & ORDERED != 0 })
    }
}

/// An event as it is owed to a URL: to be put among the deliveries of its publication.
#[must_use]
pub fn owe(
    direct: Arc<Direct>,
    lane: Lane,
    event: &Arc<Event>,
    id: DeliveryId,
    now: Timestamp,
) -> Owed {
    let ready_at = event.deliver_at.map_or(now, |at| at.max(now));
    Owed {
        id,
        tenant: event.tenant,
        lane,
        event: event.id,
        revision: 0,
        ready_at,
        not_before: ready_at,
        expires_at: event.expires_at,
        attempts: 0,
        attempts_granted: 0,
        gate: None,
        payload: Payload::Held { event: Arc::clone(event), direct: Some(direct) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdSource;

    const TENANT: TenantId = TenantId::from_i64(1);

    #[test]
    fn a_lane_is_of_one_tenant_kind_and_origin_and_always_the_same() {
        let (a, b) = ("https://a.example:443", "https://b.example:443");
        let lanes = [
            lane(TENANT, Kind::Callback, a, None),
            lane(TENANT, Kind::Callback, b, None),
            lane(TENANT, Kind::Lead, a, None),
            lane(TENANT, Kind::Callback, a, Some("job-1")),
            lane(TenantId::from_i64(2), Kind::Callback, a, None),
        ];
        for (n, one) in lanes.iter().enumerate() {
            assert!(lanes[n + 1..].iter().all(|other| other.webhook != one.webhook));
        }
        assert_eq!(lanes[0], lane(TENANT, Kind::Callback, a, None));
        // Written down in queues: it may not change.
        assert_eq!(lanes[0].webhook.as_i64(), 8_807_667_601_943_882_636);
    }

    #[test]
    fn an_id_says_what_its_lane_may_do() {
        for kind in [Kind::Lead, Kind::Callback] {
            for key in [None, Some("k")] {
                let lane = lane(TENANT, kind, "https://a.example:443", key);
                assert_eq!(lane.direct(), Some(DirectLane { kind, ordered: key.is_some() }));
            }
        }
        let now = Timestamp::from_millis(2_500_000_000_000);
        let webhook = Lane { webhook: IdSource::new(0, 0).next(now), slot: 0 };
        assert_eq!(webhook.direct(), None);
    }

    #[test]
    fn an_origin_says_nothing_of_the_path() {
        assert_eq!(origin("https://a.example/hook/secret?x=1"), "https://a.example");
        assert_eq!(origin("http://127.0.0.1:8080/"), "http://127.0.0.1:8080");
        assert_eq!(origin("http://[::1]:8080?x"), "http://[::1]:8080");
        assert_eq!(origin("nonsense"), "");
    }

    #[test]
    fn its_document_holds_no_secret() {
        let direct = Direct {
            url: "https://a.example/x".into(),
            profile: "emp".into(),
            retry: crate::verdict::Rules::standard().policy,
            timeout_ms: None,
            headers: vec![("x-key".into(), "hidden-value".into())],
            subject: Some(Subject::Lead(LeadId::from_i64(7))),
            body: Some(BodyShape::Raw),
            format: Some(LeadFormat(crate::lead::Format::Hubspot)),
            options: r#"{"api_key":"hidden-key"}"#.into(),
            fixed_body: Some(Bytes::from_static(b"hidden-body")),
            secrets: vec![SigningSecret { text: "hidden-secret".into(), valid_until: None }],
            sealed: vec![1],
        };
        let doc = serde_json::to_string(&direct).expect("string keys");
        assert!(!doc.contains("hidden") && !format!("{direct:?}").contains("hidden"), "{doc}");
        let read: Direct = serde_json::from_str(&doc).expect("its own document");
        assert_eq!((read.url, read.subject, read.body), (direct.url, direct.subject, direct.body));
        assert_eq!(read.headers, [("x-key".to_owned(), String::new())]);
    }
}
