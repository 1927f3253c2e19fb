//! TLS of the probes that encrypt.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ended::{Ended, Limit, told};
use crate::health::check::Tls;

/// What a check's TLS becomes, once per load; an error is one sentence for the operator.
pub(super) type Config = Result<Usable, Arc<str>>;
/// One that can be used.
pub(super) type Usable = Arc<ClientConfig>;

/// Prepares the TLS of a check; `alpn` is what will be spoken within (RFC 7301), where there is a word for it.
pub(super) fn config(tls: &Tls, alpn: &[&[u8]]) -> Config {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Arc::from(error.to_string()))?;
    let mut config = if tls.verify {
        builder.with_root_certificates(roots(tls.roots.as_deref())?).with_no_client_auth()
    } else {
        let verifier = Arc::new(Anyone(provider));
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
    };
    config.alpn_protocols = alpn.iter().map(|word| word.to_vec()).collect();
    // Each probe asks anew: a resumed session shows no certificate.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn roots(pem: Option<&[u8]>) -> Result<RootCertStore, Arc<str>> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = pem else {
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        return Ok(roots);
    };
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| Arc::from(format!("roots: {error}")))?;
        roots.add(certificate).map_err(|error| Arc::from(format!("roots: {error}")))?;
    }
    match roots.is_empty() {
        true => Err("roots: no certificate in it".into()),
        false => Ok(roots),
    }
}

/// The name that is sent and verified: `sni`, else the host that is asked for, else the address itself.
pub(super) fn server_name(
    tls: &Tls,
    host: Option<&str>,
    address: IpAddr,
) -> Result<ServerName<'static>, Ended> {
    let Some(name) = tls.sni.as_deref().or(host).map(without_port) else {
        return Ok(ServerName::from(address));
    };
    let wrong = |_| Ended::Local(format!("`{name}` is no name for TLS").into());
    ServerName::try_from(name.to_owned()).map_err(wrong)
}

/// `host`, `host:port`, `[v6]`, `[v6]:port` -> the host.
fn without_port(host: &str) -> &str {
    if let Some((v6, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return v6;
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}

/// Encrypts a connection.
pub(super) async fn handshake(
    stream: TcpStream,
    config: &Usable,
    name: ServerName<'static>,
    limit: &Limit,
) -> Result<TlsStream<TcpStream>, Ended> {
    let handshake = async {
        TlsConnector::from(config.clone())
            .connect(name, stream)
            .await
            .map_err(|error| Ended::at("tls", told(&error)))
    };
    limit.step("tls", handshake).await
}

/// Takes any certificate; the peer must still hold its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_names_the_server_without_its_port() {
        let hosts = [
            ("play.example.com", "play.example.com"),
            ("play.example.com:8443", "play.example.com"),
            ("[2001:db8::1]:8443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ];
        for (host, name) in hosts {
            assert_eq!(without_port(host), name);
        }
    }

    #[test]
    fn roots_without_a_certificate_are_told() {
        let tls = |roots: &[u8]| Tls { sni: None, verify: true, roots: Some(roots.into()) };
        assert_eq!(config(&tls(b""), &[]).unwrap_err().as_ref(), "roots: no certificate in it");
        let broken = b"-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n";
        assert!(config(&tls(broken), &[]).unwrap_err().starts_with("roots: "));
    }

    #[test]
    fn the_built_in_roots_are_there() {
        assert!(roots(None).unwrap().len() > 100);
    }
}
