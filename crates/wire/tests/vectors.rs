//! Signatures against vectors that others published: Standard Webhooks, Svix, RFC 4231.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tidings_wire::secret::{Secret, SecretError};
use tidings_wire::sign::{MacKey, Signer, hmac_hex, standard};
use tidings_wire::verify::{Key, Scheme, Verifier, Why};

/// The vector of the official JavaScript, Python, Go, Ruby and PHP libraries.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIMESTAMP: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn secret() -> Secret {
    Secret::parse(SECRET).expect("the official secret")
}

/// Verifies the official vector with one thing changed.
struct Case<'a> {
    id: Option<&'a [u8]>,
    timestamp: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
    body: &'a [u8],
    now_s: i64,
    keys: Vec<Key>,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self {
            id: Some(ID.as_bytes()),
            timestamp: Some(b"1614265330"),
            signature: Some(SIGNATURE.as_bytes()),
            body: BODY,
            now_s: TIMESTAMP,
            keys: vec![Key::from(&secret())],
        }
    }
}

impl<'a> Case<'a> {
    fn verify(self) -> Result<(), Why> {
        let named = |name, value: Option<&'a [u8]>| value.map(|value| (name, value));
        let headers: Vec<(&str, &[u8])> = [
            named("Webhook-Id", self.id),
            named("webhook-timestamp", self.timestamp),
            named("WEBHOOK-SIGNATURE", self.signature),
        ]
        .into_iter()
        .flatten()
        .collect();
        let verifier = Verifier::with_keys(Scheme::Standard, self.keys).expect("a key");
        let verified = verifier.verify(&headers, self.body, self.now_s).map_err(|e| e.why)?;
        assert_eq!(verified.id.map(str::as_bytes), self.id);
        let digits = verified.timestamp_s.map(|seconds| seconds.to_string());
        assert_eq!(digits.as_deref().map(str::as_bytes), self.timestamp);
        Ok(())
    }
}

fn with_signature(signature: &str) -> Result<(), Why> {
    Case { signature: Some(signature.as_bytes()), ..Case::default() }.verify()
}

#[test]
fn published_signatures() {
    for (secret, id, timestamp, body, signature) in [
        (SECRET, ID, "1614265330", BODY, SIGNATURE),
        (
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", // the Rust library
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            "1649367553",
            br#"{"email":"test@example.com","username":"test_user"}"#,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
        (
            "whsec_plJ3nmyCDGBKInavdOK15jsl", // Svix, "verifying manually"
            "msg_loFOjxBNrRLzqYUf",
            "1731705121",
            br#"{"event_type":"ping","data":{"success":true}}"#,
            "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
        ),
    ] {
        // Svix's key has 18 bytes, fewer than a key of ours may have.
        let secret = Secret::parse(secret).unwrap_or_else(|error| {
            assert_eq!(error, SecretError::KeyLength(18));
            Secret::from_key(&STANDARD.decode(&secret["whsec_".len()..]).unwrap()).unwrap()
        });
        assert_eq!(standard(&[Signer::new(&secret)], id, timestamp, body), signature);
        let case = Case {
            id: Some(id.as_bytes()),
            timestamp: Some(timestamp.as_bytes()),
            signature: Some(signature.as_bytes()),
            body,
            now_s: timestamp.parse().unwrap(),
            keys: vec![Key::from(&secret)],
        };
        case.verify().unwrap();
    }
}

/// Bodies that differ in ways that JSON does not see, and bytes that are not text.
#[test]
fn every_byte_of_the_body_is_signed() {
    for (body, signature) in [
        (&b""[..], "v1,v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A="),
        (br#"{"test":2432232314}"#, "v1,Vif40peJBP7Iyl0XGmu61n4MwdrcHov5CFREBpE0svs="),
        (b"{\"test\": 2432232314}\n", "v1,FIt3hYjPQCdyuyMOw+0dZwwjGRAx1Il4CsgdFnOmrcc="),
        (b"{\"test\": 2432232314}\r\n", "v1,NNKfhhzZRvz6NOA7hZKlzVMhIQYJt9HZbZPHgEyTndE="),
        (b"\xef\xbb\xbf{\"test\": 2432232314}", "v1,rIYc6bjlDvbOpgBWfFEGWzkph/t4bozFkbYKpr4RwTc="),
        (br#"{"n":12345678901234567890}"#, "v1,GqmO7hZSaw2/1ZrlmPUFntcckRpDQJ9qqUA/V4X0MjU="),
        (br#"{"n":1.0}"#, "v1,kOy1qV/TMx/n66l6EeQj6N+eQwQTX/we6NoxPpVRFtE="),
        (br#"{"a":1,"a":2}"#, "v1,WljRTQJajSjY3CCvJPZKe5Aa5OzJFn8Ni9K125TPXkU="),
        (b"\x00\x01\xff\xfe", "v1,aPrw1oeLgCPNXdMsGL84i3RPxfrSjhvYeP0KqZ/eaPg="),
    ] {
        assert_eq!(standard(&[Signer::new(&secret())], ID, "1614265330", body), signature);
        Case { body, signature: Some(signature.as_bytes()), ..Case::default() }.verify().unwrap();
        assert_eq!(Case { body, ..Case::default() }.verify(), Err(Why::Mismatch));
    }
}

#[test]
fn rfc_4231() {
    let long = "This is a test using a larger than block-size key and a larger than block-size \
                data. The key needs to be hashed before being used by the HMAC algorithm.";
    let cases: [(Vec<u8>, Vec<u8>, &str); 7] = [
        (
            vec![0x0b; 20],
            b"Hi There".to_vec(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            vec![0xaa; 20],
            vec![0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            (0x01..=0x19).collect(),
            vec![0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (vec![0x0c; 20], b"Test With Truncation".to_vec(), "a3b6167473100ee06e0c796c2955552b"),
        (
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            vec![0xaa; 131],
            long.as_bytes().to_vec(),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (key, data, hex) in cases {
        let signed = hmac_hex(&MacKey::from_key(&key), "", &data);
        assert_eq!(&signed[..hex.len()], hex); // the fifth is truncated
        let parts: Vec<&[u8]> = data.chunks(7).collect();
        let mac: String =
            MacKey::from_key(&key).mac(&parts).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(mac, signed);
    }
}

#[test]
fn all_three_headers_must_be_there_once() {
    let missing = |case: Case<'_>, name: &str| {
        assert_eq!(case.verify(), Err(Why::Missing(name.into())));
    };
    missing(Case { id: None, ..Case::default() }, "webhook-id");
    missing(Case { timestamp: None, ..Case::default() }, "webhook-timestamp");
    missing(Case { signature: None, ..Case::default() }, "webhook-signature");
    let verifier = Verifier::new(Scheme::Standard, &[SECRET]).unwrap();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let twice = [
            ("webhook-id", ID),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", SIGNATURE),
            (name, "a"),
        ];
        let refused = verifier.verify(&twice, BODY, TIMESTAMP).unwrap_err();
        assert_eq!(refused.why, Why::Repeated(name.into()));
    }
}

#[test]
fn timestamps_are_plain_decimals() {
    for timestamp in [
        "hello",
        "",
        "1614265330.9",
        "1614265330abc",
        "1.6e9",
        "1614265330e0",
        " 1614265330 ",
        "1614265330\n",
        "+1614265330",
        "01614265330",
        "-1",
        "-0",
        "-9223372036854775808",
        "9223372036854775808",
        "99999999999999999999",
        "١٦١٤٢٦٥٣٣٠",
    ] {
        let case = Case { timestamp: Some(timestamp.as_bytes()), ..Case::default() };
        assert_eq!(case.verify(), Err(Why::InvalidTimestamp), "{timestamp:?}");
    }
    let far = Case { timestamp: Some(b"9223372036854775807"), ..Case::default() };
    assert_eq!(far.verify(), Err(Why::TooNew));
    let far = Case { timestamp: Some(b"9223372036854775807"), now_s: i64::MIN, ..Case::default() };
    assert_eq!(far.verify(), Err(Why::TooNew));
    let far = Case { timestamp: Some(b"0"), now_s: i64::MAX, ..Case::default() };
    assert_eq!(far.verify(), Err(Why::TooOld));
}

#[test]
fn the_tolerance_is_five_minutes_to_both_sides() {
    for (offset, outcome) in [
        (-300, Ok(())),
        (-301, Err(Why::TooNew)),
        (-299, Ok(())),
        (299, Ok(())),
        (300, Ok(())),
        (301, Err(Why::TooOld)),
    ] {
        let case = Case { now_s: TIMESTAMP + offset, ..Case::default() };
        assert_eq!(case.verify(), outcome, "{offset}");
    }
}

#[test]
fn malformed_signatures() {
    let mac = &SIGNATURE[3..];
    for signature in [
        "",
        " ",
        "v1",
        "v1,",
        "v1,abc",
        "v1,g0hM9",
        "v1,dawfeoifkpqwoekfpqoekf",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLawdd",
        mac,
        &format!("V1,{mac}"),
        &format!("v2,{mac}"),
        &format!("v1a,{mac}"),
        &format!("v1 ,{mac}"),
        // Ed25519 in the place of an HMAC: 64 bytes.
        "v1,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
        &SIGNATURE.replace('+', "-").replace('/', "_"),
        SIGNATURE.trim_end_matches('='),
        &format!("{SIGNATURE}="),
        // The same 32 bytes with bits behind them that no encoder sets.
        &SIGNATURE.replace("OE=", "OF="),
        &SIGNATURE.replace("TPJT", "TP\u{1}JT"),
        &SIGNATURE.replace("TPJT", "TP JT"),
        &format!("{SIGNATURE}\t"),
        &format!("{SIGNATURE} "),
        &format!(" {SIGNATURE}"),
        &format!("{SIGNATURE}  {SIGNATURE}"),
        &format!("{SIGNATURE}\t{SIGNATURE}"),
        &format!("{SIGNATURE},{SIGNATURE}"),
    ] {
        assert_eq!(with_signature(signature), Err(Why::InvalidSignature), "{signature:?}");
    }
    let last = SIGNATURE.replace("1OE=", "1OA=");
    assert_eq!(with_signature(&last), Err(Why::Mismatch));
}

#[test]
fn one_of_several_signatures_is_enough() {
    let other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
    let listed = format!("{other} {other} {} {SIGNATURE} {other}", other.replace("v1", "v2"));
    with_signature(&listed).unwrap();
    with_signature(&format!("v1 v1a, v1,? {SIGNATURE}")).unwrap(); // odd tokens are no reason to crash
    let none = "v1,tFtCZ5RDCPxzWQRWXWPgrCgE2frDBe9gjpbWQxnVfsQ= \
                v1,Mm7xgUVICxZfQ3bgf0h0Dof65L/IFx+PnZvnDWPCX6Q= \
                v1,9DfC1c3eeOrXB6w/5dIDydLNQaEyww5KalE5jLBZucE=";
    assert_eq!(with_signature(none), Err(Why::Mismatch));

    let sixteenth = format!("{}{SIGNATURE}", format!("{other} ").repeat(15));
    with_signature(&sixteenth).unwrap();
    let seventeen = format!("{sixteenth} {other}");
    assert_eq!(with_signature(&seventeen), Err(Why::TooManySignatures));
    let endless = format!("{SIGNATURE} ").repeat(100_000);
    assert_eq!(with_signature(&endless), Err(Why::TooManySignatures));
}

/// `a.1` + `2` and `a` + `1.2` are signed as the same bytes. Only one of them is an id.
#[test]
fn full_stops_cannot_be_shifted() {
    let signature = standard(&[Signer::new(&secret())], "msg_1", "161", b"1614265330.{}");
    let shifted = Case {
        id: Some(b"msg_1.161"),
        timestamp: Some(b"1614265330"),
        signature: Some(signature.as_bytes()),
        body: b"{}",
        ..Case::default()
    };
    assert_eq!(shifted.verify(), Err(Why::InvalidId));
    for id in [&b""[..], b"a b", b"a\n", b"\xff", "ä".as_bytes(), b"a."] {
        let case = Case { id: Some(id), ..Case::default() };
        assert_eq!(case.verify(), Err(Why::InvalidId));
    }
}

#[test]
fn one_bit_is_enough_to_fail() {
    let flipped = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    for bit in 0..BODY.len() * 8 {
        let body = flipped(BODY, bit);
        assert_eq!(Case { body: &body, ..Case::default() }.verify(), Err(Why::Mismatch));
    }
    for bit in 0..ID.len() * 8 {
        let id = flipped(ID.as_bytes(), bit);
        assert!(Case { id: Some(&id), ..Case::default() }.verify().is_err());
    }
    for bit in 0..SIGNATURE.len() * 8 {
        let signature = flipped(SIGNATURE.as_bytes(), bit);
        assert!(Case { signature: Some(&signature), ..Case::default() }.verify().is_err());
    }
}

#[test]
fn rotation_signs_and_verifies_with_both() {
    let old = secret();
    let new = Secret::generate_whsec([9; 32]);
    let both = standard(&[Signer::new(&new), Signer::new(&old)], ID, "1614265330", BODY);
    assert_eq!(both.split(' ').nth(1), Some(SIGNATURE));
    let verify = |secrets: &[&Secret]| {
        let keys = secrets.iter().copied().map(Key::from).collect();
        Case { signature: Some(both.as_bytes()), keys, ..Case::default() }.verify()
    };
    verify(&[&old]).unwrap();
    verify(&[&new]).unwrap();
    let other = Secret::parse("other").unwrap();
    verify(&[&other, &new]).unwrap();
    assert_eq!(verify(&[&other]), Err(Why::Mismatch));
}
