//! What clients ask for, learnt from what clusters report.
//!
//! Each list has a *rate*: units of capacity per weight. A report says what a cluster carries; whom it carries is known from the
//! table, late by the time that clients take to follow. The rates of those lists are then corrected by the ratio of what was reported
//! to what was expected: the iteration of Richardson (1972) and Lucy (1974), as Vardi uses it to tell the flows of a network from the
//! counts on its links ("Network Tomography", 1996). A list that is divided over two clusters learns from both.

use std::time::Duration;

use super::life::{Life, ms};
use super::settings::{KEPT_MIN, Settings};
use super::world::{Cluster, World};
use crate::steering::slots::SLOTS;

/// What one report tells is believed up to this factor: what is really more takes several. Each is heard once.
const SURPRISE_MAX: f64 = 2.0;
/// No list asks for more than so many times what its weight lets expect, or less than that part of it.
const RATE_SPAN: f64 = 1024.0;

/// A cluster's own clients are not believed to ask for more than so many times what it can carry: what says more is a liar, or sheds all
/// that it may anyhow.
const OWN_MAX: f64 = 1.0 / KEPT_MIN;

/// What clients ask for.
#[derive(Debug, Default)]
pub(super) struct Demand {
    /// List by list: units of capacity per weight.
    rates: Vec<f64>,
    /// The rate where nothing is known.
    assumed: f64,
    /// Cluster by cluster: what is remembered of its reports.
    heard: Vec<Heard>,
}

/// What is remembered of a cluster's reports.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    /// The time since the last one; `None`: there was none, or it is forgotten.
    silent: Option<Duration>,
    /// When the last one was measured that something was learnt from, in ms since the balance began.
    measured_ms: Option<u64>,
    /// When that was learnt.
    learnt_ms: u64,
}

/// What a step knows of a cluster's load.
#[derive(Clone, Copy)]
enum Word {
    /// It reports: by this factor it carries more than was expected; and how much that is heeded.
    Factor(f64, f64),
    /// Nothing new; it did, not long ago: what was learnt holds.
    Silent,
    /// It does not report.
    None,
}

impl Demand {
    /// Nothing is known yet at `now_ms`: demand is as weights say, together the assumed share of all capacity.
    pub(super) fn new(world: &World<'_>, settings: &Settings, now_ms: u64) -> Demand {
        let assumed = assumed(world, settings);
        let heard = Heard { learnt_ms: now_ms, ..Heard::default() };
        Demand {
            rates: vec![assumed; world.lists().len()],
            assumed,
            heard: vec![heard; world.clusters().len()],
        }
    }

    /// What is known, of a world whose lists and clusters have other numbers: `list` tells which one it was and by how much more a weight of it
    /// asks for than before.
    pub(super) fn carried(
        &self,
        world: &World<'_>,
        settings: &Settings,
        list: impl Fn(usize) -> Option<(usize, f64)>,
        clusters: &[Option<usize>],
        now_ms: u64,
    ) -> Demand {
        let mut demand = Demand::new(world, settings, now_ms);
        for (number, rate) in demand.rates.iter_mut().enumerate() {
            if let Some((of, more)) = list(number) {
                *rate = self.rates[of] * more;
            }
        }
        for (heard, of) in demand.heard.iter_mut().zip(clusters) {
            *heard = of.map_or(*heard, |of| self.heard[of]);
        }
        demand
    }

    /// What one slot of a list asks for, in units of capacity.
    pub(super) fn of_slot(&self, list: usize, weight: f64) -> f64 {
        self.rates[list] * weight / f64::from(SLOTS)
    }

    /// Whether the load of a cluster is known: only then its own clients may be sent elsewhere.
    pub(super) fn knows(&self, cluster: usize) -> bool {
        self.heard[cluster].silent.is_some()
    }

    /// Learns from the reports of the `elapsed` time.
    pub(super) fn learn(
        &mut self,
        world: &World<'_>,
        lives: &[Option<Box<Life>>],
        settings: &Settings,
        now_ms: u64,
        elapsed: Duration,
    ) {
        for (heard, cluster) in self.heard.iter_mut().zip(world.clusters()) {
            let longer = heard.silent.map(|silent| silent.saturating_add(elapsed));
            let reports = cluster.report(settings.expiry).is_some();
            heard.silent = if reports {
                Some(Duration::ZERO)
            } else {
                longer.filter(|silent| *silent <= settings.memory)
            };
        }
        let rates = &self.rates;
        let mut own = vec![0.0; world.clusters().len()];
        for (list, rate) in world.lists().iter().zip(rates).filter(|(list, _)| !list.clusters().is_empty()) {
            own[list.cluster(0)] += rate * list.weight();
        }
        let mut expected = vec![0.0; world.clusters().len()];
        whereabouts(world, lives, settings.follow, now_ms, |list, cluster, part| {
            expected[cluster] += rates[list] * world.lists()[list].weight() * part;
        });
        let heed = |time: Duration| {
            time.as_secs_f64() / (time + settings.damping).as_secs_f64().max(f64::MIN_POSITIVE)
        };
        let word = |(((of, expected), own), heard): (((&Cluster<'_>, f64), f64), &mut Heard)| {
            let report = of.report(settings.expiry);
            let measured_ms = report.map(|report| now_ms.saturating_sub(ms(report.age)));
            match report {
                Some(report) if expected > 0.0 && measured_ms > heard.measured_ms => {
                    let since = Duration::from_millis(now_ms.saturating_sub(heard.learnt_ms));
                    (heard.measured_ms, heard.learnt_ms) = (measured_ms, now_ms);
                    let factor = report.used * of.capacity() / expected;
                    // Beyond belief it is not believed to be more.
                    let most = if own > OWN_MAX * of.capacity() { 1.0 } else { SURPRISE_MAX };
                    Word::Factor(factor.clamp(1.0 / SURPRISE_MAX, most), heed(since.min(settings.expiry)))
                }
                None if heard.silent.is_none() => Word::None,
                _ => Word::Silent,
            }
        };
        let told = world.clusters().iter().zip(expected).zip(own).zip(&mut self.heard);
        let words: Vec<Word> = told.map(word).collect();
        let heed = heed(elapsed);
        let mut factors = vec![0.0; rates.len()];
        whereabouts(world, lives, settings.follow, now_ms, |list, cluster, part| {
            factors[list] += part
                * match words[cluster] {
                    Word::Factor(factor, heed) => heed * (factor - 1.0),
                    Word::Silent => 0.0,
                    Word::None => heed * (self.assumed / rates[list] - 1.0),
                };
        });
        for (rate, factor) in self.rates.iter_mut().zip(factors) {
            *rate *= 1.0 + factor;
            *rate = rate.clamp(self.assumed / RATE_SPAN, self.assumed * RATE_SPAN);
        }
    }
}

/// The rate where nothing is known: all lists together ask for the assumed share of what the clusters carry that are on any of them, whatever is up
/// of these. So it is the same whenever the balance begins.
fn assumed(world: &World<'_>, settings: &Settings) -> f64 {
    let mut is_used = vec![false; world.clusters().len()];
    let ids = world.lists().iter().flat_map(|list| list.clusters());
    ids.for_each(|id| is_used[usize::from(id.0)] = true);
    let used = world.clusters().iter().zip(is_used).filter(|(_, is_used)| *is_used);
    let capacity: f64 = used.map(|(cluster, _)| cluster.nominal()).sum();
    let weight: f64 = world.lists().iter().map(|list| list.weight()).sum();
    if weight > 0.0 { settings.assumed * capacity / weight } else { 0.0 }
}

/// Tells which part of a list's clients is at which cluster, for all lists whose clients weigh anything.
fn whereabouts(
    world: &World<'_>,
    lives: &[Option<Box<Life>>],
    follow: Duration,
    now_ms: u64,
    mut tell: impl FnMut(usize, usize, f64),
) {
    for (number, (list, life)) in world.lists().iter().zip(lives).enumerate() {
        if list.clusters().is_empty() || list.weight() == 0.0 {
            continue;
        }
        match life {
            None => tell(number, list.cluster(0), 1.0),
            Some(life) => life.whereabouts(now_ms, follow, |rank, slots| {
                tell(number, list.cluster(rank), slots / f64::from(SLOTS));
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterId;
    use crate::steering::balance::world::{List, Report};

    const IDS: [ClusterId; 2] = [ClusterId(0), ClusterId(1)];

    /// One list of weight 1, at home at the first of these clusters.
    fn world<T>(clusters: &[Cluster<'_>], to: impl FnOnce(&World<'_>) -> T) -> T {
        let lists = [List::new(&IDS, &[1.0, 2.0], 1.0, 0).unwrap()];
        to(&World::new(&lists, clusters).unwrap())
    }

    fn cluster(share: f64, report: Option<Report>) -> Cluster<'static> {
        Cluster::new(50.0, &[u64::MAX], report).unwrap().in_part(share)
    }

    #[test]
    fn what_is_assumed_does_not_rest_on_what_is_up_nor_on_clusters_of_nobody() {
        let new =
            |clusters: &[Cluster<'_>]| world(clusters, |world| Demand::new(world, &Settings::default(), 0));
        let unused = Cluster::new(1e6, &[], None).unwrap();
        let assumed = [new(&[cluster(1.0, None); 2]), new(&[cluster(0.5, None), cluster(0.0, None), unused])];
        assert_eq!(assumed.map(|demand| demand.rates), [[60.0], [60.0]]);
    }

    #[test]
    fn a_report_is_heard_once_and_less_sooner_after_the_last() {
        let settings = Settings::default();
        let mut demand = world(&[cluster(1.0, None); 2], |world| Demand::new(world, &settings, 0));
        let mut at = |s: u64, age_s: u64| {
            let report = Report { used: 9.0, age: Duration::from_secs(age_s) };
            world(&[cluster(1.0, Some(report)), cluster(1.0, None)], |world| {
                demand.learn(world, &[None], &settings, s * 1000, Duration::from_secs(1));
            });
            demand.rates[0]
        };
        // It says that it is nine times full: twice of what was expected is believed, by 15 / (15 + 30).
        let first = at(15, 0);
        assert!((first - 60.0 * (1.0 + 1.0 / 3.0)).abs() < 1e-9, "{first}");
        assert_eq!((at(16, 1), at(40, 25)), (first, first), "the same word");
        assert!(at(45, 0) > first);
    }
}
