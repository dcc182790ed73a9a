//! Every parser of the crate under bytes that were right and are not any more, the same ones every
//! time. `TIDINGS_FUZZ_ROUNDS=n` runs n rounds, `TIDINGS_FUZZ_SEED=n` starts elsewhere.

#[expect(dead_code, reason = "of the documents only the numbers are used")]
mod support;

mod senders;

use senders::{NOW, genuine};
use support::Chance;
use tidings_wire::canonical::{Why, canonicalize};
use tidings_wire::ed25519::{PublicKey, SigningKey};
use tidings_wire::keys::Keys;
use tidings_wire::profile::Profile;
use tidings_wire::secret::Secret;
use tidings_wire::verify::{Key, Scheme, Verifier};

const ROUNDS: u64 = 20_000;

const SEEDS: [&str; 12] = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
    "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
    "your-secret-key",
    r#"{"a":1.0,"10":[true,null,"\ud83d\ude00"],"b":{"c":-1.5e-7,"a":12345678901234567890}}"#,
    r#"[[[[[["\u0000\\\"/"]]]]],9007199254740993,1e400,-0]"#,
    include_str!("../profiles/standard.toml"),
    include_str!("../profiles/emp.toml"),
    include_str!("../profiles/aegisx.toml"),
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
    "t=1614265330,v1=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
];

/// What parsers stumble over.
const PIECES: [&[u8]; 16] = [
    b"",
    b" ",
    b",",
    b"=",
    b"==",
    b".",
    b"\0",
    b"\xff",
    b"\xc3",
    "\u{feff}".as_bytes(),
    b"v1,",
    b"whsk_",
    b"-9223372036854775808",
    b"99999999999999999999",
    b"\"\"\"",
    b"[[[[[[[[",
];

/// Damages a text in one to eight places.
fn damage(text: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..=chance.below(8) {
        let at = chance.below(text.len() + 1);
        let end = at + chance.below(text.len() - at + 1).min(40);
        match chance.below(6) {
            0 => drop(text.drain(at..end)),
            1 => drop(text.splice(at..at, chance.one_of(&PIECES).iter().copied())),
            2 => drop(text.splice(at..end, chance.one_of(&PIECES).iter().copied())),
            3 if at < text.len() => text[at] ^= 1 << chance.below(8),
            4 if at < text.len() => text[at] = chance.bits() as u8,
            5 => text.extend_from_within(at..end),
            _ => {}
        }
    }
}

fn read_as_everything(bytes: &[u8]) {
    if let Ok(printed) = canonicalize(bytes) {
        match canonicalize(&printed) {
            Ok(again) => assert_eq!(again, printed),
            // 1.2345678901234567e20 is printed in digits of which a double does not hold the last.
            Err(error) => assert_eq!(error.why, Why::InexactInteger),
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(secret) = Secret::parse(text) {
        assert_eq!(Secret::parse(&secret.expose()).expect("it was read"), secret);
    }
    if let Ok(key) = SigningKey::parse(text) {
        assert_eq!(SigningKey::parse(&key.expose()).expect("it was read"), key);
    }
    if let Ok(key) = PublicKey::parse(text) {
        assert_eq!(key.to_string(), text, "there is one spelling");
    }
    if let Ok(keys) = Keys::parse(text) {
        assert!(keys.signers().count() > 0);
    }
    if let Err(error) = Profile::parse(text) {
        assert!(!error.to_string().is_empty());
    }
}

/// Headers that are damaged are refused; whether a damaged timestamp is one is decided alike.
fn judge(scheme: Scheme, verifier: &Verifier, chance: &mut Chance) {
    let body = b"{\"n\": 1.0}";
    let mut headers: Vec<(&str, Vec<u8>)> = genuine(scheme, "secret", body)
        .into_iter()
        .map(|(name, value)| (name, value.into_bytes()))
        .collect();
    let right = headers.clone();
    let at = chance.below(headers.len());
    damage(&mut headers[at].1, chance);
    if chance.below(10) == 0 {
        headers.push((scheme.id_header().unwrap_or("x"), chance.one_of(&PIECES).to_vec()));
    }
    let now = if chance.below(10) == 0 { chance.bits() as i64 } else { NOW };
    let verdict = verifier.verify(&headers, body, now);
    assert!(verifier.verify(&headers, b"another body", now).is_err());
    // What a header holds beside a right signature does no harm; what is signed cannot change.
    let signed = |headers: &[(&str, Vec<u8>)]| -> Vec<Vec<u8>> {
        let is_signature = |name: &str| name.eq_ignore_ascii_case(scheme.signature_header());
        headers.iter().filter(|(name, _)| !is_signature(name)).map(|(_, v)| v.clone()).collect()
    };
    if verdict.is_ok() && headers.len() == right.len() {
        assert_eq!(signed(&headers), signed(&right), "{scheme}");
    }
}

#[test]
fn nothing_panics_and_nothing_damaged_is_taken() {
    #[expect(clippy::disallowed_methods, reason = "a test has no settings")]
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let mut chance = Chance::new(setting("TIDINGS_FUZZ_SEED").unwrap_or(1));
    let public = PublicKey::parse(SEEDS[3]).expect("a key");
    let verifiers = Scheme::ALL.map(|scheme| {
        let mut keys = vec![Key::from(&Secret::parse("secret").expect("a secret"))];
        if scheme.name() == "standard" {
            keys.push(Key::from(public));
        }
        (scheme, Verifier::with_keys(scheme, keys).expect("keys"))
    });
    for _ in 0..setting("TIDINGS_FUZZ_ROUNDS").unwrap_or(ROUNDS) {
        let mut bytes = chance.one_of(&SEEDS).as_bytes().to_vec();
        damage(&mut bytes, &mut chance);
        read_as_everything(&bytes);
        let (scheme, verifier) = &verifiers[chance.below(verifiers.len())];
        judge(*scheme, verifier, &mut chance);
    }
}
