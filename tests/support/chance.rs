//! Chance that is the same each time (SplitMix64, Steele, Lea and Flood 2014).
#![allow(dead_code)] // Each test binary uses its own part.

/// Chance.
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// Any number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Chance of its own for somebody else.
    pub(crate) fn fork(&mut self) -> Chance {
        Chance(self.below(u64::MAX))
    }

    /// Any order.
    pub(crate) fn shuffle<T>(&mut self, cards: &mut [T]) {
        for at in (1..cards.len()).rev() {
            cards.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}
