//! From a profile file to a [`Profile`]: everything that can be wrong is found here, all of it at
//! once, and not when a request is made.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::{Reader, Wrong, choose, whole};
use super::template::{Field, Template};
use super::{
    BodyShape, ErrorType, HeaderRule, Profile, RetryDefaults, Scheme, SecretRule, SignatureRule,
    StatusSet, Strategy, is_cloud_event_header,
};
use crate::request::{is_header_name, is_header_value, is_reserved};

/// One thing that is wrong with a profile file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ProfileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// Everything that is wrong with a profile file, by line. Shown a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileErrors(pub Vec<ProfileError>);

impl fmt::Display for ProfileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ProfileErrors {}

impl Profile {
    /// Reads a profile file.
    pub fn parse(text: &str) -> Result<Self, ProfileErrors> {
        let (profile, wrong) = match DeTable::parse(text) {
            Ok(table) => read(&table),
            // Of a file that is no TOML nothing else can be said.
            Err(error) => {
                (None, vec![(error.span().unwrap_or_default(), error.message().to_owned())])
            }
        };
        let line =
            |span: &Range<usize>| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1;
        let mut errors: Vec<ProfileError> = wrong
            .into_iter()
            .map(|(span, what)| ProfileError { line: line(&span), what })
            .collect();
        errors.sort_by_key(|error| error.line);
        match profile {
            Some(profile) if errors.is_empty() => Ok(profile),
            _ => Err(ProfileErrors(errors)),
        }
    }
}

const STRATEGIES: [(&str, Strategy); 4] = [
    ("exponential", Strategy::Exponential),
    ("linear", Strategy::Linear),
    ("fixed", Strategy::Fixed),
    ("schedule", Strategy::Schedule),
];

const SECRETS: [(&str, SecretRule); 4] = [
    ("required", SecretRule::Required),
    ("optional", SecretRule::Optional),
    ("generated_hex", SecretRule::GeneratedHex),
    ("generated_whsec", SecretRule::GeneratedWhsec),
];

/// The profile, unless something that it needs is missing, and all that is wrong.
fn read(table: &Spanned<DeTable<'_>>) -> (Option<Profile>, Vec<Wrong>) {
    let mut file = Reader::new(table.get_ref(), 0..0);
    let profile = profile(&mut file);
    (profile, file.finish())
}

fn profile(file: &mut Reader<'_, '_>) -> Option<Profile> {
    for name in ["name", "user_agent", "body", "timeout_ms", "secret", "retry"] {
        file.require(name);
    }
    let name = file.text_that(
        "name",
        "must be 1 to 64 characters of a to z, 0 to 9, `-` and `_`",
        is_profile_name,
    );
    let user_agent = file.text_that("user_agent", "must be visible ASCII and spaces", |agent| {
        !agent.is_empty() && is_header_value(agent)
    });
    let body = file.choice("body", &BodyShape::ALL);
    let timeout_ms = file.integer("timeout_ms", Profile::TIMEOUT_MS);
    let events = file.text_that("events", "must be a kind such as `job.*`", is_kind);
    let expires_after_ms = file.integer("expires_after_ms", Profile::EXPIRES_AFTER_MS);
    let headers = headers(file);
    let signature = file.table("signature").map(|mut below| {
        let signature = signature(&mut below, &headers);
        file.absorb(below);
        signature
    });
    let secret = secret(file, signature.is_some());
    let (final_statuses, final_errors) = finals(file);
    let retry = file.table("retry").and_then(|mut below| {
        let retry = retry(&mut below);
        file.absorb(below);
        retry
    });
    Some(Profile {
        name: name?.to_owned(),
        user_agent: super::with_version(user_agent?).into_owned(),
        headers,
        signature: signature.flatten(),
        body: body?.into_inner(),
        timeout_ms: timeout_ms?,
        retry: retry?,
        final_statuses,
        final_errors,
        expires_after_ms,
        events: events.map(|kind| kind.trim_end_matches('*').to_owned()),
        secret: secret?,
    })
}

fn is_profile_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

/// `job.*`, as webhooks write it.
fn is_kind(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    text.strip_suffix(".*").is_some_and(|kind| !kind.is_empty() && kind.bytes().all(word))
}

fn secret(file: &mut Reader<'_, '_>, signs: bool) -> Option<SecretRule> {
    let rule = file.choice("secret", &SECRETS)?;
    if !signs && *rule.get_ref() != SecretRule::Optional {
        let what = "without [signature] a secret signs nothing: use `secret = \"optional\"`";
        file.refuse(rule.span(), what);
    }
    Some(rule.into_inner())
}

/// What ends a delivery at once. 410 does in every profile, because it disables the webhook.
fn finals(file: &mut Reader<'_, '_>) -> (StatusSet, Vec<ErrorType>) {
    let statuses = file.list("final_statuses", |value| {
        let mut one = StatusSet::default();
        let text = match value.as_str() {
            Some(text) => text.to_owned(),
            None => whole(value).map_or_else(|| value.type_str().to_owned(), |n| n.to_string()),
        };
        one.add(&text).map(|()| text)
    });
    let errors = file.list("final_errors", |value| {
        choose(value.as_str().unwrap_or(value.type_str()), &ErrorType::ALL)
    });
    let mut set = StatusSet::from(410);
    for text in statuses.map(Spanned::into_inner).unwrap_or_default() {
        // What is wrong in it has been noted.
        let _ = set.add(&text);
    }
    (set, errors.map(Spanned::into_inner).unwrap_or_default())
}

fn headers(file: &mut Reader<'_, '_>) -> Vec<HeaderRule> {
    let mut rules: Vec<HeaderRule> = Vec::new();
    for mut given in file.tables("headers") {
        given.require("name");
        given.require("value");
        let name = header_name(&mut given, "name", &rules);
        let value = given.text("value").and_then(|text| {
            let template = Template::parse(text.get_ref());
            template.map_err(|error| given.refuse(text.span(), error.to_string())).ok()
        });
        let in_test = given.boolean("in_test").unwrap_or(true);
        file.absorb(given);
        if let (Some(name), Some(value)) = (name, value) {
            rules.push(HeaderRule { name, value, in_test });
        }
    }
    rules
}

/// A name that no other part of the request has.
fn header_name(
    table: &mut Reader<'_, '_>,
    field: &'static str,
    taken: &[HeaderRule],
) -> Option<String> {
    let name = table.text(field)?;
    let is = |other: &str| name.get_ref().eq_ignore_ascii_case(other);
    let wrong = if !is_header_name(name.get_ref()) {
        "is no header name (RFC 9110, `token`)"
    } else if is_reserved(name.get_ref()) || is("content-type") || is("user-agent") {
        "is written by the sender itself"
    } else if is_cloud_event_header(name.get_ref()) {
        "belongs to CloudEvents: `body = \"cloudevents-binary\"` writes those"
    } else if taken.iter().any(|rule| is(&rule.name)) {
        "is there twice"
    } else {
        return Some(name.into_inner().to_owned());
    };
    table.refuse(name.span(), format!("header `{}` {wrong}", name.get_ref()));
    None
}

#[derive(Clone, Copy)]
enum SchemeName {
    StandardV1,
    HmacHex,
}

const SCHEMES: [(&str, SchemeName); 2] =
    [("standard_v1", SchemeName::StandardV1), ("hmac_hex", SchemeName::HmacHex)];

fn signature(table: &mut Reader<'_, '_>, headers: &[HeaderRule]) -> Option<SignatureRule> {
    table.require("header");
    table.require("scheme");
    let header = header_name(table, "header", headers);
    let scheme = table.choice("scheme", &SCHEMES);
    let prefix = table.text("prefix");
    if let Some(prefix) = prefix.as_ref().filter(|prefix| !is_header_value(prefix.get_ref())) {
        table.refuse(prefix.span(), "`prefix` must be visible ASCII and spaces");
    }
    let scheme = match scheme?.into_inner() {
        SchemeName::HmacHex => {
            let prefix = prefix.map(Spanned::into_inner).unwrap_or_default();
            Scheme::HmacHex { prefix: prefix.to_owned() }
        }
        SchemeName::StandardV1 => {
            if let Some(prefix) = prefix {
                table.refuse(prefix.span(), "`prefix` goes with `hmac_hex` only");
            }
            // What is signed must be sent, or nobody can verify it.
            let sends =
                |field| headers.iter().any(|rule| rule.value.is_only(field) && rule.in_test);
            if !(sends(Field::EventId) && sends(Field::TimestampS)) {
                table.refuse_whole(
                    "`standard_v1` signs {event_id} and {timestamp_s}: `headers` must send both",
                );
            }
            Scheme::StandardV1
        }
    };
    Some(SignatureRule { header: header?, scheme })
}

fn retry(table: &mut Reader<'_, '_>) -> Option<RetryDefaults> {
    table.require("max_attempts");
    table.require("strategy");
    let max_attempts = table.integer("max_attempts", RetryDefaults::MAX_ATTEMPTS);
    let strategy = table.choice("strategy", &STRATEGIES);
    let initial_delay_ms = table.integer("initial_delay_ms", RetryDefaults::INITIAL_DELAY_MS);
    let multiplier = table.number("multiplier", RetryDefaults::MULTIPLIER);
    let max_delay_ms = table.integer("max_delay_ms", RetryDefaults::MAX_DELAY_MS);
    let schedule_ms = table.list("schedule_ms", wait);
    match (&schedule_ms, &strategy) {
        (Some(waits), _) if !RetryDefaults::WAITS.contains(&waits.get_ref().len()) => {
            table.refuse(waits.span(), "`schedule_ms` has 1 to 19 waits");
        }
        (None, Some(strategy)) if *strategy.get_ref() == Strategy::Schedule => {
            table.refuse(strategy.span(), "`strategy = \"schedule\"` needs `schedule_ms`");
        }
        _ => {}
    }
    Some(RetryDefaults {
        jitter: table.boolean("jitter").unwrap_or_default(),
        max_attempts: u8::try_from(max_attempts?).ok()?,
        strategy: strategy?.into_inner(),
        initial_delay_ms: initial_delay_ms.unwrap_or(1_000),
        multiplier: multiplier.unwrap_or(2.0),
        max_delay_ms: max_delay_ms.unwrap_or(60_000),
        schedule_ms: schedule_ms.map(Spanned::into_inner).unwrap_or_default(),
    })
}

fn wait(value: &DeValue<'_>) -> Result<u64, String> {
    let wait = whole(value).filter(|ms| RetryDefaults::WAIT_MS.contains(ms));
    wait.ok_or_else(|| "a wait is 0 to 604,800,000 ms, a week".to_owned())
}
