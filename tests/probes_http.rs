//! Probes that speak TLS and HTTP, against servers of our own that can be made to misbehave.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests own the clock, sockets and disk here"
)]

#[path = "support/web.rs"]
mod web;

#[path = "probes_http/bodies.rs"]
mod bodies;
#[path = "probes_http/grpc.rs"]
mod grpc;
#[path = "probes_http/handshakes.rs"]
mod handshakes;
#[path = "probes_http/media.rs"]
mod media;
#[path = "probes_http/sessions.rs"]
mod sessions;
#[path = "probes_http/versions.rs"]
mod versions;
