//! What one durable write costs here: the floor under every durable server's latency.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::clock;
use crate::histogram::Histogram;

const BLOCK: usize = 4096;
const BLOCKS: u64 = 256;

#[derive(Debug, Args)]
pub struct FsyncArgs {
    /// Directory on the disk to measure.
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Writes to make.
    #[arg(long, default_value_t = 500)]
    pub count: u64,
}

pub fn run(args: &FsyncArgs) -> Result<()> {
    let Fsync { p50_us, p99_us } = probe(&args.dir, args.count)?;
    println!("write + fdatasync of 4 KiB: p50 {p50_us:.0} µs, p99 {p99_us:.0} µs");
    Ok(())
}

#[derive(Debug, Clone, Copy)]
pub struct Fsync {
    pub p50_us: f64,
    pub p99_us: f64,
}

/// Writes blocks in turn over a file that has its size already, as a write-ahead log does from its
/// second lap on: growing a file would cost a journal commit of the file system as well.
pub fn probe(directory: &Path, count: u64) -> Result<Fsync> {
    fs::create_dir_all(directory)?;
    let path = directory.join(format!("fsync-probe-{}", std::process::id()));
    let measured = measure(&path, count).with_context(|| format!("could not probe {path:?}"));
    let _ = fs::remove_file(&path);
    measured
}

fn measure(path: &Path, count: u64) -> Result<Fsync> {
    let mut file = File::create(path)?;
    file.write_all(&vec![0; BLOCK * BLOCKS as usize])?;
    file.sync_all()?;
    let histogram = Histogram::default();
    for number in 0..count {
        let block = [number as u8; BLOCK];
        let started = clock::instant();
        file.write_all_at(&block, number % BLOCKS * BLOCK as u64)?;
        file.sync_data()?;
        histogram.record(started.elapsed().as_nanos() as u64);
    }
    Ok(Fsync { p50_us: histogram.quantile_us(0.5), p99_us: histogram.quantile_us(0.99) })
}

/// A file system in memory makes durability free and every figure a lie, so it is refused.
pub fn refuse_memory(directory: &Path) -> Result<()> {
    let directory = fs::canonicalize(directory)?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    if let Some(kind) = file_system_of(&directory, &mounts)
        && matches!(kind, "tmpfs" | "ramfs")
    {
        bail!("{} is on {kind}, which is memory; name a disk with --dir", directory.display());
    }
    Ok(())
}

/// The type of the mount with the longest path that holds `directory`.
fn file_system_of<'a>(directory: &Path, mounts: &'a str) -> Option<&'a str> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let holding = mounts.filter(|(point, _)| directory.starts_with(point));
    holding.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_decides() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\n/dev/b /run/disk xfs rw 0 0\n";
        let kind = |path: &str| file_system_of(Path::new(path), mounts);
        assert_eq!(kind("/home/x"), Some("ext4"));
        assert_eq!(kind("/run/x"), Some("tmpfs"));
        assert_eq!(kind("/run/disk/x"), Some("xfs"));
        assert_eq!(kind("/running"), Some("ext4"));
    }
}
