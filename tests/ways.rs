//! What is made of ways: losses as real probing sees them, and days of virtual time in which ways get worse and better, from probes to
//! answers.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../examples/probe_simulation/world.rs"]
mod probing;
mod support;

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use probing::{Dice, Dying, HTTP, Loss, Path, TCP, check};
use steerdns::bending::{Bending, Measured};
use steerdns::health::quality::{Measure, Quality, measure};
use steerdns::health::rounds::Observation;
use steerdns::health::target::{Target, TargetKey};
use steerdns::health::verdict::{Cause, Outcome, Seen, Verdict};
use steerdns::publisher::Event;
use steerdns::steering::bend::{PENALTY_HOLD, PENALTY_RELEASE};
use steerdns::wire::edns::Subnet;
use support::world::{Files, World};

fn path(loss: f64, rtt_ms: u64, answers: &'static [u32]) -> Path {
    Path { loss: Loss::Even(loss), rtt: Duration::from_millis(rtt_ms), jitter: 0.3, answers }
}

/// Servers of one cluster that have been probed each second for a quarter of an hour, by the real pace.
fn probed(servers: u32, path: Path) -> probing::World {
    let mut world = probing::World::new(servers, check(1000, 2500, 5, 5), path, 7);
    world.quality = Some(Quality::new(world.now));
    world.run(Duration::from_secs(900));
    world
}

/// The way to the cluster, as the balancing task measures it.
fn way(world: &mut probing::World) -> Option<Measure> {
    let board = &world.board;
    let held: HashMap<&TargetKey, Verdict> =
        board.ids().map(|id| (&board.target(id).aim.key, board.held(id).verdict)).collect();
    let recent = world.quality.as_mut()?.recent(|key| held[key], world.now);
    measure(&recent, &["sin".into()])[0][0]
}

#[test]
fn packets_lost_on_the_way_are_seen_as_often_as_they_are_lost() {
    // Of tcp probes, two packets must come through; of http probes, four. Losses in a row count once.
    for (answers, each_way, least, most) in
        [(TCP, 0.05, 0.07, 0.11), (HTTP, 0.05, 0.12, 0.2), (TCP, 0.2, 0.2, 0.33)]
    {
        let mut world = probed(4, path(0.0, 20, answers));
        assert_eq!(way(&mut world).unwrap().loss, 0.0);
        world.reroute(path(each_way, 20, answers));
        world.run(Duration::from_secs(180));
        let lossy = way(&mut world).unwrap();
        assert!((least..most).contains(&lossy.loss), "{each_way} each way: {lossy:?}");
        assert!(lossy.rise_ms > 500.0 * least, "{lossy:?}");
        assert!(lossy.time_ms - lossy.usual_ms < 5.0, "the median does not see it: {lossy:?}");
    }
}

#[test]
fn a_far_way_that_loses_packets_is_seen_too() {
    // A lost question goes again after 500 ms: its probe ends well, at two and a half times the usual time.
    let mut world = probed(4, path(0.0, 100, HTTP));
    world.reroute(path(0.05, 100, HTTP));
    world.run(Duration::from_secs(180));
    let lossy = way(&mut world).unwrap();
    assert!(lossy.loss > 0.08 && lossy.rise_ms > 40.0, "{lossy:?}");
}

#[test]
fn a_way_that_became_longer_is_slow_and_loses_nothing() {
    for answers in [TCP, HTTP] {
        let mut world = probed(4, path(0.0, 80, answers));
        world.reroute(path(0.0, 250, answers));
        for _ in 0..60 {
            world.run(Duration::from_secs(1));
            assert!(way(&mut world).is_none_or(|way| way.loss_ms == 0.0));
        }
        let slow = way(&mut world).unwrap();
        assert!(slow.rise_ms > 150.0 && slow.loss == 0.0, "{slow:?}");
    }
}

#[test]
fn the_seconds_before_a_death_is_decided_are_held_against_nobody() {
    for dying in [Dying::Silent, Dying::Refusing] {
        for servers in [1, 2, 3] {
            let mut world = probed(servers, path(0.0, 20, TCP));
            for turn in 0..3 {
                world.kill_at_random(0, dying);
                for _ in 0..100 {
                    world.run(Duration::from_millis(100));
                    let rise_ms = way(&mut world).map_or(0.0, |way| way.rise_ms);
                    assert!(rise_ms < 10.0, "{dying:?} of {servers}, turn {turn}: {rise_ms}");
                }
                assert!(world.down(0));
                world.revive(0);
                world.run(Duration::from_secs(20));
            }
        }
    }
}

#[test]
fn one_lost_packet_in_a_hundred_moves_nobody() {
    let mut world = probed(1, path(0.0, 20, TCP));
    world.reroute(path(0.005, 20, TCP));
    for _ in 0..3600 {
        world.run(Duration::from_secs(1));
        let rise_ms = way(&mut world).map_or(0.0, |way| way.rise_ms);
        assert!(rise_ms < 15.0, "{rise_ms}");
    }
}

// ---- Days.

const FILES: [(&str, &str); 4] = [
    (
        "steerdns.toml",
        "listen = [\"127.0.0.1:5300\"]\nzones = \"zones\"\n[geoip]\ngeofeeds = [\"geoip/own.csv\"]\n",
    ),
    ("geoip/own.csv", "0.0.0.0/2,SG,,,\n64.0.0.0/2,ID,,,\n128.0.0.0/2,TH,,,\n192.0.0.0/2,DE,,,\n"),
    ("zones/x.test.zone", "$TTL 300\n@ SOA ns1 hostmaster 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\n"),
    ("zones/x.test.toml", "[service.s]\npolicy = \"near\"\n"),
];
const CLUSTERS: [(&str, &str, f64); 4] = [
    ("sin", "place = [1.35, 103.82]", 12.0),
    ("jkt", "place = [-6.21, 106.85]", 30.0),
    ("bkk", "place = [13.75, 100.5]", 45.0),
    ("fra", "place = [50.11, 8.68]", 160.0),
];
/// Two nodes each.
const NODES: [&str; 2] = ["a", "b"];
/// From probe to probe, and from step to step: a fifth of what is usual makes days short.
const STEP: Duration = Duration::from_secs(5);
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// Until the median of the last 15 probes has turned, a rise stands, and the step comes that sees it.
const SEEN_WITHIN: u64 = 8 * STEP.as_secs() + PENALTY_HOLD.as_secs() + 2 * STEP.as_secs();

/// What a probe meets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meets {
    Ms(f64),
    /// A lost packet; the next probe takes so long.
    Lost(f64),
    /// Nobody.
    Silence,
}

/// A change of a penalty.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    second: u64,
    cluster: &'static str,
    from: f32,
    to: f32,
}

/// A server that lives for days.
struct Life {
    world: World,
    quality: Quality,
    bending: Bending,
    dice: Dice,
    second: u64,
    changes: Vec<Change>,
}

impl Life {
    fn begin(seed: u64) -> Life {
        let mut files = Files::default();
        FILES.iter().for_each(|(path, text)| files.put(path, text));
        let mut text =
            String::from("[check.edge]\nkind = \"tcp\"\nport = 80\ninterval = \"5s\"\nfall = 3\nrise = 2\n");
        text += "hold_down = \"0s\"\n[balance]\nenabled = false\n[policy.near]\nquality = {}\n";
        for (at, (cluster, place, _)) in CLUSTERS.iter().enumerate() {
            text += &format!("[cluster.{cluster}]\n{place}\ncheck = \"edge\"\n");
            for (number, node) in NODES.iter().enumerate() {
                text += &format!("node.{node} = [\"192.0.2.{}\"]\n", 10 * (at + 1) + number);
            }
        }
        files.put("zones/clusters.toml", &text);
        let mut world = World::start(&files).unwrap();
        world.all_up();
        let quality = Quality::new(world.now);
        Life { world, quality, bending: Bending::default(), dice: Dice(seed), second: 0, changes: Vec::new() }
    }

    /// So many seconds, in which probes of (cluster, node) at a second meet that.
    fn pass(&mut self, seconds: u64, meets: impl Fn(&mut Dice, &Answers, &str, &str, u64) -> Meets) {
        let end = self.second + seconds;
        while self.second < end {
            self.second += STEP.as_secs();
            self.world.after(STEP);
            let answers = self.answers();
            for target in self.world.targets("all", None) {
                let key = &target.aim.key;
                match meets(&mut self.dice, &answers, &key.cluster, &key.node, self.second) {
                    Meets::Ms(ms) => self.told(&target, ms, Outcome::Succeeded(millis(ms))),
                    Meets::Lost(ms) => {
                        self.told(&target, 200.0, Outcome::Late);
                        self.told(&target, ms, Outcome::Succeeded(millis(ms)));
                    }
                    Meets::Silence => {
                        let timeout_ms = target.aim.check.timeout.as_secs_f64() * 1000.0;
                        let cause = Cause { layer: "connect", what: "no answer".into() };
                        self.told(&target, timeout_ms, Outcome::Failed(cause));
                    }
                }
            }
            self.step();
            self.world.news.clear();
        }
    }

    fn told(&mut self, target: &Target, took_ms: f64, outcome: Outcome) {
        let (aim, at) = (Arc::clone(&target.aim), self.world.now);
        let decided_by = at + Duration::from_secs(3);
        let seen = Seen { outcome, started: at - millis(took_ms), at, decided_by };
        let observation = Observation { aim, seen };
        self.quality.observe(&observation);
        self.world.handle(Event::Observed(observation));
    }

    /// What the balancing task does.
    fn step(&mut self) {
        let (snapshot, now) = (&self.world.snapshot, self.world.now);
        let clusters: Vec<Arc<str>> =
            snapshot.plan.inventory.clusters.iter().map(|cluster| cluster.key.clone()).collect();
        let held = snapshot.pools.iter().flat_map(|pools| &pools.held);
        let held: HashMap<&TargetKey, Verdict> =
            held.map(|held| (&held.target.aim.key, held.held.verdict)).collect();
        let ways = measure(&self.quality.recent(|key| held[key], now), &clusters);
        let bends = self.bending.step(snapshot, &Measured { ways, loads: Vec::new() }, now);
        let before = self.penalties();
        if bends != *snapshot.bends {
            self.world.handle(Event::Bent(Arc::clone(&self.world.snapshot.plan), Arc::new(bends)));
        }
        for ((cluster, _, _), (from, to)) in CLUSTERS.iter().zip(before.into_iter().zip(self.penalties())) {
            if from != to {
                self.changed(Change { second: self.second, cluster, from, to });
            }
        }
    }

    /// Whatever happens: a penalty rises no sooner than the hold says after its last change, and falls no sooner than the release.
    fn changed(&mut self, change: Change) {
        let last = self.changes.iter().rfind(|last| last.cluster == change.cluster);
        let passed = change.second - last.map_or(0, |last| last.second);
        let least = if change.to > change.from { PENALTY_HOLD } else { PENALTY_RELEASE };
        assert!(passed >= least.as_secs(), "{change:?}, {passed} s after {last:?}");
        self.changes.push(change);
    }

    /// Cluster by cluster.
    fn penalties(&self) -> [f32; 4] {
        let snapshot = &self.world.snapshot;
        let group = snapshot.plan.routes[0].group;
        CLUSTERS.map(|(key, _, _)| snapshot.bends.penalty_ms(group, snapshot.plan.inventory.id(key).unwrap()))
    }

    /// The cluster that answers each country; everybody is answered.
    fn answers(&self) -> Answers {
        let snapshot = &self.world.snapshot;
        let route = snapshot.plan.routes[0];
        let of = |address| {
            let subnet = Subnet::new(address, 24).unwrap();
            let placed = snapshot.plan.place(&route, &snapshot.plan.client(&route, Some(&subnet), address));
            let choice = snapshot.choose(&route, &placed).expect("everybody is answered");
            snapshot.plan.inventory.cluster(choice.cluster).key.to_string()
        };
        Answers([16u8, 80, 144, 208].map(|first| of(IpAddr::V4(Ipv4Addr::new(first, 1, 2, 0)))))
    }

    fn rose(&self) -> Vec<Change> {
        self.changes.iter().filter(|change| change.to > change.from).copied().collect()
    }
}

/// Who answers Singapore, Indonesia, Thailand, Germany.
#[derive(Clone, Debug, PartialEq)]
struct Answers([String; 4]);

fn millis(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1000.0)
}

fn base(cluster: &str) -> f64 {
    CLUSTERS.iter().find(|(key, ..)| *key == cluster).unwrap().2
}

/// A way on an ordinary day: some jitter, a packet in a thousand lost, and evenings that begin at another hour in each place.
fn ordinary(dice: &mut Dice, cluster: &str, second: u64, more_ms: f64, loss: f64) -> Meets {
    let at = CLUSTERS.iter().position(|(key, ..)| *key == cluster).unwrap();
    let hour = (second as f64 / HOUR as f64 + 2.0 * at as f64) / 24.0;
    let evening = 7.0 * (TAU * hour).sin().max(0.0).powi(2);
    let ms = base(cluster) + evening + more_ms + 3.0 * dice.unit();
    if dice.unit() < loss { Meets::Lost(ms) } else { Meets::Ms(ms) }
}

const LOSS: f64 = 0.001;

#[test]
fn evenings_move_nobody() {
    let mut life = Life::begin(1);
    let home = life.answers();
    life.pass(48 * HOUR, |dice, _, cluster, _, second| ordinary(dice, cluster, second, 0.0, LOSS));
    assert_eq!((life.changes.as_slice(), life.answers()), (&[][..], home));
}

#[test]
fn a_cut_cable_is_held_against_whoever_is_behind_it_and_forgiven_after() {
    let mut life = Life::begin(2);
    let home = life.answers();
    assert_eq!(home.0, ["sin", "jkt", "bkk", "fra"]);
    let cut = |at: u64| {
        move |dice: &mut Dice, _: &Answers, cluster: &str, _: &str, second: u64| {
            let more_ms = if cluster == "bkk" && (at..at + 6 * HOUR).contains(&second) { 90.0 } else { 0.0 };
            ordinary(dice, cluster, second, more_ms, LOSS)
        }
    };
    life.pass(12 * HOUR, cut(12 * HOUR));
    assert_eq!(life.changes, []);
    life.pass(SEEN_WITHIN, cut(12 * HOUR));
    assert_eq!(life.answers().0[2], "sin", "{:?}", life.changes);
    life.pass(6 * HOUR - SEEN_WITHIN, cut(12 * HOUR));
    assert_eq!(life.answers().0, ["sin", "jkt", "sin", "fra"]);
    life.pass(PENALTY_RELEASE.as_secs(), cut(12 * HOUR));
    assert_eq!(life.answers().0[2], "sin");
    life.pass(SEEN_WITHIN, cut(12 * HOUR));
    assert_eq!(life.answers(), home);
    life.pass(12 * HOUR, cut(12 * HOUR));
    assert!(life.changes.iter().all(|change| change.cluster == "bkk"), "{:?}", life.changes);
    assert!(life.changes.len() <= 6, "{:?}", life.changes);
}

#[test]
fn our_own_line_that_gets_worse_is_held_against_nobody() {
    let mut life = Life::begin(3);
    // Slow in one hour of three, lossy in another.
    life.pass(30 * HOUR, |dice, _, cluster, _, second| match second / HOUR % 3 {
        0 => ordinary(dice, cluster, second, 0.0, LOSS),
        1 => ordinary(dice, cluster, second, 80.0, LOSS),
        _ => ordinary(dice, cluster, second, 0.0, 0.06),
    });
    assert_eq!(life.changes, []);
}

#[test]
fn a_node_that_flaps_is_not_held_against_the_one_beside_it() {
    let mut life = Life::begin(4);
    life.pass(24 * HOUR, |dice, _, cluster, node, second| match (cluster, node, second % 100) {
        ("sin", "a", 0..30) => Meets::Silence,
        // It has just been started.
        ("sin", "a", 30..45) => Meets::Ms(400.0),
        _ => ordinary(dice, cluster, second, 0.0, LOSS),
    });
    assert_eq!(life.changes, []);
}

#[test]
fn a_way_that_is_another_one_every_two_minutes_is_held_against_it_once() {
    let mut life = Life::begin(5);
    let lying = |from: u64, until: u64| {
        move |dice: &mut Dice, _: &Answers, cluster: &str, _: &str, second: u64| {
            let lies = cluster == "jkt"
                && (from..until).contains(&second)
                && (second / (2 * MINUTE)).is_multiple_of(2);
            ordinary(dice, cluster, second, if lies { 70.0 } else { 0.0 }, LOSS)
        }
    };
    life.pass(24 * HOUR, lying(12 * HOUR, 18 * HOUR));
    assert!(life.changes.iter().all(|change| change.cluster == "jkt"), "{:?}", life.changes);
    assert!((1..=2).contains(&life.rose().len()), "{:?}", life.changes);
    assert_eq!(life.penalties(), [0.0; 4]);
}

#[test]
fn a_cluster_that_gets_slow_by_its_clients_sees_them_come_and_go_ever_more_seldom() {
    let mut life = Life::begin(6);
    let crowded = |dice: &mut Dice, answers: &Answers, cluster: &str, _: &str, second: u64| {
        let crowd = cluster == "sin" && answers.0[0] == "sin" && second > 6 * HOUR;
        ordinary(dice, cluster, second, if crowd { 60.0 } else { 0.0 }, LOSS)
    };
    life.pass(10 * HOUR, crowded);
    let rose = life.rose();
    assert!((4..=10).contains(&rose.len()), "{rose:?}");
    let gaps: Vec<u64> = rose.windows(2).map(|pair| pair[1].second - pair[0].second).collect();
    assert!(gaps.is_sorted() && gaps[gaps.len() - 1] > 3600, "{gaps:?}");
    assert!(rose.iter().all(|change| change.cluster == "sin"), "{rose:?}");
}
