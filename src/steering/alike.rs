//! Policies that differ only in which clusters stand where: what is compiled for one holds for the other.
//!
//! A platform has a policy for each of its services, over clusters at the same sites. Geography sees sites alone.

use super::compile::Mapped;
use super::kinds::RankedList;
use super::rules::{Order, Policy};
use crate::cluster::{ClusterId, Inventory};

/// A policy, and the clusters that it is compiled for.
#[derive(Clone, Copy, Debug)]
pub struct Compiled<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Those of its clusters that have addresses of the family, in its order.
    pub candidates: &'a [ClusterId],
}

impl Compiled<'_> {
    /// Whether the maps of both would be the same, but for the names of clusters.
    pub fn is_alike(&self, other: &Compiled<'_>, inventory: &Inventory) -> bool {
        let (ours, theirs) = (self.policy, other.policy);
        let same = |a: &ClusterId, b: &ClusterId| self.place(*a) == other.place(*b);
        let same_order =
            |a: &[ClusterId], b: &[ClusterId]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
        let site = |id: &ClusterId| inventory.cluster(*id).place;
        self.candidates.len() == other.candidates.len()
            && (ours.spread, ours.rtt_margin) == (theirs.spread, theirs.rtt_margin)
            && self.candidates.iter().map(site).eq(other.candidates.iter().map(site))
            && ours.rules.len() == theirs.rules.len()
            && ours.rules.iter().zip(&theirs.rules).all(|(a, b)| {
                let orders = match (&a.order, &b.order) {
                    (Order::Prefer(a), Order::Prefer(b)) | (Order::Only(a), Order::Only(b)) => {
                        same_order(a, b)
                    }
                    _ => false,
                };
                orders && a.from == b.from
            })
            && ours.rtt.len() == theirs.rtt.len()
            && ours
                .rtt
                .iter()
                .zip(&theirs.rtt)
                .all(|(a, b)| same(&a.to, &b.to) && a.from == b.from && a.ms.to_bits() == b.ms.to_bits())
    }

    /// The map of another that is alike, with our clusters for its own. The memory of both is one but for the lists.
    pub fn named_anew(&self, other: &Compiled<'_>, mapped: &Mapped) -> Mapped {
        let ours = |id: &ClusterId| other.place(*id).map_or(*id, |place| self.candidates[place]);
        let list = |list: &RankedList| RankedList {
            clusters: list.clusters.iter().map(ours).collect(),
            costs_ms: list.costs_ms.clone(),
        };
        Mapped { lists: mapped.lists.iter().map(list).collect(), ..mapped.clone() }
    }

    /// Where a cluster stands among the candidates.
    fn place(&self, id: ClusterId) -> Option<usize> {
        self.candidates.iter().position(|candidate| *candidate == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Cluster;
    use crate::geo::place::{Continent, Country, Prefix};
    use crate::geo::places::{Places, Stretch};
    use crate::steering::compile::compile;
    use crate::steering::marks::tests::{policy, rule_for};
    use crate::steering::rank::tests::{at, world};
    use crate::steering::rules::{From, Rtt, RttFrom, Rule, Spread};

    /// Each cluster of the tests' world twice: `sin jkt … gru`, and six others at the same sites.
    fn twice() -> Inventory {
        let mut clusters = world().clusters;
        let again: Vec<Cluster> =
            clusters.iter().map(|of| Cluster { key: format!("{}-2", of.key).into(), ..of.clone() }).collect();
        clusters.extend(again);
        Inventory { clusters }
    }

    /// A policy over the six clusters from this one on, with rules and rows that name some of them.
    fn over(first: u16) -> Policy {
        let id = |number: u16| ClusterId(first + number);
        let malaysia = Country::parse("MY").unwrap();
        let mut policy = policy(6);
        policy.clusters = (0..6).map(id).collect();
        policy.rules = vec![
            rule_for(vec![Prefix::parse("10.1.0.0/16").unwrap()], Order::Only(vec![id(5), id(3)])),
            Rule {
                from: From { countries: vec![malaysia], ..From::default() },
                order: Order::Prefer(vec![id(2)]),
            },
        ];
        policy.rtt = vec![Rtt { from: RttFrom::Country(malaysia), to: id(1), ms: 12.0 }];
        policy
    }

    fn places() -> Places {
        let known = vec![
            crate::geo::place::Place::default(),
            at("MY", Continent::Asia, 3.139, 101.687),
            at("BR", Continent::SouthAmerica, -22.91, -43.17),
        ];
        let v4 = [(0, 0), (10 << 24, 1), (11 << 24, 2), (12 << 24, 0)];
        let v4 = v4.map(|(start, place)| Stretch { start, place }).to_vec();
        Places { known, v4: Vec::into(v4), v6: vec![Stretch { start: 0, place: 2 }].into() }
    }

    #[test]
    fn what_is_compiled_for_one_is_what_would_be_compiled_for_the_other() {
        let (inventory, places, [ours, theirs]) = (twice(), places(), [over(6), over(0)]);
        let [ours, theirs] = [&ours, &theirs].map(|policy| Compiled { policy, candidates: &policy.clusters });
        assert!(ours.is_alike(&theirs, &inventory));
        let compiled = |of: Compiled<'_>| compile(of.policy, of.candidates, &inventory, &places);
        let (anew, alone) = (ours.named_anew(&theirs, &compiled(theirs)), compiled(ours));
        assert_eq!(anew.lists, alone.lists);
        assert!(anew.lists.iter().all(|list| list.clusters.iter().all(|id| id.0 >= 6)));
        assert!(anew.v4.tiles().eq(alone.v4.tiles()) && anew.v6.tiles().eq(alone.v6.tiles()));
        assert_eq!((anew.exact, anew.finer, anew.spread), (alone.exact, alone.finer, alone.spread));
    }

    #[test]
    fn what_geography_sees_makes_policies_unlike() {
        let inventory = twice();
        let is_alike = |change: &dyn Fn(&mut Policy)| {
            let (mut ours, theirs) = (over(6), over(0));
            change(&mut ours);
            let compiled = |policy: &Policy| policy.clusters.clone();
            let candidates = [compiled(&ours), compiled(&theirs)];
            let [ours, theirs] = [(&ours, &candidates[0]), (&theirs, &candidates[1])]
                .map(|(policy, candidates)| Compiled { policy, candidates });
            ours.is_alike(&theirs, &inventory)
        };
        assert!(is_alike(&|policy| policy.quality = None) && is_alike(&|policy| policy.ecs = false));
        let unlike: [&dyn Fn(&mut Policy); 8] = [
            &|policy| policy.clusters.swap(0, 1),
            &|policy| policy.clusters.truncate(5),
            &|policy| policy.spread = Spread { ipv4: 20, ..Spread::default() },
            &|policy| policy.rtt_margin *= 2,
            &|policy| policy.rules.swap(0, 1),
            &|policy| policy.rules[0].order = Order::Prefer(vec![ClusterId(11), ClusterId(9)]),
            &|policy| policy.rules[1].order = Order::Prefer(vec![ClusterId(7)]),
            &|policy| policy.rtt[0].ms = 13.0,
        ];
        for (number, change) in unlike.into_iter().enumerate() {
            assert!(!is_alike(change), "change {number}");
        }
    }
}
