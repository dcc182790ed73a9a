//! Where requests may go: a pure policy, judged on the socket address about to be dialled.
//!
//! There are two questions. [`EgressPolicy::parse_url`] is asked when a webhook is written and answers
//! with kindness: what is wrong, in words. [`EgressPolicy::judge`] is asked by the sender on every new
//! connection, with the address that it is about to dial, and is the defence; nothing that a name, a
//! resolver or a spelling does can go around it.

mod allow;
mod ports;
mod table;
mod url;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::Ipv6Net;

pub use self::allow::{AllowRule, AllowRuleError};
pub use self::table::Range;
pub use self::url::{Host, Scheme, Target, URL_BYTES_MAX, UrlError};

/// What may be dialled. The default denies every address that is not plainly a public one.
#[derive(Debug, Clone, Default)]
pub struct EgressPolicy {
    /// What the operator has opened, on top of the table.
    pub allow: Vec<AllowRule>,
    /// Nothing but `allow` is open: an internal-only deployment.
    pub only: bool,
    /// `http://` is accepted everywhere, not only towards loopback that `allow` opens.
    pub allow_http: bool,
    /// Addresses of our own, such as the public one of this machine: denied on all ports.
    pub own_addresses: Vec<IpAddr>,
    /// Prefixes of this network's NAT64 (RFC 6052): the IPv4 address inside is judged.
    pub nat64: Vec<Ipv6Net>,
}

/// Why an address may not be dialled. For operators' logs: tenants are told only that it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It lies in a range of the table.
    Range(&'static Range),
    /// It is one of our own.
    OwnAddress,
    /// The port belongs to something that is not a webhook receiver.
    Port(u16),
    /// `only` is set and no rule opens it.
    NotOpened,
}

impl EgressPolicy {
    /// Whether this address may be dialled: opened by a rule, or public by the table and on a port that
    /// is not known to be something else.
    pub fn judge(&self, address: SocketAddr) -> Result<(), Denied> {
        let (ip, port) = (address.ip().to_canonical(), address.port());
        if port == 0 {
            return Err(Denied::Port(0));
        }
        if self.is_opened(address) {
            return Ok(());
        }
        if self.only {
            return Err(Denied::NotOpened);
        }
        if self.own_addresses.iter().any(|own| own.to_canonical() == ip) {
            return Err(Denied::OwnAddress);
        }
        if ports::is_bad(port) {
            return Err(Denied::Port(port));
        }
        match self.denied_range(ip) {
            Some(range) => Err(Denied::Range(range)),
            None => Ok(()),
        }
    }

    /// Whether one of the operator's rules opens this address.
    pub fn is_opened(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.allow.iter().any(|rule| rule.opens(ip, address.port()))
    }

    /// Whether a rule opens any loopback address, so that `localhost` has somewhere to go.
    pub fn opens_loopback(&self) -> bool {
        self.allow.iter().any(|rule| {
            rule.reaches(IpAddr::V4(Ipv4Addr::LOCALHOST), 8)
                || rule.reaches(IpAddr::V6(Ipv6Addr::LOCALHOST), 128)
        })
    }

    /// Whether a rule opens anything that the table denies, so that internal names have somewhere to go.
    pub fn opens_private(&self) -> bool {
        self.allow.iter().any(|rule| table::denies_any_of(rule.cidr()))
    }

    /// Whether a rule opens this port somewhere.
    fn opens_port(&self, port: u16) -> bool {
        self.allow.iter().any(|rule| rule.port().is_none_or(|opened| opened == port))
    }

    fn denied_range(&self, ip: IpAddr) -> Option<&'static Range> {
        match ip {
            IpAddr::V4(ip) => table::denied_v4(ip),
            IpAddr::V6(ip) => match self.nat64.iter().find(|prefix| prefix.contains(&ip)) {
                Some(prefix) => table::denied_v4(nat64_embedded(*prefix, ip)),
                None => table::denied_v6(ip),
            },
        }
    }
}

/// The IPv4 address inside a NAT64 one (RFC 6052, 2.2): the bits after the prefix, leaving out bits 64
/// to 71, which are always zero.
fn nat64_embedded(prefix: Ipv6Net, ip: Ipv6Addr) -> Ipv4Addr {
    let bits = u128::from(ip);
    if prefix.prefix_len() >= 96 {
        return Ipv4Addr::from_bits(bits as u32);
    }
    // Close the gap, which leaves 120 bits, then take the 32 after the prefix.
    let closed = (bits >> 64 << 56) | (bits << 72 >> 72);
    Ipv4Addr::from_bits((closed >> (120 - 32 - u32::from(prefix.prefix_len()).min(88))) as u32)
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => write!(f, "{range}"),
            Self::OwnAddress => f.write_str("an address of this machine"),
            Self::Port(port) => write!(f, "port {port} is not one that webhooks are received on"),
            Self::NotOpened => f.write_str("not opened by egress.allow, and egress.only is set"),
        }
    }
}
