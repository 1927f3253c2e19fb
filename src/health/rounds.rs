//! The probes of all targets: one [`Pace`] each, one budget, one list of times to wake.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::pace::{Pace, Step};
use super::target::{Aim, TargetKey};
use super::tracker::Tracker;
use super::verdict::{Outcome, Seen};

/// A probe, of all that were ever started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeId {
    /// The target's number: never used again.
    target: u64,
    /// The probe's number among the target's.
    probe: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start a probe now; it must come to its [`Outcome`] within `allowed`.
    Start {
        /// Its name.
        probe: ProbeId,
        /// What is probed, and how.
        aim: Arc<Aim>,
        /// After how long it has failed.
        allowed: Duration,
    },
    /// Nobody waits for this probe any more: end it.
    Withdraw(ProbeId),
    /// Tell the publisher.
    Report(Observation),
}

/// What was seen of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Of which, and how.
    pub aim: Arc<Aim>,
    /// What.
    pub seen: Seen,
}

/// The probes of all targets.
#[derive(Debug)]
pub struct Rounds {
    targets: HashMap<u64, Turn>,
    by_key: HashMap<TargetKey, u64>,
    /// When to wake which target.
    wakes: BTreeSet<(Instant, u64)>,
    budget: Budget,
    next: u64,
}

#[derive(Debug)]
struct Turn {
    aim: Arc<Aim>,
    pace: Pace,
    /// Where it stands in `wakes`.
    wake: Option<Instant>,
}

impl Rounds {
    /// Without targets.
    pub fn new(now: Instant) -> Rounds {
        Rounds {
            targets: HashMap::new(),
            by_key: HashMap::new(),
            wakes: BTreeSet::new(),
            budget: Budget::new(now),
            next: 0,
        }
    }

    /// Probes these from now on, each with what is held of it; of targets that stay ([`Aim::same`]) nothing is
    /// started anew, and what is held here goes on.
    pub fn load(
        &mut self,
        aims: impl IntoIterator<Item = (Arc<Aim>, Tracker)>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let mut gone = std::mem::take(&mut self.by_key);
        for (aim, tracker) in aims {
            if self.by_key.contains_key(&aim.key) {
                continue;
            }
            let stays = gone.get(&aim.key).copied().filter(|old| self.targets[old].aim.same(&aim));
            let number = match stays {
                Some(number) => {
                    gone.remove(&aim.key);
                    self.targets.get_mut(&number).expect("it stays").pace.agree(&tracker);
                    number
                }
                None => self.begin(&aim, tracker, now),
            };
            self.by_key.insert(aim.key.clone(), number);
            let turn = self.targets.get_mut(&number).expect("it stays, or has just begun");
            turn.pace.rechecked(&aim.key, aim.check.clone(), now);
            turn.aim = aim;
            rewake(&mut self.wakes, number, turn);
        }
        for number in gone.into_values() {
            self.end(number, actions);
        }
    }

    /// When to call [`Rounds::tick`] next, unless a probe ends before; `None` without targets.
    pub fn wake(&self) -> Option<Instant> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Does what is due at `now`.
    pub fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some(&(at, number)) = self.wakes.first()
            && at <= now
        {
            self.turn(number, actions, |pace, budget, steps| pace.tick(now, budget, steps));
        }
    }

    /// Takes what became of a probe. One that was withdrawn says nothing.
    pub fn ended(&mut self, probe: ProbeId, outcome: Outcome, now: Instant, actions: &mut Vec<Action>) {
        self.turn(probe.target, actions, |pace, budget, steps| {
            pace.ended(probe.probe, outcome, now, budget, steps);
        });
    }

    fn turn(
        &mut self,
        number: u64,
        actions: &mut Vec<Action>,
        does: impl FnOnce(&mut Pace, &mut Budget, &mut Vec<Step>),
    ) {
        let Some(turn) = self.targets.get_mut(&number) else { return };
        let mut steps = Vec::new();
        does(&mut turn.pace, &mut self.budget, &mut steps);
        actions.extend(steps.into_iter().map(|step| action(number, &turn.aim, step)));
        rewake(&mut self.wakes, number, turn);
    }

    fn begin(&mut self, aim: &Arc<Aim>, tracker: Tracker, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        let pace = Pace::new(&aim.key, aim.check.clone(), tracker, now);
        self.targets.insert(number, Turn { aim: aim.clone(), pace, wake: None });
        number
    }

    fn end(&mut self, number: u64, actions: &mut Vec<Action>) {
        let Some(turn) = self.targets.remove(&number) else { return };
        if let Some(at) = turn.wake {
            self.wakes.remove(&(at, number));
        }
        let mut steps = Vec::new();
        turn.pace.end(&mut self.budget, &mut steps);
        actions.extend(steps.into_iter().map(|step| action(number, &turn.aim, step)));
    }
}

fn rewake(wakes: &mut BTreeSet<(Instant, u64)>, number: u64, turn: &mut Turn) {
    let next = turn.pace.wake();
    if next != turn.wake {
        if let Some(at) = turn.wake {
            wakes.remove(&(at, number));
        }
        wakes.extend(next.map(|at| (at, number)));
        turn.wake = next;
    }
}

fn action(target: u64, aim: &Arc<Aim>, step: Step) -> Action {
    match step {
        Step::Start { probe, allowed } => {
            Action::Start { probe: ProbeId { target, probe }, aim: aim.clone(), allowed }
        }
        Step::Withdraw { probe } => Action::Withdraw(ProbeId { target, probe }),
        Step::Report(seen) => Action::Report(Observation { aim: aim.clone(), seen }),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]
mod tests {
    use super::*;
    use crate::health::check::{Check, HoldDown, Kind};

    fn aim(node: &str, port: u16) -> Arc<Aim> {
        let second = Duration::from_secs(1);
        let check = Check {
            key: "c".into(),
            kind: Kind::Tcp,
            port,
            interval: second,
            timeout: second,
            fall: 3,
            rise: 3,
            hold_down: HoldDown::default(),
        };
        let address = "192.0.2.1".parse().unwrap();
        let key = TargetKey { cluster: "sin".into(), node: node.into(), address, check: "c".into() };
        Arc::new(Aim { key, probe: (address, port).into(), check: Arc::new(check) })
    }

    fn starts(actions: &[Action]) -> Vec<ProbeId> {
        let starts = actions.iter().filter_map(|action| match action {
            Action::Start { probe, .. } => Some(*probe),
            _ => None,
        });
        starts.collect()
    }

    #[test]
    fn a_reload_does_not_restart_the_probes_of_targets_that_stay() {
        let now = Instant::now();
        let (mut rounds, mut actions) = (Rounds::new(now), Vec::new());
        rounds.load(
            [(aim("a", 80), Tracker::unknown(now)), (aim("b", 80), Tracker::unknown(now))],
            now,
            &mut actions,
        );
        let later = now + Duration::from_millis(300);
        rounds.tick(later, &mut actions);
        let out = starts(&actions);
        assert_eq!(out.len(), 2);

        actions.clear();
        rounds.load(
            [(aim("b", 80), Tracker::unknown(now)), (aim("a", 81), Tracker::unknown(now))],
            later,
            &mut actions,
        );
        assert!(matches!(actions[..], [Action::Withdraw(_)]), "the one that is probed elsewhere now");
        let Action::Withdraw(gone) = actions[0] else { unreachable!() };
        actions.clear();
        for probe in out {
            rounds.ended(probe, Outcome::Succeeded(Duration::from_millis(1)), later, &mut actions);
        }
        let reports: Vec<_> = actions.iter().filter(|action| matches!(action, Action::Report(_))).collect();
        assert_eq!(reports.len(), 1, "{gone:?} says nothing any more");
    }

    #[test]
    fn without_targets_there_is_nothing_to_wake_for() {
        let now = Instant::now();
        let (mut rounds, mut actions) = (Rounds::new(now), Vec::new());
        rounds.load([(aim("a", 80), Tracker::unknown(now))], now, &mut actions);
        assert!(rounds.wake().is_some());
        rounds.load([], now, &mut actions);
        assert_eq!(rounds.wake(), None);
    }
}
