//! A store under test with its clock, its sink and the makers of what is put into it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tidings_core::delivery::{Lane, Owed, Payload, Status};
use tidings_core::direct::{self, Direct, Subject, is_lane};
use tidings_core::event::Event;
use tidings_core::id::{IdSource, LeadId, TenantId, WebhookId};
use tidings_core::publication::{Fingerprint, IdempotencyKey, PlannedEvent, Publication};
use tidings_core::settlement::{Attempt, Reason, Settlement, Verdict};
use tidings_core::time::Timestamp;
use tidings_core::verdict::Rules;
use tidings_core::webhook::{BodyShape, SigningSecret, Webhook};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{Committed, Now, OpenError, Sink, Store};

/// Opens the same store again and again.
pub trait Factory: Send + Sync {
    fn open(&self, now: Now, sink: Sink) -> Result<Store, OpenError>;
}

/// 2026-11-22, a Sunday.
const START: i64 = 1_795_305_600_000;
pub(crate) const TENANT: TenantId = TenantId::from_i64(1);
/// A wait for something that must come; only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store and what surrounds it.
pub struct World<'f> {
    factory: &'f dyn Factory,
    pub store: Store,
    told: UnboundedReceiver<Vec<Committed>>,
    accepted: UnboundedReceiver<Arc<Event>>,
    clock: Arc<AtomicI64>,
    ids: IdSource,
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("store", &self.store).finish_non_exhaustive()
    }
}

/// What the sink is told, accepted events apart from the queue's changes.
struct Told {
    changes: UnboundedReceiver<Vec<Committed>>,
    accepted: UnboundedReceiver<Arc<Event>>,
}

fn open(factory: &dyn Factory, clock: &Arc<AtomicI64>) -> (Store, Told) {
    let (tell_changes, changes) = unbounded_channel();
    let (tell_accepted, accepted) = unbounded_channel();
    let read = Arc::clone(clock);
    let now: Now = Arc::new(move || Timestamp::from_millis(read.load(Ordering::Relaxed)));
    let sink: Sink = Box::new(move |mut batch| {
        for event in batch.extract_if(.., |one| matches!(one, Committed::Accepted(_))) {
            let Committed::Accepted(event) = event else { continue };
            drop(tell_accepted.send(event));
        }
        if !batch.is_empty() {
            drop(tell_changes.send(batch));
        }
    });
    (factory.open(now, sink).expect("the store opens"), Told { changes, accepted })
}

impl<'f> World<'f> {
    pub fn new(factory: &'f dyn Factory) -> Self {
        let clock = Arc::new(AtomicI64::new(START));
        let (store, Told { changes, accepted }) = open(factory, &clock);
        let ids = IdSource::new(store.node(), 0);
        Self { factory, store, told: changes, accepted, clock, ids }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.load(Ordering::Relaxed))
    }

    pub fn advance(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }

    pub fn id<K>(&self) -> tidings_core::id::Id<K> {
        self.ids.next(self.now())
    }

    /// Drops the store without closing it, and opens it again.
    pub fn reopen(self) -> World<'f> {
        let Self { factory, store, clock, ids, .. } = self;
        drop(store);
        let (store, Told { changes, accepted }) = open(factory, &clock);
        World { factory, store, told: changes, accepted, clock, ids }
    }

    pub fn event(&self, data: &[u8]) -> Event {
        Event {
            id: self.id(),
            tenant: TENANT,
            client_id: None,
            event_type: "job.completed".into(),
            timestamp: self.now(),
            ordering_key: None,
            deliver_at: None,
            expires_at: None,
            data: data.to_vec().into(),
        }
    }

    /// What is owed to a webhook, or directly when it is the id of such a lane.
    pub fn owed(&self, event: &Arc<Event>, webhook: WebhookId) -> Owed {
        let lane = Lane { webhook, slot: 0 };
        if is_lane(webhook) {
            return direct::owe(Arc::new(brought()), lane, event, self.id(), self.now());
        }
        Owed {
            id: self.id(),
            tenant: event.tenant,
            lane,
            event: event.id,
            revision: 1,
            ready_at: self.now(),
            not_before: self.now(),
            expires_at: None,
            attempts: 0,
            attempts_granted: 0,
            gate: None,
            payload: Arc::clone(event).into(),
        }
    }

    pub fn planned(&self, event: Event, webhooks: &[WebhookId]) -> PlannedEvent {
        let event = Arc::new(event);
        let deliveries = webhooks.iter().map(|&webhook| self.owed(&event, webhook)).collect();
        let fingerprint = fingerprint(&event.data);
        PlannedEvent { event, fingerprint, deliveries }
    }

    /// One event for each of the webhooks.
    pub fn publication(&self, webhooks: &[WebhookId]) -> Publication {
        let events = vec![self.planned(self.event(b"{}"), webhooks)];
        Publication { tenant: TENANT, key: None, events }
    }

    /// One event that is owed to a lane of direct deliveries, and tells of something.
    pub fn publication_about(&self, lane: WebhookId, subject: Subject) -> Publication {
        let mut publication = self.publication(&[lane]);
        let planned = &mut publication.events[0];
        for owed in &mut planned.deliveries {
            let direct = Some(Arc::new(Direct { subject: Some(subject), ..brought() }));
            let event = Arc::clone(&planned.event);
            owed.payload = Payload::Held { event, direct };
        }
        publication
    }

    /// Publishes one event; the deliveries as they were told.
    pub async fn publish(&mut self, webhooks: &[WebhookId]) -> Vec<Owed> {
        let publication = self.publication(webhooks);
        self.store.publish(publication).await.expect("published");
        self.told_owed(webhooks.len()).await
    }

    /// The next that are told.
    pub async fn told(&mut self) -> Vec<Committed> {
        let told = tokio::time::timeout(PATIENCE, self.told.recv()).await;
        told.expect("the sink is told in time").expect("the store is open")
    }

    /// The next event that is told as accepted.
    pub async fn told_accepted(&mut self) -> Arc<Event> {
        let told = tokio::time::timeout(PATIENCE, self.accepted.recv()).await;
        told.expect("the sink is told in time").expect("the store is open")
    }

    /// Nothing has been told that was not asked for.
    pub fn nothing_told(&mut self) {
        assert!(self.told.try_recv().is_err());
    }

    /// The next `count` deliveries that became owed; nothing else may come between.
    pub async fn told_owed(&mut self, count: usize) -> Vec<Owed> {
        let mut owed = Vec::new();
        while owed.len() < count {
            for committed in self.told().await {
                match committed {
                    Committed::Owed(one) => owed.push(one),
                    other => panic!("told {other:?}"),
                }
            }
        }
        assert_eq!(owed.len(), count);
        owed
    }

    /// Settles and waits until it is told.
    pub async fn settle(&mut self, settlement: Settlement) -> Vec<Committed> {
        self.store.settle(Box::new(settlement));
        self.told().await
    }

    /// Rows of the queue that are given out.
    pub async fn rows_owed(&self) -> usize {
        let mut rows = 0;
        for summary in self.store.lanes().await.expect("read") {
            rows += self.store.page(summary.lane, 1_000_000).await.expect("read").len();
        }
        rows
    }

    pub async fn succeed(&mut self, owed: &Owed) -> Vec<Committed> {
        let settlement = self.success(owed);
        self.settle(settlement).await
    }

    pub async fn fail(&mut self, owed: &Owed) -> Vec<Committed> {
        let mut settlement = self.failure(owed, 0);
        settlement.verdict = Verdict::End { status: Status::Failed, reason: Reason::Exhausted };
        self.settle(settlement).await
    }

    /// Retries after `ms`; the row as it is told.
    pub async fn retry(&mut self, owed: &Owed, ms: i64) -> Owed {
        let settlement = self.failure(owed, ms);
        let told = self.settle(settlement).await;
        match told.as_slice() {
            [Committed::Settled { again: Some(again), .. }] => again.clone(),
            other => panic!("told {other:?}"),
        }
    }

    pub fn success(&self, owed: &Owed) -> Settlement {
        Settlement {
            owed: owed.clone(),
            attempt: Some(self.attempt(owed, 200, "")),
            verdict: Verdict::End { status: Status::Success, reason: Reason::Delivered },
            settled_at: self.now(),
            health: None,
            disable: None,
            announcements: Vec::new(),
        }
    }

    pub fn failure(&self, owed: &Owed, after_ms: i64) -> Settlement {
        let at = self.now() + after_ms;
        let verdict = Verdict::Retry { ready_at: at, not_before: at, attempts_granted: 0 };
        let attempt = Some(self.attempt(owed, 500, "HTTP 500: Internal Server Error"));
        Settlement { verdict, attempt, ..self.success(owed) }
    }

    fn attempt(&self, owed: &Owed, status: u16, error: &str) -> Attempt {
        Attempt {
            number: owed.attempts + 1,
            started_at: self.now() - 7,
            duration_ms: 7,
            revision: 1,
            signature: "v1,abc".into(),
            response_status: Some(status),
            response_headers: "content-type: text/plain\n".into(),
            response_body: format!("answer {status}"),
            error: error.into(),
            error_type: if error.is_empty() { "" } else { "http" },
        }
    }

    /// A webhook that is in no catalogue: the queue does not look.
    pub fn webhook_id(&self) -> WebhookId {
        self.id()
    }

    pub fn webhook(&self) -> Webhook {
        Webhook {
            url: "https://example.com/hook".into(),
            events: vec!["job.*".parse().expect("a pattern")],
            headers: vec![("x-key".into(), "secret-value".into())],
            ..Webhook::new(self.id(), TENANT, "standard", self.now())
        }
    }
}

/// What a direct delivery brings along, with something everywhere.
fn brought() -> Direct {
    Direct {
        url: "https://direct.example/hook?key=1".into(),
        profile: "emp".into(),
        retry: Rules::standard().policy,
        timeout_ms: Some(5_000),
        headers: vec![("x-key".into(), "secret-value".into())],
        subject: Some(Subject::Lead(LeadId::from_i64(7))),
        body: Some(BodyShape::Raw),
        format: None,
        options: String::new(),
        fixed_body: Some(bytes::Bytes::from_static(b"\0as it is")),
        secrets: vec![SigningSecret { text: "secret".into(), valid_until: None }],
        sealed: vec![1, 2, 3],
    }
}

/// Not a hash, but different for what the tests tell apart.
pub(crate) fn fingerprint(data: &[u8]) -> Fingerprint {
    let mut fingerprint = [0; 16];
    for (n, &byte) in data.iter().enumerate() {
        fingerprint[n % 16] ^= byte.wrapping_add(n as u8);
    }
    fingerprint
}

pub(crate) fn key(key: &str, body: &[u8]) -> Option<IdempotencyKey> {
    Some(IdempotencyKey { key: key.into(), fingerprint: fingerprint(body) })
}
