//! Processes from outside: CPU time, memory, and the roles as children that end with us.

use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// `/proc` counts in ticks of 10 ms on every Linux that this runs on (`USER_HZ`).
const TICK_US: f64 = 10_000.0;

/// User and system time that a process has used, all its threads together.
pub fn cpu_us(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    ticks(&stat).map(|ticks| ticks as f64 * TICK_US).with_context(|| format!("{path}: {stat}"))
}

/// Fields 14 and 15; the name in field 2 may hold anything, so fields are counted after it.
fn ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

/// Memory of a process that is in RAM, in MiB: `VmRSS` now, `VmHWM` at its highest.
pub fn memory_mib(pid: u32, field: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("{path} has no {field}"))? / 1024.0)
}

/// A relay or a receiver in a process of its own. It ends when this is dropped, and by itself
/// when we are gone, because its standard input then ends.
#[derive(Debug)]
pub struct Role {
    /// Kept for its end: dropping it kills the process.
    _child: Child,
    pub pid: u32,
    /// `http://127.0.0.1:PORT`
    pub url: String,
}

impl Role {
    pub async fn start(role: &str, arguments: &[String]) -> Result<Self> {
        let mut child = this_program(role)?
            .arg("--with-parent")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start the {role}"))?;
        let (url, _) = listening_url(&mut child, role).await?;
        let pid = child.id().with_context(|| format!("the {role} ended at once"))?;
        Ok(Self { _child: child, pid, url })
    }
}

/// Runs a role that ends by itself and gives back what it printed.
pub async fn run_role(role: &str, arguments: &[String]) -> Result<Vec<u8>> {
    let output = this_program(role)?
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await
        .with_context(|| format!("could not run the {role}"))?;
    ensure!(output.status.success(), "the {role} ended with {}", output.status);
    Ok(output.stdout)
}

fn this_program(role: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).kill_on_drop(true);
    Ok(command)
}

/// Waits for the line `… listening on http://ADDRESS`, the first that a server prints. The rest of
/// its output comes back to be read: a pipe that nobody reads stops who writes.
pub async fn listening_url(
    child: &mut Child,
    name: &str,
) -> Result<(String, Lines<BufReader<ChildStdout>>)> {
    let stdout = child.stdout.take().with_context(|| format!("{name} has no output"))?;
    let mut lines = BufReader::new(stdout).lines();
    let Some(line) = lines.next_line().await? else { bail!("{name} ended before it listened") };
    let (_, url) = line
        .split_once(" listening on ")
        .with_context(|| format!("{name} said {line:?} instead of where it listens"))?;
    Ok((url.trim().trim_end_matches('/').to_owned(), lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 70 30 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(100));
        assert_eq!(ticks("nonsense"), None);
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let pid = std::process::id();
        assert!(cpu_us(pid).is_ok());
        assert!(memory_mib(pid, "VmRSS").is_ok_and(|mib| mib > 0.1));
        assert!(memory_mib(pid, "VmNothing").is_err());
    }
}
