//! `tidings sign`: signs a body as Tidings would.

use anyhow::Result;
use clap::Args;
use tidings_core::event::is_client_id;
use tidings_wire::keys::Keys;
use tidings_wire::secret::Secret;
use tidings_wire::sign::{MacKey, Signer, hmac_hex, standard};

use super::Usage;
use super::input;
use super::output::line;
use super::signature::{HEX_PREFIX, Scheme};
use crate::clock::Clock;

/// Sign a body from standard input; prints the headers to send with it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Sign {
    /// The webhook's secret; @FILE reads it from a file. `whsk_` keys sign with Ed25519
    #[arg(long, value_name = "SECRET", env = "TIDINGS_WEBHOOK_SECRET", hide_env_values = true)]
    secret: String,
    /// Event id, which `standard` signs
    #[arg(long, value_name = "ID", required_if_eq("profile", "standard"))]
    id: Option<String>,
    /// Unix seconds, which `standard` signs; now if not given
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<i64>,
    /// How to sign
    #[arg(long, value_enum, default_value = "standard")]
    profile: Scheme,
}

const EXAMPLES: &str = "\
The body is signed byte for byte: a line break at its end counts.

Examples:
  printf '{\"a\":1}' | tidings sign --secret whsec_… --id evt_1
  printf '{\"a\":1}' | tidings sign --secret @secret.txt --profile emp

Send what was signed:
  tidings sign --secret whsec_… --id evt_1 < body.json > headers.txt
  curl -H @headers.txt --data-binary @body.json http://127.0.0.1:4242/";

impl Sign {
    pub(super) fn run(&self) -> Result<()> {
        let text = given(&self.secret)?;
        let keys = Keys::parse(&text).map_err(|error| Usage(format!("--secret: {error}")))?;
        if self.profile != Scheme::Standard {
            let (Some(secret), None) = (keys.shared, keys.ed25519) else {
                return Err(Usage("--secret: `whsk_` keys sign `standard` only".to_owned()).into());
            };
            let value = hmac_hex(&MacKey::new(&secret), HEX_PREFIX, &input::stdin()?);
            return line(format!("{}: {value}", self.profile.header()));
        }
        let id = self.id.as_deref().unwrap_or_default();
        if !is_client_id(id) {
            let wrong = "--id must be 1 to 128 visible ASCII characters without full stops";
            return Err(Usage(wrong.to_owned()).into());
        }
        let now = Clock::system().now().as_secs();
        let timestamp = self.timestamp.unwrap_or(now).to_string();
        let signers: Vec<Signer> = keys.signers().collect();
        let value = standard(&signers, id, &timestamp, &input::stdin()?);
        line(format!("webhook-id: {id}"))?;
        line(format!("webhook-timestamp: {timestamp}"))?;
        line(format!("{}: {value}", self.profile.header()))
    }
}

/// A secret as it was typed, or from a file.
pub(super) fn secret(text: &str) -> Result<Secret> {
    Ok(Secret::parse(&given(text)?).map_err(|error| Usage(format!("--secret: {error}")))?)
}

fn given(text: &str) -> Result<String> {
    if text.starts_with('@') { input::text("--secret", text) } else { Ok(text.to_owned()) }
}
