//! The disk fails: a sync or a write of the database is answered with an error. Nothing of that ever
//! becomes a 2xx, and what was acknowledged before is there afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::harness::store::leaves_out;
use crate::harness::{Binary, Receiver, eventually};
use crate::ledger::{Ledger, Load, Seen};
use crate::{assert_intact, path, register, settled_totals, skipped};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stories/faults/bad_disk.c");

/// A library that lets calls for the database fail.
struct BadDisk {
    dir: TempDir,
}

impl BadDisk {
    fn build() -> Result<Self, String> {
        let disk = Self { dir: tempdir().unwrap() };
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(disk.library()).arg(SOURCE).arg("-ldl");
        let output = compile.output().map_err(|error| format!("cc: {error}"))?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(disk) } else { Err(told) }
    }

    fn library(&self) -> PathBuf {
        self.dir.path().join("bad_disk.so")
    }

    /// Holds the name of the call that fails.
    fn trigger(&self) -> PathBuf {
        self.dir.path().join("fails")
    }

    fn fail(&self, call: &str) {
        let next = self.dir.path().join("next");
        std::fs::write(&next, call).unwrap();
        std::fs::rename(next, self.trigger()).unwrap();
    }

    fn work_again(&self) {
        std::fs::remove_file(self.trigger()).unwrap();
    }

    async fn serve(&self, dir: &Path) -> Binary {
        let (library, trigger) = (self.library(), self.trigger());
        let library = library.to_str().expect("UTF-8");
        let trigger = trigger.to_str().expect("UTF-8");
        Binary::start_with(dir, &[("LD_PRELOAD", library), ("BAD_DISK", trigger)]).await
    }
}

/// A webhook whose deliveries wait: what was acknowledged is in the file alone.
async fn waiting(server: &Binary, receiver: &Receiver) -> serde_json::Value {
    let webhook = register(server, &receiver.url(), json!({})).await;
    server.act(&format!("{}/pause", path(&webhook))).await.expect(200);
    webhook
}

async fn everything_arrives(
    server: Binary,
    webhook: &serde_json::Value,
    receiver: &Receiver,
    ledger: &Ledger,
    dir: &Path,
) {
    server.act(&format!("{}/resume", path(webhook))).await.expect(200);
    settled_totals(&server).await;
    server.stop().await;
    let mut seen = Seen::default();
    seen.note(receiver.take().await);
    ledger.assert_all_in(&seen);
    assert_intact(dir);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_fails_ends_the_server_and_is_never_acknowledged() {
    if leaves_out("the disk of the file fails") {
        return;
    }
    let disk = match BadDisk::build() {
        Ok(disk) => disk,
        Err(why) => return skipped("a C compiler, to let a sync fail", &why),
    };
    let dir = tempdir().unwrap();
    let receiver = Receiver::start().await;
    let mut server = disk.serve(dir.path()).await;
    server.announce("nothing more is written");
    server.announce("the database takes nothing");
    let webhook = waiting(&server, &receiver).await;
    let ledger = Ledger::new();
    for _ in 0..3 {
        let load = Load::start(&ledger, &server.client, 6, 300);
        let enough = ledger.count() + 100;
        eventually("the load is under way", || async { (ledger.count() >= enough).then_some(()) })
            .await;
        disk.fail("sync");
        load.broken().await;
        let count = ledger.count();
        for refusal in ledger.take_refusals() {
            assert_eq!(refusal.status, 503);
        }
        let status = server.ended().await;
        assert_eq!(status.code(), Some(1), "it does not go on with a disk that it cannot trust");
        assert_eq!(ledger.count(), count);
        disk.work_again();
        server = disk.serve(dir.path()).await;
        server.announce("nothing more is written");
        server.announce("the database takes nothing");
    }
    everything_arrives(server, &webhook, &receiver, &ledger, dir.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_is_refused_until_the_disk_works_again() {
    if leaves_out("the disk of the file fails") {
        return;
    }
    let disk = match BadDisk::build() {
        Ok(disk) => disk,
        Err(why) => return skipped("a C compiler, to let a write fail", &why),
    };
    let dir = tempdir().unwrap();
    let receiver = Receiver::start().await;
    let mut server = disk.serve(dir.path()).await;
    server.announce("the database takes nothing");
    let webhook = waiting(&server, &receiver).await;
    let ledger = Ledger::new();
    let load = Load::start(&ledger, &server.client, 6, 300);
    for _ in 0..3 {
        let enough = ledger.count() + 100;
        eventually("the load is under way", || async { (ledger.count() >= enough).then_some(()) })
            .await;
        disk.fail("write");
        let refused = AtomicUsize::new(0);
        eventually("publishers are refused", || async {
            let refusals = ledger.take_refusals();
            assert!(refusals.iter().all(|refusal| refusal.status == 503));
            let before = refused.fetch_add(refusals.len(), Ordering::SeqCst);
            (before > 10).then_some(())
        })
        .await;
        assert!(server.is_running());
        disk.work_again();
    }
    let enough = ledger.count() + 100;
    eventually("it accepts again", || async { (ledger.count() >= enough).then_some(()) }).await;
    load.stop().await;
    everything_arrives(server, &webhook, &receiver, &ledger, dir.path()).await;
}
