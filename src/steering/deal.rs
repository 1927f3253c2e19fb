//! Which nodes of a pool answer which slot.

use std::net::IpAddr;

use super::slots::{SLOTS, mix};
use crate::cluster::{Cluster, FAMILY_ADDRESSES_MAX, Family};

/// A node's weight is cut into this many parts before its addresses share it: divisible by 1..=16.
const PARTS: u64 = 720_720;

/// Each slot's order of preference over the members of a pool: all addresses of one family of one cluster.
///
/// First places are dealt by weight: a node has its quota of the 64 slots, rounded by largest remainder. Later places
/// follow a weighted rendezvous hash. The order is a function of the members alone, never of those that are up, and not
/// of their order in the file. A member's number is its place in [`Cluster::members`].
#[derive(Clone, Debug, PartialEq)]
pub struct Dealt {
    /// Slot by slot: the numbers of all members, the preferred first.
    orders: Box<[u8]>,
    members: usize,
}

/// What each slot answers: a few sets, shared by the slots.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotTable {
    /// For each slot a place in `sets`.
    pub set_of: [u8; SLOTS as usize],
    /// Distinct sets of members: bit n is member n.
    pub sets: Vec<u128>,
}

impl SlotTable {
    /// The set of a slot: bit n is member n.
    #[inline]
    pub fn set(&self, slot: u8) -> u128 {
        self.sets[usize::from(self.set_of[usize::from(slot % SLOTS)])]
    }
}

/// The numbers of the members in a set, ascending.
pub fn members(set: u128) -> impl Iterator<Item = u8> {
    (0..128).filter(move |member| set >> member & 1 == 1)
}

/// One address of a pool.
struct Member<'a> {
    node: &'a str,
    /// The node's weight, and this address's part of it.
    weight: u64,
    part: u64,
    address: IpAddr,
    /// The first places that are still to be dealt to it.
    quota: u64,
}

impl Dealt {
    /// Deals the addresses of one family of a cluster; those beyond [`FAMILY_ADDRESSES_MAX`] get nothing.
    pub fn new(cluster: &Cluster, family: Family) -> Dealt {
        let mut members: Vec<Member<'_>> = Vec::new();
        for (node, address) in cluster.members(family).take(FAMILY_ADDRESSES_MAX) {
            let weight = u64::from(node.weight);
            members.push(Member { node: &node.key, weight, part: 0, address: address.ip, quota: 0 });
        }
        deal_quotas(&mut members);
        let mut tickets: Vec<(u128, u8, u8)> = Vec::with_capacity(members.len() * usize::from(SLOTS));
        for slot in 0..SLOTS {
            for (number, member) in (0..).zip(&members) {
                tickets.push((ticket(slot, member), slot, number));
            }
        }
        tickets.sort_unstable();
        // First places: the lowest tickets of all, as long as the slot is free and the member has quota.
        let mut first = [None; SLOTS as usize];
        for &(_, slot, number) in &tickets {
            let member = &mut members[usize::from(number)];
            let place = &mut first[usize::from(slot)];
            if place.is_none() && member.quota > 0 {
                *place = Some(number);
                member.quota -= 1;
            }
        }
        // Later places: each slot's own tickets, the lowest first.
        tickets.sort_by_key(|ticket| ticket.1); // Stable: by ticket within a slot.
        let mut orders = Vec::with_capacity(tickets.len());
        for (slot, of_slot) in tickets.chunk_by(|a, b| a.1 == b.1).enumerate() {
            orders.extend(first[slot]);
            orders
                .extend(of_slot.iter().map(|ticket| ticket.2).filter(|&number| Some(number) != first[slot]));
        }
        Dealt { orders: orders.into(), members: members.len() }
    }

    /// For each slot the first `answers` members that are in its `up` (bit n: member n), in its order.
    pub fn table(&self, answers: u8, up: impl Fn(u8) -> u128) -> SlotTable {
        let mut sets: Vec<u128> = Vec::new();
        let mut set_of = [0; SLOTS as usize];
        for (slot, set_of) in set_of.iter_mut().enumerate() {
            let order = &self.orders[slot * self.members..][..self.members];
            let up = up(slot as u8);
            let up = order.iter().filter(|&&member| up >> member & 1 == 1);
            let set = up.take(usize::from(answers)).fold(0, |set, member| set | 1 << member);
            let at = sets.iter().position(|&known| known == set).unwrap_or_else(|| {
                sets.push(set);
                sets.len() - 1
            });
            *set_of = at as u8; // At most one set per slot.
        }
        SlotTable { set_of, sets }
    }
}

/// Deals the slots to nodes by weight, then a node's slots to its addresses evenly.
///
/// In two steps, so that a node with many addresses is no further from its share than one with a single address.
fn deal_quotas(members: &mut [Member<'_>]) {
    // By key and address, so that ties do not depend on the order of the file.
    let mut sorted: Vec<&mut Member<'_>> = members.iter_mut().collect();
    sorted.sort_by_key(|member| (member.node, member.address));
    let mut nodes: Vec<&mut [&mut Member<'_>]> = sorted.chunk_by_mut(|a, b| a.node == b.node).collect();
    let total: u64 = nodes.iter().map(|node| node[0].weight).sum();
    let whole = |weight: u64| u64::from(SLOTS) * weight / total;
    let rest = |weight: u64| u64::from(SLOTS) * weight % total;
    let left = u64::from(SLOTS) - nodes.iter().map(|node| whole(node[0].weight)).sum::<u64>();
    nodes.sort_by_key(|node| std::cmp::Reverse(rest(node[0].weight))); // Stable: ties by key.
    for (rank, node) in (0..).zip(nodes) {
        let weight = node[0].weight;
        let slots = whole(weight) + u64::from(rank < left);
        let addresses = node.len() as u64;
        for (nth, member) in (0..).zip(node) {
            member.part = weight * PARTS / addresses;
            member.quota = slots / addresses + u64::from(nth < slots % addresses);
        }
    }
}

/// A draw from an exponential distribution whose rate is the member's weight: the lowest ticket wins, and each member wins in
/// proportion to its weight (weighted rendezvous hashing). In integers, so that every machine draws the same.
fn ticket(slot: u8, member: &Member<'_>) -> u128 {
    let identity = match member.address {
        IpAddr::V4(v4) => mix((u64::from(u32::from(v4)) << 32) ^ 4),
        IpAddr::V6(v6) => {
            let v6 = u128::from(v6);
            mix(mix((v6 >> 64) as u64 ^ 6) ^ v6 as u64)
        }
    };
    let draw = mix(identity ^ mix(u64::from(slot))) | 1;
    (u128::from((64 << 32) - log2(draw)) << 64) / u128::from(member.part)
}

/// The binary logarithm of `x` (not 0) with 32 fractional bits, rounded down.
fn log2(x: u64) -> u64 {
    let mut log = u64::from(x.ilog2());
    // x as a fixed-point number in 1..2 with 63 fractional bits: each squaring yields one more bit of the logarithm.
    let mut mantissa = x << x.leading_zeros();
    for _ in 0..32 {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let carry = (square >> 64) as u64;
        log = log << 1 | carry;
        mantissa = (square >> carry) as u64;
    }
    log
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::{Address, Node};
    use crate::geo::place::Point;

    /// A cluster of nodes with these weights, each with so many IPv4 addresses.
    fn cluster(nodes: &[(u32, u8)]) -> Cluster {
        let nodes = nodes.iter().zip(1..).map(|(&(weight, addresses), n)| Node {
            key: format!("sin-{n}").into(),
            addresses: (1..=addresses)
                .map(|host| IpAddr::from([203, 0, 113, n * 5 + host]))
                .map(|ip| Address { ip, probe: ip, probe_port: None })
                .collect(),
            weight,
            pinned: None,
        });
        let nodes = nodes.collect();
        Cluster::bare("sin", Point::new(0.0, 0.0).unwrap(), nodes)
    }

    fn dealt(nodes: &[(u32, u8)]) -> Dealt {
        Dealt::new(&cluster(nodes), Family::V4)
    }

    fn nodes() -> impl Strategy<Value = Vec<(u32, u8)>> {
        prop::collection::vec((1..=1000u32, 1..=5u8), 1..20)
    }

    /// The slots whose first answer is in `set`.
    fn first_places(dealt: &Dealt, set: u128) -> u32 {
        let table = dealt.table(1, |_| u128::MAX);
        (0..SLOTS).filter(|&slot| table.set(slot) & set != 0).count() as u32
    }

    proptest! {
        // With all up no node is more than one slot from its share, however many addresses it has.
        #[test]
        fn with_all_up_no_node_is_more_than_one_slot_from_its_share(nodes in nodes()) {
            let dealt = dealt(&nodes);
            let total: u32 = nodes.iter().map(|node| node.0).sum();
            let mut number = 0;
            for (weight, addresses) in nodes {
                let set = ((1 << addresses) - 1) << number;
                number += u32::from(addresses);
                let share = 64.0 * f64::from(weight) / f64::from(total);
                let slots = first_places(&dealt, set);
                prop_assert!((f64::from(slots) - share).abs() < 1.0, "{} slots, share {}", slots, share);
            }
        }

        // One node less moves only its own clients: a set without it stays, a set with it keeps its others.
        #[test]
        fn one_node_less_moves_only_its_own_clients(
            nodes in nodes(), up in any::<u128>(), answers in 1..9u8, gone in any::<prop::sample::Index>(),
        ) {
            let dealt = dealt(&nodes);
            let all = (1 << dealt.members) - 1;
            let gone = 1 << gone.index(dealt.members);
            let (before, after) = (dealt.table(answers, |_| up & all), dealt.table(answers, |_| up & all & !gone));
            for slot in 0..SLOTS {
                let (before, after) = (before.set(slot), after.set(slot));
                prop_assert_eq!(before & !gone & !after, 0);
                prop_assert!(before & gone != 0 || before == after);
            }
        }

        // Every set holds as many up members as were asked for, or all of them, and no others.
        #[test]
        fn a_set_holds_as_many_as_asked_for_and_only_those_up(
            nodes in nodes(), up in any::<u128>(), answers in 1..9u8,
        ) {
            let dealt = dealt(&nodes);
            let up = up & ((1 << dealt.members) - 1);
            let table = dealt.table(answers, |_| up);
            for slot in 0..SLOTS {
                prop_assert_eq!(table.set(slot) & !up, 0);
                prop_assert_eq!(table.set(slot).count_ones(), u32::from(answers).min(up.count_ones()));
            }
        }

        // The order of nodes in the file does not matter.
        #[test]
        fn the_order_of_nodes_in_the_file_does_not_matter(nodes in nodes(), up in any::<u128>()) {
            let cluster = cluster(&nodes);
            let mut turned = cluster.clone();
            turned.nodes.reverse();
            let addresses = |of: &Cluster, up: &dyn Fn(IpAddr) -> bool| {
                let all: Vec<IpAddr> = of.members(Family::V4).map(|(_, address)| address.ip).collect();
                let up = all.iter().rev().fold(0, |set, ip| set << 1 | u128::from(up(*ip)));
                let table = Dealt::new(of, Family::V4).table(3, |_| up);
                let sets = (0..SLOTS).map(|slot| {
                    let mut set: Vec<IpAddr> =
                        members(table.set(slot)).map(|number| all[usize::from(number)]).collect();
                    set.sort();
                    set
                });
                sets.collect::<Vec<_>>()
            };
            let is_up = |ip: IpAddr| {
                let IpAddr::V4(v4) = ip else { return false };
                up >> v4.octets()[3] & 1 == 1
            };
            prop_assert_eq!(addresses(&cluster, &is_up), addresses(&turned, &is_up));
        }
    }

    /// The example of docs/steering.md. If this fails, nameservers of two versions would disagree.
    #[test]
    fn sets_are_the_same_for_ever() {
        let dealt = dealt(&[(1, 1), (2, 1), (1, 2)]);
        let order = |slot: usize| &dealt.orders[slot * 4..][..4];
        assert_eq!(
            [order(0), order(1), order(31), order(63)],
            [[2, 0, 1, 3], [0, 1, 2, 3], [1, 0, 2, 3], [0, 3, 2, 1]]
        );
        let digits = |numbers: &[u8]| numbers.iter().map(u8::to_string).collect::<String>();
        let firsts: Vec<u8> = (0..64).map(|slot| order(slot)[0]).collect();
        let golden = "2030013110102110331113011010111111112112110312100223100301121110";
        assert_eq!(digits(&firsts), golden);
        let table = dealt.table(2, |_| 0b1011);
        assert_eq!(table.sets, [0b0011, 0b1001, 0b1010]);
        let golden = "0010101000200020220001102000022002000220020120000002000100000201";
        assert_eq!(digits(&table.set_of), golden);
    }

    #[test]
    fn one_address_more_takes_few_slots_from_where_they_were() {
        // Rendezvous, then quota: a fourth equal node takes 16 slots; at most as many again move to keep the quotas.
        let (three, four) = (dealt(&[(1, 1); 3]), dealt(&[(1, 1); 4]));
        let (three, four) = (three.table(1, |_| 0b111), four.table(1, |_| 0b1111));
        let moved = (0..SLOTS).filter(|&slot| three.set(slot) != four.set(slot)).count();
        assert!((16..=32).contains(&moved), "{moved} slots moved");
    }

    #[test]
    fn later_places_follow_the_weights() {
        // Where the first node is gone, its clients go to the others in proportion to their weights.
        let dealt = dealt(&[(300, 1), (900, 1), (100, 1)]);
        let table = dealt.table(1, |_| 0b101);
        let heavy = (0..SLOTS).filter(|&slot| table.set(slot) == 1).count();
        assert!((43..=53).contains(&heavy), "three quarters of 64, about: {heavy}");
    }

    #[test]
    fn a_cluster_without_the_family_has_one_empty_set() {
        let table = Dealt::new(&cluster(&[(1, 1)]), Family::V6).table(8, |_| u128::MAX);
        assert_eq!((table.sets.as_slice(), table.set(63)), ([0].as_slice(), 0));
    }

    #[test]
    fn the_logarithm_is_exact_at_powers_of_two_and_near_elsewhere() {
        assert_eq!((log2(1), log2(1 << 63)), (0, 63 << 32));
        for x in [3, 10, 0x1234_5678_9abc, u64::MAX] {
            let near = log2(x) as f64 / f64::from(1u32 << 16) / f64::from(1u32 << 16);
            assert!(((x as f64).log2() - near).abs() < 1e-6, "{x}");
        }
    }
}
