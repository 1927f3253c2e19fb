//! The world of the files, as if all were up but what is down already: what drills and changes are held against.
#![allow(clippy::disallowed_methods)] // It tells the core what time it is.

use std::sync::Arc;
use std::time::Instant;

use crate::health::overrides::Selector;
use crate::health::target::Target;
use crate::impact::result::Impact;
use crate::impact::stage::Stage;
use crate::plan::Plan;
use crate::publisher::Publisher;
use crate::publisher::rest::{at_rest, known};
use crate::snapshot::Snapshot;

/// The world of the files, as if all were up but what is down already.
pub(super) struct Paper {
    publisher: Publisher,
    pub(super) before: Snapshot,
    down: Vec<Selector>,
    now: Instant,
}

impl Paper {
    /// With all of these down.
    pub(super) fn new(plan: &Arc<Plan>, down: &[Selector]) -> Paper {
        let now = Instant::now();
        let dead =
            |target: &Target| down.iter().any(|selector| selector.means_target(&plan.inventory, target));
        let mut publisher = Publisher::rehearsed(Arc::clone(plan), dead, now);
        let (before, _) = publisher.publish(now);
        Paper { publisher, before: before.unwrap_or_default(), down: down.to_vec(), now }
    }

    /// What it means that these fail, too.
    pub(super) fn impact(&self, stage: &Stage<'_>, kill: &[Selector]) -> Impact {
        let inventory = &self.before.plan.inventory;
        let after = self
            .publisher
            .without(|target| kill.iter().any(|selector| selector.means_target(inventory, target)), self.now);
        let is_down = |cluster, node| self.down.iter().any(|selector| selector.means(cluster, node));
        let falls = |cluster, node| kill.iter().any(|of| of.means(cluster, node)) && !is_down(cluster, node);
        let nodes = inventory.clusters.iter();
        let nodes =
            nodes.map(|cluster| cluster.nodes.iter().filter(|node| falls(cluster, node)).count()).sum();
        let words = |selectors: &[Selector]| selectors.iter().map(ToString::to_string).collect();
        let rest = at_rest(stage, &self.before, &after, self.now);
        let mut impact = stage.impact(&after, rest.as_ref());
        if let Some(known) = known(&self.before.plan) {
            impact.demand = format!("{}; {known}", impact.demand);
        }
        Impact { killed: words(kill), down: words(&self.down), nodes, ..impact }
    }
}
