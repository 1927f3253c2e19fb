//! How ranked lists stand today: what quality holds against clusters, and what load divides, from files to answers.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use steerdns::bending::{Bending, Measured};
use steerdns::explain::{Beside, explain};
use steerdns::health::note::Note;
use steerdns::health::quality::{Load, Measure, Ways};
use steerdns::publisher::Event;
use steerdns::steering::balance::table::Share;
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
    world_of(CLUSTERS, policy, more)
}

fn world_of(clusters: &str, policy: &str, more: &str) -> World {
    start(&files_of(clusters, policy, more))
}

fn start(files: &Files) -> World {
    let mut world = World::start(files).unwrap();
    world.all_up();
    world
}

fn files(policy: &str, more: &str) -> Files {
    files_of(CLUSTERS, policy, more)
}

fn files_of(clusters: &str, policy: &str, more: &str) -> Files {
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
    files.put("zones/clusters.toml", &format!("{clusters}{more}[policy.near]\n{policy}"));
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

/// What the balance says of a cluster.
fn share(world: &World, key: &str) -> Share {
    world.snapshot.bends.shares[usize::from(world.snapshot.plan.inventory.id(key).unwrap().0)]
}

/// All of the world's clusters say this of their load, once a second.
fn told_steps(world: &mut World, bending: &mut Bending, used: [f64; 4], seconds: u32) {
    for _ in 0..seconds {
        let loads = ["sin", "jkt", "bkk", "fra"].iter().zip(used).map(|(key, used)| load(world, key, used));
        let measured = Measured { ways: Vec::new(), loads: loads.collect() };
        step(world, bending, &measured);
    }
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

/// The zones of the README, with addresses of both families, and the embedded country table.
fn five_continents() -> World {
    let mut world = World::start(&Files::default()).unwrap();
    world.all_up();
    world
}

#[test]
fn ipv6_that_nobody_uses_is_nobodys_load() {
    let mut world = five_continents();
    let mut bending = Bending::default();
    let plan = Arc::clone(&world.snapshot.plan);
    let none = Measured { ways: Vec::new(), loads: Vec::new() };
    steps(&mut world, &mut bending, &none, 2);
    let shares = &world.snapshot.bends.shares;
    let capacity: f64 = shares.iter().map(|share| share.capacity).sum();
    let demand: f64 = shares.iter().map(|share| share.demand).sum();
    assert!((demand - 0.6 * capacity).abs() < 0.001 * capacity, "{demand} of {capacity}");
    let of = |key: &str| shares[usize::from(plan.inventory.id(key).unwrap().0)].demand;
    // Of IPv6 most is allocated to nobody: nearest to the first cluster of the file, as nothing is known of it.
    assert!(of("sin") < 0.15 * demand, "{} of {demand}", of("sin"));
    assert!(of("fra") > 0.1 * demand && of("iad") > 0.1 * demand, "{shares:?}");
    // Jakarta's clients find room where they are nearest.
    world.order("drain", "jkt", None).unwrap();
    steps(&mut world, &mut bending, &none, 2);
    let sin = usize::from(plan.inventory.id("sin").unwrap().0);
    assert!(world.snapshot.bends.shares[sin].taken > 0, "{:?}", world.snapshot.bends.shares[sin]);
}

#[test]
fn what_the_dead_last_said_of_their_load_is_not_held_against_them_nor_blinds_to_the_others() {
    let two = "node.jkt-2 = [\"192.0.2.22\"]\n";
    let clusters =
        CLUSTERS.replace("node.jkt-1 = [\"192.0.2.21\"]\n", &format!("node.jkt-1 = [\"192.0.2.21\"]\n{two}"));
    let mut world = world_of(&clusters, "", "");
    let mut bending = Bending::default();
    let said = |world: &World, second: f64| {
        let mut loads: Vec<Load> = ["sin", "jkt", "bkk", "fra"].map(|key| load(world, key, 0.5)).into();
        loads.push(Load { node: "jkt-2".into(), used: second, ..load(world, "jkt", 0.0) });
        loads
    };
    for _ in 0..90 {
        let measured = Measured { ways: Vec::new(), loads: said(&world, 0.5) };
        step(&mut world, &mut bending, &measured);
    }
    let before = share(&world, "jkt");
    assert!(before.is_known && (before.demand - 50.0).abs() < 2.0, "{before:?}");
    // The second node dies: what it said last is as fresh as ever, but of a node that carries nobody. The first one carries all.
    let last = said(&world, 0.5).pop().unwrap();
    for target in world.targets("jkt/jkt-2", None) {
        world.down(&target);
    }
    for second in 0..90 {
        let mut loads: Vec<Load> = ["sin", "bkk", "fra"].map(|key| load(&world, key, 0.5)).into();
        loads.push(load(&world, "jkt", 1.0));
        loads.push(Load { at: if second < 20 { world.now } else { last.at }, ..last.clone() });
        step(&mut world, &mut bending, &Measured { ways: Vec::new(), loads });
    }
    let after = share(&world, "jkt");
    assert_eq!(after.capacity, 50.0);
    assert!(after.is_known && after.demand > 45.0, "{after:?}");
    // One that talks nonsense does not silence the other.
    for target in world.targets("jkt/jkt-2", None) {
        world.up(&target);
    }
    for _ in 0..90 {
        let measured = Measured { ways: Vec::new(), loads: said(&world, 1e9) };
        step(&mut world, &mut bending, &measured);
    }
    let nonsense = share(&world, "jkt");
    assert!(nonsense.is_known && (nonsense.demand - 50.0).abs() < 3.0, "{nonsense:?}");
}

#[test]
fn a_dead_cluster_is_no_evidence_that_nobody_asks_in_whatever_unit_capacities_are() {
    for unit in ["100", "1"] {
        let clusters = CLUSTERS.replace("capacity = 100", &format!("capacity = {unit}"));
        let mut world = world_of(&clusters, "", "");
        let mut bending = Bending::default();
        told_steps(&mut world, &mut bending, [0.6; 4], 90);
        let before = share(&world, "jkt");
        for target in world.targets("jkt", None) {
            world.down(&target);
        }
        // Its last word is believed to be fresh for a while yet.
        told_steps(&mut world, &mut bending, [0.6, 0.0, 0.6, 0.6], 25);
        let lists: f64 = world.snapshot.bends.shares.iter().map(|share| share.assigned).sum();
        let all = before.capacity * 4.0 * 0.6;
        assert!(lists > 0.93 * all, "capacity {unit}: {lists} of {all}");
        assert!(share(&world, "jkt").capacity < before.capacity / 100.0, "capacity {unit}");
    }
}

#[test]
fn a_half_dead_node_and_one_that_drains_count_for_what_is_left() {
    let clusters = CLUSTERS.replace("[\"192.0.2.21\"]", "[\"192.0.2.21\", \"2001:db8::21\"]");
    let mut files = files_of(&clusters, "", "");
    files.append("zones/x.test.toml", "ipv6 = \"far\"\n");
    let mut world = World::start(&files).unwrap();
    world.all_up();
    let mut bending = Bending::default();
    let none = Measured { ways: Vec::new(), loads: Vec::new() };
    steps(&mut world, &mut bending, &none, 1);
    assert_eq!(share(&world, "jkt").capacity, 100.0);
    for target in world.targets("jkt/jkt-1/192.0.2.21", None) {
        world.down(&target);
    }
    steps(&mut world, &mut bending, &none, 1);
    assert_eq!(share(&world, "jkt").capacity, 50.0);
    let sin = world.targets("sin", None).remove(0);
    world.noted(&sin, Note::Drain(true));
    steps(&mut world, &mut bending, &none, 1);
    assert!(share(&world, "sin").capacity < 1.0);
}

#[test]
fn what_starts_slowly_carries_no_more_than_it_has_slots() {
    let clusters = CLUSTERS.replace("node.jkt-1 =", "ramp = \"640s\"\nnode.jkt-1 =");
    let mut world = world_of(&clusters, "", "");
    let mut bending = Bending::default();
    let none = Measured { ways: Vec::new(), loads: Vec::new() };
    for target in world.targets("jkt", None) {
        world.down(&target);
        world.after(Duration::from_secs(1));
        world.up(&target);
    }
    steps(&mut world, &mut bending, &none, 2);
    let share = share(&world, "jkt");
    assert!((share.capacity - 100.0 * 7.0 / 64.0).abs() < 2.0, "{share:?}");
}

#[test]
fn two_that_began_at_different_times_assume_the_same() {
    let none = Measured { ways: Vec::new(), loads: Vec::new() };
    let (mut world, mut late) = (world("", ""), Bending::default());
    for target in world.targets("jkt", None) {
        world.down(&target);
    }
    let mut early = Bending::default();
    steps(&mut world, &mut early, &none, 2);
    for target in world.targets("jkt", None) {
        world.up(&target);
    }
    steps(&mut world, &mut early, &none, 300);
    let by_early = world.snapshot.bends.shares.clone();
    steps(&mut world, &mut late, &none, 2);
    let demands = |shares: &[Share]| shares.iter().map(|share| share.demand).collect::<Vec<_>>();
    assert_eq!(demands(&by_early), demands(&world.snapshot.bends.shares));
}

#[test]
fn clusters_that_no_service_uses_carry_nobody() {
    let more = "[cluster.lab]\nplace = [48.0, 11.0]\ncheck = \"edge\"\ncapacity = 1000\nnode.lab-1 = [\"192.0.2.91\"]\n";
    let mut world = world("clusters = [\"sin\", \"jkt\", \"bkk\", \"fra\"]\n", more);
    let none = Measured { ways: Vec::new(), loads: Vec::new() };
    steps(&mut world, &mut Bending::default(), &none, 2);
    let demand: f64 = world.snapshot.bends.shares.iter().map(|share| share.demand).sum();
    assert!((demand - 240.0).abs() < 0.1, "{demand}");
}

/// The ways of all, Jakarta's `rise_ms` worse than usual.
fn bad_way(rise_ms: f32) -> Measured {
    ways([0.0, rise_ms, 0.0, 0.0])
}

#[test]
fn whoever_leaves_for_a_better_way_fills_nobody() {
    // Jakarta's 68 would all go to Singapore, which has 67 of 100 in use: 13 of them find room there, and 10 in Bangkok.
    let mut world = world("quality = {}\n", "");
    let mut bending = Bending::default();
    steps(&mut world, &mut bending, &bad_way(0.0), 3);
    let before = world.snapshot.bends.shares.clone();
    steps(&mut world, &mut bending, &bad_way(90.0), 120);
    let by_cluster = counts(&world, 64);
    assert!(by_cluster["sin"] > 500 && by_cluster["bkk"] > 500 && by_cluster["jkt"] > 500, "{by_cluster:?}");
    for (key, before) in [("sin", before[0]), ("bkk", before[2]), ("fra", before[3])] {
        let share = share(&world, key);
        assert!(share.assigned <= 0.8 * share.capacity + 1.0, "{key}: {share:?}");
        assert!((share.demand - before.demand).abs() < 0.1, "strangers are nobody's own: {key} {share:?}");
    }
    assert_eq!(world.snapshot.bends.short, 0.0);
    assert_eq!(
        (counts(&world, 16), counts(&world, 128)),
        (all("sin"), all("bkk")),
        "nobody moves who need not"
    );
    // The way is good again, for five minutes: all come home.
    steps(&mut world, &mut bending, &bad_way(0.0), 420);
    assert_eq!(counts(&world, 64), all("jkt"));
}

#[test]
fn a_penalty_sends_nobody_home_to_a_full_cluster() {
    let mut world = world("quality = {}\n", "");
    let mut bending = Bending::default();
    let told = |world: &World, rises: [f32; 4], used: f64| Measured {
        loads: ["sin", "jkt", "bkk", "fra"]
            .map(|key| load(world, key, if key == "sin" { used } else { 0.3 }))
            .into(),
        ..ways(rises)
    };
    for _ in 0..300 {
        let measured = told(&world, [0.0; 4], 1.1);
        step(&mut world, &mut bending, &measured);
    }
    let before = counts(&world, 16);
    assert!(before["sin"] < 4096, "{before:?}");
    // Bangkok and Jakarta change places in the lists of Singapore's clients: those that are shed stay away.
    for _ in 0..32 {
        let measured = told(&world, [0.0, 40.0, 0.0, 0.0], 1.1);
        step(&mut world, &mut bending, &measured);
    }
    assert!(world.snapshot.bends.penalties.iter().flatten().any(|ms| *ms > 0.0));
    let after = counts(&world, 16);
    assert!(after["sin"] <= before["sin"], "{before:?} {after:?}");
}

#[test]
fn an_edited_file_moves_nobody_and_forgets_nothing() {
    let mut world = world("quality = {}\n", "");
    let mut bending = Bending::default();
    let told = |world: &World, key: &str| Measured {
        loads: world
            .snapshot
            .plan
            .inventory
            .clusters
            .iter()
            .map(|cluster| load(world, &cluster.key, if *cluster.key == *key { 1.1 } else { 0.3 }))
            .collect(),
        ways: Vec::new(),
    };
    for _ in 0..240 {
        let measured = told(&world, "sin");
        step(&mut world, &mut bending, &measured);
    }
    for target in world.targets("jkt", None) {
        world.down(&target);
    }
    for _ in 0..90 {
        let measured = told(&world, "sin");
        step(&mut world, &mut bending, &measured);
    }
    let before = [16, 64, 128, 192].map(|first| counts(&world, first));
    let (demand, price) = (share(&world, "sin").demand, share(&world, "sin").price_ms);
    // A cluster more, first in the file, so that all numbers are others; and another service.
    let aaa = "[cluster.aaa]\nplace = [-33.9, 151.2]\ncheck = \"edge\"\ncapacity = 50\nnode.aaa-1 = [\"192.0.2.91\"]\n";
    let text = CLUSTERS.replacen("[cluster.sin]", &format!("{aaa}[cluster.sin]"), 1);
    let mut files = files_of(&text, "quality = {}\n", "");
    files.append("zones/x.test.toml", "[service.t]\npolicy = \"near\"\nanswers = 1\ndemand = 0.01\n");
    world.reload(&files).unwrap();
    for target in world.targets("aaa", None) {
        world.up(&target);
    }
    let at_once = [16, 64, 128, 192].map(|first| counts(&world, first));
    assert_eq!(at_once, before, "with the reload itself");
    let measured = told(&world, "sin");
    step(&mut world, &mut bending, &measured);
    assert_eq!([16, 64, 128, 192].map(|first| counts(&world, first)), before, "and behind it");
    let now = share(&world, "sin");
    assert!(
        now.is_known && (now.demand / demand - 1.0).abs() < 0.05 && now.price_ms > 0.0,
        "{demand} {price}: {now:?}"
    );
}

#[test]
fn what_is_held_against_a_cluster_outlives_a_reload() {
    let mut world = world("quality = {}\n", "[balance]\nenabled = false\n");
    let mut bending = Bending::default();
    steps(&mut world, &mut bending, &bad_way(60.0), 31);
    assert_eq!(counts(&world, 64), all("sin"));
    let mut files = files_of(CLUSTERS, "quality = {}\n", "[balance]\nenabled = false\n");
    files.append("zones/x.test.toml", "[service.a]\npolicy = \"near\"\nanswers = 1\n");
    world.reload(&files).unwrap();
    let penalty = |world: &World| world.snapshot.bends.penalties[0][1];
    assert_eq!((counts(&world, 64), penalty(&world)), (all("sin"), 50.0));
    steps(&mut world, &mut bending, &bad_way(0.0), 1);
    assert_eq!(penalty(&world), 50.0, "it is held as long as it would have been");
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
