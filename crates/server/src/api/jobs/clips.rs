//! `GET /api/jobs/{id}/clips`: what was cut out of its video.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use tidings_core::clipping::media;
use tidings_core::id::kind;

use crate::api::App;
use crate::api::auth::{Caller, Scope};
use crate::api::envelope;
use crate::api::page::{ListQuery, cut};
use crate::api::path::PathId;
use crate::api::problem::{Problem, Result};

/// A clip as its worker reported it, with further fields if that had any.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "documents what is shown as it was reported")]
pub struct ClipView {
    clip_index: f64,
    /// Where it is: at the CDN of `media_cdn_domain`, if there is one and the worker named a bucket.
    #[schema(example = "https://cdn.example.com/clips/user_789/abc-123/clip_00.mp4")]
    s3_url: String,
    duration_ms: f64,
    start_time_ms: f64,
    end_time_ms: f64,
    virality_score: f64,
    #[schema(example = "talking_head")]
    layout_type: String,
    summary: Option<String>,
    tags: Option<Vec<String>>,
}

/// List the clips of a job, in the order of its output.
///
/// They are the `clips` of its `output`; a job without any has none.
#[utoipa::path(
    get, path = "/api/jobs/{id}/clips", tag = "jobs", operation_id = "list_clips",
    params(
        ("id" = String, Path, description = "The job's id"),
        ("limit" = Option<u32>, Query, description = "1 to 250, default 50"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of an earlier answer"),
    ),
    responses((status = 200, body = envelope::ListEnvelope<ClipView>))
)]
pub async fn list_clips(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<kind::Job>,
    query: ListQuery,
) -> Result<Response> {
    caller.require(Scope::Read)?;
    query.only(&[])?;
    let limit = query.limit()?;
    // An ended job does not change, so a place stays what it is.
    let place = query.cursor::<u32>()?.unwrap_or(0);
    let record = app.store.job(caller.tenant, id).await?;
    let record = record.ok_or_else(|| Problem::not_found("the job was"))?;
    let clips = record.job.output.as_deref().map_or_else(Vec::new, media::clips);
    let rest = clips.into_iter().skip(place as usize).take(limit as usize + 1).collect();
    let (clips, next) = cut(rest, limit, |_| place.saturating_add(limit).to_string());
    Ok(envelope::list(clips, next, app.clock.now()))
}
