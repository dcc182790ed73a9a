//! Where the keys of a group are: on the one Redis, or on the node of a cluster that has their slot.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
};
use redis::{RedisError, RedisResult, Value};

use super::{LOOK_S, PATIENCE};

/// Taking several from a list at once came with it.
const VERSION_MIN: u32 = 7;

/// A Redis, or a cluster of them, known by one or more of its nodes.
#[derive(Clone)]
pub struct Redis {
    seeds: Vec<ConnectionInfo>,
    is_cluster: bool,
}

/// Shows no password.
impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places = self.seeds.iter().map(|seed| seed.addr().to_string());
        f.debug_list().entries(places).finish()
    }
}

impl Redis {
    /// Reads `redis://[user:password@]host[:port][/database]`, or `rediss://…` for TLS; several, of one
    /// cluster, with commas between them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let urls = text.split(',').map(str::trim);
        let seeds = urls.map(|url| {
            if !["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme)) {
                return Err("must begin with redis:// or rediss://".to_owned());
            }
            // Its own words may hold the password.
            url.into_connection_info().map_err(|_| "is not a URL of a Redis".to_owned())
        });
        Ok(Self { seeds: seeds.collect::<Result<_, _>>()?, is_cluster: false })
    }

    /// Asks what it is, for the first time. Fails when it cannot be reached, or is too old.
    pub async fn look(mut self) -> Result<Self> {
        let unreachable = || format!("Could not connect to Redis at {}", self.places());
        let mut connection = self.any(PATIENCE).await.map_err(plain).with_context(unreachable)?;
        let info: String = redis::cmd("INFO").query_async(&mut connection).await?;
        let field = |name: &str| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
        };
        let version = field("redis_version").unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < VERSION_MIN) {
            bail!("Redis is {version}; {VERSION_MIN}.0 or later is needed");
        }
        self.is_cluster = field("cluster_enabled") == Some("1");
        Ok(self)
    }

    /// For people.
    #[must_use]
    pub fn places(&self) -> String {
        let places: Vec<String> = self.seeds.iter().map(|seed| seed.addr().to_string()).collect();
        places.join(", ")
    }

    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// A connection to whoever has this key, for commands that answer at once.
    pub(super) async fn connect(&self, key: &str) -> RedisResult<MultiplexedConnection> {
        self.to(key, PATIENCE).await
    }

    /// The same, for commands that wait for something to come.
    pub(super) async fn connect_to_wait(&self, key: &str) -> RedisResult<MultiplexedConnection> {
        self.to(key, PATIENCE + Duration::from_secs(LOOK_S)).await
    }

    async fn to(&self, key: &str, patience: Duration) -> RedisResult<MultiplexedConnection> {
        let mut connection = self.any(patience).await?;
        if !self.is_cluster {
            return Ok(connection);
        }
        let mut ask = redis::pipe();
        ask.cmd("CLUSTER").arg("KEYSLOT").arg(key).cmd("CLUSTER").arg("SLOTS");
        let (slot, ranges): (i64, Value) = ask.query_async(&mut connection).await?;
        let unserved = || RedisError::from((redis::ErrorKind::Client, "no node has this slot"));
        let (host, port) = holder(&ranges, slot).ok_or_else(unserved)?;
        open(&moved_to(&self.seeds[0], host, port), patience).await
    }

    /// To the first that answers.
    async fn any(&self, patience: Duration) -> RedisResult<MultiplexedConnection> {
        let mut last = None;
        for seed in &self.seeds {
            match open(seed, patience).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is at least one"))
    }
}

async fn open(info: &ConnectionInfo, patience: Duration) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(patience));
    Client::open(info.clone())?.get_multiplexed_async_connection_with_config(&config).await
}

/// Another node of the same cluster, spoken to in the same way.
fn moved_to(seed: &ConnectionInfo, host: String, port: u16) -> ConnectionInfo {
    let addr = match seed.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    seed.clone().set_addr(addr)
}

/// Who has a slot, by what `CLUSTER SLOTS` says: `[[first, last, [host, port, …], replicas…], …]`.
fn holder(ranges: &Value, slot: i64) -> Option<(String, u16)> {
    let Value::Array(ranges) = ranges else { return None };
    ranges.iter().find_map(|range| {
        let Value::Array(range) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(node), ..] = &range[..] else {
            return None;
        };
        let [host, Value::Int(port), ..] = &node[..] else { return None };
        if !(*first..=*last).contains(&slot) {
            return None;
        }
        let host: String = redis::from_redis_value_ref(host).ok()?;
        Some((host, u16::try_from(*port).ok()?))
    })
}

/// An error without the details of the library.
fn plain(error: RedisError) -> anyhow::Error {
    match error.detail() {
        Some(detail) if !error.is_io_error() => anyhow::anyhow!("{error}: {detail}"),
        _ => anyhow::anyhow!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_its_password_is_not_shown() {
        let redis = Redis::parse("redis://app:hunter2@cache:7000/3").expect("a URL");
        assert_eq!(redis.places(), "cache:7000");
        assert!(!format!("{redis:?}").contains("hunter2"));
        let cluster = Redis::parse("redis://a:7000, redis://b:7001").expect("two");
        assert_eq!(cluster.places(), "a:7000, b:7001");
        for wrong in ["http://cache", "cache:6379", "redis://a,b", "redis://:hunter2@:x"] {
            let error = Redis::parse(wrong).expect_err(wrong);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_slot_has_one_holder() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let range = |first, last, host| {
            let node = Value::Array(vec![text(host), Value::Int(7_000), text("id")]);
            Value::Array(vec![Value::Int(first), Value::Int(last), node])
        };
        let ranges = Value::Array(vec![range(0, 99, "a"), range(100, 200, "b")]);
        assert_eq!(holder(&ranges, 100), Some(("b".to_owned(), 7_000)));
        assert_eq!(holder(&ranges, 201), None);
    }
}
