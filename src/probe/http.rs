//! One HTTP/1.1 exchange.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderName, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::ended::{Ended, Limit, told};
use crate::health::check::{Http, HttpMethod};

/// The port that a Host header leaves out.
pub(super) const DEFAULT_PORT: u16 = 80;
/// The same, over TLS.
pub(super) const DEFAULT_TLS_PORT: u16 = 443;
/// So much of a body is searched, in octets.
const BODY_MAX: usize = 64 * 1024;
/// The longest head of a response, in octets.
const HEAD_MAX: usize = 64 * 1024;

/// Asks, and compares what comes back with what must.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    http: &Http,
    to: SocketAddr,
    default_port: u16,
    limit: &Limit,
) -> Result<(), Ended> {
    let request = request(http, to, default_port)
        .map_err(|error| Ended::Local(format!("the request cannot be made: {error}").into()))?;
    let opened = async {
        let mut builder = http1::Builder::new();
        builder
            .max_buf_size(HEAD_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| words("request", &error))
    };
    let (mut asking, connection) = limit.step("request", opened).await?;
    let judged = async {
        let asked = async { asking.send_request(request).await.map_err(|error| words("request", &error)) };
        let response = limit.step("request", asked).await?;
        judge_head(&response, http)?;
        match &http.body {
            Some(wanted) => limit.step("body", judge_body(response.into_body(), wanted)).await,
            None => Ok(()),
        }
    };
    // The connection is driven beside the exchange; its end alone decides nothing.
    let driven = async {
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        judged = judged => judged,
        never = driven => match never {},
    }
}

fn request(
    http: &Http,
    to: SocketAddr,
    default_port: u16,
) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    let method = match http.method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
    };
    let host = http.host.clone().unwrap_or_else(|| match to {
        _ if to.port() != default_port => to.to_string(),
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    });
    let mut request = Request::builder().method(method).uri(&http.path).header(HOST, host);
    for (name, value) in &http.headers {
        request = request.header(name, value);
    }
    let said =
        |name: HeaderName| http.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name.as_str()));
    if !said(USER_AGENT) {
        request = request.header(USER_AGENT, concat!("steerdns/", env!("CARGO_PKG_VERSION")));
    }
    if !said(CONNECTION) {
        request = request.header(CONNECTION, "close");
    }
    request.body(Empty::new())
}

fn judge_head(response: &Response<Incoming>, http: &Http) -> Result<(), Ended> {
    let status = response.status().as_u16();
    if !http.status.iter().any(|(first, last)| (*first..=*last).contains(&status)) {
        return Err(Ended::at("status", format!("status {status}")));
    }
    for (name, wanted) in &http.expect_headers {
        let mut values = response.headers().get_all(name).iter().peekable();
        if values.peek().is_none() {
            return Err(Ended::at("header", format!("no `{name}`")));
        }
        if !values.any(|value| position(value.as_bytes(), wanted.as_bytes()).is_some()) {
            return Err(Ended::at("header", format!("`{name}` without `{wanted}`")));
        }
    }
    Ok(())
}

async fn judge_body(
    mut body: impl Body<Data = Bytes, Error = hyper::Error> + Unpin,
    wanted: &str,
) -> Result<(), Ended> {
    let missing = || Ended::at("body", format!("without `{wanted}`"));
    let (mut read, mut searched): (Vec<u8>, usize) = (Vec::new(), 0);
    loop {
        if position(&read[searched..], wanted.as_bytes()).is_some() {
            return Ok(());
        }
        // What was searched is not searched again: a body may come octet by octet.
        searched = (read.len() + 1).saturating_sub(wanted.len());
        if read.len() >= BODY_MAX {
            return Err(missing());
        }
        let frame = body.frame().await.ok_or_else(missing)?.map_err(|error| words("body", &error))?;
        let Some(more) = frame.data_ref() else { continue };
        read.extend_from_slice(&more[..more.len().min(BODY_MAX - read.len())]);
    }
}

/// Where `wanted` begins in `text`.
fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    match wanted {
        [] => Some(0),
        _ => text.windows(wanted.len()).position(|window| window == wanted),
    }
}

/// What hyper's error means, in an operator's words.
fn words(layer: &'static str, error: &hyper::Error) -> Ended {
    if let Some(io) = error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        return Ended::at(layer, told(io));
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Ended::at(layer, "closed before the end of the answer");
    }
    if error.is_parse() {
        return Ended::at(layer, format!("no HTTP/1.1: {error}"));
    }
    Ended::at(layer, error.to_string())
}
