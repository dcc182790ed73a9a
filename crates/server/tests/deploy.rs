//! What is in `deploy`, as far as it can be judged without a cluster: it can be read, names settings, paths
//! and ports that there are, and a unit that systemd takes. `deploy/README.md` says what else was looked at.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tidings_server::api::router::routes;
use yaml_rust2::{Yaml, YamlLoader};

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// Every file below `deploy`, by its path there.
fn files() -> BTreeMap<String, String> {
    let (mut files, mut dirs) = (BTreeMap::new(), vec![dir()]);
    while let Some(at) = dirs.pop() {
        for entry in fs::read_dir(at).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path.strip_prefix(dir()).expect("below it").display().to_string();
                files.insert(name, fs::read_to_string(path).expect("text"));
            }
        }
    }
    files
}

/// The documents of all YAML files; one that has a key twice cannot be read.
fn documents() -> Vec<(String, Yaml)> {
    let files = files().into_iter().filter(|(name, _)| name.ends_with(".yaml"));
    let read = |(name, text): (String, String)| {
        let all = YamlLoader::load_from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        all.into_iter().map(move |one| (name.clone(), one))
    };
    files.flat_map(read).collect()
}

/// Every value that has this name, wherever it stands.
fn named<'y>(yaml: &'y Yaml, name: &str) -> Vec<&'y Yaml> {
    match yaml {
        Yaml::Array(items) => items.iter().flat_map(|item| named(item, name)).collect(),
        Yaml::Hash(members) => members
            .iter()
            .flat_map(|(key, value)| {
                let here = (key.as_str() == Some(name)).then_some(value);
                here.into_iter().chain(named(value, name))
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn each_setting_that_is_named_exists() {
    let known = fs::read_to_string(dir().join("../docs/settings.md")).expect("the settings");
    let mut named = 0;
    for (file, text) in files() {
        let words =
            text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        for word in words.filter(|w| w.starts_with("TIDINGS_") || w.ends_with("_URL")) {
            let is_clients = ["TIDINGS_URL", "TIDINGS_API_KEY"].contains(&word);
            assert!(is_clients || known.contains(&format!("({word})")), "{file}: {word}");
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
}

#[test]
fn probes_and_ports_are_those_of_the_server() {
    let paths = routes().into_openapi().paths.paths;
    let mut probes = 0;
    for (file, document) in documents() {
        for probe in named(&document, "httpGet") {
            let path = probe["path"].as_str().expect("a path");
            assert!(paths.contains_key(path), "{file}: {path}");
            probes += 1;
        }
        for port in named(&document, "containerPort") {
            assert_eq!(port.as_i64(), Some(4000), "{file}");
            let values = named(&document, "value").into_iter().filter_map(Yaml::as_str);
            assert!(values.into_iter().any(|value| value == "0.0.0.0:4000"), "{file}");
        }
    }
    assert_eq!(probes, 9);
    let dockerfile = &files()["Dockerfile"];
    assert!(
        dockerfile.contains("TIDINGS_LISTEN=0.0.0.0:4000") && dockerfile.contains("EXPOSE 4000")
    );
}

/// A stop takes at most its deadline for attempts, half of it for clients, a quarter for streams; whoever
/// kills earlier makes duplicates.
#[test]
fn nobody_kills_a_stop_that_is_in_time() {
    let longest_s = 20 + 10 + 5;
    for (file, document) in documents() {
        for grace in named(&document, "terminationGracePeriodSeconds") {
            assert!(grace.as_i64().expect("seconds") > longest_s, "{file}");
        }
        for grace in named(&document, "stop_grace_period") {
            let seconds = grace.as_str().and_then(|text| text.strip_suffix('s')).expect("seconds");
            assert!(seconds.parse::<i64>().expect("a number") > longest_s, "{file}");
        }
    }
    assert!(files()["systemd/tidings.service"].contains("\nTimeoutStopSec=60\n"));
}

#[test]
fn the_image_is_built_with_the_compiler_that_the_crates_ask_for() {
    let manifest = fs::read_to_string(dir().join("../Cargo.toml")).expect("the manifest");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \""));
    let version = version.expect("a version").trim_end_matches('"');
    assert!(files()["Dockerfile"].contains(&format!("FROM rust:{version}-")));
}

#[test]
fn systemd_takes_the_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no `systemd-analyze` here");
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    let unit = place.path().join("tidings.service");
    let text = &files()["systemd/tidings.service"];
    let binary = env!("CARGO_BIN_EXE_tidings");
    fs::write(&unit, text.replace("/usr/local/bin/tidings", binary)).expect("written");
    let verify = || {
        let mut verify = Command::new("systemd-analyze");
        let output = verify.arg("verify").arg("--man=no").arg(&unit).output().expect("it runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert_eq!(verify(), "");
    let wrong = text.replace("/usr/local/bin/tidings", binary).replace("WatchdogSec", "WatchdogS");
    fs::write(&unit, wrong).expect("written");
    assert!(verify().contains("WatchdogS"), "it would have said so");
}
