//! Whatever comes in, parsers and verifiers answer; and what they accept means what it says.

use proptest::prelude::*;
use tidings_wire::canonical::{append_string, canonicalize};
use tidings_wire::lead::{Captured, Format, Handoff, Lead, Occasion, Options};
use tidings_wire::profile::Profile;
use tidings_wire::secret::Secret;
use tidings_wire::time::rfc3339_ms;

/// Text made of the pieces that JSON is made of, most of it wrong.
fn json_soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\""),
        Just("\\"),
        Just("\"a\""),
        Just("\"1\":"),
        Just("\\u"),
        Just("d800"),
        Just("\\udc00"),
        Just("-"),
        Just("0"),
        Just("12"),
        Just("."),
        Just("e"),
        Just("E+"),
        Just("true"),
        Just("nul"),
        Just(" "),
        Just("\n"),
        Just("é"),
        Just("\u{2028}"),
        Just("\u{1}"),
        Just("9007199254740993"),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn canonicalize_takes_any_bytes(text in any::<Vec<u8>>()) {
        let _ = canonicalize(&text);
    }

    #[test]
    fn canonicalize_agrees_with_serde_on_what_is_json(text in json_soup()) {
        use tidings_wire::canonical::Why;
        let ours = canonicalize(text.as_bytes());
        match ours {
            Ok(canonical) => {
                // Printing what was printed changes nothing.
                prop_assert_eq!(&canonicalize(&canonical).unwrap(), &canonical);
                serde_json::from_slice::<&serde_json::value::RawValue>(text.as_bytes()).unwrap();
            }
            Err(error) => {
                if let Why::Invalid { .. } = error.why {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_err(), "{}", text);
                }
            }
        }
    }

    #[test]
    fn every_string_is_printed_as_it_is_read(text in any::<String>()) {
        let mut quoted = Vec::new();
        append_string(&text, &mut quoted);
        prop_assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), text);
        prop_assert_eq!(canonicalize(&quoted).unwrap(), quoted);
    }

    #[test]
    fn every_double_is_printed_as_it_is_read(bits in any::<u64>()) {
        let number = f64::from_bits(bits);
        prop_assume!(number.is_finite());
        let printed = canonicalize(format!("{number:e}").as_bytes()).unwrap();
        let read: f64 = std::str::from_utf8(&printed).unwrap().parse().unwrap();
        prop_assert_eq!(read, number);
    }

    #[test]
    fn secrets_and_profiles_take_any_text(text in any::<String>(), key in "(name|body|retry|headers)", value in any::<String>()) {
        let _ = Secret::parse(&text);
        let _ = Secret::parse(&format!("whsec_{text}"));
        let _ = Profile::parse(&text);
        let _ = Profile::parse(&format!("{key} = {value}"));
        let file = include_str!("../profiles/aegisx.toml").replace("{event_type}", &text);
        let _ = Profile::parse(&file);
    }

    #[test]
    fn every_moment_has_24_bytes(ms in any::<i64>()) {
        prop_assert_eq!(rfc3339_ms(ms).len(), 24);
    }

    #[test]
    fn leads_of_any_kind_make_canonical_requests(
        texts in proptest::collection::vec(any::<String>(), 8),
        soup in json_soup(),
        answer in any::<Vec<u8>>(),
        url in "[a-z:/?#.]{0,20}|https://a\\.b/?",
        status in any::<u16>(),
    ) {
        let _ = (Lead::read(soup.as_bytes()), Captured::from_data(soup.as_bytes()));
        let [email, name, phone, tag, key, value, id, campaign] = &texts[..] else { unreachable!() };
        let lead = serde_json::json!({
            "email": format!("a@{email}"), "name": name, "phone": phone, "tags": [tag], "fields": {key: value},
        });
        let lead = Lead::read(lead.to_string().as_bytes()).unwrap_or_default();
        let captured = Captured { lead_id: id.clone(), campaign: Some(campaign.clone()), lead };
        let data = captured.to_data();
        let again = Captured::from_data(data.as_bytes()).expect("our own data");
        prop_assert_eq!(again.to_data(), data);
        for format in Format::ALL {
            let options = [r#"{"api_key":"k","list_id":1}"#, r#"{"api_key":"k"}"#, "{}"];
            let options = options.iter().find_map(|o| Options::read(format, o.as_bytes()).ok());
            let options = options.expect("one of them suits");
            let occasion = Occasion { event_id: id, timestamp_ms: 0 };
            let Ok(mut handoff) = Handoff::new(format, &captured, &options, &url, occasion) else { continue };
            let body = handoff.call().body;
            prop_assert_eq!(canonicalize(body.as_bytes()).expect("JSON"), body.as_bytes());
            let _ = handoff.answered(status, &answer);
            let _ = (handoff.answered(200, &answer), handoff.call());
        }
    }
}
