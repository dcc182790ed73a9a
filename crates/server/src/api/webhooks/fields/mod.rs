//! The body of POST, PUT and PATCH, read into a webhook.
//!
//! Everything wrong is noted in the form with its pointer; whoever calls throws the webhook away when
//! the form is not sound. What is left out of `filters`, `retry_config` and `rate_limit` stays too: a
//! webhook must not get more than its owner asked for because one of several filters was changed. Lists,
//! `headers` and `custom_filters` are replaced whole.

pub mod direct;
mod filters;
mod headers;
mod mode;
mod retry;

use std::borrow::Cow;
use std::sync::Arc;

use tidings_core::limits::{
    CONCURRENCY_DEFAULT, CONCURRENCY_MAX, NAME_CHARS_MAX, PATTERNS_MAX, PROGRESS_INTERVAL_MS_MAX,
    TIMEOUT_MS_MAX, TIMEOUT_MS_MIN,
};
use tidings_core::retry::Strategy;
use tidings_core::time::DAY_MS;
use tidings_core::webhook::{RateLimit, SigningSecret, Webhook};
use tidings_wire::profile::{BodyShape, Profile, SecretRule};

pub use mode::Mode;

use super::secret;
use crate::api::App;
use crate::api::form::{Form, Given};

/// Attempts that a rate limit may allow in its time.
const RATE_MAX: i64 = 1_000_000;

/// Reads the fields that a webhook's owner sets into `webhook`, which holds what they are now.
pub fn read(form: &mut Form<'_>, app: &App, mode: Mode, webhook: &mut Webhook) {
    let mut reader = Reader { form, app, mode };
    reader.url("url", webhook);
    reader.events(webhook);
    reader.name(webhook);
    let profile = reader.profile(webhook);
    reader.told_events(webhook, &profile);
    reader.body(webhook, &profile);
    reader.secret("secret", webhook, &profile);
    reader.filters(webhook);
    reader.headers(webhook, &profile);
    reader.retry(webhook, &profile);
    reader.limits(webhook);
    reader.timeout(webhook, &profile);
    reader.switches(webhook);
    if mode != Mode::Create {
        reader.read_only(webhook);
    }
}

#[derive(Debug)]
struct Reader<'f, 'a> {
    form: &'f mut Form<'a>,
    app: &'f App,
    mode: Mode,
}

impl<'a> Reader<'_, 'a> {
    fn settle<T>(&mut self, name: &str, given: Given<T>, unset: bool) -> Given<T> {
        self.mode.settle(self.form, name, given, unset)
    }

    /// A field without a default.
    fn settle_required<T>(&mut self, name: &str, given: Given<T>) -> Option<T> {
        match given {
            Given::Value(value) => Some(value),
            Given::Absent if matches!(self.mode, Mode::Put | Mode::Patch) => None,
            Given::Absent | Given::Null => {
                self.form.require(name);
                None
            }
        }
    }

    fn text(&mut self, name: &'static str, unset: bool) -> Given<Cow<'a, str>> {
        let given = self.form.text(name);
        self.settle(name, given, unset)
    }

    fn url(&mut self, name: &'static str, webhook: &mut Webhook) {
        let given = self.form.text(name);
        let Some(url) = self.settle_required(name, given) else { return };
        match self.app.registry.egress().parse_url(&url) {
            Ok(to) => {
                webhook.url = format!("{}://{}{}", to.scheme, to.authority, to.path_and_query);
            }
            Err(error) => self.form.refuse(name, error.detail),
        }
    }

    fn events(&mut self, webhook: &mut Webhook) {
        let given = self.form.list("events", PATTERNS_MAX);
        let Some(list) = self.settle_required("events", given) else { return };
        let mut patterns = Vec::with_capacity(list.len());
        for (n, raw) in list.into_iter().enumerate() {
            let text = serde_json::from_str::<String>(raw.get()).unwrap_or_default();
            match text.parse() {
                Ok(pattern) => patterns.push(pattern),
                Err(_) => {
                    let expected = "must be `*`, a type such as `job.completed`, or `job.*`";
                    self.form.refuse_item("events", n, expected);
                }
            }
        }
        webhook.events = patterns;
    }

    fn name(&mut self, webhook: &mut Webhook) {
        match self.text("name", webhook.name.is_none()) {
            Given::Value(name) => {
                if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) {
                    let detail = format!("must have 1 to {NAME_CHARS_MAX} characters");
                    self.form.refuse("name", detail);
                }
                webhook.name = Some(name.into_owned());
            }
            Given::Null => webhook.name = None,
            Given::Absent => {}
        }
    }

    /// The profile that the webhook will have, which judges most of the other fields.
    fn profile(&mut self, webhook: &mut Webhook) -> Arc<Profile> {
        let profiles = self.app.registry.profiles();
        let default = &self.app.settings.default_profile;
        match self.text("profile", webhook.profile == *default) {
            Given::Value(name) if profiles.get(&name).is_some() => {
                webhook.profile = name.into_owned();
            }
            Given::Value(name) => self.form.refuse("profile", profiles.unknown(&name)),
            Given::Null => webhook.profile.clone_from(default),
            Given::Absent => {}
        }
        Arc::clone(profiles.get_or_standard(&webhook.profile))
    }

    /// Profiles of one source take its events only: their bodies are made of what these tell.
    fn told_events(&mut self, webhook: &Webhook, profile: &Profile) {
        let Some(kind) = &profile.events else { return };
        let given = matches!(self.form.raw("events"), Given::Value(_));
        for (n, pattern) in webhook.events.iter().enumerate() {
            if profile.tells_of(&pattern.to_string()) {
                continue;
            }
            let detail = format!("the profile `{}` takes events of `{kind}*` only", profile.name);
            if given {
                self.form.refuse_item("events", n, detail);
            } else {
                return self.form.refuse("profile", format!("{detail}, not `{pattern}`"));
            }
        }
    }

    fn body(&mut self, webhook: &mut Webhook, profile: &Profile) {
        match self.text("body", webhook.body.is_none()) {
            Given::Value(text) => match body_shape(&text) {
                Ok(shape) => webhook.body = Some(shape),
                Err(detail) => self.form.refuse("body", detail),
            },
            Given::Null => webhook.body = None,
            Given::Absent => {}
        }
        if webhook.body.is_some() && profile.body.is_built() {
            let detail = format!("cannot be chosen: the profile `{}` has its own", profile.name);
            self.form.refuse("body", detail);
        }
    }

    fn secret(&mut self, name: &'static str, webhook: &mut Webhook, profile: &Profile) {
        match self.text(name, webhook.secrets.is_empty()) {
            Given::Value(text) => set_secret(webhook, text.into_owned()),
            Given::Null => webhook.secrets.clear(),
            Given::Absent => {}
        }
        if webhook.secrets.is_empty() {
            match profile.secret {
                SecretRule::Optional => {}
                // Only creation can show a secret that it made up.
                SecretRule::GeneratedHex | SecretRule::GeneratedWhsec
                    if self.mode == Mode::Create =>
                {
                    set_secret(webhook, secret::generate(profile));
                }
                _ => self.form.require(name),
            }
        }
        // Also the one that stays, which another profile may not be able to use.
        if let Some(Err(detail)) = webhook.secrets.first().map(|s| secret::check(&s.text, profile))
        {
            self.form.refuse(name, detail);
        }
    }

    fn filters(&mut self, webhook: &mut Webhook) {
        let given = self.form.object("filters");
        match self.settle("filters", given, webhook.filters.is_empty()) {
            Given::Value(mut below) => {
                filters::read(&mut below, self.mode, &mut webhook.filters);
                self.form.absorb(below);
            }
            Given::Null => webhook.filters = tidings_core::filter::Filters::default(),
            Given::Absent => {}
        }
    }

    fn headers(&mut self, webhook: &mut Webhook, profile: &Profile) {
        let given = self.form.dictionary("headers");
        match self.settle("headers", given, webhook.headers.is_empty()) {
            Given::Value(mut below) => {
                let shape = webhook.body.unwrap_or(profile.body);
                webhook.headers = headers::read(&mut below, profile, shape, &webhook.headers);
                self.form.absorb(below);
            }
            Given::Null => webhook.headers.clear(),
            Given::Absent => {}
        }
    }

    fn retry(&mut self, webhook: &mut Webhook, profile: &Profile) {
        let given = self.form.object("retry_config");
        let ours = self.settle("retry_config", given, webhook.retry.is_none());
        let given = self.form.object("retryPolicy");
        let theirs = self.settle("retryPolicy", given, webhook.retry.is_none());
        if !matches!((&ours, &theirs), (Given::Absent, _) | (_, Given::Absent)) {
            return self.form.refuse("retryPolicy", "means the same as `retry_config`; give one");
        }
        let (mut below, read): (_, fn(&mut Form<'_>, Mode, bool) -> retry::Changes) =
            match (ours, theirs) {
                (Given::Value(below), _) => (below, retry::read),
                (_, Given::Value(below)) => (below, retry::read_camel_case),
                (Given::Null, _) | (_, Given::Null) => return webhook.retry = None,
                (Given::Absent, Given::Absent) => return,
            };
        let changes = read(&mut below, self.mode, webhook.retry.is_none());
        let policy = changes.over(webhook.retry.as_ref(), profile);
        if policy.strategy == Strategy::Schedule && policy.schedule_ms.is_empty() {
            below.require("schedule_ms");
        }
        self.form.absorb(below);
        // Reads show the policy that holds; sending it back must not pin the profile's.
        if webhook.retry.is_some() || policy != (&profile.retry).into() {
            webhook.retry = Some(policy);
        }
    }

    fn limits(&mut self, webhook: &mut Webhook) {
        let given = self.form.object("rate_limit");
        match self.settle("rate_limit", given, webhook.rate_limit.is_none()) {
            Given::Value(mut below) => {
                webhook.rate_limit = rate_limit(&mut below, webhook.rate_limit);
                self.form.absorb(below);
            }
            Given::Null => webhook.rate_limit = None,
            Given::Absent => {}
        }
        let (most, default) = (i64::from(CONCURRENCY_MAX), u64::from(CONCURRENCY_DEFAULT));
        self.number("max_concurrency", 1..=most, default, &mut webhook.max_concurrency);
    }

    fn timeout(&mut self, webhook: &mut Webhook, profile: &Profile) {
        let range = i64::from(TIMEOUT_MS_MIN)..=i64::from(TIMEOUT_MS_MAX);
        self.number("timeout_ms", range, profile.timeout_ms, &mut webhook.timeout_ms);
        self.progress_interval(webhook);
    }

    /// Without one of its own it is the job's.
    fn progress_interval(&mut self, webhook: &mut Webhook) {
        let most = i64::from(PROGRESS_INTERVAL_MS_MAX);
        let given = self.form.integer("progress_interval_ms", 0, most);
        let unset = webhook.progress_interval_ms.is_none();
        match self.settle("progress_interval_ms", given, unset) {
            Given::Value(ms) => webhook.progress_interval_ms = u32::try_from(ms).ok(),
            Given::Null => webhook.progress_interval_ms = None,
            Given::Absent => {}
        }
    }

    /// A number that reads show with its default, which sending it back must not pin.
    fn number(
        &mut self,
        name: &'static str,
        range: std::ops::RangeInclusive<i64>,
        default: u64,
        place: &mut Option<u32>,
    ) {
        let given = self.form.integer(name, *range.start(), *range.end());
        match self.settle(name, given, place.is_none()) {
            Given::Value(n) if place.is_none() && u64::try_from(n) == Ok(default) => {}
            Given::Value(n) => *place = u32::try_from(n).ok(),
            Given::Null => *place = None,
            Given::Absent => {}
        }
    }

    fn switches(&mut self, webhook: &mut Webhook) {
        self.switch("ordered", false, &mut webhook.ordered);
        self.switch("active", true, &mut webhook.active);
    }

    fn switch(&mut self, name: &'static str, default: bool, place: &mut bool) {
        let given = self.form.boolean(name);
        match self.settle(name, given, *place == default) {
            Given::Value(value) => *place = value,
            Given::Null => *place = default,
            Given::Absent => {}
        }
    }

    /// What was read can be sent back: fields that nobody sets here are taken when they say what is.
    fn read_only(&mut self, webhook: &Webhook) {
        for name in ["created_at", "updated_at", "disabled_reason", "inactive_since"] {
            self.form.raw(name);
        }
        for name in ["retry_preview_ms", "retry_preview_latest_ms"] {
            self.form.raw(name);
        }
        // Of the answer to a creation: they follow from the secret.
        for name in ["secret_whsec", "public_key"] {
            self.form.raw(name);
        }
        if self.form.text("id").value().is_some_and(|id| id != webhook.id.to_string()) {
            self.form.refuse("id", "is another webhook's");
        }
        if self.form.boolean("paused").value().is_some_and(|paused| paused != webhook.paused) {
            self.form.refuse("paused", "is changed by POST …/pause and POST …/resume");
        }
    }
}

/// A shape that a webhook may choose: none that is built, since those belong to their profiles.
pub(crate) fn body_shape(text: &str) -> Result<BodyShape, String> {
    let choices = || BodyShape::ALL.into_iter().filter(|(_, shape)| !shape.is_built());
    let chosen = choices().find(|(name, _)| *name == text);
    chosen.map(|(_, shape)| shape).ok_or_else(|| {
        let names: Vec<String> = choices().map(|(name, _)| format!("`{name}`")).collect();
        format!("must be one of {}", names.join(", "))
    })
}

fn set_secret(webhook: &mut Webhook, text: String) {
    // The secret that it has keeps those of a rotation that is under way.
    if webhook.secrets.first().is_none_or(|current| current.text != text) {
        webhook.secrets = vec![SigningSecret { text, valid_until: None }];
    }
}

fn rate_limit(form: &mut Form<'_>, old: Option<RateLimit>) -> Option<RateLimit> {
    let mut number = |name, most, old: Option<u32>| match form.integer(name, 1, most) {
        Given::Value(n) => u32::try_from(n).ok(),
        Given::Absent if old.is_some() => old,
        Given::Null | Given::Absent => {
            form.require(name);
            None
        }
    };
    let max = number("max", RATE_MAX, old.map(|old| old.max));
    let per_ms = number("per_ms", DAY_MS, old.map(|old| old.per_ms));
    Some(RateLimit { max: max?, per_ms: per_ms? })
}
