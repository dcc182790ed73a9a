//! One HTTP request of a hand-off.

use std::fmt;

use crate::request::{self, Attempt, ComposeError, Headers};

/// One HTTP request, but for what every request has: `Host`, `Content-Length`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// `POST` or `PUT`.
    pub method: &'static str,
    /// Where it goes.
    pub url: String,
    /// Canonical JSON.
    pub body: String,
    /// Headers that authenticate. They are never shown.
    credentials: Vec<(&'static str, String)>,
    /// Whether the profile's headers and its signature go with it.
    is_signed: bool,
}

impl Call {
    /// A request to a webhook, with the headers of the profile.
    pub(super) fn to_webhook(url: &str, body: String) -> Self {
        Self { is_signed: true, ..Self::to_chat(url, body) }
    }

    /// A request to a chat's webhook.
    pub(super) fn to_chat(url: &str, body: String) -> Self {
        let (method, url) = ("POST", url.to_owned());
        Self { method, url, body, credentials: Vec::new(), is_signed: false }
    }

    /// A request to an API, with what authenticates it.
    pub(super) fn to_api(url: String, credential: (&'static str, String), body: String) -> Self {
        Self { method: "POST", url, body, credentials: vec![credential], is_signed: false }
    }

    /// The headers of this call, in the order in which they are written. `attempt` gives the profile,
    /// the signers and custom headers; its body must be this call's.
    ///
    /// Only signed formats take the profile's headers and its signature. Custom headers never override
    /// ours.
    pub fn headers<'a>(&'a self, attempt: &Attempt<'a>) -> Result<Headers<'a>, ComposeError> {
        if self.is_signed {
            return request::compose(attempt);
        }
        let mut headers: Headers<'a> = vec![
            ("Content-Type", "application/json".into()),
            ("User-Agent", attempt.profile.user_agent.as_str().into()),
        ];
        headers.extend(self.credentials.iter().map(|(name, value)| (*name, value.as_str().into())));
        request::append_custom(&mut headers, attempt)?;
        Ok(headers)
    }

    /// Whether a header of it authenticates, so that nobody may see its value.
    pub fn is_credential(&self, header: &str) -> bool {
        self.credentials.iter().any(|(name, _)| name.eq_ignore_ascii_case(header))
    }
}

/// Shows neither credentials nor the person.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.method).finish_non_exhaustive()
    }
}

/// `https://host` of a normalised URL that is an origin and no more; `None` if it has a path, a query
/// or a fragment.
pub(super) fn origin(url: &str) -> Option<&str> {
    let (_, after_scheme) = url.split_once("://")?;
    let origin = url.strip_suffix('/').unwrap_or(url);
    let host = after_scheme.strip_suffix('/').unwrap_or(after_scheme);
    (!host.is_empty() && !host.contains(['/', '?', '#'])).then_some(origin)
}
