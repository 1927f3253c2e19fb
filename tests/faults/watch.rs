//! The real prober and what is held of its targets: what each verdict became, and when.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use steerdns::cluster::{CheckId, ClusterId};
use steerdns::health::board::{Board, Transitions};
use steerdns::health::check::{Check, HoldDown, Kind};
use steerdns::health::target::{Aim, Target, TargetId, TargetKey};
use steerdns::health::verdict::{Outcome, Verdict};
use steerdns::probe::schedule::{AT_ONCE_DEFAULT, Told, run};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

/// A check with the defaults of clusters.toml.
pub(crate) fn check(key: &str, kind: Kind) -> Arc<Check> {
    Arc::new(Check {
        key: key.into(),
        kind,
        port: 1,
        interval: Duration::from_secs(1),
        timeout: Duration::from_millis(2500),
        fall: 5,
        rise: 5,
        hold_down: HoldDown::default(),
    })
}

/// A prober at work.
#[derive(Debug)]
pub(crate) struct Watch {
    held: Arc<Mutex<Held>>,
    /// The prober's own threads; they end with it.
    _threads: Runtime,
    _aims: watch::Sender<steerdns::probe::schedule::Aims>,
}

#[derive(Debug)]
struct Held {
    board: Board,
    turns: Vec<Turn>,
    /// What each target was last seen as.
    last: HashMap<TargetId, (Instant, Outcome)>,
}

/// A verdict that became another one.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) target: usize,
    pub(crate) at: Instant,
    pub(crate) to: Verdict,
    /// The last failure's words.
    pub(crate) cause: String,
}

impl Watch {
    /// Probes these from now on; a target is its place in the list. Checks of the same key are the same.
    pub(crate) fn start(list: &[(Arc<Check>, SocketAddr)]) -> Watch {
        let now = Instant::now();
        let targets = list.iter().zip(0u32..).map(|((check, at), n)| {
            let node = format!("n{n}").into();
            let key = TargetKey { cluster: "c".into(), node, address: at.ip(), check: check.key.clone() };
            let aim = Arc::new(Aim { key, probe: *at, check: check.clone() });
            let cluster = ClusterId(u16::try_from(n / 100).unwrap());
            Target { cluster, node: 0, member: (n % 100) as u8, check: CheckId(0), aim }
        });
        let mut board = Board::default();
        board.load(targets.collect(), now);
        let (aims, taken) = watch::channel(board.aims().collect());
        let (tell, told) = mpsc::channel(4096);
        let held = Arc::new(Mutex::new(Held { board, turns: Vec::new(), last: HashMap::new() }));
        let threads =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        threads.spawn(run(taken, watch::channel(None).1, tell, AT_ONCE_DEFAULT));
        threads.spawn(hear(told, held.clone()));
        Watch { held, _threads: threads, _aims: aims }
    }

    pub(crate) fn verdict(&self, target: usize) -> Verdict {
        self.held.lock().unwrap().board.held(id(target)).verdict
    }

    /// Whether it is up, and not in doubt.
    pub(crate) fn up(&self, target: usize) -> bool {
        self.verdict(target) == Verdict::Up
    }

    /// Doubts begun and deaths since the start.
    pub(crate) fn counted(&self, target: usize) -> Transitions {
        self.held.lock().unwrap().board.transitions(id(target))
    }

    /// What is held of it, in words.
    pub(crate) fn told(&self, target: usize) -> String {
        let held = self.held.lock().unwrap();
        let what = held.board.held(id(target));
        let cause = what.cause.as_ref().map(ToString::to_string).unwrap_or_default();
        let last = held.last.get(&id(target)).map(|(at, outcome)| (at.elapsed(), outcome));
        format!("{}, {cause}; last seen: {last:?}", what.verdict.word())
    }

    /// Its turns since a moment, oldest first.
    pub(crate) fn turns(&self, target: usize, since: Instant) -> Vec<Turn> {
        let held = self.held.lock().unwrap();
        held.turns.iter().filter(|turn| turn.target == target && turn.at >= since).cloned().collect()
    }
}

fn id(target: usize) -> TargetId {
    TargetId(u32::try_from(target).unwrap())
}

async fn hear(mut told: mpsc::Receiver<Told>, held: Arc<Mutex<Held>>) {
    while let Some(told) = told.recv().await {
        let Told::Seen(observation) = told else { continue };
        let mut held = held.lock().unwrap();
        let target = held.board.find(&observation.aim).unwrap();
        held.last.insert(target, (observation.seen.at, observation.seen.outcome.clone()));
        let Some(change) = held.board.observe(target, &observation.seen) else { continue };
        let cause = held.board.held(target).cause.as_ref().map(ToString::to_string).unwrap_or_default();
        let turn = Turn { target: target.0 as usize, at: Instant::now(), to: change.to, cause };
        held.turns.push(turn);
    }
}
