//! Does what [`Rounds`] says: starts probes, withdraws them, and tells the publisher what was seen.
#![allow(clippy::disallowed_methods, reason = "a shell knows the time")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::{once, tls};
use crate::health::check::{Check, Kind};
use crate::health::rounds::{Action, Observation, ProbeId, Rounds};
use crate::health::target::Aim;
use crate::health::verdict::{Outcome, Verdict};

/// Probes that may be out at once, unless the caller knows better: each holds one descriptor. At one probe a
/// second and a timeout of 2.5 s this is 4096 dead targets, or any number of living ones that a machine can probe.
pub const AT_ONCE_DEFAULT: usize = 4096;

/// What is to be probed, each with the verdict that is held of it.
pub type Aims = Arc<[(Arc<Aim>, Verdict)]>;

/// Probes what `aims` holds, and goes over to the next list as soon as there is one; what stays in it is not
/// probed anew. Ends when either channel is closed.
///
/// `at_once` bounds the probes that are out; those beyond it are local failures.
pub async fn run(mut aims: watch::Receiver<Aims>, seen: mpsc::Sender<Observation>, at_once: usize) {
    let mut running = Running {
        rounds: Rounds::new(Instant::now()),
        configs: HashMap::new(),
        tasks: JoinSet::new(),
        probes: HashMap::new(),
        out: HashMap::new(),
        at_once,
    };
    let first = aims.borrow_and_update().clone();
    let mut actions = running.load(&first);
    loop {
        if running.act(actions, &seen).await.is_err() {
            return;
        }
        let wake = running.rounds.wake();
        let due = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        actions = tokio::select! {
            changed = aims.changed() => match changed {
                Ok(()) => {
                    let next = aims.borrow_and_update().clone();
                    running.load(&next)
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
    /// The TLS of https checks, by the check's key.
    configs: HashMap<Arc<str>, (Arc<Check>, Arc<tls::Config>)>,
    tasks: JoinSet<Outcome>,
    /// Which probe a task is.
    probes: HashMap<Id, ProbeId>,
    /// How to end a probe.
    out: HashMap<ProbeId, AbortHandle>,
    at_once: usize,
}

/// Nobody listens any more.
struct Closed;

impl Running {
    fn load(&mut self, aims: &Aims) -> Vec<Action> {
        let mut old = std::mem::take(&mut self.configs);
        for (aim, _) in aims.iter() {
            let Kind::Https(_, how) = &aim.check.kind else { continue };
            let key = &aim.check.key;
            if self.configs.contains_key(key) {
                continue;
            }
            let config = match old.remove(key) {
                Some((check, config)) if check.kind == aim.check.kind => config,
                _ => Arc::new(tls::config(how)),
            };
            self.configs.insert(key.clone(), (aim.check.clone(), config));
        }
        let mut actions = Vec::new();
        self.rounds.load(aims.iter().cloned(), Instant::now(), &mut actions);
        actions
    }

    fn tick(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        self.rounds.tick(Instant::now(), &mut actions);
        actions
    }

    fn ended(&mut self, ended: Result<(Id, Outcome), JoinError>) -> Vec<Action> {
        let (task, outcome) = match ended {
            Ok((task, outcome)) => (task, outcome),
            // A withdrawn probe is not out any more, and its outcome says nothing. Anything else is our bug, and
            // tells nothing of the target.
            Err(error) => (error.id(), Outcome::Local("the probe itself failed".into())),
        };
        let mut actions = Vec::new();
        if let Some(probe) = self.probes.remove(&task) {
            self.out.remove(&probe);
            self.rounds.ended(probe, outcome, Instant::now(), &mut actions);
        }
        actions
    }

    async fn act(
        &mut self,
        mut actions: Vec<Action>,
        seen: &mpsc::Sender<Observation>,
    ) -> Result<(), Closed> {
        while !actions.is_empty() {
            for action in std::mem::take(&mut actions) {
                match action {
                    Action::Start { probe, aim, allowed } => self.start(probe, aim, allowed, &mut actions),
                    Action::Withdraw(probe) => {
                        if let Some(task) = self.out.get(&probe) {
                            task.abort();
                        }
                    }
                    Action::Report(observation) => seen.send(observation).await.map_err(|_| Closed)?,
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, probe: ProbeId, aim: Arc<Aim>, allowed: Duration, actions: &mut Vec<Action>) {
        if self.out.len() >= self.at_once {
            let what = format!("{} probes are out already", self.at_once);
            return self.rounds.ended(probe, Outcome::Local(what.into()), Instant::now(), actions);
        }
        let config = self.configs.get(&aim.check.key).map(|(_, config)| config.clone());
        let task = self.tasks.spawn(async move { once(&aim, config.as_deref(), allowed).await });
        self.probes.insert(task.id(), probe);
        self.out.insert(probe, task);
    }
}
