//! `headers`: what a webhook's requests carry beside our own.

use tidings_core::limits::{
    HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_BYTES_MAX, HEADERS_MAX,
};
use tidings_core::webhook::mask;
use tidings_wire::profile::{BodyShape, Profile};
use tidings_wire::request::check_custom;

use crate::api::form::Form;

type Headers = Vec<(String, String)>;

/// Reads the headers; what is wrong is noted in the form. A masked value, as reads show it, stands for
/// the value that it hides.
pub(super) fn read(
    form: &mut Form<'_>,
    profile: &Profile,
    shape: BodyShape,
    old: &[(String, String)],
) -> Headers {
    let mut headers: Headers = Vec::new();
    for (name, raw) in form.entries() {
        let Ok(given) = serde_json::from_str::<String>(raw.get()) else {
            form.refuse(&name, "must be a text");
            continue;
        };
        let value = unmask(&name, given, old);
        if let Some(detail) = wrong(&name, &value, profile, shape) {
            form.refuse(&name, detail);
        } else if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
            form.refuse(&name, "is given twice; upper and lower case are the same");
        }
        headers.push((name, value));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > HEADERS_MAX {
        form.refuse_whole(format!("must be at most {HEADERS_MAX}"));
    }
    if bytes > HEADERS_BYTES_MAX {
        form.refuse_whole(format!("must have at most {HEADERS_BYTES_MAX} bytes together"));
    }
    headers
}

fn unmask(name: &str, given: String, old: &[(String, String)]) -> String {
    let hidden = old.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    match hidden {
        Some((_, value)) if mask(value) == given => value.clone(),
        _ => given,
    }
}

fn wrong(name: &str, value: &str, profile: &Profile, shape: BodyShape) -> Option<String> {
    if name.len() > HEADER_NAME_BYTES_MAX {
        return Some(format!("must have a name of at most {HEADER_NAME_BYTES_MAX} bytes"));
    }
    if value.len() > HEADER_VALUE_BYTES_MAX {
        return Some(format!("must have a value of at most {HEADER_VALUE_BYTES_MAX} bytes"));
    }
    check_custom(profile, shape, name, value).err().map(|error| error.to_string())
}
