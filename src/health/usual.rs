//! How long an address usually takes.

use std::time::Duration;

/// How many successes are remembered: after nine of another kind the estimate has followed.
pub const REMEMBERED: usize = 12;
/// Late after so many usual times.
pub const LATE_TIMES: u32 = 2;
/// … but never before this.
pub const LATE_MIN: Duration = Duration::from_millis(200);
/// Failed after so many usual times.
pub const DEADLINE_TIMES: u32 = 4;
/// … but never before this, and never after the check's timeout.
pub const DEADLINE_MIN: Duration = Duration::from_millis(750);

/// The lower third of the last successes' times. A retransmission only makes a time longer: an rtmp probe at 5 %
/// loss each way has one in every third, which would now and then be the median; the lower third tells the truth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usual {
    /// The last times, oldest overwritten first.
    times: Vec<Duration>,
    oldest: usize,
}

impl Usual {
    /// Learns from one success.
    pub fn learn(&mut self, took: Duration) {
        if self.times.len() < REMEMBERED {
            self.times.push(took);
        } else {
            self.times[self.oldest] = took;
            self.oldest = (self.oldest + 1) % REMEMBERED;
        }
    }

    /// Forgets all: the address has been down, it may come back slower.
    pub fn forget(&mut self) {
        *self = Usual::default();
    }

    /// The usual time; `None` before the first success.
    pub fn time(&self) -> Option<Duration> {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) / 3).copied()
    }

    /// After how long a probe has failed: at most `timeout`, which it is before the first success.
    pub fn deadline(&self, timeout: Duration) -> Duration {
        let usual = self.time().map(|time| (time.saturating_mul(DEADLINE_TIMES)).max(DEADLINE_MIN));
        usual.unwrap_or(timeout).min(timeout)
    }

    /// After how long a probe is late; `None` before the first success, and where the deadline comes first.
    pub fn lateness(&self, timeout: Duration) -> Option<Duration> {
        let late = self.time()?.saturating_mul(LATE_TIMES).max(LATE_MIN);
        (late < self.deadline(timeout)).then_some(late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(2500);

    fn after(times_ms: &[u64]) -> Usual {
        let mut usual = Usual::default();
        for ms in times_ms {
            usual.learn(Duration::from_millis(*ms));
        }
        usual
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn before_the_first_success_the_timeout_holds_and_nothing_is_late() {
        assert_eq!(after(&[]).deadline(TIMEOUT), TIMEOUT);
        assert_eq!(after(&[]).lateness(TIMEOUT), None);
    }

    #[test]
    fn a_near_address_is_late_after_200_ms_and_has_failed_after_750() {
        assert_eq!(after(&[3, 4, 5]).lateness(TIMEOUT), Some(ms(200)));
        assert_eq!(after(&[3, 4, 5]).deadline(TIMEOUT), ms(750));
    }

    #[test]
    fn a_far_address_has_twice_and_four_times_its_usual_time() {
        assert_eq!(after(&[300]).lateness(TIMEOUT), Some(ms(600)));
        assert_eq!(after(&[300]).deadline(TIMEOUT), ms(1200));
    }

    #[test]
    fn the_timeout_caps_both() {
        assert_eq!(after(&[2000]).deadline(TIMEOUT), TIMEOUT);
        assert_eq!(after(&[2000]).lateness(TIMEOUT), None);
        assert_eq!(after(&[1]).deadline(ms(100)), ms(100));
        assert_eq!(after(&[1]).lateness(ms(100)), None);
    }

    #[test]
    fn a_retransmitted_packet_now_and_then_does_not_spoil_it() {
        assert_eq!(after(&[1003, 3]).time(), Some(ms(3)));
        assert_eq!(after(&[3, 1003, 4, 3, 1004, 3, 1003]).time(), Some(ms(3)));
    }

    #[test]
    fn it_follows_a_path_that_became_longer() {
        let mut usual = after(&[10; 100]);
        for _ in 0..9 {
            usual.learn(ms(150));
        }
        assert_eq!(usual.time(), Some(ms(150)));
    }
}
