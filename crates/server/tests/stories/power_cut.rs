//! The power is cut under the running server, again and again, under load: whatever was acknowledged is
//! there afterwards. A process that is killed leaves its writes to the kernel; here they are gone.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::harness::store::leaves_out;
use crate::harness::{Binary, Receiver, eventually};
use crate::ledger::{Ledger, Load, Seen};
use crate::{assert_intact, path, register, settled_totals, skipped};

const CUTS: usize = 5;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stories/faults/power_cut.py");

/// An ext4 file system in a file, on a loop device; unmounted when dropped.
struct Disk {
    dir: TempDir,
}

impl Disk {
    /// `None`, with the reason, where this machine does not let us.
    fn make() -> Result<Self, String> {
        let disk = Self { dir: tempdir().unwrap() };
        let image = std::fs::File::create(disk.image()).unwrap();
        image.set_len(256 << 20).unwrap();
        run(Command::new("mkfs.ext4").arg("-q").arg(disk.image()))?;
        std::fs::create_dir(disk.root()).unwrap();
        disk.mount()?;
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn data(&self) -> PathBuf {
        self.root().join("data")
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.root()))
    }

    /// From here on nothing reaches the disk. Returns what `look` saw right before.
    ///
    /// A sync that is under way at this moment may still say that all went well (the kernel waits for a
    /// transaction that has been dropped); with the power really gone nobody would have heard of it. So
    /// a promise is what was acknowledged before.
    fn cut<T>(&self, look: impl FnOnce() -> T) -> Result<T, String> {
        let mut command = Command::new("python3");
        command.arg(SCRIPT).arg(self.root()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            command.stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let seen = look();
        let _ = child.stdin.take().unwrap().write_all(b"now\n");
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(seen) } else { Err(told) }
    }

    /// What the disk had is there again; the journal is replayed.
    fn restore(&self) {
        run(Command::new("umount").arg(self.root())).expect("nobody uses it any more");
        self.mount().expect("it was mounted before");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.root()).output();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {told}")) }
}

/// Part of a file that is written over and that nobody syncs: if it survives, the cut proves nothing. (A
/// new file would not do: another file's sync may bring it along, with the journal.)
struct Witness(PathBuf);

impl Witness {
    fn of(disk: &Disk) -> Self {
        let path = disk.root().join("witness");
        let file = std::fs::File::create(&path).unwrap();
        file.write_all_at(b"synced", 0).unwrap();
        file.sync_all().unwrap();
        Self(path)
    }

    fn write_over(&self) {
        let file = std::fs::File::options().write(true).open(&self.0).unwrap();
        file.write_all_at(b"gone", 0).unwrap();
    }

    fn assert_forgotten(&self) {
        let text = std::fs::read_to_string(&self.0).unwrap();
        assert_eq!(text, "synced", "the cut lost nothing: this story proves nothing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_power_goes() {
    if leaves_out("the power of the file's disk is cut") {
        return;
    }
    let disk = match Disk::make() {
        Ok(disk) => disk,
        Err(why) => return skipped("a file system of its own whose power can be cut", &why),
    };
    let receiver = Receiver::start().await;
    let mut server = Binary::start(&disk.data()).await;
    // What is acknowledged waits in the file: after the cuts nothing but the file can tell of it.
    let webhook = register(&server, &receiver.url(), json!({})).await;
    server.act(&format!("{}/pause", path(&webhook))).await.expect(200);
    let witness = Witness::of(&disk);
    let ledger = Ledger::new();
    let (mut promised, mut heard_too_late) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..CUTS {
        let load = Load::start(&ledger, &server.client, 6, 300);
        let enough = ledger.count() + 60 + 37 * round;
        eventually("the load is under way", || async { (ledger.count() >= enough).then_some(()) })
            .await;
        witness.write_over();
        match disk.cut(|| ledger.acknowledged()) {
            Ok(acknowledged) => promised.extend(acknowledged.difference(&heard_too_late).cloned()),
            Err(why) => return skipped("to cut the power of a file system", &why),
        }
        // It says that the disk is gone, and dies of it; it may not have noticed yet.
        server.announce("");
        server.kill();
        load.broken().await;
        heard_too_late.extend(ledger.acknowledged().difference(&promised).cloned());
        disk.restore();
        witness.assert_forgotten();
        server = Binary::start(&disk.data()).await;
    }
    server.act(&format!("{}/resume", path(&webhook))).await.expect(200);
    let totals = settled_totals(&server).await;
    server.stop().await;
    let mut seen = Seen::default();
    seen.note(receiver.take().await);
    let missing: Vec<&String> = promised.iter().filter(|id| !seen.0.contains_key(*id)).collect();
    assert!(missing.is_empty(), "{} promised and lost: {missing:?}", missing.len());
    assert_eq!(totals["success"], seen.0.len());
    assert!(promised.len() >= CUTS * 60, "{}", promised.len());
    assert_intact(&disk.data());
}
