//! What a map is compiled of: policies that differ only in which clusters stand at the same sites share one, and so does one Plan with
//! the next.
//!
//! A platform has a policy for each of its services, over clusters at the same sites. Geography sees sites alone.

use std::hash::{Hash, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

use super::compile::{Mapped, compile};
use super::kinds::RankedList;
use super::rules::{Order, Policy, RttFrom};
use crate::cluster::{ClusterId, Inventory};
use crate::geo::place::Point;
use crate::geo::places::Places;

/// A policy, and the clusters that a map of it may choose among.
#[derive(Clone, Copy, Debug)]
pub struct MapOf<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Those of its clusters that have addresses of the family, in its order.
    pub candidates: &'a [ClusterId],
    /// Where they stand.
    pub inventory: &'a Inventory,
}

impl MapOf<'_> {
    /// Whether there is nothing to choose, and nobody to be told apart by it: a cluster's own name.
    pub fn is_of_one(&self) -> bool {
        self.candidates.len() == 1 && !self.policy.ecs
    }

    /// The same for all that are compiled alike, but for the names of clusters, of the same `geography`.
    pub fn fingerprint(&self, geography: u64) -> u128 {
        let hasher = &mut SipHasher13::new();
        let point = |point: &Point, hasher: &mut SipHasher13| {
            (point.lat().to_bits(), point.lon().to_bits()).hash(hasher);
        };
        let Policy { rules, spread, rtt, rtt_margin, .. } = self.policy;
        (geography, spread, rtt_margin, self.candidates.len(), rules.len(), rtt.len()).hash(hasher);
        for id in self.candidates {
            point(&self.inventory.cluster(*id).place, hasher);
        }
        for rule in rules {
            let (only, order) = match &rule.order {
                Order::Prefer(order) => (false, order),
                Order::Only(order) => (true, order),
            };
            let order: Vec<_> = order.iter().map(|id| self.place(*id)).collect();
            (only, order, &rule.from).hash(hasher);
        }
        for row in rtt {
            (self.place(row.to), row.ms.to_bits()).hash(hasher);
            match &row.from {
                RttFrom::Prefix(prefix) => (0, prefix).hash(hasher),
                RttFrom::Asn(asn) => (1, asn).hash(hasher),
                RttFrom::Subdivision(part) => (2, part).hash(hasher),
                RttFrom::Country(country) => (3, country).hash(hasher),
                RttFrom::Point(at) => {
                    hasher.write_u8(4);
                    point(at, hasher);
                }
            }
        }
        hasher.finish128().as_u128()
    }

    /// The map, [`numbered`].
    pub fn compiled(&self, places: &Places) -> Mapped {
        numbered(&compile(self.policy, self.candidates, self.inventory, places), self.candidates)
    }

    /// The map of anyone with our fingerprint, with our clusters.
    pub fn named(&self, numbered: &Mapped) -> Mapped {
        renamed(numbered, |place| self.candidates.get(usize::from(place.0)).copied().unwrap_or(place))
    }

    /// Where a cluster stands among the candidates.
    fn place(&self, id: ClusterId) -> Option<usize> {
        self.candidates.iter().position(|candidate| *candidate == id)
    }
}

/// A map with the places of its candidates in place of the clusters themselves: see [`MapOf::named`]. The memory of both is one but for
/// the lists.
pub fn numbered(mapped: &Mapped, candidates: &[ClusterId]) -> Mapped {
    let place = |id| candidates.iter().position(|candidate| *candidate == id);
    renamed(mapped, |id| place(id).map_or(id, |place| ClusterId(place as u16)))
}

fn renamed(mapped: &Mapped, name: impl Fn(ClusterId) -> ClusterId) -> Mapped {
    let list = |list: &RankedList| RankedList {
        clusters: list.clusters.iter().map(|id| name(*id)).collect(),
        costs_ms: list.costs_ms.clone(),
    };
    Mapped { lists: mapped.lists.iter().map(list).collect(), ..mapped.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Cluster;
    use crate::geo::place::{Continent, Country, Prefix};
    use crate::geo::places::Stretch;
    use crate::steering::marks::tests::{policy, rule_for};
    use crate::steering::rank::tests::{at, world};
    use crate::steering::rules::{From, Rtt, Rule, Spread};

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
            rule_for(vec![Prefix::parse("2001:db8::53/128").unwrap()], Order::Only(vec![id(5)])),
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
        let [ours, theirs] = [&ours, &theirs].map(|policy| MapOf {
            policy,
            candidates: &policy.clusters,
            inventory: &inventory,
        });
        assert_eq!(ours.fingerprint(1), theirs.fingerprint(1));
        assert_ne!(ours.fingerprint(1), ours.fingerprint(2));
        let anew = ours.named(&theirs.compiled(&places));
        let alone = compile(ours.policy, ours.candidates, &inventory, &places);
        let same = |a: &Mapped, b: &Mapped| {
            assert_eq!(a.lists, b.lists);
            assert!(a.v4.tiles().eq(b.v4.tiles()) && a.v6.tiles().eq(b.v6.tiles()));
            assert_eq!((&a.exact, &a.finer, a.spread, a.grain), (&b.exact, &b.finer, b.spread, b.grain));
            assert_eq!(a.parts, b.parts);
        };
        same(&anew, &alone);
        assert!(anew.lists.iter().all(|list| list.clusters.iter().all(|id| id.0 >= 6)));
        assert!(!alone.finer.is_empty() && !alone.exact.is_empty());
        same(&ours.named(&numbered(&alone, ours.candidates)), &alone);
        // And again as octets, none of which may be missing.
        let octets = alone.pack();
        same(&Mapped::unpack(&octets).unwrap(), &alone);
        let cuts = (0..octets.len()).step_by(997).chain([octets.len() - 1]);
        cuts.for_each(|cut| assert!(Mapped::unpack(&octets[..cut]).is_none()));
        assert!(Mapped::unpack(&[&octets[..], &[0]].concat()).is_none());
    }

    #[test]
    fn what_geography_sees_makes_policies_unlike() {
        let inventory = twice();
        let print = |policy: &Policy| {
            MapOf { policy, candidates: &policy.clusters, inventory: &inventory }.fingerprint(0)
        };
        let is_alike = |change: &dyn Fn(&mut Policy)| {
            let mut ours = over(6);
            change(&mut ours);
            print(&ours) == print(&over(0))
        };
        assert!(is_alike(&|policy| policy.quality = None) && is_alike(&|policy| policy.ecs = false));
        let unlike: [&dyn Fn(&mut Policy); 10] = [
            &|policy| policy.clusters.swap(0, 1),
            &|policy| policy.clusters.truncate(5),
            &|policy| policy.spread = Spread { ipv4: 20, ..Spread::default() },
            &|policy| policy.rtt_margin *= 2,
            &|policy| policy.rules.swap(0, 1),
            &|policy| policy.rules[0].order = Order::Prefer(vec![ClusterId(11), ClusterId(9)]),
            &|policy| policy.rules[2].order = Order::Prefer(vec![ClusterId(7)]),
            &|policy| policy.rules[0].from.asns = vec![64500],
            &|policy| policy.rtt[0].ms = 13.0,
            &|policy| policy.rtt[0].from = RttFrom::Asn(64500),
        ];
        for (number, change) in unlike.into_iter().enumerate() {
            assert!(!is_alike(change), "change {number}");
        }
    }
}
