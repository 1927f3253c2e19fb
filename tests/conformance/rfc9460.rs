//! RFC 9460: HTTPS and SVCB of a service. RFC 2782: SRV of it. And the names of clusters and nodes.

use std::collections::BTreeSet;

use crate::desk::{Desk, Told, edns, files, name, opt};
use crate::support::message::Rr;
use crate::support::world::{Files, World};

const ZONE: &str = "live.example.com.";

/// The service `play` with more lines, and more in front of the zone's file.
fn with(head: &str, play: &str) -> Files {
    let mut files = files();
    let path = std::path::Path::new("zones/live.example.com.toml");
    let text = files.0[path].replacen("ttl = \"20s\"\n", &format!("ttl = \"20s\"\n{play}"), 1);
    files.put("zones/live.example.com.toml", &format!("{head}{text}"));
    files
}

/// Priority, target, and parameters of a record.
type Service = (u16, Vec<u8>, Vec<(u16, Vec<u8>)>);

fn service(rr: &Rr) -> Service {
    let number = |at: usize| u16::from_be_bytes([rr.rdata[at], rr.rdata[at + 1]]);
    let mut at = 2;
    while rr.rdata[at] != 0 {
        at += usize::from(rr.rdata[at]) + 1;
    }
    at += 1;
    let target = rr.rdata[2..at].to_vec();
    let mut params = Vec::new();
    while at < rr.rdata.len() {
        let len = usize::from(number(at + 2));
        params.push((number(at), rr.rdata[at + 4..at + 4 + len].to_vec()));
        at += 4 + len;
    }
    (number(0), target, params)
}

fn addresses(told: &Told) -> BTreeSet<Vec<u8>> {
    told.said.answer.iter().filter(|rr| [1, 28].contains(&rr.rtype)).map(|rr| rr.rdata.clone()).collect()
}

/// By a client of this network.
fn by(desk: &mut Desk, owner: &str, qtype: &str, network: [u8; 3]) -> Told {
    let subnet = [&[0, 1, 24, 0][..], &network].concat();
    desk.tell(&edns(&format!("{owner}.{ZONE}"), qtype, &opt(1232, 0, 0, &[(8, &subnet)]))).unwrap()
}

const SIN: [u8; 3] = [11, 0, 7];
const FRA: [u8; 3] = [11, 16, 7];

/// §2.2, §7.1, §7.2, §7.3: ALPN, port, and as hints exactly the addresses that A and AAAA have for the same client; keys in order.
#[test]
fn s7_3_hints_are_what_a_and_aaaa_answer() {
    let mut desk = Desk::of(&with("", "https = { alpn = [\"h2\", \"h3\"], port = 8443 }\n"));
    for (network, count) in [(SIN, 2), (FRA, 1)] {
        let told = by(&mut desk, "play", "HTTPS", network);
        let (priority, target, params) = service(told.one("HTTPS"));
        assert_eq!((priority, &target[..]), (1, &[0][..]), "§2.4.3, §2.5.2: `.` is the owner");
        let keys: Vec<u16> = params.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, [1, 3, 4, 6], "§2.2: in increasing order");
        assert_eq!(params[0].1, b"\x02h2\x02h3");
        assert_eq!(params[1].1, 8443u16.to_be_bytes());
        let hints =
            |at: usize, len: usize| params[at].1.chunks(len).map(<[u8]>::to_vec).collect::<BTreeSet<_>>();
        let (v4, v6) = (by(&mut desk, "play", "A", network), by(&mut desk, "play", "AAAA", network));
        assert_eq!((hints(2, 4), hints(3, 16)), (addresses(&v4), addresses(&v6)));
        assert_eq!(addresses(&v4).len(), count);
        assert_eq!(told.option(8), v4.option(8), "as narrow as A");
    }
}

/// A node that dies is no hint any more.
#[test]
fn dead_nodes_are_no_hints() {
    let mut desk = Desk::of(&with("", "https = true\n"));
    for target in desk.world.targets("sin/sin-1", None) {
        desk.world.down(&target);
    }
    let told = by(&mut desk, "play", "HTTPS", SIN);
    let (_, _, params) = service(told.one("HTTPS"));
    assert_eq!(params[0], (4, vec![192, 0, 2, 12]));
    for target in desk.world.targets("sin/sin-2", None) {
        desk.world.down(&target);
    }
    let (_, _, params) = service(by(&mut desk, "play", "HTTPS", SIN).one("HTTPS"));
    assert_eq!(params[0], (4, vec![198, 51, 100, 21]), "the next cluster");
}

/// §2.4.1: with names for clusters, the next ones follow, at lower priority, with their own addresses.
#[test]
fn s2_4_1_the_next_clusters_follow() {
    let mut desk = Desk::of(&with("expose = \"nodes\"\n", "https = true\n"));
    for (network, first, next) in [(SIN, [192, 0, 2], "fra"), (FRA, [198, 51, 100], "sin")] {
        let told = by(&mut desk, "play", "HTTPS", network);
        let mut all: Vec<_> = told.said.answer.iter().map(service).collect();
        all.sort();
        assert_eq!(all.iter().map(|(priority, ..)| *priority).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(all[0].2[0].1[..3], first);
        assert_eq!(all[1].1, name(&format!("{next}.{ZONE}")));
    }
}

/// §2.3: SVCB stands below a prefix, and leads to the service.
#[test]
fn s2_3_svcb_below_a_prefix() {
    let mut desk = Desk::of(&with("", "svcb = { name = \"_8443._foo\", alpn = [\"moq\"] }\n"));
    let told = by(&mut desk, "_8443._foo.play", "SVCB", SIN);
    let (priority, target, params) = service(told.one("TYPE64"));
    assert_eq!((priority, target), (1, name(&format!("play.{ZONE}"))));
    assert_eq!(params[0].1, b"\x03moq");
}

/// RFC 2782: SRV: the port of the check, one target for each node that A has, with its addresses behind.
#[test]
fn rfc2782_srv_names_the_nodes() {
    let mut desk = Desk::of(&with("expose = \"nodes\"\n", "srv = { names = [\"_rtmp._tcp\"], next = 0 }\n"));
    let told = by(&mut desk, "_rtmp._tcp.play", "SRV", SIN);
    let targets: BTreeSet<Vec<u8>> = told.said.answer.iter().map(|rr| rr.rdata[6..].to_vec()).collect();
    let expected = ["sin-1.sin", "sin-2.sin"].map(|node| name(&format!("{node}.{ZONE}")));
    assert_eq!(targets, expected.iter().cloned().collect());
    assert!(told.said.answer.iter().all(|rr| rr.rdata[4..6] == 443u16.to_be_bytes()));
    assert_eq!(told.said.additional.len(), 4, "A and AAAA of each");
    for node in ["sin-1.sin", "sin-2.sin"] {
        assert_eq!(desk.ask(&format!("{node}.{ZONE}"), "A").types(), [1]);
    }
    for target in desk.world.targets("sin/sin-1", None) {
        desk.world.down(&target);
    }
    assert_eq!(by(&mut desk, "_rtmp._tcp.play", "SRV", SIN).said.answer.len(), 1);
}

/// Names of nodes stay, dead or not: people look for them just then; that of a cluster has those of its nodes that are up.
#[test]
fn every_cluster_and_node_has_its_name() {
    let mut files = with("expose = \"nodes\"\n", "");
    let clusters = &files.0[std::path::Path::new("zones/clusters.toml")];
    // Which check says whether a node is up for the cluster's name.
    let clusters = clusters.replace("[cluster.sin]\n", "[cluster.sin]\ncheck = \"edge\"\n");
    files.put("zones/clusters.toml", &clusters);
    let mut desk = Desk::of(&files);
    let sin = |desk: &mut Desk| desk.ask(&format!("sin.{ZONE}"), "A").said.answer.len();
    assert_eq!(sin(&mut desk), 2);
    for target in desk.world.targets("sin/sin-1", None) {
        desk.world.down(&target);
    }
    assert_eq!(sin(&mut desk), 1);
    assert_eq!(desk.ask(&format!("sin-1.sin.{ZONE}"), "A").types(), [1]);
    assert_eq!(desk.ask(&format!("sin-1.sin.{ZONE}"), "AAAA").types(), [28]);
    assert_eq!(Desk::new().ask(&format!("sin.{ZONE}"), "A").said.rcode, 3, "not where nobody wants it");
}

/// A name of a cluster that the master file has already is the operator's mistake.
#[test]
fn names_that_are_taken_are_issues() {
    let mut files = with("expose = \"nodes\"\n", "");
    files.append("zones/live.example.com.zone", "sin A 192.0.2.1\n");
    let issues = World::start(&files).err().unwrap();
    assert!(issues.contains("sin.live.example.com."), "{issues}");
}

/// A service may stand at the apex, beside SOA and NS, and answers HTTPS there (§1.2: what CNAME cannot).
#[test]
fn a_service_at_the_apex() {
    let mut files = files();
    files.append(
        "zones/live.example.com.toml",
        "[service.\"@\"]\npolicy = \"near\"\ncheck = \"edge\"\nttl = \"20s\"\nhttps = true\n",
    );
    let mut desk = Desk::of(&files);
    for (qtype, rtype) in [("A", 1), ("AAAA", 28), ("HTTPS", 65), ("SOA", 6), ("NS", 2), ("MX", 15)] {
        assert!(desk.ask(ZONE, qtype).types().contains(&rtype), "{qtype}");
    }
}

/// Of everything that such an answer says nothing is left out in silence: TC where it does not fit.
#[test]
fn a_steered_answer_that_does_not_fit_has_tc() {
    let files = with("expose = \"nodes\"\n", "srv = [\"_rtmp._tcp\"]\nhttps = true\n");
    let mut desk = Desk::of(&files);
    for payload in 512..700 {
        for (owner, qtype) in [("_rtmp._tcp.play", "SRV"), ("play", "HTTPS")] {
            let packet = edns(&format!("{owner}.{ZONE}"), qtype, &opt(payload, 0, 0, &[]));
            let told = desk.tell(&packet).unwrap();
            assert!(told.octets.len() <= usize::from(payload));
            assert_eq!(told.said.is("tc"), told.said.answer.is_empty());
        }
    }
}
