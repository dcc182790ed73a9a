//! One attempt: a request out of a delivery, a record out of its outcome.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidings_core::delivery::{Owed, Payload};
use tidings_core::direct::Direct;
use tidings_core::dispatch::{Finished, Signal};
use tidings_core::event::Event;
use tidings_core::outcome::{FailureKind, Outcome};
use tidings_core::settlement::Attempt;
use tidings_core::time::Timestamp;
use tidings_core::verdict::Rules;
use tidings_core::webhook::Webhook;
use tidings_store::ReadError;
use tidings_wire::body::{self, EventView, WebhookView};
use tidings_wire::profile::{BodyShape, Profile};
use tidings_wire::request::{self, DeliveryView};

use super::Parts;
use super::handoff::Sending;
use crate::registry::Outgoing;
use crate::sender::{Lines, Request, Sent};

/// A delivery that was given out. Whatever becomes of the task that runs it, the dispatcher hears of
/// it: a panic is a failed attempt, so no slot is lost and no poisonous delivery is tried for ever.
#[derive(Debug)]
pub(super) struct Running {
    owed: Option<Owed>,
    pub(super) parts: Arc<Parts>,
    pub(super) started_at: Timestamp,
    pub(super) revision: u32,
    /// Of a direct delivery.
    rules: Option<Arc<Rules>>,
}

impl Running {
    pub(super) fn new(owed: Owed, parts: Arc<Parts>) -> Self {
        // Signed and shown to others.
        let started_at = parts.clock.wall();
        let revision = owed.revision;
        Self { owed: Some(owed), parts, started_at, revision, rules: None }
    }

    pub(super) fn owed(&self) -> &Owed {
        self.owed.as_ref().expect("it is taken only at the end")
    }

    /// What it carries, read from the store unless it is at hand; from now on it is.
    async fn hold_payload(&mut self) -> Result<(Arc<Event>, Option<Arc<Direct>>), Unheld> {
        let owed = self.owed();
        if let Payload::Held { event, direct } = &owed.payload {
            return Ok((Arc::clone(event), direct.clone()));
        }
        let (event, direct) = Box::pin(self.read_payload()).await?;
        if let Some(owed) = &mut self.owed {
            owed.payload = Payload::Held { event: Arc::clone(&event), direct: direct.clone() };
        }
        Ok((event, direct))
    }

    async fn read_payload(&self) -> Result<(Arc<Event>, Option<Arc<Direct>>), Unheld> {
        let owed = self.owed();
        let event = self.parts.store.event(owed.event).await?;
        let event = event.ok_or(Unheld::Gone("the event is gone"))?;
        let direct = if owed.is_direct() { Some(self.read_direct().await?) } else { None };
        Ok((event, direct))
    }

    async fn read_direct(&self) -> Result<Arc<Direct>, Unheld> {
        let id = self.owed().id;
        let direct = self.parts.store.direct(id).await?;
        let mut direct = direct.ok_or(Unheld::Gone("where it goes is no longer known"))?;
        if self.parts.sealer.open_direct(id, &mut direct).is_err() {
            tracing::error!(delivery = %id, "its secrets cannot be opened");
            return Err(Unheld::Gone("its secrets cannot be opened"));
        }
        Ok(Arc::new(direct))
    }

    /// The attempt is over.
    pub(super) fn finish(mut self, signature: String, sent: Sent) {
        if let Some(owed) = self.owed.take() {
            self.report(owed, signature, sent);
        }
    }

    /// It could not be made, for a reason of our own.
    pub(super) fn give_back(mut self) {
        if let Some(owed) = self.owed.take() {
            self.parts.inbox.signal(Signal::Returned(Box::new(owed)));
        }
    }

    fn report(&self, owed: Owed, signature: String, sent: Sent) {
        let met = (&sent.outcome).into();
        let attempt = record(&owed, self.started_at, self.revision, signature, sent);
        let rules = self.rules.clone();
        let finished = Finished { met, owed, attempt, rules };
        self.parts.inbox.signal(Signal::Attempted(Box::new(finished)));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(owed) = self.owed.take()
            && std::thread::panicking()
        {
            let outcome = Outcome::failed(FailureKind::Network, "internal error");
            self.report(owed, String::new(), Sent { outcome, duration_ms: 0 });
        }
    }
}

/// Why what a delivery carries is not at hand.
enum Unheld {
    /// For good.
    Gone(&'static str),
    Unread(ReadError),
}

impl From<ReadError> for Unheld {
    fn from(error: ReadError) -> Self {
        Self::Unread(error)
    }
}

/// What an attempt has come to before its request is sent.
enum Made {
    /// A request, and the signature that it carries.
    Request(Request, String),
    /// A hand-off, with all its calls.
    HandedOver(String, Sent),
    /// It cannot be sent, now or ever.
    Unsendable(Outcome),
    /// It cannot be sent now, for a reason of our own.
    Unready,
}

/// Runs one attempt to its report.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` holds its argument twice, and this is allocated for every attempt"
)]
pub(super) fn run(mut running: Running) -> impl Future<Output = ()> + Send {
    async move {
        let (request, signature) = match running.make().await {
            Made::Request(request, signature) => (request, signature),
            Made::HandedOver(signature, sent) => return running.finish(signature, sent),
            Made::Unsendable(outcome) => {
                return running.finish(String::new(), Sent { outcome, duration_ms: 0 });
            }
            Made::Unready => return running.give_back(),
        };
        if let Some(spread) = running.spread(0, &request) {
            return Box::pin(running.release(spread, request, signature)).await;
        }
        let sent = running.parts.sender.send(&request).await;
        running.finish(signature, sent);
    }
}

impl Running {
    /// Makes the request; of a hand-off, sends them all.
    async fn make(&mut self) -> Made {
        let (event, direct) = match self.hold_payload().await {
            Ok(payload) => payload,
            Err(Unheld::Gone(why)) => {
                return Made::Unsendable(Outcome::failed(FailureKind::Unrepresentable, why));
            }
            Err(Unheld::Unread(error)) => {
                tracing::warn!(delivery = %self.owed().id, %error, "an event could not be read");
                return Made::Unready;
            }
        };
        let registry = &self.parts.registry;
        let outgoing = match &direct {
            Some(direct) => Some(registry.prepare_direct(direct, self.owed().tenant)),
            None => registry.outgoing(self.owed().lane.webhook),
        };
        // When it is gone, the dispatcher will have heard so before it gives this out again.
        let Some(outgoing) = outgoing else { return Made::Unready };
        self.revision = outgoing.webhook.revision;
        self.rules = direct.is_some().then(|| Arc::clone(&outgoing.rules));
        let shaped = match self.shape_for(&outgoing).await {
            Ok(shaped) => shaped,
            Err(error) => {
                tracing::warn!(delivery = %self.owed().id, %error, "a revision could not be read");
                return Made::Unready;
            }
        };
        if let Some(direct) = direct.as_ref().filter(|direct| direct.format.is_some()) {
            let sending = Sending { outgoing: &outgoing, shaped: &shaped, running: self };
            let handed = Box::pin(sending.hand_over(&event, direct)).await;
            return match handed {
                Some((signature, sent)) => Made::HandedOver(signature, sent),
                None => Made::Unready,
            };
        }
        let fixed = direct.as_ref().and_then(|direct| direct.fixed_body.as_ref());
        match compose(self.owed(), &event, fixed, &outgoing, &shaped, self.started_at) {
            Ok((request, signature)) => Made::Request(request, signature),
            Err(outcome) => Made::Unsendable(outcome),
        }
    }

    /// The settings that shape the body; those of an old revision are read from the store when the
    /// webhook has changed since.
    async fn shape_for(&self, outgoing: &Outgoing) -> Result<Shape, ReadError> {
        if self.owed().revision >= outgoing.webhook.shape_revision {
            return Ok(Shape::of(&outgoing.webhook, &outgoing.profile));
        }
        let old = self.parts.store.webhook_revision(outgoing.webhook.id, self.owed().revision);
        let old = Box::pin(old).await?.unwrap_or_else(|| (*outgoing.webhook).clone());
        let profile = self.parts.registry.profiles().get(&old.profile);
        Ok(Shape::of(&old, profile.unwrap_or(&outgoing.profile)))
    }
}

/// The settings that shape a body: the webhook's own, or those of the revision that the delivery was
/// planned with.
pub(crate) struct Shape {
    pub(crate) profile: Arc<Profile>,
    pub(crate) shape: BodyShape,
    pub(crate) name: Option<String>,
}

impl Shape {
    pub(crate) fn of(webhook: &Webhook, profile: &Arc<Profile>) -> Self {
        Self {
            profile: Arc::clone(profile),
            shape: webhook.body.unwrap_or(profile.body),
            name: webhook.name.clone(),
        }
    }
}

/// Builds the body, signs it and makes the request; or the outcome when it cannot be made.
fn compose(
    owed: &Owed,
    event: &Event,
    fixed_body: Option<&Bytes>,
    outgoing: &Outgoing,
    shaped: &Shape,
    now: Timestamp,
) -> Result<(Request, String), Outcome> {
    let Some(target) = &outgoing.target else {
        return Err(Outcome::failed(FailureKind::Blocked, "address not allowed"));
    };
    let event_id = event.public_id();
    let delivery_id = owed.id.to_string();
    let body = match fixed_body {
        Some(fixed) => fixed.clone(),
        None => build(owed, event, &event_id, outgoing, shaped)?,
    };
    let delivery = DeliveryView {
        event_type: &event.event_type,
        event_id: &event_id,
        event_ms: event.timestamp.as_millis(),
        webhook_id: &outgoing.public_id,
        delivery_id: &delivery_id,
        created_ms: owed.id.created_at().as_millis(),
        is_test: false,
    };
    request(outgoing, shaped, delivery, body, target, now)
}

/// The body that the profile makes of the event.
fn build(
    owed: &Owed,
    event: &Event,
    event_id: &str,
    outgoing: &Outgoing,
    shaped: &Shape,
) -> Result<Bytes, Outcome> {
    let view = EventView {
        id: event_id,
        event_type: &event.event_type,
        timestamp_ms: event.timestamp.as_millis(),
        data: &event.data,
    };
    let webhook = WebhookView { id: &outgoing.public_id, name: shaped.name.as_deref() };
    let attempt = u32::from(owed.attempts) + 1;
    let body = body::build(shaped.shape, &view, &webhook, attempt).map_err(|unrepresentable| {
        Outcome::failed(FailureKind::Unrepresentable, unrepresentable.to_string())
    })?;
    Ok(match body {
        // A raw body is the event's own bytes: shared, not copied.
        Cow::Borrowed(_) => event.data.clone(),
        Cow::Owned(bytes) => Bytes::from(bytes),
    })
}

/// Signs a body and makes the request that carries it.
pub(crate) fn request(
    outgoing: &Outgoing,
    shaped: &Shape,
    delivery: DeliveryView<'_>,
    body: Bytes,
    target: &Arc<tidings_core::egress::Target>,
    now: Timestamp,
) -> Result<(Request, String), Outcome> {
    let unsendable = |why: String| Outcome::failed(FailureKind::Unrepresentable, why);
    let signers = outgoing.signers(now);
    let headers = request::compose(&request::Attempt {
        profile: &shaped.profile,
        shape: shaped.shape,
        delivery,
        body: &body,
        custom: &outgoing.webhook.headers,
        signers: &signers,
        timestamp_s: now.as_secs(),
    })
    .map_err(|error| unsendable(error.to_string()))?;
    let (headers, signature) = lines(&headers, &shaped.profile)?;
    let request = Request {
        target: Arc::clone(target),
        method: http::Method::POST,
        headers,
        body,
        timeout: Duration::from_millis(outgoing.timeout_ms),
    };
    Ok((request, signature))
}

/// Headers as the sender takes them, and the signature among them; empty when there is none.
pub(super) fn lines(
    headers: &request::Headers<'_>,
    profile: &Profile,
) -> Result<(Lines, String), Outcome> {
    let signature_header = profile.signature.as_ref().map(|rule| rule.header.as_str());
    let mut signature = String::new();
    let bytes = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut lines = Lines::with_capacity(bytes);
    for (name, value) in headers {
        if Some(*name) == signature_header {
            signature = value.to_string();
        }
        lines.push(name, value).map_err(|unwritable| {
            Outcome::failed(FailureKind::Unrepresentable, unwritable.to_string())
        })?;
    }
    Ok((lines, signature))
}

/// What is written down of an attempt.
fn record(
    owed: &Owed,
    started_at: Timestamp,
    revision: u32,
    signature: String,
    sent: Sent,
) -> Attempt {
    let Sent { outcome, duration_ms } = sent;
    let response_status = outcome.status();
    let error = outcome.error_message().unwrap_or_default();
    let error_type = outcome.error_type().unwrap_or_default();
    let (response_headers, response_body) = match outcome {
        Outcome::Answered(answer) => (answer.headers.into_text(), answer.body),
        Outcome::Failed(_) => (String::new(), String::new()),
    };
    Attempt {
        number: owed.attempts + 1,
        started_at,
        duration_ms,
        revision,
        signature,
        response_status,
        response_headers,
        response_body,
        error,
        error_type,
    }
}
