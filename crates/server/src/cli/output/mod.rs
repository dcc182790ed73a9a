//! What commands print: tables for people, JSON for programs.

mod paint;
mod plain;
mod pretty;
mod table;

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Result;
use clap::ValueEnum;
use serde_json::Value;
use serde_json::value::RawValue;

pub(super) use paint::Paint;
pub(super) use plain::plain;
pub(super) use pretty::pretty;
pub(super) use table::{Column, rows};

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns
    Table,
    /// The API's JSON
    Json,
}

/// Prints answers as it was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub format: Format,
    pub quiet: bool,
}

/// Whoever read our output has gone (`tidings tail | head`): no failure, but the end.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub(super) struct ReaderGone;

/// Writes a line to standard output, now.
pub(super) fn line(text: impl AsRef<[u8]>) -> Result<()> {
    let mut out = io::stdout().lock();
    let written =
        out.write_all(text.as_ref()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        other => Ok(other?),
    }
}

impl Output {
    pub(super) fn new(format: Option<Format>, quiet: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let usual = if terminal { Format::Table } else { Format::Json };
        Self { format: format.unwrap_or(usual), quiet }
    }

    /// Prints a list.
    pub(super) fn list(self, items: &[Box<RawValue>], columns: &[Column]) -> Result<()> {
        if self.quiet {
            return items.iter().try_for_each(|item| self.id(item));
        }
        if self.format == Format::Json {
            let all: Vec<&str> = items.iter().map(|item| item.get()).collect();
            return line(pretty(&format!("[{}]", all.join(","))));
        }
        let values = items.iter().map(|item| serde_json::from_str::<Value>(item.get()));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        rows(&values, columns).iter().try_for_each(line)
    }

    /// Prints one thing, field by field.
    pub(super) fn one(self, item: &RawValue) -> Result<()> {
        if self.quiet {
            return self.id(item);
        }
        match serde_json::from_str(item.get()) {
            _ if self.format == Format::Json => line(pretty(item.get())),
            Ok(fields) => table::fields(fields).iter().try_for_each(line),
            Err(_) if item.get() == "null" => Ok(()),
            Err(_) => line(pretty(item.get())),
        }
    }

    /// Says that something is done; programs know by the exit code.
    pub(super) fn done(self, text: &str) -> Result<()> {
        if self.quiet || self.format == Format::Json { Ok(()) } else { line(text) }
    }

    fn id(self, item: &RawValue) -> Result<()> {
        let value: Value = serde_json::from_str(item.get())?;
        value["id"].as_str().map_or(Ok(()), |id| line(plain(id).as_bytes()))
    }
}
