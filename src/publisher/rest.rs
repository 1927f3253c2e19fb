//! Load at rest: how lists come to stand after a failure, once the balance has divided clients over what is left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bending::{Bending, Measured};
use crate::cluster::ClusterId;
use crate::health::check::{Http, Kind};
use crate::health::quality::Load;
use crate::impact::stage::Stage;
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::steering::balance::settings::Settings;
use crate::steering::balance::world::USED_MAX;

/// The most steps of each of the two worlds: an eighth of a load leaves in each, so whatever comes to rest has done so long before.
const STEPS_MAX: usize = 120;
/// As long as this nothing moves in one: it rests.
const QUIET: usize = 3;
/// What is asked of a cluster is the same as before, by this part of its capacity: nothing new was learnt of it.
const LEARNT: f64 = 1e-3;

/// What is taken to be known of load, in words; `None`: it is not balanced.
pub fn known(plan: &Plan) -> Option<String> {
    plan.balance?;
    let telling = telling(plan);
    let some = telling.iter().filter(|tells| **tells).count();
    Some(format!("load is balanced, {some} of {} clusters tell theirs", telling.len()))
}

/// Which clusters tell their load, as far as the files know: by their checks, or all by whoever may push it.
fn telling(plan: &Plan) -> Vec<bool> {
    let tells = |id: ClusterId| {
        let mut targets = plan.targets.iter().filter(|target| target.cluster == id);
        plan.settings.push_token.is_some() || targets.any(|target| pulls_load(&target.aim.check.kind))
    };
    plan.inventory.ids().map(tells).collect()
}

/// Whether a check learns of load because it was told to. That a node sends it in a header nobody knows beforehand.
fn pulls_load(kind: &Kind) -> bool {
    match kind {
        Kind::Http(Http { load, .. }) | Kind::Https(Http { load, .. }, _) => load.is_some(),
        Kind::Exec(_) | Kind::Agent => true,
        _ => false,
    }
}

/// `after` once load is divided again; `None` where it is not balanced. First the balance learns what clients ask for in the world
/// `before`, then it goes on in the other one. Clients ask for what the stage says.
///
/// Each step is as long as a slot is held: until then all have followed, and clusters tell what the last step did.
pub fn at_rest(stage: &Stage<'_>, before: &Snapshot, after: &Snapshot, now: Instant) -> Option<Snapshot> {
    let settings = before.plan.balance?;
    let mut resting = Resting { settings, telling: telling(&before.plan), bending: Bending::default(), now };
    resting.rest(stage, before);
    Some(resting.rest(stage, after))
}

struct Resting {
    settings: Settings,
    telling: Vec<bool>,
    bending: Bending,
    now: Instant,
}

impl Resting {
    /// A world, once nothing moves in it any more.
    fn rest(&mut self, stage: &Stage<'_>, snapshot: &Snapshot) -> Snapshot {
        let mut snapshot = snapshot.clone();
        let clusters = &snapshot.plan.inventory.clusters;
        let mut capacities: Vec<f64> = clusters.iter().map(|of| of.capacity.unwrap_or(1) as f64).collect();
        let mut quiet = 0;
        for _ in 0..STEPS_MAX {
            let loads = self.loads(&snapshot, &stage.carried(&snapshot), &capacities);
            let measured = Measured { ways: vec![[None; 2]; capacities.len()], loads };
            let bends = self.bending.step(&snapshot, &measured, self.now);
            self.now += self.settings.hold.max(self.settings.follow).max(Duration::from_secs(1));
            let last = &snapshot.bends.shares;
            let is_learnt = last.len() == bends.shares.len()
                && last
                    .iter()
                    .zip(&bends.shares)
                    .all(|(last, share)| (last.demand - share.demand).abs() <= LEARNT * share.capacity);
            quiet = if is_learnt && bends.groups == snapshot.bends.groups { quiet + 1 } else { 0 };
            // Those with the nodes that are up.
            capacities = bends.shares.iter().map(|share| share.capacity).collect();
            snapshot.bends = Arc::new(bends);
            if quiet == QUIET || capacities.is_empty() {
                break;
            }
        }
        snapshot
    }

    /// What the nodes of clusters say that tell their load.
    fn loads(&self, snapshot: &Snapshot, carried: &[f64], capacities: &[f64]) -> Vec<Load> {
        let clusters = snapshot.plan.inventory.clusters.iter().zip(carried.iter().zip(capacities));
        let telling = clusters.zip(&self.telling).filter(|(_, tells)| **tells);
        let loads = telling.flat_map(|((cluster, (carried, capacity)), _)| {
            let used = (carried / capacity).min(USED_MAX);
            cluster.nodes.iter().map(move |node| Load {
                cluster: Arc::clone(&cluster.key),
                node: Arc::clone(&node.key),
                used,
                at: self.now,
            })
        });
        loads.collect()
    }
}
