//! A lead as answers show it.

use serde::Serialize;
use serde_json::value::RawValue;
use tidings_core::lead::Lead;

/// A lead.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LeadView {
    /// What its owner calls it, else ours.
    #[schema(example = "lead_05n3q0c8g0001")]
    pub id: String,
    /// `new`, `webhook_pending`, `webhook_sent` or `webhook_failed`: as its delivery that changed last.
    pub status: &'static str,
    pub campaign: Option<String>,
    /// What is known of the person.
    #[schema(value_type = Object)]
    pub lead: Box<RawValue>,
    /// Unix milliseconds, like the other.
    pub created_at: i64,
    pub updated_at: i64,
}

impl From<&Lead> for LeadView {
    fn from(lead: &Lead) -> Self {
        let person = RawValue::from_string(lead.captured.lead.to_json());
        Self {
            id: lead.captured.lead_id.clone(),
            status: lead.status.as_str(),
            campaign: lead.captured.campaign.clone(),
            lead: person.expect("it is JSON"),
            created_at: lead.id.created_at().as_millis(),
            updated_at: lead.updated_at.as_millis(),
        }
    }
}
