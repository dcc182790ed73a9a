mod reading;
mod requests;
mod sequence;

use super::*;

const OCCASION: Occasion<'_> = Occasion { event_id: "evt_1", timestamp_ms: 1_705_228_256_789 };

/// A lead with something of everything, not all of it harmless.
const ADA: &[u8] = r#"{
    "email": "Ada.Lövelace@example.com", "name": "Ada  King Lövelace", "phone": "+44 20 7946 0958",
    "company": "Engines & <Sons>", "tags": ["ebook", "vip"],
    "fields": {"Size": 12.50, "7": true, "note": "a*b\n\"c\"", "none": null},
    "source": {"page": "https://example.com/?a=1&b=2", "utm_source": "ads"}
}"#
.as_bytes();

fn captured(lead: &[u8]) -> Captured {
    let campaign = Some("Spring <Sale>".to_owned());
    Captured { lead_id: "lead-1".into(), campaign, lead: Lead::read(lead).unwrap() }
}

/// A lead of which nothing is known but what every format asks for.
fn bare() -> Captured {
    let lead = Lead::read(br#"{"email":"a@b.c"}"#).unwrap();
    Captured { lead_id: "lead-2".into(), campaign: None, lead }
}

fn url(format: Format) -> &'static str {
    match format {
        Format::Convertkit => "https://api.kit.com/",
        Format::Mailchimp => "https://us21.api.mailchimp.com/",
        Format::Activecampaign => "https://acme.api-us1.com/",
        Format::Hubspot => "https://api.hubapi.com/",
        _ => "https://example.com/hook/1?token=2",
    }
}

/// What each format must be told.
fn least(format: Format) -> &'static [u8] {
    match format {
        Format::Mailchimp => br#"{"api_key":"k-us21","list_id":"abc123"}"#,
        _ if format.has_key() => br#"{"api_key":"k"}"#,
        _ => b"{}",
    }
}
