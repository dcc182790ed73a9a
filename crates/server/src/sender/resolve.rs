//! Names to addresses.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::proto::rr::Name;

/// A lookup under way.
pub type Resolving<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, ResolveError>> + Send + 'a>>;

/// Looks names up. The sender bounds the time and judges what comes back.
pub trait Resolve: Send + Sync {
    /// All addresses of a name (ASCII, lower case, without a dot at the end), of both families.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}

/// Why there are no addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveError {
    /// The name does not exist.
    NoSuchName,
    /// It exists, and has no address.
    NoAddress,
    /// The name server failed, or could not be asked: nobody knows, and it is not the receiver's fault.
    Failed,
}

/// The name servers and the hosts file of this system, through a cache that honours TTLs.
pub struct SystemResolver {
    /// `None` where the system has no readable configuration; literal addresses still work then.
    resolver: Option<TokioResolver>,
}

impl SystemResolver {
    /// Reads the system's configuration.
    pub fn new() -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
            let options = builder.options_mut();
            options.timeout = Duration::from_millis(900);
            options.attempts = 1; // Once more after the first: both fit the sender's two seconds.
            options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            options.preserve_intermediates = false;
            options.try_tcp_on_error = true;
            // Who mends a name does not want to wait for our memory of it.
            options.positive_max_ttl = Some(Duration::from_secs(300));
            options.negative_max_ttl = Some(Duration::from_secs(10));
            builder.build()
        });
        if let Err(error) = &resolver {
            tracing::warn!(%error, "no name server: only literal addresses can be sent to");
        }
        Self { resolver: resolver.ok() }
    }

    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let resolver = self.resolver.as_ref().ok_or(ResolveError::Failed)?;
        let mut name = Name::from_ascii(name).map_err(|_| ResolveError::NoSuchName)?;
        name.set_fqdn(true); // Search domains are never appended.
        match resolver.lookup_ip(name).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) if error.is_nx_domain() => Err(ResolveError::NoSuchName),
            Err(error) => Err(kind_of(&error)),
        }
    }
}

/// An empty answer without an error code says that there is no address; all else is a failure.
fn kind_of(error: &hickory_resolver::net::NetError) -> ResolveError {
    use hickory_resolver::net::{DnsError, NetError};
    use hickory_resolver::proto::op::ResponseCode;
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none))
            if none.response_code == ResponseCode::NoError =>
        {
            ResolveError::NoAddress
        }
        _ => ResolveError::Failed,
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new()
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(self.lookup(name))
    }
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemResolver").field("configured", &self.resolver.is_some()).finish()
    }
}
