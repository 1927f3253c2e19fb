//! Does what [`Rounds`] says: starts probes, withdraws them, and tells the publisher what was seen.
#![allow(clippy::disallowed_methods, reason = "a shell knows the time")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::memory::Memory;
use super::once;
use super::prepared::Prepared;
use crate::health::check::Check;
use crate::health::drill::Felled;
use crate::health::note::Note;
use crate::health::rounds::{Action, Observation, ProbeId, Rounds};
use crate::health::target::{Aim, TargetKey};
use crate::health::tracker::Tracker;
use crate::health::verdict::Outcome;

/// Probes that may be out at once, unless the caller knows better: each holds one descriptor. At one probe a
/// second and a timeout of 2.5 s this is 4096 dead targets, or any number of living ones that a machine can probe.
pub const AT_ONCE_DEFAULT: usize = 4096;

/// What is to be probed, each with what is held of it.
pub type Aims = Arc<[(Arc<Aim>, Tracker)]>;

/// The drill that is under way.
pub type Drill = watch::Receiver<Option<Arc<Felled>>>;

/// What the publisher is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// What was seen of a target.
    Seen(Observation),
    /// What was learned of one.
    Noted(Arc<Aim>, Note),
}

/// Probes what `aims` holds, and goes over to the next list as soon as there is one; what stays in it is not
/// probed anew. Ends when either channel is closed.
///
/// `at_once` bounds the probes that are out; those beyond it are local failures. Probes of nodes of a drill are not made: they fail.
pub async fn run(mut aims: watch::Receiver<Aims>, drill: Drill, seen: mpsc::Sender<Told>, at_once: usize) {
    let mut running = Running {
        rounds: Rounds::new(Instant::now()),
        prepared: HashMap::new(),
        memories: HashMap::new(),
        tasks: JoinSet::new(),
        probes: HashMap::new(),
        out: HashMap::new(),
        at_once,
        drill,
    };
    let first = aims.borrow_and_update().clone();
    let mut next = running.load(&first);
    loop {
        if running.act(next, &seen).await.is_err() {
            return;
        }
        let wake = running.rounds.wake();
        let due = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        next = tokio::select! {
            changed = aims.changed() => match changed {
                Ok(()) => {
                    let list = aims.borrow_and_update().clone();
                    running.load(&list)
                }
                Err(_) => return,
            },
            Some(ended) = running.tasks.join_next_with_id() => running.ended(ended),
            () = due => running.tick(),
        };
    }
}

struct Running {
    rounds: Rounds,
    /// What checks need, by the check's key.
    prepared: HashMap<Arc<str>, (Arc<Check>, Arc<Prepared>)>,
    /// What probes leave to the next ones.
    memories: HashMap<TargetKey, (Arc<Aim>, Arc<Memory>)>,
    tasks: JoinSet<Ended>,
    /// Which probe a task is.
    probes: HashMap<Id, ProbeId>,
    /// How to end a probe.
    out: HashMap<ProbeId, AbortHandle>,
    at_once: usize,
    drill: Drill,
}

/// What a probe came to.
struct Ended {
    aim: Arc<Aim>,
    outcome: Outcome,
    notes: Vec<Note>,
}

/// What follows from an end, or from a time.
#[derive(Default)]
struct Next {
    actions: Vec<Action>,
    /// What was learned, and of whom.
    noted: Vec<(Arc<Aim>, Note)>,
}

/// Nobody listens any more.
struct Closed;

impl Running {
    fn load(&mut self, aims: &Aims) -> Next {
        let mut old = std::mem::take(&mut self.prepared);
        let mut remembered = std::mem::take(&mut self.memories);
        for (aim, _) in aims.iter() {
            let key = &aim.check.key;
            if !self.prepared.contains_key(key) {
                let prepared = match old.remove(key) {
                    Some((check, prepared)) if check.kind == aim.check.kind => prepared,
                    _ => Arc::new(Prepared::new(&aim.check)),
                };
                self.prepared.insert(key.clone(), (aim.check.clone(), prepared));
            }
            let memory = match remembered.remove(&aim.key) {
                Some((last, memory)) if last.same(aim) => memory,
                _ => Arc::default(),
            };
            self.memories.insert(aim.key.clone(), (aim.clone(), memory));
        }
        let mut next = Next::default();
        self.rounds.load(aims.iter().cloned(), Instant::now(), &mut next.actions);
        next
    }

    fn tick(&mut self) -> Next {
        let mut next = Next::default();
        self.rounds.tick(Instant::now(), &mut next.actions);
        next
    }

    fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) -> Next {
        let mut next = Next::default();
        let (task, outcome) = match ended {
            Ok((task, Ended { aim, outcome, notes })) => {
                next.noted.extend(notes.into_iter().map(|note| (aim.clone(), note)));
                (task, outcome)
            }
            // A withdrawn probe is not out any more, and its outcome says nothing. Anything else is our bug, and
            // tells nothing of the target.
            Err(error) => (error.id(), Outcome::Local("the probe itself failed".into())),
        };
        if let Some(probe) = self.probes.remove(&task) {
            self.out.remove(&probe);
            self.rounds.ended(probe, outcome, Instant::now(), &mut next.actions);
        }
        next
    }

    async fn act(&mut self, next: Next, told: &mpsc::Sender<Told>) -> Result<(), Closed> {
        let Next { mut actions, noted } = next;
        for (aim, note) in noted {
            told.send(Told::Noted(aim, note)).await.map_err(|_| Closed)?;
        }
        while !actions.is_empty() {
            for action in std::mem::take(&mut actions) {
                match action {
                    Action::Start { probe, aim, allowed } => self.start(probe, aim, allowed, &mut actions),
                    Action::Withdraw(probe) => {
                        if let Some(task) = self.out.get(&probe) {
                            task.abort();
                        }
                    }
                    Action::Report(observation) => {
                        told.send(Told::Seen(observation)).await.map_err(|_| Closed)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, probe: ProbeId, aim: Arc<Aim>, allowed: Duration, actions: &mut Vec<Action>) {
        let felled = self.drill.borrow().clone();
        if let Some(felled) = felled.filter(|felled| felled.fells(&aim.key, Instant::now())) {
            return self.rounds.ended(probe, felled.outcome(), Instant::now(), actions);
        }
        if self.out.len() >= self.at_once {
            let what = format!("{} probes are out already", self.at_once);
            return self.rounds.ended(probe, Outcome::Local(what.into()), Instant::now(), actions);
        }
        let prepared = self.prepared.get(&aim.check.key).map(|(_, prepared)| prepared.clone());
        let memory = self.memories.get(&aim.key).map(|(_, memory)| memory.clone());
        let task = self.tasks.spawn(async move {
            let (prepared, memory) = (prepared.unwrap_or_default(), memory.unwrap_or_default());
            let (outcome, notes) = once(&aim, &prepared, &memory, allowed).await;
            Ended { aim, outcome, notes }
        });
        self.probes.insert(task.id(), probe);
        self.out.insert(probe, task);
    }
}
