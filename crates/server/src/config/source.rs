//! Where values come from: flags, variables, a file.

use std::path::{Path, PathBuf};

use super::table::{CLIENT_VARIABLES, SETTINGS, Setting, defaults};
use super::{ConfigError, Settings, Values};
use crate::api::form::nearest;

/// What was given on the command line.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file, when one is named.
    pub file: Option<PathBuf>,
    /// Settings by flag.
    pub flags: Vec<(&'static str, String)>,
}

/// The values that hold: flags before variables before the file before defaults. When there are names
/// that nobody knows, what else is wrong is told with them.
pub fn read(sources: &Sources) -> Result<Values, ConfigError> {
    let mut values = defaults();
    let mut errors = Vec::new();
    let file = sources.file.as_deref();
    let is_read = file.is_none_or(|path| read_file(path, &mut values, &mut errors));
    read_variables(std::env::vars(), &mut values, &mut errors);
    values.extend(sources.flags.iter().cloned());
    if errors.is_empty() {
        return Ok(values);
    }
    if is_read && let Err(ConfigError(wrong)) = Settings::parse(&values) {
        errors.extend(wrong);
    }
    Err(ConfigError(errors))
}

/// False when nothing is known of what the file says.
fn read_file(path: &Path, values: &mut Values, errors: &mut Vec<String>) -> bool {
    let table = std::fs::read_to_string(path)
        .map_err(|error| error.to_string())
        .and_then(|text| text.parse::<toml::Table>().map_err(|error| error.to_string()));
    match &table {
        Ok(table) => read_table("", table, values, errors),
        Err(error) => errors.push(format!("{}: {error}", path.display())),
    }
    table.is_ok()
}

fn read_table(above: &str, table: &toml::Table, values: &mut Values, errors: &mut Vec<String>) {
    for (key, value) in table {
        let name = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        if let toml::Value::Table(below) = value {
            read_table(&name, below, values, errors);
            continue;
        }
        match (known(&name), as_text(value)) {
            (Some(setting), Some(text)) => drop(values.insert(setting.name, text)),
            (Some(_), None) => {
                errors.push(format!("{name}: must be a text, a number or true or false"))
            }
            (None, _) => errors.push(unknown("setting", &name, SETTINGS.iter().map(|s| s.name))),
        }
    }
}

fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        // Tables are read where they are understood.
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            Some(value.to_string())
        }
        // A list of CIDRs reads better as a list.
        toml::Value::Array(items) => {
            items.iter().map(as_text).collect::<Option<Vec<_>>>().map(|items| items.join(","))
        }
        _ => None,
    }
}

fn known(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

fn read_variables(
    variables: impl Iterator<Item = (String, String)>,
    values: &mut Values,
    errors: &mut Vec<String>,
) {
    for (variable, value) in variables {
        let setting = SETTINGS.iter().find(|setting| setting.variable == variable);
        if let Some(setting) = setting {
            values.insert(setting.name, value);
        } else if variable.starts_with("TIDINGS_") && !CLIENT_VARIABLES.contains(&variable.as_str())
        {
            errors.push(unknown("variable", &variable, SETTINGS.iter().map(|s| s.variable)));
        }
    }
}

fn unknown<'k>(what: &str, name: &str, names: impl Iterator<Item = &'k str>) -> String {
    match nearest(name, names) {
        Some(near) => format!("unknown {what} {name}; did you mean {near}?"),
        None => format!("unknown {what} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_toml(text: &str) -> (Values, Vec<String>) {
        let (mut values, mut errors) = (Values::new(), Vec::new());
        let table = text.parse().expect("TOML");
        read_table("", &table, &mut values, &mut errors);
        (values, errors)
    }

    #[test]
    fn the_documented_file_is_a_valid_file() {
        let (values, errors) = from_toml(&super::super::documented_file());
        assert_eq!(errors, [""; 0]);
        assert_eq!(values, defaults());
    }

    #[test]
    fn the_effective_file_is_a_valid_file_without_secrets() {
        let mut values = defaults();
        values.insert("admin_key", "hunter2".to_owned());
        values.insert("data_dir", "a \"quoted\" \\ place".to_owned());
        let text = super::super::effective_file(&values);
        assert!(!text.contains("hunter2"), "{text}");
        let (mut read, errors) = from_toml(&text);
        assert_eq!(errors, [""; 0]);
        read.insert("admin_key", "hunter2".to_owned());
        // An empty value is no value.
        values.retain(|_, value| !value.is_empty());
        assert_eq!(read, values);
    }

    #[test]
    fn lists_of_tables_are_kept_as_they_are() {
        let (values, errors) = from_toml(
            "[[inbound]]\nname = \"hub\"\nscheme = \"github\"\nsecrets = [\"x\"]\n\n[[inbound]]\nname = \"a\"\n",
        );
        assert_eq!(errors, [""; 0]);
        let errors = super::super::Settings::parse(&values).expect_err("the second is not whole");
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert!(errors.0[0].contains("number 2"), "{errors}");
    }

    #[test]
    fn what_else_is_wrong_is_told_with_unknown_names() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&file, "lisen = \"x\"\nallow_http = \"maybe\"\n").expect("written");
        let flags = vec![("egress.allow", "nope".to_owned())];
        let sources = Sources { file: Some(file.path().to_owned()), flags };
        let told = read(&sources).expect_err("wrong").0;
        assert_eq!(told.len(), 3, "{told:?}");
        for part in ["lisen", "allow_http: `maybe`", "egress.allow: `nope`"] {
            assert!(told.iter().any(|line| line.contains(part)), "{part}: {told:?}");
        }
        // Of a file that cannot be read nobody knows what it would have set.
        let sources = Sources { file: Some("/nowhere".into()), ..sources };
        assert_eq!(read(&sources).expect_err("it is not there").0.len(), 1);
    }

    #[test]
    fn unknown_names_are_named_with_their_neighbour() {
        let (_, errors) = from_toml("lisen = \"x\"\n[egress]\nalow = []\n");
        assert_eq!(
            errors,
            [
                "unknown setting egress.alow; did you mean egress.allow?",
                "unknown setting lisen; did you mean listen?"
            ]
        );
        let mut errors = Vec::new();
        let variables = [("TIDINGS_LISTN".to_owned(), "x".to_owned())];
        read_variables(variables.into_iter(), &mut Values::new(), &mut errors);
        assert_eq!(errors, ["unknown variable TIDINGS_LISTN; did you mean TIDINGS_LISTEN?"]);
    }
}
