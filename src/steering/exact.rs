//! Addresses whose ranked list is known more exactly than by tile.

use std::net::IpAddr;

use crate::geo::packed::{Packed, Unpacking};

/// In the place of a list: the tile decides.
const BY_TILE: u32 = u32::MAX;

/// The ranked lists around an operator's prefixes that are longer than a tile can be (/24, /56).
///
/// Asked for a resolver's own address, before the tiles. It holds the whole of each /24 (/56) that such a prefix is part of,
/// so that the addresses beside the prefix are answered exactly, too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exact {
    v4: Runs,
    v6: Runs,
}

/// Sorted `(start, list or BY_TILE)`; before the first, and from the last on, the tile decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Runs(Vec<(u128, u32)>);

impl Exact {
    pub(super) fn new(v4: Runs, v6: Runs) -> Exact {
        Exact { v4, v6 }
    }

    /// Itself as octets, for [`unpack`](Exact::unpack).
    pub fn pack(&self, into: &mut Packed) {
        self.v4.pack(into);
        self.v6.pack(into);
    }

    /// What was packed; `None` where that is cut short.
    pub fn unpack(from: &mut Unpacking<'_>) -> Option<Exact> {
        Some(Exact { v4: Runs::unpack(from)?, v6: Runs::unpack(from)? })
    }

    /// The list of an address, if it is known here.
    #[inline]
    pub fn list(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(v4) => self.v4.list(u32::from(v4).into()),
            IpAddr::V6(v6) => self.v6.list(v6.into()),
        }
    }

    /// How many stretches of addresses are known here.
    pub fn len(&self) -> usize {
        [&self.v4, &self.v6].iter().flat_map(|runs| &runs.0).filter(|run| run.1 != BY_TILE).count()
    }

    /// Whether the tiles decide everywhere.
    pub fn is_empty(&self) -> bool {
        self.v4.0.is_empty() && self.v6.0.is_empty()
    }
}

impl Runs {
    fn pack(&self, into: &mut Packed) {
        into.u32(self.0.len() as u32);
        for &(start, list) in &self.0 {
            into.u128(start);
            into.u32(list);
        }
    }

    fn unpack(from: &mut Unpacking<'_>) -> Option<Runs> {
        let count = from.u32()?;
        (0..count).map(|_| Some((from.u128()?, from.u32()?))).collect::<Option<_>>().map(Runs)
    }

    #[inline]
    fn list(&self, at: u128) -> Option<u32> {
        let behind = self.0.partition_point(|run| run.0 <= at);
        let (_, list) = self.0[..behind].last()?;
        (*list != BY_TILE).then_some(*list)
    }

    /// Adds the addresses from `start` to `last`, which lie behind all that were added before.
    pub(super) fn add(&mut self, start: u128, last: u128, list: u32) {
        let gap = self.0.pop_if(|run| run.0 == start);
        debug_assert!(gap.is_none_or(|gap| gap.1 == BY_TILE));
        if self.0.last().is_none_or(|run| run.1 != list) || gap.is_none() {
            self.0.push((start, list));
        }
        if let Some(next) = last.checked_add(1) {
            self.0.push((next, BY_TILE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_added_is_known() {
        let mut v4 = Runs::default();
        v4.add(10, 19, 1);
        v4.add(20, 29, 2);
        v4.add(30, 39, 2);
        v4.add(50, 59, 2);
        let mut v6 = Runs::default();
        v6.add(u128::MAX - 9, u128::MAX, 3);
        let exact = Exact::new(v4, v6);
        let list = |last: u8| exact.list([0, 0, 0, last].into());
        assert_eq!(
            [9, 10, 19, 20, 39, 40, 49, 50, 60].map(list),
            [None, Some(1), Some(1), Some(2), Some(2), None, None, Some(2), None]
        );
        assert_eq!(exact.list(IpAddr::V6(u128::MAX.into())), Some(3));
        assert_eq!(exact.list(IpAddr::V6((u128::MAX - 10).into())), None);
        assert_eq!((exact.len(), exact.is_empty(), Exact::default().is_empty()), (4, false, true));
    }
}
