//! What receivers get: the `webhooks` of the contract, one for each profile and body shape.
//!
//! The examples are made by the code that makes the real ones.

use serde::Serialize;
use tidings_wire::body::{self, EventView, WebhookView};
use tidings_wire::profile::{BodyShape, Profile};
use tidings_wire::request::{self, DeliveryView};
use tidings_wire::sign::{MacKey, Signer};
use utoipa::openapi::content::Content;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterIn, PathItem, Paths,
};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{OpenApi, Ref, RefOr, Required, Response};
use utoipa::{PartialSchema, ToSchema};

/// The body of Standard Webhooks.
#[derive(Debug, Serialize, ToSchema)]
pub struct StandardBody {
    r#type: String,
    /// When it happened, RFC 3339.
    timestamp: String,
    /// The bytes that were published.
    data: serde_json::Value,
}

/// CloudEvents 1.0 in structured mode.
#[derive(Debug, Serialize, ToSchema)]
pub struct CloudEventBody {
    /// `1.0`
    specversion: String,
    id: String,
    /// `/tidings`
    source: String,
    r#type: String,
    /// When it happened, RFC 3339.
    time: String,
    datacontenttype: String,
    /// The bytes that were published.
    data: serde_json::Value,
}

/// The bytes that were published, alone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(value_type = Object)]
pub struct RawBody(serde_json::Value);

/// The body of the EMP job queue.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmpBody {
    event_type: String,
    event_id: String,
    /// When it happened, Unix milliseconds.
    timestamp: i64,
    webhook_id: String,
    data: serde_json::Value,
    /// From the second attempt on.
    metadata: Option<EmpMetadata>,
}

/// Says that it is not the first attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct EmpMetadata {
    /// 1 for the second attempt.
    retry_attempt: u32,
    original_timestamp: i64,
}

/// The body of the AegisX platform.
#[derive(Debug, Serialize, ToSchema)]
pub struct AegisxBody {
    id: String,
    r#type: String,
    /// When it happened, ISO 8601.
    created_at: String,
    data: serde_json::Value,
    webhook: AegisxWebhook,
}

/// Whom it is for.
#[derive(Debug, Serialize, ToSchema)]
pub struct AegisxWebhook {
    id: String,
    name: Option<String>,
}

/// What OpenVideo tells of an execution that is finished.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenVideoBody {
    execution_id: String,
    /// `completed`, `failed` or `partial`.
    status: String,
    /// By job: those whose result has a url.
    outputs: std::collections::BTreeMap<String, OpenVideoOutput>,
    /// Of the job that waits for no other; left out when it has none.
    root_url: Option<String>,
    /// ISO 8601.
    created_at: String,
    completed_at: String,
}

/// What a job made.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenVideoOutput {
    url: String,
    operation: String,
}

/// What ViewCreator tells of a job. Keys are sorted at every level.
#[derive(Debug, Serialize, ToSchema)]
pub struct ViewCreatorBody {
    /// Both left out when both are 0.
    clips_completed: Option<u64>,
    current_step: String,
    error: Option<String>,
    /// `job.started`, `job.progress`, `job.completed` or `job.failed`.
    event: String,
    external_job_id: Option<String>,
    job_id: String,
    output: Option<serde_json::Value>,
    owner_user_id: Option<String>,
    progress_percent: f64,
    status: String,
    /// ISO 8601.
    timestamp: String,
    total_clips: Option<u64>,
}

/// A lead with its campaign.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeadBody {
    event: String,
    /// ISO 8601.
    timestamp: String,
    #[schema(value_type = Object)]
    lead: serde_json::Value,
    campaign: Option<String>,
}

/// Adds what receivers get.
pub(super) fn describe(api: &mut OpenApi) {
    let mut webhooks = Paths::new();
    let mut add = |name: &str, profile: &Profile, shape: BodyShape| {
        webhooks.paths.insert(name.to_owned(), webhook(name, profile, shape));
    };
    for profile in Profile::builtins() {
        add(&profile.name, profile, profile.body);
    }
    if let Some(standard) = Profile::builtin("standard") {
        add("standard, body raw", standard, BodyShape::Raw);
        add("standard, body cloudevents", standard, BodyShape::CloudEvents);
        add("standard, body cloudevents-binary", standard, BodyShape::CloudEventsBinary);
    }
    api.webhooks = Some(webhooks);
    let schemas = &mut api.components.get_or_insert_default().schemas;
    schemas.insert("StandardBody".to_owned(), StandardBody::schema());
    schemas.insert("CloudEventBody".to_owned(), CloudEventBody::schema());
    schemas.insert("RawBody".to_owned(), RawBody::schema());
    schemas.insert("EmpBody".to_owned(), EmpBody::schema());
    schemas.insert("EmpMetadata".to_owned(), EmpMetadata::schema());
    schemas.insert("AegisxBody".to_owned(), AegisxBody::schema());
    schemas.insert("AegisxWebhook".to_owned(), AegisxWebhook::schema());
    schemas.insert("OpenVideoBody".to_owned(), OpenVideoBody::schema());
    schemas.insert("OpenVideoOutput".to_owned(), OpenVideoOutput::schema());
    schemas.insert("ViewCreatorBody".to_owned(), ViewCreatorBody::schema());
    schemas.insert("LeadBody".to_owned(), LeadBody::schema());
}

fn schema_of(shape: BodyShape) -> &'static str {
    match shape {
        BodyShape::Standard => "StandardBody",
        BodyShape::CloudEvents => "CloudEventBody",
        BodyShape::Emp => "EmpBody",
        BodyShape::Aegisx => "AegisxBody",
        BodyShape::OpenVideo => "OpenVideoBody",
        BodyShape::ViewCreator => "ViewCreatorBody",
        BodyShape::Lead => "LeadBody",
        _ => "RawBody",
    }
}

fn webhook(name: &str, profile: &Profile, shape: BodyShape) -> PathItem {
    let (body, headers) = sample(profile, shape);
    let mut content = Content::new(Some(Ref::from_schema_name(schema_of(shape))));
    content.example = serde_json::from_slice(&body).ok();
    let mut request = RequestBody::new();
    request.content.insert(shape.content_type().to_owned(), content.into());
    request.required = Some(Required::True);
    let operation = OperationBuilder::new()
        .operation_id(Some(format!("receive_{}", name.replace([' ', ','], "_"))))
        .summary(Some(format!("What a webhook of the profile `{name}` gets")))
        .description(Some(
            "A 2xx within the timeout means that it was received; anything else is tried again.",
        ))
        .request_body(Some(request))
        .response("2XX", Response::new("Received"))
        .security(SecurityRequirement::default());
    let described = headers.into_iter().fold(operation, |operation, (name, value)| {
        let mut header = Parameter::new(name);
        header.parameter_in = ParameterIn::Header;
        header.required = Required::True;
        header.schema = Some(RefOr::T(text()));
        header.description = Some(format!("For example `{value}`"));
        operation.parameter(header)
    });
    PathItem::new(HttpMethod::Post, described)
}

fn text() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).into()
}

/// An event that the shape can tell of: its type and its data.
fn event_for(shape: BodyShape) -> (&'static str, &'static str) {
    match shape {
        BodyShape::OpenVideo => (
            "execution.completed",
            r#"{"executionId":"exec_05n3q0c8g0003","status":"completed","outputs":{"join":{"url":"https://cdn.example.com/1.mp4","operation":"join"}},"rootUrl":"https://cdn.example.com/1.mp4","createdAt":"2024-01-14T10:30:00.000Z","completedAt":"2024-01-14T10:30:56.789Z"}"#,
        ),
        BodyShape::ViewCreator => (
            "job.progress",
            r#"{"job_id":"job_05n3q0c8g0004","external_job_id":"clip-7","owner_user_id":"user_789","status":"rendering","progress_percent":65,"current_step":"Rendering clip 3/5...","clips_completed":2,"total_clips":5}"#,
        ),
        BodyShape::Lead => (
            "lead.captured",
            r#"{"lead":{"id":"lead_05n3q0c8g0005","email":"ada@example.com","name":"Ada"},"campaign":"Spring"}"#,
        ),
        _ => ("job.completed", r#"{"job_id":"job_123","status":"completed"}"#),
    }
}

/// A request as a receiver gets it.
fn sample(profile: &Profile, shape: BodyShape) -> (Vec<u8>, Vec<(String, String)>) {
    let (event_type, data) = event_for(shape);
    let event = EventView {
        id: "evt_05n3q0c8g0001",
        event_type,
        timestamp_ms: 1_705_228_256_789,
        data: data.as_bytes(),
    };
    let webhook = WebhookView { id: "wh_05n3q0c8g0000", name: Some("orders") };
    let body = body::build(shape, &event, &webhook, 1).unwrap_or_default().into_owned();
    let signers = [Signer::Mac(MacKey::from_key(b"an example, not a secret"))];
    let headers = request::compose(&request::Attempt {
        profile,
        shape,
        delivery: DeliveryView {
            event_type: event.event_type,
            event_id: event.id,
            event_ms: event.timestamp_ms,
            webhook_id: webhook.id,
            delivery_id: "dlv_05n3q0c8g0002",
            created_ms: event.timestamp_ms,
            is_test: false,
        },
        body: &body,
        custom: &[],
        signers: &signers,
        timestamp_s: event.timestamp_ms / 1_000,
    });
    // OpenAPI knows the content type by the body.
    let told = headers.unwrap_or_default().into_iter().filter(|(name, _)| *name != "Content-Type");
    let told = told.map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
    (body, told)
}
