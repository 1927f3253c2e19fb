//! TLS to receivers.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Failure;
use super::http::told;

/// Encrypts a connection; the certificate must be valid now for that host. Made anew for each: messages are rare.
pub(super) async fn handshake(
    stream: TcpStream,
    host: &str,
    roots: Option<&[u8]>,
) -> Result<TlsStream<TcpStream>, Failure> {
    let config = config(roots).map_err(Failure::Passing)?;
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| Failure::Passing(format!("`{host}` is no name for TLS")))?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(|error| Failure::Passing(format!("tls: {}", told(&error))))
}

fn config(roots: Option<&[u8]>) -> Result<ClientConfig, String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(roots)? {
        // A root that is built in and cannot be read is one less; an operator's must be good.
        let added = store.add(certificate);
        if roots.is_some() {
            added.map_err(|error| format!("roots: {error}"))?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let mut config = builder.with_root_certificates(store).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates that are trusted: those of a PEM file, or those that are built in.
pub(super) fn certificates(roots: Option<&[u8]>) -> Result<Vec<CertificateDer<'static>>, String> {
    let Some(pem) = roots else { return Ok(webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec()) };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| format!("roots: {error}"))?;
    if read.is_empty() { Err("roots: no certificate in it".into()) } else { Ok(read) }
}
