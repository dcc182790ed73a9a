//! What is signed verifies, and nothing else does: not when a single bit of it is another.

mod senders;

use proptest::prelude::*;
use proptest::sample::Index;
use senders::{NOW, genuine};
use tidings_wire::ed25519::SigningKey;
use tidings_wire::secret::Secret;
use tidings_wire::sign::{Signer, standard};
use tidings_wire::verify::{Scheme, Verifier};

fn flip(bytes: &mut [u8], bit: Index) {
    if !bytes.is_empty() {
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

/// The part of Stripe's header that proves nothing, and that no verifier looks at.
fn is_ignored(scheme: Scheme, value: &[u8], bit: Index) -> bool {
    let v0 = value.windows(4).position(|window| window == b",v0=");
    scheme == Scheme::Stripe && v0.is_some_and(|at| bit.index(value.len() * 8) / 8 >= at)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_is_refused_in_every_scheme(
        secret in "[a-zA-Z0-9 ]{1,80}",
        body in any::<Vec<u8>>(),
        bit in any::<Index>(),
        place in any::<Index>(),
    ) {
        for scheme in Scheme::ALL {
            let verifier = Verifier::new(scheme, &[&secret]).unwrap();
            let headers: Vec<(&str, Vec<u8>)> = genuine(scheme, &secret, &body)
                .into_iter()
                .map(|(name, value)| (name, value.into_bytes()))
                .collect();
            prop_assert!(verifier.verify(&headers, &body, NOW).is_ok(), "{scheme}");

            let mut forged = body.clone();
            forged.push(0);
            prop_assert!(verifier.verify(&headers, &forged, NOW).is_err(), "{scheme}");
            forged.pop();
            flip(&mut forged, bit);
            prop_assert_eq!(verifier.verify(&headers, &forged, NOW).is_ok(), body.is_empty());

            let mut forged = headers.clone();
            let at = place.index(forged.len());
            if !is_ignored(scheme, &forged[at].1, bit) {
                flip(&mut forged[at].1, bit);
                prop_assert!(verifier.verify(&forged, &body, NOW).is_err(), "{scheme} {forged:?}");
            }
            let mut forged = secret.clone().into_bytes();
            flip(&mut forged, bit);
            if let Ok(other) = String::from_utf8(forged) {
                let other = Verifier::new(scheme, &[other]).unwrap();
                prop_assert!(other.verify(&headers, &body, NOW).is_err(), "{scheme}");
            }
        }
    }

    #[test]
    fn standard_webhooks_with_every_kind_of_key(
        key in proptest::collection::vec(any::<u8>(), 24..=64),
        seed in any::<[u8; 32]>(),
        id in "[!-\\-/-~]{1,64}",
        timestamp in 0..=i64::MAX,
        body in any::<Vec<u8>>(),
        bit in any::<Index>(),
    ) {
        use base64::Engine as _;
        let text = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(&key));
        let secret = Secret::parse(&text).unwrap();
        prop_assert_eq!((secret.as_bytes(), secret.expose()), (&key[..], text.clone()));
        let private = SigningKey::generate(seed);
        prop_assert_eq!(&SigningKey::parse(&private.expose()).unwrap(), &private);
        let public = private.public_key().to_string();

        let signers = [Signer::new(&secret), Signer::Ed25519(private)];
        let digits = timestamp.to_string();
        let value = standard(&signers, &id, &digits, &body);
        let headers = [("webhook-id", &id), ("webhook-timestamp", &digits), ("webhook-signature", &value)];
        let mut forged = body.clone();
        flip(&mut forged, bit);
        for key in [&text, &public] {
            let verifier = Verifier::new(Scheme::Standard, &["another", key]).unwrap().tolerance_s(0);
            prop_assert!(verifier.verify(&headers, &body, timestamp).is_ok());
            prop_assert_eq!(verifier.verify(&headers, &forged, timestamp).is_ok(), body.is_empty());
        }
    }
}
