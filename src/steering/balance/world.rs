//! What is known of the world at one instant: ranked lists, clusters, reports.

use std::time::Duration;

use crate::cluster::ClusterId;

/// The most ranks of a list that a table can name: a rank is one octet. Clusters behind them are not chosen here.
pub const RANKS_MAX: usize = 256;
/// The largest share of its capacity that a cluster may say it uses: more is a wrong unit, not a load.
pub const USED_MAX: f64 = 10.0;
/// A cluster of which nothing is up counts as if so much of it were: it divides by what is there.
const SHARE_MIN: f64 = 1.0 / 1024.0;

/// Everything that a step is told, beside the time.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    lists: &'a [List<'a>],
    clusters: &'a [Cluster<'a>],
}

/// A ranked list, and how much its clients weigh.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    clusters: &'a [ClusterId],
    costs_ms: &'a [f32],
    /// Ranks, the cheapest first; `None`: as they stand.
    order: Option<&'a [u8]>,
    weight: f64,
    kind: usize,
}

/// A cluster.
#[derive(Clone, Copy, Debug)]
pub struct Cluster<'a> {
    nominal: f64,
    share: f64,
    open: &'a [u64],
    report: Option<Report>,
}

/// What a cluster says of its own load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// The share of its capacity that is in use: 0.0 idle, 1.0 full; what lies outside 0..=[`USED_MAX`] is not believed.
    pub used: f64,
    /// How long ago it was measured.
    pub age: Duration,
}

impl<'a> World<'a> {
    /// `None` where a list names a cluster that is not there. A [`ClusterId`] is a place in `clusters`.
    pub fn new(lists: &'a [List<'a>], clusters: &'a [Cluster<'a>]) -> Option<World<'a>> {
        let known = |list: &List<'_>| list.clusters.iter().all(|id| usize::from(id.0) < clusters.len());
        lists.iter().all(known).then_some(World { lists, clusters })
    }

    /// The lists: a table has a row for each.
    pub fn lists(&self) -> &'a [List<'a>] {
        self.lists
    }

    /// The clusters.
    pub fn clusters(&self) -> &'a [Cluster<'a>] {
        self.clusters
    }
}

impl<'a> List<'a> {
    /// `clusters` best first, with their costs in ms, which never fall; `weight`: the share of all clients, in any unit that is the
    /// same for all lists, at least 0; `kind`: which of a cluster's pools its clients are answered from.
    ///
    /// `None` where these do not fit together.
    pub fn new(clusters: &'a [ClusterId], costs_ms: &'a [f32], weight: f64, kind: usize) -> Option<List<'a>> {
        let fits = clusters.len() == costs_ms.len()
            && costs_ms.iter().all(|cost| cost.is_finite())
            && costs_ms.is_sorted()
            && weight.is_finite()
            && weight >= 0.0;
        let ranks = clusters.len().min(RANKS_MAX);
        let (clusters, costs_ms) = (&clusters[..fits.then_some(ranks)?], &costs_ms[..ranks]);
        Some(List { clusters, costs_ms, order: None, weight, kind })
    }

    /// The same list on a day when clusters cost something else: rank by rank `costs_ms`, and by these the ranks in `order`, the cheapest
    /// first. Who is at home where does not change with it.
    ///
    /// `None` where these do not fit together.
    pub fn today(self, costs_ms: &'a [f32], order: &'a [u8]) -> Option<List<'a>> {
        let costs_ms = costs_ms.get(..self.clusters.len())?;
        let cost = |rank: &u8| costs_ms.get(usize::from(*rank));
        let fits = order.len() == costs_ms.len()
            && costs_ms.iter().all(|cost| cost.is_finite())
            && order.iter().all(|rank| cost(rank).is_some())
            && order.is_sorted_by(|a, b| cost(a) <= cost(b));
        fits.then_some(List { costs_ms, order: Some(order), ..self })
    }

    /// The clusters, those first that are best on most days.
    pub fn clusters(&self) -> &'a [ClusterId] {
        self.clusters
    }

    /// The ranks, the cheapest of today first.
    #[inline]
    pub(super) fn nearest(&self) -> impl Iterator<Item = u8> + use<'a> {
        let order = self.order;
        (0..self.clusters.len()).map(move |at| order.map_or(at as u8, |order| order[at]))
    }

    /// Whether it stands today as on most days.
    pub(super) fn is_as_always(&self) -> bool {
        self.order.is_none()
    }

    /// How much its clients weigh.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Which of a cluster's pools its clients are answered from.
    pub fn kind(&self) -> usize {
        self.kind
    }

    /// The cluster at a rank.
    pub(super) fn cluster(&self, rank: u8) -> usize {
        usize::from(self.clusters[usize::from(rank)].0)
    }

    /// What the cluster at a rank costs.
    pub(super) fn cost(&self, rank: u8) -> f64 {
        f64::from(self.costs_ms[usize::from(rank)])
    }
}

impl<'a> Cluster<'a> {
    /// `capacity`: what it can carry, in any unit that is the same for all clusters, more than 0; `open`: for each kind of pool the
    /// slots that may come (bit n: slot n), 0 where nothing is up; `report`: the latest word about its load.
    ///
    /// `None` where the capacity is no such number.
    pub fn new(capacity: f64, open: &'a [u64], report: Option<Report>) -> Option<Cluster<'a>> {
        let fits = capacity.is_finite() && capacity > 0.0;
        fits.then_some(Cluster { nominal: capacity, share: 1.0, open, report })
    }

    /// The same cluster where only a share of it is up, 0.0 to 1.0.
    pub fn in_part(self, share: f64) -> Cluster<'a> {
        Cluster { share: share.clamp(SHARE_MIN, 1.0), ..self }
    }

    /// What it can carry now.
    pub fn capacity(&self) -> f64 {
        self.nominal * self.share
    }

    /// What it can carry when all of it is up.
    pub fn nominal(&self) -> f64 {
        self.nominal
    }

    /// The slots that may come, of clients of a kind.
    #[inline]
    pub fn open(&self, kind: usize) -> u64 {
        self.open.get(kind).copied().unwrap_or(0)
    }

    /// How many kinds of pools it has.
    pub(super) fn kinds(&self) -> usize {
        self.open.len()
    }

    /// Whether anything is up.
    pub fn is_up(&self) -> bool {
        self.open.iter().any(|&open| open != 0)
    }

    /// What it says it uses, if that can be true and is no older than `age_max`.
    pub fn report(&self, age_max: Duration) -> Option<Report> {
        let believed = |report: &Report| {
            (0.0..=USED_MAX).contains(&report.used) && report.age <= age_max // NaN is in no range.
        };
        self.report.filter(believed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_true_is_not_believed() {
        let used = |used: f64, age_s: u64| {
            let report = Report { used, age: Duration::from_secs(age_s) };
            Cluster::new(1.0, &[u64::MAX], Some(report))
                .unwrap()
                .report(Duration::from_secs(30))
                .map(|report| report.used)
        };
        assert_eq!([used(0.0, 0), used(1.2, 30), used(10.0, 5)], [Some(0.0), Some(1.2), Some(10.0)]);
        for wrong in [f64::NAN, -0.1, 10.1, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(used(wrong, 0), None, "{wrong}");
        }
        assert_eq!(used(0.5, 31), None, "too old");
    }

    #[test]
    fn a_world_that_does_not_fit_together_is_none() {
        let (ids, costs) = ([ClusterId(0), ClusterId(1)], [1.0, 2.0]);
        let list = List::new(&ids, &costs, 1.0, 0).unwrap();
        let one = [Cluster::new(1.0, &[], None).unwrap()];
        assert!(World::new(&[list], &one).is_none(), "cluster 1 is not there");
        assert!(World::new(&[list], &[one[0], one[0]]).is_some());
        assert!(List::new(&ids, &costs[..1], 1.0, 0).is_none());
        assert!(List::new(&ids, &[2.0, 1.0], 1.0, 0).is_none(), "costs fall");
        assert!(List::new(&ids, &[1.0, f32::NAN], 1.0, 0).is_none());
        for weight in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(List::new(&ids, &costs, weight, 0).is_none());
        }
        for capacity in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Cluster::new(capacity, &[], None).is_none());
        }
    }
}
