//! The sources whose webhooks are received: `[[inbound]]` in the file.

use std::fmt;

use serde::Deserialize;
use tidings_core::id::TenantId;
use tidings_core::inbound::{Kind, SOURCE_NAME_BYTES_MAX, TypePlace, is_source_name};
use tidings_core::limits::REQUEST_BODY_BYTES_MAX;
use tidings_wire::verify::{DEFAULT_TOLERANCE_S, Scheme, Verifier};

use crate::api::auth::parse_tenant;

/// Whoever sends us webhooks.
#[derive(Clone)]
pub struct Source {
    /// Its place in the path, and how the types of its events begin.
    pub name: String,
    pub tenant: TenantId,
    pub kind: Kind,
    pub scheme: Scheme,
    pub verifier: Verifier,
    /// The largest body that is taken.
    pub body_bytes_max: usize,
    pub type_place: TypePlace,
}

/// Shows no secret.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One source as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    tenant: Option<String>,
    kind: Option<String>,
    scheme: String,
    secrets: Vec<String>,
    tolerance_s: Option<u64>,
    body_bytes_max: Option<usize>,
    r#type: Option<String>,
}

/// What `inbound` is: tables in the file, and the same as one line of TOML in a variable.
#[derive(Deserialize)]
struct All {
    inbound: Vec<toml::Value>,
}

/// All sources; or everything that is wrong with them.
pub(super) fn parse(text: &str) -> Result<Vec<Source>, Vec<String>> {
    let all: All = toml::from_str(&format!("inbound = {text}"))
        .map_err(|_| vec!["inbound: must be a list of tables".to_owned()])?;
    let (mut sources, mut errors): (Vec<Source>, Vec<String>) = (Vec::new(), Vec::new());
    for (n, value) in all.inbound.into_iter().enumerate() {
        match value.try_into::<Written>().map_err(|error| error.message().to_owned()) {
            Ok(written) => match written.source() {
                Ok(source) if sources.iter().any(|other| other.name == source.name) => {
                    errors.push(format!("inbound: two have the name `{}`", source.name));
                }
                Ok(source) => sources.push(source),
                Err(wrong) => errors.push(wrong),
            },
            Err(wrong) => errors.push(format!("inbound, number {}: {wrong}", n + 1)),
        }
    }
    if errors.is_empty() { Ok(sources) } else { Err(errors) }
}

impl Written {
    fn source(self) -> Result<Source, String> {
        let name = self.name.clone();
        let wrong = |what: String| format!("inbound `{name}`: {what}");
        if !is_source_name(&name) {
            let most = SOURCE_NAME_BYTES_MAX;
            return Err(wrong(format!("name: letters, digits, `_` and `-`, at most {most}")));
        }
        let tenant = self.tenant.as_deref().unwrap_or("default");
        let tenant = parse_tenant(tenant)
            .ok_or_else(|| wrong(format!("tenant: `{tenant}` is not the id of one")))?;
        let kind = match &self.kind {
            None => Kind::default(),
            Some(text) => Kind::parse(text).ok_or_else(|| {
                let known = Kind::ALL.map(Kind::as_str).join(", ");
                wrong(format!("kind: `{text}` is none of {known}"))
            })?,
        };
        let scheme: Scheme = self.scheme.parse().map_err(|_| {
            let known: Vec<&str> = Scheme::ALL.iter().map(|scheme| scheme.name()).collect();
            wrong(format!("scheme: `{}` is none of {}", self.scheme, known.join(", ")))
        })?;
        let verifier = Verifier::new(scheme, &self.secrets)
            .map_err(|error| wrong(format!("secrets: {error}")))?
            .tolerance_s(self.tolerance_s.unwrap_or(DEFAULT_TOLERANCE_S));
        let body_bytes_max = self.body_bytes_max.unwrap_or(REQUEST_BODY_BYTES_MAX);
        if !(1..=64 * REQUEST_BODY_BYTES_MAX).contains(&body_bytes_max) {
            return Err(wrong("body_bytes_max: from 1 to 67108864".to_owned()));
        }
        let type_place = match &self.r#type {
            None => TypePlace::of(scheme),
            Some(text) => TypePlace::parse(text)
                .ok_or_else(|| wrong("type: a header's name, or a JSON pointer".to_owned()))?,
        };
        Ok(Source { name: self.name, tenant, kind, scheme, verifier, body_bytes_max, type_place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read() {
        let sources = parse(
            r#"[{name = "hub", scheme = "github", secrets = ["old", "new"]},
                {name = "shop", scheme = "standard", secrets = ["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="],
                 tolerance_s = 60, body_bytes_max = 1000, type = "X-Topic"},
                {name = "clipping", kind = "clipping", scheme = "viewcreator", secrets = ["x"]}]"#,
        )
        .expect("sound");
        assert_eq!(sources[0].type_place, TypePlace::Header("X-GitHub-Event".to_owned()));
        assert_eq!((sources[1].name.as_str(), sources[1].body_bytes_max), ("shop", 1000));
        assert_eq!(
            sources.iter().map(|one| one.kind).collect::<Vec<_>>(),
            [Kind::Event, Kind::Event, Kind::Clipping]
        );
        assert!(!format!("{sources:?}").contains("whsec"));
    }

    #[test]
    fn everything_wrong_is_told() {
        let errors = parse(
            r#"[{name = "a.b", scheme = "github", secrets = ["x"]},
                {name = "a", scheme = "gitlab", secrets = ["x"]},
                {name = "b", scheme = "github", secrets = []},
                {name = "c", scheme = "github", secrets = ["x"], type = "a b"},
                {name = "d", scheme = "github", secrets = ["x"], tenant = "acme"},
                {name = "e", scheme = "github", secrets = ["x"]},
                {name = "e", scheme = "github", secrets = ["x"]},
                {name = "f", scheme = "github", secret = "x"},
                {name = "g", kind = "clips", scheme = "github", secrets = ["x"]}]"#,
        )
        .expect_err("wrong");
        let parts = [
            "name:",
            "scheme:",
            "secrets:",
            "type:",
            "tenant:",
            "two have",
            "secret",
            "`g`: kind: `clips` is none of event, clipping",
        ];
        assert_eq!(errors.len(), parts.len(), "{errors:#?}");
        for (error, part) in errors.iter().zip(parts) {
            assert!(error.contains(part), "{error}");
        }
        assert!(parse("7").is_err() && parse("[7]").is_err());
    }
}
