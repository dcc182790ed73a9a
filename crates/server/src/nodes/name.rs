//! Who a node is: a name in its data directory, which one process at a time may use.
//!
//! A process that is started again in the same directory is the same node: it has its number and its
//! shards back at once, for whoever had them before is known to be gone. In a new directory it is a new
//! node, and what a killed one held is taken over when its lease is over.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::clock;

/// Held for as long as the process runs.
#[derive(Debug)]
pub struct Name {
    text: String,
    _locked: Option<File>,
}

impl Name {
    /// The name in this directory, which is made at the first start. Where nothing can be written, one
    /// that is gone with the process.
    pub fn of(dir: &Path) -> Result<Self> {
        let path = dir.join("node");
        let opened = std::fs::create_dir_all(dir)
            .and_then(|()| File::options().read(true).append(true).create(true).open(&path));
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if is_closed_to_us(error.kind()) => {
                return Ok(Self { text: random(), _locked: None });
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot use {}", path.display()));
            }
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let dir = dir.display();
                bail!(
                    "another tidings process uses {dir}; stop it or choose another data directory"
                )
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        if text.len() != DIGITS {
            // Made now; or it was not written to its end.
            text = random();
            file.set_len(0)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
        }
        Ok(Self { text, _locked: Some(file) })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

const DIGITS: usize = 16;

fn random() -> String {
    clock::random::<{ DIGITS / 2 }>().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_closed_to_us(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_one_node_of_one_process() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Name::of(dir.path()).expect("named");
        let refused = Name::of(dir.path()).expect_err("is taken").to_string();
        assert!(refused.contains("another tidings process uses"), "{refused}");
        let text = first.as_str().to_owned();
        drop(first);
        assert_eq!(Name::of(dir.path()).expect("named again").as_str(), text);
        let other = tempfile::tempdir().expect("a directory");
        assert_ne!(Name::of(other.path()).expect("named").as_str(), text);
    }
}
