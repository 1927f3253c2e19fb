//! What the probes of one target tell of the way there: how long it takes now and usually, and what is lost on it.
//!
//! A probe that is late has lost a packet, unless the way is slow: then the next ones are slow, too. So
//!
//! | a probe                                            | is                                                          |
//! | -------------------------------------------------- | ----------------------------------------------------------- |
//! | succeeds                                           | not lost                                                    |
//! | is late, and a newer one succeeds before it ends   | lost                                                        |
//! | is late, and succeeds                              | lost, if the next success takes no more than half its time  |
//! | fails when the check's whole `timeout` is over     | lost                                                        |
//! | fails otherwise (refused, a status, an old stream) | nothing: what said so has come over this way                |
//!
//! What is lost in a row, with no success between, is lost once: probes in doubt start because one was lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::baseline::{Baseline, UsualWay, median};
use super::verdict::{Outcome, Seen};

/// The last probes whose times count …
pub const TIMES: usize = 15;
/// … at least so many …
pub const TIMES_MIN: usize = 5;
/// … none of them older than this, in seconds.
pub const TIMES_AGE_MAX_S: i32 = 300;
/// What is lost counts for so long, in seconds …
pub const LOSS_AGE_MAX_S: i32 = 180;
/// … and is counted by so many.
const SLICE_S: i32 = 30;

/// What is known of the way to a target. Seconds count from any fixed moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// When the last probes succeeded, and how long they took, in ms; the oldest first.
    times: VecDeque<(i32, f32)>,
    /// The oldest first.
    slices: VecDeque<Slice>,
    /// Whether the last thing that was seen was a loss.
    losing: bool,
    /// The last late probe, until it is clear what it was.
    late: Option<Late>,
    pub(super) baseline: Baseline,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    begun_s: i32,
    probes: u32,
    lost: u32,
}

#[derive(Clone, Copy, Debug)]
struct Late {
    started: Instant,
    /// How long it took in the end, in ms.
    took_ms: Option<f32>,
}

/// What is known of a way at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recent {
    times: [f32; TIMES],
    count: u8,
    /// Probes of late.
    pub probes: u32,
    /// Those of them that lost a packet.
    pub lost: u32,
    /// What is usual.
    pub usual: UsualWay,
}

impl Way {
    /// Takes what a probe told; `timeout` is the check's.
    pub(super) fn observe(&mut self, seen: &Seen, timeout: Duration, at_s: i32) {
        match seen.outcome {
            Outcome::Succeeded(took) => self.succeeded(seen.started, took, at_s),
            Outcome::Late => {
                if self.lost(at_s) {
                    self.late = Some(Late { started: seen.started, took_ms: None });
                }
            }
            Outcome::Failed(_) if seen.at.saturating_duration_since(seen.started) >= timeout => {
                self.lost(at_s);
            }
            Outcome::Failed(_) | Outcome::Local(_) => {}
        }
    }

    /// What is known now; `None`: too little.
    pub(super) fn recent(&mut self, now_s: i32) -> Option<Recent> {
        while self.times.front().is_some_and(|(at_s, _)| now_s - at_s > TIMES_AGE_MAX_S) {
            self.times.pop_front();
        }
        while self.slices.front().is_some_and(|slice| now_s - slice.begun_s > LOSS_AGE_MAX_S) {
            self.slices.pop_front();
        }
        if self.times.len() < TIMES_MIN {
            return None;
        }
        let mut times = [0.0; TIMES];
        times.iter_mut().zip(&self.times).for_each(|(to, (_, ms))| *to = *ms);
        let probes = self.slices.iter().map(|slice| slice.probes).sum();
        let lost = self.slices.iter().map(|slice| slice.lost).sum();
        Some(Recent { times, count: self.times.len() as u8, probes, lost, usual: self.baseline.usual() })
    }

    /// Forgets what was of late: it is measured anew. What is usual stays.
    pub(super) fn forget(&mut self) {
        self.times.clear();
        self.slices.clear();
        (self.losing, self.late) = (false, None);
        self.baseline.forget_fresh();
    }

    fn succeeded(&mut self, started: Instant, took: Duration, at_s: i32) {
        let ms = took.as_secs_f32() * 1000.0;
        self.losing = false;
        match self.late.take() {
            // It has counted already; the next one tells whether it was lost, or the way is slow.
            Some(late) if late.took_ms.is_none() && late.started == started => {
                self.late = Some(Late { started, took_ms: Some(ms) });
            }
            late => {
                if late.and_then(|late| late.took_ms).is_some_and(|late_ms| ms > late_ms / 2.0) {
                    self.found();
                }
                self.probed(false, at_s);
            }
        }
        if self.times.len() == TIMES {
            self.times.pop_front();
        }
        self.times.push_back((at_s, ms));
        self.baseline.took(ms, at_s);
    }

    /// Whether it counts: it is the first in a row.
    fn lost(&mut self, at_s: i32) -> bool {
        let is_first = !std::mem::replace(&mut self.losing, true);
        if is_first {
            self.late = None;
            self.probed(true, at_s);
        }
        is_first
    }

    fn probed(&mut self, was_lost: bool, at_s: i32) {
        if self.slices.back().is_none_or(|slice| at_s - slice.begun_s >= SLICE_S) {
            if self.slices.len() > (LOSS_AGE_MAX_S / SLICE_S) as usize {
                self.slices.pop_front();
            }
            self.slices.push_back(Slice { begun_s: at_s, probes: 0, lost: 0 });
        }
        if let Some(slice) = self.slices.back_mut() {
            slice.probes += 1;
            slice.lost += u32::from(was_lost);
        }
        self.baseline.probed(was_lost, at_s);
    }

    /// The last that had counted as lost was not.
    fn found(&mut self) {
        if let Some(slice) = self.slices.iter_mut().rfind(|slice| slice.lost > 0) {
            slice.lost -= 1;
            self.baseline.found();
        }
    }
}

impl Recent {
    /// The median of the last times, in ms.
    pub(super) fn time_ms(&self) -> f32 {
        let mut times = self.times;
        median(&mut times[..usize::from(self.count)])
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use super::*;
    use crate::health::verdict::Cause;

    const TIMEOUT: Duration = Duration::from_millis(2500);

    struct Bench {
        way: Way,
        start: Instant,
    }

    impl Bench {
        /// A way of so many ms, probed each second for a minute.
        fn calm(ms: u64) -> Bench {
            let mut bench = Bench { way: Way::default(), start: Instant::now() };
            (0..60).for_each(|second| bench.succeeds(second * 1000, ms));
            bench
        }

        fn told(&mut self, started_ms: u64, ended_ms: u64, outcome: Outcome) {
            let at = |ms| self.start + Duration::from_millis(ms);
            let seen = Seen { outcome, started: at(started_ms), at: at(ended_ms), decided_by: at(ended_ms) };
            self.way.observe(&seen, TIMEOUT, (ended_ms / 1000) as i32);
        }

        fn succeeds(&mut self, started_ms: u64, took_ms: u64) {
            self.told(started_ms, started_ms + took_ms, Outcome::Succeeded(Duration::from_millis(took_ms)));
        }

        fn fails(&mut self, started_ms: u64, after_ms: u64) {
            let cause = Cause { layer: "connect", what: "what was seen".into() };
            self.told(started_ms, started_ms + after_ms, Outcome::Failed(cause));
        }

        fn late(&mut self, started_ms: u64, after_ms: u64) {
            self.told(started_ms, started_ms + after_ms, Outcome::Late);
        }

        fn lost(&mut self, now_s: i32) -> u32 {
            self.way.recent(now_s).unwrap().lost
        }
    }

    #[test]
    fn a_late_probe_that_a_newer_one_overtakes_is_lost_once() {
        let mut bench = Bench::calm(10);
        bench.late(60_000, 200);
        bench.succeeds(60_200, 10);
        assert_eq!(bench.lost(60), 1);
        (61..70).for_each(|second| bench.succeeds(second * 1000, 10));
        assert_eq!(bench.lost(70), 1);
    }

    #[test]
    fn a_late_probe_that_ends_well_is_lost_if_the_next_is_fast_and_else_the_way_is_slow() {
        for (next_ms, lost) in [(200, 1), (450, 0)] {
            let mut bench = Bench::calm(200);
            bench.late(60_000, 400);
            bench.succeeds(60_000, 500);
            bench.succeeds(60_400, next_ms);
            assert_eq!(bench.lost(61), lost, "{next_ms} ms");
        }
    }

    #[test]
    fn all_that_is_lost_in_one_doubt_is_lost_once() {
        let mut bench = Bench::calm(10);
        bench.late(60_000, 200);
        for probe in 0..4 {
            bench.fails(60_000 + 200 * probe, 2500);
        }
        assert_eq!(bench.lost(63), 1);
        bench.succeeds(63_500, 10);
        bench.fails(64_000, 2500);
        assert_eq!(bench.lost(66), 2);
    }

    #[test]
    fn who_says_no_has_lost_nothing() {
        let mut bench = Bench::calm(10);
        // Refused, status 503, an old playlist: that came over this way.
        (60..90).for_each(|second| bench.fails(second * 1000, 30));
        assert_eq!(bench.lost(90), 0);
    }

    #[test]
    fn times_and_losses_grow_old() {
        let mut bench = Bench::calm(10);
        bench.late(60_000, 200);
        bench.succeeds(60_200, 10);
        assert_eq!(bench.lost(60 + LOSS_AGE_MAX_S + SLICE_S), 0);
        assert!(bench.way.recent(45 + TIMES_AGE_MAX_S).is_some());
        assert_eq!(bench.way.recent(60 + TIMES_AGE_MAX_S), None, "no probe can be made here any more");
    }

    #[test]
    fn a_probe_a_minute_is_enough_to_know_a_way() {
        let mut bench = Bench { way: Way::default(), start: Instant::now() };
        for minute in 0..20 {
            bench.succeeds(minute * 60_000, 10);
            let known = bench.way.recent((minute * 60 + 59) as i32).is_some();
            assert_eq!(known, minute >= 4, "minute {minute}");
        }
    }
}
