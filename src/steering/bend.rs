//! Ranked lists bent by what is known today: clusters whose way is worse than usual fall back, and slots of full ones
//! begin elsewhere.
//!
//! Whole lists move, never tiles: scopes stay as they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::balance::table::{Row, Share};
use super::kinds::RankedList;
use super::rules::QualityWeight;
use crate::cluster::ClusterId;

/// A penalty rises only when the way was worse for so long: where all ways get worse, some are measured sooner than others.
pub const PENALTY_HOLD: Duration = Duration::from_secs(30);
/// A penalty changes only by so much, in ms, …
pub const PENALTY_STEP_MS: f32 = 5.0;
/// … and by this share of itself.
pub const PENALTY_STEP: f32 = 0.25;
/// No penalty is higher, in ms: beyond it clusters are as good as away.
pub const PENALTY_MAX_MS: f32 = 10_000.0;
/// A penalty falls only when the way was better for so long: a cluster that nobody is sent to answers fast.
pub const PENALTY_RELEASE: Duration = Duration::from_secs(300);
/// That doubles each time that a penalty comes back within this time of its fall, and never is longer than this.
pub const PENALTY_RELEASE_MAX: Duration = Duration::from_secs(3600);

/// A cluster's penalty under one policy: what its way is worse than usual, held calm. It comes soon and goes late.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Penalty {
    /// In whole ms.
    pub ms: f32,
    worse: Option<Asked>,
    better: Option<Asked>,
    /// When it last fell, until it rises again.
    fell: Option<Instant>,
    /// How often in a row it rose soon after it had fallen.
    relapses: u32,
}

/// Another penalty than what is held.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Asked {
    since: Instant,
    /// What was asked for meanwhile that is nearest to what is held, in ms.
    nearest_ms: f32,
}

impl Penalty {
    /// Follows a rise over what is usual, in ms; `None`: nothing is known, and nothing held against it.
    pub fn follow(&mut self, rise_ms: Option<f32>, quality: QualityWeight, now: Instant) {
        let fresh = wanted_ms(rise_ms.unwrap_or(0.0), quality);
        let step = (self.ms * PENALTY_STEP).max(PENALTY_STEP_MS);
        self.worse = self.worse.filter(|_| fresh >= self.ms + step);
        self.better = self.better.filter(|_| fresh <= self.ms - step);
        if fresh >= self.ms + step {
            let worse = self.worse.get_or_insert(Asked { since: now, nearest_ms: fresh });
            worse.nearest_ms = worse.nearest_ms.min(fresh);
            let Asked { since, nearest_ms } = *worse;
            if now.saturating_duration_since(since) >= PENALTY_HOLD {
                self.rise(nearest_ms, now);
            }
        } else if fresh <= self.ms - step {
            let release = self.release();
            let better = self.better.get_or_insert(Asked { since: now, nearest_ms: fresh });
            better.nearest_ms = better.nearest_ms.max(fresh);
            if now.saturating_duration_since(better.since) >= release {
                (self.ms, self.better, self.fell) = (better.nearest_ms, None, Some(now));
            }
        }
    }

    /// Nothing can be told of the way for now: the penalty stays, and the way was neither worse nor better meanwhile.
    pub fn stay(&mut self) {
        (self.worse, self.better) = (None, None);
    }

    fn rise(&mut self, ms: f32, now: Instant) {
        let soon = |fell: Instant| now.saturating_duration_since(fell) < PENALTY_RELEASE_MAX;
        match self.fell.take() {
            Some(fell) if soon(fell) => self.relapses += 1,
            Some(_) => self.relapses = 0,
            None => {}
        }
        (self.ms, self.worse) = (ms, None);
    }

    /// For how long the way must be better until the penalty falls.
    fn release(&self) -> Duration {
        PENALTY_RELEASE.saturating_mul(1 << self.relapses.min(8)).min(PENALTY_RELEASE_MAX)
    }
}

/// The penalty that a rise over what is usual asks for, in whole ms: [`Penalty::follow`] comes to it with calm.
pub fn wanted_ms(rise_ms: f32, quality: QualityWeight) -> f32 {
    let beyond = (rise_ms - quality.tolerate_ms).max(0.0);
    (beyond * quality.weight).min(PENALTY_MAX_MS).round()
}

/// One list as it stands today.
#[derive(Clone, Debug, PartialEq)]
pub struct BentList {
    /// The clusters, best first by today's costs; `None`: as they always stand.
    pub clusters: Option<Box<[ClusterId]>>,
    /// Their costs with today's penalties, in ms, in that order.
    pub costs_ms: Box<[f32]>,
    /// Slot by slot the rank at which the choice begins; `None`: all at the top.
    pub first: Option<Arc<Row>>,
}

/// The lists of one group as they stand today.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BentGroup {
    /// List by list; `None`: as it always stands. Empty: all of them are.
    pub lists: Vec<Option<BentList>>,
}

/// All that is bent today.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bends {
    /// Group by group of the Plan.
    pub groups: Vec<BentGroup>,
    /// Group by group, and cluster by cluster: its penalty in ms. Empty: there are none.
    pub penalties: Vec<Vec<f32>>,
    /// Cluster by cluster: what it has to do with load; empty: load is not balanced.
    pub shares: Vec<Share>,
    /// What is asked beyond all capacity, in its units.
    pub short: f64,
}

impl Bends {
    /// How a list of a group stands today; `None`: as always.
    #[inline]
    pub fn list(&self, group: u16, list: u32) -> Option<&BentList> {
        self.groups.get(usize::from(group))?.lists.get(list as usize)?.as_ref()
    }

    /// What is held against a cluster's way in a group, in ms.
    pub fn penalty_ms(&self, group: u16, cluster: ClusterId) -> f32 {
        let of_group = self.penalties.get(usize::from(group));
        of_group.and_then(|penalties| penalties.get(usize::from(cluster.0))).copied().unwrap_or(0.0)
    }
}

/// A list with penalties added; `None` where its order stays as it is.
pub fn bend(
    list: &RankedList,
    penalty_ms: impl Fn(ClusterId) -> f32,
) -> (Option<Box<[ClusterId]>>, Box<[f32]>) {
    let costs = list.clusters.iter().zip(&list.costs_ms).map(|(id, cost)| (cost + penalty_ms(*id), *id));
    let mut costs: Vec<(f32, ClusterId)> = costs.collect();
    let is_sorted = costs.is_sorted_by(|a, b| a.0 <= b.0);
    if !is_sorted {
        // Stable: what costs the same stays in its order.
        costs.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let order = (!is_sorted).then(|| costs.iter().map(|(_, id)| *id).collect());
    (order, costs.iter().map(|(cost, _)| *cost).collect())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use super::*;

    const QUALITY: QualityWeight = QualityWeight { weight: 1.0, tolerate_ms: 10.0 };

    fn list(costs: &[f32]) -> RankedList {
        let clusters = (0..costs.len() as u16).map(ClusterId).collect();
        RankedList { clusters, costs_ms: costs.into() }
    }

    #[test]
    fn a_cluster_falls_behind_those_that_are_better_today_and_no_further() {
        let near = list(&[10.0, 30.0, 60.0]);
        let order = |penalty: f32| {
            let (order, costs) = bend(&near, |id| if id.0 == 0 { penalty } else { 0.0 });
            (order.map(|order| order.iter().map(|id| id.0).collect::<Vec<_>>()), costs)
        };
        assert_eq!(order(0.0), (None, [10.0, 30.0, 60.0].into()));
        assert_eq!(order(20.0), (None, [30.0, 30.0, 60.0].into()), "what costs the same stays");
        assert_eq!(order(21.0), (Some(vec![1, 0, 2]), [30.0, 31.0, 60.0].into()));
        assert_eq!(order(200.0).0, Some(vec![1, 2, 0]));
    }

    #[test]
    fn a_penalty_is_what_a_rise_is_beyond_what_is_tolerated_times_its_weight() {
        let start = Instant::now();
        let of = |rise, quality| {
            let mut penalty = Penalty::default();
            penalty.follow(rise, quality, start);
            penalty.follow(rise, quality, start + PENALTY_HOLD);
            penalty.ms
        };
        assert_eq!(of(Some(10.0), QUALITY), 0.0);
        assert_eq!(of(Some(14.0), QUALITY), 0.0, "too little to move anybody for");
        assert_eq!(of(Some(50.0), QUALITY), 40.0);
        assert_eq!(of(Some(50.0), QualityWeight { weight: 0.5, ..QUALITY }), 20.0);
        assert_eq!(of(Some(f32::MAX), QUALITY), PENALTY_MAX_MS);
        assert_eq!(of(None, QUALITY), 0.0);
    }

    /// Second by second a rise; when the penalty became what.
    fn told(
        penalty: &mut Penalty,
        start: Instant,
        seconds: std::ops::Range<u64>,
        rise: impl Fn(u64) -> f32,
    ) -> Vec<(u64, f32)> {
        let mut changes = Vec::new();
        for second in seconds {
            let before = penalty.ms;
            penalty.follow(Some(rise(second)), QUALITY, start + Duration::from_secs(second));
            if before != penalty.ms {
                changes.push((second, penalty.ms));
            }
        }
        changes
    }

    #[test]
    fn whatever_a_way_does_its_penalty_changes_at_most_once_per_hold() {
        let rise = |second: u64| if second % 397 < 350 { 10.0 + (second / 40 % 13 * 20) as f32 } else { 0.0 };
        let changes = told(&mut Penalty::default(), Instant::now(), 0..86_400, rise);
        assert!(
            changes.windows(2).all(|pair| pair[1].0 - pair[0].0 >= PENALTY_HOLD.as_secs()),
            "{changes:?}"
        );
    }

    #[test]
    fn a_way_that_rises_and_stays_is_held_against_it_once_and_for_five_minutes_more() {
        let rise = |second| match second {
            60..300 => 40.0 + (second % 5) as f32,
            _ => 0.0,
        };
        let changes = told(&mut Penalty::default(), Instant::now(), 0..3600, rise);
        assert_eq!(changes, [(90, 30.0), (600, 0.0)]);
    }

    #[test]
    fn a_penalty_that_grows_does_so_once_per_hold() {
        let rise = |second| if second < 10 { 30.0 } else { 130.0 };
        let changes = told(&mut Penalty::default(), Instant::now(), 0..120, rise);
        assert_eq!(changes, [(30, 20.0), (61, 120.0)]);
    }

    #[test]
    fn it_falls_to_the_most_that_was_asked_for_meanwhile() {
        let rise = |second| match second {
            0..60 => 110.0,
            60..200 => 10.0,
            200..210 => 40.0,
            _ => 10.0,
        };
        let changes = told(&mut Penalty::default(), Instant::now(), 0..1200, rise);
        assert_eq!(changes, [(30, 100.0), (360, 30.0), (661, 0.0)]);
    }

    #[test]
    fn a_way_that_is_worse_whenever_clients_come_back_is_tried_ever_more_seldom() {
        // Probes take long because of clients: 30 s after they came, and never while they stay away.
        let (mut penalty, start) = (Penalty::default(), Instant::now());
        let (mut came, mut changes) = (0, Vec::new());
        for second in 0..8 * 3600u64 {
            let before = penalty.ms;
            let rise = if penalty.ms == 0.0 && second - came >= 30 { 50.0 } else { 0.0 };
            penalty.follow(Some(rise), QUALITY, start + Duration::from_secs(second));
            if before > 0.0 && penalty.ms == 0.0 {
                came = second;
            }
            if before != penalty.ms {
                changes.push(second);
            }
        }
        let away: Vec<u64> = changes.chunks_exact(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(away[..5], [301, 601, 1201, 2401, 3601], "5, 10, 20, 40 minutes, and then an hour");
        assert!(away[5..].iter().all(|seconds| *seconds == 3601), "{away:?}");
    }

    #[test]
    fn an_hour_without_a_relapse_forgives_all() {
        let rise = |second| if second % 6000 < 60 { 50.0 } else { 0.0 };
        let changes = told(&mut Penalty::default(), Instant::now(), 0..18_000, rise);
        assert_eq!(changes.chunks_exact(2).map(|pair| pair[1].0 - pair[0].0).collect::<Vec<_>>(), [330; 3]);
    }

    #[test]
    fn while_nothing_can_be_told_a_penalty_stays() {
        let (mut penalty, start) = (Penalty::default(), Instant::now());
        told(&mut penalty, start, 0..60, |_| 50.0);
        told(&mut penalty, start, 60..200, |_| 0.0);
        penalty.stay();
        assert_eq!(told(&mut penalty, start, 2000..2600, |_| 0.0), [(2300, 0.0)]);
    }
}
