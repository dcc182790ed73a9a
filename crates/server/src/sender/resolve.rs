//! Names to addresses.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::{ResolverBuilder, TokioResolver};

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
        Self::build(TokioResolver::builder_tokio())
    }

    fn build(builder: Result<ResolverBuilder<TokioRuntimeProvider>, NetError>) -> Self {
        let resolver = builder.and_then(|mut builder| {
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
            Err(error) => Err(kind_of(&error)),
        }
    }
}

/// An empty answer without an error code says that there is no address; all else is a failure.
fn kind_of(error: &NetError) -> ResolveError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => ResolveError::NoSuchName,
            ResponseCode::NoError => ResolveError::NoAddress,
            _ => ResolveError::Failed,
        },
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use hickory_resolver::config::{NameServerConfig, ResolverConfig};
    use tokio::net::UdpSocket;

    use super::*;

    /// A name server that answers by the first label, and remembers the names it was asked for.
    async fn name_server() -> (SystemResolver, Arc<Mutex<Vec<String>>>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let names = asked.clone();
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut query).await {
                let (name, answer) = answer(&query[..length]);
                names.lock().unwrap().push(name);
                socket.send_to(&answer, client).await.unwrap();
            }
        });
        let mut server = NameServerConfig::udp("127.0.0.1".parse().unwrap());
        server.connections[0].port = port;
        let search = Name::from_ascii("svc.cluster.local.").unwrap();
        let config = ResolverConfig::from_parts(None, vec![search], vec![server]);
        let provider = TokioRuntimeProvider::default();
        (SystemResolver::build(Ok(TokioResolver::builder_with_config(config, provider))), asked)
    }

    /// The question's name, and a message (RFC 1035, 4.1) that echoes it with an answer.
    fn answer(query: &[u8]) -> (String, Vec<u8>) {
        let (mut at, mut labels) = (12, Vec::new());
        while query[at] != 0 {
            let end = at + 1 + usize::from(query[at]);
            labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
            at = end;
        }
        let end = at + 5; // The root label, the type and the class.
        let is_a = query[end - 4..end - 2] == [0, 1];
        let code = match &*labels[0] {
            "nx" => 3,
            "servfail" => 2,
            "refused" => 5,
            _ => 0,
        };
        let records =
            if labels[0] == "many" && is_a { 40_u8 } else { u8::from(labels[0] == "a" && is_a) };
        let mut message = query[..2].to_vec();
        message.extend([0x81, 0x80 | code, 0, 1, 0, records, 0, 0, 0, 0]);
        message.extend(&query[12..end]);
        for last in 0..records {
            message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, last]);
        }
        (labels.join("."), message)
    }

    #[tokio::test]
    async fn what_a_name_server_can_say() {
        let (resolver, asked) = name_server().await;
        let found = resolver.resolve("a.example").await.unwrap();
        assert_eq!(found, ["192.0.2.0".parse::<IpAddr>().unwrap()]);
        for (name, error) in [
            ("nx.example", ResolveError::NoSuchName),
            ("empty.example", ResolveError::NoAddress),
            ("servfail.example", ResolveError::Failed),
            ("refused.example", ResolveError::Failed),
            // A single label, which search domains would make a neighbour of.
            ("nx", ResolveError::NoSuchName),
        ] {
            assert_eq!(resolver.resolve(name).await, Err(error), "{name}");
        }
        assert_eq!(resolver.resolve("many.example").await.unwrap().len(), 40);
        let asked = asked.lock().unwrap();
        assert!(asked.contains(&"nx".to_owned()));
        assert!(!asked.iter().any(|name| name.ends_with("local")), "{asked:?}");
    }

    #[tokio::test]
    async fn without_a_configuration_nobody_is_blamed() {
        let resolver = SystemResolver { resolver: None };
        assert_eq!(resolver.resolve("a.example").await, Err(ResolveError::Failed));
    }
}
