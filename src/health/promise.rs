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
    /// The re-probes start one behind the other.
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

    /// Their sum.
    pub fn total(&self) -> Duration {
        self.interval + self.lateness + self.reprobes + self.deadline + self.publication
    }
}
