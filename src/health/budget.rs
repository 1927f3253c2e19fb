//! What re-probes may cost in all, so that a region's death is no storm.

use std::time::{Duration, Instant};

/// Re-probes a second that all doubts together may start in the long run.
pub const REPROBES_PER_SECOND: u32 = 2000;
/// Re-probes that may be saved up: one second's worth. A doubt about a near address takes 7 at once, so that
/// some 285 addresses may come into doubt in the same instant, and as many again each second.
pub const REPROBES_SAVED_MAX: u32 = 2000;

/// A token bucket. A doubt takes what it may need at its start, all or nothing, and gives back what it did not
/// use: so a doubt once begun at full pace ends at full pace, and its date is true.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    tokens: u32,
    /// When the last whole token fell in.
    filled: Instant,
}

impl Budget {
    /// A full one.
    pub fn new(now: Instant) -> Budget {
        Budget { tokens: REPROBES_SAVED_MAX, filled: now }
    }

    /// Takes `wanted` re-probes, or none.
    pub fn take(&mut self, wanted: u32, now: Instant) -> bool {
        self.refill(now);
        let granted = wanted <= self.tokens;
        if granted {
            self.tokens -= wanted;
        }
        granted
    }

    /// Gives back what was taken and not used.
    pub fn give_back(&mut self, unused: u32) {
        self.tokens = self.tokens.saturating_add(unused).min(REPROBES_SAVED_MAX);
    }

    fn refill(&mut self, now: Instant) {
        let each = Duration::from_secs(1) / REPROBES_PER_SECOND;
        let passed = now.saturating_duration_since(self.filled);
        let fallen = u32::try_from(passed.as_nanos() / each.as_nanos()).unwrap_or(u32::MAX);
        if fallen >= REPROBES_SAVED_MAX {
            self.filled = now;
        } else {
            self.filled += each * fallen;
        }
        self.give_back(fallen);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use super::*;

    #[test]
    fn it_is_all_or_nothing() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        assert!(budget.take(REPROBES_SAVED_MAX - 1, now));
        assert!(!budget.take(2, now));
        assert!(budget.take(1, now));
        assert!(!budget.take(1, now));
    }

    #[test]
    fn it_fills_at_its_rate_and_no_further_than_full() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert!(budget.take(REPROBES_SAVED_MAX, start));
        let later = start + Duration::from_millis(100);
        assert!(budget.take(REPROBES_PER_SECOND / 10, later));
        assert!(!budget.take(1, later));
        let much_later = start + Duration::from_secs(3600);
        assert!(!budget.take(REPROBES_SAVED_MAX + 1, much_later));
        assert!(budget.take(REPROBES_SAVED_MAX, much_later));
    }

    #[test]
    fn often_asked_it_loses_no_fraction_of_a_token() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert!(budget.take(REPROBES_SAVED_MAX, start));
        let granted =
            (1..=1_000_000u64).filter(|us| budget.take(1, start + Duration::from_micros(*us))).count();
        assert_eq!(granted, REPROBES_PER_SECOND as usize);
    }
}
