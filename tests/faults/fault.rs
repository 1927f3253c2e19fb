//! What can go wrong, and of whom it is seen.

use std::net::SocketAddr;
use std::time::Duration;

use steerdns::health::check::{Http, HttpMethod, HttpVersion, Kind, Rejected, Rtmp, Srt};
use steerdns::health::resource::{Flv, Hls, Resource};

use super::farm::{Ports, Role};
use super::relay::Over;

/// How long a playlist may stand still.
const MAX_AGE: Duration = Duration::from_secs(4);
/// node-media-server keeps a second of a stream, some fifty tags, and sends it whoever publishes: more than that.
const TAGS: u32 = 80;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// kill -9: its kernel refuses.
    Killed,
    /// kill -STOP: its kernel accepts, and nobody answers.
    Held,
    /// Every packet is dropped, each way.
    Dropped,
    /// What stands before it accepts, and says nothing.
    Hung,
    /// The same, 40 to 80 ms away.
    HungFar,
    /// What stands before it answers, and not well.
    Wrong,
    /// Its publisher stands still: the server serves on what it has.
    PublisherHeld,
    /// Its publisher is gone.
    PublisherGone,
}

impl Fault {
    /// The one that needs a cable third.
    pub(crate) const ALL: [Fault; 8] = [
        Fault::Killed,
        Fault::Held,
        Fault::Dropped,
        Fault::Hung,
        Fault::Wrong,
        Fault::PublisherHeld,
        Fault::PublisherGone,
        Fault::HungFar,
    ];

    /// What it is called in tables.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Fault::Killed => "killed with -9",
            Fault::Held => "held with -STOP",
            Fault::Dropped => "all packets dropped",
            Fault::Hung => "accepts and says nothing",
            Fault::HungFar => "says nothing, 40 to 80 ms away",
            Fault::Wrong => "answers an error",
            Fault::PublisherHeld => "publisher held with -STOP",
            Fault::PublisherGone => "publisher killed with -9",
        }
    }

    /// Whether it is done to what stands before the servers.
    pub(crate) fn in_relays(self) -> bool {
        matches!(self, Fault::Hung | Fault::HungFar | Fault::Wrong)
    }

    /// Whether it is done to publishers.
    pub(crate) fn of_publishers(self) -> bool {
        matches!(self, Fault::PublisherHeld | Fault::PublisherGone)
    }
}

/// What is probed.
#[derive(Debug)]
pub(crate) struct Subject {
    /// What it is called in tables.
    pub(crate) word: &'static str,
    pub(crate) kind: Kind,
    pub(crate) at: SocketAddr,
    pub(crate) server: Role,
    /// Whether it looks at a stream.
    pub(crate) of_stream: bool,
    pub(crate) over: Over,
    /// What is wrong to answer.
    pub(crate) wrong: fn(&[u8]) -> Vec<u8>,
    /// What it waits for by itself, beside what all probes do.
    pub(crate) rule: Duration,
}

/// All that is probed.
pub(crate) fn subjects(at: &Ports) -> Vec<Subject> {
    let rtmp = |play: Option<&str>| {
        Kind::Rtmp(Rtmp { app: "live".into(), host: None, play: play.map(String::from) })
    };
    let hls = Hls { at: resource("/hls/show.m3u8"), live: true, max_age: Some(MAX_AGE) };
    let flv = Flv { at: resource("/live/show.flv"), tags: TAGS };
    let srt = Srt { streamid: None, rejected: Rejected::Succeeds };
    let subject = |word, kind, at, server, of_stream, over, wrong: fn(&[u8]) -> Vec<u8>| {
        let rule = if word == "hls" { MAX_AGE } else { Duration::ZERO };
        Subject { word, kind, at, server, of_stream, over, wrong, rule }
    };
    vec![
        subject("http", Kind::Http(alive()), at.http, Role::Nginx, false, Over::Tcp, unavailable),
        subject("rtmp", rtmp(None), at.rtmp, Role::Nginx, false, Over::Tcp, other_version),
        subject("rtmp, play", rtmp(Some("show")), at.rtmp, Role::Nginx, true, Over::Tcp, other_version),
        subject("hls", Kind::Hls(hls), at.http, Role::Nginx, true, Over::Tcp, unavailable),
        subject("flv", Kind::Flv(flv), at.node_http, Role::Node, true, Over::Tcp, unavailable),
        subject("srt", Kind::Srt(srt), at.srt, Role::Srt, false, Over::Udp, old_srt),
        subject("stun", Kind::Stun, at.stun, Role::Turn, false, Over::Udp, unauthorized),
    ]
}

/// A file that says `alive`.
fn alive() -> Http {
    Http {
        version: HttpVersion::One,
        method: HttpMethod::Get,
        path: "/alive".into(),
        host: None,
        headers: Vec::new(),
        status: vec![(200, 299)],
        body: Some("alive".into()),
        expect_headers: Vec::new(),
        json: Vec::new(),
        load: None,
    }
}

fn resource(path: &str) -> Resource {
    Resource { path: path.into(), host: None, headers: Vec::new(), tls: None }
}

/// 503 of HTTP.
fn unavailable(_: &[u8]) -> Vec<u8> {
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
}

/// S0, S1 and S2 of another version of RTMP.
fn other_version(_: &[u8]) -> Vec<u8> {
    let mut handshake = vec![0; 1 + 2 * 1536];
    handshake[0] = 6;
    handshake
}

/// An induction of SRT's fourth version, to the caller's socket.
fn old_srt(heard: &[u8]) -> Vec<u8> {
    let mut answer = heard.to_vec();
    answer.resize(64, 0);
    answer.copy_within(40..44, 12);
    answer[16..20].copy_from_slice(&4u32.to_be_bytes());
    answer
}

/// Error 401 to a STUN binding request (RFC 8489 §14.8).
fn unauthorized(heard: &[u8]) -> Vec<u8> {
    let mut answer = heard.to_vec();
    answer.resize(20, 0);
    answer[..4].copy_from_slice(&[0x01, 0x11, 0, 8]);
    answer.extend([0, 9, 0, 4, 0, 0, 4, 1]);
    answer
}
