//! A store moved to another, as people see it: what goes wrong is told before anything is written, and
//! how far it is while it goes on.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use tidings_core::time::{SECOND_MS, Timestamp};
use tidings_store::transfer::{Place, Progress, Step, Taken, Transfer};

use super::output::line;
use crate::clock::{self, Clock};
use crate::config::{Values, parse_hex_key};
use crate::seal::Sealer;
use crate::secret_key;

/// Between two pictures of the bar.
const PICTURE_MS: i64 = 100;
const BAR: usize = 24;

pub(super) fn run(values: &Values, from: &Place, to: &Place, tenant: Option<&str>) -> Result<()> {
    let key = key(values, from)?;
    if let Place::Sqlite(dir) = to {
        check_key_of(dir, key)?;
    }
    let clock = Clock::system();
    let transfer = Transfer {
        from: from.clone(),
        to: to.clone(),
        tenant: tenant.map(str::to_owned),
        id: i64::from_be_bytes(clock::random::<8>()),
        now: clock.now(),
    };
    let sealer = Sealer::new(key);
    let mut bar = Bar::new(clock);
    let taken = transfer.run(&|id, sealed| sealer.open(id, sealed).is_ok(), &mut |progress| {
        bar.show(progress);
    });
    bar.clear();
    let taken = taken?;
    if let Place::Sqlite(dir) = to
        && secret_key::read(dir)?.is_none()
    {
        secret_key::write(dir, key)?;
    }
    tell(&taken, from, to, tenant)
}

/// The key under which the secrets of the source are sealed.
fn key(values: &Values, from: &Place) -> Result<[u8; 32]> {
    if let Some(text) = values.get("secret_key").filter(|text| !text.is_empty()) {
        return parse_hex_key(text).context("secret_key: must be 64 hex characters");
    }
    let kept = match from {
        Place::Sqlite(dir) => secret_key::read(dir)?,
        Place::Postgres(_) => None,
    };
    kept.context("Missing required settings: TIDINGS_SECRET_KEY")
}

/// A server on this directory would go by the key in it.
fn check_key_of(dir: &Path, key: [u8; 32]) -> Result<()> {
    match secret_key::read(dir)? {
        Some(other) if other != key => {
            bail!("the key in {} is another one than that of the source", dir.display())
        }
        _ => Ok(()),
    }
}

fn tell(taken: &Taken, from: &Place, to: &Place, tenant: Option<&str>) -> Result<()> {
    let width = taken.rows.iter().map(|(table, _)| table.len()).max().unwrap_or(0);
    for (table, rows) in taken.rows.iter().filter(|(_, rows)| *rows > 0) {
        line(format!("{table:width$}  {rows}"))?;
    }
    let what = tenant.map_or("the store".to_owned(), |name| format!("the tenant {name}"));
    match taken.rows.iter().map(|(_, rows)| rows).sum::<u64>() {
        0 => line(format!("{what} had moved to {to} before"))?,
        rows => {
            line(format!("{what} has moved to {to}: {rows} rows, each compared with its source"))?;
        }
    }
    if tenant.is_none() {
        line(format!(
            "{from} is as it was, and closed; give TIDINGS_SECRET_KEY to whoever uses {to}"
        ))?;
    }
    Ok(())
}

/// How far it is: a bar on a terminal, elsewhere a line for each table.
struct Bar {
    clock: Clock,
    terminal: bool,
    begun: Timestamp,
    /// Rows that were there when this step began, so that the rate is that of now.
    before: u64,
    last: Option<Progress>,
    next_at: Timestamp,
}

impl Bar {
    fn new(clock: Clock) -> Self {
        let begun = clock.now();
        let terminal = std::io::stderr().is_terminal();
        Self { clock, terminal, begun, before: 0, last: None, next_at: begun }
    }

    fn show(&mut self, progress: Progress) {
        let now = self.clock.now();
        let last = self.last.replace(progress);
        if last.is_none_or(|last| last.step != progress.step) {
            (self.begun, self.before) = (now, progress.rows);
        }
        let anew =
            last.is_none_or(|last| (last.step, last.table) != (progress.step, progress.table));
        // Nobody to see it is no reason to stop.
        if self.terminal && (now >= self.next_at || anew) {
            self.next_at = now + PICTURE_MS;
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", self.picture(progress, now));
        } else if !self.terminal && anew {
            let _ = writeln!(std::io::stderr(), "{} {}", word(progress.step), progress.table);
        }
    }

    fn picture(&self, progress: Progress, now: Timestamp) -> String {
        let Progress { step, table, rows, of } = progress;
        let (rows, of) = (rows.min(of), of.max(1));
        let full = usize::try_from(rows * BAR as u64 / of).unwrap_or(BAR);
        let elapsed_ms = now.since(self.begun).max(1).unsigned_abs();
        let rate = rows.saturating_sub(self.before) * SECOND_MS.unsigned_abs() / elapsed_ms;
        let left_s = (of - rows) / rate.max(1);
        format!(
            "{:9} [{}{}] {:3} %  {table}  {rows} of {of} rows, {rate}/s, {}:{:02} left",
            word(step),
            "#".repeat(full),
            " ".repeat(BAR - full),
            rows * 100 / of,
            left_s / 60,
            left_s % 60
        )
    }

    fn clear(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn word(step: Step) -> &'static str {
    match step {
        Step::Copying => "copying",
        Step::Comparing => "comparing",
    }
}
