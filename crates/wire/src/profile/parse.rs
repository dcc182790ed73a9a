//! From a profile file to a [`Profile`]: everything that can be wrong is found here, not when a
//! request is made.

use std::ops::Range;

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use super::template::{Field, Template};
use super::{
    BodyShape, HeaderRule, Profile, RetryDefaults, Scheme, SecretRule, SignatureRule, StatusSet,
    Strategy,
};
use crate::request::{is_header_name, is_header_value, is_reserved};

/// What is wrong with a profile file, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("profile file, line {line}: {what}")]
pub struct ProfileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Spanned<String>,
    user_agent: Spanned<String>,
    body: BodyShape,
    timeout_ms: Spanned<u64>,
    secret: Spanned<SecretRule>,
    #[serde(default = "gone")]
    final_statuses: StatusSet,
    #[serde(default)]
    headers: Vec<FileHeader>,
    signature: Option<Spanned<FileSignature>>,
    retry: FileRetry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileHeader {
    name: Spanned<String>,
    value: Spanned<String>,
    #[serde(default = "yes")]
    in_test: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSignature {
    header: Spanned<String>,
    scheme: SchemeName,
    prefix: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SchemeName {
    StandardV1,
    HmacHex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRetry {
    max_attempts: Spanned<u8>,
    strategy: Spanned<Strategy>,
    initial_delay_ms: Option<Spanned<u64>>,
    multiplier: Option<Spanned<f64>>,
    max_delay_ms: Option<Spanned<u64>>,
    schedule_ms: Option<Spanned<Vec<u64>>>,
    #[serde(default)]
    jitter: bool,
}

/// 410 disables a webhook in every profile, so it ends its delivery unless the file says otherwise.
fn gone() -> StatusSet {
    StatusSet::from(410)
}

fn yes() -> bool {
    true
}

/// What is wrong, and at which bytes of the file.
struct Wrong(Range<usize>, String);

/// Refuses a value that a rule does not hold for.
fn check<T>(value: &Spanned<T>, holds: impl FnOnce(&T) -> bool, rule: &str) -> Result<(), Wrong> {
    match holds(value.get_ref()) {
        true => Ok(()),
        false => Err(Wrong(value.span(), rule.to_owned())),
    }
}

impl Profile {
    /// Reads a profile file.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let at = |span: Range<usize>, what: String| {
            let before = text.get(..span.start).unwrap_or(text);
            ProfileError { line: before.matches('\n').count() + 1, what }
        };
        let file: File = toml::from_str(text).map_err(|error: toml::de::Error| {
            at(error.span().unwrap_or_default(), error.message().to_owned())
        })?;
        file.into_profile().map_err(|Wrong(span, what)| at(span, what))
    }
}

impl File {
    fn into_profile(self) -> Result<Profile, Wrong> {
        check(&self.name, |name| is_profile_name(name), "`name` is 1 to 64 of a-z, 0-9, `-`, `_`")?;
        check(
            &self.user_agent,
            |value| !value.is_empty() && is_header_value(value),
            "`user_agent` must be visible ASCII and spaces",
        )?;
        // An hour is far more than any receiver needs, and a bound that no sum overflows.
        check(
            &self.timeout_ms,
            |ms| (1..=3_600_000).contains(ms),
            "`timeout_ms` is 1 to 3,600,000",
        )?;
        if self.signature.is_none() {
            check(
                &self.secret,
                |rule| *rule == SecretRule::Optional,
                "without [signature] a secret signs nothing: use `secret = \"optional\"`",
            )?;
        }
        let headers = headers(self.headers)?;
        let signature = self.signature.map(|rule| signature(rule, &headers)).transpose()?;
        Ok(Profile {
            name: self.name.into_inner(),
            user_agent: super::with_version(self.user_agent.get_ref()).into_owned(),
            headers,
            signature,
            body: self.body,
            timeout_ms: self.timeout_ms.into_inner(),
            retry: retry(self.retry)?,
            final_statuses: self.final_statuses,
            secret: self.secret.into_inner(),
        })
    }
}

fn is_profile_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

fn headers(given: Vec<FileHeader>) -> Result<Vec<HeaderRule>, Wrong> {
    let mut rules: Vec<HeaderRule> = Vec::with_capacity(given.len());
    for header in given {
        check_name(&header.name, &rules)?;
        let value = Template::parse(header.value.get_ref())
            .map_err(|error| Wrong(header.value.span(), error.to_string()))?;
        rules.push(HeaderRule { name: header.name.into_inner(), value, in_test: header.in_test });
    }
    Ok(rules)
}

/// A name that no other part of the request has.
fn check_name(name: &Spanned<String>, taken: &[HeaderRule]) -> Result<(), Wrong> {
    let wrong = |what: &str| Wrong(name.span(), format!("header `{}` {what}", name.get_ref()));
    let name = name.get_ref();
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if !is_header_name(name) {
        return Err(wrong("is no header name (RFC 9110, `token`)"));
    }
    if is_reserved(name) || is("content-type") || is("user-agent") {
        return Err(wrong("is written by the sender itself"));
    }
    if taken.iter().any(|rule| is(&rule.name)) {
        return Err(wrong("is there twice"));
    }
    Ok(())
}

fn signature(rule: Spanned<FileSignature>, headers: &[HeaderRule]) -> Result<SignatureRule, Wrong> {
    let span = rule.span();
    let rule = rule.into_inner();
    check_name(&rule.header, headers)?;
    if let Some(prefix) = &rule.prefix {
        check(
            prefix,
            |prefix| is_header_value(prefix),
            "`prefix` must be visible ASCII and spaces",
        )?;
    }
    let scheme = match (rule.scheme, rule.prefix) {
        (SchemeName::HmacHex, prefix) => {
            Scheme::HmacHex { prefix: prefix.map(Spanned::into_inner).unwrap_or_default() }
        }
        (SchemeName::StandardV1, None) => Scheme::StandardV1,
        (SchemeName::StandardV1, Some(prefix)) => {
            return Err(Wrong(prefix.span(), "`prefix` goes with `hmac_hex` only".into()));
        }
    };
    // What is signed must be sent, or nobody can verify it.
    let sends = |field| headers.iter().any(|rule| rule.value.is_only(field) && rule.in_test);
    if scheme == Scheme::StandardV1 && !(sends(Field::EventId) && sends(Field::TimestampS)) {
        let what = "`standard_v1` signs {event_id} and {timestamp_s}: `headers` must send both";
        return Err(Wrong(span, what.into()));
    }
    Ok(SignatureRule { header: rule.header.into_inner(), scheme })
}

fn retry(given: FileRetry) -> Result<RetryDefaults, Wrong> {
    const LONGEST_MS: u64 = 7 * 86_400_000;
    const WAIT: &str = "a wait is at most a week: 604,800,000 ms";
    check(&given.max_attempts, |n| (1..=20).contains(n), "`max_attempts` is 1 to 20")?;
    for wait in [&given.initial_delay_ms, &given.max_delay_ms].into_iter().flatten() {
        check(wait, |ms| *ms <= LONGEST_MS, WAIT)?;
    }
    if let Some(multiplier) = &given.multiplier {
        check(multiplier, |by| (1.0..=100.0).contains(by), "`multiplier` is 1 to 100")?;
    }
    match (&given.schedule_ms, given.strategy.get_ref()) {
        (Some(waits), _) => {
            check(
                waits,
                |waits| (1..=20).contains(&waits.len()),
                "`schedule_ms` has 1 to 20 waits",
            )?;
            check(waits, |waits| waits.iter().all(|ms| *ms <= LONGEST_MS), WAIT)?;
        }
        (None, Strategy::Schedule) => {
            let what = "`strategy = \"schedule\"` needs `schedule_ms`";
            return Err(Wrong(given.strategy.span(), what.into()));
        }
        (None, _) => {}
    }
    Ok(RetryDefaults {
        max_attempts: given.max_attempts.into_inner(),
        strategy: given.strategy.into_inner(),
        initial_delay_ms: given.initial_delay_ms.map_or(1_000, Spanned::into_inner),
        multiplier: given.multiplier.map_or(2.0, Spanned::into_inner),
        max_delay_ms: given.max_delay_ms.map_or(60_000, Spanned::into_inner),
        schedule_ms: given.schedule_ms.map_or_else(Vec::new, Spanned::into_inner),
        jitter: given.jitter,
    })
}
