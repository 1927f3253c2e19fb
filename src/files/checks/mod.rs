//! `[check.…]` of clusters.toml: how nodes are probed.

mod dns;
mod exec;
mod expect;
mod http;
mod icmp;
mod layers;
mod media;
mod rtmp;
mod srt;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::dns::dns;
use self::exec::exec;
use self::http::{http, https, protocols, tls};
use self::icmp::icmp;
pub use self::layers::{Least, WrittenLayers};
use self::media::{flv, grpc, hls, whip};
use self::rtmp::rtmp;
use self::srt::srt;
use super::document::{Table, Value, Written};
use super::duration::shown as shown_duration;
use super::issue::Issue;
use super::words::{listed, shown};
use crate::health::check::{Check, HoldDown, Kind, Several};
use crate::health::resource::Resource;

/// Of kinds that need none.
const NO_PORT: u16 = 0;
/// From probe to probe.
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
/// How long a probe may take.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(60);
/// How long a target that keeps falling is held down.
const HOLD_DOWN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
/// How many outcomes turn a verdict.
const TURNS: RangeInclusive<i64> = 1..=100;

/// When the end of a certificate is near.
const EXPIRES_WITHIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(365 * 86_400);

/// How long a playlist may stand still.
const MAX_AGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// How many tags of media must come.
const TAGS: RangeInclusive<i64> = 1..=1000;

/// All defaults of a check.
mod default {
    use std::time::Duration;

    use crate::health::check::HttpVersion;

    pub(super) const INTERVAL: Duration = Duration::from_secs(1);
    pub(super) const TIMEOUT: Duration = Duration::from_millis(2500);
    pub(super) const FALL: u32 = 5;
    pub(super) const RISE: u32 = 5;
    pub(super) const HOLD_DOWN: Duration = Duration::from_secs(30);
    pub(super) const HOLD_DOWN_MAX: Duration = Duration::from_secs(600);
    pub(super) const PATH: &str = "/";
    pub(super) const STATUS: (u16, u16) = (200, 299);
    pub(super) const APP: &str = "live";
    pub(super) const HTTP_PORT: u16 = 80;
    pub(super) const HTTPS_PORT: u16 = 443;
    pub(super) const RTMP_PORT: u16 = 1935;
    pub(super) const TAGS: u32 = 1;
    pub(super) const GRPC_PATH: &str = "/grpc.health.v1.Health/Check";
    pub(super) const VERSION: HttpVersion = HttpVersion::One;
    pub(super) const EXPIRES_WITHIN: Duration = Duration::from_secs(14 * 86_400);
    pub(super) const RTMPS_PORT: u16 = 443;
    pub(super) const STUN_PORT: u16 = 3478;
    pub(super) const DNS_PORT: u16 = 53;
    pub(super) const LOSS_WINDOW: u16 = 20;
    pub(super) const LOAD: &str = "load";
}

/// A check as it is written.
#[derive(Clone, Debug)]
pub struct WrittenCheck {
    /// Its key.
    pub key: Written<Arc<str>>,
    /// What it says; `roots` are not read yet.
    pub check: Check,
    /// The file of the roots that a probe trusts.
    pub roots: Option<Written<PathBuf>>,
    /// What it is made of, where other checks judge together.
    pub layers: Option<WrittenLayers>,
}

/// The keys that some kinds have and others have not.
const KEYS_OF_KINDS: &[(&str, &[&str])] = &[
    ("method", &["http", "https"]),
    ("path", &["http", "https", "hls", "flv", "whip"]),
    ("headers", &["http", "https", "hls", "flv", "whip", "grpc"]),
    ("expect", &["http", "https"]),
    ("host", &["http", "https", "rtmp", "rtmps", "hls", "flv", "whip", "grpc"]),
    ("sni", &["https", "tls", "rtmps", "hls", "flv", "whip", "grpc"]),
    ("verify", &["https", "tls", "rtmps", "hls", "flv", "whip", "grpc"]),
    ("roots", &["https", "tls", "rtmps", "hls", "flv", "whip", "grpc"]),
    ("expires_within", &["https", "tls", "rtmps", "hls", "flv", "whip", "grpc"]),
    ("app", &["rtmp", "rtmps"]),
    ("play", &["rtmp", "rtmps"]),
    ("alpn", &["tls"]),
    ("http", &["http", "https"]),
    ("load", &["http", "https", "exec"]),
    ("unknown", &["exec"]),
    ("tls", &["hls", "flv", "whip", "grpc"]),
    ("live", &["hls"]),
    ("max_age", &["hls"]),
    ("tags", &["flv"]),
    ("post", &["whip"]),
    ("token", &["whip"]),
    ("service", &["grpc"]),
    ("streamid", &["srt"]),
    ("rejected", &["srt"]),
    ("name", &["dns"]),
    ("type", &["dns"]),
    ("tcp", &["dns"]),
    ("rcode", &["dns"]),
    ("answers", &["dns"]),
    ("aa", &["dns"]),
    ("loss_max", &["icmp"]),
    ("window", &["icmp"]),
    ("command", &["exec"]),
    ("of", &["all", "any", "at-least"]),
    ("least", &["at-least"]),
];

/// What a `kind` says.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    Tcp,
    Http,
    Https,
    Rtmp,
    Rtmps,
    Srt,
    Stun,
    Dns,
    Icmp,
    Exec,
    Agent,
    Tls,
    Hls,
    Flv,
    Whip,
    Grpc,
    /// Other checks judge together.
    Several(Least),
}

/// The words of `kind`.
const KINDS: &[(&str, Word)] = &[
    ("tcp", Word::Tcp),
    ("http", Word::Http),
    ("https", Word::Https),
    ("rtmp", Word::Rtmp),
    ("rtmps", Word::Rtmps),
    ("srt", Word::Srt),
    ("stun", Word::Stun),
    ("dns", Word::Dns),
    ("icmp", Word::Icmp),
    ("exec", Word::Exec),
    ("agent", Word::Agent),
    ("tls", Word::Tls),
    ("hls", Word::Hls),
    ("flv", Word::Flv),
    ("whip", Word::Whip),
    ("grpc", Word::Grpc),
    ("all", Word::Several(Least::All)),
    ("any", Word::Several(Least::One)),
    ("at-least", Word::Several(Least::Some)),
];

/// Reads one check.
pub fn check(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<WrittenCheck> {
    let key = value.label("check", issues);
    let mut table = value.table(format!("check `{}`", shown(value.key)), issues)?;
    let word = table.need("kind", "kind = \"tcp\"", issues);
    let word = word.and_then(|value| value.word(KINDS, issues));
    let port_value = table.take("port");
    let port = port_value.as_ref().and_then(|value| port(value, issues));
    if let Some(Word::Several(least)) = word {
        return Some(layers::several(key, table, least, port, issues));
    }
    let interval = table.take("interval").and_then(|value| value.duration(INTERVAL, issues));
    let timeout = table.take("timeout").and_then(|value| value.duration(TIMEOUT, issues));
    let mut turns = |key| table.take(key).and_then(|value| value.whole(TURNS, issues));
    let fall = turns("fall").and_then(|fall| fall.try_into().ok());
    let rise = turns("rise").and_then(|rise| rise.try_into().ok());
    let hold_down = hold_down(&mut table, issues);
    let mut roots = None;
    let (kind, usual_port) = match word {
        Some(Word::Http) => (Kind::Http(http(&mut table, issues)), Some(default::HTTP_PORT)),
        Some(Word::Https) => {
            let http = https(&mut table, issues);
            let tls = tls(&mut table, &mut roots, issues);
            (Kind::Https(http, tls), Some(default::HTTPS_PORT))
        }
        Some(Word::Rtmp) => (Kind::Rtmp(rtmp(&mut table, issues)), Some(default::RTMP_PORT)),
        Some(Word::Rtmps) => {
            let rtmp = rtmp(&mut table, issues);
            let tls = tls(&mut table, &mut roots, issues);
            (Kind::Rtmps(rtmp, tls), Some(default::RTMPS_PORT))
        }
        Some(Word::Srt) => (Kind::Srt(srt(&mut table, issues)), None),
        Some(Word::Stun) => (Kind::Stun, Some(default::STUN_PORT)),
        Some(Word::Dns) => (Kind::Dns(dns(&mut table, issues)), Some(default::DNS_PORT)),
        Some(Word::Icmp) => (Kind::Icmp(icmp(&mut table, issues)), Some(NO_PORT)),
        Some(Word::Exec) => (Kind::Exec(exec(&mut table, issues)), Some(NO_PORT)),
        Some(Word::Agent) => (Kind::Agent, None),
        Some(Word::Tls) => {
            let protocols = table.take("alpn").map(|value| protocols(&value, issues)).unwrap_or_default();
            (Kind::Tls(tls(&mut table, &mut roots, issues), protocols), Some(default::HTTPS_PORT))
        }
        Some(Word::Hls) => {
            let hls = hls(&mut table, &mut roots, issues);
            let port = web_port(&hls.at);
            (Kind::Hls(hls), Some(port))
        }
        Some(Word::Flv) => {
            let flv = flv(&mut table, &mut roots, issues);
            let port = web_port(&flv.at);
            (Kind::Flv(flv), Some(port))
        }
        Some(Word::Whip) => {
            let whip = whip(&mut table, &mut roots, issues);
            let port = web_port(&whip.at);
            (Kind::Whip(whip), Some(port))
        }
        Some(Word::Grpc) => (Kind::Grpc(grpc(&mut table, &mut roots, issues)), None),
        Some(Word::Tcp | Word::Several(_)) | None => (Kind::Tcp, None),
    };
    if word.is_some() && usual_port.is_none() && port_value.is_none() {
        let example = if word == Some(Word::Grpc) { "port = 50051" } else { "port = 1935" };
        table.missing("port", example, issues);
    }
    if let Some(value) = port_value.filter(|_| word == Some(Word::Icmp)) {
        issues.push(Issue::error(value.key_at, "an echo has no `port`").remedy("leave it out"));
    }
    let kind_word = word.map_or("", |_| kind.word());
    for &(key, kinds) in KEYS_OF_KINDS {
        // Without a kind nobody knows which of these may stand here.
        let what = format!("`{key}` is not a key of a check of kind `{kind_word}`");
        let remedy = format!("it is one of kind {}", listed(kinds, "or"));
        if word.is_some() {
            table.refuse(key, &what, &remedy, issues);
        } else {
            table.take(key);
        }
    }
    table.finish(issues);
    let check = Check {
        key: key.value.clone(),
        kind,
        port: port.or(usual_port).unwrap_or(default::HTTP_PORT),
        interval: interval.unwrap_or(default::INTERVAL),
        timeout: timeout.unwrap_or(default::TIMEOUT),
        fall: fall.unwrap_or(default::FALL),
        rise: rise.unwrap_or(default::RISE),
        hold_down,
    };
    Some(WrittenCheck { key, check, roots, layers: None })
}

fn hold_down(table: &mut Table<'_>, issues: &mut Vec<Issue>) -> HoldDown {
    let first = table.take("hold_down");
    let most = table.take("hold_down_max").and_then(|value| value.duration(HOLD_DOWN, issues));
    let most = most.unwrap_or(default::HOLD_DOWN_MAX);
    let read = first.as_ref().and_then(|value| value.duration(HOLD_DOWN, issues));
    let hold = HoldDown { first: read.unwrap_or(default::HOLD_DOWN.min(most)), most };
    if let Some(value) = first.filter(|_| hold.first > hold.most) {
        let what = format!("`hold_down` is longer than `hold_down_max`, {}", shown_duration(most));
        issues.push(Issue::error(value.at, what).remedy("the first hold is the shortest one"));
    }
    hold
}

/// The port of what is asked for over HTTP.
fn web_port(at: &Resource) -> u16 {
    if at.tls.is_some() { default::HTTPS_PORT } else { default::HTTP_PORT }
}

fn port(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<u16> {
    value.whole(1..=65_535, issues).and_then(|port| port.try_into().ok())
}

/// A host name or address, as a Host header, a server name or a `tcUrl` has it.
fn host(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<String> {
    let text = value.filled(issues)?;
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._:[]".contains(&octet);
    if !text.bytes().all(plain) {
        issues.push(value.unfit("a host name").remedy("without scheme, path and spaces: `play.example.com`"));
        return None;
    }
    Some(text.into())
}
