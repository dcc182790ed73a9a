//! Failures in words: a fixed set of sentences, so that no error text of a library, and no address of
//! ours, reaches a tenant.

use std::io;

use tidings_core::outcome::{Failure, FailureKind};

use super::tls;

/// How far an attempt without an answer has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Resolving,
    Connecting,
    Handshaking,
    Waiting,
}

pub(super) fn failure(kind: FailureKind, detail: &'static str) -> Failure {
    Failure { kind, detail: detail.into() }
}

/// The whole deadline has passed. Whoever was being waited for then is named.
pub(super) fn out_of_time(stage: Stage) -> Failure {
    match stage {
        Stage::Resolving => resolver_silent(),
        Stage::Connecting => connect_timeout(),
        Stage::Handshaking => failure(FailureKind::Timeout, "timed out during the TLS handshake"),
        Stage::Waiting => failure(FailureKind::Timeout, "timed out waiting for an answer"),
    }
}

pub(super) fn blocked() -> Failure {
    failure(FailureKind::Blocked, "address not allowed")
}

pub(super) fn no_such_name() -> Failure {
    failure(FailureKind::Dns, "the host name does not exist")
}

pub(super) fn no_address() -> Failure {
    failure(FailureKind::Dns, "the host name has no address")
}

pub(super) fn resolver_failed() -> Failure {
    failure(FailureKind::DnsOurs, "the name server failed")
}

pub(super) fn resolver_silent() -> Failure {
    failure(FailureKind::DnsOurs, "the name server did not answer in time")
}

pub(super) fn connect_timeout() -> Failure {
    failure(FailureKind::Timeout, "timed out while connecting")
}

pub(super) fn malformed() -> Failure {
    failure(FailureKind::Network, "the answer is not valid HTTP")
}

pub(super) fn too_large() -> Failure {
    failure(FailureKind::Network, "the head of the answer is too large")
}

pub(super) fn closed() -> Failure {
    failure(FailureKind::Network, "the connection was closed without an answer")
}

pub(super) fn switched() -> Failure {
    failure(FailureKind::Network, "the receiver switched protocols")
}

/// Trouble on the way to, or on, a permitted address.
pub(super) fn of_io(error: &io::Error) -> Failure {
    if let Some(detail) = tls::detail_of(error) {
        return failure(FailureKind::Tls, detail);
    }
    let detail = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => "connection reset",
        io::ErrorKind::TimedOut => return connect_timeout(),
        io::ErrorKind::UnexpectedEof => return closed(),
        io::ErrorKind::QuotaExceeded => return too_large(),
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => "the host cannot be reached",
        _ => "the connection failed",
    };
    failure(FailureKind::Network, detail)
}
