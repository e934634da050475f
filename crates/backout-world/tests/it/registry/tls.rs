//! Encrypted registries: certificates are looked at.

use std::net::Ipv4Addr;
use std::sync::Arc;

use backout_fixtures::image::{Image, OCI_MANIFEST};
use backout_gates::oci::{Lookup, Wanted};
use backout_world::registry::{Credentials, Options, Registry};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::server::{Server, response};
use super::{options, repository};

/// Serves one image over TLS, and returns its port and its certificate.
async fn encrypted() -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let pem = made.cert.pem();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let certificates = vec![CertificateDer::from(made.cert)];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .expect("the key fits");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("it has an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not believe the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = vec![0; 4_096];
            let _ = stream.read(&mut head).await;
            let body = Image::new("linux/amd64").build().bytes;
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {OCI_MANIFEST}\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, pem)
}

#[tokio::test]
async fn only_a_known_certificate_is_believed() {
    let (port, pem) = encrypted().await;
    let location = format!("https://localhost:{port}/v2/a/manifests/1");
    let server = Server::start(move |_| {
        response("307 Temporary Redirect", &[("Location", location.as_str())], "")
    });
    let server = server.await;
    let wanted = Wanted::tag("1").expect("a tag");
    let (_, other) = encrypted().await;
    for (ca_pem, is_believed) in [(pem, true), (other, false)] {
        let options = Options { ca_pem: Some(ca_pem.into_bytes()), ..options() };
        let registry = Registry::over_http(options, Credentials::none()).expect("certificates");
        let read = registry.manifest(&repository(server.address, "a"), &wanted).await;
        match read {
            Lookup::Found(_) => assert!(is_believed),
            Lookup::Failed(why) => assert!(!is_believed && why.contains("certificate"), "{why}"),
            Lookup::Absent => panic!("it is there"),
        }
    }
    let options = Options { ca_pem: Some(b"none".to_vec()), ..options() };
    let refused = Registry::over_http(options, Credentials::none()).expect_err("no certificate");
    assert!(refused.message.contains("certificates for registries"), "{}", refused.message);
}
