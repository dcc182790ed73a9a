//! What an administrator says of a tenant.

use tidings_core::limits::NAME_CHARS_MAX;
use tidings_store::WriteError;

use crate::api::form::{Form, Given};
use crate::api::problem::Problem;

/// Ten years; whoever wants more wants an archive.
const RETENTION_DAYS_MAX: i64 = 3_650;

/// The name of something that an administrator makes.
pub(in crate::api) fn read_name(form: &mut Form<'_>) -> String {
    let Some(name) = form.required_text("name") else { return String::new() };
    if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) {
        form.refuse("name", format!("must have 1 to {NAME_CHARS_MAX} characters"));
    }
    name.into_owned()
}

/// Days that history is kept; null: what the server keeps.
pub(super) fn read_retention_days(form: &mut Form<'_>) -> Given<u32> {
    match form.integer("retention_days", 1, RETENTION_DAYS_MAX) {
        Given::Value(days) => u32::try_from(days).map_or(Given::Absent, Given::Value),
        Given::Null => Given::Null,
        Given::Absent => Given::Absent,
    }
}

/// What a conflict means where a tenant is written.
pub(super) fn name_taken(error: WriteError) -> Problem {
    match error {
        WriteError::Conflict => Problem::conflict("tenant_exists", "a tenant has this name"),
        other => other.into(),
    }
}
