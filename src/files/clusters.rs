//! zones/clusters.toml: clusters, their nodes, checks and policies, shared by all zones.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::balance::{Balancing, balance};
use super::checks::{WrittenCheck, check};
use super::document::{Table, Value, Wholeness, Written, at_most, read as read_document, same_keys};
use super::issue::{At, Issue, Source};
use super::policies::{WrittenPolicy, policy};
use super::words::shown;
use crate::cluster::{Address, CLUSTERS_MAX, FAMILY_ADDRESSES_MAX, Family, Node, Override, Word};
use crate::geo::place::Point;

/// The most checks: ids are small.
pub const CHECKS_MAX: usize = 1024;
/// What a cluster can carry: bits of a second would fit, too.
const CAPACITY: RangeInclusive<i64> = 1..=1_000_000_000_000_000;
/// How many nodes a cluster may need.
const MIN_NODES: RangeInclusive<i64> = 1..=FAMILY_ADDRESSES_MAX as i64;
/// How long a slow start may take.
const RAMP: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);
/// A node's share among its cluster's nodes.
const WEIGHT: RangeInclusive<i64> = 1..=1000;

/// What clusters.toml says; references are keys yet.
#[derive(Clone, Debug, Default)]
pub struct ClustersFile {
    /// The checks, in the order of the file.
    pub checks: Vec<WrittenCheck>,
    /// The clusters, in the order of the file.
    pub clusters: Vec<WrittenCluster>,
    /// The policies, in the order of the file.
    pub policies: Vec<WrittenPolicy>,
    /// How load is balanced.
    pub balancing: Balancing,
    /// Whether there is such a file at all.
    pub is_there: bool,
    /// Whether something may stand in it that was not understood.
    pub wholeness: Wholeness,
}

/// A cluster as it is written.
#[derive(Clone, Debug)]
pub struct WrittenCluster {
    /// Its key.
    pub key: Written<Arc<str>>,
    /// Where it stands.
    pub place: Point,
    /// The operator's own grouping.
    pub region: Option<Arc<str>>,
    /// What it can carry.
    pub capacity: Option<u64>,
    /// The check of services that name none.
    pub check: Option<Written<Arc<str>>>,
    /// It is up while at least so many of its nodes are; `None`: one.
    pub min_nodes: Option<Written<u16>>,
    /// How long it takes to come back to its whole share.
    pub ramp: Duration,
    /// An operator's word over the verdicts of its nodes.
    pub pinned: Option<Override>,
    /// Its nodes, in the order of the file.
    pub nodes: Vec<WrittenNode>,
    /// Whether all of it could be read: from what another lacks nothing follows.
    pub is_whole: bool,
}

impl WrittenCluster {
    /// Whether any node has an address of `family`.
    pub fn has(&self, family: Family) -> bool {
        let mut addresses = self.nodes.iter().flat_map(|node| &node.node.addresses);
        addresses.any(|address| Family::of(address.ip) == family)
    }
}

/// A node as it is written.
#[derive(Clone, Debug)]
pub struct WrittenNode {
    /// The node.
    pub node: Node,
    /// Where each of its addresses is written.
    pub addresses_at: Vec<At>,
}

/// Reads clusters.toml.
pub fn read(source: &Arc<Source>, issues: &mut Vec<Issue>) -> ClustersFile {
    let (file, wholeness) = read_document(source, issues, root);
    ClustersFile { wholeness, ..file }
}

fn root(mut table: Table<'_>, issues: &mut Vec<Issue>) -> ClustersFile {
    let checks = named(&mut table, "check", issues, check);
    let clusters = named(&mut table, "cluster", issues, cluster);
    let policies = named(&mut table, "policy", issues, policy);
    let balancing = table.take("balance").and_then(|value| value.table("`balance`", issues));
    let balancing = balancing.map(|table| balance(table, issues)).unwrap_or_default();
    let at = table.at().clone();
    table.finish(issues);
    same_keys(checks.iter().map(|check| &check.key), "check", issues);
    same_keys(clusters.iter().map(|cluster| &cluster.key), "cluster", issues);
    same_keys(policies.iter().map(|policy| &policy.key), "policy", issues);
    at_most(checks.len(), CHECKS_MAX, "checks", &at, issues);
    at_most(clusters.len(), CLUSTERS_MAX, "clusters", &at, issues);
    ClustersFile { checks, clusters, policies, balancing, is_there: true, wholeness: Wholeness::Whole }
}

/// Reads each table of `[key.…]`.
pub fn named<'d, T>(
    table: &mut Table<'d>,
    key: &'static str,
    issues: &mut Vec<Issue>,
    read: impl Fn(&Value<'d>, &mut Vec<Issue>) -> Option<T>,
) -> Vec<T> {
    let named = table.take(key).and_then(|value| value.table(format!("`{key}`"), issues));
    let named = named.map(|mut named| named.named()).unwrap_or_default();
    named.iter().filter_map(|value| read(value, issues)).collect()
}

fn cluster(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<WrittenCluster> {
    let key = value.label("cluster", issues);
    // Where the place could not be read an issue keeps this one from being used.
    let nowhere = Point::new(0.0, 0.0)?;
    let Some(mut table) = value.table(format!("cluster `{}`", shown(value.key)), issues) else {
        let nodes = Vec::new();
        return Some(WrittenCluster {
            key,
            place: nowhere,
            region: None,
            capacity: None,
            check: None,
            min_nodes: None,
            ramp: Duration::ZERO,
            pinned: None,
            nodes,
            is_whole: false,
        });
    };
    let place = table.need("place", "place = [1.35, 103.82]", issues);
    let place = place.and_then(|value| place_of(&value, issues));
    let region = table.take("region").and_then(|value| value.label_text(issues));
    let capacity = table.take("capacity").and_then(|value| value.whole(CAPACITY, issues));
    let check = table.take("check").and_then(|value| value.reference(issues));
    let min_nodes = table.take("min_nodes");
    let count = min_nodes.as_ref().and_then(|value| value.whole(MIN_NODES, issues));
    let min_nodes =
        min_nodes.zip(count).and_then(|(value, count)| Some(value.written(count.try_into().ok()?)));
    let ramp = table.take("ramp").and_then(|value| value.duration(RAMP, issues));
    let pinned = table.take("override").and_then(|value| pinned(&value, issues));
    let told = issues.len();
    let nodes = named(&mut table, "node", issues, node);
    if nodes.is_empty() {
        table.missing("node", "[cluster.sin.node]` with `sin-1 = [\"192.0.2.11\"]", issues);
    }
    let is_whole = issues.len() == told;
    let at = table.at().clone();
    table.finish(issues);
    same_keys(nodes.iter().map(|(key, _)| key), "node", issues);
    let nodes: Vec<WrittenNode> = nodes.into_iter().map(|(_, node)| node).collect();
    if let Some(needed) = min_nodes.as_ref().filter(|_| is_whole) {
        short_of_nodes(needed, &key.value, &nodes, issues);
    }
    for family in Family::ALL {
        let addresses = nodes.iter().flat_map(|node| &node.node.addresses);
        let count = addresses.filter(|address| Family::of(address.ip) == family).count();
        at_most(count, FAMILY_ADDRESSES_MAX, "addresses of one family in a cluster", &at, issues);
    }
    Some(WrittenCluster {
        key,
        place: place.unwrap_or(nowhere),
        region: region.map(|region| region.value),
        capacity: capacity.and_then(|capacity| capacity.try_into().ok()),
        check,
        min_nodes,
        ramp: ramp.unwrap_or_default(),
        pinned,
        nodes,
        is_whole,
    })
}

/// Says of a family that a cluster has too few nodes of it ever to be up.
fn short_of_nodes(needed: &Written<u16>, key: &str, nodes: &[WrittenNode], issues: &mut Vec<Issue>) {
    for family in Family::ALL {
        let has = |node: &&WrittenNode| node.node.addresses.iter().any(|own| Family::of(own.ip) == family);
        let count = nodes.iter().filter(has).count();
        if (1..usize::from(needed.value)).contains(&count) {
            let what = format!(
                "`min_nodes` is {}, but `{}` has {count} with an {} address: it would never be up there",
                needed.value,
                shown(key),
                family.name()
            );
            issues.push(Issue::error(needed.at.clone(), what).remedy(format!("at most {count}")));
        }
    }
}

/// `[latitude, longitude]`.
fn place_of(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Point> {
    let elements = value.list("1.35, 103.82", issues);
    let [lat, lon] = &elements[..] else {
        if value.is_list() {
            issues.push(value.unfit("latitude and longitude").remedy("e.g. `place = [1.35, 103.82]`"));
        }
        return None;
    };
    let (lat, lon) = lat.number(issues).zip(lon.number(issues))?;
    let point = Point::new(lat, lon);
    if point.is_none() {
        let issue =
            Issue::error(value.at.clone(), format!("latitude {lat}, longitude {lon} is not on the globe"));
        issues.push(match Point::new(lon, lat) {
            Some(_) => issue.remedy(format!("latitude comes first: `[{lon}, {lat}]`")),
            None => issue.remedy("latitude is -90 to 90, longitude -180 to 180"),
        });
    }
    point
}

fn node(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<(Written<Arc<str>>, WrittenNode)> {
    let key = value.label("node", issues);
    let mut node = Node { key: key.value.clone(), addresses: Vec::new(), weight: 1, pinned: None };
    if !value.is_table() {
        let example = "\"192.0.2.11\"";
        let addresses = addresses(value, example, issues);
        let addresses_at = addresses.iter().map(|address| address.at.clone()).collect();
        node.addresses = addresses.iter().map(|address| unprobed(address.value)).collect();
        return Some((key, WrittenNode { node, addresses_at }));
    }
    let mut table = value.table(format!("node `{}`", shown(value.key)), issues)?;
    let list = table.need("addresses", "addresses = [\"192.0.2.12\"]", issues);
    let written = list.map(|list| addresses(&list, "\"192.0.2.12\"", issues)).unwrap_or_default();
    node.addresses = written.iter().map(|address| unprobed(address.value)).collect();
    if let Some(weight) = table.take("weight").and_then(|value| value.whole(WEIGHT, issues)) {
        node.weight = u32::try_from(weight).unwrap_or(1);
    }
    if let Some(list) = table.take("probe") {
        probes(&list, &mut node.addresses, issues);
    }
    node.pinned = table.take("override").and_then(|value| pinned(&value, issues));
    table.finish(issues);
    let addresses_at = written.into_iter().map(|address| address.at).collect();
    Some((key, WrittenNode { node, addresses_at }))
}

/// An address that is probed where it answers.
fn unprobed(ip: IpAddr) -> Address {
    Address { ip, probe: ip, probe_port: None }
}

fn addresses(value: &Value<'_>, example: &str, issues: &mut Vec<Issue>) -> Vec<Written<IpAddr>> {
    let elements = value.filled_list(example, issues);
    elements.iter().filter_map(|element| address(element, issues)).collect()
}

/// An address to answer.
fn address(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Written<IpAddr>> {
    let text = value.text(issues)?;
    let Ok(ip) = text.parse::<IpAddr>() else {
        let issue = Issue::error(value.at.clone(), format!("`{}` is not an address", shown(text)));
        issues.push(match text.parse::<SocketAddr>() {
            Ok(socket) => issue.remedy(format!("write `\"{}\"`: the port belongs to the check", socket.ip())),
            Err(_) if text.contains('/') => issue.remedy("an address, not a network"),
            Err(_) => {
                issue.remedy("e.g. `\"192.0.2.11\"` or `\"2001:db8:1::11\"`; host names are not looked up")
            }
        });
        return None;
    };
    if !reachable(ip, value, issues) {
        return None;
    }
    let local = match ip {
        ip if ip.is_loopback() => Some("a loopback address"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        _ => None,
    };
    if let Some(local) = local {
        let issue = Issue::warning(value.at.clone(), format!("`{ip}` is {local}: no client reaches it"));
        issues.push(issue.remedy("where only probes go there, write it as `probe`"));
    }
    Some(value.written(ip))
}

/// Whether clients and probes can reach an address at all.
fn reachable(ip: IpAddr, value: &Value<'_>, issues: &mut Vec<Issue>) -> bool {
    let mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    let fault = match ip {
        ip if ip.is_unspecified() => "is the unspecified address",
        ip if ip.is_multicast() => "is a multicast address",
        IpAddr::V4(v4) if v4.is_broadcast() => "is the broadcast address",
        _ if mapped => "is an IPv4 address written as IPv6",
        _ => return true,
    };
    let issue = Issue::error(value.at.clone(), format!("`{ip}` {fault}: no node has it"));
    issues.push(match ip.to_canonical() {
        canonical if canonical != ip => issue.remedy(format!("write `\"{canonical}\"`")),
        _ => issue,
    });
    false
}

/// Where the addresses are probed instead: one each.
fn probes(value: &Value<'_>, addresses: &mut [Address], issues: &mut Vec<Issue>) {
    let elements = value.filled_list("\"10.0.0.12\"", issues);
    if elements.len() != addresses.len() && !elements.is_empty() && !addresses.is_empty() {
        let what = format!("`probe` names {} for {} of the node", elements.len(), addresses.len());
        issues.push(
            Issue::error(value.at.clone(), what).remedy("one for each of `addresses`, in the same order"),
        );
    }
    for (element, address) in elements.iter().zip(addresses) {
        if let Some((probe, port)) = probe(element, issues) {
            (address.probe, address.probe_port) = (probe, port);
        }
    }
}

/// An address, or an address and a port.
fn probe(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<(IpAddr, Option<u16>)> {
    let text = value.text(issues)?;
    let target = match (text.parse::<IpAddr>(), text.parse::<SocketAddr>()) {
        (Ok(ip), _) => (ip, None),
        (_, Ok(socket)) if socket.port() != 0 => (socket.ip(), Some(socket.port())),
        (_, Ok(socket)) => {
            let issue =
                Issue::error(value.at.clone(), format!("`{socket}` cannot be probed: port 0 is none"));
            issues.push(issue.remedy("a port from 1 to 65535"));
            return None;
        }
        _ => {
            let what = format!("`{}` is neither an address nor an address and a port", shown(text));
            let remedy = "e.g. `\"10.0.0.12\"`, `\"10.0.0.12:8080\"` or `\"[2001:db8::12]:8080\"`";
            issues.push(Issue::error(value.at.clone(), what).remedy(remedy));
            return None;
        }
    };
    reachable(target.0, value, issues).then_some(target)
}

/// The words of `override.verdict`.
const WORDS: [(&str, Word); 3] = [("drain", Word::Drain), ("down", Word::Down), ("up", Word::Up)];

fn pinned(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Override> {
    let mut table = value.table("`override`", issues)?;
    let verdict = table.need("verdict", "verdict = \"drain\"", issues);
    let word = verdict.and_then(|value| value.word(&WORDS, issues));
    let why = table.need("why", "why = \"disk replaced on Friday\"", issues);
    let why = why.and_then(|value| value.filled(issues));
    table.finish(issues);
    Some(Override { word: word?, why: why?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::check::{
        Dns, DnsOver, Exec, HttpMethod, HttpVersion, Icmp, Kind, Loss, Rejected, Srt, Wanted,
    };
    use crate::health::load::{Figure, LoadSource, Series};
    use crate::wire::name::Name;
    use std::time::Duration;

    fn file(text: &str) -> ClustersFile {
        let mut issues = Vec::new();
        let source = Arc::new(Source { path: "zones/clusters.toml".into(), text: text.into() });
        let file = read(&source, &mut issues);
        assert!(issues.is_empty(), "{issues:?}");
        file
    }

    #[test]
    fn clusters_keep_the_order_of_the_file() {
        let one =
            |key: &str| format!("[cluster.{key}]\nplace = [0, 0.5]\nnode = {{ n1 = [\"192.0.2.1\"] }}\n");
        let keys: Vec<String> = ["sin", "bkk", "ams"].map(one).into();
        let file = file(&keys.concat());
        let keys: Vec<&str> = file.clusters.iter().map(|cluster| &*cluster.key.value).collect();
        assert_eq!(keys, ["sin", "bkk", "ams"]);
    }

    #[test]
    fn a_node_may_be_probed_elsewhere() {
        let file = file(
            "[cluster.sin]\nplace = [1.35, 103.82]\n[cluster.sin.node]\n\
             sin-1 = [\"192.0.2.11\", \"2001:db8::11\"]\n\
             sin-2 = { addresses = [\"192.0.2.12\", \"2001:db8::12\"], weight = 2, \
             probe = [\"10.0.0.12\", \"[fd00::12]:8080\"], override = { verdict = \"drain\", why = \"disk\" } }",
        );
        let [one, two] = &file.clusters[0].nodes[..] else { panic!("two nodes") };
        assert!(one.node.addresses.iter().all(|address| address.probe == address.ip));
        assert_eq!((one.node.weight, &one.node.pinned), (1, &None));
        let probes: Vec<_> =
            two.node.addresses.iter().map(|address| (address.probe, address.probe_port)).collect();
        assert_eq!(probes, [("10.0.0.12".parse().unwrap(), None), ("fd00::12".parse().unwrap(), Some(8080))]);
        assert_eq!(two.node.pinned, Some(Override { word: Word::Drain, why: "disk".into() }));
        assert_eq!(two.node.weight, 2);
    }

    #[test]
    fn a_check_has_the_port_of_its_kind() {
        let file = file(
            "check.t = { kind = \"tcp\", port = 8890 }\ncheck.h = { kind = \"http\" }\n\
             check.s = { kind = \"https\" }\ncheck.r = { kind = \"rtmp\" }\ncheck.l = { kind = \"tls\" }",
        );
        let ports: Vec<u16> = file.checks.iter().map(|check| check.check.port).collect();
        assert_eq!(ports, [8890, 80, 443, 1935, 443]);
        let [_, http, https, rtmp, _] = &file.checks[..] else { panic!("five checks") };
        assert!(
            matches!(&http.check.kind, Kind::Http(http) if http.path == "/" && http.status == [(200, 299)])
        );
        assert!(matches!(&https.check.kind, Kind::Https(_, tls) if tls.verify));
        let two_weeks = Duration::from_secs(14 * 86_400);
        assert!(
            file.checks
                .iter()
                .filter_map(|check| check.check.kind.tls())
                .all(|tls| tls.expires_within == two_weeks)
        );
        assert!(matches!(&rtmp.check.kind, Kind::Rtmp(rtmp) if rtmp.app == "live"));
        assert_eq!((http.check.fall, http.check.rise), (5, 5));
    }

    #[test]
    fn checks_beyond_http_have_the_defaults_of_the_documentation() {
        let file = file(
            "check.a = { kind = \"rtmps\", play = \"show\" }\ncheck.b = { kind = \"srt\", port = 9000 }\n\
             check.c = { kind = \"stun\" }\ncheck.d = { kind = \"dns\", name = \"www.example.com\" }\n\
             check.e = { kind = \"icmp\", loss_max = 0.2 }\n\
             check.f = { kind = \"exec\", command = [\"/bin/true\", \"${NODE}\"] }\n\
             check.g = { kind = \"agent\", port = 9999 }",
        );
        let ports: Vec<u16> = file.checks.iter().map(|check| check.check.port).collect();
        assert_eq!(ports, [443, 9000, 3478, 53, 0, 0, 9999]);
        let kinds: Vec<_> = file.checks.into_iter().map(|check| check.check.kind).collect();
        let [rtmps, srt, stun, dns, icmp, exec, agent] = &kinds[..] else { panic!("seven checks") };
        let Kind::Rtmps(rtmp, tls) = rtmps else { panic!("{rtmps:?}") };
        assert_eq!((rtmp.play.as_deref(), tls.verify), (Some("show"), true));
        assert_eq!(srt, &Kind::Srt(Srt { streamid: None, rejected: Rejected::Succeeds }));
        let name = Name::parse("www.example.com.", None).unwrap();
        let asked = Dns { name, rtype: 1, over: DnsOver::Udp, rcode: 0, answers: 1, authoritative: false };
        assert_eq!(dns, &Kind::Dns(asked));
        assert_eq!(icmp, &Kind::Icmp(Icmp { loss: Some(Loss { max: 0.2, window: 20 }) }));
        let command = vec!["/bin/true".into(), "${NODE}".into()];
        assert_eq!(exec, &Kind::Exec(Exec { command, load: "load".into(), unknown_fails: false }));
        assert_eq!((stun, agent), (&Kind::Stun, &Kind::Agent));
    }

    #[test]
    fn a_dns_check_that_wants_an_error_wants_no_records() {
        let file = file(
            "check.d = { kind = \"dns\", name = \".\", rcode = \"REFUSED\", type = \"SOA\", tcp = true }",
        );
        let Kind::Dns(dns) = &file.checks[0].check.kind else { panic!("dns") };
        assert_eq!((dns.rcode, dns.answers, dns.rtype, dns.over), (5, 0, 6, DnsOver::Tcp));
    }

    #[test]
    fn an_http_check_says_what_is_asked_and_what_must_come_back() {
        let file = file(
            "[check.edge]\nkind = \"https\"\nport = 8443\nmethod = \"GET\"\npath = \"/live?x=1\"\n\
             host = \"play.example.com\"\nheaders = { X-Probe = \"1\" }\nsni = \"edge.example.com\"\nroots = \"own.pem\"\n\
             expect = { status = [200, \"301-302\"], body = \"ok\", header = { Server = \"nginx\" } }",
        );
        let Kind::Https(http, tls) = &file.checks[0].check.kind else { panic!("https") };
        assert_eq!((http.method, &*http.path), (HttpMethod::Get, "/live?x=1"));
        assert_eq!(http.host.as_deref(), Some("play.example.com"));
        assert_eq!(http.headers, [("X-Probe".into(), "1".into())]);
        assert_eq!(http.status, [(200, 200), (301, 302)]);
        assert_eq!(http.body.as_deref(), Some("ok"));
        assert_eq!(http.expect_headers, [("Server".into(), "nginx".into())]);
        assert_eq!(tls.sni.as_deref(), Some("edge.example.com"));
        let roots = file.checks[0].roots.as_ref().map(|roots| roots.value.clone());
        assert_eq!(roots, Some("zones/own.pem".into()));
    }

    #[test]
    fn checks_of_media_say_what_is_looked_at() {
        let file = file(
            "[check.h]\nkind = \"hls\"\npath = \"/live/a.m3u8\"\nmax_age = \"9s\"\n\
             [check.f]\nkind = \"flv\"\npath = \"/live/a.flv\"\ntags = 150\ntls = true\nroots = \"own.pem\"\nexpires_within = \"3d\"\n\
             [check.w]\nkind = \"whip\"\npath = \"/whip\"\npost = true\ntoken = \"t0ken\"\nhost = \"in.example.com\"\n\
             [check.g]\nkind = \"grpc\"\nport = 50051\nservice = \"live.Ingest\"\nheaders = { X-Probe = \"1\" }\n",
        );
        let [h, f, w, g] = &file.checks[..] else { panic!("four checks") };
        let ports: Vec<u16> = file.checks.iter().map(|check| check.check.port).collect();
        assert_eq!(ports, [80, 443, 80, 50051]);
        let Kind::Hls(hls) = &h.check.kind else { panic!("hls") };
        assert_eq!(
            (&*hls.at.path, hls.live, hls.max_age),
            ("/live/a.m3u8", true, Some(Duration::from_secs(9)))
        );
        let Kind::Flv(flv) = &f.check.kind else { panic!("flv") };
        let tls = flv.at.tls.as_ref().unwrap();
        assert_eq!((flv.tags, tls.verify, tls.expires_within), (150, true, Duration::from_secs(3 * 86_400)));
        assert_eq!(f.roots.as_ref().map(|roots| roots.value.clone()), Some("zones/own.pem".into()));
        let Kind::Whip(whip) = &w.check.kind else { panic!("whip") };
        assert_eq!((whip.post, whip.token.as_deref()), (true, Some("t0ken")));
        assert_eq!((whip.at.host.as_deref(), &whip.at.tls), (Some("in.example.com"), &None));
        let Kind::Grpc(grpc) = &g.check.kind else { panic!("grpc") };
        assert_eq!((&*grpc.service, &*grpc.at.path), ("live.Ingest", "/grpc.health.v1.Health/Check"));
        assert_eq!(grpc.at.headers, [("X-Probe".into(), "1".into())]);
    }

    #[test]
    fn an_http_check_says_its_version_what_json_must_hold_and_where_load_is() {
        let file = file(
            "[check.a]\nkind = \"http\"\nhttp = \"2\"\nexpect.json = { \"/ready\" = true, \"/n\" = 2, \"/s\" = \"up\" }\n\
             load = { json = \"/out\", max = 9e9 }\n\
             [check.b]\nkind = \"https\"\nhttp = \"any\"\nload = { prometheus = 'out{dev=\"e\"}', max = 5, rate = true }\n",
        );
        let [a, b] = &file.checks[..] else { panic!("two checks") };
        let (Kind::Http(a), Kind::Https(b, _)) = (&a.check.kind, &b.check.kind) else {
            panic!("http, https")
        };
        assert_eq!((a.version, b.version), (HttpVersion::Two, HttpVersion::Any));
        let wanted = [Wanted::Flag(true), Wanted::Number(2.0), Wanted::Text("up".into())];
        assert_eq!(a.json.len(), wanted.len());
        for wanted in wanted {
            assert!(a.json.iter().any(|(_, is)| *is == wanted), "{wanted}");
        }
        let figure = Figure::Json("/out".into());
        assert_eq!(a.load, Some(LoadSource { figure, max: 9e9, rate: false }));
        let figure = Figure::Prometheus(Series::parse("out{dev=\"e\"}").unwrap());
        assert_eq!(b.load, Some(LoadSource { figure, max: 5.0, rate: true }));
    }
}
