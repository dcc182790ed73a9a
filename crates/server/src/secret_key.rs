//! The key of this installation, under which secrets are sealed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::clock;
use crate::config::{Settings, parse_hex_key};

/// Where the embedded store keeps it when the settings do not give it.
fn file(dir: &Path) -> PathBuf {
    dir.join("secret.key")
}

/// A key, and whether it has only been made up by now.
#[derive(Clone, Copy)]
pub struct SecretKey {
    pub bytes: [u8; 32],
    is_new: bool,
}

/// Shows no key.
impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey")
    }
}

/// The key of the settings, or the one in the data directory; at the first start a new one.
pub fn of(settings: &Settings) -> Result<SecretKey> {
    let given = match settings.secret_key {
        Some(key) => Some(key),
        None => read(&settings.data_dir)?,
    };
    let bytes = given.unwrap_or_else(clock::random::<32>);
    Ok(SecretKey { bytes, is_new: given.is_none() })
}

impl SecretKey {
    /// Keeps a new one. Not before what is stored has opened: a key that has been lost must not be
    /// taken for the one that lies there in its place.
    pub fn keep(self, dir: &Path) -> Result<()> {
        if self.is_new { write(dir, self.bytes) } else { Ok(()) }
    }

    /// Says of what does not open that its key is not there.
    pub fn explain<T>(self, opened: Result<T>, dir: &Path) -> Result<T> {
        match self.is_new {
            true => opened.with_context(|| format!("{} is missing", file(dir).display())),
            false => opened,
        }
    }
}

/// The key in a data directory, if there is one.
pub fn read(dir: &Path) -> Result<Option<[u8; 32]>> {
    let path = file(dir);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse_hex_key(&text)
            .map(Some)
            .with_context(|| format!("{} does not hold 64 hex characters", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Keeps a key in a data directory that has none.
pub fn write(dir: &Path, key: [u8; 32]) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = file(dir);
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    // Without the key the secrets in the store are lost, so it is on disk before the first of them.
    file.sync_all()?;
    Ok(())
}
