//! Every spelling of an address or a URL that has fooled a webhook sender, and what we say to it.

use tidings_core::egress::{AllowRule, EgressPolicy, Host, Scheme, Target};

/// The default, with `http://` accepted, so that each case meets the rule that it is about.
fn policy() -> EgressPolicy {
    EgressPolicy { allow_http: true, ..EgressPolicy::default() }
}

fn opened(rules: &str) -> EgressPolicy {
    EgressPolicy { allow: AllowRule::parse_list(rules).expect("a rule"), ..EgressPolicy::default() }
}

/// `Ok(authority)`, or the error's code.
fn judged(policy: &EgressPolicy, raw: &str) -> Result<String, &'static str> {
    policy.parse_url(raw).map(|target| target.authority).map_err(|error| error.code)
}

#[track_caller]
fn refused(code: &'static str, raws: &[&str]) {
    for raw in raws {
        assert_eq!(judged(&policy(), raw), Err(code), "{raw:?}");
    }
}

#[track_caller]
fn accepted(raws: &[&str]) {
    for raw in raws {
        assert!(policy().parse_url(raw).is_ok(), "{raw:?}: {:?}", policy().parse_url(raw));
    }
}

#[test]
fn a_ipv4_in_disguise() {
    refused(
        "obfuscated_host",
        &[
            "http://127.1/",
            "http://127.0.1/",
            "http://0/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://00000177.0.0.1/",
            "http://127.0.0.01/",
            "http://127.0.0.1./",
            "http://0127.0.0.1/",
            "http://0xA9FEA9FE/",
            "http://2852039166/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://169.16689662/",
            "http://127。0。0。1/",
            "http://１２７．０．０．１/",
            "http://①②⑦.0.0.1/",
            "http://%31%32%37.0.0.1/",
            "http://127%2e0%2e0%2e1/",
            "http://4294967295/",
            // Public, and still nothing that an honest person writes.
            "http://0x08.8.8.8/",
            "http://134744072/",
        ],
    );
    refused("invalid_url", &["http://4294967296/", "http://256.256.256.256/", "http://1.2.3.4.5/"]);
}

#[test]
fn a_ipv4_denied() {
    for ip in [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "198.18.0.1",
        "240.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.0.192",
        "192.88.99.1",
        "203.0.113.1",
        "192.31.196.1",
        "192.52.193.1",
        "192.175.48.1",
        "168.63.129.16",
    ] {
        refused("blocked_address", &[&format!("http://{ip}/"), &format!("https://{ip}:8443/x")]);
    }
}

#[test]
fn a_ipv4_at_the_edges() {
    for ip in [
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "168.63.129.15",
        "168.63.129.17",
    ] {
        accepted(&[&format!("http://{ip}/")]);
    }
}

#[test]
fn b_ipv6() {
    for ip in [
        "::1",
        "0:0:0:0:0:0:0:1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::127.0.0.1",
        "::ffff:0:7f00:1",
        "::5efe:7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b::169.254.169.254",
        "64:ff9b::808:808",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "2002:808:808::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "2001:0:7f00:1::",
        "fe80::1",
        "febf::1",
        "fc00::1",
        "fdff::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "100::1",
        "100:0:0:1::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:30::1",
        "4000::1",
        "e000::1",
        "1fff::1",
        "2606:4700::5efe:7f00:1",
        "2606:4700::200:5efe:a00:1",
        "2620:4f:8000::1",
    ] {
        refused("blocked_address", &[&format!("http://[{ip}]/")]);
    }
    refused(
        "invalid_url",
        &[
            "http://[fe80::1%25eth0]/",
            "http://[fe80::1%eth0]/",
            "http://[127.0.0.1]/",
            "http://::1/",
            "http://[v1.fe80::a]/",
            "http://[::1]:99999/",
        ],
    );
    accepted(&[
        "http://[2606:4700:4700::1111]/",
        "http://[2001:4860:4860::8888]/",
        "http://[2001:200::1]/",
        "http://[3fff:1000::1]/",
        // ISATAP around a public address.
        "http://[2606:4700::5efe:808:808]/",
        "http://[2606:4700:4700:0:0:0:0:1111]/",
    ]);
    let nat64 = EgressPolicy { nat64: vec!["64:ff9b::/96".parse().unwrap()], ..policy() };
    assert!(judged(&nat64, "http://[64:ff9b::808:808]/").is_ok());
    assert_eq!(judged(&nat64, "http://[64:ff9b::169.254.169.254]/"), Err("blocked_address"));
}

/// The examples of RFC 6052, 2.4: 192.0.2.33 (denied) under every prefix length.
#[test]
fn b_nat64_of_this_network() {
    for (prefix, denied, public) in [
        ("2001:db8::/32", "2001:db8:c000:221::", "2001:db8:808:808::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::", "2001:db8:108:808:8::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::", "2001:db8:122:808:8:800::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::", "2001:db8:122:308:8:808::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::", "2001:db8:122:344:8:808:800::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33", "2001:db8:122:344::8.8.8.8"),
    ] {
        let policy = EgressPolicy { nat64: vec![prefix.parse().unwrap()], ..policy() };
        let url = |ip| format!("http://[{ip}]/");
        assert_eq!(judged(&policy, &url(denied)), Err("blocked_address"), "{prefix}");
        assert!(judged(&policy, &url(public)).is_ok(), "{prefix}");
    }
}

#[test]
fn c_syntax() {
    refused(
        "url_userinfo",
        &[
            "http://good.example@169.254.169.254/",
            "http://169.254.169.254@good.example/",
            "http://good.example:80@169.254.169.254/",
            "http://user:password@good.example/",
            "http://:password@good.example/",
        ],
    );
    refused(
        "url_fragment",
        &[
            "http://good.example#@169.254.169.254/",
            "http://good.example/#",
            "http://good.example/#x",
        ],
    );
    refused(
        "url_characters",
        &[
            "http://good.example\\@169.254.169.254/",
            "http://169.254.169.254\\@good.example/",
            "http://good.exa\nmple/",
            "http://good.exa\tmple/",
            "http://good.example/\r\nHost: evil",
            " http://good.example/",
            "http://good.example/ ",
            "https:\\\\169.254.169.254\\",
            "\\\\169.254.169.254\\x",
            "http://a b/",
            "http://good.example/a b",
            "http://good.example/?q=\0",
            "http://good.example/\u{2028}",
            "http://good.example/\u{a0}",
            "http://good.example/\u{7f}",
        ],
    );
    refused(
        "invalid_url",
        &[
            "http:good.example/",
            "http:/good.example/",
            "http:///good.example/",
            "http:////169.254.169.254/",
            "//169.254.169.254/",
            "good.example",
            "http://good.example%00.evil.com/",
            "http://good.example%0d%0aHost:evil/",
            "http://good.example:65536/",
            "http://good.example:+80/",
            "http://good.example:80:90/",
            "http://127.0.0.1:80.evil/",
            "http://",
            "http:///",
            "https://?x",
            "http://xn--/",
            "http://xn--a/",
            "http://ex\u{200d}ample.com/",
            "http://exa<mple/",
            "",
        ],
    );
    refused("blocked_address", &["HTTP://169.254.169.254/"]);
    refused(
        "obfuscated_host",
        &[
            "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
            "http://loc\u{ad}alhost/",
            "http://%6c%6f%63alhost/",
            "http://ｇood.example/",
            "http://good%2eexample/",
        ],
    );
    refused(
        "url_scheme",
        &[
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_",
            "ftp://127.0.0.1/",
            "dict://127.0.0.1:11211/",
            "ldap://127.0.0.1/",
            "ws://127.0.0.1/",
            "unix:/var/run/docker.sock",
            "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
            "javascript:alert(1)",
            "data:text/plain,hi",
            "jar:http://x!/",
        ],
    );
    refused(
        "blocked_port",
        &[
            "http://good.example:0/",
            "http://good.example:22/",
            "http://good.example:25/",
            "http://good.example:5432/",
            "http://good.example:6379/",
            "http://good.example:11211/",
            "http://8.8.8.8:53/",
        ],
    );
}

#[test]
fn c_lengths() {
    let label = "a".repeat(63);
    accepted(&[&format!("https://{label}.example/")]);
    refused("invalid_host", &[&format!("https://{label}a.example/")]);
    let long = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert_eq!(long.len(), 253);
    accepted(&[&format!("https://{long}/"), &format!("https://{long}./")]);
    refused("invalid_host", &[&format!("https://{long}a/"), "https://a..example/"]);
    let path = "p".repeat(2_048 - "https://good.example/".len());
    accepted(&[&format!("https://good.example/{path}")]);
    refused("url_too_long", &[&format!("https://good.example/{path}p")]);
    // Short as written, long as sent.
    refused("url_too_long", &[&format!("https://good.example/{}", "é".repeat(500))]);
}

#[test]
fn c_names() {
    let names = [
        "http://localhost/",
        "http://localhost./",
        "http://LOCALHOST/",
        "http://foo.localhost/",
        "http://redis/",
        "http://kubernetes.default.svc/",
        "http://metadata.google.internal/",
        "http://metadata/",
        "http://instance-data/",
        "http://host.docker.internal/",
        "http://printer.local/",
        "http://router.home.arpa/",
        "http://x.onion/",
        "http://web.service.consul/",
    ];
    refused("blocked_name", &names);
    // A name passes where the operator has opened what it may resolve to; the guard judges that.
    let private = EgressPolicy { allow_http: true, ..opened("127.0.0.0/8,10.0.0.0/8") };
    for name in names {
        assert!(judged(&private, name).is_ok(), "{name}");
    }
    // A rule for a public network opens nothing to them.
    let public = EgressPolicy { allow_http: true, ..opened("8.8.8.0/24,2606:4700::/32") };
    for name in names {
        assert_eq!(judged(&public, name), Err("blocked_name"), "{name}");
    }
    // And `localhost` wants loopback.
    assert_eq!(judged(&opened("10.0.0.0/8"), "https://localhost/"), Err("blocked_name"));
    assert!(judged(&opened("[::1]/128:9000"), "https://localhost:9000/").is_ok());
    // A name that only looks like one of them.
    accepted(&["http://notlocal.example/", "http://localhost.example/", "http://mysvc.example/"]);
}

#[test]
fn c_accepted_and_normalised() {
    for (raw, href) in [
        ("https://good.example:0443/", "https://good.example/"),
        ("http://good.example:080/", "http://good.example/"),
        ("http://good.example:/", "http://good.example/"),
        ("HTTPS://Good.Example", "https://good.example/"),
        ("https://good.example./x", "https://good.example/x"),
        ("http://аpple.com/", "http://xn--pple-43d.com/"),
        ("https://faß.de/ä?ö=ü", "https://xn--fa-hia.de/%C3%A4?%C3%B6=%C3%BC"),
        ("https://exam_ple.com/", "https://exam_ple.com/"),
        ("https://good.example/../../x", "https://good.example/x"),
        ("https://good.example/a/%2e%2e/b", "https://good.example/b"),
        ("https://good.example?a=b//c", "https://good.example/?a=b//c"),
        ("https://good.example:8443/hook?x=%0d", "https://good.example:8443/hook?x=%0d"),
        ("https://[2606:4700:4700:0:0:0:0:1111]:8443/", "https://[2606:4700:4700::1111]:8443/"),
        ("https://good.example/?u=http://user@x:y", "https://good.example/?u=http://user@x:y"),
    ] {
        let target = policy().parse_url(raw).unwrap();
        assert_eq!(target.href(), href, "{raw}");
        assert_eq!(policy().parse_url(href).unwrap(), target, "{raw}: reading it again changes it");
    }
}

#[test]
fn the_parts_of_a_target() {
    let Target { scheme, host, port, authority, path_and_query, origin, .. } =
        policy().parse_url("https://Hooks.Example/in?x=1").unwrap();
    assert_eq!((scheme, host, port), (Scheme::Https, Host::Domain("hooks.example".into()), 443));
    assert_eq!(authority, "hooks.example");
    assert_eq!(path_and_query, "/in?x=1");
    assert_eq!(origin, "https://hooks.example:443");
    let target = opened("::1").parse_url("http://[::1]:4001").unwrap();
    assert_eq!(target.authority, "[::1]:4001");
    assert_eq!(target.origin, "http://[::1]:4001");
    assert_eq!(target.path_and_query, "/");
}

#[test]
fn http_is_for_loopback_unless_allowed() {
    let none = EgressPolicy::default();
    assert_eq!(judged(&none, "http://good.example/"), Err("url_scheme"));
    assert_eq!(judged(&none, "http://127.0.0.1/"), Err("url_scheme"));
    let loopback = opened("127.0.0.0/8:4001,10.0.0.0/8");
    assert!(judged(&loopback, "http://127.0.0.1:4001/").is_ok());
    assert!(judged(&loopback, "http://localhost:4001/").is_ok());
    assert_eq!(judged(&loopback, "http://127.0.0.1:4002/"), Err("url_scheme"));
    assert_eq!(judged(&loopback, "http://10.0.0.1/"), Err("url_scheme"));
    assert_eq!(judged(&loopback, "http://app/"), Err("url_scheme"));
    assert!(judged(&loopback, "https://app/").is_ok());
}

#[test]
fn rules_stand_above_the_table_and_the_ports() {
    let rules = opened("10.0.0.0/8:6379,127.0.0.1");
    let judge = |address: &str| rules.judge(address.parse().unwrap()).is_ok();
    assert!(judge("10.1.2.3:6379") && !judge("10.1.2.3:80"));
    assert!(judge("127.0.0.1:5432") && !judge("127.0.0.2:5432"));
    assert!(!judge("127.0.0.1:0"), "port 0 is no port");
    // IPv4 in IPv6 is the IPv4 address, for the rules as for the table.
    assert!(judge("[::ffff:127.0.0.1]:80") && !judge("[::ffff:127.0.0.2]:80"));
    assert!(judge("8.8.8.8:443") && !judge("8.8.8.8:6379"));
    assert!(judged(&rules, "https://10.1.2.3:6379/").is_ok());
    assert!(judged(&rules, "https://redis:6379/").is_ok());

    let only = EgressPolicy { only: true, ..opened("10.0.0.0/8") };
    assert!(only.judge("10.0.0.1:80".parse().unwrap()).is_ok());
    assert!(only.judge("8.8.8.8:80".parse().unwrap()).is_err());

    let own = EgressPolicy { own_addresses: vec!["8.8.8.8".parse().unwrap()], ..policy() };
    let denied = own.judge("8.8.8.8:443".parse().unwrap()).unwrap_err();
    assert_eq!(denied.to_string(), "an address of this machine");
    let denied = own.judge("169.254.169.254:80".parse().unwrap()).unwrap_err();
    assert_eq!(denied.to_string(), "169.254.0.0/16 (link local, RFC 3927)");
}

/// Two parsers' readings of 127 strings, recorded. Where they disagree on the host, we refuse: then it
/// does not matter which of them a receiver, a proxy or a reviewer uses.
#[test]
fn what_is_accepted_reads_the_same_everywhere() {
    let open = EgressPolicy { allow_http: true, ..opened("0.0.0.0/0,::/0") };
    let lines: Vec<_> = include_str!("data/url_corpus_parsed.txt").lines().collect();
    let (mut seen, mut agreed) = (0, 0);
    for record in lines.chunks(3) {
        let [raw, _, other] = record else { panic!("a record of three lines: {record:?}") };
        let Some(raw) = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) else {
            continue; // Cut when it was recorded; lengths have a test of their own.
        };
        seen += 1;
        let raw = unescape(raw);
        let Ok(target) = open.parse_url(&raw) else { continue };
        if let Some(host) = other.trim().strip_prefix("http: Some(\"") {
            let host = host.trim_end_matches("\")").trim_end_matches('.').to_lowercase();
            let literal = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            match &target.host {
                Host::Ip(ip) => assert_eq!(literal.as_ref(), Ok(ip), "{raw:?}"),
                Host::Domain(name) => assert_eq!(*name, host, "{raw:?}"),
            }
            agreed += 1;
        }
    }
    assert!(seen > 115 && agreed > 20, "{seen} read, {agreed} accepted by both");
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match (c, c == '\\') {
            (c, false) => c,
            (_, true) => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('0') => '\0',
                Some('u') => {
                    let code: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                    u32::from_str_radix(&code, 16)
                        .ok()
                        .and_then(char::from_u32)
                        .expect("a character")
                }
                Some(c) => c,
                None => panic!("a lone backslash"),
            },
        });
    }
    out
}
