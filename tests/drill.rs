//! Drills on paper: numbers by hand, laws, and what the server then really answers.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test has clocks of its own, and may")]

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use steerdns::answer::worker::{Transport, Worker};
use steerdns::geo::places::{Places, Stretch};
use steerdns::health::overrides::Selector;
use steerdns::health::target::Target;
use steerdns::impact::result::{Affected, Impact};
use steerdns::impact::stage::{Demand, Stage};
use steerdns::plan::Plan;
use steerdns::publisher::Publisher;
use steerdns::snapshot::Snapshot;
use support::ask::Question;
use support::dice::Dice;
use support::world::{Files, World};

/// A quarter of the placed addresses is in Singapore, the rest is in Germany, in both families.
const FEED: &str = "11.0.0.0/12,SG,,,\n11.16.0.0/12,DE,,,\n11.32.0.0/11,DE,,,\n\
                    2a00::/18,SG,,,\n2a00:4000::/18,DE,,,\n2a00:8000::/17,DE,,,\n";

const CLUSTERS: &str = "[check.edge]\nkind = \"tcp\"\nport = 1\n[policy.everywhere]\n\
    [cluster.sin]\nplace = [1.35, 103.82]\nregion = \"asia\"\ncapacity = 100\n[cluster.sin.node]\n\
    sin-1 = { addresses = [\"192.0.2.11\"] }\nsin-2 = { addresses = [\"192.0.2.12\"] }\n\
    [cluster.fra]\nplace = [50.11, 8.68]\nregion = \"europe\"\ncapacity = 100\n[cluster.fra.node]\n\
    fra-1 = { addresses = [\"192.0.2.21\"] }\n\
    [cluster.ams]\nplace = [52.37, 4.89]\nregion = \"europe\"\ncapacity = 50\n[cluster.ams.node]\n\
    ams-1 = { addresses = [\"192.0.2.31\"] }\n";

const SERVICES: &str = "[service.play]\npolicy = \"everywhere\"\ncheck = \"edge\"\nipv6 = \"off\"\n";

fn small(clusters: &str, services: &str) -> Arc<Plan> {
    let mut files = Files::default();
    files.put(
        "steerdns.toml",
        "listen = [\"127.0.0.1:0\"]\nzones = \"small\"\n[geoip]\ngeofeeds = [\"own.csv\"]\n",
    );
    files.put("own.csv", FEED);
    files.put("small/clusters.toml", clusters);
    files.put("small/live.example.com.toml", services);
    files.put(
        "small/live.example.com.zone",
        "$TTL 1h\n@ SOA ns1 host 1 1h 15m 2w 5m\n@ NS ns1\nns1 A 192.0.2.53\n",
    );
    Arc::new(files.load().unwrap().plan)
}

/// Only what the feed places counts.
fn places() -> Places {
    let v4 = [(0, 0), (11 << 24, 1), (11 << 24 | 64 << 16, 0)].map(|(start, place)| Stretch { start, place });
    let v6 = [(0, 0), (0x2a00 << 48, 1), (0x2a01 << 48, 0)].map(|(start, place)| Stretch { start, place });
    Places { known: vec![Default::default(); 2], v4: v4.into(), v6: v6.into() }
}

fn selectors(words: &[&str]) -> Vec<Selector> {
    words.iter().map(|word| Selector::parse(word).unwrap()).collect()
}

/// What it means that these fail on top of those.
fn impact(plan: &Arc<Plan>, kill: &[&str], down: &[&str]) -> Impact {
    let (now, kill, down) = (Instant::now(), selectors(kill), selectors(down));
    let means =
        |of: &[Selector], target: &Target| of.iter().any(|of| of.means_target(&plan.inventory, target));
    let mut publisher = Publisher::rehearsed(Arc::clone(plan), |target| means(&down, target), now);
    let before = publisher.publish(now).0.unwrap();
    let after = publisher.without(|target| means(&kill, target), now);
    Stage::new(&before, &places(), &Demand::Space, 0.6).impact(&after)
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-6, "{a} is not {b}");
}

fn full_after(impact: &Impact, cluster: &str) -> f64 {
    impact.clusters.iter().find(|of| of.cluster == cluster).unwrap().full_after.unwrap()
}

fn only(impact: &Impact) -> &Affected {
    assert_eq!(impact.services.len(), 1, "{impact:#?}");
    &impact.services[0]
}

#[test]
fn a_dead_cluster_s_quarter_of_the_world_goes_to_the_next_one() {
    let impact = impact(&small(CLUSTERS, SERVICES), &["sin"], &[]);
    let play = only(&impact);
    let [of] = &play.moves[..] else { panic!("{play:#?}") };
    assert_eq!((of.from.as_deref(), of.to.as_deref(), of.gets), (Some("sin"), Some("fra"), "answered"));
    for share in [of.part.share, of.part.ipv4, of.part.ipv6, play.moved.share, impact.moved] {
        near(share, 0.25);
    }
    near(impact.unanswered, 0.0);
    // Frankfurt had three quarters, and was taken to be 60 % full: all of it is 80 %.
    near(full_after(&impact, "fra"), 0.8);
    near(full_after(&impact, "sin"), 0.0);
    assert_eq!(impact.over().count(), 0);
    // From Singapore to Frankfurt are up to 10,000 km more (costs are those of all clients of a list): 21 ms for each 1000 km.
    let (ms, km) = (of.added_ms.unwrap(), of.added_km.unwrap());
    assert!((5_000.0..11_000.0).contains(&km.median), "{km:?}");
    assert!(
        (ms.median - km.median * 0.021).abs() < 0.01 && (impact.added_ms - ms.median / 4.0).abs() < 0.5,
        "{ms:?}"
    );
}

#[test]
fn who_takes_over_with_half_the_capacity_is_twice_as_full() {
    let impact = impact(&small(CLUSTERS, SERVICES), &["fra"], &[]);
    assert_eq!(only(&impact).moves[0].to.as_deref(), Some("ams"));
    near(impact.moved, 0.75);
    near(full_after(&impact, "ams"), 1.2);
    assert_eq!(impact.over().map(|of| of.cluster.as_str()).collect::<Vec<_>>(), ["ams"]);
}

#[test]
fn a_node_less_moves_nobody_unless_its_cluster_needs_it() {
    let lost = impact(&small(CLUSTERS, SERVICES), &["sin/sin-1"], &[]);
    let [thinned] = &only(&lost).thinned[..] else { panic!("{lost:#?}") };
    assert_eq!((lost.moved, thinned.lost), (0.0, 1.0));
    let nodes: Vec<_> =
        thinned.nodes.iter().map(|node| (node.node.as_str(), node.before, node.after)).collect();
    near(nodes[0].1, 0.125);
    near(nodes[1].1, 0.125);
    near(nodes[0].2, 0.0);
    near(nodes[1].2, 0.25);
    near(thinned.busiest().unwrap().1, 2.0);

    let needy = small(&CLUSTERS.replace("[cluster.sin.node]", "min_nodes = 2\n[cluster.sin.node]"), SERVICES);
    let short = impact(&needy, &["sin/sin-1"], &[]);
    assert_eq!(only(&short).short, ["sin"]);
    near(short.moved, 0.25);
}

#[test]
fn when_all_is_down_it_is_told_what_is_said_then() {
    let all = ["region:*"];
    for (line, gets, said) in
        [("", "dead nodes", "serve-all"), ("all_down = \"servfail\"\n", "servfail", "servfail")]
    {
        let impact = impact(&small(CLUSTERS, &(SERVICES.to_owned() + line)), &all, &[]);
        let play = only(&impact);
        assert!(play.moves.iter().all(|of| of.gets == gets), "{play:#?}");
        assert_eq!(play.all_down, said);
        near(play.unanswered.share, 1.0);
        near(impact.unanswered, 1.0);
    }
}

#[test]
fn on_top_of_what_is_down_only_what_is_new_counts() {
    let plan = small(CLUSTERS, SERVICES);
    let on_top = impact(&plan, &["fra"], &["ams"]);
    near(on_top.moved, 0.75);
    assert_eq!(only(&on_top).moves[0].to.as_deref(), Some("sin"));
    assert!(impact(&plan, &["ams"], &["ams"]).is_none(), "it was down already");
    let nothing = impact(&plan, &["ams"], &[]);
    assert!(nothing.services.iter().all(|of| of.moves.is_empty()), "nobody was there");
}

#[test]
fn services_that_are_answered_alike_stand_together_and_count_each() {
    let of = |name: &str, policy: &str| SERVICES.replace("play", name).replace("everywhere", policy);
    let services = SERVICES.to_owned() + &of("ingest", "everywhere") + &of("own", "own");
    let clusters = CLUSTERS.to_owned() + "[policy.own]\nclusters = [\"ams\"]\n";
    let impact = impact(&small(&clusters, &services), &["sin"], &[]);
    assert_eq!(only(&impact).services, ["play.live.example.com.", "ingest.live.example.com."]);
    // Two of three services lose a quarter.
    near(impact.moved, 0.25 * 2.0 / 3.0);
}

/// The cluster whose address stands first in an answer.
fn cluster_of(plan: &Plan, addresses: &[IpAddr]) -> Option<String> {
    let has = |ip: &IpAddr| {
        let clusters = plan.inventory.clusters.iter();
        let mut of = clusters.filter(|cluster| {
            cluster.nodes.iter().any(|node| node.addresses.iter().any(|address| address.ip == *ip))
        });
        of.next().map(|cluster| cluster.key.to_string())
    };
    addresses.first().and_then(has)
}

/// What a drill says is what the server then answers: whole packets of many clients, before and after the same nodes really fell.
#[test]
fn what_a_drill_says_is_what_clients_then_get() {
    const CLIENTS: usize = 1000;
    let files = Files::default();
    let loaded = files.load().unwrap();
    let places = loaded.geography.places();
    let plan = Arc::new(loaded.plan);
    let now = Instant::now();
    let mut publisher = Publisher::rehearsed(Arc::clone(&plan), |_| false, now);
    let before = publisher.publish(now).0.unwrap();
    let stage = Stage::new(&before, &places, &Demand::Space, 0.7);
    let mut dice = Dice::new(7);
    let clusters: Vec<&str> = plan.inventory.clusters.iter().map(|cluster| &*cluster.key).collect();
    for round in 0..5 {
        let mut kill: Vec<String> = (0..=dice.below(4)).map(|_| (*dice.pick(&clusters)).to_owned()).collect();
        if round % 2 == 0 {
            let cluster = plan.inventory.cluster(plan.inventory.id(&kill[0]).unwrap());
            kill[0] = format!("{}/{}", cluster.key, cluster.nodes[0].key);
        }
        let kill: Vec<Selector> = kill.iter().map(|key| Selector::parse(key).unwrap()).collect();
        let dead = |target: &Target| kill.iter().any(|of| of.means_target(&plan.inventory, target));
        let impact = stage.impact(&publisher.without(dead, now));
        sums(&impact);

        let mut world = World::of(Arc::clone(&plan));
        world.all_up();
        for target in plan.targets.iter().filter(|target| dead(target)) {
            world.down(target);
        }
        let route =
            plan.routes.iter().find(|route| !plan.services[route.service.0 as usize].is_exposed).unwrap();
        let name = plan.services[route.service.0 as usize].owner.to_string();
        let affected = impact.services.iter().find(|of| of.services.contains(&name) && of.family == "A");
        let mut worker = Worker::default();
        let mut ask = |snapshot: &Snapshot, network: Ipv4Addr| {
            let mut question = Question::new(&name, "A").subnet(&format!("{network}/24"));
            question.transport = Transport::Tcp;
            question.ask(snapshot, &mut worker, world.now).addresses()
        };
        let mut seen = BTreeMap::<(Option<String>, Option<String>), usize>::new();
        let mut asked = 0;
        while asked < CLIENTS {
            let network = Ipv4Addr::from((dice.next() as u32) & 0xffff_ff00);
            let is_public = steerdns::steering::client::unroutable(network.into()).is_none();
            if !is_public || *places.at(network.into()) == Default::default() {
                continue;
            }
            asked += 1;
            let [from, to] = [&before, &world.snapshot].map(|of| cluster_of(&plan, &ask(of, network)));
            let lives = |key: &Option<String>| {
                key.as_ref().is_some_and(|key| {
                    !kill.iter().any(|of| of.reaches(plan.inventory.cluster(plan.inventory.id(key).unwrap())))
                })
            };
            assert!(
                from == to || !lives(&from),
                "{network} moves from {from:?} to {to:?}, and nothing of that fell"
            );
            if from != to {
                *seen.entry((from, to)).or_default() += 1;
            }
        }
        let moves = affected.map(|of| of.moves.clone()).unwrap_or_default();
        for ((from, to), count) in &seen {
            let foreseen = moves.iter().any(|of| of.from == *from && of.to == *to);
            assert!(foreseen, "{count} clients go from {from:?} to {to:?}: not in {moves:#?}");
        }
        for of in &moves {
            let count = seen.get(&(of.from.clone(), of.to.clone())).copied().unwrap_or(0) as f64;
            let (n, p) = (CLIENTS as f64, of.part.ipv4);
            let off = (count - n * p).abs() / (n * p * (1.0 - p)).sqrt().max(1.0);
            assert!(off < 4.5, "{:?} -> {:?}: {count} of {n} clients, foreseen {p}", of.from, of.to);
        }
    }
}

/// Shares are shares: moves sum to what moves, clusters to all that are answered.
fn sums(impact: &Impact) {
    for of in &impact.services {
        let sum = |part: fn(&steerdns::impact::result::Part) -> f64| {
            of.moves.iter().map(|of| part(&of.part)).sum::<f64>()
        };
        near(sum(|part| part.share), of.moved.share);
        near(sum(|part| part.ipv4), of.moved.ipv4);
        assert!(of.moved.share <= 1.0 + 1e-9 && of.unanswered.share <= of.moved.share + 1e-9);
    }
    near(impact.clusters.iter().map(|of| of.share_before).sum(), 1.0);
    let after: f64 = impact.clusters.iter().map(|of| of.share_after).sum();
    assert!(after <= 1.0 + 1e-9 && (impact.unanswered > 0.0 || after > 1.0 - 1e-9), "{after}");
}
