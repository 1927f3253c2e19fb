//! Networks in address order, laid down as the stretches of one family.

use super::places::{Stretch, extend};

/// The stretches of one family while they are laid, from the lowest address upwards; what is left out is place 0.
pub(super) struct Layer<A> {
    stretches: Vec<Stretch<A>>,
    /// Bits of an address below the unit of a stretch: 0 of IPv4's 32, 64 of IPv6's 128.
    fine_bits: u32,
    /// The first address that is not laid yet; `None` when all are.
    next: Option<u128>,
    last: u128,
    /// Of a unit that is laid in pieces: places and how many addresses they have, in address order.
    pieces: Vec<(u32, u128)>,
}

impl Layer<u32> {
    pub(super) fn v4() -> Layer<u32> {
        Layer {
            stretches: Vec::new(),
            fine_bits: 0,
            next: Some(0),
            last: u32::MAX.into(),
            pieces: Vec::new(),
        }
    }
}

impl Layer<u64> {
    pub(super) fn v6() -> Layer<u64> {
        Layer { stretches: Vec::new(), fine_bits: 64, next: Some(0), last: u128::MAX, pieces: Vec::new() }
    }
}

impl<A: TryFrom<u128>> Layer<A> {
    /// Lays `place` on `first..=last`. What was laid before stays, should they overlap.
    pub(super) fn lay(&mut self, first: u128, last: u128, place: u32) {
        let Some(next) = self.next else { return };
        if first > next {
            self.run(next, first - 1, 0);
        }
        if last >= next {
            self.run(first.max(next), last, place);
        }
    }

    /// The whole family.
    pub(super) fn finish(mut self) -> Vec<Stretch<A>> {
        if let Some(next) = self.next {
            self.run(next, self.last, 0);
        }
        self.stretches.shrink_to_fit();
        self.stretches
    }

    /// Lays `place` from `self.next`, which is `first`, to `last`.
    fn run(&mut self, first: u128, last: u128, place: u32) {
        let last = last.min(self.last);
        let fine = (1 << self.fine_bits) - 1;
        let mut first = first;
        if first & fine != 0 {
            let end = last.min(first | fine);
            self.piece(place, first, end);
            first = end + u128::from(end < last);
            if end == last {
                return;
            }
        }
        // Whole units, then the beginning of one.
        let whole_end = if last & fine == fine { Some(last) } else { (last & !fine).checked_sub(1) };
        if let Some(end) = whole_end.filter(|end| *end > first || fine == 0 && *end == first) {
            self.unit(first, place);
            self.next = end.checked_add(1).filter(|next| *next <= self.last);
            if end == last {
                return;
            }
            first = end + 1;
        }
        self.piece(place, first, last);
    }

    /// Lays a piece of one unit, and decides the unit when it is complete.
    fn piece(&mut self, place: u32, first: u128, last: u128) {
        self.pieces.push((place, last - first + 1));
        self.next = last.checked_add(1).filter(|next| *next <= self.last);
        let fine = (1 << self.fine_bits) - 1;
        if last & fine == fine {
            let most = most(&self.pieces);
            self.pieces.clear();
            self.unit(last, most);
        }
    }

    fn unit(&mut self, address: u128, place: u32) {
        let Ok(start) = A::try_from(address >> self.fine_bits) else { return };
        extend(&mut self.stretches, start, place);
    }
}

/// The place of most addresses of a unit, by its pieces in the order of addresses; of equals the first that knows something.
pub(super) fn most(pieces: &[(u32, u128)]) -> u32 {
    // Sums of places differ from 0 only by their pieces.
    let mut sorted = pieces.to_vec();
    sorted.sort_unstable_by_key(|(place, _)| *place);
    let sums = sorted.chunk_by(|a, b| a.0 == b.0);
    let sums: Vec<(u32, u128)> =
        sums.map(|same| (same[0].0, same.iter().map(|(_, addresses)| addresses).sum())).collect();
    let greatest = sums.iter().map(|(_, sum)| *sum).max().unwrap_or(0);
    let is_greatest =
        |place: u32| sums.binary_search_by_key(&place, |sum| sum.0).is_ok_and(|at| sums[at].1 == greatest);
    let known = pieces.iter().find(|(place, _)| *place != 0 && is_greatest(*place));
    known.map_or(0, |known| known.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gaps_are_place_0_and_equal_neighbours_one_stretch() {
        let mut layer = Layer::v4();
        layer.lay(10, 19, 1);
        layer.lay(20, 29, 1);
        layer.lay(40, u32::MAX.into(), 2);
        let expected = [(0, 0), (10, 1), (30, 0), (40, 2)].map(|(start, place)| Stretch { start, place });
        assert_eq!(layer.finish(), expected);
        assert_eq!(Layer::v6().finish(), [Stretch { start: 0, place: 0 }]);
    }

    #[test]
    fn the_last_address_of_a_family_is_laid() {
        let mut layer = Layer::v6();
        layer.lay(u128::MAX, u128::MAX, 1);
        assert_eq!(layer.finish(), [Stretch { start: 0, place: 0 }], "one address is not most of its /64");
        let mut layer = Layer::v6();
        layer.lay(u128::MAX - (1 << 63), u128::MAX, 1);
        assert_eq!(layer.finish(), [Stretch { start: 0, place: 0 }, Stretch { start: u64::MAX, place: 1 }]);
    }

    proptest! {
        /// Every unit has the place of most of its addresses, whatever pieces it was laid in.
        #[test]
        fn a_unit_has_the_place_of_most_of_it(pieces in prop::collection::vec((0..3_u32, 1..40_u128), 1..12)) {
            // Sixteenths of a /64, so that pieces often end where units do.
            const PIECE: u128 = 1 << 60;
            let mut layer = Layer::v6();
            let mut places = Vec::new();
            for (place, length) in pieces {
                let first = places.len() as u128;
                layer.lay(first * PIECE, (first + length) * PIECE - 1, place);
                places.extend((0..length).map(|_| place));
            }
            places.resize(places.len().next_multiple_of(16), 0);
            let stretches = layer.finish();
            for (unit, sixteenths) in places.chunks(16).enumerate() {
                let count = |place: u32| sixteenths.iter().filter(|other| **other == place).count();
                let at = stretches.partition_point(|stretch| stretch.start <= unit as u64) - 1;
                let place = stretches[at].place;
                prop_assert!((0..3).all(|other| count(other) <= count(place)), "{unit}: {place}");
                prop_assert!(place != 0 || (1..3).all(|other| count(other) < count(0)), "known before unknown");
            }
        }
    }
}
