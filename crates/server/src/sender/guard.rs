//! Which socket addresses a target may be reached at, decided anew for every connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tidings_core::egress::{EgressPolicy, Host, Scheme, Target};
use tidings_core::outcome::Failure;

use super::failure;
use super::resolve::{Resolve, ResolveError};

/// For one name, all its queries together.
const DNS_TIMEOUT: Duration = Duration::from_secs(2);
/// Addresses of one name that are looked at; a name with a thousand is an attack.
const ADDRESSES_MAX: usize = 16;

pub(super) struct Guard {
    policy: Arc<EgressPolicy>,
    resolver: Arc<dyn Resolve>,
}

impl Guard {
    pub(super) fn new(policy: Arc<EgressPolicy>, resolver: Arc<dyn Resolve>) -> Self {
        Self { policy, resolver }
    }

    /// The addresses that may be dialled, at least one. What is denied is dropped and the rest used; the
    /// name is looked up once, so it cannot turn into another address between the check and the use.
    pub(super) async fn vet(&self, target: &Target) -> Result<Vec<SocketAddr>, Failure> {
        let found = self.resolve(&target.host).await?;
        if found.is_empty() {
            return Err(failure::no_address());
        }
        let vetted: Vec<_> = found
            .into_iter()
            .take(ADDRESSES_MAX)
            .map(|ip| SocketAddr::new(ip.to_canonical(), target.port))
            .filter(|address| self.may_dial(target, *address))
            .collect();
        if vetted.is_empty() { Err(failure::blocked()) } else { Ok(vetted) }
    }

    fn may_dial(&self, target: &Target, address: SocketAddr) -> bool {
        if let Err(denied) = self.policy.judge(address) {
            tracing::debug!(origin = target.origin, %denied, "egress denied");
            return false;
        }
        // Judged here too: a target outlives the policy that it was read under.
        if target.scheme == Scheme::Http && !self.policy.allow_http && !address.ip().is_loopback() {
            tracing::debug!(origin = target.origin, "egress denied: http is not allowed");
            return false;
        }
        if !self.policy.is_opened(address) && is_own(address) {
            tracing::debug!(origin = target.origin, "egress denied: an address of this machine");
            return false;
        }
        true
    }

    async fn resolve(&self, host: &Host) -> Result<Vec<IpAddr>, Failure> {
        let name = match host {
            Host::Ip(ip) => return Ok(vec![*ip]),
            // Never asked of a name server (RFC 6761, 6.3).
            Host::Domain(name) if name == "localhost" || name.ends_with(".localhost") => {
                return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
            }
            Host::Domain(name) => name,
        };
        match tokio::time::timeout(DNS_TIMEOUT, self.resolver.resolve(name)).await {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(ResolveError::NoSuchName)) => Err(failure::no_such_name()),
            Ok(Err(ResolveError::NoAddress)) => Err(failure::no_address()),
            Ok(Err(ResolveError::Failed)) => Err(failure::resolver_failed()),
            Err(_) => Err(failure::resolver_silent()),
        }
    }
}

/// Whether an address is one of this machine's own, by asking the routing table: the way to an address
/// of our own starts at that address. Connecting a datagram socket sends nothing.
fn is_own(address: SocketAddr) -> bool {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_known_by_their_route() {
        assert!(is_own("127.0.0.1:80".parse().unwrap()));
        assert!(!is_own("192.0.2.1:80".parse().unwrap()));
    }
}
