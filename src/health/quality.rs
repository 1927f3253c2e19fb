//! Quality: how much worse the ways to clusters are than they use to be.
//!
//! ```text
//! a target    the median of its last probes, and the share of them that were lost  -> what it costs now, in ms
//! a cluster   the median over its targets, second by second                        -> its baseline: the median of a day
//!             now - baseline = its rise; less the median rise of all clusters: that is our own network's
//! ```
//!
//! The formulas and their sources: docs/steering.md, "Quality".

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::note::Note;
use super::rounds::Observation;
use super::target::{Aim, TargetKey};
use super::verdict::Outcome;

/// The probes whose times count.
const TIMES: usize = 15;
/// Fewer tell nothing.
const TIMES_MIN: usize = 5;
/// The probes whose loss counts: one bit each.
const LOSSES: u32 = 64;
/// Fewer tell nothing of loss.
const LOSSES_MIN: u32 = 20;
/// What a lost packet costs those who wait for it: the first retransmission timeout (RFC 6298 §2.1).
const RETRANSMISSION_MS: f64 = 1000.0;
/// A probe that took so long, and twice its usual time, lost a packet on the way.
const LOST_MS: f32 = 200.0;
/// Above this a way is hardly one.
const LOSS_MAX: f64 = 0.9;
/// A baseline is made of medians of so long …
const BUCKET: Duration = Duration::from_secs(300);
/// … and of so many: a day.
const BUCKETS: usize = 288;
/// Where fewer clusters are measured, nobody can tell our own network's rise from theirs.
const CLUSTERS_MIN: usize = 3;
/// A load that was told longer ago is forgotten.
pub const LOAD_AGE_MAX: Duration = Duration::from_secs(600);

/// All that probes tell of ways and of load.
#[derive(Debug, Default)]
pub struct Quality {
    targets: HashMap<TargetKey, Way>,
    clusters: HashMap<Arc<str>, Baseline>,
    /// What nodes said of their load by themselves, by cluster and node.
    pushed: HashMap<(Arc<str>, Arc<str>), (f64, Instant)>,
}

/// What is known of the way to a target.
#[derive(Clone, Debug, Default)]
struct Way {
    /// The times of the last probes that succeeded, in ms.
    times: VecDeque<f32>,
    /// Of the last probes, the newest lowest: whether one was lost.
    lost: u64,
    probes: u32,
    /// How busy it said it is, and when.
    load: Option<(f64, Instant)>,
}

/// What a cluster's way usually costs.
#[derive(Clone, Debug, Default)]
struct Baseline {
    /// Medians of a bucket each, the oldest first.
    buckets: VecDeque<f32>,
    /// What was measured since the last bucket was full.
    fresh: Vec<f32>,
    begun: Option<Instant>,
}

/// What the way to a cluster costs now, and usually.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measure {
    /// The median time of probes, in ms.
    pub time_ms: f32,
    /// The share of probes that lost a packet.
    pub loss: f32,
    /// Both together: time, and what loss costs.
    pub now_ms: f32,
    /// What that usually is.
    pub usual_ms: f32,
    /// What all clusters together have risen: our own network's fault.
    pub common_ms: f32,
    /// By how much it is more than usual, less what is common.
    pub rise_ms: f32,
}

/// What a node said of its load.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Its cluster.
    pub cluster: Arc<str>,
    /// Its key there.
    pub node: Arc<str>,
    /// The used share of what it can carry.
    pub used: f64,
    /// When it said so.
    pub at: Instant,
}

impl Quality {
    /// A probe told something.
    pub fn observe(&mut self, observation: &Observation) {
        match observation.seen.outcome {
            Outcome::Succeeded(took) => self.way(&observation.aim).succeeded(took),
            Outcome::Failed(_) => self.way(&observation.aim).failed(),
            Outcome::Late | Outcome::Local(_) => {}
        }
    }

    /// A probe learned something.
    pub fn note(&mut self, aim: &Aim, note: &Note, now: Instant) {
        if let Note::Load { used } = note {
            self.way(aim).load = Some((*used, now));
        }
    }

    /// A node said by itself how busy it is. It must be one of those that [`Quality::keep`] was told of, or nobody forgets it.
    pub fn push(&mut self, cluster: Arc<str>, node: Arc<str>, used: f64, now: Instant) {
        self.pushed.insert((cluster, node), (used, now));
    }

    /// Keeps what is known of these targets, and forgets the others.
    pub fn keep<'t>(&mut self, targets: impl Iterator<Item = &'t TargetKey>) {
        let mut old = std::mem::take(&mut self.targets);
        let mut clusters = std::mem::take(&mut self.clusters);
        let mut pushed = std::mem::take(&mut self.pushed);
        for key in targets {
            if let Some((node, load)) = pushed.remove_entry(&(key.cluster.clone(), key.node.clone())) {
                self.pushed.insert(node, load);
            }
            if let Some(baseline) = clusters.remove(&key.cluster) {
                self.clusters.insert(key.cluster.clone(), baseline);
            }
            if let Some(way) = old.remove(key) {
                self.targets.insert(key.clone(), way);
            }
        }
    }

    /// What the ways to these clusters cost now; once a second, since baselines are made of it. `None`: too little is known.
    ///
    /// Whoever is down gets nobody, and says nothing of the way of those that stand beside it.
    pub fn measure(
        &mut self,
        clusters: &[Arc<str>],
        is_down: impl Fn(&TargetKey) -> bool,
        now: Instant,
    ) -> Vec<Option<Measure>> {
        let mut ways: HashMap<&Arc<str>, Vec<(f32, f64)>> = HashMap::new();
        for (key, way) in &mut self.targets {
            if is_down(key) {
                way.forget();
            } else if let Some(known) = way.known() {
                ways.entry(&key.cluster).or_default().push(known);
            }
        }
        let mut measures: Vec<Option<Measure>> = Vec::new();
        for cluster in clusters {
            let measure = ways.get_mut(cluster).map(|ways| {
                let time_ms = median(&mut ways.iter().map(|(time, _)| *time).collect::<Vec<_>>());
                let loss = ways.iter().map(|(_, loss)| loss).sum::<f64>() / ways.len() as f64;
                let now_ms = time_ms + loss_ms(loss) as f32;
                let usual_ms = self.clusters.entry(cluster.clone()).or_default().usual(now_ms, now);
                let rise_ms = now_ms - usual_ms;
                Measure { time_ms, loss: loss as f32, now_ms, usual_ms, common_ms: 0.0, rise_ms }
            });
            measures.push(measure);
        }
        let mut rises: Vec<f32> = measures.iter().flatten().map(|measure| measure.rise_ms).collect();
        if rises.len() >= CLUSTERS_MIN {
            let common_ms = median(&mut rises).max(0.0);
            for measure in measures.iter_mut().flatten() {
                measure.common_ms = common_ms;
                measure.rise_ms -= common_ms;
            }
        }
        measures
    }

    /// What targets said of their load and what has not grown too old.
    pub fn loads(&self, now: Instant) -> Vec<Load> {
        let pulled = self.targets.iter().filter_map(|(key, way)| Some((&key.cluster, &key.node, way.load?)));
        let pushed = self.pushed.iter().map(|((cluster, node), load)| (cluster, node, *load));
        let fresh = |at: Instant| now.saturating_duration_since(at) <= LOAD_AGE_MAX;
        pulled
            .chain(pushed)
            .filter(|(_, _, (_, at))| fresh(*at))
            .map(|(cluster, node, (used, at))| Load {
                cluster: cluster.clone(),
                node: node.clone(),
                used,
                at,
            })
            .collect()
    }

    fn way(&mut self, aim: &Aim) -> &mut Way {
        self.targets.entry(aim.key.clone()).or_default()
    }
}

impl Way {
    fn succeeded(&mut self, took: Duration) {
        let ms = took.as_secs_f32() * 1000.0;
        let usual = self.time();
        self.probed(ms >= LOST_MS && usual.is_some_and(|usual| ms >= 2.0 * usual));
        if self.times.len() == TIMES {
            self.times.pop_front();
        }
        self.times.push_back(ms);
    }

    fn failed(&mut self) {
        self.probed(true);
    }

    /// When it is back, it is measured anew.
    fn forget(&mut self) {
        self.times.clear();
        (self.lost, self.probes) = (0, 0);
    }

    fn probed(&mut self, lost: bool) {
        self.lost = self.lost << 1 | u64::from(lost);
        self.probes = (self.probes + 1).min(LOSSES);
    }

    fn time(&self) -> Option<f32> {
        (self.times.len() >= TIMES_MIN).then(|| median(&mut self.times.iter().copied().collect::<Vec<_>>()))
    }

    /// The median time, and the share that was lost.
    fn known(&self) -> Option<(f32, f64)> {
        let time = self.time()?;
        let loss = if self.probes < LOSSES_MIN {
            0.0
        } else {
            f64::from(self.lost.count_ones()) / f64::from(self.probes)
        };
        Some((time, loss))
    }
}

impl Baseline {
    /// What it usually is, now that it is `now_ms`.
    fn usual(&mut self, now_ms: f32, now: Instant) -> f32 {
        let begun = *self.begun.get_or_insert(now);
        self.fresh.push(now_ms);
        if now.saturating_duration_since(begun) >= BUCKET || self.fresh.len() >= 2 * BUCKET.as_secs() as usize
        {
            if self.buckets.len() == BUCKETS {
                self.buckets.pop_front();
            }
            self.buckets.push_back(median(&mut self.fresh));
            self.fresh.clear();
            self.begun = Some(now);
        }
        match self.buckets.is_empty() {
            // The first minutes are their own measure.
            true => median(&mut self.fresh.clone()),
            false => median(&mut self.buckets.iter().copied().collect::<Vec<_>>()),
        }
    }
}

/// What a loss costs, in ms: how long retransmissions take on average, each of which may be lost, too.
fn loss_ms(loss: f64) -> f64 {
    let loss = loss.clamp(0.0, LOSS_MAX);
    RETRANSMISSION_MS * loss / (1.0 - loss)
}

/// The middle one; of none, 0. Of two middle ones the lower: one bad value of two must not count.
fn median(values: &mut [f32]) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use super::*;
    use crate::health::check::{Check, HoldDown, Kind};
    use crate::health::verdict::{Cause, Seen};

    /// Clusters, each of two targets, probed once a second.
    struct Bench {
        quality: Quality,
        keys: Vec<Arc<str>>,
        /// Nodes that are down.
        down: Vec<Arc<str>>,
        now: Instant,
    }

    impl Bench {
        fn new(keys: &[&str]) -> Bench {
            let keys = keys.iter().map(|key| Arc::from(*key)).collect();
            Bench { quality: Quality::default(), keys, down: Vec::new(), now: Instant::now() }
        }

        /// So many seconds; each cluster's probes take so long, or are lost where `None`.
        fn pass(&mut self, seconds: u32, took_ms: &[Option<u64>]) -> Vec<Option<Measure>> {
            let mut last = Vec::new();
            for _ in 0..seconds {
                self.now += Duration::from_secs(1);
                for (cluster, took) in self.keys.clone().into_iter().zip(took_ms) {
                    for node in ["a", "b"] {
                        let outcome = match took {
                            Some(ms) => Outcome::Succeeded(Duration::from_millis(*ms)),
                            None => Outcome::Failed(Cause { layer: "connect", what: "timed out".into() }),
                        };
                        self.observe(cluster.clone(), node, outcome);
                    }
                }
                last = self.quality.measure(&self.keys, |key| self.down.contains(&key.node), self.now);
            }
            last
        }

        fn observe(&mut self, cluster: Arc<str>, node: &str, outcome: Outcome) {
            let seen = Seen { outcome, started: self.now, at: self.now, decided_by: self.now };
            self.quality.observe(&Observation { aim: aim(cluster, node), seen });
        }
    }

    fn aim(cluster: Arc<str>, node: &str) -> Arc<Aim> {
        let second = Duration::from_secs(1);
        let (kind, hold_down) = (Kind::Tcp, HoldDown::default());
        let check = Check {
            key: "c".into(),
            kind,
            port: 1,
            interval: second,
            timeout: second,
            fall: 3,
            rise: 3,
            hold_down,
        };
        let address = "192.0.2.1".parse().unwrap();
        let key = TargetKey { cluster, node: node.into(), address, check: check.key.clone() };
        Arc::new(Aim { key, probe: "192.0.2.1:1".parse().unwrap(), check: Arc::new(check) })
    }

    fn rises(measures: &[Option<Measure>]) -> Vec<i32> {
        measures.iter().map(|measure| measure.unwrap().rise_ms.round() as i32).collect()
    }

    #[test]
    fn only_the_rise_over_the_usual_counts() {
        let mut bench = Bench::new(&["near", "far", "farther", "farthest"]);
        let usual = [Some(5), Some(150), Some(200), Some(250)];
        assert_eq!(rises(&bench.pass(600, &usual)), [0, 0, 0, 0]);
        let measures = bench.pass(20, &[Some(5), Some(190), Some(200), Some(250)]);
        assert_eq!(rises(&measures), [0, 40, 0, 0]);
        assert_eq!(measures[1].unwrap().usual_ms, 150.0);
        assert_eq!(rises(&bench.pass(20, &usual)), [0, 0, 0, 0]);
    }

    #[test]
    fn what_all_ways_rise_by_is_our_own_networks() {
        let mut bench = Bench::new(&["a", "b", "c"]);
        bench.pass(600, &[Some(10), Some(100), Some(200)]);
        assert_eq!(rises(&bench.pass(20, &[Some(40), Some(130), Some(290)])), [0, 0, 60]);
    }

    #[test]
    fn of_two_clusters_nobody_knows_whose_rise_it_is() {
        let mut bench = Bench::new(&["a", "b"]);
        bench.pass(600, &[Some(10), Some(100)]);
        assert_eq!(rises(&bench.pass(20, &[Some(40), Some(130)])), [30, 30]);
    }

    #[test]
    fn a_lost_packet_costs_its_retransmission() {
        let mut bench = Bench::new(&["a", "b", "c"]);
        bench.pass(600, &[Some(10), Some(10), Some(10)]);
        // One in twenty takes a second more.
        for _ in 0..5 {
            bench.pass(1, &[Some(1010), Some(10), Some(10)]);
            bench.pass(19, &[Some(10), Some(10), Some(10)]);
        }
        let measure = bench.pass(1, &[Some(10), Some(10), Some(10)])[0].unwrap();
        assert_eq!(measure.time_ms, 10.0, "the median does not see it");
        assert!((0.04..0.07).contains(&measure.loss), "{measure:?}");
        assert!((40.0..75.0).contains(&measure.rise_ms), "{measure:?}");
    }

    #[test]
    fn a_dead_node_says_nothing_of_the_way_to_those_beside_it() {
        let mut bench = Bench::new(&["a", "b", "c"]);
        let usual = [Some(10), Some(20), Some(30)];
        bench.pass(600, &usual);
        // Node `b` of the first cluster dies: until that is decided, three probes are lost …
        let die = |bench: &mut Bench| {
            bench.pass(1, &usual);
            let lost = Outcome::Failed(Cause { layer: "connect", what: "timed out".into() });
            bench.observe(bench.keys[0].clone(), "b", lost);
        };
        (0..3).for_each(|_| die(&mut bench));
        bench.down = vec!["b".into()];
        for _ in 0..100 {
            die(&mut bench);
        }
        let measures = bench.pass(1, &usual);
        assert_eq!((rises(&measures), measures[0].unwrap().loss), (vec![0, 0, 0], 0.0));
        // … and when it is back, what it lost while it was dead is forgotten.
        bench.down.clear();
        let measures = bench.pass(30, &usual);
        assert_eq!((rises(&measures), measures[0].unwrap().loss), (vec![0, 0, 0], 0.0));
        // Where all are down, nothing is known.
        bench.down = vec!["a".into(), "b".into()];
        assert_eq!(bench.pass(1, &usual), [None, None, None]);
    }

    #[test]
    fn a_day_later_the_new_way_is_the_usual_one() {
        let mut bench = Bench::new(&["a", "b", "c"]);
        bench.pass(600, &[Some(10), Some(10), Some(10)]);
        let hour = |bench: &mut Bench| {
            let measures = bench.pass(3600, &[Some(50), Some(10), Some(10)]);
            measures[0].unwrap().rise_ms
        };
        assert_eq!(hour(&mut bench), 0.0, "an hour outweighs ten minutes");
        let mut bench = Bench::new(&["a", "b", "c"]);
        bench.pass(6 * 3600, &[Some(10), Some(10), Some(10)]);
        assert_eq!(hour(&mut bench), 40.0);
    }

    #[test]
    fn before_enough_is_known_nothing_is_said() {
        let mut bench = Bench::new(&["a", "b"]);
        assert_eq!(bench.pass(4, &[Some(10), None]), [None, None]);
        assert!(bench.pass(1, &[Some(10), None])[0].is_some());
    }

    #[test]
    fn what_is_gone_is_forgotten_and_what_stays_is_kept() {
        let mut bench = Bench::new(&["a", "b"]);
        bench.pass(600, &[Some(10), Some(20)]);
        let stays = aim("a".into(), "a");
        bench.quality.keep([&stays.key].into_iter());
        assert_eq!((bench.quality.targets.len(), bench.quality.clusters.len()), (1, 1));
        bench.quality.note(&stays, &Note::Load { used: 0.4 }, bench.now);
        let loads = bench.quality.loads(bench.now + LOAD_AGE_MAX);
        assert_eq!(loads.iter().map(|load| load.used).collect::<Vec<_>>(), [0.4]);
        assert_eq!(bench.quality.loads(bench.now + LOAD_AGE_MAX + Duration::from_secs(1)), []);
    }
}
