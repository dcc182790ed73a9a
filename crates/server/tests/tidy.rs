//! What reviewers would otherwise have to look for: the arrows between the crates, sizes, words that
//! have no place here, links that lead nowhere, documents that have fallen behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
/// Of comments and of code without its strings; rustfmt sees to 100 where it can.
const COLUMNS_MAX: usize = 110;

/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] =
    &[("crates/core/src/dispatch/mod.rs", "one state machine: to be read in one piece")];

/// Each crate and those of ours that it may depend on, for its tests too.
const ARROWS: [(&str, &[&str]); 6] = [
    ("tidings-wire", &["tidings-wire"]),
    ("tidings-core", &["tidings-wire"]),
    ("tidings-store", &["tidings-core", "tidings-store"]),
    ("tidings-server", &["tidings-core", "tidings-store", "tidings-wire"]),
    ("tidings-sim", &["tidings-core", "tidings-store", "tidings-wire"]),
    ("tidings-bench", &[]),
];

/// What would give the pure crates a way to do I/O, to read a clock or to draw randomness.
const IMPURE: [&str; 10] = [
    "tokio",
    "hyper",
    "axum",
    "rusqlite",
    "tokio-postgres",
    "sqlx",
    "redis",
    "getrandom",
    "rand",
    "tracing",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/server").to_owned()
}

/// Every file that ends so, by its path from the root, with its text.
fn files(endings: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    walk(&root(), &mut found, endings);
    assert!(!found.is_empty());
    found
}

fn walk(dir: &Path, found: &mut BTreeMap<String, String>, endings: &[&str]) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let elsewhere = ["target", "node_modules", "tidings-data", "__pycache__"];
        let hidden = name.starts_with('.') && ![".ci", ".github"].contains(&name.as_str());
        if path.is_dir() {
            if !hidden && !elsewhere.contains(&name.as_str()) {
                walk(&path, found, endings);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let relative = path.strip_prefix(root()).expect("below the root");
            let text = fs::read_to_string(&path).expect("a text");
            found.insert(relative.to_string_lossy().into_owned(), text);
        }
    }
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("tests.rs")
}

/// Fails with all that was found, a line each.
fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn dependencies(package: &Value) -> Vec<(String, bool)> {
    let all = package["dependencies"].as_array().expect("dependencies");
    let name = |one: &Value| one["name"].as_str().expect("a name").to_owned();
    all.iter().map(|one| (name(one), one["kind"] == "dev")).collect()
}

#[test]
fn crates_depend_on_each_other_only_downwards() {
    let packages = packages();
    assert_eq!(packages.len(), ARROWS.len(), "a new crate is a decision: name its arrows here");
    let mut found = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().expect("a name");
        let arrows = ARROWS.iter().find(|(of, _)| *of == name);
        let allowed = arrows.unwrap_or_else(|| panic!("{name} has no arrows here")).1;
        for (dependency, for_tests) in dependencies(package) {
            let ours = dependency.starts_with("tidings-");
            if ours && !allowed.contains(&dependency.as_str()) {
                found.push(format!("{name} must not depend on {dependency}"));
            }
            let pure = ["tidings-wire", "tidings-core"].contains(&name);
            if pure && !for_tests && IMPURE.contains(&dependency.as_str()) {
                found.push(format!("{name} is pure and must not depend on {dependency}"));
            }
            // A test may look at the file from outside.
            let is_sql =
                ["rusqlite", "libsqlite3-sys", "tokio-postgres"].contains(&dependency.as_str());
            if is_sql && !for_tests && name != "tidings-store" {
                found.push(format!("only tidings-store may depend on {dependency}"));
            }
        }
    }
    none(found);
}

#[test]
fn pure_crates_do_no_io() {
    let words = ["std::fs", "std::env", "std::thread", "std::process", "TcpStream", "UdpSocket"];
    let mut found = Vec::new();
    for (path, text) in files(&[".rs"]) {
        let pure = ["crates/wire/src/", "crates/core/src/"];
        if pure.iter().any(|dir| path.starts_with(dir)) {
            let named = words.iter().filter(|word| text.contains(*word));
            found.extend(named.map(|word| format!("{path}: {word}")));
        }
    }
    none(found);
}

#[test]
fn only_the_store_names_sql() {
    let statements = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "PRAGMA ", "rusqlite"];
    let mut found = Vec::new();
    for (path, text) in files(&[".rs"]) {
        if path.starts_with("crates/store/") || is_test(&path) {
            continue;
        }
        for (n, line) in lines(&text) {
            let code = line.split("//").next().unwrap_or_default();
            if statements.iter().any(|statement| code.contains(statement)) {
                found.push(format!("{path}:{n}: {}", line.trim()));
            }
        }
    }
    none(found);
}

/// Times come from the clock that was handed in, in statements too.
#[test]
fn no_statement_reads_the_clock() {
    let clocks = ["CURRENT_TIME", "CURRENT_DATE", "NOW()", "strftime(", "unixepoch(", "datetime("];
    let mut found = Vec::new();
    for (path, text) in files(&[".rs", ".sql"]) {
        if !path.starts_with("crates/store/") {
            continue;
        }
        for (n, line) in lines(&text) {
            let in_sql = path.ends_with(".sql") && line.to_lowercase().contains("now()");
            if in_sql || clocks.iter().any(|clock| line.contains(clock)) {
                found.push(format!("{path}:{n}: {}", line.trim()));
            }
        }
    }
    none(found);
}

/// The store refuses to open with an older one; here it is seen to that this stays so.
#[test]
fn sqlite_is_one_that_loses_nothing() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let rusqlite = manifest.lines().find(|line| line.starts_with("rusqlite = "));
    assert!(rusqlite.is_some_and(|line| line.contains("\"bundled\"")), "{rusqlite:?}");
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("a lock file");
    assert_eq!(lock.matches("name = \"libsqlite3-sys\"").count(), 1);
    let path = "crates/store/src/queue/sqlite/mod.rs";
    let store = fs::read_to_string(root().join(path)).expect("the backend");
    let least = store.lines().find_map(|line| line.strip_prefix("const SQLITE_MIN: i32 = "));
    let least = least.expect("SQLITE_MIN").trim_end_matches(';').replace('_', "");
    assert!(least.parse::<u32>().expect("a number") >= 3_051_003);
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let mut found = Vec::new();
    for (path, text) in files(&[".rs"]) {
        let long = text.lines().count() > FILE_LINES_MAX && !is_test(&path);
        let allowed = LONG_FILES.iter().any(|(file, _)| *file == path);
        match (long, allowed) {
            (true, false) => found.push(format!("{path}: {} lines", text.lines().count())),
            (false, true) => found.push(format!("{path} is short again: take it off the list")),
            _ => {}
        }
    }
    none(found);
}

#[test]
fn functions_fit_a_screen() {
    let mut found = Vec::new();
    for (path, text) in files(&[".rs"]).iter().filter(|(path, _)| !is_test(path)) {
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let Some(indent) = function(line) else { continue };
            // Formatted code ends a function with a brace below its first letter.
            let close = format!("{}}}", " ".repeat(indent));
            let length = lines[start..].iter().position(|line| *line == close).unwrap_or(0) + 1;
            if length > FUNCTION_LINES_MAX && !is_declaration(&lines[start..]) {
                found.push(format!("{path}:{}: {length} lines", start + 1));
            }
        }
    }
    none(found);
}

/// The indentation of a line that begins a function over several lines.
fn function(line: &str) -> Option<usize> {
    let code = line.trim_start();
    let words = code.split(['(', '<', '{']).next().unwrap_or_default();
    let begins = words.starts_with("fn ") || words.contains(" fn ");
    let plain = !code.starts_with("//") && !code.starts_with('#') && !words.contains('"');
    (begins && plain && !line.ends_with('}')).then(|| line.len() - code.len())
}

/// A function of a trait, without a body.
fn is_declaration(lines: &[&str]) -> bool {
    lines.iter().find(|line| line.ends_with([';', '{'])).is_some_and(|line| line.ends_with(';'))
}

#[test]
fn lines_fit_a_screen() {
    let mut found = Vec::new();
    for (path, text) in files(&[".rs"]) {
        for (n, line) in lines(&text) {
            let code = line.trim_start();
            let is_table = code.starts_with("//! |") || code.starts_with("/// |");
            let left_alone = code.starts_with("#[") || line.contains("r#\"") || is_table;
            let columns = without_strings(line).chars().count();
            if columns > COLUMNS_MAX && !left_alone && !is_test(&path) {
                found.push(format!("{path}:{n}: {columns} columns"));
            }
        }
    }
    none(found);
}

fn without_strings(line: &str) -> String {
    if line.trim_start().starts_with("//") {
        return line.to_owned();
    }
    line.split('"').step_by(2).collect()
}

#[test]
fn words_that_have_no_place_here() {
    // In two parts, so that this file may hold them.
    let word = |parts: [&str; 2]| parts.concat();
    let words = [
        word(["TO", "DO:"]),
        word(["TO", "DO("]),
        word(["// TO", "DO"]),
        word(["FIX", "ME"]),
        word(["X", "XX"]),
        // `#[expect(…, reason)]` goes away with its cause.
        word(["#[all", "ow("]),
        // Paths and papers of whoever wrote it.
        word(["/wo", "rk/"]),
        word(["/ro", "ot/"]),
        word(["DESIGN", ".md"]),
        word(["DESIGN", " 5"]),
        word(["seed ", "00"]),
    ];
    let endings = [".rs", ".toml", ".md", ".sql", ".js", ".py", ".css", "test", "run"];
    let mut found = Vec::new();
    for (path, text) in files(&endings) {
        for (n, line) in lines(&text) {
            let named = words.iter().filter(|word| line.contains(*word));
            found.extend(named.map(|word| format!("{path}:{n}: {word}")));
        }
    }
    none(found);
}

#[test]
fn links_lead_somewhere() {
    let mut found = Vec::new();
    for (path, text) in files(&[".md"]) {
        let root = root();
        let dir = root.join(&path).parent().expect("a directory").to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !elsewhere && !target.is_empty() && !dir.join(target).exists() {
                found.push(format!("{path}: {link}"));
            }
        }
        // Paths in the text: `crates/core/src/retry.rs`.
        for code in text.split('`').skip(1).step_by(2).filter(|code| code.starts_with("crates/")) {
            let file = code.split([':', ' ']).next().unwrap_or_default();
            if !file.contains(['*', '<', '{', '…']) && !root.join(file).exists() {
                found.push(format!("{path}: {code}"));
            }
        }
    }
    none(found);
}

/// `docs/settings.md` holds the documented file as it is printed.
#[test]
fn the_settings_are_documented() {
    let path = root().join("docs/settings.md");
    let page = fs::read_to_string(&path).expect("docs/settings.md");
    let printed = tidings_server::config::documented_file();
    let (_, rest) = page.split_once("```toml\n").expect("a block of TOML");
    let (written, _) = rest.split_once("```").expect("the end of the block");
    assert_eq!(written, printed, "put in what `tidings config --default` prints");
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}
