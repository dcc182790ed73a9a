//! The body of what only happens, as `POST …/pause`: none, or an object without fields.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};

use super::App;
use super::body::{JsonBody, read_body};
use super::form::Form;
use super::problem::{Problem, Result};

/// Whoever sends a field means something by it, so none is passed over.
#[derive(Debug)]
pub struct NoFields;

impl FromRequest<Arc<App>> for NoFields {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self> {
        let (head, body) = request.into_parts();
        let body = read_body(&head.headers, body, app.settings.request_body_bytes_max).await?;
        if body.is_empty() {
            // Whatever its type is said to be.
            return Ok(Self);
        }
        let request = Request::from_parts(head, Body::from(body));
        let JsonBody(body) = JsonBody::from_request(request, app).await?;
        Form::parse(&body)?.finish()?;
        Ok(Self)
    }
}
