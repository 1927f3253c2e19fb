//! How a node is probed.

use std::sync::Arc;
use std::time::Duration;

/// A check: what a probe does, where, how often, and how many of them turn a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Its key, one LDH label; outlives a reload.
    pub key: Arc<str>,
    /// What a probe does.
    pub kind: Kind,
    /// The port that is probed, where the address names no other; 1..=65535.
    pub port: u16,
    /// From probe to probe while nothing is in doubt; 100 ms ..= 1 h, default 1 s.
    pub interval: Duration,
    /// The longest that a probe may take: a cap, the deadline follows the address's usual time.
    /// 50 ms ..= 60 s, default 2.5 s.
    pub timeout: Duration,
    /// Failures in a row, none succeeding between, that turn up into down; 1..=100, default 5.
    pub fall: u32,
    /// Successes in a row that turn down into up; 1..=100, default 5.
    pub rise: u32,
}

/// What a probe does.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Connects.
    Tcp,
    /// One HTTP/1.1 exchange.
    Http(Http),
    /// One HTTP/1.1 exchange over TLS.
    Https(Http, Tls),
    /// The RTMP handshake, and `connect` answered by `_result`; then media of a stream, where one is asked for.
    Rtmp(Rtmp),
    /// The same over TLS.
    Rtmps(Rtmp, Tls),
}

impl Kind {
    /// The word for it in files, logs and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Kind::Tcp => "tcp",
            Kind::Http(_) => "http",
            Kind::Https(..) => "https",
            Kind::Rtmp(_) => "rtmp",
            Kind::Rtmps(..) => "rtmps",
        }
    }
}

/// What is asked over HTTP and what must come back.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// `GET` (default) or `HEAD`.
    pub method: HttpMethod,
    /// The path with its query; default `/`.
    pub path: String,
    /// The Host header; default: the probed address (and port, where it is not the scheme's own).
    pub host: Option<String>,
    /// More request headers, in order; default: User-Agent alone.
    pub headers: Vec<(String, String)>,
    /// The accepted status codes, inclusive ranges; default 200-299.
    pub status: Vec<(u16, u16)>,
    /// What the first 64 KiB of the body must contain.
    pub body: Option<String>,
    /// Response headers: name, and what its value must contain (empty: be there).
    pub expect_headers: Vec<(String, String)>,
}

/// The method of an HTTP probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMethod {
    /// `GET`.
    Get,
    /// `HEAD`: no body comes back.
    Head,
}

/// How TLS is spoken and what is demanded of the certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// The server name sent and verified; default: `host`, else the address itself.
    pub sni: Option<String>,
    /// Whether the certificate must be valid for that name now; default true.
    pub verify: bool,
    /// PEM roots to trust instead of the built-in ones.
    pub roots: Option<Arc<[u8]>>,
}

/// What an RTMP probe connects to.
#[derive(Clone, Debug, PartialEq)]
pub struct Rtmp {
    /// The application; default `live`.
    pub app: String,
    /// The host of `tcUrl`; default: the probed address.
    pub host: Option<String>,
    /// The stream that must be live; default: none is asked for.
    pub play: Option<String>,
}
