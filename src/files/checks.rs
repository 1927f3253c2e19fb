//! `[check.…]` of clusters.toml: how nodes are probed.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::document::{Table, Value, Written};
use super::issue::Issue;
use super::words::{listed, shown};
use crate::health::check::{Check, Http, HttpMethod, Kind, Rtmp, Tls};

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
}

/// A check as it is written.
#[derive(Clone, Debug)]
pub struct WrittenCheck {
    /// Its key.
    pub key: Written<Arc<str>>,
    /// What it says; `roots` are not read yet.
    pub check: Check,
    /// The file of the roots that an https probe trusts.
    pub roots: Option<Written<PathBuf>>,
}

/// The keys that some kinds have and others have not.
const KEYS_OF_KINDS: [(&str, &[&str]); 10] = [
    ("method", &["http", "https"]),
    ("path", &["http", "https"]),
    ("headers", &["http", "https"]),
    ("expect", &["http", "https"]),
    ("host", &["http", "https", "rtmp"]),
    ("sni", &["https"]),
    ("verify", &["https"]),
    ("roots", &["https"]),
    ("app", &["rtmp"]),
    ("kind", &["tcp", "http", "https", "rtmp"]),
];

/// What a `kind` says.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    Tcp,
    Http,
    Https,
    Rtmp,
}

/// The words of `kind`.
const KINDS: [(&str, Word); 4] =
    [("tcp", Word::Tcp), ("http", Word::Http), ("https", Word::Https), ("rtmp", Word::Rtmp)];

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
        Some(Word::Tcp) | None => (Kind::Tcp, None),
    };
    if word == Some(Word::Tcp) && port_value.is_none() {
        table.missing("port", "port = 1935", issues);
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

fn http(table: &mut Table<'_>, issues: &mut Vec<Issue>) -> Http {
    let methods = [("GET", HttpMethod::Get), ("HEAD", HttpMethod::Head)];
    let method = table.take("method").and_then(|value| value.word(&methods, issues));
    let method = method.unwrap_or(HttpMethod::Get);
    let path = table.take("path").and_then(|value| path(&value, issues));
    let host = table.take("host").and_then(|value| host(&value, issues));
    let headers = table.take("headers").map(|value| headers(&value, issues)).unwrap_or_default();
    let expect = table.take("expect").map(|value| expect(&value, method, issues)).unwrap_or_default();
    let status = if expect.status.is_empty() { vec![default::STATUS] } else { expect.status };
    Http {
        method,
        path: path.unwrap_or_else(|| default::PATH.into()),
        host,
        headers,
        status,
        body: expect.body,
        expect_headers: expect.headers,
    }
}

fn tls(table: &mut Table<'_>, roots: &mut Option<Written<PathBuf>>, issues: &mut Vec<Issue>) -> Tls {
    let sni = table.take("sni").and_then(|value| host(&value, issues));
    let verify = table.take("verify").and_then(|value| value.flag(issues)).unwrap_or(true);
    *roots = table.take("roots").and_then(|value| value.path(issues));
    if let Some(roots) = roots.as_ref().filter(|_| !verify) {
        let issue = Issue::error(roots.at.clone(), "`roots` are of no use where `verify` is false");
        issues.push(issue.remedy("leave one of them out"));
    }
    Tls { sni, verify, roots: None }
}

fn rtmp(table: &mut Table<'_>, issues: &mut Vec<Issue>) -> Rtmp {
    let app = table.take("app").and_then(|value| value.filled(issues));
    let host = table.take("host").and_then(|value| host(&value, issues));
    Rtmp { app: app.unwrap_or(default::APP).into(), host }
}

/// A request target: `/`, then what may stand in a request line (RFC 9112 §3.2).
fn path(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<String> {
    let text = value.text(issues)?;
    if !text.starts_with('/') {
        let issue = value.unfit("a path that begins with `/`");
        issues.push(issue.remedy(format!("write `\"/{}\"`", shown(text))));
        return None;
    }
    if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
        issues.push(value.unfit("a path without spaces and of ASCII alone").remedy("write others as `%20`"));
        return None;
    }
    Some(text.into())
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

/// Request headers, in the order of the file.
fn headers(value: &Value<'_>, issues: &mut Vec<Issue>) -> Vec<(String, String)> {
    let Some(mut table) = value.table("`headers`", issues) else { return Vec::new() };
    let mut headers = Vec::new();
    for entry in table.named() {
        if entry.key.eq_ignore_ascii_case("host") {
            let issue = Issue::error(entry.key_at, "`Host` is not one of `headers`");
            issues.push(issue.remedy("write it as `host` of the check"));
            continue;
        }
        headers.extend(header(&entry, issues));
    }
    headers
}

/// A header's name and value (RFC 9110 §5.1, §5.5).
fn header(entry: &Value<'_>, issues: &mut Vec<Issue>) -> Option<(String, String)> {
    let token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    if entry.key.is_empty() || !entry.key.bytes().all(token) {
        let what = format!("`{}` is not the name of a header", shown(entry.key));
        issues.push(Issue::error(entry.key_at.clone(), what));
        return None;
    }
    let text = entry.text(issues)?;
    Some((entry.key.into(), text.into()))
}

/// What must come back.
#[derive(Default)]
struct Expect {
    status: Vec<(u16, u16)>,
    body: Option<String>,
    headers: Vec<(String, String)>,
}

fn expect(value: &Value<'_>, method: HttpMethod, issues: &mut Vec<Issue>) -> Expect {
    let Some(mut table) = value.table("`expect`", issues) else { return Expect::default() };
    let status = table.take("status").map(|value| statuses(&value, issues)).unwrap_or_default();
    let body_value = table.take("body");
    let body = body_value.as_ref().and_then(|value| value.filled(issues)).map(String::from);
    let header_value = table.take("header");
    let headers = header_value.and_then(|value| value.table("`expect.header`", issues));
    let headers = headers.map(|mut headers| headers.named()).unwrap_or_default();
    let headers = headers.iter().filter_map(|entry| header(entry, issues)).collect();
    table.finish(issues);
    if let Some(value) = body_value.filter(|_| method == HttpMethod::Head) {
        let issue = Issue::error(value.key_at, "nothing answers `HEAD` with a body");
        issues.push(issue.remedy("write `method = \"GET\"`, or leave `body` out"));
    }
    Expect { status, body, headers }
}

/// Status codes: `200`, `"200-299"`, or a list of these.
fn statuses(value: &Value<'_>, issues: &mut Vec<Issue>) -> Vec<(u16, u16)> {
    let elements =
        if value.is_list() { value.filled_list("\"200-299\"", issues) } else { vec![value.clone()] };
    elements.iter().filter_map(|element| statuses_of(element, issues)).collect()
}

fn statuses_of(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<(u16, u16)> {
    let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=599).contains(code));
    let range = match (value.as_whole(), value.as_text()) {
        (Some(whole), _) => code(&whole.to_string()).map(|code| (code, code)),
        (_, Some(text)) => match text.split_once('-') {
            Some((from, to)) => code(from).zip(code(to)).filter(|(from, to)| from <= to),
            None => code(text).map(|code| (code, code)),
        },
        _ => None,
    };
    if range.is_none() {
        let issue = value.unfit("a status from 100 to 599, or a range of them");
        issues.push(issue.remedy("e.g. `\"200-299\"` or `[200, \"301-302\"]`"));
    }
    range
}
