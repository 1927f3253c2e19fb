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
            let most = self.most();
            self.unit(last, most);
        }
    }

    /// The place of most addresses among the pieces; of equals the first that knows something.
    fn most(&mut self) -> u32 {
        // A stable sort keeps equal places in address order, and sums of places differ from 0 only by their pieces.
        let order: Vec<u32> = self.pieces.iter().map(|(place, _)| *place).collect();
        self.pieces.sort_by_key(|(place, _)| *place);
        let sums = self.pieces.chunk_by(|a, b| a.0 == b.0);
        let sums: Vec<(u32, u128)> =
            sums.map(|same| (same[0].0, same.iter().map(|(_, addresses)| addresses).sum())).collect();
        let greatest = sums.iter().map(|(_, sum)| *sum).max().unwrap_or(0);
        self.pieces.clear();
        let is_greatest = |place: &u32| {
            sums.binary_search_by_key(place, |(place, _)| *place).is_ok_and(|at| sums[at].1 == greatest)
        };
        let known = order.iter().find(|place| **place != 0 && is_greatest(place));
        known.copied().unwrap_or(0)
    }

    fn unit(&mut self, address: u128, place: u32) {
        let Ok(start) = A::try_from(address >> self.fine_bits) else { return };
        extend(&mut self.stretches, start, place);
    }
}
