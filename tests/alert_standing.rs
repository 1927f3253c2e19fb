//! What stands wrong in a Snapshot, as alerts have it: found in the state alone, whatever led to it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use steerdns::alert::condition::{Condition, Kind, Label};
use steerdns::alert::standing::{Dated, of_databases, of_snapshot};
use steerdns::alert::term::of_terms;
use steerdns::health::note::Note;
use steerdns::publisher::Event;
use steerdns::steering::bend::Bends;
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

/// The world of the other tests under a check that is made of others.
fn layered(kind: &str) -> String {
    let layers = "[check.port]\nkind = \"tcp\"\nport = 80\ninterval = \"100ms\"\ntimeout = \"1s\"\nfall = 3\n[check.media]\nkind = \"rtmp\"\ninterval = \"100ms\"\ntimeout = \"1s\"\nfall = 3\n";
    let whole = format!("[check.works]\n{kind}\nof = [\"port\", \"media\"]\n");
    let tail = &CLUSTERS[CLUSTERS.find("[policy").unwrap()..];
    layers.to_owned() + &whole + &tail.replace("\"edge\"", "\"works\"")
}

/// Layers of the first address of sin-1 go down, ten seconds after one another.
fn without(kind: &str, layers: &[&str]) -> Vec<Condition> {
    let mut world = world(&layered(kind), &[]);
    for layer in layers {
        for target in world.targets("sin/sin-1/192.0.2.11", Some(layer)) {
            world.down(&target);
        }
        world.after(Duration::from_secs(10));
    }
    standing(&world)
}

#[test]
fn a_node_is_judged_by_all_layers_of_its_check_together_and_is_one_alert() {
    let one = without("kind = \"all\"", &["media"]);
    assert_eq!(told(&one), [(Kind::NodeDown, "192.0.2.11", false)]);
    assert_eq!(&**one[0].identity.label(Label::Check).unwrap(), "works");
    assert_eq!(one[0].summary, "sin-1 (192.0.2.11) in sin is down (check works); media: connect: refused");
    let both = without("kind = \"all\"", &["media", "port"]);
    assert_eq!(
        both[0].summary,
        "sin-1 (192.0.2.11) in sin is down (check works); port: connect: refused; media: connect: refused"
    );
    assert_eq!((both.len(), both[0].since), (1, NOW - Duration::from_secs(20)), "with the first layer");
}

#[test]
fn a_layer_that_decides_nothing_is_no_alert() {
    assert_eq!(without("kind = \"any\"", &["media"]), []);
    let both = without("kind = \"at-least\"\nleast = 1", &["media", "port"]);
    assert_eq!((both.len(), both[0].since), (1, NOW - Duration::from_secs(10)), "with the last layer");
}

#[test]
fn a_cluster_with_fewer_nodes_than_it_needs_says_so_and_how_many() {
    let needs_two = CLUSTERS.replace("region = \"asia\"", "region = \"asia\"\nmin_nodes = 2");
    let conditions = standing(&world(&needs_two, &["sin/sin-1/192.0.2.11"]));
    assert_eq!(
        told(&conditions),
        [(Kind::ClusterShort, "ipv4", false), (Kind::NodeDown, "192.0.2.11", true)]
    );
    let summary = "sin is short of nodes: 1 of 2 needed have an IPv4 address up (check edge); without sin-1";
    assert_eq!((&*conditions[0].summary, conditions[0].since), (summary, NOW - Duration::from_secs(100)));
    // The last one falls: it is down, and no longer short.
    let conditions = standing(&world(&needs_two, &["sin/sin-1/192.0.2.11", "sin/sin-2/192.0.2.12"]));
    assert_eq!(told(&conditions)[0], (Kind::ClusterDown, "ipv4", false));
}

#[test]
fn a_check_that_can_probe_no_more_says_of_how_many_it_knows_nothing() {
    let mut world = world(CLUSTERS, &[]);
    let [fra, ..] = &world.targets("fra", None)[..] else { panic!("fra has targets") };
    let (fra, others) = (fra.clone(), world.targets("sin", None));
    world.after(Duration::from_secs(450));
    others.iter().for_each(|target| world.succeed(target));
    // Of fra nothing was seen for ten minutes: it is unknown, and after a minute somebody is told.
    world.after(Duration::from_secs(51));
    assert_eq!(standing(&world), []);
    world.after(Duration::from_secs(61));
    let conditions = standing(&world);
    let told: Vec<_> =
        conditions.iter().map(|told| (told.identity.kind, &*told.summary, told.since)).collect();
    let summary = "check edge: of 2 of 6 targets nothing is known, since they cannot be probed; the first is \
                   fra/fra-1 at 192.0.2.21";
    assert_eq!(told, [(Kind::CheckBlind, summary, NOW - Duration::from_secs(61))]);
    world.succeed(&fra);
    assert!(standing(&world)[0].summary.starts_with("check edge: of 1 of 6"));
}

#[test]
fn a_cluster_that_is_short_because_of_an_operator_is_so_since_he_said_it() {
    let needs_two = CLUSTERS.replace("region = \"asia\"", "region = \"asia\"\nmin_nodes = 2");
    let mut world = world(&needs_two, &[]);
    world.order("drain", "sin/sin-2", None).unwrap();
    world.after(Duration::from_secs(7));
    let conditions = standing(&world);
    let short = |condition: &&Condition| condition.identity.kind == Kind::ClusterShort;
    assert_eq!(conditions.iter().filter(short).count(), conditions.len());
    assert_eq!((conditions.len(), conditions[0].since), (2, NOW - Duration::from_secs(7)));
}

#[test]
fn what_operators_say_today_counts_as_what_the_files_say() {
    let mut world = world(CLUSTERS, &["sin/sin-2"]);
    assert_eq!(standing(&world).len(), 2);
    for out in ["drain", "hold-down"] {
        world.order(out, "sin/sin-2", None).unwrap();
        assert_eq!(standing(&world), [], "{out}");
    }
    world.order("hold-up", "sin/sin-2", None).unwrap();
    let conditions = standing(&world);
    assert_eq!(conditions.len(), 2);
    assert!(conditions[0].summary.contains("and answered all the same (override up)"), "{conditions:?}");
    world.order("clear", "sin/sin-2", None).unwrap();
    assert!(!standing(&world)[0].summary.contains("override"));
}

#[test]
fn more_than_all_clusters_can_carry_is_told_until_it_fits_again() {
    let mut world = World::start(&files(CLUSTERS)).unwrap();
    world.all_up();
    let plan = Arc::clone(&world.snapshot.plan);
    world.handle(Event::Bent(Arc::clone(&plan), Arc::new(Bends { short: 40.0, ..Bends::default() })));
    let conditions = standing(&world);
    assert_eq!(told(&conditions), [(Kind::CapacityShort, "", false)]);
    assert!(conditions[0].summary.starts_with("clients ask for 40 more than"), "{}", conditions[0].summary);
    world.handle(Event::Bent(plan, Arc::default()));
    assert_eq!(told(&standing(&world)), []);
}

#[test]
fn a_server_that_doubts_itself_tells_that_and_not_what_it_sees_fail() {
    let mut files = files(CLUSTERS);
    files.append("steerdns.toml", "[health]\ncanaries = [\"9.9.9.9:53\", \"1.1.1.1:53\"]\n");
    let mut world = World::start(&files).unwrap();
    world.all_up();
    world.canaries(true);
    world.after(Duration::from_secs(100));
    for target in world.targets("all", None) {
        world.down(&target);
    }
    world.canaries(false);
    world.after(Duration::from_secs(3));
    let conditions = standing(&world);
    assert_eq!(told(&conditions), [(Kind::VantageInDoubt, "", false)]);
    assert_eq!(
        conditions[0].summary,
        "this server doubts its own network: 6 of 6 targets fail here, and with them most canaries; it answers by \
         the verdicts of before"
    );
    assert_eq!(conditions[0].since, NOW - Duration::from_secs(3));
    world.canaries(true);
    for target in world.targets("all", None) {
        world.up(&target);
    }
    world.after(Duration::from_secs(1));
    assert_eq!(standing(&world), []);
}

fn terms(world: &World) -> Vec<Condition> {
    of_terms(&world.snapshot, world.now, NOW)
}

const DAY: Duration = Duration::from_secs(86_400);

/// The world of the other tests over https, and so much is left of the certificate of one address.
fn certified(left: Duration) -> World {
    let https = CLUSTERS.replace("kind = \"tcp\"\nport = 80", "kind = \"https\"");
    let mut world = world(&https, &[]);
    let target = world.targets("sin/sin-1/192.0.2.11", None).remove(0);
    world.noted(&target, Note::Certificate { left });
    world
}

#[test]
fn a_certificate_that_ends_soon_is_a_warning_and_in_its_last_days_a_graver_one() {
    assert_eq!(terms(&certified(DAY * 14)), [], "14 days are enough by default");
    let mut world = certified(DAY * 3);
    let conditions = terms(&world);
    assert_eq!(told(&conditions), [(Kind::CertificateExpiring, "192.0.2.11", false)]);
    assert_eq!(
        conditions[0].summary,
        "the certificate of sin-1 (192.0.2.11) in sin ends in 3 days (check edge)"
    );
    assert_eq!(conditions[0].since, NOW - DAY * 11);
    assert_eq!(conditions[0].place.as_ref().unwrap().nodes, 2);
    // No probe must say so: time passes.
    world.after(DAY + Duration::from_secs(60));
    let conditions = terms(&world);
    let expected =
        [(Kind::CertificateLastDays, "192.0.2.11", false), (Kind::CertificateExpiring, "192.0.2.11", true)];
    assert_eq!(told(&conditions), expected);
    assert!(conditions[0].summary.contains(" ends in 47 hours "), "{}", conditions[0].summary);
    assert_eq!(conditions[0].since, NOW - Duration::from_secs(60));
    world.after(DAY * 3);
    assert!(terms(&world)[0].summary.contains(" has ended "), "{:?}", terms(&world));
    let target = world.targets("sin/sin-1/192.0.2.11", None).remove(0);
    world.noted(&target, Note::Certificate { left: DAY * 90 });
    assert_eq!(terms(&world), []);
}

#[test]
fn an_override_is_told_ten_minutes_before_its_end_and_for_ten_minutes_after_it() {
    let minute = Duration::from_secs(60);
    let mut world = world(CLUSTERS, &[]);
    world.order("drain", "sin", Some(minute * 30)).unwrap();
    world.after(minute * 20 - Duration::from_secs(1));
    assert_eq!(terms(&world), []);
    world.after(Duration::from_secs(61));
    let conditions = terms(&world);
    assert_eq!(told(&conditions), [(Kind::OverrideExpiring, "", false)]);
    let summary = "the override `drain` of sin ends in 9 min (given by nobody: a scenario)";
    assert_eq!((&*conditions[0].summary, conditions[0].since), (summary, NOW - minute));
    let labels = conditions[0].identity.labels.iter().map(|(label, value)| (label.word(), &**value));
    assert_eq!(labels.collect::<Vec<_>>(), [("target", "sin"), ("verdict", "drain")]);
    world.after(minute * 10);
    let conditions = terms(&world);
    assert_eq!(told(&conditions), [(Kind::OverrideExpired, "", false)]);
    let summary = "the override `drain` of sin has ended (given by nobody: a scenario)";
    assert_eq!((&*conditions[0].summary, conditions[0].since), (summary, NOW - minute));
    world.after(minute * 9);
    assert_eq!(terms(&world), []);
}

#[test]
fn the_end_of_a_short_override_is_not_announced_and_one_that_is_given_again_has_not_ended() {
    let minute = Duration::from_secs(60);
    let mut world = world(CLUSTERS, &[]);
    world.order("drain", "sin", Some(minute * 20)).unwrap();
    world.after(minute * 19);
    assert_eq!(terms(&world), []);
    world.after(minute);
    assert_eq!(told(&terms(&world)), [(Kind::OverrideExpired, "", false)]);
    world.order("drain", "sin", None).unwrap();
    assert_eq!(terms(&world), []);
    // What an operator took back did not end by itself.
    world.order("clear", "sin", None).unwrap();
    assert_eq!(terms(&world), []);
}
