//! Quality: how much worse the ways to clusters are than they use to be.
//!
//! ```text
//! a target              the median of its last probes - the median of a day    -> how much slower its way is than usual
//! a cluster and family  the median over its targets, and what is lost beyond the usual  -> its rise
//!                       less the median rise of all clusters in that family: that is our own network's
//! ```
//!
//! The formulas and their sources: docs/steering.md, "Quality".

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::baseline::{Baseline, DAY_S, UsualWay, median};
use super::note::Note;
use super::rounds::Observation;
use super::target::{Aim, TargetKey};
use super::verdict::Verdict;
use super::way::{Recent, Way};
use crate::cluster::Family;

/// What a lost packet costs those who wait for it, in ms: the first retransmission timeout (RFC 6298 §2.1).
const RETRANSMISSION_MS: f64 = 1000.0;
/// Above this a way is hardly one.
const LOSS_MAX: f64 = 0.9;
/// Fewer lost probes tell nothing of loss: one or two are an accident.
const LOST_MIN: u32 = 3;
/// How many standard deviations are no accident, where it is asked once a second, day and night: three, as on Shewhart's charts.
const SIGMAS: f64 = 3.0;
/// Where fewer clusters are measured, nobody can tell our own network's rise from theirs.
const CLUSTERS_MIN: usize = 3;
/// A load that was told longer ago is forgotten.
pub const LOAD_AGE_MAX: Duration = Duration::from_secs(600);

/// All that probes tell of ways and of load.
#[derive(Debug)]
pub struct Quality {
    began: Instant,
    targets: HashMap<TargetKey, Probed>,
    /// What nodes said of their load by themselves, by cluster and node.
    pushed: HashMap<(Arc<str>, Arc<str>), (f64, Instant)>,
}

/// What is known of a target.
#[derive(Debug)]
struct Probed {
    aim: Arc<Aim>,
    way: Way,
    /// How busy it said it is, and when.
    load: Option<(f64, Instant)>,
}

/// The ways to a cluster, by [`Family`]; `None`: too little is known.
pub type Ways = [Option<Measure>; 2];

/// What the way to a cluster costs now, and usually.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Measure {
    /// The median time of probes, in ms: of the target that stands in the middle of the cluster's by how much slower it is than usual.
    pub time_ms: f32,
    /// What that target's usually is.
    pub usual_ms: f32,
    /// The cluster's probes of late, whose loss counts.
    pub probes: u32,
    /// Those of them that lost a packet.
    pub lost: u32,
    /// Their share.
    pub loss: f32,
    /// What that usually is.
    pub usual_loss: f32,
    /// By how much the share that is lost rose of all clusters together: our own network's fault.
    pub common_loss: f32,
    /// What is certainly lost beyond what is usual and what is common costs, in ms.
    pub loss_ms: f32,
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

/// What is usual of a target, as it outlives the program.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptUsual {
    /// Which target.
    pub key: TargetKey,
    /// Where it was probed.
    pub probe: SocketAddr,
    /// The word for what was probed.
    pub kind: String,
    /// What was usual.
    pub usual: UsualWay,
    /// Of how many medians of five minutes that was made.
    pub buckets: usize,
    /// How long ago the last of them began.
    pub age: Duration,
}

impl Quality {
    /// Nothing known yet.
    pub fn new(now: Instant) -> Quality {
        Quality { began: now, targets: HashMap::new(), pushed: HashMap::new() }
    }

    /// A probe told something.
    pub fn observe(&mut self, observation: &Observation) {
        let (aim, seen) = (&observation.aim, &observation.seen);
        if !aim.check.kind.measures_way() {
            return;
        }
        let at_s = self.second(seen.at);
        self.probed(aim).way.observe(seen, aim.check.timeout, at_s);
    }

    /// A probe learned something.
    pub fn note(&mut self, aim: &Arc<Aim>, note: &Note, now: Instant) {
        if let Note::Load { used } = note {
            self.probed(aim).load = Some((*used, now));
        }
    }

    /// A node said by itself how busy it is. It must be one of those that [`Quality::keep`] was told of, or nobody forgets it.
    pub fn push(&mut self, cluster: Arc<str>, node: Arc<str>, used: f64, now: Instant) {
        self.pushed.insert((cluster, node), (used, now));
    }

    /// Keeps what is known of these targets, and forgets the others, and those that are probed otherwise now.
    pub fn keep<'t>(&mut self, aims: impl Iterator<Item = &'t Arc<Aim>>) {
        let mut old = std::mem::take(&mut self.targets);
        let mut pushed = std::mem::take(&mut self.pushed);
        for aim in aims {
            let key = &aim.key;
            if let Some((node, load)) = pushed.remove_entry(&(key.cluster.clone(), key.node.clone())) {
                self.pushed.insert(node, load);
            }
            if let Some(probed) = old.remove(key).filter(|probed| probed.aim.same(aim)) {
                self.targets.insert(key.clone(), Probed { aim: aim.clone(), ..probed });
            }
        }
    }

    /// What is known of the ways to all targets that are up: to be made out by [`measure`], which takes longer.
    ///
    /// Whoever is in doubt says nothing for now, and whoever is down is measured anew when it is back.
    pub fn recent(
        &mut self,
        verdict: impl Fn(&TargetKey) -> Verdict,
        now: Instant,
    ) -> Vec<(Arc<Aim>, Recent)> {
        let now_s = self.second(now);
        let recent = self.targets.iter_mut().filter_map(|(key, probed)| match verdict(key) {
            Verdict::Up => Some((probed.aim.clone(), probed.way.recent(now_s)?)),
            Verdict::Suspect { .. } | Verdict::Unknown => None,
            Verdict::Down => {
                probed.way.forget();
                None
            }
        });
        recent.collect()
    }

    /// Forgets what was of late: it was our own network's. What is usual stays.
    pub fn forget_recent(&mut self) {
        self.targets.values_mut().for_each(|probed| probed.way.forget());
    }

    /// What targets said of their load and what has not grown too old.
    pub fn loads(&self, now: Instant) -> Vec<Load> {
        let pulled =
            self.targets.iter().filter_map(|(key, probed)| Some((&key.cluster, &key.node, probed.load?)));
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

    /// What is usual, to be kept.
    pub fn kept(&self, now: Instant) -> Vec<KeptUsual> {
        let now_s = self.second(now);
        let kept = self.targets.iter().filter_map(|(key, probed)| {
            let (buckets, last_s) = probed.way.baseline.made_of()?;
            Some(KeptUsual {
                key: key.clone(),
                probe: probed.aim.probe,
                kind: probed.aim.check.kind.word().to_owned(),
                usual: probed.way.baseline.usual(),
                buckets,
                age: Duration::from_secs(u64::try_from(now_s - last_s).unwrap_or_default()),
            })
        });
        kept.collect()
    }

    /// Takes what was usual in an earlier life, where it is not older than a day, of these targets.
    pub fn restore<'t>(
        &mut self,
        kept: &[KeptUsual],
        aims: impl Iterator<Item = &'t Arc<Aim>>,
        now: Instant,
    ) {
        let kept: HashMap<&TargetKey, &KeptUsual> = kept.iter().map(|kept| (&kept.key, kept)).collect();
        let now_s = self.second(now);
        for aim in aims {
            let Some(old) = kept.get(&aim.key) else { continue };
            let age_s = i32::try_from(old.age.as_secs()).unwrap_or(i32::MAX);
            if age_s <= DAY_S && aim.probe == old.probe && aim.check.kind.word() == old.kind {
                self.probed(aim).way.baseline = Baseline::restored(old.usual, old.buckets, now_s - age_s);
            }
        }
    }

    fn probed(&mut self, aim: &Arc<Aim>) -> &mut Probed {
        let probed = self.targets.entry(aim.key.clone()).or_insert_with(|| Probed::new(aim));
        if !Arc::ptr_eq(&probed.aim, aim) && !probed.aim.same(aim) {
            *probed = Probed::new(aim);
        }
        probed
    }

    fn second(&self, at: Instant) -> i32 {
        i32::try_from(at.saturating_duration_since(self.began).as_secs()).unwrap_or(i32::MAX)
    }
}

impl Probed {
    fn new(aim: &Arc<Aim>) -> Probed {
        Probed { aim: aim.clone(), way: Way::default(), load: None }
    }
}

/// What the ways to these clusters cost, in each family.
pub fn measure(recent: &[(Arc<Aim>, Recent)], clusters: &[Arc<str>]) -> Vec<Ways> {
    let places: HashMap<&str, usize> = clusters.iter().map(|key| &**key).zip(0..).collect();
    let mut targets: Vec<[Vec<&Recent>; 2]> = clusters.iter().map(|_| Default::default()).collect();
    for (aim, recent) in recent {
        if let Some(at) = places.get(&*aim.key.cluster) {
            targets[*at][Family::of(aim.key.address) as usize].push(recent);
        }
    }
    let mut ways: Vec<Ways> = targets.iter().map(|of| [Measure::of(&of[0]), Measure::of(&of[1])]).collect();
    for family in Family::ALL {
        let mut measures: Vec<&mut Measure> =
            ways.iter_mut().filter_map(|ways| ways[family as usize].as_mut()).collect();
        let common = |of: fn(&Measure) -> f32| match measures.len() >= CLUSTERS_MIN {
            true => median(&mut measures.iter().map(|measure| of(measure)).collect::<Vec<_>>()).max(0.0),
            false => 0.0,
        };
        let common_ms = common(|measure| measure.time_ms - measure.usual_ms);
        let common_loss = common(|measure| measure.loss - measure.usual_loss);
        let probes = measures.iter().map(|measure| measure.probes).sum();
        for measure in &mut measures {
            measure.less(common_ms, common_loss, probes);
        }
    }
    ways
}

impl Measure {
    /// That of a cluster's targets of one family, by themselves.
    fn of(targets: &[&Recent]) -> Option<Measure> {
        let mut times: Vec<(f32, f32)> =
            targets.iter().map(|target| (target.time_ms(), target.usual.ms)).collect();
        times.sort_unstable_by(|one, other| (one.0 - one.1).total_cmp(&(other.0 - other.1)));
        let (time_ms, usual_ms) = *times.get(times.len().checked_sub(1)? / 2)?;
        let probes: u32 = targets.iter().map(|target| target.probes).sum();
        let lost: u32 = targets.iter().map(|target| target.lost).sum();
        let usually: f64 =
            targets.iter().map(|target| f64::from(target.probes) * f64::from(target.usual.loss)).sum();
        let of_all = f64::from(probes.max(1));
        let usual_loss = usually / of_all;
        Some(Measure {
            time_ms,
            usual_ms,
            probes,
            lost,
            loss: (f64::from(lost) / of_all) as f32,
            usual_loss: usual_loss as f32,
            ..Measure::default()
        })
    }

    /// Takes off what all clusters have in common; what is left is its own. So many probes told what is common.
    ///
    /// Of loss, the lower bound of Newcombe's interval for a difference (method 10 of *Interval Estimation for the Difference between
    /// Independent Proportions*, 1998) is left.
    fn less(&mut self, common_ms: f32, common_loss: f32, probes: u32) {
        let (loss, common) = (f64::from(self.loss), f64::from(common_loss));
        let (least, _) = score(loss, self.probes, SIGMAS);
        let most = if common > 0.0 { score(common, probes, SIGMAS).1 } else { 0.0 };
        let expected = f64::from(self.usual_loss) + common;
        let beyond = loss - expected - (loss - least).hypot(most - common);
        self.loss_ms = match self.lost >= LOST_MIN && beyond > 0.0 {
            true => (loss_ms(expected + beyond) - loss_ms(expected)) as f32,
            false => 0.0,
        };
        (self.common_ms, self.common_loss) = (common_ms, common_loss);
        self.rise_ms = self.time_ms - self.usual_ms + self.loss_ms - common_ms;
    }
}

/// The least and the most that a share can be of which so many probes told: Wilson's score interval (*Probable Inference, the Law of
/// Succession, and Statistical Inference*, 1927).
fn score(share: f64, probes: u32, sigmas: f64) -> (f64, f64) {
    let (n, z2) = (f64::from(probes.max(1)), sigmas * sigmas);
    let (middle, of) = (share + z2 / (2.0 * n), 1.0 + z2 / n);
    let around = sigmas * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    (((middle - around) / of).max(0.0), ((middle + around) / of).min(1.0))
}

/// What a loss costs, in ms: how long retransmissions take on average, each of which may be lost, too.
fn loss_ms(loss: f64) -> f64 {
    let loss = loss.clamp(0.0, LOSS_MAX);
    RETRANSMISSION_MS * loss / (1.0 - loss)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use super::*;
    use crate::health::check::{Check, HoldDown, Kind};
    use crate::health::verdict::{Outcome, Seen};

    /// Targets, each probed once a second.
    struct Bench {
        quality: Quality,
        clusters: Vec<Arc<str>>,
        aims: Vec<Arc<Aim>>,
        /// What is held of nodes that are not up.
        ill: HashMap<Arc<str>, Verdict>,
        now: Instant,
    }

    impl Bench {
        /// Targets as `cluster/node/address`.
        fn new(targets: &[&str]) -> Bench {
            let mut clusters: Vec<Arc<str>> =
                targets.iter().map(|target| target.split('/').next().unwrap().into()).collect();
            clusters.dedup();
            let now = Instant::now();
            let aims = targets.iter().map(|target| aim(target, Kind::Tcp)).collect();
            Bench { quality: Quality::new(now), clusters, aims, ill: HashMap::new(), now }
        }

        /// So many seconds; the targets' probes take so long, or there are none where `None`.
        fn pass(&mut self, seconds: u32, took_ms: &[Option<u64>]) -> Vec<Ways> {
            for _ in 0..seconds {
                self.now += Duration::from_secs(1);
                for (at, took) in took_ms.iter().enumerate() {
                    if let Some(ms) = took {
                        self.told(at, Outcome::Succeeded(Duration::from_millis(*ms)));
                    }
                }
            }
            self.ways()
        }

        fn told(&mut self, target: usize, outcome: Outcome) {
            let seen = Seen { outcome, started: self.now, at: self.now, decided_by: self.now };
            self.quality.observe(&Observation { aim: self.aims[target].clone(), seen });
        }

        fn ways(&mut self) -> Vec<Ways> {
            let ill = &self.ill;
            let verdict = |key: &TargetKey| ill.get(&key.node).copied().unwrap_or(Verdict::Up);
            measure(&self.quality.recent(verdict, self.now), &self.clusters)
        }

        /// Of so many probes of a target the first so many are late, and overtaken.
        fn lossy(&mut self, target: usize, probes: u32, lost: u32) -> Measure {
            for probe in 0..probes {
                self.now += Duration::from_secs(1);
                if probe < lost {
                    self.told(target, Outcome::Late);
                    self.now += Duration::from_millis(200);
                }
                self.told(target, Outcome::Succeeded(Duration::from_millis(10)));
            }
            self.ways()[0][0].unwrap()
        }
    }

    fn aim(target: &str, kind: Kind) -> Arc<Aim> {
        let mut words = target.split('/');
        let (cluster, node) = (words.next().unwrap().into(), words.next().unwrap().into());
        let address = words.next().unwrap_or("192.0.2.1").parse().unwrap();
        let second = Duration::from_secs(1);
        let check = Check {
            key: "c".into(),
            kind,
            port: 1,
            interval: second,
            timeout: second,
            fall: 3,
            rise: 3,
            hold_down: HoldDown::default(),
        };
        let key = TargetKey { cluster, node, address, check: check.key.clone() };
        Arc::new(Aim { key, probe: "192.0.2.1:1".parse().unwrap(), check: Arc::new(check) })
    }

    /// By cluster, of IPv4.
    fn rises(ways: &[Ways]) -> Vec<Option<i32>> {
        ways.iter().map(|ways| ways[0].map(|way| way.rise_ms.round() as i32)).collect()
    }

    #[test]
    fn what_waits_for_media_or_runs_a_program_tells_nothing_of_ways() {
        use crate::health::check::{Exec, Rtmp};
        let rtmp = |play: Option<&str>| {
            Kind::Rtmp(Rtmp { app: "live".into(), host: None, play: play.map(str::to_owned) })
        };
        let exec = Kind::Exec(Exec { command: vec![], load: "load".into(), unknown_fails: false });
        let told = [Kind::Tcp, rtmp(None), rtmp(Some("a")), exec].map(|kind| kind.measures_way());
        assert_eq!(told, [true, true, false, false]);
    }

    #[test]
    fn only_the_rise_over_the_usual_counts() {
        let mut bench = Bench::new(&["near/a", "far/a", "farther/a", "farthest/a"]);
        let usual = [Some(5), Some(150), Some(200), Some(250)];
        assert_eq!(rises(&bench.pass(600, &usual)), [Some(0), Some(0), Some(0), Some(0)]);
        let ways = bench.pass(20, &[Some(5), Some(190), Some(200), Some(250)]);
        assert_eq!(rises(&ways), [Some(0), Some(40), Some(0), Some(0)]);
        assert_eq!(ways[1][0].unwrap().usual_ms, 150.0);
        assert_eq!(rises(&bench.pass(20, &usual)), [Some(0), Some(0), Some(0), Some(0)]);
    }

    #[test]
    fn what_all_ways_rise_by_is_our_own_networks() {
        let mut bench = Bench::new(&["a/a", "b/a", "c/a"]);
        bench.pass(600, &[Some(10), Some(100), Some(200)]);
        let ways = bench.pass(20, &[Some(40), Some(130), Some(290)]);
        assert_eq!(rises(&ways), [Some(0), Some(0), Some(60)]);
        assert_eq!(ways[2][0].unwrap().common_ms, 30.0);
    }

    #[test]
    fn of_two_clusters_nobody_knows_whose_rise_it_is() {
        let mut bench = Bench::new(&["a/a", "b/a"]);
        bench.pass(600, &[Some(10), Some(100)]);
        assert_eq!(rises(&bench.pass(20, &[Some(40), Some(130)])), [Some(30), Some(30)]);
    }

    #[test]
    fn a_target_that_leaves_does_not_make_its_cluster_slower() {
        // An http check near by, an rtmp check that takes three round trips.
        let mut bench = Bench::new(&["a/http", "a/rtmp"]);
        assert_eq!(rises(&bench.pass(600, &[Some(30), Some(90)])), [Some(0)]);
        bench.ill = HashMap::from([("http".into(), Verdict::Down)]);
        assert_eq!(rises(&bench.pass(60, &[None, Some(90)])), [Some(0)]);
        bench.ill.clear();
        assert_eq!(rises(&bench.pass(20, &[Some(30), Some(90)])), [Some(0)]);
    }

    #[test]
    fn each_family_has_a_way_of_its_own() {
        let mut bench = Bench::new(&["a/a/192.0.2.1", "a/a/2001:db8::1"]);
        bench.pass(600, &[Some(10), Some(10)]);
        let [v4, v6] = bench.pass(20, &[Some(10), Some(60)])[0];
        assert_eq!((v4.unwrap().rise_ms, v6.unwrap().rise_ms), (0.0, 50.0));
        // Nor is what all ways of one family rise by taken off the other.
        let mut bench =
            Bench::new(&["a/a", "a/a/2001:db8::1", "b/a", "b/a/2001:db8::1", "c/a", "c/a/2001:db8::1"]);
        bench.pass(600, &[Some(10); 6]);
        let ways = bench.pass(20, &[Some(50), Some(60), Some(10), Some(60), Some(10), Some(60)]);
        let of =
            |family: usize| ways.iter().map(move |ways| ways[family].unwrap().rise_ms).collect::<Vec<_>>();
        assert_eq!((of(0), of(1)), (vec![40.0, 0.0, 0.0], vec![0.0; 3]));
    }

    #[test]
    fn one_or_two_lost_probes_are_held_against_nobody_and_many_are() {
        let of = |probes, lost| {
            let mut bench = Bench::new(&["a/a"]);
            bench.pass(600, &[Some(10)]);
            bench.lossy(0, probes, lost)
        };
        assert_eq!((of(60, 1).rise_ms, of(60, 2).rise_ms), (0.0, 0.0));
        assert!(of(60, 3).rise_ms < 15.0, "{:?}", of(60, 3));
        let many = of(170, 17);
        assert!((0.08..0.1).contains(&many.loss), "{many:?}");
        assert!((40.0..90.0).contains(&many.rise_ms), "{many:?}");
        assert_eq!(many.time_ms, 10.0, "the median does not see it");
    }

    #[test]
    fn more_targets_make_loss_certain_sooner() {
        let [few, more, most] = [100, 1000, 10_000].map(|probes| score(0.05, probes, SIGMAS).0);
        assert!(few < more && more < most && most < 0.05, "{few} {more} {most}");
        assert_eq!(score(0.0, 100, SIGMAS).0, 0.0);
        // Newcombe, 1998, table I: 15 of 148, method 3.
        let (least, most) = score(15.0 / 148.0, 148, 1.96);
        assert!((least - 0.0624).abs() < 1e-4 && (most - 0.1605).abs() < 1e-4, "{least} {most}");
    }

    #[test]
    fn what_all_ways_lose_is_our_own_networks() {
        let mut bench = Bench::new(&["a/a", "b/a", "c/a", "d/a"]);
        bench.pass(600, &[Some(10); 4]);
        for probe in 0..150 {
            bench.now += Duration::from_secs(1);
            for (at, every) in [10, 12, 16, 2].into_iter().enumerate() {
                if probe % every == 0 {
                    bench.told(at, Outcome::Late);
                }
                let started = bench.now + Duration::from_millis(200);
                let outcome = Outcome::Succeeded(Duration::from_millis(10));
                let seen = Seen { outcome, started, at: started, decided_by: started };
                bench.quality.observe(&Observation { aim: bench.aims[at].clone(), seen });
            }
        }
        let ways = bench.ways();
        let rises = rises(&ways);
        assert_eq!(rises[..3], [Some(0); 3]);
        assert!(rises[3] > Some(100), "{ways:?}");
    }

    #[test]
    fn a_way_that_always_loses_some_is_as_usual() {
        let mut bench = Bench::new(&["a/a"]);
        for _ in 0..60 {
            bench.lossy(0, 20, 1);
        }
        let measure = bench.lossy(0, 20, 1);
        assert!((0.03..0.06).contains(&measure.usual_loss), "{measure:?}");
        assert_eq!(measure.rise_ms, 0.0, "{measure:?}");
    }

    #[test]
    fn who_is_in_doubt_or_down_says_nothing_of_the_way_to_those_beside_it() {
        let mut bench = Bench::new(&["a/a", "a/b", "b/a", "c/a"]);
        let usual = [Some(10), Some(10), Some(20), Some(30)];
        bench.pass(600, &usual);
        for verdict in [Verdict::Suspect { until: bench.now }, Verdict::Unknown, Verdict::Down] {
            bench.ill = HashMap::from([("b".into(), verdict)]);
            let ways = bench.pass(60, &[Some(10), Some(500), Some(20), Some(30)]);
            assert_eq!(rises(&ways), [Some(0), Some(0), Some(0)], "{verdict:?}");
        }
        // What it took while it was down is forgotten when it is back.
        bench.ill.clear();
        assert_eq!(rises(&bench.pass(5, &usual)), [Some(0), Some(0), Some(0)]);
        // Where all are down, nothing is known.
        bench.ill = ["a", "b"].map(|node| (node.into(), Verdict::Down)).into();
        assert_eq!(rises(&bench.pass(1, &usual)), [None, None, None]);
    }

    #[test]
    fn before_enough_is_known_and_where_no_probe_can_be_made_nothing_is_said() {
        let mut bench = Bench::new(&["a/a"]);
        assert_eq!(rises(&bench.pass(4, &[Some(10)])), [None]);
        assert_eq!(rises(&bench.pass(600, &[Some(10)])), [Some(0)]);
        // Out of descriptors, for ten hours: the last times are no measure, and not what is usual.
        bench.pass(20, &[Some(90)]);
        for _ in 0..36_000 {
            bench.now += Duration::from_secs(1);
            bench.told(0, Outcome::Local("too many open files".into()));
        }
        assert_eq!(rises(&bench.ways()), [None]);
        let ways = bench.pass(20, &[Some(10)]);
        assert_eq!((rises(&ways), ways[0][0].unwrap().usual_ms), (vec![Some(0)], 10.0));
    }

    #[test]
    fn what_was_our_own_networks_is_forgotten_and_what_is_usual_stays() {
        let mut bench = Bench::new(&["a/a"]);
        bench.pass(600, &[Some(10)]);
        bench.pass(60, &[Some(300)]);
        bench.quality.forget_recent();
        assert_eq!(rises(&bench.ways()), [None]);
        let ways = bench.pass(5, &[Some(50)]);
        assert_eq!(rises(&ways), [Some(40)]);
    }

    #[test]
    fn what_is_gone_or_probed_otherwise_is_forgotten_and_what_stays_is_kept() {
        let mut bench = Bench::new(&["a/a", "b/a"]);
        bench.pass(600, &[Some(10), Some(20)]);
        let stays = aim("a/a", Kind::Tcp);
        bench.quality.keep([&stays].into_iter());
        assert_eq!(rises(&bench.ways()), [Some(0), None]);
        bench.quality.note(&stays, &Note::Load { used: 0.4 }, bench.now);
        let loads = bench.quality.loads(bench.now + LOAD_AGE_MAX);
        assert_eq!(loads.iter().map(|load| load.used).collect::<Vec<_>>(), [0.4]);
        assert_eq!(bench.quality.loads(bench.now + LOAD_AGE_MAX + Duration::from_secs(1)), []);
        // Another kind of probe takes another time.
        let kind = Kind::Icmp(crate::health::check::Icmp { loss: None });
        bench.quality.keep([&aim("a/a", kind)].into_iter());
        assert_eq!(rises(&bench.ways()), [None, None]);
    }

    #[test]
    fn a_restart_in_the_middle_of_it_does_not_take_the_worse_way_for_the_usual_one() {
        let mut bench = Bench::new(&["a/a", "b/a", "c/a"]);
        bench.pass(3600, &[Some(10), Some(20), Some(30)]);
        assert_eq!(rises(&bench.pass(20, &[Some(60), Some(20), Some(30)])), [Some(50), Some(0), Some(0)]);
        let kept = bench.quality.kept(bench.now);
        let later = |hours: u64| -> Vec<KeptUsual> {
            let aged = |old: &KeptUsual| KeptUsual {
                age: old.age + Duration::from_secs(3600 * hours),
                ..old.clone()
            };
            kept.iter().map(aged).collect()
        };
        let mut after = |kept: &[KeptUsual]| {
            bench.quality = Quality::new(bench.now);
            let mut aims = bench.aims.clone();
            // The last one is probed somewhere else now.
            let elsewhere = Aim { probe: "192.0.2.9:1".parse().unwrap(), ..(*aims[2]).clone() };
            aims[2] = Arc::new(elsewhere);
            bench.quality.restore(kept, aims.iter(), bench.now);
            bench.pass(20, &[Some(60), Some(20), Some(90)])
        };
        assert_eq!(rises(&after(&later(1))), [Some(50), Some(0), Some(0)]);
        assert_eq!(rises(&after(&later(23))), [Some(50), Some(0), Some(0)]);
        assert_eq!(rises(&after(&later(25))), [Some(0), Some(0), Some(0)], "too old to say what is usual");
    }
}
