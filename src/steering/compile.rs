//! Geography compiled away: a policy and the places of all addresses -> address -> ranked list.
//!
//! ```text
//! stretches (places) + marks (the policy's prefixes)  -> kinds of clients -> classes -> ranked lists
//!                                                     \-> a list for each address -> for each /24, /56 -> tiles
//! ```

use std::net::IpAddr;

use super::cells::Cells;
use super::exact::Exact;
use super::kinds::Kinds;
use super::marks::{Marks, prefixes};
use super::pieces::{last_address, pieces};
use super::rank::{Grain, Ranker};
use super::rules::{Policy, Spread};
use crate::cluster::{ClusterId, Family, Inventory};
use crate::geo::place::Prefix;
use crate::geo::places::Places;
use crate::geo::prefix_map::PrefixMap;

/// No IPv4 tile is longer: the longest client prefix that RFC 7871 §11.1 recommends.
pub const TILE_BITS_V4: u8 = 24;
/// No IPv6 tile is longer.
pub const TILE_BITS_V6: u8 = 56;
/// The most ranked lists of a policy; where clients would need more, they are classed more coarsely.
pub const LISTS_MAX: usize = 65_535;
/// The most entries of all ranked lists of a policy together (32 MiB); handled like [`LISTS_MAX`].
pub const LIST_ENTRIES_MAX: usize = 1 << 22;

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
    /// A tile wider than this is hashed and scoped by this length.
    pub spread: Spread,
    /// The policy's prefixes that are longer than a tile can be: for clients given by EDNS Client Subnet they do not hold exactly.
    pub finer: Vec<Finer>,
    /// How finely clients were classed: coarser than [`Grain::FINEST`] only where lists would have been too many.
    pub grain: Grain,
}

/// Clusters, best first.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedList {
    /// The clusters.
    pub clusters: Box<[ClusterId]>,
    /// What each counts as in ms, the mean over the list's clients: never less than the one before it.
    pub costs_ms: Box<[f32]>,
}

/// What is known of a client by its tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Its ranked list: a place in [`Mapped::lists`].
    pub list: u32,
    /// The tile's own length.
    pub bits: u8,
    /// The length that the client is hashed by, and the scope of its answers (RFC 7871 §7.2.1): the tile's or the policy's
    /// spread, whichever is longer.
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
        Tile { list, bits, scope: bits.max(self.spread.ipv6) }
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
    let mut kinds = Kinds::new(policy, &ranker, places);
    for family in Family::ALL {
        for piece in pieces(family, places, &marks) {
            kinds.count(piece);
        }
    }
    let (lists, list_of, grain) = kinds.ranked(&ranker, &marks, candidates.len());
    let [v4, v6] = Family::ALL.map(|family| {
        let mut cells = Cells::new(family, policy);
        let mut open: Option<(u128, u32)> = None;
        for piece in pieces(family, places, &marks) {
            let list = list_of[kinds.kind(piece) as usize];
            match open {
                Some((_, before)) if before == list => continue,
                Some((start, before)) => cells.add(start, piece.start - 1, before),
                None => {}
            }
            open = Some((piece.start, list));
        }
        let (start, list) = open.expect("there is a piece at 0");
        cells.add(start, last_address(family), list);
        cells
    });
    let maps = [&v4, &v6].map(|cells| PrefixMap::new(cells.keys(), cells.bits));
    let exact = Exact::new(v4.exact, v6.exact);
    let [v4, v6] = maps;
    let mut mapped = Mapped { lists, v4, v6, exact, spread: policy.spread, finer: Vec::new(), grain };
    mapped.finer = finer(policy, &mapped);
    mapped
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
