//! Every setting, once.

use super::Values;

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// In the file; dots are tables.
    pub name: &'static str,
    pub variable: &'static str,
    pub default: Option<&'static str>,
    pub meaning: &'static str,
    /// Not shown by `config`.
    pub secret: bool,
}

const fn setting(
    name: &'static str,
    variable: &'static str,
    default: Option<&'static str>,
    meaning: &'static str,
) -> Setting {
    Setting { name, variable, default, meaning, secret: false }
}

const fn secret(name: &'static str, variable: &'static str, meaning: &'static str) -> Setting {
    Setting { name, variable, default: None, meaning, secret: true }
}

/// All settings, in the order of the documented file: in TOML, tables come last.
pub const SETTINGS: [Setting; 21] = [
    setting(
        "listen",
        "TIDINGS_LISTEN",
        Some("127.0.0.1:4000"),
        "Address of the API. Port 0 picks a free one and prints it.",
    ),
    setting(
        "data_dir",
        "TIDINGS_DATA_DIR",
        Some("./tidings-data"),
        "Where the embedded store lives.",
    ),
    secret(
        "database_url",
        "DATABASE_URL",
        "postgres://… replaces the embedded store: PostgreSQL 15 or later.",
    ),
    secret(
        "redis_url",
        "REDIS_URL",
        "redis://… spreads sending over workers: Redis 7 or later; of a cluster one or more nodes, with commas between them.",
    ),
    secret(
        "admin_key",
        "TIDINGS_ADMIN_KEY",
        "Turns authentication on: the first admin key. Without any key the server only listens on loopback.",
    ),
    secret(
        "secret_key",
        "TIDINGS_SECRET_KEY",
        "64 hex characters that encrypt secrets at rest. Default: generated in the data directory; required with database_url or redis_url.",
    ),
    setting(
        "profiles",
        "TIDINGS_PROFILES",
        Some(""),
        "Directory of profiles of your own, a *.toml file each.",
    ),
    setting(
        "default_profile",
        "TIDINGS_DEFAULT_PROFILE",
        Some("standard"),
        "Profile of a webhook that names none.",
    ),
    secret(
        "callback_secret",
        "TIDINGS_CALLBACK_SECRET",
        "Signs callbacks of jobs that bring no secret of their own.",
    ),
    setting(
        "media_cdn_domain",
        "TIDINGS_MEDIA_CDN_DOMAIN",
        None,
        "Domain of the CDN at which clips that are reported by webhook are found, instead of their bucket.",
    ),
    setting(
        "allow_http",
        "TIDINGS_ALLOW_HTTP",
        Some("false"),
        "Accept http:// webhook URLs everywhere, not only towards loopback that egress.allow opens.",
    ),
    setting(
        "request_body_bytes_max",
        "TIDINGS_REQUEST_BODY_BYTES_MAX",
        Some("1048576"),
        "Largest request body, bytes.",
    ),
    setting(
        "stop_deadline_s",
        "TIDINGS_STOP_DEADLINE_S",
        Some("20"),
        "How long a stop waits for attempts on the network, seconds.",
    ),
    setting(
        "lease_s",
        "TIDINGS_LEASE_S",
        Some("10"),
        "With database_url: what a node that dies was sending, others take over after so long; 2 to 60.",
    ),
    setting(
        "log",
        "TIDINGS_LOG",
        Some("info"),
        "What is logged: error, warn, info, debug, or per module. Text on a terminal, JSON otherwise.",
    ),
    secret(
        "inbound",
        "TIDINGS_INBOUND",
        "Sources whose webhooks are received: a list of tables, [[inbound]]. See docs/inbound.md.",
    ),
    setting(
        "egress.allow",
        "TIDINGS_EGRESS_ALLOW",
        Some(""),
        "Comma-separated CIDRs, each with an optional port, opened in the egress policy: 127.0.0.0/8,10.0.0.0/8:8443.",
    ),
    setting(
        "egress.only",
        "TIDINGS_EGRESS_ONLY",
        Some("false"),
        "Nothing but egress.allow is open: an internal-only deployment.",
    ),
    setting(
        "egress.ca_file",
        "TIDINGS_EGRESS_CA_FILE",
        None,
        "PEM file of further certificate authorities that receivers may use.",
    ),
    setting(
        "lead.concurrency",
        "TIDINGS_LEAD_CONCURRENCY",
        Some("5"),
        "Leads in flight to one service at once, for each tenant.",
    ),
    setting(
        "lead.rate",
        "TIDINGS_LEAD_RATE",
        Some("50"),
        "Leads to one service per second, for each tenant.",
    ),
];

/// Variables of the client commands: known, but no settings of the server.
pub const CLIENT_VARIABLES: [&str; 5] = [
    "TIDINGS_URL",
    "TIDINGS_API_KEY",
    "TIDINGS_TENANT",
    "TIDINGS_CA_FILE",
    "TIDINGS_WEBHOOK_SECRET",
];

/// The defaults.
#[must_use]
pub fn defaults() -> Values {
    SETTINGS.iter().filter_map(|s| Some((s.name, s.default?.to_owned()))).collect()
}

/// What holds for a setting: what is given, else its default. An empty value is none.
pub(super) fn value<'v>(values: &'v Values, setting: &Setting) -> Option<&'v str> {
    let given = values.get(setting.name).map(String::as_str).filter(|value| !value.is_empty());
    given.or(setting.default).filter(|value| !value.is_empty())
}

/// The file that `tidings config --default` prints: every setting with its meaning and default.
#[must_use]
pub fn documented_file() -> String {
    let head =
        "# Tidings: every setting with its default. Flags and variables override this file.\n";
    file(head, |setting, name| {
        let value = match setting.default {
            None => format!("# {name} = \"\""),
            Some(default) => format!("{name} = {}", toml_value(default)),
        };
        format!("\n# {} ({})\n{value}\n", setting.meaning, setting.variable)
    })
}

/// The file that `tidings config` prints: the values that hold, without the secrets.
#[must_use]
pub fn effective_file(values: &Values) -> String {
    file("# Tidings: the settings that hold.\n", |setting, name| match value(values, setting) {
        None => format!("# {name} is not set\n"),
        Some(_) if setting.secret => format!("# {name} is set, and not shown\n"),
        Some(value) => format!("{name} = {}\n", toml_value(value)),
    })
}

/// Every setting under the heading of its table.
fn file(head: &str, entry: impl Fn(&Setting, &str) -> String) -> String {
    let mut text = String::from(head);
    let mut table = "";
    for setting in &SETTINGS {
        let (of, name) = setting.name.rsplit_once('.').unwrap_or(("", setting.name));
        if of != table {
            text += &format!("\n[{of}]\n");
            table = of;
        }
        text += &entry(setting, name);
    }
    text
}

/// Numbers and truth values bare, everything else as a text.
fn toml_value(value: &str) -> String {
    if value.parse::<u32>().is_ok_and(|number| number.to_string() == value)
        || value.parse::<bool>().is_ok()
    {
        return value.to_owned();
    }
    toml::Value::String(value.to_owned()).to_string()
}
