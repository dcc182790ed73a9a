//! The table against an oracle that was written apart from it: plain numbers, no networks, no prefixes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;
use tidings_core::egress::{AllowRule, EgressPolicy, Host};

/// First and last address of everything that is not public in IPv4.
const SPECIAL_V4: [(u32, u32); 20] = [
    (0x0000_0000, 0x00ff_ffff),
    (0x0a00_0000, 0x0aff_ffff),
    (0x6440_0000, 0x647f_ffff),
    (0x7f00_0000, 0x7fff_ffff),
    (0xa83f_8110, 0xa83f_8110),
    (0xa9fe_0000, 0xa9fe_ffff),
    (0xac10_0000, 0xac1f_ffff),
    (0xc000_0000, 0xc000_00ff),
    (0xc000_0200, 0xc000_02ff),
    (0xc01f_c400, 0xc01f_c4ff),
    (0xc034_c100, 0xc034_c1ff),
    (0xc058_6300, 0xc058_63ff),
    (0xc0a8_0000, 0xc0a8_ffff),
    (0xc0af_3000, 0xc0af_30ff),
    (0xc612_0000, 0xc613_ffff),
    (0xc633_6400, 0xc633_64ff),
    (0xcb00_7100, 0xcb00_71ff),
    (0xe000_0000, 0xefff_ffff),
    (0xf000_0000, 0xffff_fffe),
    (0xffff_ffff, 0xffff_ffff),
];

fn public_v4(ip: u32) -> bool {
    !SPECIAL_V4.iter().any(|(first, last)| (*first..=*last).contains(&ip))
}

fn public_v6(ip: u128) -> bool {
    let group = |n: u32| ((ip >> (112 - 16 * n)) & 0xffff) as u16;
    if ip >> 32 == 0xffff {
        return public_v4(ip as u32); // IPv4-mapped is IPv4.
    }
    if !(0x2000..=0x3fff).contains(&group(0)) {
        return false;
    }
    let assigned = group(0) == 0x2001 && group(1) < 0x0200;
    let documentation = group(0) == 0x2001 && group(1) == 0x0db8;
    let documentation_too = group(0) == 0x3fff && group(1) < 0x1000;
    let six_to_four = group(0) == 0x2002;
    let as112 = group(0) == 0x2620 && group(1) == 0x004f && group(2) == 0x8000;
    let isatap = (group(4) == 0 || group(4) == 0x0200) && group(5) == 0x5efe;
    let isatap_of_special = isatap && !public_v4(ip as u32);
    !(assigned || documentation || documentation_too || six_to_four || as112 || isatap_of_special)
}

/// Anywhere, and often within a few addresses of an edge.
fn v4() -> impl Strategy<Value = u32> {
    let edge = (0..SPECIAL_V4.len(), any::<bool>(), -3_i64..=3).prop_map(|(at, last, off)| {
        let (first, end) = SPECIAL_V4[at];
        i64::from(if last { end } else { first }).wrapping_add(off) as u32
    });
    prop_oneof![any::<u32>(), edge]
}

/// Anywhere, inside 2000::/3, near edges, and around IPv4 addresses in all the usual wrappings.
fn v6() -> impl Strategy<Value = u128> {
    let edges = prop::sample::select(vec![
        0x0000_u128,
        0x0064_ff9b,
        0x0100_0000,
        0x2000_0000,
        0x2001_0000,
        0x2001_0200,
        0x2001_0db8,
        0x2001_0db9,
        0x2002_0000,
        0x2003_0000,
        0x2620_004f,
        0x3fff_0000,
        0x3fff_1000,
        0x4000_0000,
        0x5f00_0000,
        0xfc00_0000,
        0xfe80_0000,
        0xfec0_0000,
        0xff00_0000,
    ]);
    let edge = (edges, -2_i64..=2).prop_map(|(high, off)| (high << 96).wrapping_add(off as u128));
    let wrapped = (
        prop::sample::select(vec![
            0_u128,
            0xffff << 32,
            0xffff << 48,
            0x5efe << 32,
            0x0064_ff9b << 96,
            (0x2606_4700 << 96) | (0x5efe << 32),
            (0x2606_4700 << 96) | (0x0200_5efe << 32),
            (0x2606_4700 << 96) | (0x0201_5efe << 32),
        ]),
        v4(),
    )
        .prop_map(|(high, low)| high | u128::from(low));
    let inside = any::<u128>().prop_map(|bits| (bits >> 3) | (1 << 125));
    prop_oneof![any::<u128>(), inside, edge, wrapped]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn ipv4_as_the_oracle_says(ip in v4()) {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(ip)), 443);
        prop_assert_eq!(EgressPolicy::default().judge(address).is_ok(), public_v4(ip), "{}", address);
    }

    #[test]
    fn ipv6_as_the_oracle_says(ip in v6()) {
        let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::from_bits(ip)), 443);
        prop_assert_eq!(EgressPolicy::default().judge(address).is_ok(), public_v6(ip), "{}", address);
    }

    #[test]
    fn a_rule_opens_its_network_and_no_more(ip in v4(), base in v4(), prefix in 0_u32..=32) {
        let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
        let rule = format!("{}/{prefix}:443", Ipv4Addr::from_bits(base & mask));
        let allow = AllowRule::parse_list(&rule).unwrap();
        let policy = EgressPolicy { allow, only: true, ..EgressPolicy::default() };
        let inside = ip & mask == base & mask;
        let at = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(ip)), port);
        prop_assert_eq!(policy.judge(at(443)).is_ok(), inside, "{} {}", rule, at(443));
        prop_assert!(policy.judge(at(444)).is_err());
    }

    #[test]
    fn a_literal_that_is_accepted_is_public(ip in v6()) {
        let url = format!("https://[{}]/", Ipv6Addr::from_bits(ip));
        prop_assert_eq!(EgressPolicy::default().parse_url(&url).is_ok(), public_v6(ip), "{}", url);
    }

    /// Text out of the pieces that attacks are made of: no panic, and what is accepted is clean.
    #[test]
    fn whatever_is_accepted_is_clean(pieces in prop::collection::vec(prop::sample::select(PIECES), 1..9)) {
        let raw = format!("https://{}", pieces.concat());
        if let Ok(target) = EgressPolicy::default().parse_url(&raw) {
            for part in [&target.authority, &target.path_and_query, &target.origin] {
                prop_assert!(part.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{:?}: {:?}", raw, part);
            }
            prop_assert!(target.path_and_query.starts_with('/'));
            prop_assert!(!target.authority.contains(['@', '/', '?', '#', '\\', '%']), "{}", raw);
            if let Host::Ip(ip) = target.host {
                prop_assert!(EgressPolicy::default().judge(SocketAddr::new(ip, target.port)).is_ok());
            }
            let again = EgressPolicy::default().parse_url(&target.href());
            prop_assert_eq!(again, Ok(target), "{}", raw);
        }
    }
}

const PIECES: &[&str] = &[
    "a",
    "good.example",
    "example.com",
    "127.0.0.1",
    "8.8.8.8",
    "127",
    "0x7f",
    "0177",
    "2130706433",
    "localhost",
    "[::1]",
    "[2606:4700::1]",
    "xn--",
    "xn--pple-43d",
    "é",
    "ⓛ",
    "。",
    "．",
    "\u{ad}",
    "\u{200d}",
    ".",
    "..",
    ":",
    ":80",
    ":443",
    ":6379",
    ":99999",
    "/",
    "//",
    "?",
    "#",
    "@",
    "\\",
    "%",
    "%2e",
    "%00",
    "%0d%0a",
    "+",
    "-",
    "_",
    "~",
    "`",
    "'",
    "\"",
    "<",
    ">",
    "{",
    "}",
    "|",
    "^",
    "[",
    "]",
    " ",
    "\t",
    "\0",
    "\u{7f}",
    "\u{2028}",
    "&x=y",
    ";",
    "=",
    "*",
    "!",
    "$",
    "(",
    ")",
    ",",
];
