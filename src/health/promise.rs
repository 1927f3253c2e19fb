//! The one-TTL promise: how long a silent death can go unseen.
//!
//! Derived in docs/health.md, "How long a death can go unseen".

use std::time::Duration;

use super::check::Check;

/// While an address is suspect, its probes start this far apart.
pub const REPROBE_EVERY: Duration = Duration::from_millis(200);
/// From the last outcome to the last old answer: the publisher's batch, and a turn of each answering thread.
pub const PUBLICATION_MAX: Duration = Duration::from_millis(100);

/// The parts of the longest time from a silent death to the first answer without the dead address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detection {
    /// The node dies just behind a probe that it still answered.
    pub interval: Duration,
    /// The next probe is noticed to be late after this long.
    pub lateness: Duration,
    /// The re-probes start one behind the other. One step more than they need: room for the prober's timers.
    pub reprobes: Duration,
    /// The last of them is waited for.
    pub deadline: Duration,
    /// The verdict reaches the answering threads.
    pub publication: Duration,
}

impl Detection {
    /// What a check can take at worst, whatever the address's usual time.
    pub fn worst(check: &Check) -> Detection {
        Detection {
            interval: check.interval,
            // Late after twice the usual time; at worst only the deadline itself shows it.
            lateness: if check.fall > 1 { check.timeout } else { Duration::ZERO },
            reprobes: REPROBE_EVERY * check.fall.saturating_sub(1),
            deadline: check.timeout,
            publication: PUBLICATION_MAX,
        }
    }

    /// The same, where so many addresses die at once that the [`Budget`](super::budget::Budget) pays for no
    /// re-probe: then the regular probes alone decide. At most 285 near addresses in one instant never wait.
    pub fn in_a_storm(check: &Check) -> Duration {
        let regular = check.interval * check.fall + check.timeout + PUBLICATION_MAX;
        regular.max(Detection::worst(check).total())
    }

    /// Their sum.
    pub fn total(&self) -> Duration {
        self.interval + self.lateness + self.reprobes + self.deadline + self.publication
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::check::{HoldDown, Kind};

    fn check(interval_s: u64, timeout_ms: u64, fall: u32) -> Check {
        let (interval, timeout) = (Duration::from_secs(interval_s), Duration::from_millis(timeout_ms));
        Check {
            key: "c".into(),
            kind: Kind::Tcp,
            port: 80,
            interval,
            timeout,
            fall,
            rise: 5,
            hold_down: HoldDown::default(),
        }
    }

    #[test]
    fn the_defaults_keep_the_promise_of_a_ttl_of_20_s_even_in_a_storm() {
        let defaults = check(1, 2500, 5);
        assert_eq!(Detection::worst(&defaults).total(), Duration::from_millis(6900));
        assert_eq!(Detection::in_a_storm(&defaults), Duration::from_millis(7600));
    }

    #[test]
    fn where_one_failure_decides_nothing_waits_for_lateness_or_re_probes() {
        assert_eq!(Detection::worst(&check(10, 2000, 1)).total(), Duration::from_millis(12_100));
    }

    #[test]
    fn a_long_interval_counts_once_and_in_a_storm_as_often_as_fall() {
        assert_eq!(Detection::worst(&check(10, 2500, 3)).total(), Duration::from_millis(15_500));
        assert_eq!(Detection::in_a_storm(&check(10, 2500, 3)), Duration::from_millis(32_600));
    }
}
