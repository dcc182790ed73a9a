//! A server behind TLS.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::process::{client, run};

/// Answers every request on a connection of its own with an empty list; its URL and certificate.
fn behind_tls() -> (String, String) {
    let made = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let CertifiedKey { cert, signing_key } = made;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let mut seen = Vec::new();
            let mut byte = [0];
            // One that does not trust us goes away in the handshake.
            while !seen.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                seen.push(byte[0]);
            }
            let body = r#"{"success":true,"data":[],"next_cursor":null}"#;
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = stream.flush();
        }
    });
    (url, cert.pem())
}

#[test]
fn https_is_for_servers_that_are_trusted() {
    let (url, pem) = behind_tls();
    let list = ["webhooks", "list"];
    let stranger = run(&mut client(&url, &list), b"");
    assert_eq!(stranger.code(), Some(1), "{stranger:?}");
    assert!(stranger.stderr.contains("certificate"), "{stranger:?}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let trusted = run(client(&url, &list).env("TIDINGS_CA_FILE", &file), b"");
    assert_eq!(trusted.expect_success(), "[]\n");
}
