//! The life of a touched list's slots: where each is, since when, and why.

use std::time::Duration;

use crate::steering::slots::SLOTS;

const ALL: usize = SLOTS as usize;

/// Where the slots of one list are. A list without a life has all its clients at rank 0.
#[derive(Clone, Debug)]
pub(super) struct Life {
    /// The rank of each slot: a row of the table.
    pub at: [u8; ALL],
    /// The rank before that, where clients still are that have not followed.
    was: [u8; ALL],
    /// When it moved, in ms since the balance began.
    moved_ms: [u64; ALL],
    /// When the last of them moved.
    last_ms: u64,
    /// The slots that left home because of load and not because it died: they come back only under the low mark.
    pub shed: u64,
}

impl Life {
    /// All at rank 0, since long ago.
    pub(super) fn new() -> Life {
        Life { at: [0; ALL], was: [0; ALL], moved_ms: [0; ALL], last_ms: 0, shed: 0 }
    }

    /// The same in a list whose ranks are others: `rank` tells which; `None`: it is gone, and who was there is at home.
    pub(super) fn renamed(&self, rank: impl Fn(u8) -> Option<u8>) -> Life {
        let at = self.at.map(|at| rank(at).unwrap_or(0));
        let mut was = self.was;
        was.iter_mut().zip(at).for_each(|(was, at)| *was = rank(*was).unwrap_or(at));
        let home = (0..ALL).filter(|&slot| at[slot] == 0).fold(0, |slots, slot| slots | 1 << slot);
        Life { at, was, shed: self.shed & !home, ..self.clone() }
    }

    /// Moves some slots.
    pub(super) fn go(&mut self, slots: u64, to: u8, now_ms: u64) {
        for slot in bits(slots) {
            self.was[slot] = self.at[slot];
            self.at[slot] = to;
            self.moved_ms[slot] = now_ms;
        }
        self.last_ms = now_ms;
    }

    /// Ranks, and the slots among `of` that are there.
    pub(super) fn ranks(&self, of: u64) -> impl Iterator<Item = (u8, u64)> + '_ {
        let mut left = of;
        std::iter::from_fn(move || {
            let rank = *self.at.get(left.trailing_zeros() as usize)?;
            let here = left & self.slots_at(rank);
            left &= !here;
            Some((rank, here))
        })
    }

    /// The slots that are at `rank`.
    fn slots_at(&self, rank: u8) -> u64 {
        (0..ALL).filter(|&slot| self.at[slot] == rank).fold(0, |slots, slot| slots | 1 << slot)
    }

    /// The slots that moved less than `hold` ago: they stay.
    pub(super) fn held(&self, now_ms: u64, hold: Duration) -> u64 {
        let hold_ms = ms(hold);
        if now_ms.saturating_sub(self.last_ms) >= hold_ms {
            return 0;
        }
        // Those never moved are at rank 0 since time 0.
        let held = |slot: usize| {
            let moved = self.moved_ms[slot];
            (moved > 0 || self.at[slot] != 0) && now_ms.saturating_sub(moved) < hold_ms
        };
        (0..ALL).filter(|&slot| held(slot)).fold(0, |slots, slot| slots | 1 << slot)
    }

    /// Where its clients really are: ranks and shares of a slot, which add up to 64. Clients follow a move evenly over `follow`.
    pub(super) fn whereabouts(&self, now_ms: u64, follow: Duration, mut tell: impl FnMut(u8, f64)) {
        let follow_ms = ms(follow).max(1);
        if now_ms.saturating_sub(self.last_ms) >= follow_ms {
            return self.ranks(u64::MAX).for_each(|(rank, slots)| tell(rank, f64::from(slots.count_ones())));
        }
        for slot in 0..ALL {
            let gone_ms = now_ms.saturating_sub(self.moved_ms[slot]);
            if self.was[slot] == self.at[slot] || gone_ms >= follow_ms {
                tell(self.at[slot], 1.0);
            } else {
                let followed = gone_ms as f64 / follow_ms as f64;
                tell(self.at[slot], followed);
                tell(self.was[slot], 1.0 - followed);
            }
        }
    }

    /// Whether nothing is left to remember: all at rank 0, and long enough.
    pub(super) fn is_over(&self, now_ms: u64, quiet: Duration) -> bool {
        self.at == [0; ALL] && now_ms.saturating_sub(self.last_ms) >= ms(quiet)
    }
}

/// The places of the bits that are set, ascending.
pub(super) fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = mask.trailing_zeros();
        mask &= mask.checked_sub(1)?;
        Some(at as usize)
    })
}

/// The `count` highest bits of a mask: slots leave in this order.
pub(super) fn highest(mask: u64, count: u32) -> u64 {
    let stay = mask.count_ones().saturating_sub(count);
    mask & !lowest(mask, stay)
}

/// The `count` lowest bits of a mask: slots come back in this order.
pub(super) fn lowest(mask: u64, count: u32) -> u64 {
    let mut rest = mask;
    for _ in 0..count.min(64) {
        rest &= rest.saturating_sub(1);
    }
    mask & !rest
}

/// Whole milliseconds.
pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_leave_from_the_top_and_come_back_from_the_bottom() {
        let mask = 0b1011_0110;
        assert_eq!([highest(mask, 0), highest(mask, 2), highest(mask, 9)], [0, 0b1010_0000, mask]);
        assert_eq!([lowest(mask, 0), lowest(mask, 2), lowest(mask, 9)], [0, 0b110, mask]);
        assert_eq!(highest(u64::MAX, 64), u64::MAX);
        assert_eq!(bits(mask).collect::<Vec<_>>(), [1, 2, 4, 5, 7]);
    }

    #[test]
    fn clients_follow_a_move_evenly() {
        let mut life = Life::new();
        life.go(0b11, 3, 1_000);
        let follow = Duration::from_secs(20);
        let at = |now_ms: u64| {
            let mut shares = [0.0; 4];
            life.whereabouts(now_ms, follow, |rank, share| shares[usize::from(rank)] += share);
            shares
        };
        assert_eq!(at(1_000), [64.0, 0.0, 0.0, 0.0]);
        assert_eq!(at(6_000), [63.5, 0.0, 0.0, 0.5]);
        assert_eq!(at(21_000), [62.0, 0.0, 0.0, 2.0]);
    }

    #[test]
    fn a_slot_that_moved_is_held() {
        let mut life = Life::new();
        let hold = Duration::from_secs(60);
        assert_eq!(life.held(0, hold), 0);
        life.go(0b101, 2, 5_000);
        assert_eq!((life.held(64_999, hold), life.held(65_000, hold)), (0b101, 0));
        assert_eq!((life.slots_at(2), life.slots_at(0)), (0b101, !0b101));
        life.go(0b101, 0, 70_000);
        assert!(!life.is_over(129_999, hold) && life.is_over(130_000, hold));
    }
}
