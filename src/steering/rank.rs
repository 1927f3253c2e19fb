//! One client's order of clusters, and why.
//!
//! ```text
//! distance -> estimate in ms                     (the order of the file where no coordinates are known)
//!   the RTT table, if it says that another is more than the margin better than the nearest
//!     the first rule that matches: prefer, only
//!       head: by cost     tail: by nearness to the first
//! ```

use std::net::IpAddr;

use super::marks::Mark;
use super::ranker::{Basis, Class, Grain, Ranker, Weighed, Why, estimate_ms};
use super::rules::Policy;
use crate::cluster::{ClusterId, Inventory};
use crate::geo::place::Place;

/// One client's order of clusters, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// The rule that holds: a place in [`Policy::rules`].
    pub rule: Option<usize>,
    /// What costs are made of.
    pub basis: Basis,
    /// All clusters that the rule allows, best first.
    pub order: Vec<Ranked>,
}

/// A cluster in a client's order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Which.
    pub cluster: ClusterId,
    /// How far it is; `None` where the client's coordinates are not known.
    pub distance_km: Option<f64>,
    /// What that lets expect, in ms.
    pub estimate_ms: Option<f64>,
    /// The row of the RTT table that holds for this client and cluster, used or not: a place in [`Policy::rtt`].
    pub row: Option<usize>,
    /// What it counts as, in ms: never less than the one before it.
    pub cost_ms: f64,
    /// Why it stands here.
    pub why: Why,
}

/// Ranks the candidates (the policy's clusters that have addresses of the answer's family, in the order of the file) for one
/// client. An address that is IPv4 within IPv6 is given as IPv4.
pub fn rank(
    policy: &Policy,
    candidates: &[ClusterId],
    inventory: &Inventory,
    place: &Place,
    address: IpAddr,
) -> Ranking {
    let ranker = Ranker::new(policy, candidates, inventory);
    let mut weighed = Weighed::default();
    let mark = Mark::at(policy, address);
    ranker.weigh(place, &mark, &mut weighed);
    let rule = ranker.rule(place, &mark);
    let mut class = Class::default();
    ranker.class(rule, &mut weighed, Grain::FINEST, &mut class);
    let mut costs = Vec::new();
    let order = ranker.order(&class);
    ranker.costs(&class, &order, &weighed, &mut costs);
    let ranked = order.iter().zip(costs).enumerate().map(|(rank, (&position, cost_ms))| {
        let distance_km = weighed.distance_km.get(position).copied();
        Ranked {
            cluster: candidates[position],
            distance_km,
            estimate_ms: distance_km.map(estimate_ms),
            row: weighed.rows[position].map(|row| row as usize),
            cost_ms,
            why: class.why(rank),
        }
    });
    Ranking { rule, basis: weighed.basis, order: ranked.collect() }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::Cluster;
    use crate::geo::place::{Continent, Country, Point, Prefix};
    use crate::steering::marks::tests::{policy, rule_for};
    use crate::steering::rules::{From, Order, Rtt, RttFrom, Rule};

    /// The clusters of these tests, in the order of the file.
    const WORLD: [(&str, f64, f64); 6] = [
        ("sin", 1.35, 103.82),
        ("jkt", -6.21, 106.85),
        ("bkk", 13.76, 100.50),
        ("fra", 50.11, 8.68),
        ("par", 48.86, 2.35),
        ("gru", -23.55, -46.63),
    ];

    pub(in crate::steering) fn world() -> Inventory {
        let clusters =
            WORLD.map(|(key, lat, lon)| Cluster::bare(key, Point::new(lat, lon).unwrap(), Vec::new()));
        Inventory { clusters: clusters.into() }
    }

    pub(in crate::steering) fn id(key: &str) -> ClusterId {
        world().id(key).unwrap()
    }

    pub(in crate::steering) fn at(country: &str, continent: Continent, lat: f64, lon: f64) -> Place {
        Place {
            continent: Some(continent),
            country: Country::parse(country),
            point: Point::new(lat, lon),
            ..Place::default()
        }
    }

    fn kuala_lumpur() -> Place {
        at("MY", Continent::Asia, 3.139, 101.687)
    }

    fn rio() -> Place {
        at("BR", Continent::SouthAmerica, -22.91, -43.17)
    }

    fn ranked(policy: &Policy, place: &Place) -> Ranking {
        rank(policy, &policy.clusters, &world(), place, [192, 0, 2, 1].into())
    }

    fn keys(ranking: &Ranking) -> String {
        let world = world();
        let keys: Vec<&str> =
            ranking.order.iter().map(|ranked| &*world.cluster(ranked.cluster).key).collect();
        keys.join(" ")
    }

    fn for_country(country: &str, order: Order) -> Rule {
        let countries = vec![Country::parse(country).unwrap()];
        Rule { from: From { countries, ..From::default() }, order }
    }

    #[test]
    fn a_viewer_in_kuala_lumpur_goes_to_singapore_and_one_in_rio_to_sao_paulo() {
        let ranking = ranked(&policy(6), &kuala_lumpur());
        // Frankfurt is a little nearer to Singapore than Paris is.
        assert_eq!(keys(&ranking), "sin jkt bkk fra par gru");
        assert_eq!(keys(&ranked(&policy(6), &rio())), "gru par fra jkt sin bkk");
        let singapore = &ranking.order[0];
        assert_eq!(singapore.distance_km.map(f64::round), Some(309.0));
        assert_eq!(singapore.estimate_ms.map(f64::round), Some(6.0));
        assert_eq!((ranking.basis, singapore.why), (Basis::Estimate, Why::Cost));
        assert_eq!(ranking.order[3].why, Why::Nearness);
    }

    #[test]
    fn behind_the_head_the_order_is_by_nearness_to_the_first() {
        // From Sydney itself São Paulo is nearer than Frankfurt; from Jakarta, the first of its list, it is not.
        let sydney = at("AU", Continent::Oceania, -33.87, 151.21);
        let ranking = ranked(&policy(6), &sydney);
        assert_eq!(keys(&ranking), "jkt sin bkk fra par gru");
        assert!(ranking.order[3].distance_km > ranking.order[5].distance_km);
        assert!(ranking.order.is_sorted_by(|a, b| a.cost_ms <= b.cost_ms), "and costs never fall");
    }

    #[test]
    fn an_unknown_place_gets_the_order_of_the_file() {
        let mut policy = policy(6);
        policy.clusters.reverse();
        let ranking = ranked(&policy, &Place::default());
        assert_eq!(keys(&ranking), "gru par fra bkk jkt sin");
        assert_eq!((ranking.basis, ranking.order[0].why), (Basis::File, Why::File));
        policy.rules = vec![Rule { from: From::default(), order: Order::Prefer(vec![id("bkk")]) }];
        assert_eq!(keys(&ranked(&policy, &Place::default())), "bkk gru par fra jkt sin");
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let mut policy = policy(6);
        policy.rules = vec![
            for_country("ID", Order::Only(vec![id("jkt")])),
            for_country("MY", Order::Prefer(vec![id("jkt")])),
            for_country("MY", Order::Only(vec![id("gru")])),
        ];
        let ranking = ranked(&policy, &kuala_lumpur());
        assert_eq!((ranking.rule, ranking.order[0].why), (Some(1), Why::Rule));
        assert_eq!(ranked(&policy, &rio()).rule, None);
    }

    #[test]
    fn prefer_puts_these_first_and_the_rest_by_nearness_to_the_client() {
        let mut policy = policy(6);
        policy.rules = vec![for_country("BR", Order::Prefer(["fra", "par", "sin"].map(id).into()))];
        let ranking = ranked(&policy, &rio());
        // Not by nearness to Frankfurt: a Brazilian whose preferred clusters are all down goes to São Paulo.
        assert_eq!(keys(&ranking), "fra par sin gru jkt bkk");
        assert_eq!(ranking.order[0].cost_ms, ranking.order[3].cost_ms, "preferred at the cost of the best");
    }

    #[test]
    fn only_allows_these_and_no_others() {
        let mut policy = policy(6);
        policy.rules = vec![for_country("BR", Order::Only(["par", "gru"].map(id).into()))];
        assert_eq!(keys(&ranked(&policy, &rio())), "par gru");
        // Paris has no address of the family that is asked for.
        let without: Vec<ClusterId> =
            policy.clusters.iter().copied().filter(|&any| any != id("par")).collect();
        let ranking = rank(&policy, &without, &world(), &rio(), [192, 0, 2, 1].into());
        assert_eq!(keys(&ranking), "gru");
    }

    #[test]
    fn keys_of_a_rule_must_all_match_and_prefixes_are_one_of_them() {
        let mut policy = policy(6);
        let mut rule = for_country("BR", Order::Only(vec![id("fra")]));
        rule.from.prefixes = vec![Prefix::parse("192.0.2.0/24").unwrap()];
        policy.rules = vec![rule];
        let to = |place: &Place, address: [u8; 4]| {
            keys(&rank(&policy, &policy.clusters, &world(), place, address.into()))[..3].to_owned()
        };
        assert_eq!(to(&rio(), [192, 0, 2, 9]), "fra");
        assert_eq!(to(&rio(), [192, 0, 3, 9]), "gru", "another network");
        assert_eq!(to(&kuala_lumpur(), [192, 0, 2, 9]), "sin", "another country");
    }

    fn measured(rows: &[(&str, f64)]) -> Policy {
        let mut policy = policy(6);
        let from = RttFrom::Country(Country::parse("MY").unwrap());
        policy.rtt = rows.iter().map(|&(to, ms)| Rtt { from, to: id(to), ms }).collect();
        policy
    }

    #[test]
    fn the_table_counts_only_where_another_is_more_than_the_margin_better_than_the_nearest() {
        let within = ranked(&measured(&[("sin", 50.0), ("bkk", 30.0)]), &kuala_lumpur());
        assert_eq!((within.basis, &keys(&within)[..7]), (Basis::Estimate, "sin jkt"));
        assert_eq!(within.order[0].row, Some(0), "told, though not used");
        let beyond = ranked(&measured(&[("sin", 50.1), ("bkk", 30.0)]), &kuala_lumpur());
        // Jakarta keeps its estimate of 25 ms, but an estimate never passes what was measured to be best.
        assert_eq!((beyond.basis, &keys(&beyond)[..11]), (Basis::Measured, "bkk jkt sin"));
        assert_eq!([0, 1, 2].map(|rank| beyond.order[rank].cost_ms), [30.0, 30.0, 50.1]);
        let unmeasured = ranked(&measured(&[("bkk", 1.0)]), &kuala_lumpur());
        assert_eq!(unmeasured.basis, Basis::Estimate, "nothing is said of the nearest");
    }

    #[test]
    fn without_coordinates_the_first_of_the_file_stands_for_the_nearest() {
        let place = Place { point: None, ..kuala_lumpur() };
        let ranking = ranked(&measured(&[("sin", 90.0), ("jkt", 60.0), ("gru", 300.0)]), &place);
        assert_eq!((ranking.basis, &keys(&ranking)[..7]), (Basis::Measured, "jkt sin"));
        let ranking = ranked(&measured(&[("sin", 61.0), ("jkt", 60.0)]), &place);
        assert_eq!((ranking.basis, &keys(&ranking)[..7]), (Basis::File, "sin jkt"));
    }

    #[test]
    fn rules_stand_over_the_table_and_nearness() {
        let mut policy = measured(&[("sin", 90.0), ("bkk", 30.0)]);
        policy.rtt_margin = Duration::ZERO;
        policy.rules = vec![rule_for(vec![], Order::Prefer(vec![id("sin")]))];
        assert_eq!(&keys(&ranked(&policy, &kuala_lumpur()))[..7], "sin bkk");
    }
}
