//! Where the keys of a group are: on the one Redis, or on the node of a cluster that has their slot.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
};
use redis::{RedisError, RedisResult, Value};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::{LOOK_S, PATIENCE};

/// Taking several from a list at once came with it.
const VERSION_MIN: u32 = 7;

/// A Redis, or a cluster of them, known by one or more of its nodes.
#[derive(Clone)]
pub struct Redis {
    seeds: Vec<ConnectionInfo>,
    /// Of the cluster, so that any of the seeds may go.
    others: Vec<ConnectionInfo>,
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
        let seeds = seeds.collect::<Result<_, _>>()?;
        Ok(Self { seeds, others: Vec::new(), is_cluster: false })
    }

    /// Asks what it is, for the first time. Fails when it cannot be reached, or is too old.
    pub async fn look(mut self) -> Result<Self> {
        let unreachable = || format!("Could not connect to Redis at {}", self.places());
        let unasked = || format!("Could not ask Redis at {} what it is", self.places());
        let connected = match self.any(PATIENCE).await {
            Ok(connected) => Ok(connected),
            Err(error) => Err(match self.refusal().await {
                Some(refusal) => anyhow::anyhow!(refusal),
                None => plain(error),
            }),
        };
        let (seed, mut connection) = connected.with_context(unreachable)?;
        let info = redis::cmd("INFO").query_async(&mut connection).await;
        let info: String = info.map_err(plain).with_context(unasked)?;
        let field = |name: &str| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
        };
        let version = field("redis_version").unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < VERSION_MIN) {
            bail!("Redis is {version}; {VERSION_MIN}.0 or later is needed");
        }
        if field("cluster_enabled") == Some("1") {
            let slots = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await;
            let slots: Value = slots.map_err(plain).with_context(unasked)?;
            let nodes = nodes(&slots).into_iter().map(|node| moved_to(seed, node));
            self.others =
                nodes.filter(|node| !self.seeds.iter().any(|it| is_same(it, node))).collect();
            self.is_cluster = true;
        }
        Ok(self)
    }

    /// What the first of them tells a connection before it closes it: that it has too many. The library does
    /// not say so, for it finds the connection closed while it writes.
    pub(super) async fn refusal(&self) -> Option<String> {
        let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) =
            self.seeds.first()?.addr()
        else {
            return None;
        };
        let told = async {
            let mut stream = TcpStream::connect((host.as_str(), *port)).await.ok()?;
            let mut told = [0; 256];
            let count = stream.read(&mut told).await.ok()?;
            let told = std::str::from_utf8(&told[..count]).ok()?;
            Some(told.strip_prefix("-ERR ")?.trim_end().to_owned())
        };
        tokio::time::timeout(PATIENCE / 4, told).await.ok().flatten()
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
        let (seed, mut connection) = self.any(patience).await?;
        if !self.is_cluster {
            return Ok(connection);
        }
        let mut ask = redis::pipe();
        ask.cmd("CLUSTER").arg("KEYSLOT").arg(key).cmd("CLUSTER").arg("SLOTS");
        let (slot, ranges): (i64, Value) = ask.query_async(&mut connection).await?;
        let unserved = || RedisError::from((redis::ErrorKind::Client, "no node has this slot"));
        let holder = holder(&ranges, slot).ok_or_else(unserved)?;
        open(&moved_to(seed, holder), patience).await
    }

    /// To the first that answers.
    async fn any(
        &self,
        patience: Duration,
    ) -> RedisResult<(&ConnectionInfo, MultiplexedConnection)> {
        let mut last = None;
        for seed in self.seeds.iter().chain(&self.others) {
            match open(seed, patience).await {
                Ok(connection) => return Ok((seed, connection)),
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

/// Where a node of a cluster is: no host stands for that of whoever says so.
type Place = (Option<String>, u16);

/// Another node of the same cluster, spoken to in the same way.
fn moved_to(seed: &ConnectionInfo, (host, port): Place) -> ConnectionInfo {
    let host = |own: &String| host.unwrap_or_else(|| own.clone());
    let addr = match seed.addr() {
        ConnectionAddr::TcpTls { host: own, insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host: host(own),
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        ConnectionAddr::Tcp(own, _) => ConnectionAddr::Tcp(host(own), port),
        other => other.clone(),
    };
    seed.clone().set_addr(addr)
}

fn is_same(one: &ConnectionInfo, other: &ConnectionInfo) -> bool {
    one.addr().to_string() == other.addr().to_string()
}

/// What `CLUSTER SLOTS` says: `[[first, last, [host, port, …], replicas…], …]`.
fn ranges(slots: &Value) -> impl Iterator<Item = (i64, i64, &[Value])> {
    let ranges = if let Value::Array(ranges) = slots { &ranges[..] } else { &[] };
    ranges.iter().filter_map(|range| match range {
        Value::Array(range) => match &range[..] {
            [Value::Int(first), Value::Int(last), nodes @ ..] => Some((*first, *last, nodes)),
            _ => None,
        },
        _ => None,
    })
}

fn place(node: &Value) -> Option<Place> {
    let Value::Array(node) = node else { return None };
    let [host, Value::Int(port), ..] = &node[..] else { return None };
    let host: Option<String> = redis::from_redis_value_ref(host).ok()?;
    Some((host.filter(|host| !host.is_empty()), u16::try_from(*port).ok()?))
}

/// Who has a slot.
fn holder(slots: &Value, slot: i64) -> Option<Place> {
    let mut ranges = ranges(slots);
    let (.., nodes) = ranges.find(|(first, last, _)| (*first..=*last).contains(&slot))?;
    place(nodes.first()?)
}

/// All there are, replicas too.
fn nodes(slots: &Value) -> BTreeSet<Place> {
    ranges(slots).flat_map(|(.., nodes)| nodes).filter_map(place).collect()
}

/// The first of the errors of several commands.
pub(super) fn first(error: RedisError) -> String {
    let text = error.to_string();
    let errors = error.into_server_errors();
    errors.and_then(|errors| Some(errors.first()?.1.to_string())).unwrap_or(text)
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
    fn a_slot_has_one_holder_and_all_nodes_are_known() {
        let node = |host, port| Value::Array(vec![host, Value::Int(port), Value::Nil]);
        let named = |host: &str, port| node(Value::BulkString(host.as_bytes().to_vec()), port);
        let range = |first, last, nodes: [Value; 2]| {
            let [one, two] = nodes;
            Value::Array(vec![Value::Int(first), Value::Int(last), one, two])
        };
        let slots = Value::Array(vec![
            range(0, 99, [named("a", 7_000), named("b", 7_000)]),
            range(100, 200, [named("b", 7_000), named("a", 7_000)]),
            range(201, 300, [named("", 7_001), node(Value::Nil, 7_002)]),
        ]);
        let at = |host: &str, port| (Some(host.to_owned()), port);
        assert_eq!(holder(&slots, 100), Some(at("b", 7_000)));
        assert_eq!(holder(&slots, 201), Some((None, 7_001)), "the one that says so");
        assert_eq!(holder(&slots, 301), None);
        let all = BTreeSet::from([at("a", 7_000), at("b", 7_000), (None, 7_001), (None, 7_002)]);
        assert_eq!(nodes(&slots), all);
        let seed = &Redis::parse("redis://:pw@c:1").expect("a URL").seeds[0];
        assert_eq!(moved_to(seed, at("a", 2)).addr().to_string(), "a:2");
        assert_eq!(moved_to(seed, (None, 2)).addr().to_string(), "c:2");
    }
}
