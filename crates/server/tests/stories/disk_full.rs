//! The disk fills up under load: publishers are told to come back, nothing that was acknowledged is
//! lost, and when there is room again the server goes on by itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::harness::store::leaves_out;
use crate::harness::{Binary, Receiver, eventually};
use crate::ledger::{Ledger, Load, Seen};
use crate::{assert_intact, register, settled_totals};

/// A file system of 24 MiB; unmounted when dropped.
struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    fn mount() -> Self {
        let disk = Self { dir: tempdir().unwrap() };
        let args = ["-t", "tmpfs", "-o", "size=24m", "tmpfs"];
        let mounted = Command::new("mount").args(args).arg(disk.dir.path()).output();
        let told = mounted.expect("this test needs the command `mount`");
        assert!(
            told.status.success(),
            "this test fills a disk of its own and needs the right to mount one (root, Linux): {}",
            String::from_utf8_lossy(&told.stderr)
        );
        disk
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Takes some of the room; deleting it gives it back.
    fn ballast(&self, bytes: usize) -> PathBuf {
        let path = self.dir.path().join("ballast");
        std::fs::write(&path, vec![1; bytes]).unwrap();
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.dir.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_recovers_by_itself() {
    if leaves_out("the disk of the file is full") {
        return;
    }
    let disk = SmallDisk::mount();
    let ballast = disk.ballast(14 << 20);
    let receiver = Receiver::start().await;
    let mut server = Binary::start(&disk.data()).await;
    server.announce("the database takes nothing");
    register(&server, &receiver.url(), json!({})).await;
    let ledger = Ledger::new();
    let load = Load::start(&ledger, &server.client, 6, 8_000);

    fills_up(&ledger).await;
    assert!(ledger.count() > 100, "it was full from the start");
    assert!(server.is_running());
    assert_eq!(server.get("/livez").await.status, 200);
    let before = ledger.count();
    std::fs::remove_file(ballast).unwrap();
    recovers(&ledger, before).await;
    load.stop().await;

    let totals = settled_totals(&server).await;
    server.stop().await;
    assert_eq!(totals["success"], ledger.count(), "{totals:#}");
    let mut seen = Seen::default();
    seen.note(receiver.take().await);
    ledger.assert_all_in(&seen);
    let again = seen.again().count();
    assert_eq!(again, 0, "a settlement that waits for room is no reason to send again");
    assert_intact(&disk.data());
}

/// Until publishers hear nothing but refusals.
async fn fills_up(ledger: &Ledger) {
    const IN_A_ROW: usize = 100;
    let refusals = eventually("the disk is full", || async {
        let acknowledged = ledger.count();
        let mut refusals = ledger.take_refusals();
        while refusals.len() < IN_A_ROW && ledger.count() == acknowledged {
            tokio::time::sleep(Duration::from_millis(5)).await;
            refusals.extend(ledger.take_refusals());
        }
        (refusals.len() >= IN_A_ROW).then_some(refusals)
    })
    .await;
    for refusal in &refusals {
        assert_eq!(refusal.problem(503)["code"], "storage_unavailable");
        let seconds: u32 = refusal.header("retry-after").parse().expect("a number of seconds");
        assert!((1..=60).contains(&seconds));
    }
}

async fn recovers(ledger: &Ledger, before: usize) {
    let since = Instant::now();
    eventually("it accepts again", || async { (ledger.count() > before + 50).then_some(()) }).await;
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}

#[test]
fn the_small_disk_is_small() {
    let disk = SmallDisk::mount();
    let full = std::fs::write(Path::join(disk.dir.path(), "much"), vec![1; 25 << 20]);
    assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
}
