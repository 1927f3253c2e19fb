//! What stands wrong in a Snapshot, as alerts have it: found in the state alone, whatever led to it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

mod support;

use std::time::Duration;

use steerdns::alert::condition::{Condition, Kind, Label};
use steerdns::alert::standing::{Dated, of_databases, of_snapshot};
use support::world::{Files, World};

const NOW: Duration = Duration::from_secs(1_800_000_000);

const CLUSTERS: &str = "\
[check.edge]
kind = \"tcp\"
port = 80
interval = \"100ms\"
timeout = \"1s\"
fall = 3
rise = 3
[policy.everywhere]
[cluster.sin]
place = [1.35, 103.82]
region = \"asia\"
check = \"edge\"
[cluster.sin.node]
sin-1 = [\"192.0.2.11\", \"2001:db8:1::11\"]
sin-2 = { addresses = [\"192.0.2.12\", \"2001:db8:1::12\"] }
[cluster.fra]
place = [50.11, 8.68]
check = \"edge\"
[cluster.fra.node]
fra-1 = [\"192.0.2.21\", \"2001:db8:2::21\"]
";

fn files(clusters: &str) -> Files {
    let mut files = Files::default();
    files.put("steerdns.toml", "listen = [\"127.0.0.1:0\"]\n");
    files.put("zones/clusters.toml", clusters);
    files.put("zones/live.example.com.toml", "[service.play]\npolicy = \"everywhere\"\nttl = \"5s\"\n");
    let zone = "$TTL 1h\n@ SOA ns1 hostmaster.example.com. 1 1h 15m 2w 5m\n@ NS ns1\nns1 A 192.0.2.53\n";
    files.put("zones/live.example.com.zone", zone);
    files
}

/// A world in which all is up but these, and a while has passed since.
fn world(clusters: &str, down: &[&str]) -> World {
    let mut world = World::start(&files(clusters)).unwrap();
    world.all_up();
    for whose in down {
        for target in world.targets(whose, None) {
            world.down(&target);
        }
    }
    world.after(Duration::from_secs(100));
    world
}

fn standing(world: &World) -> Vec<Condition> {
    of_snapshot(&world.snapshot, world.now, NOW).expect("all was observed")
}

/// Kind, the most telling label, and whether a graver one says it.
fn told(conditions: &[Condition]) -> Vec<(Kind, &str, bool)> {
    let label = |condition: &Condition, label| condition.identity.label(label).map(|value| value.to_string());
    let telling = |condition: &Condition| {
        let found = [Label::Address, Label::Family].into_iter().find_map(|of| label(condition, of));
        found.unwrap_or_default()
    };
    let all = conditions.iter().map(|own| (own.identity.kind, &*String::leak(telling(own)), own.is_said));
    all.collect()
}

#[test]
fn nothing_stands_while_nothing_is_known_or_all_is_up() {
    let fresh = World::start(&files(CLUSTERS)).unwrap();
    assert_eq!(of_snapshot(&fresh.snapshot, fresh.now, NOW), None);
    assert_eq!(standing(&world(CLUSTERS, &[])), []);
}

#[test]
fn an_address_that_is_down_stands_since_its_verdict() {
    let conditions = standing(&world(CLUSTERS, &["sin/sin-1/192.0.2.11"]));
    assert_eq!(told(&conditions), [(Kind::NodeDown, "192.0.2.11", false)]);
    assert_eq!(conditions[0].since, NOW - Duration::from_secs(100));
    assert_eq!(conditions[0].summary, "sin-1 (192.0.2.11) in sin is down (check edge): connect: refused");
    let place = conditions[0].place.as_ref().unwrap();
    let region = place.region.as_ref().unwrap();
    assert_eq!((&*place.cluster, place.nodes), ("sin", 2));
    assert_eq!((&*region.key, region.clusters, region.nodes), ("asia", 1, 2));
}

#[test]
fn a_family_without_an_address_says_what_its_addresses_say() {
    let conditions = standing(&world(CLUSTERS, &["sin/sin-1/192.0.2.11", "sin/sin-2"]));
    let expected = [
        (Kind::ClusterDown, "ipv4", false),
        (Kind::NodeDown, "192.0.2.11", true),
        (Kind::NodeDown, "192.0.2.12", true),
        (Kind::NodeDown, "2001:db8:1::12", false),
    ];
    assert_eq!(told(&conditions), expected);
}

#[test]
fn where_all_is_down_the_clusters_of_that_family_are_said() {
    let conditions = standing(&world(CLUSTERS, &["fra", "sin/sin-1/192.0.2.11", "sin/sin-2/192.0.2.12"]));
    let graver = &told(&conditions)[..4];
    let expected = [
        (Kind::AllDown, "ipv4", false),
        (Kind::ClusterDown, "ipv4", true),
        (Kind::ClusterDown, "ipv4", true),
        (Kind::ClusterDown, "ipv6", false),
    ];
    assert_eq!(graver, expected);
    assert_eq!(conditions[0].since, NOW - Duration::from_secs(100));
}

#[test]
fn who_is_taken_out_is_expected_to_be_down_and_who_is_held_up_is_not() {
    let with = |verdict: &str| {
        let drained = format!(", override = {{ verdict = \"{verdict}\", why = \"a test\" }} }}");
        CLUSTERS.replace("::12\"] }", &format!("::12\"]{drained}"))
    };
    for out in ["drain", "down"] {
        assert_eq!(told(&standing(&world(&with(out), &["sin/sin-2"]))), [], "{out}");
        // The one that is left is the whole cluster.
        let conditions = standing(&world(&with(out), &["sin/sin-1/192.0.2.11"]));
        assert_eq!(
            told(&conditions),
            [(Kind::ClusterDown, "ipv4", false), (Kind::NodeDown, "192.0.2.11", true)]
        );
    }
    let conditions = standing(&world(&with("up"), &["sin/sin-2/192.0.2.12"]));
    assert!(conditions[0].summary.contains("and answered all the same (override up)"), "{conditions:?}");
}

#[test]
fn a_reload_leaves_what_stands() {
    let mut world = world(CLUSTERS, &["sin/sin-1/192.0.2.11"]);
    let before = standing(&world);
    world.reload(&files(&CLUSTERS.replace("region = \"asia\"\n", ""))).unwrap();
    let after = standing(&world);
    assert_eq!(before[0].identity, after[0].identity);
    assert_eq!(before[0].since, after[0].since);
}

#[test]
fn a_database_is_too_old_from_the_day_on_that_it_is() {
    let day = Duration::from_secs(86_400);
    let databases =
        [100, 181].map(|days| Dated { name: format!("{days}.mmdb").into(), built: NOW - day * days });
    let old = of_databases(&databases, day * 180, NOW);
    assert_eq!(old.len(), 1);
    assert_eq!(
        (&*old[0].summary, old[0].since),
        ("181.mmdb was built on 2026-07-18, more than 180 days ago", NOW - day)
    );
    assert_eq!(of_databases(&databases, day * 181, NOW), []);
}
