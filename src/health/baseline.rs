//! What the way to a target usually costs: the median of a day.

use std::collections::VecDeque;
use std::mem;

/// A baseline is made of medians of so many seconds each …
pub const BUCKET_S: i32 = 300;
/// … and of so many of them …
pub const BUCKETS: usize = 288;
/// … none of them older than a day.
pub const DAY_S: i32 = 86_400;
/// Of the times of a bucket one in so many seconds is taken: a hundred of them tell its median.
const APART_S: i32 = 3;

/// What the way to a target usually costs. Seconds count from any fixed moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Baseline {
    /// The oldest first.
    buckets: VecDeque<Bucket>,
    /// What was seen since the last one: it began then.
    begun_s: Option<i32>,
    times: Vec<f32>,
    taken_s: i32,
    probes: u32,
    lost: u32,
    /// Found anew when a bucket closes; before the first has, with each time.
    usual: UsualWay,
}

/// What is usual.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UsualWay {
    /// The time of a probe, in ms.
    pub ms: f32,
    /// The share of probes that lose a packet, 0..=1.
    pub loss: f32,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    begun_s: i32,
    usual: UsualWay,
}

impl Baseline {
    /// One that had this to say of so many buckets, the last of which began then.
    pub(super) fn restored(usual: UsualWay, buckets: usize, last_s: i32) -> Baseline {
        let begun = (0..buckets.min(BUCKETS) as i32).rev().map(|back| last_s - back * BUCKET_S);
        let buckets = begun.map(|begun_s| Bucket { begun_s, usual }).collect();
        Baseline { buckets, usual, ..Baseline::default() }
    }

    /// What is usual.
    pub(super) fn usual(&self) -> UsualWay {
        self.usual
    }

    /// Of how many buckets that is made, and when the last of them began; `None`: of none yet.
    pub(super) fn made_of(&self) -> Option<(usize, i32)> {
        self.buckets.back().map(|last| (self.buckets.len(), last.begun_s))
    }

    /// A probe took so long.
    pub(super) fn took(&mut self, ms: f32, at_s: i32) {
        self.turn(at_s);
        if self.times.is_empty() || at_s - self.taken_s >= APART_S {
            self.taken_s = at_s;
            self.times.push(ms);
            if self.buckets.is_empty() {
                // The first minutes are their own measure.
                self.usual.ms = median(&mut self.times.clone());
            }
        }
    }

    /// A probe lost a packet, or did not.
    pub(super) fn probed(&mut self, was_lost: bool, at_s: i32) {
        self.turn(at_s);
        self.probes += 1;
        self.lost += u32::from(was_lost);
        if self.buckets.is_empty() {
            self.usual.loss = self.loss();
        }
    }

    /// What had counted as lost was not.
    pub(super) fn found(&mut self) {
        self.lost = self.lost.saturating_sub(1);
    }

    /// Forgets what is not yet in a bucket.
    pub(super) fn forget_fresh(&mut self) {
        self.begun_s = None;
        self.times.clear();
        (self.probes, self.lost) = (0, 0);
    }

    /// Closes the bucket whose time is over.
    fn turn(&mut self, at_s: i32) {
        let begun_s = *self.begun_s.get_or_insert(at_s);
        if at_s - begun_s < BUCKET_S {
            return;
        }
        if !self.times.is_empty() {
            let usual = UsualWay { ms: median(&mut mem::take(&mut self.times)), loss: self.loss() };
            self.buckets.push_back(Bucket { begun_s, usual });
            while self.buckets.len() > BUCKETS
                || self.buckets.front().is_some_and(|oldest| at_s - oldest.begun_s > DAY_S)
            {
                self.buckets.pop_front();
            }
            let median_of =
                |of: fn(&Bucket) -> f32| median(&mut self.buckets.iter().map(of).collect::<Vec<_>>());
            if !self.buckets.is_empty() {
                self.usual = UsualWay {
                    ms: median_of(|bucket| bucket.usual.ms),
                    loss: median_of(|bucket| bucket.usual.loss),
                };
            }
        }
        self.forget_fresh();
        self.begun_s = Some(at_s);
    }

    fn loss(&self) -> f32 {
        self.lost as f32 / self.probes.max(1) as f32
    }
}

/// The middle one; of none, 0. Of two middle ones the lower: one bad value of two must not count.
pub(super) fn median(values: &mut [f32]) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many seconds from then on, a probe in each; the next second.
    fn pass(baseline: &mut Baseline, from_s: i32, seconds: i32, ms: f32) -> i32 {
        for second in from_s..from_s + seconds {
            baseline.probed(false, second);
            baseline.took(ms, second);
        }
        from_s + seconds
    }

    const HOUR_S: i32 = 3600;

    #[test]
    fn the_first_minutes_are_their_own_measure() {
        let mut baseline = Baseline::default();
        let at = pass(&mut baseline, 0, 60, 10.0);
        assert_eq!((baseline.usual().ms, baseline.made_of()), (10.0, None));
        pass(&mut baseline, at, 61, 50.0);
        assert_eq!(baseline.usual().ms, 50.0);
    }

    #[test]
    fn a_new_way_is_the_usual_one_when_it_has_lasted_for_half_of_what_is_known() {
        let mut baseline = Baseline::default();
        let mut at = pass(&mut baseline, 0, 24 * HOUR_S, 10.0);
        at = pass(&mut baseline, at, 12 * HOUR_S - 600, 50.0);
        assert_eq!(baseline.usual().ms, 10.0);
        pass(&mut baseline, at, 1200, 50.0);
        assert_eq!(baseline.usual().ms, 50.0);
    }

    #[test]
    fn a_day_without_probes_is_no_part_of_a_baseline() {
        let mut baseline = Baseline::default();
        let at = pass(&mut baseline, 0, HOUR_S, 10.0);
        pass(&mut baseline, at + 2 * DAY_S, 700, 50.0);
        assert_eq!(baseline.usual().ms, 50.0, "two days later nothing of before counts");
        assert_eq!(baseline.made_of().unwrap().0, 2);
    }

    #[test]
    fn loss_has_its_usual_share_too() {
        let mut baseline = Baseline::default();
        for second in 0..HOUR_S {
            baseline.probed(second % 20 == 0, second);
            baseline.took(10.0, second);
        }
        assert!((0.04..0.06).contains(&baseline.usual().loss), "{:?}", baseline.usual());
    }

    #[test]
    fn what_is_restored_ages_as_if_it_had_been_measured_here() {
        let usual = UsualWay { ms: 10.0, loss: 0.01 };
        // An hour of it, which ended twenty hours ago.
        let mut baseline = Baseline::restored(usual, 12, -20 * HOUR_S);
        assert_eq!((baseline.usual(), baseline.made_of()), (usual, Some((12, -20 * HOUR_S))));
        let at = pass(&mut baseline, 0, HOUR_S - 600, 50.0);
        assert_eq!(baseline.usual(), usual, "not yet half of what is known");
        pass(&mut baseline, at, 5 * HOUR_S, 50.0);
        assert_eq!((baseline.usual().ms, baseline.usual().loss), (50.0, 0.0));
        assert!(baseline.buckets.iter().all(|bucket| bucket.begun_s >= 0));
    }

    #[test]
    fn the_middle_of_two_is_the_lower() {
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(median(&mut [3.0, 1.0]), 1.0);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
    }
}
