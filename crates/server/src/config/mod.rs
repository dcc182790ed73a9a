//! Settings: from flags, then `TIDINGS_*` variables, then a TOML file, then defaults.
//!
//! [`table`] lists every setting once: its name, variable, default and meaning. Values travel as text
//! until they are parsed here, so that everything wrong is told at once.

mod inbound;
mod source;
mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tidings_core::dispatch::DirectLimits;
use tidings_core::egress::{AllowRule, EgressPolicy};
use tidings_core::limits::{CONCURRENCY_MAX, REQUEST_BODY_BYTES_MAX};
use tidings_core::time::SECOND_MS;
use tidings_core::webhook::RateLimit;

use crate::profiles::Profiles;
use crate::spread::Redis;

pub use inbound::Source;
pub use source::{Sources, read};
pub use table::{SETTINGS, Setting, defaults, documented_file, effective_file};

/// Largest `lead.rate`: the least wait between two is a microsecond then.
const RATE_MAX: u32 = 1_000_000;

/// Values by name, as text.
pub type Values = BTreeMap<&'static str, String>;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// It serves the API.
    pub api: bool,
    /// It owns shards and sends; it sends for others, if there is a Redis.
    pub worker: bool,
}

impl Roles {
    pub const ALL: Self = Self { api: true, worker: true };
}

impl std::fmt::Display for Roles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match (self.api, self.worker) {
            (true, false) => "api",
            (false, true) => "worker",
            _ => "api, worker",
        })
    }
}

/// What `serve` runs with.
#[derive(Clone)]
pub struct Settings {
    pub roles: Roles,
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    /// `postgres://…` instead of the embedded store.
    pub database_url: Option<String>,
    /// Spreads sending over workers.
    pub redis: Option<Redis>,
    /// Turns authentication on: the first admin key.
    pub admin_key: Option<String>,
    pub egress: EgressPolicy,
    pub extra_ca_file: Option<PathBuf>,
    /// Those that come with Tidings, and those of the directory `profiles`.
    pub profiles: Profiles,
    pub default_profile: String,
    /// Signs callbacks of jobs that bring no secret.
    pub callback_secret: Option<String>,
    /// Where clips are found that were put into a bucket.
    pub media_cdn_domain: Option<String>,
    /// Encrypts secrets at rest; generated in the data directory when not given.
    pub secret_key: Option<[u8; 32]>,
    pub request_body_bytes_max: usize,
    /// Whose webhooks are received.
    pub inbound: Vec<Source>,
    /// How long a stop waits for attempts on the network.
    pub stop_deadline: Duration,
    /// Of a node among others: from its last word until they take over.
    pub lease: Duration,
    /// To one service that leads are handed to, for each tenant.
    pub leads: DirectLimits,
}

/// Shows no secret.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("listen", &self.listen)
            .field("data_dir", &self.data_dir)
            .field("default_profile", &self.default_profile)
            .finish_non_exhaustive()
    }
}

/// Everything that is wrong with the settings, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Settings {
    /// Parses the values; says all that is wrong with them.
    pub fn parse(values: &Values) -> Result<Self, ConfigError> {
        let mut parser = Parser { values, errors: Vec::new() };
        let settings = parser.settings();
        match settings {
            Some(settings) if parser.errors.is_empty() => Ok(settings),
            _ => Err(ConfigError(parser.errors)),
        }
    }
}

struct Parser<'a> {
    values: &'a Values,
    errors: Vec<String>,
}

impl Parser<'_> {
    fn settings(&mut self) -> Option<Settings> {
        let listen = self.parsed("listen", "an address such as 127.0.0.1:4000");
        let egress = self.egress();
        let profiles = self.profiles();
        let default_profile = self.default_profile(profiles.as_ref());
        let secret_key = self.secret_key();
        let media_cdn_domain = self.domain("media_cdn_domain");
        let request_body_bytes_max = self.bytes("request_body_bytes_max");
        let inbound = self.inbound();
        let seconds: Option<u64> = self.parsed("stop_deadline_s", "a number of seconds");
        let lease_s = self.lease_s();
        let leads = self.leads();
        let database_url = self.database_url();
        let redis = self.redis();
        let needs_key = self.text("database_url").or(self.text("redis_url")).is_some();
        if needs_key && self.text("secret_key").is_none() {
            // It cannot be made beside the data: other nodes and workers need it too.
            self.errors.push("Missing required settings: TIDINGS_SECRET_KEY".to_owned());
        }
        Some(Settings {
            roles: Roles::ALL,
            listen: listen?,
            data_dir: self.text("data_dir")?.into(),
            database_url: database_url?,
            redis: redis?,
            admin_key: self.text("admin_key").map(str::to_owned),
            egress: egress?,
            extra_ca_file: self.text("egress.ca_file").map(Into::into),
            profiles: profiles?,
            default_profile: default_profile?,
            callback_secret: self.text("callback_secret").map(str::to_owned),
            media_cdn_domain: media_cdn_domain?,
            secret_key: secret_key?,
            request_body_bytes_max: request_body_bytes_max?,
            inbound: inbound?,
            stop_deadline: Duration::from_secs(seconds?),
            lease: Duration::from_secs(lease_s?),
            leads: leads?,
        })
    }

    fn leads(&mut self) -> Option<DirectLimits> {
        let what = format!("a whole number from 1 to {CONCURRENCY_MAX}");
        let concurrency = self.number("lead.concurrency", CONCURRENCY_MAX, &what);
        let max = self.number("lead.rate", RATE_MAX, "a whole number from 1 to 1000000");
        let rate_limit = RateLimit { max: max?, per_ms: SECOND_MS as u32 };
        Some(DirectLimits { concurrency: concurrency?, rate_limit: Some(rate_limit) })
    }

    /// Shorter, and an ordinary stall of the database would have nodes take from each other; longer, and
    /// the journal between them would not be kept for long enough.
    fn lease_s(&mut self) -> Option<u64> {
        let seconds: u64 = self.parsed("lease_s", "a whole number from 2 to 60")?;
        if (2..=60).contains(&seconds) {
            return Some(seconds);
        }
        self.errors.push("lease_s: must be a whole number from 2 to 60".to_owned());
        None
    }

    /// A whole number from 1 on.
    fn number(&mut self, name: &str, most: u32, what: &str) -> Option<u32> {
        let number: u32 = self.parsed(name, what)?;
        if !(1..=most).contains(&number) {
            self.errors.push(format!("{name}: `{number}` is not {what}"));
            return None;
        }
        Some(number)
    }

    fn text(&self, name: &str) -> Option<&str> {
        table::value(self.values, SETTINGS.iter().find(|setting| setting.name == name)?)
    }

    /// A host, and a port if need be.
    fn domain(&mut self, name: &str) -> Option<Option<String>> {
        let Some(text) = self.text(name).map(str::to_owned) else { return Some(None) };
        let (host, port) = text.split_once(':').unwrap_or((&text, "443"));
        let is_label = |label: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !label.is_empty() && label.bytes().all(known)
        };
        if !host.split('.').all(is_label) || port.parse::<u16>().is_err() {
            self.errors.push(format!("{name}: `{text}` is not a domain such as cdn.example.com"));
            return None;
        }
        Some(Some(text))
    }

    fn parsed<T: std::str::FromStr>(&mut self, name: &str, what: &str) -> Option<T> {
        let text = self.text(name)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.errors.push(format!("{name}: `{text}` is not {what}"));
        }
        parsed
    }

    fn bytes(&mut self, name: &str) -> Option<usize> {
        let bytes: usize = self.parsed(name, "a number of bytes")?;
        let range = 1_024..=64 * REQUEST_BODY_BYTES_MAX;
        if !range.contains(&bytes) {
            self.errors.push(format!("{name}: must be from {} to {}", range.start(), range.end()));
        }
        Some(bytes)
    }

    fn egress(&mut self) -> Option<EgressPolicy> {
        let allow_http = self.parsed("allow_http", "true or false");
        let only = self.parsed("egress.only", "true or false");
        let allow = match AllowRule::parse_list(self.text("egress.allow").unwrap_or_default()) {
            Ok(allow) => allow,
            Err(error) => {
                self.errors.push(format!("egress.allow: {error}"));
                return None;
            }
        };
        Some(EgressPolicy {
            allow,
            only: only?,
            allow_http: allow_http?,
            ..EgressPolicy::default()
        })
    }

    fn inbound(&mut self) -> Option<Vec<Source>> {
        let Some(text) = self.text("inbound") else { return Some(Vec::new()) };
        match inbound::parse(text) {
            Ok(sources) => Some(sources),
            Err(errors) => {
                self.errors.extend(errors);
                None
            }
        }
    }

    fn profiles(&mut self) -> Option<Profiles> {
        let Some(dir) = self.text("profiles") else { return Some(Profiles::default()) };
        match Profiles::with_dir(dir.as_ref()) {
            Ok(profiles) => Some(profiles),
            Err(errors) => {
                self.errors.extend(errors);
                None
            }
        }
    }

    /// Its name, which can only be judged when all profiles are known.
    fn default_profile(&mut self, profiles: Option<&Profiles>) -> Option<String> {
        let name = self.text("default_profile")?.to_owned();
        if let Some(profiles) = profiles.filter(|profiles| profiles.get(&name).is_none()) {
            self.errors.push(format!("default_profile: `{name}` {}", profiles.unknown(&name)));
        }
        Some(name)
    }

    fn redis(&mut self) -> Option<Option<Redis>> {
        let Some(text) = self.text("redis_url") else { return Some(None) };
        match Redis::parse(text) {
            Ok(redis) => Some(Some(redis)),
            Err(why) => {
                self.errors.push(format!("redis_url: {why}"));
                None
            }
        }
    }

    fn database_url(&mut self) -> Option<Option<String>> {
        let Some(url) = self.text("database_url").map(str::to_owned) else { return Some(None) };
        let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        if !known {
            self.errors.push("database_url: must begin with postgres://".to_owned());
        }
        known.then_some(Some(url))
    }

    fn secret_key(&mut self) -> Option<Option<[u8; 32]>> {
        let Some(text) = self.text("secret_key") else { return Some(None) };
        let key = parse_hex_key(text);
        if key.is_none() {
            self.errors.push("secret_key: must be 64 hex characters".to_owned());
        }
        key.map(Some)
    }
}

/// 64 hex characters as a key.
#[must_use]
pub fn parse_hex_key(text: &str) -> Option<[u8; 32]> {
    let text = text.trim().as_bytes();
    let mut key = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(changes: &[(&'static str, &str)]) -> Result<Settings, ConfigError> {
        let mut values = table::defaults();
        values.extend(changes.iter().map(|&(name, value)| (name, value.to_owned())));
        Settings::parse(&values)
    }

    #[test]
    fn the_defaults_are_sound() {
        let settings = settings(&[]).expect("sound");
        assert_eq!(settings.listen.to_string(), "127.0.0.1:4000");
        assert!(settings.admin_key.is_none());
    }

    #[test]
    fn a_database_needs_a_key_and_its_password_is_not_told() {
        let url = ("database_url", "postgres://tidings:hunter2@db/tidings");
        let error = settings(&[url]).expect_err("no key").to_string();
        assert_eq!(error, "Missing required settings: TIDINGS_SECRET_KEY");
        let key = "00".repeat(32);
        let sound = settings(&[url, ("secret_key", &key)]).expect("sound");
        assert!(!format!("{sound:?}").contains("hunter2"));
        let mysql = [("database_url", "mysql://a:hunter2@db/x"), ("secret_key", key.as_str())];
        let error = settings(&mysql).expect_err("another database").to_string();
        assert_eq!(error, "database_url: must begin with postgres://");
    }

    #[test]
    fn a_redis_needs_a_key_and_its_password_is_not_told() {
        let url = ("redis_url", "redis://:hunter2@cache");
        let error = settings(&[url]).expect_err("no key").to_string();
        assert_eq!(error, "Missing required settings: TIDINGS_SECRET_KEY");
        let key = "00".repeat(32);
        let wrong = [("redis_url", "http://:hunter2@cache"), ("secret_key", key.as_str())];
        let error = settings(&wrong).expect_err("no Redis").to_string();
        assert_eq!(error, "redis_url: must begin with redis:// or rediss://");
    }

    #[test]
    fn an_empty_value_is_the_default() {
        let empty = settings(&[("listen", ""), ("data_dir", ""), ("lease_s", "")]).expect("sound");
        assert_eq!(empty.listen.to_string(), "127.0.0.1:4000");
        assert_eq!(empty.data_dir.to_str(), Some("./tidings-data"));
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let wrong = [
            ("listen", "nowhere"),
            ("egress.allow", "10.0.0.0/99"),
            ("secret_key", "abc"),
            ("default_profile", "standrad"),
        ];
        let error = settings(&wrong).expect_err("wrong");
        assert_eq!(error.0.len(), 4, "{error}");
        assert!(error.to_string().contains("did you mean `standard`?"), "{error}");
        let error = settings(&[("profiles", "/nowhere")]).expect_err("it is not there");
        assert!(error.0[0].starts_with("profiles: /nowhere: "), "{error}");
    }
}
