//! A lead with its campaign, for webhooks that listen to `lead.*`.

use super::EventView;
use super::fields::{Data, Kind, object, text, time};
use crate::canonical::{Order, Unrepresentable};

/// The body: out of the data of the event, which must have the object `lead` and may have `campaign`
/// (or `campaignName`; null without) and `timestamp`. Data that is such a body already stays as it is.
pub(super) fn from_event(event: &EventView<'_>) -> Result<Vec<u8>, Unrepresentable> {
    let data = Data::read(event.data, Order::AsSet)?;
    let timestamp = data.optional(&["timestamp"], Kind::Text)?;
    let campaign = data.any(&["campaign", "campaignName"]);
    Ok(object([
        ("event", Some(text(event.event_type))),
        ("timestamp", Some(timestamp.unwrap_or_else(|| time(event.timestamp_ms)))),
        ("lead", Some(data.required(&["lead"], Kind::Object)?)),
        ("campaign", Some(campaign.unwrap_or_else(|| b"null".to_vec()))),
    ]))
}

#[cfg(test)]
mod tests {
    use crate::body::{EventView, WebhookView, build};
    use crate::canonical::{Unrepresentable, Why};
    use crate::profile::BodyShape;

    fn from_data(data: &str) -> Result<String, Unrepresentable> {
        let event = EventView {
            id: "evt_1",
            event_type: "lead.captured",
            timestamp_ms: 1_705_228_256_789,
            data: data.as_bytes(),
        };
        let webhook = WebhookView { id: "wh_1", name: None };
        let body = build(BodyShape::Lead, &event, &webhook, 1)?;
        Ok(String::from_utf8(body.into_owned()).unwrap())
    }

    #[test]
    fn a_lead_and_its_campaign() {
        let body = r#"{"event":"lead.captured","timestamp":"2024-01-14T10:30:56.789Z","lead":{"email":"a@example.com"},"campaign":"Spring"}"#;
        let data = r#"{"campaignName": "Spring", "lead": {"email": "a@example.com"}, "score": 7}"#;
        assert_eq!(from_data(data).unwrap(), body);
        assert_eq!(from_data(body).unwrap(), body);
        assert!(from_data(r#"{"lead":{}}"#).unwrap().ends_with(r#","lead":{},"campaign":null}"#));
    }

    /// A captured lead looks the same to a registered webhook as handed to a URL in the format `raw`.
    #[test]
    fn a_captured_lead_is_what_the_format_raw_makes_of_it() {
        use crate::lead::{Captured, Format, Handoff, Lead, Occasion, Options};
        let lead =
            Lead::read(br#"{"email":"ada@example.com","name":"Ada","tags":["vip"]}"#).unwrap();
        let captured = Captured { lead_id: "lead-1".into(), campaign: None, lead };
        let options = Options::read(Format::Raw, b"{}").unwrap();
        let occasion = Occasion { event_id: "evt_1", timestamp_ms: 1_705_228_256_789 };
        let handoff =
            Handoff::new(Format::Raw, &captured, &options, "https://a/", occasion).unwrap();
        assert_eq!(from_data(&captured.to_data()).unwrap(), handoff.call().body);
    }

    #[test]
    fn what_is_missing_is_pointed_at() {
        let error = from_data(r#"{"email":"a@example.com"}"#).unwrap_err();
        assert_eq!((error.pointer.as_str(), error.why), ("/data/lead", Why::Missing));
        let error = from_data(r#"{"lead":"a@example.com"}"#).unwrap_err();
        assert_eq!(error.why, Why::Not("an object"));
    }
}
