//! The settings of a webhook as flags.

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::Usage;
use crate::cli::input;

/// What a webhook may have.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings of the webhook")]
pub(super) struct Form {
    /// Which events: job.completed, 'job.*' or '*'; several with commas
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
    events: Vec<String>,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// Signing secret; generated when the profile needs one. @FILE reads it from a file
    #[arg(long)]
    secret: Option<String>,
    /// What the receiver expects; `tidings profiles list` shows what there is
    #[arg(long)]
    profile: Option<String>,
    /// Another body than the profile's: standard, raw, cloudevents, cloudevents-binary
    #[arg(long)]
    body: Option<String>,
    /// A header to send along, 'Name: value'; may be repeated
    #[arg(long = "header", short = 'H', value_name = "HEADER", value_parser = input::header)]
    headers: Vec<(String, String)>,
    /// Attempts in all
    #[arg(long, value_name = "N")]
    max_attempts: Option<u16>,
    /// Attempts in flight at once
    #[arg(long, value_name = "N")]
    max_concurrency: Option<u32>,
    /// Attempts per second
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// How long one attempt may take, milliseconds
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u32>,
    /// Keep the order of events (true or false)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    ordered: Option<bool>,
    /// Whether it gets new deliveries (true or false)
    #[arg(long, value_name = "BOOL")]
    active: Option<bool>,
    /// Further settings as the API takes them; - reads standard input, @FILE a file
    #[arg(long, value_name = "JSON")]
    json: Option<String>,
}

impl Form {
    /// The body of a request; what is not given is not in it.
    pub(super) fn body(&self, url: Option<&str>) -> Result<Map<String, Value>> {
        let mut body = self.base()?;
        let mut set = |name: &str, value: Option<Value>| {
            body.extend(value.map(|value| (name.to_owned(), value)));
        };
        set("url", url.map(Into::into));
        set("events", Some(&self.events).filter(|events| !events.is_empty()).map(|e| json!(e)));
        set("name", self.name.clone().map(Into::into));
        let secret = self.secret.as_deref().map(secret).transpose()?;
        set("secret", secret.map(Into::into));
        set("profile", self.profile.clone().map(Into::into));
        set("body", self.body.clone().map(Into::into));
        set("headers", self.headers());
        set("max_concurrency", self.max_concurrency.map(Into::into));
        set("rate_limit", self.rate.map(|max| json!({"max": max, "per_ms": 1_000})));
        set("timeout_ms", self.timeout_ms.map(Into::into));
        set("ordered", self.ordered.map(Into::into));
        set("active", self.active.map(Into::into));
        if let Some(max) = self.max_attempts {
            let retry = body.entry("retry_config").or_insert_with(|| json!({}));
            if let Some(retry) = retry.as_object_mut() {
                retry.insert("max_attempts".to_owned(), max.into());
            }
        }
        Ok(body)
    }

    fn base(&self) -> Result<Map<String, Value>> {
        let Some(text) = &self.json else { return Ok(Map::new()) };
        let raw = input::json("--json", text)?;
        serde_json::from_str(raw.get())
            .map_err(|_| Usage("--json must be an object".to_owned()).into())
    }

    fn headers(&self) -> Option<Value> {
        let headers: Map<String, Value> =
            self.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        Some(headers).filter(|headers| !headers.is_empty()).map(Value::Object)
    }
}

fn secret(text: &str) -> Result<String> {
    if text.starts_with('@') { input::text("--secret", text) } else { Ok(text.to_owned()) }
}
