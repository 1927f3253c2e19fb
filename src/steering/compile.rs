//! Geography compiled away: a policy and the places of all addresses -> address -> ranked list.
//!
//! ```text
//! stretches (places) + marks (the policy's prefixes)  -> kinds of clients -> classes -> ranked lists
//!                                                     \-> a list for each address -> for each /24, /56 -> tiles
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use super::cells::{Cells, SHIFT_V4, SHIFT_V6, TILE_BITS_V4, TILE_BITS_V6};
use super::census::{parts, placed};
use super::exact::{Exact, Runs};
use super::kinds::{Kinds, Numbers, RankedList};
use super::marks::{Marks, prefixes};
use super::pieces::{each_piece, last_address};
use super::ranker::{Grain, Ranker};
use super::rules::{Policy, Spread};
use crate::both::both;
use crate::cluster::{ClusterId, Family, Inventory};
use crate::geo::place::Prefix;
use crate::geo::places::Places;
use crate::geo::prefix_map::PrefixMap;

/// A policy, compiled for one set of candidates: every client's ranked list. Never depends on health.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// The ranked lists.
    pub lists: Vec<RankedList>,
    /// IPv4 clients -> places in `lists`.
    pub v4: PrefixMap,
    /// IPv6 clients -> places in `lists`.
    pub v6: PrefixMap,
    /// What is known more exactly of resolvers' own addresses.
    pub exact: Exact,
    /// For each family, list by list: its part of that family's clients.
    pub parts: [Arc<[f64]>; 2],
    /// A tile wider than this is hashed and scoped by this length.
    pub spread: Spread,
    /// The policy's prefixes that are longer than a tile can be: for clients given by EDNS Client Subnet they do not hold exactly.
    pub finer: Vec<Finer>,
    /// How finely clients were classed: coarser than [`Grain::FINEST`] only where lists would have been too many.
    pub grain: Grain,
}

/// No IPv6 scope is shorter, however little a policy spreads its clients: 6to4 (2002::/16) is answered as the IPv4 networks
/// within it, and a scope that reached over it would say otherwise.
pub const SCOPE_MIN_V6: u8 = 16;

/// What is known of a client by its tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Its ranked list: a place in [`Mapped::lists`].
    pub list: u32,
    /// The tile's own length.
    pub bits: u8,
    /// The length that the client is hashed by, and the scope of its answers (RFC 7871 §7.2.1): the tile's or the policy's
    /// spread, whichever is longer; IPv6: at least [`SCOPE_MIN_V6`].
    pub scope: u8,
}

/// A prefix of a policy that is longer than a tile can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finer {
    /// As it stands in the policy.
    pub prefix: Prefix,
    /// The tile's part around it that clients given by EDNS Client Subnet are known by: a /24 or /56.
    pub within: Prefix,
    /// Whether all of that part is sent where the prefix is sent, since most of its addresses are.
    pub followed: bool,
}

impl Mapped {
    /// One cluster for everybody; `map` is [`PrefixMap::everywhere`].
    pub fn everywhere(only: ClusterId, spread: Spread, map: &PrefixMap) -> Mapped {
        let list = RankedList { clusters: [only].into(), costs_ms: [0.0].into() };
        let (v4, v6, exact) = (map.clone(), map.clone(), Exact::default());
        let parts = Family::ALL.map(|_| [1.0].into());
        Mapped { lists: vec![list], v4, v6, exact, parts, spread, finer: Vec::new(), grain: Grain::FINEST }
    }

    /// The tile of an IPv4 client.
    #[inline]
    pub fn tile_v4(&self, address: u32) -> Tile {
        let (list, bits) = self.v4.get_v4(address);
        Tile { list, bits, scope: bits.max(self.spread.ipv4) }
    }

    /// The tile of an IPv6 client, by the upper half of its address.
    #[inline]
    pub fn tile_v6(&self, upper: u64) -> Tile {
        let (list, bits) = self.v6.get_v6(upper);
        Tile { list, bits, scope: bits.max(self.spread.ipv6).max(SCOPE_MIN_V6) }
    }

    /// The tile of a client.
    #[inline]
    pub fn tile(&self, address: IpAddr) -> Tile {
        match address {
            IpAddr::V4(v4) => self.tile_v4(v4.into()),
            IpAddr::V6(v6) => self.tile_v6((u128::from(v6) >> 64) as u64),
        }
    }

    /// The ranked list of a resolver that asks for itself: exact where the operator's prefixes are.
    #[inline]
    pub fn list_of_resolver(&self, address: IpAddr) -> u32 {
        let exact = if self.exact.is_empty() { None } else { self.exact.list(address) };
        exact.unwrap_or_else(|| self.tile(address).list)
    }

    /// The memory of its maps and lists.
    pub fn bytes(&self) -> usize {
        let list = |list: &RankedList| {
            size_of::<RankedList>() + size_of_val(&*list.clusters) + size_of_val(&*list.costs_ms)
        };
        self.v4.bytes() + self.v6.bytes() + self.lists.iter().map(list).sum::<usize>()
    }
}

/// Compiles a policy for its `candidates`: those of its clusters that have addresses of the answer's family, in its order.
pub fn compile(policy: &Policy, candidates: &[ClusterId], inventory: &Inventory, places: &Places) -> Mapped {
    let ranker = Ranker::new(policy, candidates, inventory);
    let marks = Marks::new(policy);
    let kinds = Kinds::new(places, &marks);
    let (lists, list_of, grain) = kinds.ranked(&ranker, &marks, candidates.len());
    let list_of = kinds.lists(&list_of);
    let clients = Clients { policy, places, marks: &marks, list_of: &list_of, lists: lists.len() };
    let ((v4, exact_v4, parts_v4), (v6, exact_v6, parts_v6)) =
        both(|| clients.mapped::<SHIFT_V4>(), || clients.mapped::<SHIFT_V6>());
    let exact = Exact::new(exact_v4, exact_v6);
    let (parts, spread) = ([parts_v4, parts_v6], policy.spread);
    let mut mapped = Mapped { lists, v4, v6, exact, parts, spread, finer: Vec::new(), grain };
    mapped.finer = finer(policy, &mapped);
    mapped
}

/// All clients of a policy, each with a list.
struct Clients<'a> {
    policy: &'a Policy,
    places: &'a Places,
    marks: &'a Marks,
    list_of: &'a Numbers,
    lists: usize,
}

impl Clients<'_> {
    /// Those of the family that `SHIFT` stands for: the map, what is known more exactly, and each list's part.
    fn mapped<const SHIFT: u32>(&self) -> (PrefixMap, Runs, Arc<[f64]>) {
        let mut cells = Cells::<SHIFT>::new(self.policy);
        let family = Cells::<SHIFT>::FAMILY;
        let mut open: Option<(u128, u32)> = None;
        each_piece(family, self.places, self.marks, |piece| {
            let list = self.list_of.of(piece);
            match open {
                Some((_, before)) if before == list => return,
                Some((start, before)) => cells.add(start, piece.start - 1, before),
                None => {}
            }
            open = Some((piece.start, list));
        });
        let (start, list) = open.expect("there is a piece at 0");
        cells.add(start, last_address(family), list);
        let parts = || parts(self.lists, family, cells.keys(), &placed(family, self.places));
        let (parts, map) = both(parts, || PrefixMap::new(cells.keys(), cells.bits));
        (map, cells.exact, parts.into())
    }
}

/// What the policy's prefixes that are longer than a tile come to.
fn finer(policy: &Policy, mapped: &Mapped) -> Vec<Finer> {
    let mut finer: Vec<Prefix> =
        prefixes(policy).map(|held| held.0).filter(|prefix| prefix.bits() > tile_bits(*prefix)).collect();
    finer.sort_unstable();
    finer.dedup();
    let told = finer.into_iter().map(|prefix| {
        let within = Prefix::around(prefix.address(), tile_bits(prefix));
        let followed = mapped.list_of_resolver(prefix.address()) == mapped.tile(prefix.address()).list;
        Finer { prefix, within, followed }
    });
    told.collect()
}

fn tile_bits(prefix: Prefix) -> u8 {
    if prefix.address().is_ipv4() { TILE_BITS_V4 } else { TILE_BITS_V6 }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::geo::place::{Continent, Country, Place};
    use crate::geo::places::Stretch;
    use crate::steering::marks::tests::{policy, rule_for};
    use crate::steering::rank::rank;
    use crate::steering::rank::tests::{at, id, world};
    use crate::steering::rules::{From, Order, Rtt, RttFrom, Rule};

    /// Nothing known, Kuala Lumpur, Rio, Lyon.
    fn known() -> Vec<Place> {
        vec![
            Place::default(),
            at("MY", Continent::Asia, 3.139, 101.687),
            at("BR", Continent::SouthAmerica, -22.91, -43.17),
            at("FR", Continent::Europe, 45.76, 4.84),
        ]
    }

    fn places(v4: &[(&str, u32)], v6: &[(&str, u32)]) -> Places {
        let bits = |address: &str| match address.parse().unwrap() {
            IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
            IpAddr::V6(v6) => u128::from(v6),
        };
        let v4 = v4.iter().map(|&(at, place)| Stretch { start: (bits(at) >> 96) as u32, place });
        let v6 = v6.iter().map(|&(at, place)| Stretch { start: (bits(at) >> 64) as u64, place });
        Places { known: known(), v4: v4.collect::<Vec<_>>().into(), v6: v6.collect::<Vec<_>>().into() }
    }

    fn compiled(policy: &Policy, places: &Places) -> Mapped {
        compile(policy, &policy.clusters, &world(), places)
    }

    /// The first cluster of a list.
    fn first(mapped: &Mapped, list: u32) -> ClusterId {
        mapped.lists[list as usize].clusters[0]
    }

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A world of a few stretches, prefixes and rows near one another.
    fn world_of_chance() -> impl Strategy<Value = (Places, Policy)> {
        let near = prop_oneof![0..0x1000u32, (0..64u32).prop_map(|low| 0x400 + low * 32)];
        let v4 = prop::collection::btree_map(near, 0..4u32, 1..12);
        let v6 = prop::collection::btree_map(0..0x1000u64, 0..4u32, 1..12);
        let v4_prefix =
            (0..0x1000u32, 18..=32u8).prop_map(|(at, bits)| Prefix::around(IpAddr::V4(at.into()), bits));
        let v6_prefix = (0..0x1000u128, 0..4u128, 50..=128u8)
            .prop_map(|(at, low, bits)| Prefix::around(IpAddr::V6((at << 64 | low << 62).into()), bits));
        let prefix = prop_oneof![v4_prefix, v6_prefix];
        let rule = (prop::collection::vec(prefix.clone(), 0..4), 0..4usize, 0..6u16, any::<bool>());
        let row = (prefix, 0..6u16, 0..100u32);
        let made = (v4, v6, prop::collection::vec(rule, 0..4), prop::collection::vec(row, 0..8));
        made.prop_map(|(v4, v6, rules, rows)| {
            let starts4 = [(0, 0)].into_iter().chain(v4);
            let mut v4: Vec<_> = starts4.map(|(start, place)| Stretch { start, place }).collect();
            v4.dedup_by_key(|stretch| stretch.start);
            let starts6 = [(0, 0)].into_iter().chain(v6);
            let mut v6: Vec<_> = starts6.map(|(start, place)| Stretch { start, place }).collect();
            v6.dedup_by_key(|stretch| stretch.start);
            let mut policy = policy(6);
            policy.rules = rules
                .into_iter()
                .map(|(prefixes, country, cluster, only)| {
                    let named = vec![ClusterId(cluster), ClusterId((cluster + 1) % 6)];
                    let order = if only { Order::Only(named) } else { Order::Prefer(named) };
                    let mut rule = rule_for(prefixes, order);
                    rule.from.countries.extend(known()[country].country);
                    rule
                })
                .collect();
            let row = |(prefix, to, ms): (_, _, u32)| Rtt {
                from: RttFrom::Prefix(prefix),
                to: ClusterId(to),
                ms: f64::from(ms),
            };
            policy.rtt = rows.into_iter().map(row).collect();
            (Places { known: known(), v4: v4.into(), v6: v6.into() }, policy)
        })
    }

    /// Whether one of the policy's prefixes divides the /24 (/56) of an address.
    fn divided(policy: &Policy, address: IpAddr) -> bool {
        let longer = prefixes(policy).map(|held| held.0).filter(|prefix| prefix.bits() > tile_bits(*prefix));
        longer
            .map(|prefix| Prefix::around(prefix.address(), tile_bits(prefix)))
            .any(|cell| cell.contains(address))
    }

    /// What `rank` says of one address.
    fn ranked(places: &Places, policy: &Policy, address: IpAddr) -> Vec<ClusterId> {
        let place = match address {
            IpAddr::V4(v4) => places.v4.iter().rev().find(|s| s.start <= u32::from(v4)).unwrap().place,
            IpAddr::V6(v6) => {
                places.v6.iter().rev().find(|s| s.start <= (u128::from(v6) >> 64) as u64).unwrap().place
            }
        };
        let place = &places.known[place as usize];
        let ranking = rank(policy, &policy.clusters, &world(), place, address);
        ranking.order.iter().map(|ranked| ranked.cluster).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        // In a /24 that an operator's prefix divides, a resolver gets the list that ranking its address alone gives, and the tile
        // is the list of most addresses; in any other /24, all get the list of one of its addresses.
        #[test]
        fn every_address_gets_the_list_that_ranking_it_alone_gives((places, policy) in world_of_chance()) {
            let mapped = compiled(&policy, &places);
            for cell in 0..0x11u32 {
                let addresses = (0..256).map(|host| IpAddr::V4((cell << 8 | host).into()));
                let tile = mapped.tile_v4(cell << 8).list;
                let mut alone = Vec::new();
                let mut counts = HashMap::from([(tile, 0)]);
                for address in addresses {
                    let list = mapped.list_of_resolver(address);
                    *counts.entry(list).or_insert(0) += 1;
                    alone.push(ranked(&places, &policy, address));
                    if divided(&policy, address) {
                        prop_assert_eq!(&*mapped.lists[list as usize].clusters, &*alone[alone.len() - 1]);
                    }
                }
                prop_assert_eq!(counts.values().max(), counts.get(&tile));
                prop_assert!(alone.contains(&mapped.lists[tile as usize].clusters.to_vec()));
            }
            for upper in (0..0x1100u64).step_by(37) {
                let address = IpAddr::V6((u128::from(upper) << 64 | 3 << 62).into());
                let alone = ranked(&places, &policy, address);
                if divided(&policy, address) {
                    let list = mapped.list_of_resolver(address);
                    prop_assert_eq!(&*mapped.lists[list as usize].clusters, &alone[..]);
                }
            }
        }

        // Tiles are true and least on the flattened map, and costs of a list never fall.
        #[test]
        fn neighbouring_tiles_of_one_network_differ((places, policy) in world_of_chance()) {
            let mapped = compiled(&policy, &places);
            for map in [&mapped.v4, &mapped.v6] {
                let tiles: Vec<_> = map.tiles().collect();
                for pair in tiles.windows(2) {
                    let halves = pair[0].bits == pair[1].bits
                        && (pair[0].key ^ pair[1].key) == 1 << (64 - pair[0].bits);
                    prop_assert!(!halves || pair[0].value != pair[1].value);
                }
            }
            for list in &mapped.lists {
                prop_assert!(list.costs_ms.is_sorted() && list.costs_ms.len() == list.clusters.len());
            }
        }
    }

    #[test]
    fn places_become_tiles_and_wide_tiles_are_scoped_by_the_spread() {
        let places = places(
            &[("0.0.0.0", 0), ("200.0.0.0", 2), ("203.0.113.0", 1), ("203.0.114.0", 2)],
            &[("::", 0), ("2001:db8::", 1), ("2001:db9::", 0)],
        );
        let mapped = compiled(&policy(6), &places);
        let tile = mapped.tile(ip("203.0.113.7"));
        assert_eq!((first(&mapped, tile.list), tile.bits, tile.scope), (id("sin"), 24, 24));
        let tile = mapped.tile(ip("201.1.1.1"));
        assert_eq!((first(&mapped, tile.list), tile.bits, tile.scope), (id("gru"), 7, 16));
        let tile = mapped.tile(ip("2001:db8:1::"));
        assert_eq!((first(&mapped, tile.list), tile.bits, tile.scope), (id("sin"), 32, 40));
        assert_eq!(mapped.lists.len(), 3, "unknown, Rio, Kuala Lumpur");
        assert!(mapped.finer.is_empty() && mapped.exact.is_empty());
    }

    #[test]
    fn a_slash_24_is_sent_where_most_of_its_addresses_are() {
        let places =
            places(&[("0.0.0.0", 0), ("192.0.2.0", 1), ("192.0.2.96", 2), ("192.0.3.0", 0)], &[("::", 0)]);
        let mapped = compiled(&policy(6), &places);
        assert_eq!(first(&mapped, mapped.tile(ip("192.0.2.1")).list), id("gru"), "160 of 256 are in Rio");
        assert_eq!(first(&mapped, mapped.list_of_resolver(ip("192.0.2.1"))), id("gru"), "no rule divides it");
    }

    #[test]
    fn a_prefix_longer_than_a_tile_holds_exactly_for_a_resolver_and_is_told_of() {
        let mut policy = policy(6);
        policy.rules = vec![
            rule_for(vec![prefix("192.0.2.64/26")], Order::Only(vec![id("gru")])),
            rule_for(
                vec![prefix("198.51.100.0/25"), prefix("198.51.100.128/26")],
                Order::Only(vec![id("par")]),
            ),
            rule_for(vec![prefix("2001:db8::53/128")], Order::Only(vec![id("fra")])),
        ];
        let places = places(&[("0.0.0.0", 1)], &[("::", 1)]);
        let mapped = compiled(&policy, &places);
        let resolver = |address| first(&mapped, mapped.list_of_resolver(ip(address)));
        let subnet = |address| first(&mapped, mapped.tile(ip(address)).list);
        assert_eq!((resolver("192.0.2.64"), resolver("192.0.2.63")), (id("gru"), id("sin")));
        assert_eq!(subnet("192.0.2.64"), id("sin"), "a quarter of the /24");
        assert_eq!((resolver("198.51.100.191"), resolver("198.51.100.192")), (id("par"), id("sin")));
        assert_eq!(subnet("198.51.100.192"), id("par"), "three quarters of the /24");
        assert_eq!((resolver("2001:db8::53"), resolver("2001:db8::54")), (id("fra"), id("sin")));
        let told: Vec<String> = mapped
            .finer
            .iter()
            .map(|finer| format!("{} in {}: {}", finer.prefix, finer.within, finer.followed))
            .collect();
        assert_eq!(
            told,
            [
                "192.0.2.64/26 in 192.0.2.0/24: false",
                "198.51.100.0/25 in 198.51.100.0/24: true",
                "198.51.100.128/26 in 198.51.100.0/24: true",
                "2001:db8::53/128 in 2001:db8::/56: false",
            ]
        );
    }

    #[test]
    fn clients_that_differ_only_in_what_no_rule_asks_for_share_a_list() {
        let mut places = places(&[("0.0.0.0", 0), ("10.0.0.0", 1), ("11.0.0.0", 4)], &[("::", 0)]);
        places.known.push(Place { asn: Some(64500), ..known()[1] });
        let mut policy = policy(6);
        assert_eq!(compiled(&policy, &places).tile(ip("11.0.0.0")).bits, 7);
        policy.rules = vec![Rule {
            from: From { asns: vec![64500], ..From::default() },
            order: Order::Only(vec![id("fra")]),
        }];
        let mapped = compiled(&policy, &places);
        let tile = mapped.tile(ip("11.0.0.0"));
        assert_eq!((first(&mapped, tile.list), tile.bits >= 8), (id("fra"), true));
    }

    #[test]
    fn clients_are_classed_by_how_far_the_next_clusters_lie_behind() {
        // Two places with the same order, but Jakarta is 17 ms behind Singapore from one, and 2 ms from the other.
        let mut places = places(&[("0.0.0.0", 4), ("128.0.0.0", 5)], &[("::", 4)]);
        places.known.push(at("ID", Continent::Asia, 1.1, 104.0));
        places.known.push(at("ID", Continent::Asia, -2.2, 105.2));
        let mapped = compiled(&policy(6), &places);
        let lists = ["1.0.0.0", "129.0.0.0"].map(|at| &mapped.lists[mapped.tile(ip(at)).list as usize]);
        assert_eq!(lists[0].clusters, lists[1].clusters);
        let behind = lists.map(|list| list.costs_ms[1] - list.costs_ms[0]);
        assert!(behind[0] > 5.0 && behind[1] < 5.0, "{behind:?}");
    }

    #[test]
    fn without_candidates_there_is_one_empty_list() {
        let places = places(&[("0.0.0.0", 1)], &[("::", 0)]);
        let mapped = compile(&policy(6), &[], &world(), &places);
        assert!(mapped.lists.iter().all(|list| list.clusters.is_empty()));
        assert_eq!(mapped.tile(ip("192.0.2.1")).scope, 16);
    }

    #[test]
    fn countries_count_by_rule_and_by_table() {
        let places = places(&[("0.0.0.0", 0), ("10.0.0.0", 1), ("11.0.0.0", 3)], &[("::", 0)]);
        let mut policy = policy(6);
        let malaysia = Country::parse("MY").unwrap();
        let row = |to, ms| Rtt { from: RttFrom::Country(malaysia), to: id(to), ms };
        policy.rtt = vec![row("sin", 90.0), row("bkk", 30.0)];
        let mapped = compiled(&policy, &places);
        assert_eq!(first(&mapped, mapped.tile(ip("10.1.1.1")).list), id("bkk"));
        assert_eq!(first(&mapped, mapped.tile(ip("11.1.1.1")).list), id("par"));
    }
}
