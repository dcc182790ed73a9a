//! A request as it was sent, put together again from what an attempt leaves behind.
//!
//! Kept of an attempt are its number, its moment, its signature and the webhook's revision; the event
//! keeps its bytes, revisions never change, and neither does what a direct delivery brought along. That
//! is all that a request is made of, so it is built again by the same code that built it for the wire,
//! and need not be stored for each attempt.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tidings_core::event::Event;
use tidings_core::id::WebhookId;
use tidings_core::settlement::Attempt;
use tidings_core::webhook::{Webhook, mask};
use tidings_store::history::deliveries::DeliveryRecord;
use tidings_wire::body::{self, EventView, WebhookView};
use tidings_wire::profile::Profile;
use tidings_wire::request::{self, DeliveryView};
use tidings_wire::sign::{MacKey, Signer};

use super::attempts::HeaderLines;
use crate::api::App;
use crate::api::problem::Result;
use crate::engine::attempt::Shape;
use crate::engine::handoff::{self, Material};

/// A request as it was sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RequestView {
    pub method: &'static str,
    /// Null when the webhook's settings of that time are no longer known.
    pub url: Option<String>,
    /// `Host` and `Content-Length` apart. The values of custom headers are masked.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub headers: HeaderLines,
    /// Its very bytes. Null when the event is no longer kept, or when no body could be built.
    pub body: Option<String>,
}

/// What the attempts of one delivery have in common.
pub(super) struct Rebuild<'a> {
    app: &'a App,
    webhook: WebhookId,
    /// What headers and bodies call the webhook and the delivery.
    webhook_text: String,
    delivery_text: String,
    created_ms: i64,
    /// Of a direct delivery that brought its body along.
    fixed_body: Option<Bytes>,
    /// Of a delivery that hands a lead over.
    material: Option<Material>,
    /// `None`: no longer kept.
    event: Option<Arc<Event>>,
    /// `None`: the webhook's settings of the planning are not known.
    shape: Option<Shape>,
    /// Of the webhook, by number.
    revisions: HashMap<u32, Option<Webhook>>,
}

impl<'a> Rebuild<'a> {
    pub(super) async fn new(app: &'a App, delivery: &DeliveryRecord) -> Result<Self> {
        let mut rebuild = Self {
            app,
            webhook: delivery.webhook,
            webhook_text: delivery.webhook.to_string(),
            delivery_text: delivery.id.to_string(),
            created_ms: delivery.id.created_at().as_millis(),
            event: app.store.event_of(delivery.tenant, delivery.event).await?.map(Arc::new),
            shape: None,
            revisions: HashMap::new(),
            fixed_body: None,
            material: None,
        };
        if delivery.direct.is_some() {
            rebuild.read_direct(delivery).await?;
        }
        if let Some(planned) = rebuild.revision(delivery.revision).await?.cloned() {
            let profile = app.registry.profiles().get_or_standard(&planned.profile);
            rebuild.shape = Some(Shape::of(&planned, profile));
        }
        Ok(rebuild)
    }

    /// A direct delivery has one revision, and no webhook that receivers are told of.
    async fn read_direct(&mut self, delivery: &DeliveryRecord) -> Result<()> {
        let mut direct = self.app.store.direct(delivery.id).await?;
        if let Some(direct) = direct.as_mut().filter(|direct| direct.format.is_some())
            && self.app.sealer.open_direct(delivery.id, direct).is_ok()
        {
            self.material = self.event.as_ref().and_then(|event| Material::read(event, direct));
        }
        let webhook = direct.as_ref().map(|direct| direct.as_webhook(delivery.tenant));
        self.revisions.insert(0, webhook);
        self.fixed_body = direct.and_then(|direct| direct.fixed_body);
        self.webhook_text.clear();
        Ok(())
    }

    async fn revision(&mut self, number: u32) -> Result<Option<&Webhook>> {
        if !self.revisions.contains_key(&number) {
            let read = self.app.store.webhook_revision(self.webhook, number).await?;
            self.revisions.insert(number, read);
        }
        Ok(self.revisions.get(&number).and_then(Option::as_ref))
    }

    /// The request of one attempt.
    pub(super) async fn request(&mut self, attempt: &Attempt) -> Result<RequestView> {
        let webhook = self.revision(attempt.revision).await?.cloned();
        let mut view = RequestView {
            method: "POST",
            url: webhook.as_ref().map(|webhook| webhook.url.clone()),
            headers: HeaderLines::default(),
            body: None,
        };
        let (Some(event), Some(shape), Some(webhook)) = (&self.event, &self.shape, webhook) else {
            return Ok(view);
        };
        if let Some(material) = &self.material {
            return Ok(call(material, event, shape, &webhook, &attempt.signature).unwrap_or(view));
        }
        if let Some(body) = self.body(event, shape, attempt.number) {
            view.headers = self.headers(event, shape, &webhook, attempt, &body);
            view.body = Some(String::from_utf8_lossy(&body).into_owned());
        }
        Ok(view)
    }

    fn body(&self, event: &Event, shape: &Shape, attempt: u16) -> Option<Vec<u8>> {
        if let Some(fixed) = &self.fixed_body {
            return Some(fixed.to_vec());
        }
        let event_id = event.public_id();
        let view = EventView {
            id: &event_id,
            event_type: &event.event_type,
            timestamp_ms: event.timestamp.as_millis(),
            data: &event.data,
        };
        let webhook = WebhookView { id: &self.webhook_text, name: shape.name.as_deref() };
        let body = body::build(shape.shape, &view, &webhook, u32::from(attempt)).ok()?;
        Some(body.into_owned())
    }

    fn headers(
        &self,
        event: &Event,
        shape: &Shape,
        webhook: &Webhook,
        attempt: &Attempt,
        body: &[u8],
    ) -> HeaderLines {
        let event_id = event.public_id();
        // Only puts the signature in its place: the one that was sent takes it.
        let stand_in = [Signer::Mac(MacKey::from_key(&[]))];
        let signed = !attempt.signature.is_empty();
        let composed = request::compose(&request::Attempt {
            profile: &shape.profile,
            shape: shape.shape,
            delivery: DeliveryView {
                event_type: &event.event_type,
                event_id: &event_id,
                event_ms: event.timestamp.as_millis(),
                webhook_id: &self.webhook_text,
                delivery_id: &self.delivery_text,
                created_ms: self.created_ms,
                is_test: false,
            },
            body,
            custom: &webhook.headers,
            signers: &stand_in,
            timestamp_s: attempt.started_at.as_secs(),
        });
        let mut headers = HeaderLines::default();
        for (name, value) in composed.unwrap_or_default() {
            match () {
                () if is_signature(&shape.profile, name) && !signed => {}
                () if is_signature(&shape.profile, name) => headers.push(name, &attempt.signature),
                () if shape.profile.owns_header(name) || shape.shape.owns_header(name) => {
                    headers.push(name, &value);
                }
                () => headers.push(name, &mask(&value)),
            }
        }
        headers
    }
}

/// The last call of a hand-off that was made. `left` is what it left behind: its signature, or the mark
/// of a hand-off that is not signed.
pub(crate) fn call(
    material: &Material,
    event: &Event,
    shape: &Shape,
    webhook: &Webhook,
    left: &str,
) -> Option<RequestView> {
    let is_signed = material.format.is_signed();
    let handoff = material.handoff(&webhook.url)?;
    let call = if is_signed { handoff.call() } else { handoff.at(left).call() };
    let mut headers = HeaderLines::default();
    for (name, value) in handoff::headers(&call, event, webhook, shape, &[]).ok()? {
        match () {
            // Not even its end, by which a key could be told from another.
            () if call.is_credential(name) => headers.push(name, "••••"),
            () if webhook.headers.iter().any(|(custom, _)| custom == name) => {
                headers.push(name, &mask(&value));
            }
            () => headers.push(name, &value),
        }
    }
    if let Some(rule) = shape.profile.signature.as_ref().filter(|_| is_signed && !left.is_empty()) {
        headers.push(&rule.header, left);
    }
    Some(RequestView { method: call.method, url: Some(call.url), headers, body: Some(call.body) })
}

fn is_signature(profile: &Profile, name: &str) -> bool {
    profile.signature.as_ref().is_some_and(|rule| rule.header.eq_ignore_ascii_case(name))
}
