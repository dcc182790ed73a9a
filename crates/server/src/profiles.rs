//! The profiles that webhooks may name: those that come with Tidings, and those of the configuration,
//! a file each.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidings_wire::profile::Profile;

use crate::api::form::nearest;

/// See the module's documentation.
#[derive(Debug, Clone)]
pub struct Profiles(BTreeMap<String, Known>);

/// A profile and the file that it was read from.
#[derive(Debug, Clone)]
pub struct Known {
    pub profile: Arc<Profile>,
    /// The file's text.
    pub text: Cow<'static, str>,
    /// Where the file is; `None`: it comes with Tidings.
    pub path: Option<PathBuf>,
}

impl Default for Profiles {
    /// The profiles that come with Tidings.
    fn default() -> Self {
        let known = |profile: &Profile| {
            let text = Profile::builtin_file(&profile.name).expect("it was read from one").into();
            let known = Known { profile: Arc::new(profile.clone()), text, path: None };
            (profile.name.clone(), known)
        };
        Self(Profile::builtins().iter().map(known).collect())
    }
}

impl Profiles {
    /// The profiles that come with Tidings, and those of the `*.toml` files of a directory; or all that
    /// is wrong with these, a line each.
    pub fn with_dir(dir: &Path) -> Result<Self, Vec<String>> {
        let paths = toml_files(dir)
            .map_err(|error| vec![format!("profiles: {}: {error}", dir.display())])?;
        let mut profiles = Self::default();
        let mut errors = Vec::new();
        for path in paths {
            match read_file(&path) {
                Ok((profile, text)) => errors.extend(profiles.add(profile, text, path)),
                Err(wrong) => errors.extend(wrong),
            }
        }
        if errors.is_empty() { Ok(profiles) } else { Err(errors) }
    }

    /// Adds a profile, or says why it cannot have its name.
    fn add(&mut self, profile: Profile, text: String, path: PathBuf) -> Option<String> {
        let (name, at) = (profile.name.clone(), path.display());
        match self.0.get(&name).map(|known| &known.path) {
            Some(None) => Some(format!("{at}: `{name}` comes with Tidings: choose another name")),
            Some(Some(other)) => Some(format!("{at}: `{name}` is in {} too", other.display())),
            None => {
                let profile = Arc::new(profile);
                self.0.insert(name, Known { profile, text: text.into(), path: Some(path) });
                None
            }
        }
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Profile>> {
        self.known(name).map(|known| &known.profile)
    }

    /// A profile with its file.
    #[must_use]
    pub fn known(&self, name: &str) -> Option<&Known> {
        self.0.get(name)
    }

    /// The profile of this name, or `standard` when it is not configured any more.
    #[must_use]
    pub fn get_or_standard(&self, name: &str) -> &Arc<Profile> {
        self.get(name).or_else(|| self.get("standard")).expect("`standard` comes with Tidings")
    }

    /// All of them: those that come with Tidings first, then by name.
    #[must_use]
    pub fn all(&self) -> Vec<&Known> {
        let mut all: Vec<&Known> = self.0.values().collect();
        let rank = |known: &Known| {
            let builtins = Profile::builtins();
            builtins.iter().position(|one| one.name == known.profile.name).unwrap_or(builtins.len())
        };
        all.sort_by_key(|known| rank(known));
        all
    }

    /// What to say of a name that no profile has.
    #[must_use]
    pub fn unknown(&self, name: &str) -> String {
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        let near = nearest(name, names.iter().copied());
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        format!("is not a known profile; known are {}{near}", names.join(", "))
    }
}

/// Reads one file; or all that is wrong with it, a line each.
pub fn read_file(path: &Path) -> Result<(Profile, String), Vec<String>> {
    let at = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| vec![format!("{at}: {error}")])?;
    match Profile::parse(&text) {
        Ok(profile) => Ok((profile, text)),
        Err(errors) => Err(errors.0.iter().map(|error| format!("{at}, {error}")).collect()),
    }
}

/// The files of a directory in the order of their names.
fn toml_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme(name: &str) -> String {
        let emp = Profile::builtin_file("emp").expect("it comes with Tidings");
        emp.replace("name = \"emp\"", &format!("name = \"{name}\""))
    }

    #[test]
    fn files_are_added_to_those_that_come_with_tidings() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("b.toml"), acme("beta")).expect("written");
        std::fs::write(dir.path().join("a.toml"), acme("alpha")).expect("written");
        std::fs::write(dir.path().join("notes.md"), "no profile").expect("written");
        let profiles = Profiles::with_dir(dir.path()).expect("sound");
        let names: Vec<&str> = profiles.all().iter().map(|k| k.profile.name.as_str()).collect();
        let builtin = Profile::builtins().len();
        assert_eq!((names[0], &names[builtin..]), ("standard", &["alpha", "beta"][..]));
        assert!(profiles.known("beta").is_some_and(|known| known.path.is_some()));
        assert_eq!(profiles.get_or_standard("gone").name, "standard");
        assert!(profiles.unknown("alhpa").ends_with("; did you mean `alpha`?"));
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: String| {
            std::fs::write(dir.path().join(name), text).expect("written");
        };
        write("1.toml", acme("one").replace("max_attempts = 3", "max_attemps = 0"));
        write("2.toml", acme("two"));
        write("3.toml", acme("two"));
        write("4.toml", acme("standard"));
        write("5.toml", "name = \"x".to_owned());
        std::fs::create_dir(dir.path().join("6.toml")).expect("made");
        let errors = Profiles::with_dir(dir.path()).expect_err("wrong");
        assert_eq!(errors.len(), 6, "{errors:#?}");
        let told = |n: usize, part: &str| errors[n].contains(part);
        assert!(told(0, "1.toml, line 26: missing field `max_attempts`"), "{errors:#?}");
        assert!(
            told(1, "1.toml, line 27: unknown field `max_attemps`; did you mean"),
            "{errors:#?}"
        );
        assert!(
            told(2, "3.toml: `two` is in ") && told(3, "4.toml: `standard` comes with Tidings")
        );
        assert!(told(4, "5.toml, line 1:") && told(5, "6.toml: "), "{errors:#?}");
        let errors = Profiles::with_dir(&dir.path().join("gone")).expect_err("it is not there");
        assert!(errors[0].starts_with("profiles: "), "{errors:?}");
    }

    /// The example of the documentation names every field that there is.
    #[test]
    fn the_documented_profile_is_sound() {
        let text = include_str!("../../../docs/profiles.md");
        let (_, example) = text.split_once("```toml\n").expect("an example");
        let (example, _) = example.split_once("```").expect("its end");
        let acme = Profile::parse(example).expect("sound");
        assert_eq!((acme.name.as_str(), acme.retry.max_attempts), ("acme", 5));
        assert!(acme.tells_of("order.paid") && acme.is_final(400) && !acme.is_final(408));
        for known in Profile::builtins() {
            assert!(text.contains(&format!("| `{}` |", known.name)), "{}", known.name);
        }
    }
}
