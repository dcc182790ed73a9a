//! A small HTTP client for what happens before and after a measurement: one request at a time.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use serde::de::DeserializeOwned;

use crate::net::{Connection, Target};

#[derive(Debug)]
pub struct Api {
    base: Target,
    connection: Option<Connection>,
}

impl Api {
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self { base: url.parse()?, connection: None })
    }

    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T> {
        let body = self.ask(Method::GET, path, Bytes::new()).await?;
        serde_json::from_slice(&body).with_context(|| format!("GET {path} answered no such JSON"))
    }

    pub async fn text(&mut self, path: &str) -> Result<String> {
        let body = self.ask(Method::GET, path, Bytes::new()).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    pub async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Result<Bytes> {
        self.ask(Method::POST, path, body.into()).await
    }

    /// Asks, on a fresh connection if the kept one was closed meanwhile. Anything but a 2xx is an
    /// error that says what the server said.
    async fn ask(&mut self, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
        let request = || {
            Request::builder()
                .method(method.clone())
                .uri(path)
                .header(HOST, &self.base.host)
                .header(CONTENT_TYPE, "application/json")
                .body(Full::new(body.clone()))
                .context("not a request")
        };
        let kept = match &mut self.connection {
            Some(connection) => connection.send(request()?).await.ok(),
            None => None,
        };
        let answer = match kept {
            Some(answer) => answer,
            None => {
                let mut fresh = Connection::open(self.base.address).await?;
                let answer = fresh.send(request()?).await;
                self.connection = Some(fresh);
                answer.with_context(|| format!("{method} {path}"))?
            }
        };
        let status = answer.status();
        let body = answer.into_body();
        ensure!(
            status.is_success(),
            "{method} {path} answered {status}: {}",
            String::from_utf8_lossy(&body[..body.len().min(500)])
        );
        Ok(body)
    }
}
