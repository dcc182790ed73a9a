//! What the operator opens: `127.0.0.0/8,10.0.0.0/8:8080,[::1]/128:9000`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// A network, and perhaps a single port in it, that may be dialled whatever the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowRule {
    cidr: IpNet,
    port: Option<u16>,
}

/// A rule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("egress.allow: `{rule}`: {why}")]
pub struct AllowRuleError {
    rule: String,
    why: String,
}

impl AllowRule {
    /// A rule for a network and one port of it, or all ports.
    pub fn new(cidr: IpNet, port: Option<u16>) -> Self {
        Self { cidr: cidr.trunc(), port }
    }

    /// Reads a comma-separated list; blanks around rules and empty rules are passed over.
    pub fn parse_list(list: &str) -> Result<Vec<Self>, AllowRuleError> {
        list.split(',').map(str::trim).filter(|rule| !rule.is_empty()).map(str::parse).collect()
    }

    /// The network.
    pub fn cidr(&self) -> IpNet {
        self.cidr
    }

    /// The one port, or `None` for all.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it opens this address (canonical: IPv4 in IPv6 unmapped).
    pub(super) fn opens(&self, ip: IpAddr, port: u16) -> bool {
        self.cidr.contains(&ip) && self.port.is_none_or(|opened| opened == port)
    }

    /// Whether it opens any address of the network `ip/prefix`.
    pub(super) fn reaches(&self, ip: IpAddr, prefix: u8) -> bool {
        IpNet::new(ip, prefix).is_ok_and(|other| overlap(self.cidr, other.trunc()))
    }
}

/// Whether two networks share an address: one then contains the other.
pub(super) fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

impl FromStr for AllowRule {
    type Err = AllowRuleError;

    fn from_str(rule: &str) -> Result<Self, AllowRuleError> {
        parse(rule).map_err(|why| AllowRuleError { rule: rule.to_owned(), why })
    }
}

/// `address[/prefix][:port]`, IPv6 in brackets wherever a port follows.
fn parse(rule: &str) -> Result<AllowRule, String> {
    let (ip, rest) = if let Some(bracketed) = rule.strip_prefix('[') {
        let (ip, rest) = bracketed.split_once(']').ok_or("`[` without `]`")?;
        if !ip.contains(':') {
            return Err("only an IPv6 address goes in brackets".to_owned());
        }
        (ip, rest)
    } else if rule.matches(':').count() > 1 {
        // IPv6 without brackets: whatever follows the prefix length cannot be told apart, so no port.
        let end = rule.find('/').unwrap_or(rule.len());
        let (ip, rest) = rule.split_at(end);
        if rest.contains(':') {
            return Err("an IPv6 network with a port is written `[::1]/128:9000`".to_owned());
        }
        (ip, rest)
    } else {
        rule.split_at(rule.find(['/', ':']).unwrap_or(rule.len()))
    };
    let ip: IpAddr = ip.parse().map_err(|_| {
        format!("`{ip}` is not an address; write a network such as 10.0.0.0/8 or [::1]/128:9000")
    })?;
    if ip.to_canonical() != ip {
        return Err(format!("write it as the IPv4 network that it is, {}", ip.to_canonical()));
    }
    let (prefix, port) = match rest.strip_prefix('/') {
        Some(rest) => match rest.split_once(':') {
            Some((prefix, port)) => (Some(prefix), Some(port)),
            None => (Some(rest), None),
        },
        None if rest.is_empty() => (None, None),
        None => {
            (None, Some(rest.strip_prefix(':').ok_or("expected `/` or `:` after the address")?))
        }
    };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => decimal(prefix)
            .and_then(|prefix| u8::try_from(prefix).ok())
            .filter(|prefix| *prefix <= most)
            .ok_or_else(|| format!("`{prefix}` is not a prefix length of 0 to {most}"))?,
        None => most,
    };
    let port = match port {
        Some(port) => Some(
            decimal(port)
                .filter(|port| *port != 0)
                .ok_or_else(|| format!("`{port}` is not a port of 1 to 65535"))?,
        ),
        None => None,
    };
    let cidr = IpNet::new(ip, prefix).map_err(|error| error.to_string())?;
    if cidr.trunc() != cidr {
        return Err(format!("it has bits beyond the prefix; did you mean {}?", cidr.trunc()));
    }
    Ok(AllowRule { cidr, port })
}

/// Digits only: `u16::from_str` would take a `+`.
fn decimal(text: &str) -> Option<u16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl fmt::Display for AllowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.cidr, self.port) {
            (IpNet::V6(net), Some(port)) => {
                write!(f, "[{}]/{}:{port}", net.addr(), net.prefix_len())
            }
            (net, Some(port)) => write!(f, "{net}:{port}"),
            (net, None) => write!(f, "{net}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back_as_written() {
        let list = "127.0.0.0/8,10.0.0.0/8:8080,[::1]/128:9000,fd00::/8";
        let rules = AllowRule::parse_list(list).unwrap();
        let written: Vec<_> = rules.iter().map(ToString::to_string).collect();
        assert_eq!(written.join(","), list);
        let single = |rule: &str| AllowRule::parse_list(rule).unwrap()[0].to_string();
        assert_eq!(single(" 127.0.0.1 ,"), "127.0.0.1/32");
        assert_eq!(single("127.0.0.1:80"), "127.0.0.1/32:80");
        assert_eq!(single("::1"), "::1/128");
        assert_eq!(single("[::1]"), "::1/128");
        assert_eq!(single("[::1]:80"), "[::1]/128:80");
        assert_eq!(single("0.0.0.0/0"), "0.0.0.0/0");
        assert_eq!(AllowRule::parse_list(" , "), Ok(vec![]));
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (rule, why) in [
            ("10.0.0.1/8", "did you mean 10.0.0.0/8?"),
            ("10.0.0.0/33", "`33` is not a prefix length of 0 to 32"),
            ("10.0.0.0/+8", "`+8` is not a prefix length"),
            ("10.0.0.0/8:0", "`0` is not a port of 1 to 65535"),
            ("10.0.0.0/8:65536", "`65536` is not a port"),
            ("10.0.0.0/8:", "`` is not a port"),
            ("10.0.0/8", "`10.0.0` is not an address"),
            ("localhost", "`localhost` is not an address"),
            ("::1/128:80", "is written `[::1]/128:9000`"),
            ("[::1/128", "`[` without `]`"),
            ("[10.0.0.0]/8", "only an IPv6 address goes in brackets"),
            ("[::1]x", "expected `/` or `:`"),
            ("::ffff:10.0.0.0/104", "write it as the IPv4 network that it is"),
        ] {
            let error = AllowRule::parse_list(rule).unwrap_err().to_string();
            assert!(error.contains(rule) && error.contains(why), "{rule}: {error}");
        }
    }
}
