//! The slow start: what comes back gets its share bit by bit, so that cold caches are not run over.

use std::time::{Duration, Instant};

use super::slots::SLOTS;

/// The slots that it gets at once: a tenth of them, rounded up.
pub const SLOTS_FIRST: u8 = 7;

/// A slow start: from [`SLOTS_FIRST`] to all slots, evenly over its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// When it came back.
    pub since: Instant,
    /// How long it takes.
    pub length: Duration,
}

impl Ramp {
    /// How many slots it has by now.
    pub fn slots(&self, now: Instant) -> u8 {
        let passed = now.saturating_duration_since(self.since);
        if passed >= self.length {
            return SLOTS;
        }
        let later = u128::from(SLOTS - SLOTS_FIRST);
        let gained = passed.as_nanos() * later / self.length.as_nanos().max(1);
        SLOTS_FIRST + u8::try_from(gained).unwrap_or(SLOTS - SLOTS_FIRST)
    }

    /// When it gets the next one; `None`: it has them all.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let gained = u32::from(self.slots(now).checked_sub(SLOTS_FIRST)?);
        let later = u32::from(SLOTS - SLOTS_FIRST);
        if gained >= later {
            return None;
        }
        // Rounded up, so that it has come by then.
        let at = self.length.as_nanos() * u128::from(gained + 1);
        let nanos = u64::try_from(at.div_ceil(u128::from(later))).unwrap_or(u64::MAX);
        self.since.checked_add(Duration::from_nanos(nanos))
    }

    /// Whether a slot is among the first so many. The order is fixed and spread evenly (the bits of the slot's number turned
    /// round), so that all nameservers open the same ones.
    pub fn holds(slot: u8, slots: u8) -> bool {
        (slot << 2).reverse_bits() & 63 < slots
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_a_tenth_and_ends_with_all_of_them() {
        let ramp = Ramp { since: Instant::now(), length: Duration::from_secs(57) };
        let at = |s| ramp.since + Duration::from_secs(s);
        let slots = [0, 1, 28, 56, 57, 1000].map(|s| ramp.slots(at(s)));
        assert_eq!(slots, [7, 8, 35, 63, 64, 64]);
        assert_eq!(ramp.next(at(0)), Some(at(1)));
        assert_eq!(ramp.next(at(56)), Some(at(57)));
        assert_eq!(ramp.next(at(57)), None);
        // A clock that is behind: it has just begun.
        assert_eq!(ramp.slots(ramp.since - Duration::from_secs(1)), 7);
    }

    #[test]
    fn each_step_comes_when_it_was_said() {
        for length_ms in [1, 10, 999, 60_000, 3_600_000] {
            let ramp = Ramp { since: Instant::now(), length: Duration::from_millis(length_ms) };
            let (mut now, mut slots) = (ramp.since, ramp.slots(ramp.since));
            while let Some(next) = ramp.next(now) {
                assert!(next > now);
                now = next;
                assert!(ramp.slots(now) > slots, "{length_ms} ms: no step at {:?}", now - ramp.since);
                slots = ramp.slots(now);
            }
            assert_eq!(slots, SLOTS);
        }
    }

    #[test]
    fn slots_only_join_and_each_has_its_turn() {
        for slot in 0..SLOTS {
            let has: Vec<bool> = (0..=SLOTS).map(|slots| Ramp::holds(slot, slots)).collect();
            assert!(has.is_sorted() && !has[0] && has[usize::from(SLOTS)]);
        }
        for slots in 0..=SLOTS {
            assert_eq!((0..SLOTS).filter(|slot| Ramp::holds(*slot, slots)).count(), usize::from(slots));
        }
        let first: Vec<u8> = (0..SLOTS).filter(|slot| Ramp::holds(*slot, 4)).collect();
        assert_eq!(first, [0, 16, 32, 48]);
    }
}
