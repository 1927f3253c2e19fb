//! How ranked lists stand today, once a second: what probes told of ways and of load, and what follows.
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};

use crate::bending::{Bending, Measured};
use crate::health::quality::{Quality, measure};
use crate::health::target::TargetKey;
use crate::health::verdict::Verdict;
use crate::plan::Plan;
use crate::record::Record;
use crate::snapshot::{Live, Snapshot};
use crate::state::ways;
use crate::steering::bend::Bends;

/// From step to step.
const STEP: Duration = Duration::from_secs(1);
/// How often what is usual is kept: it changes no sooner.
const KEEP: Duration = Duration::from_secs(300);
/// What waits for the publisher at most: a newer one makes the older useless.
pub(super) const BENDS: usize = 1;

/// What probes told, between the publishing task that hears it and the balance that reads it.
pub(super) type Senses = Arc<Mutex<Quality>>;

/// What a lock guards is good to go on with, whoever panicked.
pub(super) fn senses(senses: &Senses) -> std::sync::MutexGuard<'_, Quality> {
    senses.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With what was usual in an earlier life.
pub(super) fn remembered(state: &Path, plan: &Plan, now: Instant) -> Senses {
    let mut quality = Quality::new(now);
    match ways::read(state, SystemTime::now()) {
        Ok(kept) => quality.restore(&kept, plan.targets.iter().map(|target| &target.aim), now),
        Err(error) => tracing::warn!("{error}"),
    }
    Arc::new(Mutex::new(quality))
}

/// Runs until `ended`.
pub(super) async fn run(
    live: Arc<Live>,
    quality: Senses,
    record: Arc<Record>,
    bent: mpsc::Sender<(Arc<Plan>, Arc<Bends>)>,
    state: PathBuf,
    mut ended: watch::Receiver<bool>,
) {
    let mut tick = tokio::time::interval(STEP);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut bending = Bending::default();
    let mut kept = Instant::now();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = ended.wait_for(|ended| *ended) => break,
        }
        if kept.elapsed() >= KEEP {
            kept = Instant::now();
            keep(&state, &quality).await;
        }
        let snapshot = arc_swap::Guard::into_inner(live.now());
        let plan = Arc::clone(&snapshot.plan);
        let senses = Arc::clone(&quality);
        // Off the threads on which verdicts are published: a large world takes a while.
        let stepped = tokio::task::spawn_blocking(move || {
            let now = Instant::now();
            let measured = measured(&snapshot, &senses, now);
            let bends = bending.step(&snapshot, &measured, now);
            (bending, snapshot, measured, bends)
        });
        let Ok((back, snapshot, measured, bends)) = stepped.await else {
            tracing::error!("balancing failed, and begins anew: this is a bug");
            bending = Bending::default();
            // Nobody takes back any more what was said before.
            if bent.send((plan, Arc::default())).await.is_err() {
                break;
            }
            continue;
        };
        bending = back;
        let last = &snapshot.bends;
        let is_other = bends.groups != last.groups
            || bends.penalties != last.penalties
            || is_other_shortage(bends.short, last.short);
        let bends = Arc::new(bends);
        record.bent(&plan, &bends, measured.ways);
        if is_other && bent.send((plan, bends)).await.is_err() {
            break;
        }
    }
    keep(&state, &quality).await;
}

/// What is known now. The lock is held while it is taken out, not while it is made out: the publishing task waits for it.
fn measured(snapshot: &Snapshot, quality: &Senses, now: Instant) -> Measured {
    if snapshot.doubting.is_some() {
        let mut quality = senses(quality);
        quality.forget_recent();
        return Measured { ways: Vec::new(), loads: quality.loads(now) };
    }
    let clusters: Vec<_> =
        snapshot.plan.inventory.clusters.iter().map(|cluster| Arc::clone(&cluster.key)).collect();
    let held = snapshot.pools.iter().flat_map(|pools| &pools.held);
    let ill: HashMap<&TargetKey, Verdict> = held
        .filter(|held| held.held.verdict != Verdict::Up)
        .map(|held| (&held.target.aim.key, held.held.verdict))
        .collect();
    let verdict = |key: &TargetKey| ill.get(key).copied().unwrap_or(Verdict::Up);
    let (recent, loads) = {
        let mut quality = senses(quality);
        (quality.recent(verdict, now), quality.loads(now))
    };
    Measured { ways: measure(&recent, &clusters), loads }
}

/// Keeps what is usual for the next life.
async fn keep(state: &Path, quality: &Senses) {
    let (state, quality) = (state.to_owned(), Arc::clone(quality));
    let kept = tokio::task::spawn_blocking(move || {
        let kept = senses(&quality).kept(Instant::now());
        ways::write(&state, &kept, SystemTime::now())
    });
    if let Ok(Err(error)) = kept.await {
        tracing::error!("what ways usually take is not kept: {error}");
    }
}

/// Whether what is short is worth telling anew: by a twentieth, or that it begins or ends.
fn is_other_shortage(now: f64, last: f64) -> bool {
    (now > 0.0) != (last > 0.0) || (now - last).abs() > 0.05 * last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Group;

    #[tokio::test]
    async fn a_step_that_fails_leaves_lists_as_they_always_stand() {
        // A group without services: no such Plan is ever made.
        let group = Group {
            map: 0,
            kind: 0,
            candidates: Vec::new(),
            services: Vec::new(),
            demand: 1.0,
            parts: Arc::default(),
        };
        let plan = Arc::new(Plan { groups: vec![group], ..Plan::default() });
        let live = Arc::new(Live::new(Snapshot { plan: Arc::clone(&plan), ..Snapshot::default() }));
        let now = Instant::now();
        let (senses, record) = (Arc::new(Mutex::new(Quality::new(now))), Arc::new(Record::new(now)));
        let (bent, mut bends) = mpsc::channel(BENDS);
        let (ending, ended) = watch::channel(false);
        let state = tempfile::tempdir().unwrap();
        let running = tokio::spawn(run(live, senses, record, bent, state.path().into(), ended));
        let (of, told) = bends.recv().await.unwrap();
        assert!(Arc::ptr_eq(&of, &plan));
        assert_eq!(*told, Bends::default());
        ending.send(true).unwrap();
        running.await.unwrap();
    }

    #[test]
    fn a_shortage_is_told_anew_where_it_is_another() {
        for (now, last, other) in
            [(0.0, 0.0, false), (0.1, 0.0, true), (0.0, 0.1, true), (100.0, 98.0, false), (100.0, 50.0, true)]
        {
            assert_eq!(is_other_shortage(now, last), other, "{now} {last}");
        }
    }
}
