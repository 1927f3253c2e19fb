//! `[check.…]` of clusters.toml: how nodes are probed.

mod dns;
mod exec;
mod http;
mod icmp;
mod rtmp;
mod srt;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::dns::dns;
use self::exec::exec;
use self::http::{http, tls};
use self::icmp::icmp;
use self::rtmp::rtmp;
use self::srt::srt;
use super::document::{Value, Written};
use super::issue::Issue;
use super::words::{listed, shown};
use crate::health::check::{Check, Kind};

/// Of kinds that need none.
const NO_PORT: u16 = 0;
/// From probe to probe.
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
/// How long a probe may take.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(60);
/// How many outcomes turn a verdict.
const TURNS: RangeInclusive<i64> = 1..=100;

/// All defaults of a check.
mod default {
    use std::time::Duration;

    pub(super) const INTERVAL: Duration = Duration::from_secs(1);
    pub(super) const TIMEOUT: Duration = Duration::from_millis(2500);
    pub(super) const FALL: u32 = 5;
    pub(super) const RISE: u32 = 5;
    pub(super) const PATH: &str = "/";
    pub(super) const STATUS: (u16, u16) = (200, 299);
    pub(super) const APP: &str = "live";
    pub(super) const HTTP_PORT: u16 = 80;
    pub(super) const HTTPS_PORT: u16 = 443;
    pub(super) const RTMP_PORT: u16 = 1935;
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
    /// The file of the roots that a probe over TLS trusts.
    pub roots: Option<Written<PathBuf>>,
}

/// The keys that some kinds have and others have not.
const KEYS_OF_KINDS: [(&str, &[&str]); 22] = [
    ("method", &["http", "https"]),
    ("path", &["http", "https"]),
    ("headers", &["http", "https"]),
    ("expect", &["http", "https"]),
    ("host", &["http", "https", "rtmp", "rtmps"]),
    ("sni", &["https", "rtmps"]),
    ("verify", &["https", "rtmps"]),
    ("roots", &["https", "rtmps"]),
    ("app", &["rtmp", "rtmps"]),
    ("play", &["rtmp", "rtmps"]),
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
    ("load", &["exec"]),
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
}

/// The words of `kind`.
const KINDS: [(&str, Word); 11] = [
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
];

/// Reads one check.
pub fn check(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<WrittenCheck> {
    let key = value.label("check", issues);
    let mut table = value.table(format!("check `{}`", shown(value.key)), issues)?;
    let word = table.need("kind", "kind = \"tcp\"", issues);
    let word = word.and_then(|value| value.word(&KINDS, issues));
    let port_value = table.take("port");
    let port = port_value.as_ref().and_then(|value| port(value, issues));
    let interval = table.take("interval").and_then(|value| value.duration(INTERVAL, issues));
    let timeout = table.take("timeout").and_then(|value| value.duration(TIMEOUT, issues));
    let mut turns = |key| table.take(key).and_then(|value| value.whole(TURNS, issues));
    let fall = turns("fall").and_then(|fall| fall.try_into().ok());
    let rise = turns("rise").and_then(|rise| rise.try_into().ok());
    let mut roots = None;
    let (kind, usual_port) = match word {
        Some(Word::Http) => (Kind::Http(http(&mut table, issues)), Some(default::HTTP_PORT)),
        Some(Word::Https) => {
            let http = http(&mut table, issues);
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
        Some(Word::Tcp) | None => (Kind::Tcp, None),
    };
    if word.is_some() && usual_port.is_none() && port_value.is_none() {
        table.missing("port", "port = 1935", issues);
    }
    if let Some(value) = port_value.filter(|_| word == Some(Word::Icmp)) {
        issues.push(Issue::error(value.key_at, "an echo has no `port`").remedy("leave it out"));
    }
    let kind_word = word.map_or("", |_| kind.word());
    for (key, kinds) in KEYS_OF_KINDS {
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
    };
    Some(WrittenCheck { key, check, roots })
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
