//! `tidings profiles try`: the request of one attempt, made by what makes the real ones.

use anyhow::{Result, bail};
use clap::Args;
use tidings_core::event::{is_client_id, is_event_type};
use tidings_core::time::Timestamp;
use tidings_wire::body::{self, EventView, WebhookView};
use tidings_wire::keys::Keys;
use tidings_wire::profile::{BodyShape, Profile};
use tidings_wire::request::{self, DeliveryView};
use tidings_wire::sample;
use tidings_wire::sign::Signer;

use super::super::{Usage, input, output::line};
use crate::api::form::{Form, Given};
use crate::api::webhooks::fields::body_shape;
use crate::clock::Clock;
use crate::profiles::Profiles;

/// Print the request that would go out
///
/// With the same arguments and --at it is the same bytes every time. Without --event it is the test
/// delivery.
#[derive(Debug, Args)]
pub struct Try {
    /// Name of the profile
    name: String,
    /// File of an event as POST /api/events takes it; - reads standard input
    #[arg(long, value_name = "FILE")]
    event: Option<String>,
    /// The webhook's secret; @FILE reads it from a file
    #[arg(long, value_name = "SECRET", env = "TIDINGS_WEBHOOK_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Another body than the profile's, as a webhook may choose it
    #[arg(long, value_name = "SHAPE", value_parser = body_shape)]
    body: Option<BodyShape>,
    /// A header of the webhook's own, 'Name: value'; may be repeated
    #[arg(long = "header", short = 'H', value_name = "HEADER", value_parser = input::header)]
    headers: Vec<(String, String)>,
    #[arg(long, value_name = "URL", default_value = "https://example.com/webhook")]
    url: String,
    #[arg(long, value_name = "ID", default_value = "wh_1")]
    webhook_id: String,
    #[arg(long, value_name = "NAME")]
    webhook_name: Option<String>,
    #[arg(long, value_name = "ID", default_value = "dlv_1")]
    delivery_id: String,
    /// Which attempt it is, from 1
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    attempt: u32,
    /// When it is made: RFC 3339 or Unix milliseconds; now if not given
    #[arg(long, value_name = "MOMENT", value_parser = input::moment_arg)]
    at: Option<i64>,
}

/// An event, or the test in its place.
struct Told {
    id: String,
    event_type: String,
    timestamp_ms: i64,
    body: Vec<u8>,
    is_test: bool,
}

impl Try {
    pub(super) fn run(&self, profiles: &Profiles) -> Result<()> {
        let profile = &super::known(profiles, &self.name)?.profile;
        let shape = self.body.unwrap_or(profile.body);
        if self.body.is_some() && profile.body.is_built() {
            return Err(Usage(format!("--body: the profile `{}` has its own", self.name)).into());
        }
        let at = self.at.map_or_else(|| Clock::system().now(), Timestamp::from_millis);
        let told = self.told(profile, shape, at)?;
        let signers = self.signers(profile)?;
        let headers = request::compose(&request::Attempt {
            profile,
            shape,
            delivery: DeliveryView {
                event_type: &told.event_type,
                event_id: &told.id,
                event_ms: told.timestamp_ms,
                webhook_id: &self.webhook_id,
                delivery_id: &self.delivery_id,
                created_ms: at.as_millis(),
                is_test: told.is_test,
            },
            body: &told.body,
            custom: &self.headers,
            signers: &signers,
            timestamp_s: at.as_secs(),
        });
        let headers = headers.map_err(|error| Usage(format!("{error}; see --secret")))?;
        line(format!("POST {}", self.url))?;
        headers.iter().try_for_each(|(name, value)| line(format!("{name}: {value}")))?;
        line("")?;
        line(told.body)
    }

    fn told(&self, profile: &Profile, shape: BodyShape, at: Timestamp) -> Result<Told> {
        let webhook = WebhookView { id: &self.webhook_id, name: self.webhook_name.as_deref() };
        let Some(path) = &self.event else {
            let id = sample::event_id(at.as_millis(), [0; 4]);
            let sample = sample::sample(shape, &webhook, &id, at.as_millis());
            let event_type = sample.event_type.to_owned();
            let timestamp_ms = at.as_millis();
            return Ok(Told { id, event_type, timestamp_ms, body: sample.body, is_test: true });
        };
        let json = super::read(path)?;
        let (event, data) =
            read_event(&json, at).map_err(|error| Usage(format!("--event: {error}")))?;
        if !profile.tells_of(&event.event_type) {
            let kind = profile.events.as_deref().unwrap_or_default();
            bail!("the profile `{}` takes events of `{kind}*` only", profile.name);
        }
        let view = EventView {
            id: &event.id,
            event_type: &event.event_type,
            timestamp_ms: event.timestamp_ms,
            data,
        };
        match body::build(shape, &view, &webhook, self.attempt) {
            Ok(body) => Ok(Told { body: body.into_owned(), ..event }),
            Err(error) => bail!("the delivery would end at once: {error}"),
        }
    }

    fn signers(&self, profile: &Profile) -> Result<Vec<Signer>> {
        let Some(text) = &self.secret else { return Ok(Vec::new()) };
        let text =
            if text.starts_with('@') { input::text("--secret", text)? } else { text.clone() };
        let keys = Keys::parse(&text).map_err(|error| Usage(format!("--secret: {error}")))?;
        let takes_all = profile.signature.as_ref().is_none_or(|rule| rule.scheme.takes_ed25519());
        if keys.ed25519.is_some() && !takes_all {
            let wrong =
                format!("--secret: the profile `{}` cannot sign with a `whsk_` key", self.name);
            return Err(Usage(wrong).into());
        }
        Ok(keys.signers().collect())
    }
}

/// Reads an event as publishing does; what says when it is delivered has no effect here.
fn read_event(json: &[u8], now: Timestamp) -> Result<(Told, &[u8]), String> {
    let problem = |problem: crate::api::problem::Problem| {
        let errors =
            problem.errors.iter().map(|error| format!("{} {}", error.pointer, error.detail));
        let errors: Vec<String> = errors.collect();
        if errors.is_empty() { problem.to_string() } else { errors.join("; ") }
    };
    let mut form = Form::parse(json).map_err(problem)?;
    let event_type = form.required_text("type");
    if event_type.as_deref().is_some_and(|text| !is_event_type(text)) {
        form.refuse("type", "is no event type");
    }
    let id = form.text("id").value().map_or_else(|| "evt_1".to_owned(), |id| id.into_owned());
    if !is_client_id(&id) {
        form.refuse("id", "must be 1 to 128 visible ASCII characters without `.`");
    }
    let timestamp_ms = form.moment("timestamp").value().unwrap_or(now).as_millis();
    for name in ["ordering_key", "deliver_at", "expires_at"] {
        form.raw(name);
    }
    let data = match form.raw("data") {
        Given::Value(raw) => raw.get().as_bytes(),
        Given::Null => b"null",
        Given::Absent => {
            form.require("data");
            b""
        }
    };
    form.finish().map_err(problem)?;
    let event_type = event_type.unwrap_or_default().into_owned();
    Ok((Told { id, event_type, timestamp_ms, body: Vec::new(), is_test: false }, data))
}
