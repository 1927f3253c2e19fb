//! The search tree of a database in MaxMind's format, walked in the order of addresses.
//!
//! Each node has two records, for the next bit 0 and 1: another node, nothing, or an offset in the data section (MaxMind DB File
//! Format Specification 2.0, "Binary Search Tree Section"). The library finds one address; to read all of fifteen million networks
//! through it takes several times as long.

use std::net::IpAddr;

/// Octets between the tree and the data section, which count in a record that points there.
const SEPARATOR: u32 = 16;
/// Leaves that a walk may meet for each node of the tree. A tree has at most one leaf more than nodes; one that shares nodes can
/// have more, and a hostile one any number of them.
const LEAVES_PER_NODE: u64 = 4;
/// IPv4 hangs in a tree of both families below so many bits of 0.
const IPV4_DEPTH: u32 = 96;
/// Bits of an address that a key holds.
const KEY_BITS: u32 = 64;

/// A search tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree<'a> {
    nodes: &'a [u8],
    count: u32,
    /// Bits of a record: 24, 28 or 32.
    record_bits: u16,
    /// Whether the tree is of IPv6 addresses, IPv4 among them.
    of_v6: bool,
    /// The octets of the data section, or more.
    data: u32,
}

/// What is wrong with a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It is longer than the file.
    Cut,
    /// A record points behind the data section.
    Astray,
    /// A path is longer than an address.
    Deep,
    /// It has more networks than its size allows.
    Large,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Broken::Cut => "its search tree is longer than the file",
            Broken::Astray => "its search tree points behind the data",
            Broken::Deep => "its search tree is deeper than an address is long",
            Broken::Large => "its search tree holds more networks than its size allows",
        })
    }
}

/// What an address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// No record.
    Nothing,
    /// A record at this offset of the data section.
    Record(u32),
    /// Several, in a unit that is no further divided: a place in [`Walk::divided`].
    Divided(u32),
}

/// What a walk over all addresses of a family met. Keys are the leading 64 bits of addresses, those of IPv4 with 32 bits of 0 behind.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// From each key to the next one.
    pub(super) runs: Vec<(u64, Leaf)>,
    /// What is finer than a key: records or nothing, and how many addresses have it, in their order.
    pub(super) divided: Vec<Vec<(Leaf, u128)>>,
    /// Each record that was met, once, and the first address that leads to it.
    pub(super) records: Vec<(u32, IpAddr)>,
    /// Networks with a record.
    pub(super) networks: u64,
}

impl<'a> Tree<'a> {
    /// The tree at the beginning of a file, of so many nodes.
    pub(super) fn new(file: &'a [u8], count: u32, record_bits: u16, of_v6: bool) -> Result<Tree<'a>, Broken> {
        let octets = usize::try_from(u64::from(count) * u64::from(record_bits) / 4).ok();
        let (nodes, rest) = octets.and_then(|octets| file.split_at_checked(octets)).ok_or(Broken::Cut)?;
        let data = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        Ok(Tree { nodes, count, record_bits, of_v6, data })
    }

    /// All IPv4 addresses.
    pub(super) fn v4(&self) -> Result<Walk, Broken> {
        let mut walking = Walking::new(self, None);
        match (self.of_v6, self.ipv4()) {
            (false, _) => walking.walk(Step { record: 0, key: 0, depth: 0 }, 32)?,
            (true, Some(node)) => walking.walk(Step { record: node, key: 0, depth: 0 }, 32)?,
            // An IPv6 network around ::/96 says nothing of IPv4.
            (true, None) => walking.run(0, Leaf::Nothing),
        }
        Ok(walking.walk)
    }

    /// All IPv6 addresses. The IPv4 tree is left out, wherever it hangs: at ::/96, and often at ::ffff:0:0/96, 2001::/32 and 2002::/16.
    pub(super) fn v6(&self) -> Result<Walk, Broken> {
        let mut walking = Walking::new(self, self.ipv4());
        match self.of_v6 {
            true => walking.walk(Step { record: 0, key: 0, depth: 0 }, 128)?,
            false => walking.run(0, Leaf::Nothing),
        }
        Ok(walking.walk)
    }

    /// The node of all IPv4 in a tree of both families, if it has one.
    fn ipv4(&self) -> Option<u32> {
        let mut node = 0;
        for _ in 0..IPV4_DEPTH {
            node = self.children(node)?[0];
        }
        (self.of_v6 && node < self.count).then_some(node)
    }

    /// The two records of a node; `None` where it is none.
    #[inline]
    fn children(&self, node: u32) -> Option<[u32; 2]> {
        if node >= self.count {
            return None;
        }
        let node = node as usize;
        Some(match self.record_bits {
            24 => {
                let &[a, b, c, d, e, f] = self.nodes[node * 6..].first_chunk()?;
                [u32::from_be_bytes([0, a, b, c]), u32::from_be_bytes([0, d, e, f])]
            }
            28 => {
                let &[a, b, c, both, d, e, f] = self.nodes[node * 7..].first_chunk()?;
                [u32::from_be_bytes([both >> 4, a, b, c]), u32::from_be_bytes([both & 15, d, e, f])]
            }
            _ => {
                let &[a, b, c, d, e, f, g, h] = self.nodes[node * 8..].first_chunk()?;
                [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
            }
        })
    }

    /// What a record that is no node says.
    fn leaf(&self, record: u32) -> Result<Leaf, Broken> {
        if record == self.count {
            return Ok(Leaf::Nothing);
        }
        let offset = record.checked_sub(self.count).and_then(|record| record.checked_sub(SEPARATOR));
        offset.filter(|offset| *offset < self.data).map(Leaf::Record).ok_or(Broken::Astray)
    }
}

/// Where a walk goes on.
#[derive(Clone, Copy)]
struct Step {
    record: u32,
    key: u64,
    depth: u32,
}

/// A walk under way.
struct Walking<'t> {
    tree: &'t Tree<'t>,
    /// The node that is left out.
    without: Option<u32>,
    walk: Walk,
    /// Bit by bit, by offset: whether a record was met.
    met: Vec<u64>,
    /// Leaves that may be met yet.
    left: u64,
}

impl<'t> Walking<'t> {
    fn new(tree: &'t Tree<'t>, without: Option<u32>) -> Walking<'t> {
        let met = vec![0; tree.data as usize / 64 + 1];
        let left = u64::from(tree.count) * LEAVES_PER_NODE + 1;
        Walking { tree, without, walk: Walk::default(), met, left }
    }

    /// All below a step, of which addresses have so many bits.
    fn walk(&mut self, from: Step, bits: u32) -> Result<(), Broken> {
        let is_v4 = bits == 32;
        let mut ahead = vec![from];
        while let Some(Step { record, key, depth }) = ahead.pop() {
            let Some([zero, one]) = self.tree.children(record).filter(|_| Some(record) != self.without)
            else {
                let leaf =
                    self.met(record, || if is_v4 { v4(key) } else { v6(u128::from(key) << KEY_BITS) })?;
                self.run(key, leaf);
                continue;
            };
            if depth == bits.min(KEY_BITS) {
                if is_v4 {
                    return Err(Broken::Deep);
                }
                self.divide(record, key)?;
                continue;
            }
            ahead.push(Step { record: one, key: key | 1 << (KEY_BITS - 1 - depth), depth: depth + 1 });
            ahead.push(Step { record: zero, key, depth: depth + 1 });
        }
        Ok(())
    }

    /// What lies below a node at the end of a key.
    fn divide(&mut self, node: u32, key: u64) -> Result<(), Broken> {
        let mut parts: Vec<(Leaf, u128)> = Vec::new();
        // The next record, its lower half of an address, and the bits behind it.
        let mut ahead = vec![(node, 0_u64, KEY_BITS)];
        while let Some((record, lower, bits)) = ahead.pop() {
            match self.tree.children(record).filter(|_| Some(record) != self.without) {
                Some(_) if bits == 0 => return Err(Broken::Deep),
                Some([zero, one]) => {
                    ahead.push((one, lower | 1 << (bits - 1), bits - 1));
                    ahead.push((zero, lower, bits - 1));
                }
                None => {
                    let leaf = self.met(record, || v6(u128::from(key) << KEY_BITS | u128::from(lower)))?;
                    parts.push((leaf, 1 << bits));
                }
            }
        }
        let number = u32::try_from(self.walk.divided.len()).map_err(|_| Broken::Large)?;
        self.walk.divided.push(parts);
        self.walk.runs.push((key, Leaf::Divided(number)));
        Ok(())
    }

    /// What a record that is not walked into says; it is counted, and noted where it is new.
    #[inline]
    fn met(&mut self, record: u32, address: impl FnOnce() -> IpAddr) -> Result<Leaf, Broken> {
        self.left = self.left.checked_sub(1).ok_or(Broken::Large)?;
        if Some(record) == self.without {
            return Ok(Leaf::Nothing);
        }
        let leaf = self.tree.leaf(record)?;
        if let Leaf::Record(offset) = leaf {
            self.walk.networks += 1;
            let word = &mut self.met[offset as usize / 64];
            if *word >> (offset % 64) & 1 == 0 {
                *word |= 1 << (offset % 64);
                self.walk.records.push((offset, address()));
            }
        }
        Ok(leaf)
    }

    /// The same leaf from a key on.
    #[inline]
    fn run(&mut self, key: u64, leaf: Leaf) {
        if self.walk.runs.last().is_none_or(|last| last.1 != leaf) {
            self.walk.runs.push((key, leaf));
        }
    }
}

fn v4(key: u64) -> IpAddr {
    IpAddr::V4(((key >> 32) as u32).into())
}

fn v6(address: u128) -> IpAddr {
    IpAddr::V6(address.into())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use maxminddb::{Reader, WithinOptions};
    use maxminddb_writer::metadata::IpVersion;
    use proptest::prelude::*;

    use super::*;
    use crate::geo::samples::made;

    fn walks(file: &[u8]) -> [Walk; 2] {
        let reader = Reader::from_source(file).unwrap();
        let metadata = reader.metadata();
        let of_v6 = metadata.ip_version == 6;
        let tree = Tree::new(file, metadata.node_count, metadata.record_size, of_v6).unwrap();
        [tree.v4().unwrap(), tree.v6().unwrap()]
    }

    /// What a walk says of an address.
    fn at(walk: &Walk, address: u128) -> Leaf {
        let key = (address >> KEY_BITS) as u64;
        match walk.runs[walk.runs.partition_point(|run| run.0 <= key) - 1].1 {
            Leaf::Divided(number) => {
                let mut before = address & u128::from(u64::MAX);
                let parts = walk.divided[number as usize].iter();
                let mut at = parts.skip_while(|part| {
                    let behind = before >= part.1;
                    before -= if behind { part.1 } else { 0 };
                    behind
                });
                at.next().unwrap().0
            }
            leaf => leaf,
        }
    }

    fn networks() -> impl Strategy<Value = Vec<(IpAddr, u8)>> {
        // Near one another, so that they nest and share units.
        let v4 = (0..16u32, 20..=32u8).prop_map(|(at, bits)| (IpAddr::V4((0xC000_0200 + at).into()), bits));
        // Of none of them the shortest network is around ::/96 or an alias of it, where a walk and the library differ.
        let upper = prop_oneof![Just(0x2001_0db8_0000_0000_u64), Just(0x2400_0000_0000_0000)];
        let v6 = (upper, 0..4u64, any::<bool>(), 30..=128u8).prop_map(|(upper, at, low, bits)| {
            let lower = if low { at << 62 } else { at };
            (IpAddr::V6((u128::from(upper + at) << 64 | u128::from(lower)).into()), bits)
        });
        prop::collection::vec(prop_oneof![v4, v6], 1..12)
    }

    proptest! {
        // What the library says of an address, a walk says of it.
        #[test]
        fn a_walk_says_of_an_address_what_the_library_says(networks in networks()) {
            let named: Vec<(String, u32)> = (1..).zip(&networks).map(|(n, (address, bits))| {
                let host = if address.is_ipv4() { 32 - bits } else { 128 - bits };
                let cut = match address {
                    IpAddr::V4(v4) => IpAddr::V4((u32::from(*v4).checked_shr(host.into()).unwrap_or(0) << (host % 32)).into()),
                    IpAddr::V6(v6) => IpAddr::V6((u128::from(*v6) >> host << host).into()),
                };
                (format!("{cut}/{bits}"), n)
            }).collect();
            let named: Vec<(&str, u32)> = named.iter().map(|(network, n)| (network.as_str(), *n)).collect();
            let file = made(IpVersion::V6, &named);
            let [v4, v6] = walks(&file);
            let reader = Reader::from_source(file.as_slice()).unwrap();
            for (address, _) in &networks {
                let (leaf, near) = match *address {
                    IpAddr::V4(address) => (at(&v4, u128::from(u32::from(address)) << 96), IpAddr::V4(address)),
                    IpAddr::V6(address) => (at(&v6, address.into()), IpAddr::V6(address)),
                };
                let library = reader.lookup(near).unwrap().offset();
                prop_assert_eq!(leaf, library.map_or(Leaf::Nothing, |offset| Leaf::Record(offset as u32)), "{}", near);
            }
            // As many networks, and the same records.
            let all: Vec<usize> = reader.networks(WithinOptions::default()).unwrap().map(|found| found.unwrap().offset().unwrap()).collect();
            let met: std::collections::BTreeSet<usize> = [&v4, &v6].iter().flat_map(|walk| &walk.records).map(|record| record.0 as usize).collect();
            prop_assert_eq!(met, all.iter().copied().collect());
            prop_assert_eq!((v4.networks + v6.networks) as usize, all.len());
        }
    }

    #[test]
    fn a_broken_tree_is_told() {
        let node = |zero: u32, one: u32| [zero.to_be_bytes(), one.to_be_bytes()].concat();
        let walk =
            |octets: &[u8], count| Tree::new(octets, count, 32, false).and_then(|tree| tree.v4().map(drop));
        assert_eq!(walk(&node(1, 1), 2), Err(Broken::Cut));
        assert_eq!(walk(&node(1, 2), 1), Err(Broken::Astray), "within the separator");
        assert_eq!(walk(&node(1, 99), 1), Err(Broken::Astray), "behind the file");
        assert_eq!(walk(&node(0, 1), 1), Err(Broken::Deep), "it leads to itself");
        assert_eq!(walk(&node(1, 1), 1), Ok(()));
        let nowhere: Vec<u8> = (1..=32).flat_map(|next| node(next, next)).collect();
        assert_eq!(walk(&nowhere, 32), Err(Broken::Large), "2^32 networks without a record");
    }

    #[test]
    fn the_ipv4_tree_is_no_part_of_the_ipv6_one() {
        let file = made(IpVersion::V6, &[("192.0.2.0/24", 1), ("2001:db8::/32", 2)]);
        let [v4, v6] = walks(&file);
        assert_eq!(at(&v6, u128::from(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0xc000, 0x201))), Leaf::Nothing);
        assert_eq!((v4.networks, v6.networks), (1, 1));
    }
}
