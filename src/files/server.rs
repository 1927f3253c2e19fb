//! steerdns.toml: the server itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::admin::{Admin, admin};
use super::alerts::{self, WrittenAlerts};
use super::clusters::named;
use super::document::{Table, Value, Written, at_most, beside, each_once, read as read_document};
use super::git::{Git, git};
use super::issue::{At, Issue, Source};
use super::limits::{self, Cookies, Rrl};
use super::networks::prefix;
use super::transfers::{WrittenKey, WrittenTransfer, key, transfer};
use crate::geo::place::Prefix;
use crate::health::doubt::{CANARIES_MAX, Distrust};

/// The most answering threads.
const THREADS_MAX: i64 = 1024;
/// The most octets of an NSID: it goes into answers of 512 octets beside the longest name.
const NSID_OCTETS_MAX: usize = 64;

/// What steerdns.toml says, checked.
#[derive(Clone, Debug)]
pub struct ServerFile {
    /// Where queries are answered, over UDP and TCP; at least one, none twice.
    pub listen: Vec<SocketAddr>,
    /// The directory of the zone files; default `zones`. With `[git]` it is within the repository.
    pub zones: Written<PathBuf>,
    /// The directory of what survives a restart; default `state`.
    pub state: PathBuf,
    /// The answer to NSID, `id.server` and `hostname.bind`; 1 to 64 octets. `None`: no answer.
    pub nsid: Option<Arc<str>>,
    /// Answering over UDP.
    pub udp: Udp,
    /// Where its engine is written.
    pub engine_at: Option<At>,
    /// Answering over TCP.
    pub tcp: Tcp,
    /// The largest UDP answer, in octets; 512..=4096, default 1232: what passes everywhere without
    /// fragments (RFC 9715). Turn down where large answers get lost; up only where all clients are on networks of your own.
    pub edns_size: u16,
    /// Where addresses are.
    pub geoip: Geoip,
    /// Whether answers hold only what they must; default false. Turn it on where amplification matters more than round trips.
    pub minimal_responses: bool,
    /// How many answers a network gets.
    pub rrl: Rrl,
    /// DNS cookies.
    pub cookies: Cookies,
    /// The keys that clients may sign with.
    pub keys: Vec<WrittenKey>,
    /// Who may transfer zones that say nothing of it themselves, and who is told of their changes.
    pub transfer: WrittenTransfer,
    /// Whom the program becomes once its ports are open: a user, and a group where it is not that user's own.
    pub user: Option<Written<User>>,
    /// Who may ask `_why.<service>`; default loopback.
    pub explain_allow: Vec<Prefix>,
    /// When the server doubts what it sees: default, where canaries are named, when more than half of all targets fall
    /// within 10 s and most canaries fail, too.
    pub distrust: Distrust,
    /// Where `/metrics` and `/status` are; `None`: no such listener.
    pub admin: Option<Admin>,
    /// The file of the token by which nodes may say how busy they are; `None`: nobody may.
    pub push_token: Option<Written<PathBuf>>,
    /// The repository that zones, databases and geofeeds come from; `None`: they are files of this machine.
    pub git: Option<Written<Git>>,
    /// The working copy that they are read from, of a repository.
    pub tree: Option<PathBuf>,
    /// Whether files that change are read anew by themselves.
    pub reload: Reload,
    /// The least grave messages that are logged; default info.
    pub log: LogLevel,
    /// When operators are told of what is wrong, who, and how.
    pub alert: WrittenAlerts,
}

impl ServerFile {
    /// What this nameserver is called in alerts: its NSID, where it has one.
    pub fn name(&self) -> Arc<str> {
        self.nsid.clone().unwrap_or_else(|| "steerdns".into())
    }

    /// Reads zones, databases and geofeeds from this working copy of the repository; absolute paths stay those of this machine.
    pub(super) fn within(&mut self, tree: PathBuf) {
        let databases = self.geoip.databases.iter_mut().chain(&mut self.geoip.geofeeds);
        databases.chain([&mut self.zones]).for_each(|path| path.value = tree.join(&path.value));
        self.tree = Some(tree);
    }

    /// The keys whose values differ from `other`'s, of those that are read only at the start.
    pub fn changed_for_restart(&self, other: &ServerFile) -> Vec<&'static str> {
        let changed = [
            ("`listen`", self.listen != other.listen),
            ("`state`", self.state != other.state),
            ("`[udp]`", self.udp != other.udp),
            ("`[tcp]`", self.tcp != other.tcp),
            ("`[admin]`", self.admin != other.admin),
            ("`log`", self.log != other.log),
            ("`[git]`", self.git.as_ref().map(|git| &git.value) != other.git.as_ref().map(|git| &git.value)),
            (
                "`user`",
                self.user.as_ref().map(|user| &user.value) != other.user.as_ref().map(|user| &user.value),
            ),
            // Buffers are made at the start.
            ("`edns.size`", self.edns_size.max(default::EDNS_SIZE) < other.edns_size),
        ];
        changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
    }
}

/// A user of this machine, and a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's name.
    pub user: String,
    /// The group's name; `None`: the user's own.
    pub group: Option<String>,
}

/// Answering over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Answering threads; 0 (default) means one per core, at most 1024.
    pub threads: u16,
    /// What moves datagrams.
    pub engine: Engine,
}

/// What moves datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// `mmsg` on Linux, `portable` elsewhere.
    #[default]
    Auto,
    /// recvmmsg and sendmmsg, in batches: Linux alone.
    Mmsg,
    /// One datagram a call: everywhere.
    Portable,
    /// hickory-server's listener.
    Hickory,
}

/// Answering over TCP (RFC 7766).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// A connection without a query is closed after this long; 1 s ..= 1 h, default 10 s (RFC 7766 §6.2.3).
    pub idle: Duration,
    /// The most connections of one client; 1..=65535, default 32. Less than `connections`.
    pub per_client: u32,
    /// The most connections in all; 1..=1,000,000, default 1024. Each may hold 64 KiB.
    pub connections: u32,
}

/// When files are read anew by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Whether they are once they change; default false: at SIGHUP and `steerdns reload` alone.
    pub watch: bool,
    /// For how long nothing may have changed before they are read; 100 ms ..= 5 min, default 2 s. Longer than whatever writes them
    /// pauses: turn it up where reloads are refused while files are being copied.
    pub settle: Duration,
}

/// Where addresses are.
#[derive(Clone, Debug, Default)]
pub struct Geoip {
    /// GeoIP databases: field by field, the first that knows it; none: the embedded country table.
    pub databases: Vec<Written<PathBuf>>,
    /// Geofeeds (RFC 8805), painted over the databases.
    pub geofeeds: Vec<Written<PathBuf>>,
}

/// The least grave messages that are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What ends or harms the service.
    Error,
    /// What an operator should look at.
    Warn,
    /// Verdicts, reloads, starts and ends.
    #[default]
    Info,
    /// Every probe.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// How it is written.
    pub fn word(self) -> &'static str {
        LOG_LEVELS.into_iter().find(|(_, level)| *level == self).map_or("info", |(word, _)| word)
    }
}

/// All defaults of steerdns.toml.
mod default {
    use super::{Duration, Reload, Tcp};

    pub(super) const ZONES: &str = "zones";
    pub(super) const STATE: &str = "state";
    pub(super) const EDNS_SIZE: u16 = 1232;
    pub(super) const DISTRUST: f64 = 0.5;
    pub(super) const TCP: Tcp = Tcp { idle: Duration::from_secs(10), per_client: 32, connections: 1024 };
    pub(super) const RELOAD: Reload = Reload { watch: false, settle: Duration::from_secs(2) };
}

/// Reads steerdns.toml; what is wrong is told, and holds its default in what is given back.
pub fn read(source: &Arc<Source>, issues: &mut Vec<Issue>) -> ServerFile {
    read_document(source, issues, |table, issues| root(source, table, issues)).0
}

fn root(source: &Arc<Source>, mut table: Table<'_>, issues: &mut Vec<Issue>) -> ServerFile {
    let listen = table.need("listen", "listen = [\"127.0.0.1:5300\", \"[::1]:5300\"]", issues);
    let listen = listen.map(|value| sockets(&value, issues)).unwrap_or_default();
    let here = |text: &str| beside(&source.path, text);
    let zones_value = table.take("zones");
    let state = table.take("state").and_then(|value| value.path(issues));
    let state = state.map_or_else(|| here(default::STATE), |state| state.value);
    let nsid = table.take("nsid").and_then(|value| nsid(&value, issues));
    let log = table.take("log").and_then(|value| value.word(&LOG_LEVELS, issues));
    let mut section = |key: &'static str, issues: &mut Vec<Issue>| {
        table.take(key).and_then(|value| value.table(format!("`[{key}]`"), issues))
    };
    let git = section("git", issues).map(|table| git(table, &source.path, &state, issues));
    let of_zones: ReadPath = if git.is_some() { within_repository } else { of_machine };
    let udp = section("udp", issues).map(|table| udp(table, issues));
    let (udp, engine_at) = udp.unwrap_or((Udp { threads: 0, engine: Engine::default() }, None));
    let tcp = section("tcp", issues).map_or(default::TCP, |table| tcp(table, issues));
    let edns = section("edns", issues).and_then(|table| edns(table, issues));
    let geoip = section("geoip", issues).map(|table| geoip(table, of_zones, issues));
    let explain = section("explain", issues).and_then(|table| explain(table, issues));
    let rrl = limits::rrl(section("rrl", issues), loopback(), issues);
    let cookies = section("cookies", issues).map(|table| limits::cookies(table, issues));
    let secondaries = section("transfer", issues).map(|table| transfer(table, issues));
    let mut push_token = None;
    let admin = section("admin", issues).and_then(|table| admin(table, &listen, &mut push_token, issues));
    let distrust = section("health", issues).map(|table| distrust(table, issues));
    let reload = section("reload", issues).map(|table| reload(table, issues));
    let alert = section("alert", issues).map(|table| alerts::alerts(table, issues));
    let minimal = table.take("minimal_responses").and_then(|value| value.flag(issues));
    let user = table.take("user").and_then(|value| user(&value, issues));
    let keys: Vec<WrittenKey> = named(&mut table, "key", issues, key);
    let zones = zones_value.and_then(|value| of_zones(&value, issues)).unwrap_or_else(|| Written {
        value: if git.is_some() { default::ZONES.into() } else { here(default::ZONES) },
        at: table.at().clone(),
    });
    table.finish(issues);
    ServerFile {
        listen: listen.into_iter().map(|socket| socket.value).collect(),
        zones,
        state,
        nsid,
        udp,
        engine_at,
        tcp,
        edns_size: edns.unwrap_or(default::EDNS_SIZE),
        geoip: geoip.unwrap_or_default(),
        explain_allow: explain.unwrap_or_else(loopback),
        distrust: distrust.unwrap_or_default(),
        admin,
        push_token,
        git,
        tree: None,
        reload: reload.unwrap_or(default::RELOAD),
        log: log.unwrap_or_default(),
        minimal_responses: minimal.unwrap_or(false),
        rrl,
        cookies: cookies.unwrap_or_default(),
        keys,
        transfer: secondaries.unwrap_or_default(),
        user,
        alert: alert.unwrap_or_default(),
    }
}

/// `user`, or `user:group`.
fn user(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Written<User>> {
    let text = value.filled(issues)?;
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    if user.is_empty() || group.is_some_and(str::is_empty) {
        issues.push(value.unfit("a user, or a user and a group: `steerdns:dns`"));
        return None;
    }
    Some(value.written(User { user: user.into(), group: group.map(str::to_owned) }))
}

/// The words of `log`.
const LOG_LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// The words of `udp.engine`.
const ENGINES: [(&str, Engine); 4] = [
    ("auto", Engine::Auto),
    ("mmsg", Engine::Mmsg),
    ("portable", Engine::Portable),
    ("hickory", Engine::Hickory),
];

fn udp(mut table: Table<'_>, issues: &mut Vec<Issue>) -> (Udp, Option<At>) {
    let threads = table.take("threads").and_then(|value| value.whole(0..=THREADS_MAX, issues));
    let engine = table.take("engine");
    let engine_at = engine.as_ref().map(|value| value.at.clone());
    let engine = engine.and_then(|value| value.word(&ENGINES, issues));
    table.finish(issues);
    let threads = threads.and_then(|threads| threads.try_into().ok()).unwrap_or(0);
    (Udp { threads, engine: engine.unwrap_or_default() }, engine_at)
}

fn tcp(mut table: Table<'_>, issues: &mut Vec<Issue>) -> Tcp {
    let idle = Duration::from_secs(1)..=Duration::from_secs(3600);
    let idle = table.take("idle").and_then(|value| value.duration(idle, issues));
    let per_client_value = table.take("per_client");
    let per_client = per_client_value.as_ref().and_then(|value| count(value, 65_535, issues));
    let connections = table.take("connections").and_then(|value| count(&value, 1_000_000, issues));
    table.finish(issues);
    let tcp = Tcp {
        idle: idle.unwrap_or(default::TCP.idle),
        per_client: per_client.unwrap_or(default::TCP.per_client),
        connections: connections.unwrap_or(default::TCP.connections),
    };
    if let Some(value) = per_client_value.filter(|_| tcp.per_client > tcp.connections) {
        let what =
            format!("`per_client` is {}, and there are only {} in all", tcp.per_client, tcp.connections);
        issues.push(Issue::error(value.at, what).remedy("`per_client` must not exceed `connections`"));
    }
    tcp
}

/// `[reload]`.
fn reload(mut table: Table<'_>, issues: &mut Vec<Issue>) -> Reload {
    let wanted = table.take("watch");
    let watch = wanted.as_ref().and_then(|value| value.flag(issues));
    let range = Duration::from_millis(100)..=Duration::from_secs(300);
    let written = table.take("settle");
    let settle = written.as_ref().and_then(|value| value.duration(range, issues));
    table.finish(issues);
    let is_off = wanted.is_none() || watch == Some(false);
    if let (true, Some(value)) = (is_off, written) {
        let issue = Issue::warning(value.key_at, "`settle` does nothing without `watch = true`");
        issues.push(issue.remedy("files are read at SIGHUP and `steerdns reload` alone"));
    }
    Reload { watch: watch.unwrap_or(default::RELOAD.watch), settle: settle.unwrap_or(default::RELOAD.settle) }
}

fn count(value: &Value<'_>, max: i64, issues: &mut Vec<Issue>) -> Option<u32> {
    value.whole(1..=max, issues).and_then(|count| count.try_into().ok())
}

fn edns(mut table: Table<'_>, issues: &mut Vec<Issue>) -> Option<u16> {
    // RFC 6891 §6.2.3: less than 512 is treated as 512.
    let size = table.take("size").and_then(|value| value.whole(512..=4096, issues));
    table.finish(issues);
    size.and_then(|size| size.try_into().ok())
}

/// How the path of a zone, a database or a geofeed is read.
type ReadPath = fn(&Value<'_>, &mut Vec<Issue>) -> Option<Written<PathBuf>>;

fn of_machine(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Written<PathBuf>> {
    value.path(issues)
}

fn within_repository(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Written<PathBuf>> {
    value.filled(issues).map(|text| value.written(text.into()))
}

fn geoip(mut table: Table<'_>, path: ReadPath, issues: &mut Vec<Issue>) -> Geoip {
    let mut paths = |key: &'static str, example: &str| {
        let elements = table.take(key).map(|value| value.list(example, issues)).unwrap_or_default();
        elements.iter().filter_map(|element| path(element, issues)).collect()
    };
    let databases = paths("databases", "\"geoip/City.mmdb\"");
    let geofeeds = paths("geofeeds", "\"geoip/own.csv\"");
    table.finish(issues);
    Geoip { databases, geofeeds }
}

fn explain(mut table: Table<'_>, issues: &mut Vec<Issue>) -> Option<Vec<Prefix>> {
    let allow = table.take("allow");
    table.finish(issues);
    let elements = allow?.list("\"192.0.2.0/24\"", issues);
    Some(elements.iter().filter_map(|element| prefix(element, issues)).collect())
}

/// `[health]`.
fn distrust(mut table: Table<'_>, issues: &mut Vec<Issue>) -> Distrust {
    let share = table.take("distrust");
    let number = share.as_ref().and_then(|value| value.number(issues));
    if let Some(value) = share.as_ref().filter(|_| number.is_some_and(|share| !(0.0..1.0).contains(&share))) {
        issues.push(
            value.unfit("a share from 0 to less than 1").remedy("e.g. `distrust = 0.5`: half of all targets"),
        );
    }
    let canaries = table.take("canaries");
    let elements = canaries.map(|value| value.filled_list("\"9.9.9.9:53\"", issues)).unwrap_or_default();
    let addresses: Vec<_> = elements.iter().filter_map(|element| canary(element, issues)).collect();
    let at = table.at().clone();
    at_most(addresses.len(), CANARIES_MAX, "canaries", &at, issues);
    let canaries = each_once(addresses, issues);
    if let Some(value) = share.filter(|_| elements.is_empty()) {
        let issue = Issue::warning(
            value.key_at,
            "`distrust` does nothing without `canaries`: nothing says otherwise",
        );
        issues.push(
            issue.remedy("name what always answers, e.g. `canaries = [\"9.9.9.9:53\", \"1.1.1.1:53\"]`"),
        );
    }
    table.finish(issues);
    Distrust {
        share: number.unwrap_or(default::DISTRUST),
        canaries: canaries.into_iter().map(|canary| canary.value).collect(),
    }
}

/// An address and a port.
fn canary(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Written<SocketAddr>> {
    let text = value.text(issues)?;
    match text.parse::<SocketAddr>() {
        Ok(socket) if socket.port() != 0 && !socket.ip().is_unspecified() => Some(value.written(socket)),
        _ => {
            issues.push(
                value
                    .unfit("an address and a port")
                    .remedy("e.g. `\"9.9.9.9:53\"` or `\"[2620:fe::fe]:53\"`"),
            );
            None
        }
    }
}

fn nsid(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Arc<str>> {
    let text = value.filled(issues)?;
    if text.len() > NSID_OCTETS_MAX {
        issues.push(value.unfit(&format!("at most {NSID_OCTETS_MAX} octets")));
        return None;
    }
    Some(text.into())
}

fn sockets(value: &Value<'_>, issues: &mut Vec<Issue>) -> Vec<Written<SocketAddr>> {
    let elements = value.filled_list("\"127.0.0.1:5300\"", issues);
    let sockets = elements.iter().filter_map(|element| Some(element.written(socket(element, issues)?)));
    let sockets = sockets.collect();
    each_once(sockets, issues)
}

/// An address and a port to listen on.
pub(super) fn socket(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<SocketAddr> {
    let text = value.text(issues)?;
    let Ok(socket) = text.parse::<SocketAddr>() else {
        let issue = value.unfit("an address and a port");
        issues.push(match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(v4)) => issue.remedy(format!("e.g. `\"{v4}:53\"`")),
            Ok(IpAddr::V6(v6)) => issue.remedy(format!("e.g. `\"[{v6}]:53\"`")),
            Err(_) => {
                issue.remedy("e.g. `\"127.0.0.1:5300\"` or `\"[::1]:5300\"`; host names are not looked up")
            }
        });
        return None;
    };
    if socket.ip().is_multicast() {
        issues.push(value.unfit("a unicast address"));
        return None;
    }
    Some(socket)
}

fn loopback() -> Vec<Prefix> {
    vec![Prefix::around(Ipv4Addr::LOCALHOST.into(), 8), Prefix::around(Ipv6Addr::LOCALHOST.into(), 128)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> ServerFile {
        let mut issues = Vec::new();
        let source = Arc::new(Source { path: "/etc/steerdns/steerdns.toml".into(), text: text.into() });
        let server = read(&source, &mut issues);
        assert!(issues.is_empty(), "{issues:?}");
        server
    }

    #[test]
    fn a_listener_is_all_that_must_be_written() {
        let server = server("listen = [\"[::1]:0\"]");
        assert_eq!(server.listen, ["[::1]:0".parse().unwrap()]);
        assert_eq!(server.zones.value, PathBuf::from("/etc/steerdns/zones"));
        assert_eq!(server.state, PathBuf::from("/etc/steerdns/state"));
        assert_eq!(server.udp, Udp { threads: 0, engine: Engine::Auto });
        assert_eq!(server.tcp, Tcp { idle: Duration::from_secs(10), per_client: 32, connections: 1024 });
        assert_eq!((server.edns_size, server.admin, server.log), (1232, None, LogLevel::Info));
        assert_eq!(format!("{:?}", server.explain_allow), "[127.0.0.0/8, ::1/128]");
        assert_eq!(server.reload, Reload { watch: false, settle: Duration::from_secs(2) });
    }

    #[test]
    fn every_key_is_read() {
        let server = server(
            "listen = [\"127.0.0.1:53\"]\nzones = \"/srv/zones\"\nnsid = \"sin\"\nlog = \"debug\"\n\
             udp = { threads = 4, engine = \"portable\" }\n\
             tcp = { idle = \"30s\", per_client = 2, connections = 10 }\nedns = { size = 1024 }\n\
             geoip = { databases = [\"a.mmdb\"], geofeeds = [\"b.csv\"] }\n\
             explain = { allow = [\"192.0.2.0/24\"] }\n\
             reload = { watch = true, settle = \"30s\" }\n\
             admin = { listen = \"127.0.0.1:9353\", names = [\"Sin-ns1.example.com.\"] }",
        );
        assert_eq!(server.zones.value, PathBuf::from("/srv/zones"));
        assert_eq!(server.nsid.as_deref(), Some("sin"));
        assert_eq!(server.udp, Udp { threads: 4, engine: Engine::Portable });
        assert_eq!(server.tcp, Tcp { idle: Duration::from_secs(30), per_client: 2, connections: 10 });
        assert_eq!((server.edns_size, server.log), (1024, LogLevel::Debug));
        assert_eq!(server.geoip.databases[0].value, PathBuf::from("/etc/steerdns/a.mmdb"));
        assert_eq!(server.geoip.geofeeds[0].value, PathBuf::from("/etc/steerdns/b.csv"));
        assert_eq!(format!("{:?}", server.explain_allow), "[192.0.2.0/24]");
        assert_eq!(server.reload, Reload { watch: true, settle: Duration::from_secs(30) });
        let names = vec!["sin-ns1.example.com".to_owned()];
        assert_eq!(server.admin, Some(Admin { listen: "127.0.0.1:9353".parse().unwrap(), names }));
    }
}
