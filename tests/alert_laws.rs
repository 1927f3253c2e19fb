//! When alerts are told: laws that hold whatever stands, for however long, with restarts between.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use steerdns::alert::condition::{Condition, Identity, Kind, Label, Place, Region};
use steerdns::alert::desk::{Desk, Stage, Timing};
use steerdns::alert::notification::{Event, Notification};

/// When all of these begin: some day.
const START: Duration = Duration::from_secs(1_800_000_000);

const TIMING: Timing = Timing {
    hold: Duration::from_secs(30),
    resolve_after: Duration::from_secs(60),
    group_wait: Duration::from_secs(10),
    repeat: Duration::from_secs(3600),
};

fn at(seconds: u64) -> Duration {
    START + Duration::from_secs(seconds)
}

/// Clusters a, b, c of one region with four nodes each.
fn place(cluster: &str) -> Place {
    let region = Region { key: "north".into(), clusters: 3, nodes: 12 };
    Place { cluster: cluster.into(), nodes: 4, region: Some(region) }
}

fn node(cluster: &str, number: usize) -> Condition {
    let name = format!("{cluster}-{number}");
    let labels = vec![(Label::Cluster, Arc::from(cluster)), (Label::Node, Arc::from(&*name))];
    Condition {
        identity: Identity { kind: Kind::NodeDown, labels },
        summary: format!("{name} is down"),
        since: START,
        place: Some(place(cluster)),
        is_said: false,
    }
}

fn cluster(key: &str) -> Condition {
    let identity = Identity { kind: Kind::ClusterDown, labels: vec![(Label::Cluster, key.into())] };
    let summary = format!("{key} has no IPv4 address up");
    Condition { identity, summary, since: START, place: Some(place(key)), is_said: false }
}

fn all_down(service: &str) -> Condition {
    let identity = Identity { kind: Kind::AllDown, labels: vec![(Label::Service, service.into())] };
    Condition { identity, summary: format!("{service} is down"), since: START, place: None, is_said: false }
}

/// What a clock says of an override.
fn of_override(kind: Kind) -> Condition {
    let labels = vec![(Label::Target, Arc::from("sin")), (Label::Verdict, Arc::from("drain"))];
    let identity = Identity { kind, labels };
    Condition { identity, summary: "the override".into(), since: START, place: None, is_said: false }
}

/// A desk, second by second.
struct Life {
    desk: Desk,
    now: u64,
    told: Vec<(u64, Notification)>,
}

impl Life {
    fn new() -> Life {
        Life { desk: Desk::new(TIMING), now: 0, told: Vec::new() }
    }

    /// These stand for so many seconds.
    fn stand(&mut self, seconds: u64, conditions: &[Condition]) {
        for _ in 0..seconds {
            self.desk.see(conditions.to_vec(), at(self.now));
            let told = self.desk.tick(at(self.now));
            self.told.extend(told.into_iter().map(|told| (self.now, told)));
            self.now += 1;
        }
    }

    /// The program ends, and begins again after so many seconds.
    fn restart(&mut self, seconds: u64) {
        let kept = self.desk.kept();
        self.now += seconds;
        self.desk = Desk::new(TIMING);
        self.desk.restore(kept, at(self.now));
    }

    /// What was told, and when.
    fn summaries(&self) -> Vec<(u64, &str)> {
        self.told.iter().map(|(at, told)| (*at, &*told.summary)).collect()
    }
}

#[test]
fn a_node_that_is_down_is_told_once_and_its_end_once() {
    let mut life = Life::new();
    life.stand(300, &[node("a", 1)]);
    life.stand(300, &[]);
    assert_eq!(life.summaries(), [(40, "a-1 is down"), (370 - 10, "resolved: a-1 is down")]);
    let [fired, resolved] = [&life.told[0].1, &life.told[1].1];
    assert_eq!(
        (fired.event, fired.firing, resolved.event, resolved.firing),
        (Event::Fired, 1, Event::Resolved, 0)
    );
    assert_eq!(fired.group, resolved.group);
    assert!(life.desk.kept().is_empty());
}

#[test]
fn a_blip_is_not_told() {
    let mut life = Life::new();
    for _ in 0..10 {
        life.stand(30, &[node("a", 1)]);
        life.stand(1, &[]);
    }
    assert_eq!(life.summaries(), []);
}

#[test]
fn what_flaps_is_one_alert() {
    let mut life = Life::new();
    for _ in 0..20 {
        life.stand(50, &[node("a", 1)]);
        life.stand(50, &[]);
    }
    life.stand(100, &[]);
    assert_eq!(life.summaries(), [(40, "a-1 is down"), (50 + 19 * 100 + 60, "resolved: a-1 is down")]);
}

#[test]
fn the_nodes_of_a_cluster_are_one_notification() {
    let mut life = Life::new();
    let nodes = [1, 2, 3].map(|number| node("a", number));
    life.stand(3, &nodes[..1]);
    life.stand(3, &nodes[..2]);
    life.stand(100, &nodes);
    life.stand(100, &nodes[..1]);
    life.stand(100, &[]);
    let expected = [
        (40, "a: 3 of 4 nodes down"),
        (106 + 60 + 10, "resolved: a: 2 nodes back, 1 of 4 still down"),
        (206 + 60, "resolved: a-1 is down"),
    ];
    assert_eq!(life.summaries(), expected);
    assert_eq!(
        life.told.iter().map(|(_, told)| (told.count, told.firing)).collect::<Vec<_>>(),
        [(3, 3), (2, 1), (1, 0)]
    );
}

#[test]
fn one_that_falls_later_is_told_with_how_many_are_down() {
    let mut life = Life::new();
    life.stand(100, &[node("a", 1)]);
    life.stand(100, &[node("a", 1), node("a", 2)]);
    assert_eq!(life.summaries(), [(40, "a-1 is down"), (140, "a-2 is down; a: 2 of 4 nodes down")]);
}

#[test]
fn a_region_most_of_which_is_down_is_one_notification() {
    let mut life = Life::new();
    life.stand(100, &[cluster("a"), cluster("b")]);
    life.stand(100, &[]);
    assert_eq!(
        life.summaries(),
        [(40, "north: 2 of 3 clusters down"), (160, "resolved: north: 2 clusters back, 0 of 3 still down")]
    );
    let mut life = Life::new();
    life.stand(100, &[node("a", 1), node("b", 1), node("b", 2), node("c", 4)]);
    assert_eq!(life.summaries(), [(40, "north: 4 of 12 nodes down")]);
}

#[test]
fn what_a_graver_one_says_is_not_told_and_its_hold_begins_when_that_ends() {
    let said = Condition { is_said: true, ..node("a", 1) };
    let mut life = Life::new();
    life.stand(100, &[cluster("a"), said.clone()]);
    assert_eq!(life.summaries(), [(40, "a has no IPv4 address up")]);
    assert_eq!(
        life.desk.stages().iter().map(|(_, stage)| *stage).collect::<Vec<_>>(),
        [Stage::Firing, Stage::Said]
    );
    life.stand(100, &[node("a", 1)]);
    let expected = [
        (40, "a has no IPv4 address up"),
        (99 + 30 + 10, "a-1 is down"),
        (160, "resolved: a has no IPv4 address up"),
    ];
    assert_eq!(life.summaries(), expected);
}

#[test]
fn what_was_told_before_a_graver_one_came_is_resolved_and_not_repeated_meanwhile() {
    let mut life = Life::new();
    life.stand(100, &[node("a", 1)]);
    let said = Condition { is_said: true, ..node("a", 1) };
    life.stand(2 * 3600, &[said]);
    life.stand(100, &[]);
    assert_eq!(life.summaries(), [(40, "a-1 is down"), (7300 + 60, "resolved: a-1 is down")]);
}

#[test]
fn all_down_is_told_at_once() {
    let mut life = Life::new();
    life.stand(20, &[all_down("play"), all_down("ingest")]);
    assert_eq!(life.summaries(), [(1, "ingest is down (and 1 more)")]);
}

#[test]
fn an_override_that_has_ended_is_told_at_once_and_once() {
    for kind in [Kind::OverrideExpiring, Kind::OverrideExpired] {
        let mut life = Life::new();
        life.stand(300, &[of_override(kind)]);
        life.restart(20);
        // What stands is not known at once.
        for _ in 0..5 {
            assert!(life.desk.tick(at(life.now)).is_empty());
            life.now += 1;
        }
        life.stand(300, &[of_override(kind)]);
        life.stand(100, &[]);
        assert_eq!(life.summaries(), [(1, "the override"), (625, "resolved: the override")]);
    }
}

#[test]
fn an_override_that_is_given_again_and_ends_again_is_told_again() {
    for kind in [Kind::OverrideExpiring, Kind::OverrideExpired] {
        let mut life = Life::new();
        life.stand(30, &[of_override(kind)]);
        life.stand(10, &[]);
        life.stand(30, &[of_override(kind)]);
        assert_eq!(
            life.summaries(),
            [(1, "the override"), (30, "resolved: the override"), (41, "the override")]
        );
    }
}

#[test]
fn what_is_wrong_with_many_is_counted_in_its_own_words() {
    let certificate = |number| {
        let Condition { identity: Identity { labels, .. }, .. } = node("a", number);
        let identity = Identity { kind: Kind::CertificateExpiring, labels };
        Condition { identity, ..node("a", number) }
    };
    let mut life = Life::new();
    life.stand(100, &[1, 2].map(certificate));
    life.stand(100, &[certificate(2)]);
    let expected = [
        (40, "a: 2 of 4 nodes with a certificate that ends soon"),
        (170, "resolved: a: 1 node renewed, 1 of 4 still with a certificate that ends soon"),
    ];
    assert_eq!(life.summaries(), expected);
    let short = |key| {
        let Condition { identity: Identity { labels, .. }, .. } = cluster(key);
        Condition { identity: Identity { kind: Kind::ClusterShort, labels }, ..cluster(key) }
    };
    let mut life = Life::new();
    life.stand(100, &[short("a"), short("b")]);
    life.stand(100, &[]);
    let expected = [
        (40, "north: 2 of 3 clusters short of nodes"),
        (160, "resolved: north: 2 clusters whole again, 0 of 3 still short of nodes"),
    ];
    assert_eq!(life.summaries(), expected);
}

#[test]
fn what_fires_for_long_is_repeated() {
    let mut life = Life::new();
    life.stand(8000, &[node("a", 1)]);
    assert_eq!(
        life.told.iter().map(|(at, told)| (*at, told.event)).collect::<Vec<_>>(),
        [(40, Event::Fired), (3640, Event::Repeated), (7240, Event::Repeated)]
    );
}

#[test]
fn a_restart_neither_repeats_nor_forgets() {
    let mut life = Life::new();
    life.stand(100, &[node("a", 1), node("b", 1)]);
    assert_eq!(life.summaries(), [(40, "north: 2 of 12 nodes down")]);
    life.restart(20);
    life.stand(200, &[node("a", 1)]);
    assert_eq!(life.summaries()[1..], [(120 + 60 + 10, "resolved: north: 1 node back, 1 of 12 still down")]);
    assert_eq!(life.told[0].1.group, life.told[1].1.group, "it is the incident of before");
}

#[test]
fn a_clock_that_is_set_neither_fires_nor_resolves() {
    for set in [-100_000_000_i64, 100_000_000] {
        let moved =
            |seconds: u64| at(seconds).as_secs().checked_add_signed(set).map(Duration::from_secs).unwrap();
        let mut desk = Desk::new(TIMING);
        for second in 0..100 {
            desk.see(vec![node("a", 1)], at(second));
            let told = desk.tick(at(second));
            assert_eq!(told.len(), usize::from(second == 40));
        }
        // Another one stands since a moment, and the first has just gone.
        for second in 100..105 {
            desk.see(vec![node("b", 1)], at(second));
            assert!(desk.tick(at(second)).is_empty());
        }
        for second in 105..128 {
            desk.see(vec![node("b", 1)], moved(second));
            assert!(desk.tick(moved(second)).is_empty(), "{set}: {second}");
        }
        let mut told = Vec::new();
        for second in 128..250 {
            desk.see(vec![node("b", 1)], moved(second));
            told.extend(desk.tick(moved(second)).into_iter().map(|told| told.event));
        }
        assert_eq!(told, [Event::Fired, Event::Resolved]);
    }
}

/// What stands for a while: of 8 conditions, a bit each whether it does and whether it is said; for how long; whether a restart follows,
/// after which what was not told begins its hold anew.
#[derive(Clone, Debug)]
struct Stretch {
    stands: u8,
    said: u8,
    seconds: u64,
    restart: Option<u64>,
}

fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
    let stretch = (
        any::<u8>(),
        prop_oneof![3 => Just(0u8), 1 => any::<u8>()],
        1..150u64,
        prop::option::weighted(0.1, 1..500u64),
    );
    let stretch =
        stretch.prop_map(|(stands, said, seconds, restart)| Stretch { stands, said, seconds, restart });
    prop::collection::vec(stretch, 1..25)
}

fn eight() -> [Condition; 8] {
    let of = |cluster| [1, 2].map(|number| node(cluster, number));
    let ([a1, a2], [b1, b2]) = (of("a"), of("b"));
    [a1, a2, b1, b2, cluster("a"), cluster("b"), cluster("c"), all_down("play")]
}

proptest! {
    // Nothing is told before its hold, nor while a graver one says it; a told one is not told again before `repeat`, and ends only after
    // `resolve_after` without it; every one that was told ends, once, when it is over; and what stands long enough is told.
    #[test]
    fn told_once_after_its_hold_and_ended_once_after_its_gap(stretches in stretches()) {
        let all = eight();
        let mut life = Life::new();
        // By second: what stood, and what a graver one said. `None` where nobody looked.
        let mut seen: Vec<Option<(u8, u8)>> = Vec::new();
        for stretch in &stretches {
            let standing = (0..8).filter(|bit| stretch.stands >> bit & 1 == 1);
            let conditions: Vec<Condition> = standing
                .map(|bit| Condition { is_said: stretch.said >> bit & 1 == 1, ..all[bit].clone() })
                .collect();
            life.stand(stretch.seconds, &conditions);
            seen.extend((0..stretch.seconds).map(|_| Some((stretch.stands, stretch.said))));
            if let Some(gap) = stretch.restart {
                life.restart(gap);
                seen.extend((0..gap).map(|_| None));
            }
        }
        life.stand(200, &[]);
        seen.extend((0..200).map(|_| Some((0, 0))));
        prop_assert!(life.desk.stages().is_empty(), "all ends");
        for (bit, condition) in all.iter().enumerate() {
            let is_in = |told: &Notification| told.alerts.iter().any(|alert| alert.identity == condition.identity);
            let told: Vec<(u64, Event)> =
                life.told.iter().filter(|(_, told)| is_in(told)).map(|(at, told)| (*at, told.event)).collect();
            let stands = |second: u64| seen[second as usize].is_some_and(|(stands, _)| stands >> bit & 1 == 1);
            let tellable = |second: u64| {
                seen[second as usize].is_some_and(|(stands, said)| (stands & !said) >> bit & 1 == 1)
            };
            let hold = if condition.identity.kind == Kind::AllDown { 0 } else { 30 };
            let mut last: Option<(u64, Event)> = None;
            for &(at, event) in &told {
                match (event, last) {
                    (Event::Fired, None | Some((_, Event::Resolved))) => {
                        // To the second: it is looked at once in each.
                        prop_assert!((at + 1 - hold.max(1)..=at).all(tellable), "{bit} fired at {at} too early");
                    }
                    (Event::Repeated, Some((last, Event::Fired | Event::Repeated))) => {
                        prop_assert!(at - last >= 3600 && tellable(at));
                    }
                    (Event::Resolved, Some((_, Event::Fired | Event::Repeated))) => {
                        prop_assert!((at - 60..=at).all(|second| !stands(second)), "{bit} ended at {at} too early");
                    }
                    _ => prop_assert!(false, "{bit}: {event:?} follows {last:?}"),
                }
                last = Some((at, event));
            }
            prop_assert!(matches!(last, None | Some((_, Event::Resolved))), "{bit} ends: {told:?}");
            // Long enough: its hold, and the wait for others.
            let mut run = 0;
            for second in 0..seen.len() as u64 {
                run = if tellable(second) { run + 1 } else { 0 };
                if run > hold + 11 {
                    let fires = told.iter().rfind(|(at, _)| *at <= second);
                    prop_assert!(matches!(fires, Some((_, Event::Fired | Event::Repeated))), "{bit} at {second}: {told:?}");
                }
            }
        }
    }

    // One notification says all that belongs together: no two of one kind and place in one moment.
    #[test]
    fn no_two_of_one_kind_and_place_at_once(stretches in stretches()) {
        let all = eight();
        let mut life = Life::new();
        for stretch in &stretches {
            let standing = all.iter().enumerate().filter(|(bit, _)| stretch.stands >> bit & 1 == 1);
            let conditions: Vec<Condition> = standing.map(|(_, condition)| condition.clone()).collect();
            life.stand(stretch.seconds, &conditions);
        }
        let mut fired: BTreeMap<(u64, Kind, Option<_>), usize> = BTreeMap::new();
        for (at, told) in life.told.iter().filter(|(_, told)| told.event == Event::Fired) {
            *fired.entry((*at, told.kind, told.group.scope.clone())).or_default() += 1;
        }
        prop_assert!(fired.values().all(|count| *count == 1));
    }
}
