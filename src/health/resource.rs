//! What is asked for over HTTP by checks that look at what is served there.

use std::time::Duration;

use super::check::Tls;

/// What is asked for, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// The path with its query.
    pub path: String,
    /// The host that is named; default: the probed address (and port, where it is not the scheme's own).
    pub host: Option<String>,
    /// More request headers, in order.
    pub headers: Vec<(String, String)>,
    /// The TLS that it lies behind; default: none.
    pub tls: Option<Tls>,
}

/// An HLS playlist (RFC 8216) that must advance.
#[derive(Clone, Debug, PartialEq)]
pub struct Hls {
    /// A media playlist, or a master playlist whose first variant is looked at.
    pub at: Resource,
    /// Whether it must advance, and must not have ended; default true.
    pub live: bool,
    /// How long it may stand still; 1 s ..= 1 h, default 3 target durations.
    pub max_age: Option<Duration>,
}

/// An HTTP-FLV stream from which media must come.
#[derive(Clone, Debug, PartialEq)]
pub struct Flv {
    /// The stream.
    pub at: Resource,
    /// So many audio or video tags must come; 1 ..= 1000, default 1.
    pub tags: u32,
}

/// A WHIP endpoint (RFC 9725).
#[derive(Clone, Debug, PartialEq)]
pub struct Whip {
    /// The endpoint.
    pub at: Resource,
    /// Whether a session is begun and its ICE tried; else `OPTIONS` must be answered. Default false.
    pub post: bool,
    /// The bearer token; default: none.
    pub token: Option<String>,
}

/// A server that speaks gRPC's health protocol (grpc.health.v1).
#[derive(Clone, Debug, PartialEq)]
pub struct Grpc {
    /// Its `Check`.
    pub at: Resource,
    /// The service that is asked about; default: empty, the whole server.
    pub service: String,
}
