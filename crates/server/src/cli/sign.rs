//! `tidings sign`: signs a body as Tidings would.

use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tidings_core::event::is_client_id;
use tidings_wire::keys::Keys;
use tidings_wire::sign::{MacKey, Signer, hmac_hex, standard};
use tidings_wire::verify::Scheme;

use super::Usage;
use super::input;
use super::output::line;
use crate::clock::Clock;

/// Sign a body from standard input; prints the headers to send with it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Sign {
    /// The webhook's secret; @FILE reads it from a file. `whsk_` keys sign with Ed25519
    #[arg(long, value_name = "SECRET", env = "TIDINGS_WEBHOOK_SECRET", hide_env_values = true)]
    secret: String,
    /// Event id, which `standard` and `svix` sign
    #[arg(long, value_name = "ID")]
    #[arg(required_if_eq_any([("profile", "standard"), ("profile", "svix")]))]
    id: Option<String>,
    /// Unix seconds, which `standard` and `svix` sign; now if not given
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<i64>,
    /// How to sign
    #[arg(long, value_name = "SCHEME", value_parser = profile(), default_value = "standard")]
    profile: Scheme,
}

/// Whose requests are signed so: profiles of Tidings. Read by name, which the help lists.
fn profile() -> impl TypedValueParser<Value = Scheme> {
    PossibleValuesParser::new(PROFILES.map(Scheme::name)).try_map(|name| name.parse::<Scheme>())
}

const PROFILES: [Scheme; 7] = [
    Scheme::Standard,
    Scheme::Svix,
    Scheme::Emp,
    Scheme::Aegisx,
    Scheme::OpenVideo,
    Scheme::ViewCreator,
    Scheme::Lead,
];

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
        let header = self.profile.signature_header();
        let names = match self.profile {
            Scheme::Standard => "webhook",
            Scheme::Svix => "svix",
            of_the_body => {
                let (Some(secret), None) = (keys.shared, keys.ed25519) else {
                    let wrong = "--secret: `whsk_` keys sign `standard` and `svix` only";
                    return Err(Usage(wrong.to_owned()).into());
                };
                let bare = matches!(of_the_body, Scheme::OpenVideo | Scheme::ViewCreator);
                let prefix = if bare { "" } else { "sha256=" };
                let value = hmac_hex(&MacKey::new(&secret), prefix, &input::stdin()?);
                return line(format!("{header}: {value}"));
            }
        };
        let id = self.id.as_deref().unwrap_or_default();
        if !is_client_id(id) {
            let wrong = "--id must be 1 to 128 visible ASCII characters without full stops";
            return Err(Usage(wrong.to_owned()).into());
        }
        let now = Clock::system().now().as_secs();
        let timestamp = self.timestamp.unwrap_or(now).to_string();
        let signers: Vec<Signer> = keys.signers().collect();
        let value = standard(&signers, id, &timestamp, &input::stdin()?);
        line(format!("{names}-id: {id}"))?;
        line(format!("{names}-timestamp: {timestamp}"))?;
        line(format!("{header}: {value}"))
    }
}

/// A secret as it was typed, or from a file.
pub(super) fn given(text: &str) -> Result<String> {
    if text.starts_with('@') { input::text("--secret", text) } else { Ok(text.to_owned()) }
}
