//! How a policy's clients are spread: each ranked list's share of the address space, slot by slot.

use crate::cluster::Family;
use crate::geo::places::Places;
use crate::steering::census::{clients, last_of, placed, stretches};
use crate::steering::compile::Mapped;
use crate::steering::slots::{RESOLVER_BITS_V4, RESOLVER_BITS_V6, SLOTS, slot_v4, slot_v6};

/// A tile cut into more networks than this is taken to be spread evenly over the slots, as by the law of large numbers it nearly is.
const NETWORKS_MAX: u64 = 1 << 12;

/// A share of the clients of each family: 0..=1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// Of IPv4's addresses.
    pub v4: f64,
    /// Of IPv6's /48s.
    pub v6: f64,
}

impl Share {
    /// Of all clients: each family counts for a half, and one of which nothing is known for nothing.
    pub fn of_all(self, known: [bool; 2]) -> f64 {
        match known {
            [true, true] => (self.v4 + self.v6) / 2.0,
            [_, false] => self.v4,
            [false, true] => self.v6,
        }
    }

    /// Adds another one.
    pub fn add(&mut self, other: Share) {
        self.v4 += other.v4;
        self.v6 += other.v6;
    }
}

/// How the clients of one map are spread over its ranked lists and their slots.
///
/// Who is a client, and how much, says the [census](crate::steering::census).
#[derive(Clone, Debug, PartialEq)]
pub struct Ground {
    /// List by list, slot by slot. All together they are 1 in each family.
    pub lists: Vec<[Share; SLOTS as usize]>,
    /// Whether there are clients of IPv4, and of IPv6.
    pub known: [bool; 2],
}

/// How clients are known to a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// By client subnets: as long as the scope of their tile.
    Subnets,
    /// By their resolvers' addresses.
    Resolvers,
}

impl Ground {
    /// Measures it.
    pub fn new(mapped: &Mapped, by: KnownBy, places: &Places) -> Ground {
        let mut ground =
            Ground { lists: vec![[Share::default(); SLOTS as usize]; mapped.lists.len()], known: [false; 2] };
        for family in Family::ALL {
            let total = ground.lay(mapped, by, family, &placed(family, places));
            ground.known[family as usize] = total > 0.0;
            for share in ground.lists.iter_mut().flatten() {
                let of = share.of(family);
                *of = if total > 0.0 { *of / total } else { 0.0 };
            }
        }
        ground
    }

    /// Lays out ranges of addresses; gives how many clients are in them.
    fn lay(&mut self, mapped: &Mapped, by: KnownBy, family: Family, ranges: &[(u64, u64)]) -> f64 {
        let mut total = 0.0;
        stretches(mapped, family, ranges, |list, first, last| {
            let hashed = match (by, family) {
                (KnownBy::Resolvers, Family::V4) => RESOLVER_BITS_V4,
                (KnownBy::Resolvers, Family::V6) => RESOLVER_BITS_V6,
                (KnownBy::Subnets, Family::V4) => mapped.tile_v4((first >> 32) as u32).scope,
                (KnownBy::Subnets, Family::V6) => mapped.tile_v6(first).scope,
            };
            total += spread(&mut self.lists[list as usize], family, (first, last), hashed);
        });
        total
    }
}

impl Share {
    /// That of a family.
    pub(super) fn of(&mut self, family: Family) -> &mut f64 {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

/// Spreads the addresses from the first to the last over slots by their networks of `bits` bits; gives how many they are.
fn spread(slots: &mut [Share; SLOTS as usize], family: Family, (first, last): (u64, u64), bits: u8) -> f64 {
    let shift = 64 - u32::from(bits.min(64));
    let number = |key: u64| key.checked_shr(shift).unwrap_or(0);
    let networks = number(last) - number(first);
    let all = clients(family, first, last);
    if networks >= NETWORKS_MAX {
        slots.iter_mut().for_each(|share| *share.of(family) += all / f64::from(SLOTS));
        return all;
    }
    let mut at = first;
    loop {
        let end = last_of(at, bits).min(last);
        let slot = match family {
            Family::V4 => slot_v4((at >> 32) as u32, bits),
            Family::V6 => slot_v6(at, bits),
        };
        *slots[usize::from(slot)].of(family) += clients(family, at, end);
        if end == last {
            return all;
        }
        at = end + 1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::cluster::ClusterId;
    use crate::geo::places::Stretch;
    use crate::geo::prefix_map::PrefixMap;
    use crate::steering::exact::Exact;
    use crate::steering::kinds::RankedList;
    use crate::steering::ranker::Grain;
    use crate::steering::rules::Spread;

    fn v4(address: [u8; 4]) -> u64 {
        u64::from(u32::from(Ipv4Addr::from(address))) << 32
    }

    /// Lists 0 and 1: the second one from 32.0.0.0 (and 3000::) to the end.
    fn mapped(spread: Spread) -> Mapped {
        let list = RankedList { clusters: [ClusterId(0)].into(), costs_ms: [0.0].into() };
        let v4 = PrefixMap::new([(0, 0), (v4([32, 0, 0, 0]), 1)], 24);
        let v6 = PrefixMap::new([(0, 0), (0x3000 << 48, 1)], 56);
        let lists = vec![list.clone(), list];
        let (exact, parts) = (Exact::default(), Default::default());
        Mapped { lists, v4, v6, exact, parts, spread, finer: Vec::new(), grain: Grain::FINEST }
    }

    fn places(v4: &[(u32, u32)]) -> Places {
        let stretches = v4.iter().map(|&(start, place)| Stretch { start, place });
        Places {
            known: vec![Default::default(); 2],
            v4: stretches.collect::<Vec<_>>().into(),
            ..Places::nothing()
        }
    }

    fn of_list(ground: &Ground, list: usize) -> Share {
        ground.lists[list].iter().fold(Share::default(), |mut all, share| {
            all.add(*share);
            all
        })
    }

    #[test]
    fn only_what_is_placed_and_public_counts() {
        // 16.0.0.0 up to 48.0.0.0 is placed: half before 32.0.0.0, half behind.
        let places = places(&[(0, 0), (16 << 24, 1), (48 << 24, 0)]);
        let ground = Ground::new(&mapped(Spread::default()), KnownBy::Subnets, &places);
        let [first, second] = [0, 1].map(|list| of_list(&ground, list));
        assert!((first.v4 - 0.5).abs() < 1e-9 && (second.v4 - 0.5).abs() < 1e-9, "{first:?} {second:?}");
        // Nothing is placed in IPv6: all of 2000::/3 counts but for some small blocks, and half of it lies before 3000::.
        assert!((first.v6 - 0.5).abs() < 1e-4 && (first.v6 + second.v6 - 1.0).abs() < 1e-9);
        assert_eq!(ground.known, [true, true]);
        // 10.0.0.0/8 is placed, too, but private.
        let private = self::places(&[(0, 0), (10 << 24, 1), (11 << 24, 0), (40 << 24, 1), (41 << 24, 0)]);
        let ground = Ground::new(&mapped(Spread::default()), KnownBy::Subnets, &private);
        assert_eq!((of_list(&ground, 0).v4, of_list(&ground, 1).v4.round()), (0.0, 1.0));
    }

    #[test]
    fn a_network_stands_in_its_slot() {
        // 40.0.0.0/15: two networks of the spread's 16 bits.
        let places = places(&[(0, 0), (40 << 24, 1), (40 << 24 | 2 << 16, 0)]);
        let ground = Ground::new(&mapped(Spread::default()), KnownBy::Subnets, &places);
        let mut slots = [0.0; SLOTS as usize];
        for second in [0, 1] {
            slots[usize::from(slot_v4(40 << 24 | second << 16, 16))] += 0.5;
        }
        for (share, slot) in ground.lists[1].iter().zip(slots) {
            assert!((share.v4 - slot).abs() < 1e-9);
        }
        // By resolvers it is 512 networks of 24 bits.
        let ground = Ground::new(&mapped(Spread::default()), KnownBy::Resolvers, &places);
        assert!(ground.lists[1].iter().filter(|share| share.v4 > 0.0).count() > 60);
    }
}
