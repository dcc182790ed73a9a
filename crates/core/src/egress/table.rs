//! Addresses that are not plainly public: one table, each range with the document that sets it apart.
//!
//! IPv4 is public unless a range here says otherwise. IPv6 is public only inside 2000::/3, and there
//! unless a range says otherwise; so a block that nobody has thought of yet is denied.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::allow::overlap;

/// A denied range.
#[derive(Debug, PartialEq, Eq)]
pub struct Range {
    /// The network.
    pub net: IpNet,
    /// What it is for.
    pub name: &'static str,
    /// Where that is written.
    pub reference: &'static str,
}

const fn v4(ip: [u8; 4], prefix: u8, name: &'static str, rfc: &'static str) -> Range {
    let [a, b, c, d] = ip;
    let net = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix));
    Range { net, name, reference: rfc }
}

const fn v6(high: u64, low: u64, prefix: u8, name: &'static str, rfc: &'static str) -> Range {
    let bits = ((high as u128) << 64) | low as u128;
    let net = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), prefix));
    Range { net, name, reference: rfc }
}

static V4: [Range; 19] = [
    v4([0, 0, 0, 0], 8, "this network", "RFC 791"),
    v4([10, 0, 0, 0], 8, "private use", "RFC 1918"),
    // Holds 100.100.100.200, the metadata service of Alibaba Cloud.
    v4([100, 64, 0, 0], 10, "shared address space", "RFC 6598"),
    v4([127, 0, 0, 0], 8, "loopback", "RFC 1122"),
    // Holds 169.254.169.254, the metadata service of most clouds, and its neighbours.
    v4([169, 254, 0, 0], 16, "link local", "RFC 3927"),
    v4([172, 16, 0, 0], 12, "private use", "RFC 1918"),
    // Holds 192.0.0.192, the metadata service of Oracle Cloud, and DS-Lite.
    v4([192, 0, 0, 0], 24, "IETF protocol assignments", "RFC 6890"),
    v4([192, 0, 2, 0], 24, "documentation", "RFC 5737"),
    v4([192, 31, 196, 0], 24, "AS112", "RFC 7535"),
    v4([192, 52, 193, 0], 24, "automatic multicast tunnelling", "RFC 7450"),
    v4([192, 88, 99, 0], 24, "6to4 relay", "RFC 7526"),
    v4([192, 168, 0, 0], 16, "private use", "RFC 1918"),
    v4([192, 175, 48, 0], 24, "AS112", "RFC 7534"),
    v4([198, 18, 0, 0], 15, "benchmarking", "RFC 2544"),
    v4([198, 51, 100, 0], 24, "documentation", "RFC 5737"),
    v4([203, 0, 113, 0], 24, "documentation", "RFC 5737"),
    v4([224, 0, 0, 0], 4, "multicast", "RFC 5771"),
    // With 255.255.255.255.
    v4([240, 0, 0, 0], 4, "reserved and broadcast", "RFC 1112"),
    // Looks public, and no registry lists it.
    v4([168, 63, 129, 16], 32, "platform service of Azure", "Azure documentation"),
];

/// Ranges inside 2000::/3.
static V6: [Range; 5] = [
    // Teredo, benchmarking, ORCHID, ORCHIDv2, DRIP, AMT, AS112 and what may still come.
    v6(0x2001_0000_0000_0000, 0, 23, "IETF protocol assignments", "RFC 2928"),
    v6(0x2001_0db8_0000_0000, 0, 32, "documentation", "RFC 3849"),
    v6(0x2002_0000_0000_0000, 0, 16, "6to4", "RFC 3056"),
    v6(0x2620_004f_8000_0000, 0, 48, "AS112", "RFC 7534"),
    v6(0x3fff_0000_0000_0000, 0, 20, "documentation", "RFC 9637"),
];

/// Ranges outside 2000::/3: denied with the rest of it, listed for the name in a log.
static V6_OUTSIDE: [Range; 16] = [
    v6(0, 0, 128, "unspecified", "RFC 4291"),
    v6(0, 1, 128, "loopback", "RFC 4291"),
    v6(0, 0, 96, "IPv4-compatible", "RFC 4291"),
    v6(0, 0x0000_ffff_0000_0000, 96, "IPv4-mapped", "RFC 4291"),
    v6(0, 0xffff_0000_0000_0000, 96, "IPv4-translated", "RFC 2765"),
    v6(0, 0x0000_5efe_0000_0000, 96, "ISATAP", "RFC 5214"),
    v6(0x0064_ff9b_0000_0000, 0, 96, "NAT64", "RFC 6052"),
    v6(0x0064_ff9b_0001_0000, 0, 48, "local-use NAT64", "RFC 8215"),
    v6(0x0100_0000_0000_0000, 0, 64, "discard only", "RFC 6666"),
    v6(0x0100_0000_0000_0001, 0, 64, "dummy prefix", "RFC 9780"),
    v6(0x5f00_0000_0000_0000, 0, 16, "segment routing", "RFC 9602"),
    // Holds the metadata services of AWS (fd00:ec2::254) and Google Cloud (fd20:ce::254).
    v6(0xfc00_0000_0000_0000, 0, 7, "unique local", "RFC 4193"),
    v6(0xfe80_0000_0000_0000, 0, 10, "link local", "RFC 4291"),
    v6(0xfec0_0000_0000_0000, 0, 10, "site local", "RFC 3879"),
    v6(0xff00_0000_0000_0000, 0, 8, "multicast", "RFC 4291"),
    v6(0, 0, 0, "outside the global unicast block", "RFC 4291"),
];

const GLOBAL_UNICAST: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// An interface id that embeds an IPv4 address of the table (RFC 5214, 6.1).
static ISATAP_INSIDE: Range =
    v6(0x2000_0000_0000_0000, 0, 3, "ISATAP of a denied address", "RFC 5214");

pub(super) fn denied_v4(ip: Ipv4Addr) -> Option<&'static Range> {
    find(&V4, IpNet::V4(ip.into()))
}

/// `ip` is canonical: not IPv4-mapped.
pub(super) fn denied_v6(ip: Ipv6Addr) -> Option<&'static Range> {
    if !GLOBAL_UNICAST.contains(&ip) {
        return find(&V6_OUTSIDE, IpNet::V6(ip.into()));
    }
    find(&V6, IpNet::V6(ip.into())).or_else(|| {
        let inside = isatap_embedded(ip)?;
        denied_v4(inside).map(|_| &ISATAP_INSIDE)
    })
}

/// Whether any address of `net` is denied.
pub(super) fn denies_any_of(net: IpNet) -> bool {
    match net {
        IpNet::V4(_) => V4.iter().any(|range| overlap(range.net, net)),
        IpNet::V6(v6) => {
            !GLOBAL_UNICAST.contains(&v6) || V6.iter().any(|range| overlap(range.net, net))
        }
    }
}

fn find(table: &'static [Range], ip: IpNet) -> Option<&'static Range> {
    table.iter().find(|range| range.net.contains(&ip))
}

/// The address in an interface id of the form `0000:5efe:a.b.c.d` or `0200:5efe:a.b.c.d`.
fn isatap_embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let id = u128::from(ip) as u64;
    matches!(id >> 32, 0x0000_5efe | 0x0200_5efe).then(|| Ipv4Addr::from_bits(id as u32))
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.net, self.name, self.reference)
    }
}
