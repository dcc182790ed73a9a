//! Every scheme that receivers can verify: published examples, and what each refuses.

mod senders;

use senders::{NOW, genuine};
use tidings_wire::ed25519::SigningKey;
use tidings_wire::keys::KeysError;
use tidings_wire::profile::Profile;
use tidings_wire::secret::Secret;
use tidings_wire::sign::{MacKey, Signer, standard};
use tidings_wire::verify::{Headers, Key, Scheme, SetupError, Verified, Verifier, Why};

fn verifier(scheme: Scheme, secret: &str) -> Verifier {
    Verifier::new(scheme, &[secret]).expect("a secret")
}

fn why(result: Result<Verified<'_>, tidings_wire::verify::Refused>) -> Why {
    result.expect_err("it is wrong").why
}

/// docs.github.com, "Validating webhook deliveries", and docs.slack.dev, "Verifying requests from Slack".
#[test]
fn examples_of_the_documentations() {
    let mac = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let headers = [("X-Hub-Signature-256", format!("sha256={mac}"))];
    let github = verifier(Scheme::GitHub, "It's a Secret to Everybody");
    github.verify(&headers, b"Hello, World!", 0).unwrap();
    assert_eq!(why(github.verify(&headers, b"Hello, World?", 0)), Why::Mismatch);

    let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&\
                 channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&\
                 command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2F\
                 commands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
                 trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let mac = "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let signature = format!("v0={mac}");
    let headers = [("X-Slack-Request-Timestamp", "1531420618"), ("X-Slack-Signature", &signature)];
    let slack = verifier(Scheme::Slack, "8f742231b10e8888abcd99yyyzzz85a5");
    let verified = slack.verify(&headers, body, 1_531_420_618).unwrap();
    assert_eq!((verified.id, verified.timestamp_s), (None, Some(1_531_420_618)));
}

#[test]
fn every_scheme_accepts_its_own_and_refuses_all_else() {
    let (secret, body) = ("a shared secret", br#"{"n": 1.0}"#);
    for scheme in Scheme::ALL {
        assert_eq!(scheme.name().parse(), Ok(scheme));
        let verifier = Verifier::new(scheme, &["the next one", secret]).unwrap();
        let headers = genuine(scheme, secret, body);
        let verified = verifier.verify(&headers, body, NOW).unwrap();
        assert_eq!(verified.timestamp_s.is_some(), scheme.signs_time());

        // Another secret, another body, a part that is missing or there twice.
        let other = Verifier::new(scheme, &["the next one"]).unwrap();
        assert_eq!(why(other.verify(&headers, body, NOW)), Why::Mismatch, "{scheme}");
        assert_eq!(why(verifier.verify(&headers, br#"{"n":1.0}"#, NOW)), Why::Mismatch);
        for at in 0..headers.len() {
            let mut less = headers.clone();
            let (name, value) = less.remove(at);
            assert_eq!(why(verifier.verify(&less, body, NOW)), Why::Missing(name.into()));
            let mut more = headers.clone();
            more.push((name, value));
            assert_eq!(why(verifier.verify(&more, body, NOW)), Why::Repeated(name.into()));
        }
        // The clocks.
        for (now, wrong) in [(NOW + 301, Why::TooOld), (NOW - 301, Why::TooNew)] {
            let result = verifier.verify(&headers, body, now);
            match scheme.signs_time() {
                true => assert_eq!(why(result), wrong),
                false => drop(result.unwrap()),
            }
            let patient = verifier.clone().tolerance_s(301);
            patient.verify(&headers, body, now).unwrap();
        }
    }
}

#[test]
fn hex_and_base64_have_one_spelling() {
    let body = b"what do ya want for nothing?";
    let mac = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    let bare = verifier(Scheme::OpenVideo, "Jefe");
    let prefixed = verifier(Scheme::Emp, "Jefe");
    let verify = |verifier: &Verifier, value: &str| {
        let headers = [("x-webhook-signature", value)];
        verifier.verify(&headers, body, 0).map(drop).map_err(|refused| refused.why)
    };
    assert_eq!(verify(&bare, mac), Ok(()));
    assert_eq!(verify(&prefixed, &format!("sha256={mac}")), Ok(()));
    for (verifier, value) in [
        (&prefixed, mac.to_owned()),
        (&prefixed, format!("SHA256={mac}")),
        (&prefixed, format!("sha256= {mac}")),
        (&prefixed, format!("sha256=sha256={mac}")),
        (&prefixed, String::new()),
        (&prefixed, "sha256=".to_owned()),
        (&bare, format!("sha256={mac}")),
        (&bare, mac.to_uppercase()),
        (&bare, mac[..62].to_owned()),
        (&bare, mac[..63].to_owned()),
        (&bare, format!("{mac}00")),
        (&bare, format!("{mac} ")),
        (&bare, mac.replace('5', "g")),
        (&bare, mac.replace("5b", "+b")),
        (&bare, mac.replace("5b", "é")),
    ] {
        assert_eq!(verify(verifier, &value), Err(Why::InvalidSignature), "{value:?}");
    }
    assert_eq!(verify(&bare, &mac.replace("43", "44")), Err(Why::Mismatch));

    let shopify = verifier(Scheme::Shopify, "Jefe");
    let right = &genuine(Scheme::Shopify, "Jefe", body)[0].1;
    let given = |value: &str| {
        let headers = [("X-Shopify-Hmac-Sha256", value)];
        shopify.verify(&headers, body, 0).map(drop).map_err(|refused| refused.why)
    };
    assert_eq!(given(right), Ok(()));
    let unpadded = right.trim_end_matches('=');
    for value in [unpadded, &right.replace('B', "-"), &format!("{right}="), mac, "", "===="] {
        assert_eq!(given(value), Err(Why::InvalidSignature), "{value:?}");
    }
}

#[test]
fn the_header_of_stripe_is_read_strictly() {
    let stripe = verifier(Scheme::Stripe, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    // Its key is the text itself, the prefix included.
    let sent = genuine(Scheme::Stripe, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b"{}");
    let value = sent[0].1.as_str();
    let (t, rest) = value.split_once(',').unwrap();
    let v1 = rest.split(',').next().unwrap();
    let given = |value: &str| {
        let headers = [("Stripe-Signature", value)];
        stripe.verify(&headers, b"{}", NOW).map(drop).map_err(|refused| refused.why)
    };
    let other = format!("v1={}", "0".repeat(64));
    for value in
        [value, &format!("{v1},{t}"), &format!("{t},{other},{v1}"), &format!("{t},v2=,{v1}")]
    {
        assert_eq!(given(value), Ok(()), "{value}");
    }
    for (value, why) in [
        (String::new(), Why::InvalidSignature),
        (v1.to_owned(), Why::InvalidTimestamp),
        (format!("{t},{t},{v1}"), Why::InvalidTimestamp),
        (format!("t=,{v1}"), Why::InvalidTimestamp),
        (format!("t=+1614265330,{v1}"), Why::InvalidTimestamp),
        (format!("t=1614265331,{v1}"), Why::Mismatch),
        (t.to_owned(), Why::InvalidSignature),
        (format!("{t},"), Why::InvalidSignature),
        (format!("{t},,{v1}"), Why::InvalidSignature),
        (format!("{t}, {v1}"), Why::InvalidSignature),
        (format!("{t};{v1}"), Why::InvalidTimestamp),
        (format!("{t},{}", v1.replace("v1", "v0")), Why::InvalidSignature),
        (format!("{t},{}", v1.to_uppercase()), Why::InvalidSignature),
        (format!("{t},{other}"), Why::Mismatch),
        (format!("{t}{}", format!(",{other}").repeat(17)), Why::TooManySignatures),
        (format!("{t}{}", format!(",{other}").repeat(100_000)), Why::TooManySignatures),
    ] {
        assert_eq!(given(&value), Err(why), "{}", &value[..value.len().min(200)]);
    }
}

#[test]
fn ed25519_of_standard_webhooks() {
    let key = SigningKey::generate([7; 32]);
    let public = key.public_key().to_string();
    let shared = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let signers = [Signer::new(&Secret::parse(shared).unwrap()), Signer::Ed25519(key.clone())];
    let both = standard(&signers, "m", "1614265330", b"{}");
    let (v1, v1a) = both.split_once(' ').unwrap();
    let judge = |secrets: &[&str], value: &str, body: &[u8]| {
        let verifier = Verifier::new(Scheme::Standard, secrets).unwrap();
        let headers = [
            ("webhook-id", "m"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", value),
        ];
        verifier.verify(&headers, body, NOW).map(drop).map_err(|refused| refused.why)
    };
    for secret in [&public, &key.expose(), shared, &format!("{shared} {}", key.expose())] {
        assert_eq!(judge(&[secret], &both, b"{}"), Ok(()), "{secret}");
        assert_eq!(judge(&[secret], &both, b"{} "), Err(Why::Mismatch));
    }
    assert_eq!(judge(&[&public], v1a, b"{}"), Ok(()));
    assert_eq!(judge(&[shared, &public], v1a, b"{}"), Ok(()));
    // Each kind of signature needs its kind of key.
    assert_eq!(judge(&[&public], v1, b"{}"), Err(Why::NoKey));
    assert_eq!(judge(&[shared], v1a, b"{}"), Err(Why::NoKey));
    let other = SigningKey::generate([8; 32]).public_key().to_string();
    assert_eq!(judge(&[&other], &both, b"{}"), Err(Why::Mismatch));
    // A public key as shared secret: what anybody could sign.
    let forged = Signer::Mac(MacKey::from_key(public.as_bytes()));
    let forged = standard(&[forged], "m", "1614265330", b"{}");
    assert_eq!(judge(&[&public], &forged, b"{}"), Err(Why::NoKey));
    for wrong in [&v1a.replace("v1a", "v1"), &v1.replace("v1", "v1a"), &v1a.replace("==", "")] {
        assert_eq!(judge(&[shared, &public], wrong, b"{}"), Err(Why::InvalidSignature), "{wrong}");
    }
}

#[test]
fn what_no_verifier_is_made_of() {
    let of = |scheme, secrets: &[&str]| Verifier::new(scheme, secrets).unwrap_err();
    let public = SigningKey::generate([7; 32]).public_key();
    for scheme in Scheme::ALL {
        assert_eq!(of(scheme, &[]), SetupError::NoSecret);
        assert!(matches!(of(scheme, &["right", ""]), SetupError::Secret(KeysError::Secret(_))));
        let takes = matches!(scheme, Scheme::Standard | Scheme::Svix);
        let made = Verifier::with_keys(scheme, vec![Key::from(public)]);
        assert_eq!(made.is_ok(), takes, "{scheme}");
    }
    assert_eq!(of(Scheme::Emp, &[&public.to_string()]), SetupError::Ed25519);
    assert!(matches!(of(Scheme::Standard, &["whsec_AAAA"]), SetupError::Secret(_)));
    Verifier::new(Scheme::Stripe, &["whsec_AAAA"]).unwrap(); // text to Stripe
    assert_eq!("GitHub".parse::<Scheme>().ok(), None);
}

#[test]
fn what_a_profile_sends_is_verified_by_the_profile() {
    for profile in Profile::builtins() {
        let verifier = Verifier::of_profile(profile, &["a shared secret"]).unwrap();
        let scheme: Scheme = profile.name.parse().expect("each has a scheme of its name");
        let headers = genuine(scheme, "a shared secret", b"{}");
        verifier.verify(&headers, b"{}", NOW).unwrap();
        assert!(verifier.verify(&headers, b"[]", NOW).is_err());
    }
    let unsigned = Profile::parse(
        "name = \"plain\"\nuser_agent = \"x\"\nbody = \"raw\"\ntimeout_ms = 1000\n\
         secret = \"optional\"\n[retry]\nmax_attempts = 1\nstrategy = \"fixed\"",
    )
    .unwrap();
    assert_eq!(Verifier::of_profile(&unsigned, &["x"]).unwrap_err(), SetupError::Unsigned);
}

#[test]
fn nothing_tells_a_sender_or_a_log_too_much() {
    let verifier = verifier(Scheme::Emp, "hunter2-hunter2");
    let refused = verifier.verify(&[("x", "y")], b"", 0).unwrap_err();
    assert_eq!(refused.to_string(), "not verified");
    let source = std::error::Error::source(&refused).expect("the reason");
    assert_eq!(source.to_string(), "the header `X-Webhook-Signature` is missing");
    let shown = format!("{verifier:?}");
    assert!(!shown.contains("hunter2") && shown.contains("redacted"), "{shown}");
}

#[test]
fn the_hook_is_asked_for_verified_ids_only() {
    use std::sync::{Arc, Mutex};
    let asked = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&asked);
    let verifier = verifier(Scheme::Standard, "secret").seen(move |id| {
        hook.lock().unwrap().push(id.to_owned());
        true
    });
    let headers = genuine(Scheme::Standard, "secret", b"{}");
    assert!(verifier.verify(&headers, b"{}", NOW).unwrap().seen);
    assert!(verifier.verify(&headers, b"forged", NOW).is_err());
    assert!(verifier.verify(&headers, b"{}", NOW + 1_000).is_err());
    assert_eq!(*asked.lock().unwrap(), ["msg_1"]);
    // An id that is not signed must be one all the same.
    let mut headers = genuine(Scheme::Emp, "secret", b"{}");
    headers.push(("X-Event-ID", "evt 1".to_owned()));
    let emp = Verifier::new(Scheme::Emp, &["secret"]).unwrap();
    assert_eq!(why(emp.verify(&headers, b"{}", NOW)), Why::InvalidId);
    headers[1].1 = "evt.1".to_owned();
    assert_eq!(emp.verify(&headers, b"{}", NOW).unwrap().id, Some("evt.1"));
}

#[test]
fn headers_in_any_container() {
    let pairs = genuine(Scheme::Emp, "secret", b"{}");
    let mut map = http::HeaderMap::new();
    for (name, value) in &pairs {
        map.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    let slice = &pairs[..];
    let verifier = verifier(Scheme::Emp, "secret");
    for headers in [&pairs as &dyn Headers, &slice, &map] {
        verifier.verify(headers, b"{}", NOW).unwrap();
    }
    map.append("x-webhook-signature", "sha256=".parse().unwrap());
    assert!(matches!(why(verifier.verify(&map, b"{}", NOW)), Why::Repeated(_)));
}
