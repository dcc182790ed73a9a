//! What comes in: leads and options, and what is refused of them.

use super::*;

fn refused<T: std::fmt::Debug>(result: Result<T, Vec<Refused>>) -> Vec<String> {
    result.unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn names_are_split_and_joined() {
    let names = |json: &str| {
        let lead = Lead::read(json.as_bytes()).unwrap();
        [lead.name, lead.first_name, lead.last_name].map(|name| name.unwrap_or_default())
    };
    for (json, expected) in [
        (r#"{"name":"Ada Lovelace"}"#, ["Ada Lovelace", "Ada", "Lovelace"]),
        (
            r#"{"name":" Ludwig  van Beethoven "}"#,
            ["Ludwig  van Beethoven", "Ludwig", "van Beethoven"],
        ),
        (r#"{"name":"Björk"}"#, ["Björk", "Björk", ""]),
        (r#"{"name":"王 小明"}"#, ["王 小明", "王", "小明"]),
        (r#"{"first_name":"Ada","last_name":"Lovelace"}"#, ["Ada Lovelace", "Ada", "Lovelace"]),
        (r#"{"last_name":"Lovelace"}"#, ["Lovelace", "", "Lovelace"]),
        (r#"{"name":"Dr A","first_name":"Ada"}"#, ["Dr A", "Ada", ""]),
        (r#"{"name":"","first_name":null}"#, ["", "", ""]),
    ] {
        assert_eq!(names(json), expected, "{json}");
    }
}

#[test]
fn a_lead_is_read_back_as_it_was() {
    let captured = captured(ADA);
    let data = captured.to_data();
    assert_eq!(Captured::from_data(data.as_bytes()).unwrap().to_data(), data);
    let json = captured.lead.to_json();
    assert_eq!(Lead::read(json.as_bytes()).unwrap().to_json(), json);
    let stub = Captured { lead_id: "x".into(), campaign: None, lead: Lead::default() };
    assert_eq!(stub.to_data(), r#"{"lead":{"id":"x"},"campaign":null}"#);
    assert_eq!(Captured::from_data(stub.to_data().as_bytes()).unwrap(), stub);
    assert_eq!(refused(Captured::from_data(b"{}")), ["/lead/id is required"]);
    assert_eq!(refused(Captured::from_data(b"[]")), [" must be an object"]);
}

#[test]
fn everything_wrong_with_a_lead_is_named() {
    let lead = br#"{"email":"nobody","name":7,"phone":"1\n2","tags":["a","",3],"company":"x","company":"y",
        "fields":{"a/b":[1],"big":9007199254740993,"":1},"source":"here","vip":true}"#;
    assert_eq!(
        refused(Lead::read(lead)),
        [
            "/lead/company is given twice",
            "/lead/name must be a text",
            "/lead/phone must be one line of at most 500 characters",
            "/lead/tags must be a list of texts",
            "/lead/fields/a~1b must be a text, a number, true, false or null",
            "/lead/fields/big is a number that a double cannot hold",
            "/lead/fields/ must have a name of 1 to 100 characters on one line",
            "/lead/source must be an object",
            "/lead/email must be an e-mail address",
            "/lead/vip is not a known field",
        ]
    );
    assert_eq!(refused(Lead::read(br#"{"tags":["a",""]}"#)).len(), 1);
    for email in ["@b", "a@", "a@b@c", "a b@c", "a@b c"] {
        let lead = format!("{{\"email\":\"{email}\"}}");
        assert_eq!(refused(Lead::read(lead.as_bytes())), ["/lead/email must be an e-mail address"]);
    }
    assert_eq!(refused(Lead::read(b"[1]")), ["/lead must be an object"]);
}

#[test]
fn what_a_format_misses_is_refused_before_anything_is_sent() {
    let unknown = Captured { lead_id: "x".into(), campaign: None, lead: Lead::default() };
    for format in Format::ALL {
        let options = Options::read(format, least(format)).unwrap();
        let asked = Handoff::new(format, &unknown, &options, url(format), OCCASION);
        match format.needs_email() {
            true => {
                let expected = format!("/lead/email is required by the format `{}`", format.name());
                assert_eq!(refused(asked), [expected]);
            }
            false => assert!(asked.is_ok(), "{format:?}"),
        }
        // The options of another format do no harm here either.
        let none = Options::default();
        let known = bare();
        let asked = Handoff::new(format, &known, &none, url(format), OCCASION);
        assert_eq!(asked.is_err(), format.has_key(), "{format:?}");
    }
}

#[test]
fn an_api_is_named_by_its_origin() {
    let captured = bare();
    for format in Format::ALL.into_iter().filter(|format| format.has_key()) {
        let options = Options::read(format, least(format)).unwrap();
        let new = |url| Handoff::new(format, &captured, &options, url, OCCASION);
        for url in ["https://a.example", "https://a.example/", "http://127.0.0.1:8080/"] {
            let call = new(url).unwrap().call();
            assert!(call.url.starts_with(&format!("{}/", url.trim_end_matches('/'))));
            assert_eq!(call.url.matches("//").count(), 1, "{}", call.url);
        }
        for url in ["https://a.example/v4", "https://a.example/?a", "https://a.example#a", "x"] {
            assert!(refused(new(url))[0].starts_with("/webhookUrl must be the origin"), "{url}");
        }
    }
}

#[test]
fn options_are_those_of_the_format() {
    for format in Format::ALL {
        let all = br#"{"api_key":"k","list_id":"1","form_id":"2","tag_id":"3","tags":["a"],
            "fields":{"company":"x"},"double_opt_in":true}"#;
        let unknown = match Options::read(format, all) {
            Ok(_) => Vec::new(),
            Err(refused) => refused,
        };
        assert_eq!(unknown.len(), 7 - format.options().len(), "{format:?}");
        assert!(unknown.iter().all(|refused| refused.what == "is not a known field"));
        for (name, is_required) in format.options() {
            if *is_required {
                let missing = refused(Options::read(format, b"{}"));
                let expected =
                    format!("/options/{name} is required by the format `{}`", format.name());
                assert!(missing.contains(&expected), "{missing:?}");
            }
        }
        let options = Options::read(format, least(format)).unwrap();
        assert_eq!(Options::read(format, options.expose().as_bytes()).unwrap(), options);
    }
}

#[test]
fn ids_cannot_leave_their_place_in_a_url() {
    for id in ["\"../1\"", "\"1?x\"", "\"\"", "-1", "1.5", "true", "{}", "\"1\\u002f\""] {
        let options = format!("{{\"api_key\":\"k\",\"list_id\":{id}}}");
        for format in [Format::Mailchimp, Format::Activecampaign] {
            let pointers = refused(Options::read(format, options.as_bytes()));
            assert!(pointers[0].starts_with("/options/list_id"), "{id} {pointers:?}");
        }
    }
    for key in ["a b", "a\\r\\nX: 1", "é"] {
        let options = format!("{{\"api_key\":\"{key}\"}}");
        let pointers = refused(Options::read(Format::Hubspot, options.as_bytes()));
        assert!(pointers[0].starts_with("/options/api_key"), "{key}");
    }
}

/// docs/leads.md has a row for each format, with everything that it needs and takes.
#[test]
fn the_documentation_knows_every_format() {
    let page = include_str!("../../../../../docs/leads.md");
    for format in Format::ALL {
        let begins = format!("| `{}`", format.name());
        let row = page.lines().find(|line| line.starts_with(&begins)).unwrap();
        let cells: Vec<&str> = row.split('|').collect();
        let (needs, takes) = (cells[3], cells[4]);
        assert_eq!(needs.contains("`email`"), format.needs_email(), "{row}");
        for (name, is_required) in format.options() {
            let cell = if *is_required { needs } else { takes };
            assert!(cell.contains(&format!("`{name}`")), "{name} {row}");
        }
    }
}
