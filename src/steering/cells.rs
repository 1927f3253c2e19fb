//! Cells: the /24s (/56s) that tiles are made of.

use super::exact::Runs;
use super::marks::{ends, prefixes};
use super::rules::Policy;
use crate::cluster::Family;

/// No IPv4 tile is longer: the longest client prefix that RFC 7871 §11.1 recommends.
pub const TILE_BITS_V4: u8 = 24;
/// No IPv6 tile is longer.
pub const TILE_BITS_V6: u8 = 56;
/// How far an IPv4 address is shifted to be a cell.
pub(super) const SHIFT_V4: u32 = 32 - TILE_BITS_V4 as u32;
/// How far an IPv6 address is shifted to be a cell.
pub(super) const SHIFT_V6: u32 = 128 - TILE_BITS_V6 as u32;

/// A list for each /24 (/56): what most of its addresses have. `SHIFT`, which is known when this is compiled, tells the family: its numbers of
/// 128 bits are then as fast as others.
pub(super) struct Cells<const SHIFT: u32> {
    /// The length of a cell.
    pub(super) bits: u8,
    /// Where runs of cells with one list begin.
    runs: Vec<(u64, u32)>,
    /// The parts of the cell that is being made: first and last address, list.
    parts: Vec<(u128, u128, u32)>,
    /// The cells that one of the policy's prefixes divides, sorted.
    divided: Vec<u64>,
    /// All lists of divided cells.
    pub(super) exact: Runs,
}

impl<const SHIFT: u32> Cells<SHIFT> {
    /// Of the family that [`SHIFT_V4`] or [`SHIFT_V6`] stands for.
    pub(super) const FAMILY: Family = if SHIFT == SHIFT_V4 { Family::V4 } else { Family::V6 };

    pub(super) fn new(policy: &Policy) -> Cells<SHIFT> {
        let bits = match Self::FAMILY {
            Family::V4 => TILE_BITS_V4,
            Family::V6 => TILE_BITS_V6,
        };
        let longer = prefixes(policy).map(|held| held.0).filter(|prefix| prefix.bits() > bits);
        let longer = longer.filter(|prefix| Family::of(prefix.address()) == Self::FAMILY);
        let mut divided: Vec<u64> = longer.map(|prefix| (ends(prefix).0 >> SHIFT) as u64).collect();
        divided.sort_unstable();
        divided.dedup();
        Cells { bits, runs: Vec::new(), parts: Vec::new(), divided, exact: Runs::default() }
    }

    /// Addresses from `start` to `last` have one list. They follow those that were added before.
    pub(super) fn add(&mut self, start: u128, last: u128, list: u32) {
        let cell = |address: u128| (address >> SHIFT) as u64;
        let ends_whole = |cell: u64| ((u128::from(cell) << SHIFT) | ((1 << SHIFT) - 1)) == last;
        let (mut first, end) = (cell(start), cell(last));
        let begins_whole = u128::from(first) << SHIFT == start;
        let whole_end = ends_whole(end);
        let end_of_first = (u128::from(first) << SHIFT) | ((1 << SHIFT) - 1);
        if !begins_whole {
            self.parts.push((start, last.min(end_of_first), list));
            if last < end_of_first {
                return;
            }
            self.settle(first);
            first += 1;
        }
        if first < end || (first == end && whole_end) {
            self.run(first, list);
        }
        if first <= end && !whole_end {
            self.parts.push((u128::from(end) << SHIFT, last, list));
        }
    }

    /// Decides the cell whose parts are complete.
    fn settle(&mut self, cell: u64) {
        let mut shares: Vec<(u32, u128)> = Vec::new();
        for &(first, last, list) in &self.parts {
            let addresses = last - first + 1;
            match shares.iter_mut().find(|share| share.0 == list) {
                Some(share) => share.1 += addresses,
                None => shares.push((list, addresses)),
            }
        }
        // Of equals the one that comes first.
        let most = shares.iter().rev().max_by_key(|share| share.1).expect("a cell has parts");
        self.run(cell, most.0);
        if self.divided.binary_search(&cell).is_ok() {
            for &(first, last, list) in &self.parts {
                self.exact.add(first, last, list);
            }
        }
        self.parts.clear();
    }

    fn run(&mut self, cell: u64, list: u32) {
        if self.runs.last().is_none_or(|run| run.1 != list) {
            self.runs.push((cell, list));
        }
    }

    /// The runs by the leading 64 bits of their first addresses.
    pub(super) fn keys(&self) -> impl Iterator<Item = (u64, u32)> {
        self.runs.iter().map(|&(cell, list)| (cell << (64 - self.bits), list))
    }
}
