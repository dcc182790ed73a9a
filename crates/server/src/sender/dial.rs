//! A new connection: to a vetted address, and no other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tidings_core::egress::{Host, Scheme, Target};
use tidings_core::outcome::{Failure, FailureKind};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::connection::Connection;
use super::failure::{self, Stage};
use super::guard::Guard;
use super::pool::Pool;
use super::stream::Stream;
use super::tls;

/// For all addresses of a name together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TLS_TIMEOUT: Duration = Duration::from_secs(5);
/// Between tries for a socket while this process has none left.
const SOCKET_WAIT: Duration = Duration::from_millis(20);

pub(super) struct Dialler {
    guard: Guard,
    tls: TlsConnector,
    pool: Arc<Pool>,
}

impl Dialler {
    pub(super) fn new(guard: Guard, tls: Arc<rustls::ClientConfig>, pool: Arc<Pool>) -> Self {
        Self { guard, tls: TlsConnector::from(tls), pool }
    }

    /// Opens a connection, telling in `stage` how far it has come.
    pub(super) async fn dial(
        &self,
        target: &Target,
        stage: &mut Stage,
    ) -> Result<Box<Connection>, Failure> {
        *stage = Stage::Resolving;
        let addresses = self.guard.vet(target).await?;
        *stage = Stage::Connecting;
        let tcp = self.connect(&addresses).await?;
        let stream = match target.scheme {
            Scheme::Http => Stream::Plain(tcp),
            Scheme::Https => {
                *stage = Stage::Handshaking;
                self.handshake(target, tcp).await?
            }
        };
        Ok(Connection::new(stream))
    }

    /// TLS under the name that was asked for, whatever it resolved to. There is no way back to clear text.
    async fn handshake(&self, target: &Target, tcp: TcpStream) -> Result<Stream, Failure> {
        let tls_failure = |detail| failure::failure(FailureKind::Tls, detail);
        let name = match &target.host {
            Host::Ip(ip) => ServerName::from(*ip),
            Host::Domain(name) => ServerName::try_from(name.clone())
                .map_err(|_| tls_failure("the host name cannot be certified"))?,
        };
        match timeout(TLS_TIMEOUT, self.tls.connect(name, tcp)).await {
            Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
            Ok(Err(error)) => {
                Err(tls_failure(tls::detail_of(&error).unwrap_or("the TLS handshake failed")))
            }
            Err(_) => Err(tls_failure("the TLS handshake took too long")),
        }
    }

    /// Connects to the first address that takes it. Each gets an equal part of the time that is left, so
    /// that one that swallows packets does not use up the turn of the others.
    async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
        let end = Instant::now() + CONNECT_TIMEOUT;
        let mut last = failure::connect_timeout();
        for (tried, address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - tried).unwrap_or(1);
            let now = Instant::now();
            let until = now + end.saturating_duration_since(now) / left;
            match timeout_at(until, self.connect_to(*address)).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => last = failure::of_io(&error),
                Err(_) => last = failure::connect_timeout(),
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let tcp = loop {
            match TcpStream::connect(address).await {
                // Our own want: idle connections give way, and attempts in flight end.
                Err(error) if is_out_of_sockets(&error) => {
                    self.pool.clear();
                    tokio::time::sleep(SOCKET_WAIT).await;
                }
                done => break done?,
            }
        };
        tcp.set_nodelay(true)?;
        // Believed, and checked all the same: it is what the guard's word rests on.
        if tcp.peer_addr()?.ip().to_canonical() != address.ip() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        Ok(tcp)
    }
}

/// ENFILE and EMFILE, which have no `ErrorKind`; the numbers are those of every Unix.
fn is_out_of_sockets(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}
