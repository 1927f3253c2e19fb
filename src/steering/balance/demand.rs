//! What clients ask for, learnt from what clusters report.
//!
//! Each list has a *rate*: units of capacity per weight. A report says what a cluster carries; whom it carries is known from the
//! table, late by the time that clients take to follow. The rates of those lists are then corrected by the ratio of what was reported
//! to what was expected: the iteration of Richardson (1972) and Lucy (1974), as Vardi uses it to tell the flows of a network from the
//! counts on its links ("Network Tomography", 1996). A list that is divided over two clusters learns from both.

use std::time::Duration;

use super::life::Life;
use super::settings::{KEPT_MIN, Settings};
use super::world::World;
use crate::steering::slots::SLOTS;

/// One report is believed to be wrong by no more than this factor: what is really more takes several.
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
    /// Cluster by cluster: the time since its last report; `None`: there was none, or it is forgotten.
    silent: Vec<Option<Duration>>,
}

/// What a step knows of a cluster's load.
#[derive(Clone, Copy)]
enum Word {
    /// It reports: by this factor it carries more than was expected.
    Factor(f64),
    /// It did, not long ago: what was learnt holds.
    Silent,
    /// It does not report.
    None,
}

impl Demand {
    /// Nothing is known yet: demand is as weights say, together the assumed share of all capacity.
    pub(super) fn new(world: &World<'_>, settings: &Settings) -> Demand {
        let weight: f64 = world.lists().iter().map(|list| list.weight()).sum();
        let capacity: f64 = world.clusters().iter().map(|cluster| cluster.capacity()).sum();
        let assumed = if weight > 0.0 { settings.assumed * capacity / weight } else { 0.0 };
        Demand {
            rates: vec![assumed; world.lists().len()],
            assumed,
            silent: vec![None; world.clusters().len()],
        }
    }

    /// What one slot of a list asks for, in units of capacity.
    pub(super) fn of_slot(&self, list: usize, weight: f64) -> f64 {
        self.rates[list] * weight / f64::from(SLOTS)
    }

    /// Whether the load of a cluster is known: only then its own clients may be sent elsewhere.
    pub(super) fn knows(&self, cluster: usize) -> bool {
        self.silent[cluster].is_some()
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
        for (silent, cluster) in self.silent.iter_mut().zip(world.clusters()) {
            let longer = silent.map(|silent| silent.saturating_add(elapsed));
            let reports = cluster.used(settings.expiry).is_some();
            *silent = if reports {
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
        let word = |(cluster, expected): (usize, f64)| {
            let of = &world.clusters()[cluster];
            match of.used(settings.expiry) {
                Some(used) if expected > 0.0 => {
                    let factor = used * of.capacity() / expected;
                    let beyond_belief = own[cluster] > OWN_MAX * of.capacity();
                    Word::Factor(
                        factor.clamp(1.0 / SURPRISE_MAX, if beyond_belief { 1.0 } else { SURPRISE_MAX }),
                    )
                }
                Some(_) => Word::Silent,
                None if self.silent[cluster].is_some() => Word::Silent,
                None => Word::None,
            }
        };
        let words: Vec<Word> = expected.iter().copied().enumerate().map(word).collect();
        let mut factors = vec![0.0; rates.len()];
        whereabouts(world, lives, settings.follow, now_ms, |list, cluster, part| {
            let factor = match words[cluster] {
                Word::Factor(factor) => factor,
                Word::Silent => 1.0,
                Word::None => self.assumed / rates[list],
            };
            factors[list] += part * factor;
        });
        let heed = elapsed.as_secs_f64() / (elapsed + settings.damping).as_secs_f64().max(f64::MIN_POSITIVE);
        for (rate, factor) in self.rates.iter_mut().zip(factors) {
            *rate *= 1.0 + heed * (factor - 1.0);
            *rate = rate.clamp(self.assumed / RATE_SPAN, self.assumed * RATE_SPAN);
        }
    }
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
