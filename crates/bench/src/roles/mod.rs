//! The three roles of a measurement. Each runs as a process of its own, so that its CPU time can
//! be told apart and nothing shares a runtime with what is measured.

pub mod load;
pub mod plain_relay;
pub mod receiver;
pub mod relay;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result};
use clap::Args;

/// What the relay and the receiver have in common.
#[derive(Debug, Args)]
pub struct Listen {
    /// Address to listen on; port 0 picks a free one and prints it.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Worker threads [default: one per processor for the relay, half for the receiver].
    #[arg(long)]
    pub threads: Option<usize>,
    /// End when standard input ends, so that nothing outlives the process that started it.
    #[arg(long, hide = true)]
    pub with_parent: bool,
}

impl Listen {
    /// Binds, and says where on the first line of standard output.
    fn open(&self, role: &str) -> Result<TcpListener> {
        let listener = TcpListener::bind(self.listen)
            .with_context(|| format!("could not listen on {}", self.listen))?;
        if self.with_parent {
            end_with_parent();
        }
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{role} listening on http://{}", listener.local_addr()?)?;
        stdout.flush()?;
        Ok(listener)
    }
}

fn end_with_parent() {
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        std::process::exit(0);
    });
}
