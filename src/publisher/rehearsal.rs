//! Worlds that are not: what would be answered were these targets down. Made as the real one is, by the same pools.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pools::{World, pools_of};
use super::{Event, Publisher, is_down};
use crate::health::rounds::Observation;
use crate::health::target::{Target, TargetId};
use crate::health::verdict::{Cause, DRILL, Outcome, Seen};
use crate::plan::Plan;
use crate::snapshot::Snapshot;

impl Publisher {
    /// One that has observed every target of a Plan once: those that are `dead` failed, all others succeeded.
    pub fn rehearsed(plan: Arc<Plan>, dead: impl Fn(&Target) -> bool, now: Instant) -> Publisher {
        let mut publisher = Publisher::new(plan, &[], now);
        for id in publisher.board.ids() {
            let target = publisher.board.target(id);
            let outcome = if dead(target) {
                Outcome::Failed(Cause { layer: DRILL, what: "as if down".into() })
            } else {
                Outcome::Succeeded(Duration::ZERO)
            };
            let aim = Arc::clone(&target.aim);
            let seen = Seen { outcome, started: now, at: now, decided_by: now };
            publisher.handle(Event::Observed(Observation { aim, seen }), now);
        }
        publisher
    }

    /// The Snapshot that would follow if these targets were down, too. Nothing here changes, and nothing is told.
    pub fn without(&self, dead: impl Fn(&Target) -> bool, now: Instant) -> Snapshot {
        let mut board = self.board.clone();
        let mut touched: BTreeSet<_> = self.dirty.clone();
        for id in self.board.ids() {
            let target = self.board.target(id);
            if dead(target) {
                touched.insert(target.cluster);
                board.presume_down(id, now);
            }
        }
        let mut pools = self.pools.clone();
        let world = World { plan: &self.plan, board: &board, orders: &self.orders, now };
        for cluster in touched {
            let at = usize::from(cluster.0);
            let targets = self.targets[at].clone().map(TargetId);
            pools[at] = Arc::new(pools_of(&world, cluster, targets).0);
        }
        let all_down = self.plan.groups.iter().map(|group| is_down(group, &pools)).collect();
        Snapshot {
            plan: Arc::clone(&self.plan),
            pools,
            warming: false,
            all_down,
            editions: self.editions.clone(),
            orders: self.orders.standing().cloned().collect(),
            doubting: self.doubting(),
            bends: Arc::clone(&self.bends),
            expired: Vec::new(),
        }
    }
}
