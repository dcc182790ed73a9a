//! A webhook's URL, read once: what is sent, dialled and logged comes from the parts kept here, and no
//! second parser ever sees the text (parsers disagree on where a host ends, and that is the attack).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Denied, EgressPolicy, ports};

/// Longest URL, in bytes, as written and as sent.
pub const URL_BYTES_MAX: usize = 2_048;
/// Longest label and name, in bytes (RFC 1035, 2.3.4); the `url` crate does not mind them.
const LABEL_BYTES_MAX: usize = 63;
const NAME_BYTES_MAX: usize = 253;

/// Names that mean something inside a network and nothing outside it. Whole suffixes of labels.
const INTERNAL_NAMES: [&str; 14] = [
    "local",
    "localdomain",
    "internal",
    "intranet",
    "lan",
    "home.arpa",
    "arpa",
    "onion",
    "svc",
    "cluster.local",
    "consul",
    "metadata.google.internal",
    "metadata.tencentyun.com",
    "host.docker.internal",
];

/// Where a request goes. Only [`EgressPolicy::parse_url`] makes one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Target {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// What is resolved, or dialled as it is.
    pub host: Host,
    /// Given, or the scheme's own.
    pub port: u16,
    /// The `Host` header: without the port where that is the scheme's own.
    pub authority: String,
    /// The request target: what follows the authority, from `/` on.
    pub path_and_query: String,
    /// `https://host:port`, always with the port, for logs and lanes.
    pub origin: String,
}

/// A scheme that webhooks can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In clear.
    Http,
    /// Over TLS.
    Https,
}

/// The host of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name: ASCII, lower case, without a dot at the end.
    Domain(String),
    /// An address.
    Ip(IpAddr),
}

/// What is wrong with a URL, for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct UrlError {
    /// A stable word for programs.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: String,
}

impl UrlError {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl EgressPolicy {
    /// Reads a URL as a webhook's target, or says why it cannot be one under this policy.
    ///
    /// A name that resolves to a denied address passes here; it is [`EgressPolicy::judge`] that stops it.
    pub fn parse_url(&self, raw: &str) -> Result<Target, UrlError> {
        check_text(raw)?;
        let scheme = scheme_of(raw)?;
        let url = url::Url::parse(raw)
            .map_err(|error| UrlError::new("invalid_url", format!("not a URL: {error}")))?;
        if url.as_str().len() > URL_BYTES_MAX {
            return Err(too_long());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(userinfo());
        }
        let written = host_as_written(raw);
        let host = match url.host() {
            Some(url::Host::Domain(name)) => Host::Domain(check_name(written, name)?),
            Some(url::Host::Ipv4(ip)) => Host::Ip(check_v4(written, ip)?),
            Some(url::Host::Ipv6(ip)) => Host::Ip(check_v6(written, ip)?),
            None => return Err(UrlError::new("invalid_url", "the URL has no host")),
        };
        let port = url.port().unwrap_or(scheme.default_port());
        self.check_reach(scheme, &host, port)?;
        let mut path_and_query = url.path().to_owned();
        if let Some(query) = url.query() {
            path_and_query.push('?');
            path_and_query.push_str(query);
        }
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let origin = format!("{scheme}://{host}:{port}");
        Ok(Target { scheme, host, port, authority, path_and_query, origin })
    }

    /// What the policy says about scheme, host and port together.
    fn check_reach(&self, scheme: Scheme, host: &Host, port: u16) -> Result<(), UrlError> {
        let towards_loopback = match host {
            Host::Ip(ip) => ip.is_loopback() && self.is_opened(SocketAddr::new(*ip, port)),
            Host::Domain(name) => is_localhost(name) && self.opens_loopback(),
        };
        if scheme == Scheme::Http && !self.allow_http && !towards_loopback {
            return Err(UrlError::new("url_scheme", "the URL must begin with https://"));
        }
        let blocked_port =
            || UrlError::new("blocked_port", format!("port {port} cannot receive webhooks"));
        match host {
            Host::Ip(ip) => match self.judge(SocketAddr::new(*ip, port)) {
                Ok(()) => Ok(()),
                Err(Denied::Port(_)) => Err(blocked_port()),
                Err(_) => Err(UrlError::new("blocked_address", "this address may not be sent to")),
            },
            Host::Domain(_) if port == 0 => Err(blocked_port()),
            Host::Domain(_) if ports::is_bad(port) && !self.opens_port(port) => Err(blocked_port()),
            Host::Domain(name) if is_localhost(name) && !self.opens_loopback() => {
                Err(blocked_name())
            }
            Host::Domain(name) if is_internal(name) && !self.opens_private() => Err(blocked_name()),
            Host::Domain(_) => Ok(()),
        }
    }
}

/// What must not be in the text at all: the parser would drop it, or read another host than a person.
fn check_text(raw: &str) -> Result<(), UrlError> {
    if raw.len() > URL_BYTES_MAX {
        return Err(too_long());
    }
    if raw.bytes().any(|byte| byte < 0x21 || byte == 0x7f) || raw.chars().any(char::is_whitespace) {
        return Err(UrlError::new(
            "url_characters",
            "the URL holds white space or control characters",
        ));
    }
    if raw.contains('\\') {
        return Err(UrlError::new("url_characters", "the URL holds a backslash"));
    }
    if raw.contains('#') {
        return Err(UrlError::new(
            "url_fragment",
            "the URL has a fragment (`#…`), which is never sent",
        ));
    }
    Ok(())
}

/// The scheme, which `//` and a host must follow. Judged before the host, because the parser takes the
/// host of any other scheme as a name, even `127.0.0.1`.
fn scheme_of(raw: &str) -> Result<Scheme, UrlError> {
    let Some((scheme, rest)) = raw.split_once(':') else {
        return Err(UrlError::new("invalid_url", "not a URL: it has no scheme"));
    };
    let scheme = if scheme.eq_ignore_ascii_case("https") {
        Scheme::Https
    } else if scheme.eq_ignore_ascii_case("http") {
        Scheme::Http
    } else {
        return Err(UrlError::new("url_scheme", "the URL must begin with https://"));
    };
    match rest.strip_prefix("//") {
        Some(rest) if !rest.is_empty() && !rest.starts_with(['/', '?']) => Ok(scheme),
        _ => Err(UrlError::new(
            "invalid_url",
            format!("`{scheme}:` must be followed by // and a host"),
        )),
    }
}

/// The host as it stands in the text: userinfo has been refused, so it ends at the port or the path.
fn host_as_written(raw: &str) -> &str {
    let rest = raw.split_once("//").map_or("", |(_, rest)| rest);
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    if authority.starts_with('[') {
        return &authority[..authority.find(']').map_or(authority.len(), |end| end + 1)];
    }
    &authority[..authority.find(':').unwrap_or(authority.len())]
}

/// An IPv4 address must be spelled as it is: this one rule refuses octal, hexadecimal, short and
/// percent-encoded forms.
fn check_v4(written: &str, ip: Ipv4Addr) -> Result<IpAddr, UrlError> {
    if written == ip.to_string() { Ok(IpAddr::V4(ip)) } else { Err(obfuscated()) }
}

/// An IPv6 address may be spelled in any way that the standard library reads as the same.
fn check_v6(written: &str, ip: Ipv6Addr) -> Result<IpAddr, UrlError> {
    let inside = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inside.and_then(|text| text.parse::<Ipv6Addr>().ok()) {
        Some(same) if same == ip => Ok(IpAddr::V6(ip)),
        _ => Err(obfuscated()),
    }
}

/// A name within the limits of DNS, in letters that are what they look like.
fn check_name(written: &str, name: &str) -> Result<String, UrlError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let invalid = |why: &str| UrlError::new("invalid_host", format!("the host name {why}"));
    if name.len() > NAME_BYTES_MAX {
        return Err(invalid("is longer than 253 characters"));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(invalid("has an empty label"));
        }
        if label.len() > LABEL_BYTES_MAX {
            return Err(invalid("has a label longer than 63 characters"));
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err(invalid("holds a character that no host name has"));
        }
    }
    if is_disguised(written, name) { Err(obfuscated()) } else { Ok(name.to_owned()) }
}

/// Whether ASCII was written as something else: `%6c%6f…`, `ⓛⓞⓒⓐⓛⓗⓞⓢⓣ`, or a hidden hyphen. A label in
/// another script stays one, as punycode.
fn is_disguised(written: &str, name: &str) -> bool {
    if written.is_ascii() {
        return !written.trim_end_matches('.').eq_ignore_ascii_case(name);
    }
    // IDNA takes the ideographic full stops for dots.
    let mut labels = written.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']);
    !name.split('.').all(|label| {
        labels.next().is_some_and(|written| match written.is_ascii() {
            true => written.eq_ignore_ascii_case(label),
            false => label.starts_with("xn--"),
        })
    })
}

fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

fn is_internal(name: &str) -> bool {
    let suffix = |suffix: &&str| {
        name.strip_suffix(*suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    !is_localhost(name) && (!name.contains('.') || INTERNAL_NAMES.iter().any(suffix))
}

fn too_long() -> UrlError {
    UrlError::new("url_too_long", format!("the URL is longer than {URL_BYTES_MAX} bytes"))
}

fn userinfo() -> UrlError {
    UrlError::new("url_userinfo", "the URL holds a user name or password; use a header instead")
}

fn obfuscated() -> UrlError {
    UrlError::new("obfuscated_host", "the host is written in a disguised form")
}

fn blocked_name() -> UrlError {
    UrlError::new("blocked_name", "this name belongs to an internal network")
}

impl Target {
    /// The URL as it is sent: normalised, the host in ASCII.
    pub fn href(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.path_and_query)
    }
}

impl Scheme {
    /// The port that a URL of this scheme means when it names none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// As in a URL: IPv6 in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}
