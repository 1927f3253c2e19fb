//! One POST over one fresh connection.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::{Failure, tls};
use crate::alert::condition::one_line;
use crate::alert::receiver::Hook;

/// The longest head of a response, in octets.
const HEAD_MAX: usize = 64 * 1024;
/// So much of what a refusal says is read, in octets.
const BODY_MAX: usize = 4096;
/// One address of a host may take so long to connect, and so many are tried.
const CONNECT: Duration = Duration::from_secs(3);
const ADDRESSES_MAX: usize = 4;

/// Posts a JSON body; taken, where the status is of the 200s. Redirects are not followed.
pub(super) async fn post(hook: &Hook, body: String) -> Result<(), Failure> {
    let request = request(hook, body)?;
    let stream = connect(&hook.host, hook.port).await?;
    let response = if hook.is_tls {
        let stream = tls::handshake(stream, &hook.host, hook.roots.as_deref()).await?;
        exchange(stream, request).await
    } else {
        exchange(stream, request).await
    };
    let (status, said) = response?;
    if status.is_success() {
        return Ok(());
    }
    let said = if said.is_empty() { said } else { format!(": {said}") };
    let words = format!("status {}{said}", status.as_u16());
    match status {
        // The message itself is not taken. All other mistakes can be mended by somebody while it waits.
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            Err(Failure::Lasting(words))
        }
        _ => Err(Failure::Passing(words)),
    }
}

fn request(hook: &Hook, body: String) -> Result<Request<Full<Bytes>>, Failure> {
    let host = if hook.host.contains(':') { format!("[{}]", hook.host) } else { hook.host.clone() };
    let usual = if hook.is_tls { 443 } else { 80 };
    let host = if hook.port == usual { host } else { format!("{host}:{}", hook.port) };
    let mut request = Request::post(&hook.path.0)
        .header(HOST, host)
        .header(CONNECTION, "close")
        .header(USER_AGENT, concat!("steerdns/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &hook.headers {
        request = request.header(name, &value.0);
    }
    if !hook.headers.iter().any(|(name, _)| name == CONTENT_TYPE.as_str()) {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = Full::new(Bytes::from(body));
    request.body(body).map_err(|error| Failure::Passing(format!("the request cannot be made: {error}")))
}

/// Connects to the first address of a host that answers.
async fn connect(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let found = lookup_host((host, port)).await;
    let found =
        found.map_err(|error| Failure::Passing(format!("`{host}` is not found: {}", told(&error))))?;
    let mut failure = Failure::Passing(format!("`{host}` has no address"));
    for address in found.take(ADDRESSES_MAX) {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = Failure::Passing(format!("{address}: {}", told(&error))),
            Err(_) => {
                failure = Failure::Passing(format!("{address}: no answer within {} s", CONNECT.as_secs()))
            }
        }
    }
    Err(failure)
}

/// One HTTP/1.1 exchange: the status, and what was said where it is not a good one.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, String), Failure> {
    let mut builder = http1::Builder::new();
    let opened = builder.max_buf_size(HEAD_MAX).handshake(TokioIo::new(stream)).await;
    let (mut asking, connection) = opened.map_err(|error| words(&error))?;
    let answered = async {
        let response = asking.send_request(request).await.map_err(|error| words(&error))?;
        let status = response.status();
        let said = if status.is_success() { String::new() } else { said(response).await };
        Ok((status, said))
    };
    // The connection is driven beside the exchange; its end alone decides nothing.
    let driven = async {
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        answered = answered => answered,
        never = driven => match never {},
    }
}

/// The beginning of a body, as one line.
async fn said(response: Response<Incoming>) -> String {
    let (mut body, mut read) = (response.into_body(), Vec::new());
    while read.len() < BODY_MAX {
        let Some(Ok(frame)) = body.frame().await else { break };
        let Some(more) = frame.data_ref() else { continue };
        read.extend_from_slice(&more[..more.len().min(BODY_MAX - read.len())]);
    }
    one_line(String::from_utf8_lossy(&read).trim())
}

/// What hyper's error means, in an operator's words.
fn words(error: &hyper::Error) -> Failure {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    Failure::Passing(match io {
        Some(io) => told(io),
        None if error.is_parse() => format!("no HTTP/1.1: {error}"),
        None if error.is_incomplete_message() || error.is_closed() => {
            "closed before the end of the answer".into()
        }
        None => one_line(&error.to_string()),
    })
}

/// What an I/O error means, in an operator's words.
pub(super) fn told(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused".into(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset".into(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted => "closed".into(),
        _ => one_line(&error.to_string()),
    }
}
