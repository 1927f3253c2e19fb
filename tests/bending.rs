//! How ranked lists stand today: what quality holds against clusters, and what load divides, from files to answers.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use steerdns::bending::{Bending, Measured};
use steerdns::explain::{Beside, explain};
use steerdns::health::quality::{Load, Measure, Ways};
use steerdns::publisher::Event;
use steerdns::wire::edns::Subnet;
use support::world::{Files, World};

const CLUSTERS: &str = r#"
[check.edge]
kind = "tcp"
port = 80
fall = 3
rise = 2
[cluster.sin]
place = [1.35, 103.82]
check = "edge"
capacity = 100
node.sin-1 = ["192.0.2.11"]
[cluster.jkt]
place = [-6.21, 106.85]
check = "edge"
capacity = 100
node.jkt-1 = ["192.0.2.21"]
[cluster.bkk]
place = [13.75, 100.5]
check = "edge"
capacity = 100
node.bkk-1 = ["192.0.2.31"]
[cluster.fra]
place = [50.11, 8.68]
check = "edge"
capacity = 100
node.fra-1 = ["198.51.100.21"]
"#;

/// A world in which four countries have a quarter of the addresses each, and each a cluster of its own.
fn world(policy: &str, more: &str) -> World {
    start(&files(policy, more))
}

fn start(files: &Files) -> World {
    let mut world = World::start(files).unwrap();
    world.all_up();
    world
}

fn files(policy: &str, more: &str) -> Files {
    let mut files = Files::default();
    files.put(
        "steerdns.toml",
        "listen = [\"127.0.0.1:5300\"]\nzones = \"zones\"\n[geoip]\ngeofeeds = [\"geoip/own.csv\"]\n",
    );
    let mut feed = String::new();
    for (country, first) in [("SG", 0u8), ("ID", 64), ("TH", 128), ("DE", 192)] {
        feed += &format!("{first}.0.0.0/2,{country},,,\n");
    }
    files.put("geoip/own.csv", &feed);
    files.put("zones/clusters.toml", &format!("{CLUSTERS}{more}[policy.near]\n{policy}"));
    files.put("zones/x.test.zone", "$TTL 300\n@ SOA ns1 hostmaster 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\n");
    files.put("zones/x.test.toml", "[service.s]\npolicy = \"near\"\n");
    files
}

/// One step of today's lists, a second later.
fn step(world: &mut World, bending: &mut Bending, measured: &Measured) {
    world.after(Duration::from_secs(1));
    let bends = bending.step(&world.snapshot, measured, world.now);
    let plan = Arc::clone(&world.snapshot.plan);
    world.handle(Event::Bent(plan, Arc::new(bends)));
}

fn steps(world: &mut World, bending: &mut Bending, measured: &Measured, seconds: u32) {
    for _ in 0..seconds {
        step(world, bending, measured);
    }
}

/// Cluster by cluster, how many of 4096 /16 of a country get it.
fn counts(world: &World, first: u8) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    let route = world.snapshot.plan.routes[0];
    for network in 0..4096u32 {
        let address = IpAddr::V4(Ipv4Addr::from(u32::from(first) << 24 | network << 16));
        let subnet = Subnet::new(address, 24).unwrap();
        let client = world.snapshot.plan.client(&route, Some(&subnet), address);
        let placed = world.snapshot.plan.place(&route, &client);
        assert_eq!(placed.scope, 16, "scopes never move");
        let choice = world.snapshot.choose(&route, &placed).unwrap();
        let key = world.snapshot.plan.inventory.cluster(choice.cluster).key.to_string();
        *counts.entry(key).or_default() += 1;
    }
    counts
}

fn all(key: &str) -> BTreeMap<String, u32> {
    BTreeMap::from([(key.to_owned(), 4096)])
}

/// A way that is so much worse than usual, in ms, and 5 more, as all are.
fn way(rise_ms: f32) -> Measure {
    let (usual_ms, common_ms) = (15.0, 5.0);
    Measure { time_ms: usual_ms + common_ms + rise_ms, usual_ms, common_ms, rise_ms, ..Measure::default() }
}

/// The ways to sin, jkt, bkk, fra over IPv4: this much worse than usual, in ms.
fn ways(rises: [f32; 4]) -> Measured {
    Measured { ways: rises.map(|rise_ms| [Some(way(rise_ms)), None]).into(), loads: Vec::new() }
}

fn load(world: &World, cluster: &str, used: f64) -> Load {
    Load { cluster: cluster.into(), node: format!("{cluster}-1").into(), used, at: world.now }
}

#[test]
fn a_cluster_whose_way_is_worse_than_usual_falls_behind_a_slightly_farther_one_and_comes_back() {
    let mut world = world("quality = { tolerate_ms = 10 }\n", "[balance]\nenabled = false\n");
    let mut bending = Bending::default();
    let calm = ways([0.0; 4]);
    steps(&mut world, &mut bending, &calm, 2);
    assert_eq!(counts(&world, 64), all("jkt"));
    // Jakarta's way is 60 ms worse: Singapore, some 15 ms farther, is better now. Nobody else moves.
    steps(&mut world, &mut bending, &ways([0.0, 60.0, 0.0, 0.0]), 30);
    assert_eq!(counts(&world, 64), all("jkt"));
    steps(&mut world, &mut bending, &ways([0.0, 60.0, 0.0, 0.0]), 1);
    assert_eq!(counts(&world, 64), all("sin"));
    assert_eq!((counts(&world, 16), counts(&world, 128)), (all("sin"), all("bkk")));
    // Frankfurt is far behind all of them: 60 ms do not send Germans to Asia. Jakarta is well again, but for how long?
    steps(&mut world, &mut bending, &ways([0.0, 0.0, 0.0, 60.0]), 299);
    assert_eq!((counts(&world, 64), counts(&world, 192)), (all("sin"), all("fra")));
    steps(&mut world, &mut bending, &ways([0.0, 0.0, 0.0, 60.0]), 2);
    assert_eq!((counts(&world, 64), counts(&world, 192)), (all("jkt"), all("fra")));
}

#[test]
fn without_quality_in_the_policy_no_way_is_held_against_anybody() {
    let mut world = world("", "[balance]\nenabled = false\n");
    steps(&mut world, &mut Bending::default(), &ways([0.0, 500.0, 0.0, 0.0]), 60);
    assert_eq!(counts(&world, 64), all("jkt"));
    assert_eq!(*world.snapshot.bends, Default::default());
}

#[test]
fn explain_tells_what_is_held_against_a_cluster() {
    let mut world = world("quality = {}\n", "[balance]\nenabled = false\n");
    steps(&mut world, &mut Bending::default(), &ways([0.0, 60.0, 0.0, 0.0]), 31);
    let route = world.snapshot.plan.routes[0];
    let subnet = Subnet::new("65.1.0.0".parse().unwrap(), 16).unwrap();
    let peer = "192.0.2.53".parse().unwrap();
    let measured = ways([-0.08, 60.0, -0.08, -0.08]);
    let beside = Beside { ways: &measured.ways, ..Beside::default() };
    let told = explain(&world.snapshot, &route, Some(&subnet), peer, world.now, &beside);
    assert_eq!(told.list[0].cluster, "sin");
    let jkt = told.list.iter().find(|listed| listed.cluster == "jkt").unwrap();
    assert_eq!(jkt.penalty_ms, 50.0);
    let text = told.to_string();
    assert!(text.contains("50 ms held against it: its way is worse than usual"), "{text}");
    let terms = "way 80 ms - usual 15 + loss 0 (0.0 %, usual 0.0, common 0.0) - common 5 = rise 60; 1 * (rise - 10) = 50 ms";
    assert!(text.contains(terms), "{text}");
    assert!(told.short().contains(&format!("jkt {terms}")), "{:?}", told.short());
    // Where nothing is held against a cluster, the terms say why.
    assert!(text.contains("common 5 = rise 0; 1 * (rise - 10) = 0 ms"), "{text}");
    // Well again, but not for long.
    let well = [0.0; 4].map(|rise_ms| [Some(way(rise_ms)), None]);
    let beside = Beside { ways: &well, ..Beside::default() };
    let text = explain(&world.snapshot, &route, Some(&subnet), peer, world.now, &beside).to_string();
    assert!(text.contains("50 ms held against it: its way was, of late, worse than usual"), "{text}");
}

#[test]
fn a_way_of_one_family_moves_clients_of_that_family_alone() {
    let mut world = world("quality = {}\n", "[balance]\nenabled = false\n");
    let none: Ways = [None, None];
    let v6_alone = Measured { ways: vec![none, [None, Some(way(60.0))], none, none], loads: Vec::new() };
    steps(&mut world, &mut Bending::default(), &v6_alone, 60);
    assert_eq!(counts(&world, 64), all("jkt"));
}

#[test]
fn while_the_server_doubts_its_own_network_what_is_held_against_ways_stays() {
    let mut files = files("quality = {}\n", "[balance]\nenabled = false\n");
    files.append("steerdns.toml", "[health]\ncanaries = [\"203.0.113.1:53\", \"203.0.113.2:53\"]\n");
    let mut world = start(&files);
    let mut bending = Bending::default();
    world.canaries(true);
    steps(&mut world, &mut bending, &ways([0.0, 60.0, 0.0, 0.0]), 31);
    for target in world.targets("all", None) {
        world.down(&target);
    }
    world.canaries(false);
    assert!(world.snapshot.doubting.is_some());
    // An hour without a word of any way, and then some that would be held against Singapore.
    steps(&mut world, &mut bending, &Measured::default(), 3600);
    steps(&mut world, &mut bending, &ways([500.0, 0.0, 0.0, 0.0]), 60);
    assert_eq!(world.snapshot.bends.penalties, [[0.0, 50.0, 0.0, 0.0]]);
}

#[test]
fn a_dead_regions_clients_are_divided_so_that_no_neighbour_is_overrun() {
    // Each has 60 of 100 in use: neither Singapore nor Bangkok alone can take what Jakarta had.
    let mut world = world("", "");
    let mut bending = Bending::default();
    let none = Measured { ways: Vec::new(), loads: Vec::new() };
    steps(&mut world, &mut bending, &none, 3);
    for target in world.targets("jkt", None) {
        world.down(&target);
    }
    let at_once = counts(&world, 64);
    assert_eq!(at_once, all("sin"), "a verdict does not wait for the balance");
    steps(&mut world, &mut bending, &none, 120);
    let divided = counts(&world, 64);
    assert!(divided.len() > 1 && !divided.contains_key("jkt"), "{divided:?}");
    let shares = &world.snapshot.bends.shares;
    let fullest = |key: &str| {
        let at = usize::from(world.snapshot.plan.inventory.id(key).unwrap().0);
        shares[at].assigned / shares[at].capacity
    };
    let used = ["sin", "bkk", "fra"].map(fullest);
    assert!(used.iter().all(|used| *used <= 0.96), "one is overrun while another has room: {used:?}");
    assert!(used[0] > 0.7 && used[1] > 0.7, "the nearest two take most of it: {used:?}");
}

#[test]
fn a_cluster_that_says_it_is_full_sheds_some_of_its_clients_and_takes_them_back() {
    let mut world = world("", "");
    let mut bending = Bending::default();
    let told = |world: &World, used: f64| Measured {
        ways: Vec::new(),
        loads: ["sin", "jkt", "bkk", "fra"]
            .map(|key| load(world, key, if key == "sin" { used } else { 0.3 }))
            .into(),
    };
    for _ in 0..60 {
        let measured = told(&world, 0.5);
        step(&mut world, &mut bending, &measured);
    }
    assert_eq!(counts(&world, 16), all("sin"));
    for _ in 0..180 {
        let measured = told(&world, 1.1);
        step(&mut world, &mut bending, &measured);
    }
    let shed = counts(&world, 16);
    assert!(
        shed["sin"] < 4096 && shed["sin"] >= 1024,
        "some are gone, a quarter stays whatever it says: {shed:?}"
    );
    for _ in 0..900 {
        let measured = told(&world, 0.2);
        step(&mut world, &mut bending, &measured);
    }
    assert_eq!(counts(&world, 16), all("sin"));
}

#[test]
fn nobody_moves_because_a_file_was_read() {
    let mut world = world("", "");
    let mut bending = Bending::default();
    let none = Measured { ways: Vec::new(), loads: Vec::new() };
    steps(&mut world, &mut bending, &none, 3);
    for target in world.targets("jkt", None) {
        world.down(&target);
    }
    steps(&mut world, &mut bending, &none, 120);
    let before = counts(&world, 64);
    let again = self::world("", "");
    world.handle(Event::Loaded(Arc::clone(&again.snapshot.plan)));
    assert_eq!(counts(&world, 64), before, "with the reload itself");
    steps(&mut world, &mut bending, &none, 3);
    assert_eq!(counts(&world, 64), before, "and behind it");
}

#[test]
fn where_some_clusters_do_not_say_what_they_carry_load_is_not_balanced_and_check_says_so() {
    let mut world = world("", "");
    assert!(world.snapshot.plan.balance.is_some());
    let mut files = Files::default();
    files.put("steerdns.toml", "listen = [\"127.0.0.1:5300\"]\nzones = \"zones\"\n");
    files.put(
        "zones/clusters.toml",
        &format!("{}[policy.near]\n", CLUSTERS.replacen("capacity = 100\n", "", 1)),
    );
    files.put("zones/x.test.zone", "$TTL 300\n@ SOA ns1 hostmaster 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\n");
    files.put("zones/x.test.toml", "[service.s]\npolicy = \"near\"\n");
    world = World::start(&files).unwrap();
    assert!(world.snapshot.plan.balance.is_none());
}
