//! One HTTP exchange on a connection of its own: all that a command line needs.

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::sender::client_config;

/// An answer may have so many bytes: a full page of deliveries with their bodies is below 1 MiB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Connects, asks, reads the whole answer. `ca_pem`: authorities to trust beside the public ones.
pub(super) async fn send(
    url: &Url,
    request: Request<Full<Bytes>>,
    ca_pem: Option<&[u8]>,
) -> Result<(StatusCode, Bytes)> {
    let response = open(url, request, ca_pem).await?;
    let status = response.status();
    Ok((status, read(response.into_body()).await?))
}

/// The whole body of an answer.
pub(super) async fn read(body: Incoming) -> Result<Bytes> {
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    Ok(body.map_err(|error| anyhow!(error))?.to_bytes())
}

/// Connects, asks, reads the head of the answer.
pub(super) async fn open(
    url: &Url,
    request: Request<Full<Bytes>>,
    ca_pem: Option<&[u8]>,
) -> Result<Response<Incoming>> {
    let host = url.host_str().context("the URL has no host")?;
    // Brackets belong to the URL, not to the address.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().context("the URL has no port")?;
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    if url.scheme() == "https" {
        let name = ServerName::try_from(host.to_owned())?;
        let stream = TlsConnector::from(client_config(ca_pem)?).connect(name, stream).await?;
        exchange(stream, request).await
    } else {
        exchange(stream, request).await
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the last handle to it.
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    if status.is_redirection() {
        bail!("it redirects ({status}): give the URL that it leads to");
    }
    Ok(response)
}
