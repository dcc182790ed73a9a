//! The fields of a direct delivery: those of a webhook that say where to and how.

use std::sync::Arc;

use tidings_core::direct::Direct;
use tidings_core::id::{TenantId, WebhookId};
use tidings_core::retry::RetryPolicy;
use tidings_core::time::Timestamp;
use tidings_core::webhook::Webhook;
use tidings_wire::profile::Profile;

use super::{Mode, Reader};
use crate::api::App;
use crate::api::form::Form;

/// A direct delivery while its fields are read. A source calls what it takes, under its own names where
/// it has any; the profile comes first, for it judges the others.
#[derive(Debug)]
pub struct Draft<'f, 'a> {
    reader: Reader<'f, 'a>,
    webhook: Webhook,
    profile: Arc<Profile>,
}

impl<'f, 'a> Draft<'f, 'a> {
    /// Nothing is read yet; `profile` holds unless [`Self::profile`] finds another.
    pub fn new(form: &'f mut Form<'a>, app: &'f App, profile: &str) -> Self {
        let (id, tenant) = (WebhookId::from_i64(0), TenantId::from_i64(0));
        Self {
            reader: Reader { form, app, mode: Mode::Direct },
            webhook: Webhook::new(id, tenant, profile, Timestamp::default()),
            profile: Arc::clone(app.registry.profiles().get_or_standard(profile)),
        }
    }

    pub fn profile(&mut self) {
        self.profile = self.reader.profile(&mut self.webhook);
    }

    /// `raw` or `cloudevents`, where the profile leaves the choice.
    pub fn body(&mut self) {
        self.reader.body(&mut self.webhook, &self.profile);
    }

    pub fn url(&mut self, name: &'static str) {
        self.reader.url(name, &mut self.webhook);
    }

    /// Required when the profile signs every request: nobody would learn of one that is made up.
    pub fn secret(&mut self, name: &'static str) {
        self.reader.secret(name, &mut self.webhook, &self.profile);
    }

    pub fn headers(&mut self) {
        self.reader.headers(&mut self.webhook, &self.profile);
    }

    pub fn retry(&mut self) {
        self.reader.retry(&mut self.webhook, &self.profile);
    }

    pub fn timeout(&mut self) {
        self.reader.timeout(&mut self.webhook, &self.profile);
    }

    /// What was read, if nothing in the form was wrong.
    pub fn finish(self) -> Option<Direct> {
        let Webhook { url, profile, body, retry, timeout_ms, headers, secrets, .. } = self.webhook;
        let direct = Direct {
            url,
            profile,
            body,
            retry: retry.unwrap_or_else(|| RetryPolicy::from(&self.profile.retry)),
            timeout_ms,
            headers,
            subject: None,
            format: None,
            options: String::new(),
            fixed_body: None,
            secrets,
            sealed: Vec::new(),
        };
        self.reader.form.is_sound().then_some(direct)
    }
}
