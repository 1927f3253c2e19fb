//! How a node is probed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::load::LoadSource;
use super::resource::{Flv, Grpc, Hls, Whip};
use crate::cluster::CheckId;
use crate::wire::name::Name;
use crate::wire::query::rcode;

/// A check: what a probe does, where, how often, and how many of them turn a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Its key, one LDH label; outlives a reload.
    pub key: Arc<str>,
    /// What a probe does.
    pub kind: Kind,
    /// The port that is probed, where the address names no other; 1..=65535, or 0 where the kind has none.
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
    /// How long a target that keeps falling stays down at least.
    pub hold_down: HoldDown,
}

/// How long a target that keeps falling stays down at least, however well it answers.
///
/// A target that falls less than `most` after it came back has relapsed: it is held for `first`, and for twice as long
/// at each further relapse, up to `most`. One that stood for longer begins anew. The default holds nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HoldDown {
    /// At the first relapse; 0: never. Up to `most`, default 30 s.
    pub first: Duration,
    /// At the longest; up to 24 h, default 10 min.
    pub most: Duration,
}

impl HoldDown {
    /// How long the n-th relapse in a row is held, n from 1.
    pub fn of(&self, relapses: u32) -> Duration {
        let doubled = 1u32.checked_shl(relapses.saturating_sub(1)).filter(|times| *times != 0);
        doubled.and_then(|times| self.first.checked_mul(times)).unwrap_or(self.most).min(self.most)
    }
}

/// What a probe does.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Connects.
    Tcp,
    /// One HTTP exchange.
    Http(Http),
    /// One HTTP exchange over TLS.
    Https(Http, Tls),
    /// The RTMP handshake, and `connect` answered by `_result`; then media of a stream, where one is asked for.
    Rtmp(Rtmp),
    /// The same over TLS.
    Rtmps(Rtmp, Tls),
    /// The SRT handshake: induction, and a conclusion for a stream, where one is named.
    Srt(Srt),
    /// A STUN binding request.
    Stun,
    /// A DNS query.
    Dns(Dns),
    /// An ICMP echo.
    Icmp(Icmp),
    /// A command that keeps to the contract of Nagios' plugins.
    Exec(Exec),
    /// A line of HAProxy's agent-check.
    Agent,
    /// The TLS handshake; of these protocols (RFC 7301), where there are any, the server must choose one.
    Tls(Tls, Vec<String>),
    /// An HLS playlist that advances.
    Hls(Hls),
    /// An HTTP-FLV stream that sends media.
    Flv(Flv),
    /// A WHIP endpoint that answers, or that media can be sent to.
    Whip(Whip),
    /// A server whose gRPC health service says that it serves.
    Grpc(Grpc),
    /// Probes nothing itself: other checks judge together.
    Several(Several),
}

/// Several checks that judge together.
#[derive(Clone, Debug, PartialEq)]
pub struct Several {
    /// At least so many of them must be up.
    pub least: u8,
    /// Which, from the ground up; each at most once, none of them this one.
    pub of: Vec<CheckId>,
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
            Kind::Srt(_) => "srt",
            Kind::Stun => "stun",
            Kind::Dns(_) => "dns",
            Kind::Icmp(_) => "icmp",
            Kind::Exec(_) => "exec",
            Kind::Agent => "agent",
            Kind::Tls(..) => "tls",
            Kind::Hls(_) => "hls",
            Kind::Flv(_) => "flv",
            Kind::Whip(_) => "whip",
            Kind::Grpc(_) => "grpc",
            Kind::Several(_) => "several",
        }
    }

    /// Whether a probe takes as long as some round trips to the target do: no program of ours, and no media, which come when there are some.
    pub fn measures_way(&self) -> bool {
        match self {
            Kind::Rtmp(rtmp) | Kind::Rtmps(rtmp, _) => rtmp.play.is_none(),
            Kind::Exec(_) | Kind::Flv(_) | Kind::Several(_) => false,
            _ => true,
        }
    }

    /// The TLS that it speaks; `None`: none.
    pub fn tls(&self) -> Option<&Tls> {
        match self {
            Kind::Https(_, tls) | Kind::Tls(tls, _) | Kind::Rtmps(_, tls) => Some(tls),
            Kind::Hls(Hls { at, .. })
            | Kind::Flv(Flv { at, .. })
            | Kind::Whip(Whip { at, .. })
            | Kind::Grpc(Grpc { at, .. }) => at.tls.as_ref(),
            _ => None,
        }
    }

    /// The same, to be completed.
    pub fn tls_mut(&mut self) -> Option<&mut Tls> {
        match self {
            Kind::Https(_, tls) | Kind::Tls(tls, _) | Kind::Rtmps(_, tls) => Some(tls),
            Kind::Hls(Hls { at, .. })
            | Kind::Flv(Flv { at, .. })
            | Kind::Whip(Whip { at, .. })
            | Kind::Grpc(Grpc { at, .. }) => at.tls.as_mut(),
            _ => None,
        }
    }
}

/// What is asked over HTTP and what must come back.
#[derive(Clone, Debug, PartialEq)]
pub struct Http {
    /// Which version is spoken; default 1.1.
    pub version: HttpVersion,
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
    /// JSON pointers (RFC 6901), and what must stand there in the body: all of it, at most 64 KiB.
    pub json: Vec<(String, Wanted)>,
    /// Where in the body the load is told; it decides nothing of the outcome.
    pub load: Option<LoadSource>,
}

/// What must stand at a place of a JSON document.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// This string.
    Text(String),
    /// This number.
    Number(f64),
    /// `true` or `false`.
    Flag(bool),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Text(text) => write!(f, "\"{text}\""),
            Wanted::Number(number) => number.fmt(f),
            Wanted::Flag(flag) => flag.fmt(f),
        }
    }
}

/// The version of HTTP that a probe speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1 (RFC 9112).
    One,
    /// HTTP/2 (RFC 9113): over TLS by ALPN, else with prior knowledge.
    Two,
    /// Over TLS, which of them the server chooses.
    Any,
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
    /// A certificate that holds for less is warned of; it turns no verdict. 0 s (never) ..= 365 d, default 14 d.
    pub expires_within: Duration,
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

/// What an SRT probe asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Srt {
    /// The stream id of a conclusion, 1 to 512 octets; default: induction alone.
    pub streamid: Option<String>,
    /// What a rejection means.
    pub rejected: Rejected,
}

/// What it means that a server rejects us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It lives, and wants others: the probe succeeds.
    Succeeds,
    /// It must take us: the probe fails.
    Fails,
}

/// What is asked of a DNS server and what must come back.
#[derive(Clone, Debug, PartialEq)]
pub struct Dns {
    /// The name, absolute.
    pub name: Name,
    /// The type; default A.
    pub rtype: u16,
    /// UDP (default) or TCP.
    pub over: DnsOver,
    /// The RCODE, one of [`RCODES`]; default NOERROR.
    pub rcode: u16,
    /// At least so many records of the type; default 1 where the RCODE is NOERROR, else 0.
    pub answers: u16,
    /// Whether AA must be set; default false.
    pub authoritative: bool,
}

/// What a DNS query goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsOver {
    /// Datagrams.
    Udp,
    /// A connection of its own.
    Tcp,
}

/// The RCODEs that a check can want, in the words of RFC 1035 and RFC 2136.
pub const RCODES: [(&str, u16); 7] = [
    ("NOERROR", rcode::NOERROR),
    ("FORMERR", rcode::FORMERR),
    ("SERVFAIL", rcode::SERVFAIL),
    ("NXDOMAIN", rcode::NXDOMAIN),
    ("NOTIMP", rcode::NOTIMP),
    ("REFUSED", rcode::REFUSED),
    ("NOTAUTH", rcode::NOTAUTH),
];

/// What of echoes is a failure beside a lost one.
#[derive(Clone, Debug, PartialEq)]
pub struct Icmp {
    /// The loss that is too much; default: none is.
    pub loss: Option<Loss>,
}

/// A share of the last echoes.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// While more than this share is lost, an echo that comes back is a failure, too; 0 ..= 1, without both ends.
    pub max: f64,
    /// Of so many; 5..=1000, default 20.
    pub window: u16,
}

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub struct Exec {
    /// The program by its absolute path, then its arguments, in which `${NAME}` of [`VARIABLES`] is replaced.
    pub command: Vec<String>,
    /// The label of the performance data that tells the load; default `load`.
    pub load: String,
    /// Whether 3 (UNKNOWN) is the target's failure, as with plugins that say so where they cannot connect; else it says nothing
    /// of the target, and its verdict stands.
    pub unknown_fails: bool,
}

/// What a command is told in its environment and in arguments: the probed address and port, the node, its cluster, and the
/// address that is answered.
pub const VARIABLES: [&str; 5] = ["TARGET", "PORT", "NODE", "CLUSTER", "ADDRESS"];

/// The checks that probe for this one: itself, or those that it is made of, each once.
pub fn probing(checks: &[Arc<Check>], check: CheckId) -> Vec<CheckId> {
    let mut found = Vec::new();
    let (mut next, mut seen) = (vec![check], vec![false; checks.len()]);
    while let Some(id) = next.pop() {
        if std::mem::replace(&mut seen[usize::from(id.0)], true) {
            continue;
        }
        match &checks[usize::from(id.0)].kind {
            Kind::Several(several) => next.extend(several.of.iter().rev()),
            _ => found.push(id),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_relapse_is_held_for_twice_as_long_up_to_a_limit() {
        let hold = HoldDown { first: Duration::from_secs(30), most: Duration::from_secs(600) };
        let held: Vec<u64> = (1..=7).map(|relapses| hold.of(relapses).as_secs()).collect();
        assert_eq!(held, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(hold.of(1000).as_secs(), 600);
        assert_eq!(HoldDown::default().of(5), Duration::ZERO);
    }
}
