//! Faults, each done to real servers under the real prober, and repaired.

use std::thread;
use std::time::{Duration, Instant};

use steerdns::health::verdict::Verdict;

use super::chance::Chance;
use super::farm::{Farm, Role};
use super::fault::{Fault, Subject, subjects};
use super::pulse::Pulse;
use super::relay::{Relay, Way};
use super::report::{Measured, Report};
use super::watch::{Watch, check};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Relays that are far away; both ways together 40 to 80 ms.
const FAR: Way = Way::Delayed { least: Duration::from_millis(20), jitter: Duration::from_millis(20) };
/// In so long the prober knows another usual time (12 successes, and some).
const SETTLES: Duration = Duration::from_secs(15);

/// Where the machine gave nobody a processor for so long within one fault, servers may have been late, too.
const STILL: Duration = Duration::from_millis(500);

/// All that is there. Each subject is two targets: itself, and through a relay.
pub(crate) struct Stage {
    farm: Farm,
    subjects: Vec<Subject>,
    relays: Vec<Relay>,
    watch: Watch,
    pulse: Pulse,
    chance: Chance,
    /// Deaths that were meant, by target.
    meant: Vec<u64>,
    pub(crate) report: Report,
    _relaying: tokio::runtime::Runtime,
}

/// Something that is broken at one moment: a program, a relay, or the cable.
#[derive(Clone, Copy, Debug)]
enum Thing {
    Program(Role),
    Relay(usize),
    Cable,
}

impl Stage {
    pub(crate) fn new(farm: Farm, chance: Chance) -> Stage {
        let relaying =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let subjects = subjects(&farm.at);
        let relays: Vec<_> =
            subjects.iter().map(|of| relaying.block_on(Relay::start(of.over, of.at))).collect();
        let kinds = subjects.iter().map(|of| check(of.word, of.kind.clone()));
        let kinds: Vec<_> = kinds.collect();
        let themselves = kinds.iter().cloned().zip(subjects.iter().map(|of| of.at));
        let through = kinds.iter().cloned().zip(relays.iter().map(|relay| relay.at));
        let targets: Vec<_> = themselves.chain(through).collect();
        let report = Report { probes: subjects.iter().map(|of| of.word).collect(), ..Report::default() };
        let watch = Watch::start(&targets);
        let meant = vec![0; targets.len()];
        Stage {
            farm,
            subjects,
            relays,
            watch,
            pulse: Pulse::start(),
            chance,
            meant,
            report,
            _relaying: relaying,
        }
    }

    /// All are up, for the first time: what was not yet served is no fault.
    pub(crate) fn begin(&mut self) {
        self.wait_until_up(Instant::now());
        self.meant = (0..self.meant.len()).map(|target| self.watch.counted(target).down).collect();
    }

    /// One fault of everything that can have it, each at a moment of its own within a second; when all that it is seen of
    /// are down, it is repaired, and they are waited for.
    pub(crate) fn suffer(&mut self, fault: Fault) {
        if fault == Fault::HungFar {
            self.go_far();
        }
        let mut struck: Vec<(usize, Instant)> = Vec::new();
        let mut phased: Vec<_> =
            self.things(fault).into_iter().map(|thing| (self.chance.below(1_000_000), thing)).collect();
        phased.sort_unstable_by_key(|(phase, _)| *phase);
        let begun = Instant::now();
        for (phase, thing) in &phased {
            thread::sleep((begun + Duration::from_micros(*phase)).saturating_duration_since(Instant::now()));
            let at = Instant::now();
            self.strike(fault, *thing);
            struck.extend(self.seen_of(fault, *thing).into_iter().map(|target| (target, at)));
        }
        let fallen: Vec<_> =
            struck.iter().map(|(target, at)| self.wait_until_down(fault, *target, *at)).collect();
        let mut repaired = Vec::new();
        for (_, thing) in &phased {
            let at = Instant::now();
            self.repair(fault, *thing);
            repaired.extend(self.seen_of(fault, *thing).into_iter().map(|target| (target, at)));
        }
        // In the order in which they were struck.
        for (((target, struck), fell), (_, at)) in struck.iter().zip(&fallen).zip(&repaired) {
            self.wait_until_back(fault, *target, *struck, fell, *at);
        }
        self.wait_until_up(Instant::now());
        for (target, _) in &struck {
            self.meant[*target] += 1;
        }
        if fault == Fault::HungFar {
            self.relays.iter().for_each(|relay| relay.go(Way::Through));
        }
        self.assert_only_the_struck_fell(fault, begun);
    }

    /// Relays are far away from now on, and the prober knows it.
    fn go_far(&mut self) {
        let relayed = self.subjects.len()..2 * self.subjects.len();
        let doubts = || relayed.clone().map(|target| self.watch.counted(target).suspect).sum::<u64>();
        let before = doubts();
        self.relays.iter().for_each(|relay| relay.go(FAR));
        thread::sleep(SETTLES);
        let note = format!(
            "40 to 80 ms further away from one moment to the next, {} targets for {} s: {} doubts",
            self.subjects.len(),
            SETTLES.as_secs(),
            doubts() - before,
        );
        self.report.notes.push(note);
        self.wait_until_up(Instant::now());
    }

    fn things(&self, fault: Fault) -> Vec<Thing> {
        match fault {
            Fault::Killed | Fault::Held => Role::SERVERS.map(Thing::Program).into(),
            Fault::PublisherHeld | Fault::PublisherGone => Role::PUBLISHERS.map(Thing::Program).into(),
            Fault::Dropped => vec![Thing::Cable],
            Fault::Hung | Fault::HungFar | Fault::Wrong => (0..self.relays.len()).map(Thing::Relay).collect(),
        }
    }

    /// The targets that must fall.
    fn seen_of(&self, fault: Fault, thing: Thing) -> Vec<usize> {
        let count = self.subjects.len();
        let here = |of: &Subject| match thing {
            Thing::Program(role) if fault.of_publishers() => {
                of.of_stream && of.server.publisher() == Some(role)
            }
            Thing::Program(role) => of.server == role,
            Thing::Cable | Thing::Relay(_) => true,
        };
        match thing {
            Thing::Relay(relay) => vec![count + relay],
            _ => (0..2 * count).filter(|target| here(&self.subjects[target % count])).collect(),
        }
    }

    fn strike(&mut self, fault: Fault, thing: Thing) {
        match (fault, thing) {
            (Fault::Killed | Fault::PublisherGone, Thing::Program(role)) => self.farm.kill(role),
            (Fault::Held | Fault::PublisherHeld, Thing::Program(role)) => self.farm.signal(role, "STOP"),
            (Fault::Wrong, Thing::Relay(relay)) => {
                self.relays[relay].go(Way::Says(self.subjects[relay].wrong));
            }
            (_, Thing::Relay(relay)) => self.relays[relay].go(Way::Mute),
            (_, Thing::Cable | Thing::Program(_)) => {
                self.farm.home.as_ref().expect("a cable is cut where there is one").drop_everything();
            }
        }
    }

    fn repair(&mut self, fault: Fault, thing: Thing) {
        match (fault, thing) {
            (Fault::Killed | Fault::PublisherGone, Thing::Program(role)) => self.farm.revive(role),
            (Fault::Held | Fault::PublisherHeld, Thing::Program(role)) => self.farm.signal(role, "CONT"),
            (Fault::HungFar, Thing::Relay(relay)) => self.relays[relay].go(FAR),
            (_, Thing::Relay(relay)) => self.relays[relay].go(Way::Through),
            (_, Thing::Cable | Thing::Program(_)) => {
                self.farm.home.as_ref().expect("a cable is mended where there is one").drop_nothing();
            }
        }
    }

    /// When it fell, and why.
    fn wait_until_down(&self, fault: Fault, target: usize, since: Instant) -> (Instant, String) {
        loop {
            let turns = self.watch.turns(target, since);
            if let Some(fell) = turns.iter().find(|turn| turn.to == Verdict::Down) {
                return (fell.at, fell.cause.clone());
            }
            let told = || format!("{fault:?}, {}: {}", self.word(target), self.watch.told(target));
            assert!(since.elapsed() < PATIENCE, "not down: {}", told());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait_until_back(
        &mut self,
        fault: Fault,
        target: usize,
        struck: Instant,
        (fell, cause): &(Instant, String),
        repaired: Instant,
    ) {
        let back = loop {
            let turns = self.watch.turns(target, repaired);
            if let Some(turn) = turns.iter().find(|turn| turn.to == Verdict::Up) {
                break turn.at;
            }
            let told = || format!("{fault:?}, {}: {}", self.word(target), self.watch.told(target));
            assert!(repaired.elapsed() < PATIENCE, "not back: {}", told());
            thread::sleep(Duration::from_millis(5));
        };
        let count = self.subjects.len();
        if (target >= count) != fault.in_relays() {
            // It fell since its server did: a relay tells otherwise of that than the server.
            return;
        }
        let subject = &self.subjects[target % count];
        self.report.measured.push(Measured {
            fault,
            probe: subject.word,
            rule: subject.rule,
            removal: *fell - struck,
            back: back - repaired,
            stalled: [self.pulse.stalled(struck, *fell), self.pulse.stalled(repaired, back)],
            cause: cause.clone(),
        });
    }

    /// All are up, and nobody doubts one.
    fn wait_until_up(&self, since: Instant) {
        for target in 0..self.meant.len() {
            while !self.watch.up(target) {
                let told = || format!("{}: {}", self.word(target), self.watch.told(target));
                assert!(since.elapsed() < PATIENCE, "not up: {}", told());
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// No target fell that nobody struck, and none twice; where the machine stood still meanwhile, that is told.
    fn assert_only_the_struck_fell(&mut self, fault: Fault, begun: Instant) {
        let stalled = self.pulse.stalled(begun, Instant::now());
        for target in 0..self.meant.len() {
            let deaths = self.watch.counted(target).down;
            if deaths == self.meant[target] {
                continue;
            }
            let what = format!("{} fell by {fault:?}: {}", self.word(target), self.watch.told(target));
            assert!(stalled > STILL, "{what}; the machine stalled for {stalled:?}");
            self.report.notes.push(format!("{what}; the machine stalled for {stalled:.2?}"));
            self.meant[target] = deaths;
        }
    }

    fn word(&self, target: usize) -> String {
        let count = self.subjects.len();
        let through = if target < count { "" } else { " through a relay" };
        format!("{}{through}", self.subjects[target % count].word)
    }
}
