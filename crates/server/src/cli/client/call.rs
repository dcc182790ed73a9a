//! One request to the API, put together.

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use serde::Serialize;
use url::Url;

/// What is asked of the server.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Call {
    method: Method,
    /// What comes before the path: `api` but for what operators ask.
    below: Option<&'static str>,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    body: Option<Bytes>,
}

/// The parts of a path below `/api`; ids may be anything that a user typed.
pub(in crate::cli) fn path<const N: usize>(parts: [&str; N]) -> Vec<String> {
    parts.map(str::to_owned).into()
}

impl Call {
    fn new(method: Method, path: Vec<String>) -> Self {
        let below = Some("api");
        Self { method, below, path, query: Vec::new(), headers: Vec::new(), body: None }
    }

    /// `/readyz`, which is not below `/api`.
    pub(super) fn ready() -> Self {
        Self { below: None, ..Self::get(path(["readyz"])) }
    }

    pub(in crate::cli) fn get(path: Vec<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(in crate::cli) fn post(path: Vec<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(in crate::cli) fn patch(path: Vec<String>) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub(in crate::cli) fn delete(path: Vec<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// A parameter, when there is one.
    pub(in crate::cli) fn query(
        mut self,
        name: &'static str,
        value: Option<impl ToString>,
    ) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub(in crate::cli) fn header(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.headers.extend(value.map(|value| (name, value.to_owned())));
        self
    }

    pub(in crate::cli) fn json(mut self, body: &impl Serialize) -> Result<Self> {
        self.body = Some(serde_json::to_vec(body)?.into());
        Ok(self)
    }

    /// Below the server's URL, which may have a path of its own.
    pub(super) fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(self.below).extend(&self.path);
        }
        url.set_query(None);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }

    pub(super) fn request(
        self,
        url: &Url,
        key: Option<&str>,
        tenant: Option<&str>,
    ) -> Result<Request<Full<Bytes>>> {
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut request = Request::builder()
            .method(self.method)
            .uri(target)
            .header(header::HOST, host)
            .header(header::USER_AGENT, concat!("tidings/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = key {
            let mut bearer = HeaderValue::try_from(format!("Bearer {key}"))?;
            bearer.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, bearer);
        }
        if let Some(tenant) = tenant {
            request = request.header("x-tenant-id", tenant);
        }
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        Ok(request.body(Full::new(self.body.unwrap_or_default()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_keep_the_path_of_the_server_and_escape_what_was_typed() {
        let url = |base: &str, call: Call| call.url(&Url::parse(base).unwrap()).to_string();
        let call = Call::get(path(["webhooks", "wh_1"])).query("limit", Some(5));
        assert_eq!(url("http://h:1", call.clone()), "http://h:1/api/webhooks/wh_1?limit=5");
        assert_eq!(url("https://h/t/?x", call), "https://h/t/api/webhooks/wh_1?limit=5");
        assert_eq!(url("https://h/t", Call::ready()), "https://h/t/readyz");
        let odd = Call::get(path(["webhooks", "a/b?c#d"])).query("cursor", None::<&str>);
        assert_eq!(url("http://h", odd), "http://h/api/webhooks/a%2Fb%3Fc%23d");
    }
}
