//! Web servers of the tests' own, on loopback: HTTP/1.1 and HTTP/2, plain and over TLS; and what a probe sees of them.
#![allow(dead_code)] // Each test binary uses its own part.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, CertifiedKey, KeyPair};
use steerdns::health::check::{Check, HoldDown, Http, HttpMethod, HttpVersion, Kind, Tls};
use steerdns::health::note::Note;
use steerdns::health::target::{Aim, TargetKey};
use steerdns::health::verdict::Outcome;
use steerdns::probe::prepared::Prepared;
use steerdns::probe::{Memory, once};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

/// What every probe may take, unless a test says otherwise.
pub(crate) const DEADLINE: Duration = Duration::from_millis(400);

/// A check of this kind, with the defaults of clusters.toml, aimed there.
pub(crate) fn aim(kind: Kind, to: SocketAddr) -> Aim {
    let key = TargetKey { cluster: "sin".into(), node: "n".into(), address: to.ip(), check: "c".into() };
    let (interval, timeout) = (Duration::from_secs(1), Duration::from_millis(2500));
    let check = Check {
        key: "c".into(),
        kind,
        port: to.port(),
        interval,
        timeout,
        fall: 5,
        rise: 5,
        hold_down: HoldDown::default(),
    };
    Aim { key, probe: to, check: Arc::new(check) }
}

/// Probes again and again, as the schedule does: what a probe remembers, the next one knows.
pub(crate) struct Prober {
    aim: Aim,
    prepared: Prepared,
    memory: Memory,
    allowed: Duration,
}

impl Prober {
    pub(crate) fn new(kind: Kind, to: SocketAddr) -> Prober {
        let aim = aim(kind, to);
        Prober { prepared: Prepared::new(&aim.check), aim, memory: Memory::default(), allowed: DEADLINE }
    }

    /// With another deadline.
    pub(crate) fn within(self, allowed: Duration) -> Prober {
        Prober { allowed, ..self }
    }

    /// Of a node that is answered by another address than the one that is probed.
    pub(crate) fn of(mut self, address: IpAddr) -> Prober {
        self.aim.key.address = address;
        self
    }

    /// Probes once: the outcome in words, and what was learned. Panics where it outlives its deadline.
    pub(crate) async fn probe(&self) -> (String, Vec<Note>) {
        let started = Instant::now();
        let (outcome, notes) = once(&self.aim, &self.prepared, &self.memory, self.allowed).await;
        assert!(started.elapsed() < self.allowed + Duration::from_secs(1), "outlived its deadline");
        let words = match outcome {
            Outcome::Succeeded(_) => "succeeded".into(),
            Outcome::Failed(cause) => cause.to_string(),
            other => format!("{other:?}"),
        };
        (words, notes)
    }

    /// The outcome alone.
    pub(crate) async fn outcome(&self) -> String {
        self.probe().await.0
    }
}

/// Probes once, as the first ever; the outcome in words.
pub(crate) async fn probe(kind: Kind, to: SocketAddr) -> String {
    Prober::new(kind, to).outcome().await
}

/// `GET /`, 200-299.
pub(crate) fn http() -> Http {
    Http {
        version: HttpVersion::One,
        method: HttpMethod::Get,
        path: "/".into(),
        host: None,
        headers: Vec::new(),
        status: vec![(200, 299)],
        body: None,
        expect_headers: Vec::new(),
        json: Vec::new(),
        load: None,
    }
}

/// Trusts these roots (PEM) alone; `None`: anyone.
pub(crate) fn tls(roots: Option<&Arc<[u8]>>) -> Tls {
    Tls { sni: None, verify: roots.is_some(), roots: roots.cloned(), expires_within: Duration::ZERO }
}

/// A certificate for 127.0.0.1 that is valid for so many days, of which one and an hour are over.
pub(crate) fn certificate(days: i64) -> CertifiedKey<KeyPair> {
    let signing_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".into()]).unwrap();
    let yesterday = std::time::SystemTime::now() - Duration::from_secs(86_400 + 3600);
    params.not_before = yesterday.into();
    params.not_after = params.not_before + Duration::from_secs(86_400) * u32::try_from(days).unwrap();
    CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
}

/// What signs it, as PEM.
pub(crate) fn roots(certificate: &CertifiedKey<KeyPair>) -> Arc<[u8]> {
    certificate.cert.pem().into_bytes().into()
}

/// A server's TLS, which chooses among these protocols (RFC 7301).
pub(crate) fn acceptor(certificate: &CertifiedKey<KeyPair>, protocols: &[&str]) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|word| word.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// What was asked, with its body read.
pub(crate) type Asked = Request<Bytes>;

/// A server that speaks HTTP, of the version that the client begins with, and over TLS where it is given any.
pub(crate) async fn web<F, B>(
    tls: Option<TlsAcceptor>,
    answer: impl Fn(Asked) -> F + Clone + Send + Sync + 'static,
) -> SocketAddr
where
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, answer) = (tls.clone(), answer.clone());
            tokio::spawn(async move {
                let Some(tls) = tls else {
                    // "PRI * HTTP/2.0": the preface (RFC 9113 §3.4).
                    let mut first = [0; 3];
                    let _ = stream.peek(&mut first).await;
                    return serve(stream, &first == b"PRI", answer).await;
                };
                let Ok(stream) = tls.accept(stream).await else { return };
                let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                serve(stream, two, answer).await;
            });
        }
    });
    at
}

async fn serve<F, B>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    two: bool,
    answer: impl Fn(Asked) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            Ok::<_, Infallible>(answer(Request::from_parts(head, body)).await)
        }
    });
    let io = TokioIo::new(stream);
    let _ = match two {
        true => http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await,
        false => http1::Builder::new().serve_connection(io, service).await,
    };
}

/// 200, with this body.
pub(crate) fn ok(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::new(Full::new(body.into()))
}

/// This status, with this body.
pub(crate) fn status(code: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder().status(code).body(Full::new(body.into())).unwrap()
}
