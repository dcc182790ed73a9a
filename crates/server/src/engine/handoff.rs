//! Handing a lead over: the calls of its format, one after the other, are one attempt.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::direct::Direct;
use tidings_core::event::Event;
use tidings_core::outcome::{FailureKind, Outcome};
use tidings_core::retry_after::RetryAfter;
use tidings_wire::lead::{Call, Captured, Format, Handoff, Occasion, Options, Then};
use tidings_wire::request::{self, DeliveryView};
use tidings_wire::sign::Signer;

use super::attempt::{Running, Shape, lines};
use crate::registry::Outgoing;
use crate::sender::{Request, Sent};

/// What a hand-off is made of, read from the event and from what its delivery brought along.
pub(crate) struct Material {
    pub(crate) format: Format,
    captured: Captured,
    options: Options,
    event_id: String,
    timestamp_ms: i64,
}

impl Material {
    /// `None` when it is no hand-off, or one that cannot be read any more. The secrets of `direct` must
    /// have been opened.
    pub(crate) fn read(event: &Event, direct: &Direct) -> Option<Self> {
        let format = direct.format?.0;
        Some(Self {
            format,
            captured: Captured::from_data(&event.data).ok()?,
            options: Options::read(format, direct.options.as_bytes()).ok()?,
            event_id: event.public_id().into_owned(),
            timestamp_ms: event.timestamp.as_millis(),
        })
    }

    /// What its owner calls the lead.
    pub(crate) fn lead_id(&self) -> &str {
        &self.captured.lead_id
    }

    /// The hand-off before its first call; `None` when something is missing after all.
    pub(crate) fn handoff<'a>(&'a self, url: &'a str) -> Option<Handoff<'a>> {
        let occasion = Occasion { event_id: &self.event_id, timestamp_ms: self.timestamp_ms };
        Handoff::new(self.format, &self.captured, &self.options, url, occasion).ok()
    }
}

/// The headers of a call.
pub(crate) fn headers<'a>(
    call: &'a Call,
    event: &'a Event,
    webhook: &'a tidings_core::webhook::Webhook,
    shaped: &'a Shape,
    signers: &'a [Signer],
) -> Result<request::Headers<'a>, request::ComposeError> {
    call.headers(&request::Attempt {
        profile: &shaped.profile,
        shape: shaped.shape,
        // What the profile `lead` tells in headers: the type alone.
        delivery: DeliveryView {
            event_type: &event.event_type,
            event_id: "",
            event_ms: event.timestamp.as_millis(),
            webhook_id: "",
            delivery_id: "",
            created_ms: 0,
            is_test: false,
        },
        body: call.body.as_bytes(),
        custom: &webhook.headers,
        signers,
        timestamp_s: 0,
    })
}

/// What an attempt sends with.
pub(super) struct Sending<'a> {
    pub(super) running: &'a Running,
    pub(super) outgoing: &'a Outgoing,
    pub(super) shaped: &'a Shape,
}

impl Sending<'_> {
    /// Makes the calls within one timeout, until one fails or the last has succeeded; what is told is what
    /// became of the last one made. With it comes what shows that one again: its signature, or the mark
    /// of a hand-off that is not signed. `None` when what became of a call will never be known.
    pub(super) async fn hand_over(&self, event: &Event, direct: &Direct) -> Option<(String, Sent)> {
        let material = Material::read(event, direct);
        let handoff = material.as_ref().and_then(|material| material.handoff(&direct.url));
        let Some(mut handoff) = handoff else {
            let delivery = self.running.owed().id;
            tracing::error!(%delivery, "a lead that was accepted cannot be handed over");
            return Some((String::new(), failed("the lead cannot be handed over", 0)));
        };
        let mut spent_ms = 0_u32;
        for number in 0.. {
            let call = handoff.call();
            let (request, signature) = match self.request(&call, event, spent_ms) {
                Ok(request) => request,
                Err(outcome) => {
                    return Some((handoff.mark(), Sent { outcome, duration_ms: spent_ms }));
                }
            };
            let (Sent { mut outcome, duration_ms }, body) =
                self.running.call(&request, number).await?;
            spent_ms = spent_ms.saturating_add(duration_ms);
            let mark = if signature.is_empty() { handoff.mark() } else { signature };
            if let Outcome::Answered(answer) = &mut outcome {
                match handoff.answered(answer.status, &body) {
                    Then::Next => continue,
                    Then::Done => {}
                    Then::Failed => {
                        let asked = handoff.wait_s(&body).map(RetryAfter::Seconds);
                        answer.retry_after = answer.retry_after.or(asked);
                    }
                    Then::Rejected(why) => answer.objection = Some(why.into()),
                }
            }
            return Some((mark, Sent { outcome, duration_ms: spent_ms }));
        }
        None
    }

    fn request(
        &self,
        call: &Call,
        event: &Event,
        spent_ms: u32,
    ) -> Result<(Request, String), Outcome> {
        // A call's address is its own; the guard judges it like any other.
        let target = self.running.parts.registry.egress().parse_url(&call.url);
        let target =
            target.map_err(|_| Outcome::failed(FailureKind::Blocked, "address not allowed"))?;
        let signers = self.outgoing.signers(self.running.started_at);
        let composed = headers(call, event, &self.outgoing.webhook, self.shaped, &signers);
        let composed = composed
            .map_err(|error| Outcome::failed(FailureKind::Unrepresentable, error.to_string()))?;
        let (headers, signature) = lines(&composed, &self.shaped.profile)?;
        let left_ms = self.outgoing.timeout_ms.saturating_sub(u64::from(spent_ms));
        let request = Request {
            target: Arc::new(target),
            method: if call.method == "PUT" { http::Method::PUT } else { http::Method::POST },
            headers,
            body: call.body.clone().into(),
            timeout: Duration::from_millis(left_ms),
        };
        Ok((request, signature))
    }
}

fn failed(why: &'static str, duration_ms: u32) -> Sent {
    Sent { outcome: Outcome::failed(FailureKind::Unrepresentable, why), duration_ms }
}
