//! Where the database is, how to get there, and what holds for every session.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, Connection, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::OpenError;

/// Until a connection is there. The database answers in milliseconds or has trouble.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A peer that is gone without a word is noticed after so long, here and, by [`SESSION`], there.
const SILENCE: Duration = Duration::from_secs(10);

/// What holds for every session.
///
/// The plans of what is asked for here are few and known: each goes through an index. The statistics
/// of a queue that fills and empties within minutes are always wrong, and would have it scanned. So a plan
/// is made once for each statement: the journal was planned anew at each look, for 0.1 ms.
pub(crate) const SESSION: &str = "SET synchronous_commit = on; SET jit = off; SET enable_seqscan = off; \
     SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off; SET enable_mergejoin = off; \
     SET idle_in_transaction_session_timeout = '5s'; SET client_min_messages = error; \
     SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3";

/// What a hint at the leases says; any other is one at the journal.
pub(super) const LEASES: &str = "leases";

/// Woken when a node hints at something.
#[derive(Debug, Clone, Default)]
pub(super) struct Hints {
    pub(super) journal: Arc<Notify>,
    pub(super) leases: Arc<Notify>,
}

/// A way to the database.
pub(super) struct Connect {
    config: Config,
    /// `None`: in clear.
    tls: Option<MakeRustlsConnect>,
    /// Connections that are open now.
    open: Arc<AtomicUsize>,
}

/// Counts a connection for as long as it is driven.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connect").field(&self.place()).finish()
    }
}

impl Connect {
    /// Reads a `postgres://` URL. Beside what PostgreSQL's own clients take, `sslmode=verify-full` and
    /// `sslrootcert=FILE` are understood here: TLS is used when one of them or `sslmode=require` asks
    /// for it, and then the server must prove its name.
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let (url, verify, roots) = take_tls(url);
        // What is wrong with it is said without the URL, for there is a password in it.
        let bad = |why: String| OpenError::BadUrl(why);
        let mut config: Config = url.parse().map_err(|e: Error| bad(told(&e)))?;
        config.connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(SILENCE);
        config.keepalives_idle(SILENCE / 2).keepalives_interval(Duration::from_secs(2));
        if config.get_application_name().is_none() {
            config.application_name("tidings");
        }
        if verify {
            config.ssl_mode(SslMode::Require);
        }
        let tls = (config.get_ssl_mode() == SslMode::Require).then(|| tls(roots.as_deref()));
        Ok(Self { config, tls: tls.transpose().map_err(bad)?, open: Arc::default() })
    }

    /// Host, port and database, for people.
    pub(super) fn place(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "localhost".to_owned(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        format!("{host}:{port}/{database}")
    }

    /// A new session, each statement of which may take `patience`; and the task that drives it, on the
    /// runtime from which it is called.
    pub(super) async fn open(&self, patience: Duration) -> Result<(Client, JoinHandle<()>), Error> {
        let (client, driver) = match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                (client, self.drive(connection))
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                (client, self.drive(connection))
            }
        };
        let patience = patience.as_millis();
        client.batch_execute(&format!("{SESSION}; SET statement_timeout = {patience}")).await?;
        Ok((client, driver))
    }

    /// A session that wakes whoever waits when another node hints at something.
    pub(super) async fn listen(&self, patience: Duration, hints: Hints) -> Result<Client, Error> {
        let client = match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                self.drive(heed(connection, hints));
                client
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                self.drive(heed(connection, hints));
                client
            }
        };
        let patience = patience.as_millis();
        let more = format!("{SESSION}; SET statement_timeout = {patience}; LISTEN tidings");
        client.batch_execute(&more).await?;
        Ok(client)
    }

    /// Asks the database to give up what a session is at.
    pub(super) async fn cancel(&self, session: &CancelToken) -> Result<(), Error> {
        match &self.tls {
            None => session.cancel_query(NoTls).await,
            Some(tls) => session.cancel_query(tls.clone()).await,
        }
    }

    fn drive(
        &self,
        connection: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) -> JoinHandle<()> {
        self.open.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(&self.open));
        tokio::spawn(async move {
            let _counted = counted;
            // Whoever uses it hears of its end.
            drop(connection.await);
        })
    }

    pub(super) fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// Drives a connection, and passes hints on; its own too, which do no harm.
async fn heed<S, T>(mut connection: Connection<S, T>, hints: Hints) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
        if let AsyncMessage::Notification(hint) = message? {
            let of = if hint.payload() == LEASES { &hints.leases } else { &hints.journal };
            of.notify_one();
        }
    }
    Ok(())
}

/// Takes out of a URL what `tokio-postgres` does not know: whether the server is to prove its name,
/// and the file with the certificates that may vouch for it.
fn take_tls(url: &str) -> (String, bool, Option<String>) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), false, None) };
    let (mut verify, mut roots, mut rest) = (false, None, Vec::new());
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", "verify-full" | "verify-ca")) => verify = true,
            Some(("sslrootcert", path)) => {
                verify = true;
                roots = Some(path.to_owned());
            }
            _ => rest.push(pair),
        }
    }
    let separator = if rest.is_empty() { "" } else { "?" };
    (format!("{base}{separator}{}", rest.join("&")), verify, roots)
}

fn tls(file: Option<&str>) -> Result<MakeRustlsConnect, String> {
    let mut roots = rustls::RootCertStore::empty();
    match file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            let all: Vec<CertificateDer<'_>> = all.map_err(|e| format!("sslrootcert: {e}"))?;
            let (good, _) = roots.add_parsable_certificates(all);
            if good == 0 {
                return Err("sslrootcert: there is no certificate in it".to_owned());
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// What the database, or the way to it, says of an error. Never an address.
pub(super) fn told(error: &Error) -> String {
    if let Some(db) = error.as_db_error() {
        return db.message().to_owned();
    }
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_used_when_the_url_asks_for_it() {
        for (url, asked) in [
            ("postgres://a:b@db/c", false),
            ("postgres://a:b@db/c?sslmode=disable", false),
            ("postgres://a:b@db/c?sslmode=require", true),
            ("postgres://a:b@db/c?connect_timeout=3&sslmode=verify-full", true),
        ] {
            let connect = Connect::parse(url).expect("sound");
            assert_eq!(connect.tls.is_some(), asked, "{url}");
            assert_eq!(connect.place(), "db:5432/c");
        }
    }

    #[test]
    fn a_bad_url_is_refused_without_its_password() {
        for url in ["postgres://a:hunter2@db:port/c", "postgres://a:hunter2@db/c?colour=red"] {
            let error = Connect::parse(url).expect_err("bad").to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let error = Connect::parse("postgres://db/c?sslrootcert=/no/such/file").expect_err("bad");
        assert!(error.to_string().contains("sslrootcert"), "{error}");
    }
}
