//! How ranked lists stand today, once a second: what probes told of ways and of load, and what follows.
#![allow(clippy::disallowed_methods)] // It hands the clock to everybody.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::bending::{Bending, Measured};
use crate::health::quality::Quality;
use crate::health::verdict::Verdict;
use crate::plan::Plan;
use crate::record::Record;
use crate::snapshot::Live;
use crate::steering::bend::Bends;

/// From step to step.
const STEP: Duration = Duration::from_secs(1);
/// What waits for the publisher at most: a newer one makes the older useless.
pub(super) const BENDS: usize = 1;

/// What probes told, between the publishing task that hears it and the balance that reads it.
pub(super) type Senses = Arc<Mutex<Quality>>;

/// What a lock guards is good to go on with, whoever panicked.
pub(super) fn senses(senses: &Senses) -> std::sync::MutexGuard<'_, Quality> {
    senses.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs until `ended`.
pub(super) async fn run(
    live: Arc<Live>,
    quality: Senses,
    record: Arc<Record>,
    bent: mpsc::Sender<(Arc<Plan>, Arc<Bends>)>,
    mut ended: watch::Receiver<bool>,
) {
    let mut tick = tokio::time::interval(STEP);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut bending = Bending::default();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = ended.wait_for(|ended| *ended) => return,
        }
        let snapshot = arc_swap::Guard::into_inner(live.now());
        let quality = Arc::clone(&quality);
        // Off the threads on which verdicts are published: a large world takes a while.
        let stepped = tokio::task::spawn_blocking(move || {
            let now = Instant::now();
            let keys: Vec<_> =
                snapshot.plan.inventory.clusters.iter().map(|cluster| cluster.key.clone()).collect();
            let measured = {
                let held = snapshot.pools.iter().flat_map(|pools| &pools.held);
                let down = held.filter(|held| held.held.verdict == Verdict::Down);
                let down: HashSet<_> = down.map(|held| &held.target.aim.key).collect();
                let mut quality = senses(&quality);
                let ways = quality.measure(&keys, |key| down.contains(key), now);
                Measured { ways, loads: quality.loads(now) }
            };
            let bends = bending.step(&snapshot, &measured, now);
            (bending, snapshot, measured, bends)
        });
        let Ok((back, snapshot, measured, bends)) = stepped.await else {
            tracing::error!("balancing failed, and begins anew: this is a bug");
            bending = Bending::default();
            continue;
        };
        bending = back;
        let last = &snapshot.bends;
        let is_other = bends.groups != last.groups
            || bends.penalties != last.penalties
            || is_other_shortage(bends.short, last.short);
        let bends = Arc::new(bends);
        record.bent(&snapshot.plan, &bends, measured.ways);
        if is_other && bent.send((Arc::clone(&snapshot.plan), bends)).await.is_err() {
            return;
        }
    }
}

/// Whether what is short is worth telling anew: by a twentieth, or that it begins or ends.
fn is_other_shortage(now: f64, last: f64) -> bool {
    (now > 0.0) != (last > 0.0) || (now - last).abs() > 0.05 * last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_anew_where_it_is_another() {
        for (now, last, other) in
            [(0.0, 0.0, false), (0.1, 0.0, true), (0.0, 0.1, true), (100.0, 98.0, false), (100.0, 50.0, true)]
        {
            assert_eq!(is_other_shortage(now, last), other, "{now} {last}");
        }
    }
}
