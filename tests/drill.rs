//! Drills on paper: numbers by hand, laws, and what the server then really answers.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test has clocks of its own, and may")]

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use steerdns::answer::worker::{Transport, Worker};
use steerdns::bending::{Bending, Measured};
use steerdns::cluster::Node;
use steerdns::geo::places::{Places, Stretch};
use steerdns::health::overrides::Selector;
use steerdns::health::quality::Load;
use steerdns::health::target::Target;
use steerdns::impact::clients::{left, watched};
use steerdns::impact::result::{Affected, Impact};
use steerdns::impact::stage::{Demand, Stage};
use steerdns::plan::Plan;
use steerdns::publisher::Publisher;
use steerdns::publisher::rest::{at_rest, known};
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
    Places { known: vec![Default::default(); 2], v4: v4.to_vec().into(), v6: v6.to_vec().into() }
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
    Stage::new(&before, &places(), &Demand::Space, 0.6).impact(&after, None)
}

/// A world with all up, and the one without some.
fn worlds(plan: &Arc<Plan>, kill: &[&str]) -> (Snapshot, Snapshot) {
    let (now, kill) = (Instant::now(), selectors(kill));
    let mut publisher = Publisher::rehearsed(Arc::clone(plan), |_| false, now);
    let before = publisher.publish(now).0.unwrap();
    let dead = |target: &Target| kill.iter().any(|of| of.means_target(&plan.inventory, target));
    let after = publisher.without(dead, now);
    (before, after)
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
        // Nobody goes to another cluster: nobody is answered at all.
        assert_eq!((play.moved.share, impact.moved), (0.0, 0.0));
        assert!(impact.summary().contains("nobody changes the cluster; 100.0 % of a service's clients"));
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

#[test]
fn clusters_carry_services_by_their_demand() {
    let own = SERVICES.replace("play", "own").replace("everywhere", "own") + "demand = 3\n";
    let clusters = CLUSTERS.to_owned() + "[policy.own]\nclusters = [\"ams\"]\n";
    let impact = impact(&small(&clusters, &(SERVICES.to_owned() + &own)), &["sin"], &[]);
    let of = |key: &str| impact.clusters.iter().find(|of| of.cluster == key).unwrap();
    // Amsterdam is asked three times as much as Singapore and Frankfurt together, with half the capacity: it is the fullest, at 60 %.
    near(of("ams").full_before.unwrap(), 0.6);
    near(of("fra").full_before.unwrap(), 0.6 * 0.75 / 6.0);
    near(full_after(&impact, "fra"), 0.6 / 6.0);
    near(of("fra").share_after, 0.25);
    // Of the clients an eighth moves all the same.
    near(impact.moved, 0.125);
}

#[test]
fn with_the_counts_of_a_server_queries_are_weighed_beside_addresses() {
    let plan = small(CLUSTERS, SERVICES);
    let (before, after) = worlds(&plan, &["sin"]);
    let counts = BTreeMap::from([("sin".into(), 300), ("fra".into(), 100)]);
    let impact = Stage::new(&before, &places(), &Demand::Answered(counts), 0.6).impact(&after, None);
    let (play, queries) = (only(&impact), impact.queries.unwrap());
    near(impact.moved, 0.25);
    for share in [queries.moved, play.moved.queries.unwrap(), play.moves[0].part.queries.unwrap()] {
        near(share, 0.75);
    }
    near(queries.added_ms, 3.0 * impact.added_ms);
    assert!(impact.text().contains("25.0 % of all clients (75.0 % of the queries) change the cluster"));
    assert!(impact.text().contains("25.0 % (IPv4 25.0 %, IPv6 25.0 %; of the queries 75.0 %)"));
    assert!(impact.markdown().contains("| 25.0 % | 75.0 % |"), "{}", impact.markdown());
    let (_, after) = worlds(&plan, &["region:*"]);
    let impact = Stage::new(&before, &places(), &Demand::Answered([("sin".into(), 1)].into()), 0.6);
    let queries = impact.impact(&after, None).queries.unwrap();
    assert_eq!((queries.moved, queries.unanswered), (0.0, 1.0));
}

/// With nodes that tell their load, and with such that do not: what a drill says of clusters after a failure is what the balance of a server
/// comes to, second by second.
#[test]
fn capacity_after_is_what_the_balance_comes_to() {
    let telling = CLUSTERS.replace("kind = \"tcp\"", "kind = \"agent\"");
    for (clusters, tells) in [(CLUSTERS, false), (&*telling, true)] {
        let plan = small(clusters, SERVICES);
        let (before, after) = worlds(&plan, &["fra"]);
        let places = places();
        let stage = Stage::new(&before, &places, &Demand::Space, 0.6);
        let mut now = Instant::now();
        let rest = at_rest(&stage, &before, &after, now).unwrap();
        let impact = stage.impact(&after, Some(&rest));
        let ams = impact.clusters.iter().find(|of| of.cluster == "ams").unwrap();
        near(ams.full_at_once.unwrap(), 1.2);
        assert!(ams.full_after.unwrap() < 0.97, "{ams:?}");
        assert_eq!(impact.over().count(), 0);
        assert!(known(&plan).unwrap().ends_with(if tells {
            "3 of 3 clusters tell theirs"
        } else {
            "0 of 3 clusters tell theirs"
        }));

        let mut bending = Bending::default();
        let mut carried = Vec::new();
        for world in [&before, &after] {
            let mut snapshot = world.clone();
            for _ in 0..1200 {
                carried = stage.carried(&snapshot);
                let nodes = plan.inventory.clusters.iter().zip(&carried).filter(|_| tells);
                let loads = nodes.flat_map(|(cluster, carried)| {
                    let used = carried / cluster.capacity.unwrap() as f64;
                    let load = |node: &Node| Load {
                        cluster: cluster.key.clone(),
                        node: node.key.clone(),
                        used,
                        at: now,
                    };
                    cluster.nodes.iter().map(load).collect::<Vec<_>>()
                });
                let measured = Measured { ways: vec![[None; 2]; 3], loads: loads.collect() };
                snapshot.bends = Arc::new(bending.step(&snapshot, &measured, now));
                now += Duration::from_secs(1);
            }
        }
        for (cluster, carried) in plan.inventory.clusters.iter().zip(&carried) {
            let (said, seen) =
                (full_after(&impact, &cluster.key), carried / cluster.capacity.unwrap() as f64);
            assert!(
                (said - seen).abs() < 0.05,
                "{}: {said}, and it comes to {seen} (tells: {tells})",
                cluster.key
            );
        }
    }
}

#[test]
fn all_services_are_named_of_which_clients_would_be_left() {
    let services = SERVICES.to_owned() + &SERVICES.replace("play", "ingest");
    let (before, after) = worlds(&small(CLUSTERS, &services), &["region:*"]);
    let owners =
        left(&before, &after).into_iter().map(|route| &before.plan.services[route.service.0 as usize].owner);
    let owners: Vec<String> = owners.map(ToString::to_string).collect();
    assert_eq!(owners, ["play.live.example.com.", "ingest.live.example.com."]);
}

#[test]
fn clients_of_both_families_are_watched() {
    let (before, _) = worlds(&small(CLUSTERS, SERVICES), &[]);
    let watched = watched(&before, &["192.0.2.11".parse().unwrap()], Ipv4Addr::LOCALHOST.into());
    let clients: Vec<(IpAddr, u8)> = watched.iter().filter_map(|watched| watched.client).collect();
    assert!(clients.iter().any(|(address, bits)| address.is_ipv4() && *bits == 24), "{clients:?}");
    assert!(clients.iter().any(|(address, bits)| address.is_ipv6() && *bits == 56), "{clients:?}");
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
        let impact = stage.impact(&publisher.without(dead, now), None);
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
        let sum = |answered: bool, part: fn(&steerdns::impact::result::Part) -> f64| {
            let moves = of.moves.iter().filter(|of| (of.gets == "answered") == answered);
            moves.map(|of| part(&of.part)).sum::<f64>()
        };
        near(sum(true, |part| part.share), of.moved.share);
        near(sum(true, |part| part.ipv4), of.moved.ipv4);
        near(sum(false, |part| part.share), of.unanswered.share);
        assert!(of.moved.share + of.unanswered.share <= 1.0 + 1e-9);
    }
    near(impact.clusters.iter().map(|of| of.share_before).sum(), 1.0);
    let after: f64 = impact.clusters.iter().map(|of| of.share_after).sum();
    assert!(after <= 1.0 + 1e-9 && (impact.unanswered > 0.0 || after > 1.0 - 1e-9), "{after}");
}
