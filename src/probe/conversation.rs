//! A connection over which HTTP is spoken: 1.1 or 2, plain or encrypted.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{CONNECTION, HOST, HeaderName, USER_AGENT};
use hyper::rt::Executor;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::ended::{Ended, Limit, told};
use super::{Probe, tcp, tls};
use crate::health::check::HttpVersion;
use crate::health::note::Note;

/// The port that an authority leaves out.
const DEFAULT_PORT: u16 = 80;
/// The same, over TLS.
const DEFAULT_TLS_PORT: u16 = 443;
/// The longest head of a response, in octets.
const HEAD_MAX: usize = 64 * 1024;
/// So much of a body may wait to be read, in octets: of HTTP/2, which says so to the peer.
const WINDOW: u32 = 64 * 1024;

/// The protocols that a version offers (RFC 7301), best first.
pub(super) fn protocols(version: HttpVersion) -> Vec<Vec<u8>> {
    let words: &[&[u8]] = match version {
        HttpVersion::One => &[b"http/1.1"],
        HttpVersion::Two => &[b"h2"],
        HttpVersion::Any => &[b"h2", b"http/1.1"],
    };
    words.iter().map(|word| word.to_vec()).collect()
}

/// Whom a conversation is with: all that it takes to begin one.
#[derive(Clone)]
pub(super) struct Origin {
    to: SocketAddr,
    tls: Option<(tls::Usable, ServerName<'static>)>,
    version: HttpVersion,
    /// The host that is named, with the port where it is not the scheme's own.
    pub(super) authority: String,
}

/// A connection over which HTTP is spoken.
pub(super) struct Conversation {
    asking: Asking,
    authority: String,
    scheme: &'static str,
    /// What drives the connection: gone with it, so that a probe leaves nothing behind.
    _driving: Driving,
}

enum Asking {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// What is asked.
pub(super) struct Question<'q> {
    pub(super) method: Method,
    /// The path with its query.
    pub(super) path: &'q str,
    /// More headers.
    pub(super) headers: &'q [(String, String)],
    pub(super) body: Bytes,
}

impl<'q> Question<'q> {
    /// `GET`, without more headers.
    pub(super) fn get(path: &'q str) -> Question<'q> {
        Question { method: Method::GET, path, headers: &[], body: Bytes::new() }
    }
}

impl Origin {
    /// Where the probe aims, over TLS where its check has any. `host` is the one to be named; `None`: the address.
    pub(super) fn of(probe: &Probe<'_>, host: Option<&str>, version: HttpVersion) -> Result<Origin, Ended> {
        let to = probe.aim.probe;
        let tls = match probe.aim.check.kind.tls() {
            Some(how) => Some((probe.prepared.tls()?.clone(), tls::server_name(how, host, to.ip())?)),
            None => None,
        };
        let default_port = if tls.is_some() { DEFAULT_TLS_PORT } else { DEFAULT_PORT };
        Ok(Origin { to, tls, version, authority: authority(host, to, default_port) })
    }

    /// `http` or `https`.
    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Connects.
    pub(super) async fn open(&self, limit: &Limit, notes: &mut Vec<Note>) -> Result<Conversation, Ended> {
        let stream = tcp::connect(self.to, limit).await?;
        let Some((config, name)) = &self.tls else {
            return self.over(stream, self.version == HttpVersion::Two, limit).await;
        };
        let stream = tls::handshake(stream, config, name.clone(), limit, notes).await?;
        let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if self.version == HttpVersion::Two && !two {
            return Err(Ended::at("tls", "the server does not choose HTTP/2"));
        }
        self.over(stream, two, limit).await
    }

    async fn over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        two: bool,
        limit: &Limit,
    ) -> Result<Conversation, Ended> {
        let (io, driving) = (TokioIo::new(stream), Driving::default());
        let asking = if two {
            let mut builder = http2::Builder::new(driving.executor());
            builder
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(WINDOW)
                .max_header_list_size(HEAD_MAX as u32);
            let opened = async { builder.handshake(io).await.map_err(|error| words("request", &error)) };
            let (asking, connection) = limit.step("request", opened).await?;
            driving.drive(connection);
            Asking::Two(asking)
        } else {
            let mut builder = http1::Builder::new();
            builder.max_buf_size(HEAD_MAX);
            let opened = async { builder.handshake(io).await.map_err(|error| words("request", &error)) };
            let (asking, connection) = limit.step("request", opened).await?;
            driving.drive(connection);
            Asking::One(asking)
        };
        let (authority, scheme) = (self.authority.clone(), self.scheme());
        Ok(Conversation { asking, authority, scheme, _driving: driving })
    }
}

impl Conversation {
    /// Asks; the head of the answer.
    pub(super) async fn ask(
        &mut self,
        question: Question<'_>,
        limit: &Limit,
    ) -> Result<Response<Incoming>, Ended> {
        let request = self
            .request(question)
            .map_err(|error| Ended::Local(format!("the request cannot be made: {error}").into()))?;
        let answered = async {
            let answer = match &mut self.asking {
                Asking::One(asking) => asking.send_request(request).await,
                Asking::Two(asking) => asking.send_request(request).await,
            };
            answer.map_err(|error| words("request", &error))
        };
        limit.step("request", answered).await
    }

    fn request(&self, question: Question<'_>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let Question { method, path, headers, body } = question;
        let request = Request::builder().method(method);
        // RFC 9113 §8.3.1: scheme and authority stand in the request, and no Host, no Connection beside them.
        let mut request = match self.asking {
            Asking::One(_) => request.uri(path).header(HOST, &self.authority),
            Asking::Two(_) => request.uri(format!("{}://{}{path}", self.scheme, self.authority)),
        };
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let said =
            |name: HeaderName| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name.as_str()));
        if !said(USER_AGENT) {
            request = request.header(USER_AGENT, concat!("steerdns/", env!("CARGO_PKG_VERSION")));
        }
        if matches!(self.asking, Asking::One(_)) && !said(CONNECTION) {
            request = request.header(CONNECTION, "close");
        }
        request.body(Full::new(body))
    }
}

/// The host that is named: with the port, where it is not the scheme's own.
fn authority(host: Option<&str>, to: SocketAddr, default_port: u16) -> String {
    match (host, to) {
        (Some(host), _) => host.into(),
        _ if to.port() != default_port => to.to_string(),
        (None, SocketAddr::V4(v4)) => v4.ip().to_string(),
        (None, SocketAddr::V6(v6)) => format!("[{}]", v6.ip()),
    }
}

/// What runs beside the exchange, and ends with it.
#[derive(Default)]
struct Driving(Arc<Mutex<JoinSet<()>>>);

/// Gives what HTTP/2 wants to run to those that end with the conversation. It does not keep them: they may hold it.
#[derive(Clone)]
struct Beside(Weak<Mutex<JoinSet<()>>>);

impl Driving {
    /// Its end alone decides nothing: what is asked meets it.
    fn drive<E>(&self, connection: impl Future<Output = Result<(), E>> + Send + 'static) {
        let ended = async {
            let _ = connection.await;
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(ended);
    }

    fn executor(&self) -> Beside {
        Beside(Arc::downgrade(&self.0))
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Beside {
    fn execute(&self, future: F) {
        if let Some(driving) = self.0.upgrade() {
            driving.lock().unwrap_or_else(PoisonError::into_inner).spawn(future);
        }
    }
}

/// What hyper's error means, in an operator's words.
pub(super) fn words(layer: &'static str, error: &hyper::Error) -> Ended {
    if let Some(io) = error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        return Ended::at(layer, told(io));
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Ended::at(layer, "closed before the end of the answer");
    }
    if error.is_parse() {
        return Ended::at(layer, format!("no HTTP/1.1: {error}"));
    }
    match error.source() {
        Some(source) => Ended::at(layer, format!("{error}: {source}")),
        None => Ended::at(layer, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_with_the_port_where_it_is_not_the_schemes_own() {
        let named = |to: &str| authority(None, to.parse().unwrap(), 80);
        assert_eq!(named("192.0.2.1:80"), "192.0.2.1");
        assert_eq!(named("192.0.2.1:8080"), "192.0.2.1:8080");
        assert_eq!(named("[2001:db8::1]:80"), "[2001:db8::1]");
        assert_eq!(named("[2001:db8::1]:81"), "[2001:db8::1]:81");
        assert_eq!(authority(Some("a.example"), "192.0.2.1:81".parse().unwrap(), 80), "a.example");
    }
}
