//! Certificates that are right, and the many ways in which they are not.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    named_authority("an authority of this test")
}

fn named_authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name`, changed by `change`, and its key.
fn certificate(
    authority: &Authority,
    name: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A receiver behind TLS that answers with the name that it was asked for.
async fn receiver(
    (certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>),
    client_authority: Option<&Authority>,
) -> Receiver {
    let builder = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match client_authority {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                provider(),
            );
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let acceptor =
        TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()));
    Receiver::start(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let name = stream.get_ref().1.server_name().unwrap_or("no name").to_owned();
            while read_request(&mut stream).await.is_some() {
                let _ = stream.write_all(ok(&name).as_bytes()).await;
                let _ = stream.flush().await;
            }
        }
    })
    .await
}

/// A sender that trusts this authority, and takes every name to loopback.
fn trusting(authority: &Authority) -> Sender {
    let resolver =
        Fixed { resolved: Ok(vec!["127.0.0.1".parse().unwrap()]), asked: AtomicUsize::new(0) };
    Sender::new(SenderConfig {
        resolver: Arc::new(resolver),
        extra_ca_pem: Some(authority.pem().into_bytes()),
        ..SenderConfig::new(loopback_policy().into())
    })
    .unwrap()
}

fn url(receiver: &Receiver) -> String {
    format!("https://hooks.example:{}/", receiver.address.port())
}

#[tokio::test]
async fn the_original_name_is_asked_for_and_the_connection_kept() {
    let authority = authority();
    let receiver = receiver(certificate(&authority, "hooks.example", |_| {}), None).await;
    let sender = trusting(&authority);
    for _ in 0..3 {
        assert_eq!(answer(post(&sender, &url(&receiver)).await).body, "hooks.example");
    }
    let long = Request { body: vec![b'x'; 1 << 20].into(), ..request(&url(&receiver), LONG) };
    assert_eq!(answer(sender.send(&long).await.outcome).body, "hooks.example");
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_literal_address_is_certified_as_one() {
    let authority = authority();
    let receiver = receiver(certificate(&authority, "127.0.0.1", |_| {}), None).await;
    let sender = trusting(&authority);
    let literal = format!("https://{}/", receiver.address);
    assert_eq!(answer(post(&sender, &literal).await).body, "no name");
    let outcome = post(&sender, &url(&receiver)).await;
    failed(&outcome, FailureKind::Tls, "the certificate is for another name");
}

#[tokio::test]
async fn certificates_that_are_not_right() {
    let ours = authority();
    let another = named_authority("another authority");
    for (certificate, detail) in [
        (
            certificate(&another, "hooks.example", |_| {}),
            "the certificate is not from a trusted authority",
        ),
        (certificate(&ours, "other.example", |_| {}), "the certificate is for another name"),
        (
            certificate(&ours, "hooks.example", |params| {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
            }),
            "the certificate has expired",
        ),
        (
            certificate(&ours, "hooks.example", |params| {
                params.not_before = date_time_ymd(3000, 1, 1);
                params.not_after = date_time_ymd(3001, 1, 1);
            }),
            "the certificate is not valid yet",
        ),
    ] {
        let receiver = receiver(certificate, None).await;
        let sender = trusting(&ours);
        failed(&post(&sender, &url(&receiver)).await, FailureKind::Tls, detail);
        assert_eq!(receiver.connections(), 1, "no second try, in clear or otherwise");
    }
}

#[tokio::test]
async fn self_signed_is_not_trusted() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["hooks.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let receiver = receiver((certificate, key), None).await;
    let outcome = post(&sender(), &url(&receiver)).await;
    failed(&outcome, FailureKind::Tls, "the certificate is not from a trusted authority");
}

#[tokio::test]
async fn a_receiver_that_wants_our_certificate() {
    let authority = authority();
    let certificate = certificate(&authority, "hooks.example", |_| {});
    let receiver = receiver(certificate, Some(&authority)).await;
    let outcome = post(&trusting(&authority), &url(&receiver)).await;
    failed(&outcome, FailureKind::Tls, "the TLS handshake failed");
}

#[tokio::test]
async fn e22_the_wrong_protocol_on_either_side() {
    let authority = authority();
    let clear = Receiver::start(|_, mut stream| async move {
        let _ = stream.read(&mut [0; 16]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        closed(&mut stream).await;
    })
    .await;
    let outcome = post(&trusting(&authority), &url(&clear)).await;
    failed(&outcome, FailureKind::Tls, "the TLS handshake failed");
    let hangs_up = Receiver::start(|_, stream| async move { drop(stream) }).await;
    let outcome = post(&trusting(&authority), &url(&hangs_up)).await;
    failed(&outcome, FailureKind::Tls, "the TLS handshake failed");
    let tls = receiver(certificate(&authority, "hooks.example", |_| {}), None).await;
    let outcome = post(&trusting(&authority), &tls.url()).await;
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.kind, FailureKind::Network);
}

#[tokio::test]
async fn a_stalled_handshake_ends_at_the_deadline() {
    let receiver = Receiver::start(|_, mut stream| async move { closed(&mut stream).await }).await;
    let sent = sender().send(&request(&url(&receiver), SHORT)).await;
    failed(&sent.outcome, FailureKind::Timeout, "timed out during the TLS handshake");
    assert!((200..2_000).contains(&sent.duration_ms), "{} ms", sent.duration_ms);
}

#[test]
fn extra_certificates_that_cannot_be_read() {
    for pem in
        [&b""[..], b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        let config = SenderConfig {
            extra_ca_pem: Some(pem.to_vec()),
            ..SenderConfig::new(loopback_policy().into())
        };
        let error = Sender::new(config).unwrap_err().to_string();
        assert!(error.starts_with("extra CA certificates: "), "{error}");
    }
}
