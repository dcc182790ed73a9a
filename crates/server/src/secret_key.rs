//! The key of this installation, under which secrets are sealed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::clock;
use crate::config::{Settings, parse_hex_key};

/// Where the embedded store keeps it when the settings do not give it.
fn file(dir: &Path) -> PathBuf {
    dir.join("secret.key")
}

/// The key of the settings, or the one in the data directory, which is made at the first start.
pub fn of(settings: &Settings) -> Result<[u8; 32]> {
    if let Some(key) = settings.secret_key {
        return Ok(key);
    }
    let dir = &settings.data_dir;
    if let Some(key) = read(dir)? {
        return Ok(key);
    }
    let key = clock::random::<32>();
    write(dir, key)?;
    Ok(key)
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
