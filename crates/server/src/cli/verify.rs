//! `tidings verify`: checks a signature as a receiver does.

use anyhow::{Result, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use http::{HeaderMap, HeaderName, HeaderValue};
use tidings_wire::verify::{DEFAULT_TOLERANCE_S, Scheme, Verifier};

use super::Usage;
use super::input;
use super::output::line;
use super::sign::given;
use super::signature::detect;
use crate::clock::Clock;

/// Verify the signature of a body from standard input
///
/// Exits with 0 when it is right, and with 1 and the reason when it is not.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Verify {
    /// The webhook's secret, or several during a rotation; @FILE reads it from a file. For Ed25519
    /// the public key, `whpk_`
    #[arg(long, value_name = "SECRET", env = "TIDINGS_WEBHOOK_SECRET", hide_env_values = true)]
    #[arg(required = true)]
    secret: Vec<String>,
    /// A header that came with the body, `Name: value`; @FILE reads several, a line each
    #[arg(long, short = 'H', value_name = "HEADER", required = true)]
    header: Vec<String>,
    /// How it is signed; told by the headers if not given
    #[arg(long, value_name = "SCHEME", value_parser = scheme())]
    profile: Option<Scheme>,
    /// How far the clocks may be apart, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TOLERANCE_S)]
    tolerance: u64,
    /// Judge as if it were this moment, Unix seconds: for requests recorded earlier
    #[arg(long, value_name = "SECONDS")]
    now: Option<i64>,
}

const EXAMPLES: &str = "\
Hand in the body as it arrived: JSON that was parsed and printed again is other bytes.

Examples:
  tidings verify --secret whsec_… -H 'webhook-id: evt_1' -H 'webhook-timestamp: 1705228257' \\
      -H 'webhook-signature: v1,…' < body.json
  tidings sign --secret s3cret --id evt_1 < body.json > headers.txt
  tidings verify --secret s3cret -H @headers.txt < body.json";

impl Verify {
    pub(super) fn run(&self) -> Result<()> {
        let secrets = self.secret.iter().map(|text| given(text)).collect::<Result<Vec<_>>>()?;
        let headers = read_headers(&self.header)?;
        let Some(scheme) = self.profile.or_else(|| detect(&headers)) else {
            bail!("not verified: none of the headers holds a signature")
        };
        let verifier = Verifier::new(scheme, &secrets)
            .map_err(|error| Usage(format!("--secret: {error}")))?
            .tolerance_s(self.tolerance);
        let body = input::stdin()?;
        let now = self.now.unwrap_or_else(|| Clock::system().now().as_secs());
        match verifier.verify(&headers, &body, now) {
            Ok(_) => line(format!("verified: {scheme}, {} bytes", body.len())),
            Err(refused) => bail!("{refused}: {}", refused.why),
        }
    }
}

/// Reads the name of a scheme, and lists them in the help.
fn scheme() -> impl TypedValueParser<Value = Scheme> {
    let names = Scheme::ALL.map(Scheme::name);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Scheme>())
}

fn read_headers(given: &[String]) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for text in given {
        let lines =
            if text.starts_with('@') { input::text("--header", text)? } else { text.clone() };
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            let wrong = |why: String| Usage(format!("--header '{line}': {why}"));
            let (name, value) = input::header(line).map_err(wrong)?;
            let name = HeaderName::try_from(name).map_err(|error| wrong(error.to_string()))?;
            let value = HeaderValue::try_from(value).map_err(|error| wrong(error.to_string()))?;
            headers.append(name, value);
        }
    }
    Ok(headers)
}
