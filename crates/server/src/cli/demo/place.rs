//! A temporary directory, gone at the end.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::clock::random;

/// Removed when dropped.
#[derive(Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new() -> Result<Self> {
        let unique = u64::from_ne_bytes(random());
        let path = std::env::temp_dir().join(format!("tidings-demo-{unique:016x}"));
        // Nobody else may look at the key in it.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> Result<&str> {
        self.0.to_str().context("the temporary directory's name is not UTF-8")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is in a directory that the system clears.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
