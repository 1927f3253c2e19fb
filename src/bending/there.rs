//! What of each cluster is there for clients, and what it says of its load.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Family};
use crate::health::quality::Load;
use crate::plan::Plan;
use crate::snapshot::{ClusterPools, Snapshot};
use crate::steering::balance::world::{Report, USED_MAX};
use crate::steering::slots::SLOTS;

/// What of a cluster is there.
pub(super) struct There {
    /// Node by node: the share of what it can carry, 0 to 1.
    nodes: Vec<f64>,
    /// All of them together, by weight.
    pub(super) share: f64,
}

/// Cluster by cluster what of it is there.
pub(super) fn there(snapshot: &Snapshot) -> Vec<There> {
    let plan = &*snapshot.plan;
    // Cluster by cluster: which pools its clients are answered from, and how much each is asked for.
    let mut kinds: Vec<Vec<(usize, f64)>> = vec![Vec::new(); plan.inventory.clusters.len()];
    for group in &plan.groups {
        for id in &group.candidates {
            kinds[usize::from(id.0)].push((usize::from(group.kind), group.demand));
        }
    }
    let clusters = plan.inventory.clusters.iter().zip(&snapshot.pools).zip(kinds);
    clusters.map(|((cluster, pools), kinds)| There::new(plan, cluster, pools, &kinds)).collect()
}

impl There {
    fn new(plan: &Plan, cluster: &Cluster, pools: &ClusterPools, kinds: &[(usize, f64)]) -> There {
        let node = |at: usize| {
            // By each pool that it has addresses for: a node of whose addresses those of one family are dead carries the others' clients.
            let (mut there, mut all) = (0.0, 0.0);
            for &(kind, demand) in kinds {
                let family = plan.kinds[kind].family;
                if cluster.nodes[at].addresses.iter().any(|own| Family::of(own.ip) == family) {
                    let slots = pools.pools.get(kind).and_then(|pool| pool.slots.get(at)).copied();
                    there += demand * f64::from(slots.unwrap_or(0)) / f64::from(SLOTS);
                    all += demand;
                }
            }
            if all > 0.0 { there / all } else { 0.0 }
        };
        let nodes: Vec<f64> = (0..cluster.nodes.len()).map(node).collect();
        let weights = || cluster.nodes.iter().map(|node| f64::from(node.weight));
        let there: f64 = nodes.iter().zip(weights()).map(|(there, weight)| there * weight).sum();
        let all: f64 = weights().sum();
        // Nobody asks for a cluster without pools: it is as its file says.
        There { nodes, share: if all > 0.0 && !kinds.is_empty() { there / all } else { 1.0 } }
    }
}

/// Cluster by cluster: what its nodes say of their load, by weight; of several words of a node the newest.
///
/// A node that is not there says nothing, nor does one whose word is older than `expiry` or cannot be true. Those that say nothing are taken to be as busy
/// as the others.
pub(super) fn reports(
    plan: &Plan,
    there: &[There],
    loads: &[Load],
    expiry: Duration,
    now: Instant,
) -> Vec<Option<Report>> {
    let age = |load: &Load| now.saturating_duration_since(load.at);
    let mut newest: HashMap<(&str, &str), &Load> = HashMap::new();
    for load in loads.iter().filter(|load| (0.0..=USED_MAX).contains(&load.used) && age(load) <= expiry) {
        let last = newest.entry((&load.cluster, &load.node)).or_insert(load);
        if load.at > last.at {
            *last = load;
        }
    }
    let of = |(cluster, there): (&Cluster, &There)| {
        let (mut used, mut room, mut oldest) = (0.0, 0.0, Duration::ZERO);
        for (node, there) in cluster.nodes.iter().zip(&there.nodes).filter(|(_, there)| **there > 0.0) {
            if let Some(load) = newest.get(&(&*cluster.key, &*node.key)) {
                used += load.used * f64::from(node.weight);
                room += there * f64::from(node.weight);
                oldest = oldest.max(age(load));
            }
        }
        (room > 0.0).then(|| Report { used: (used / room).min(USED_MAX), age: oldest })
    };
    plan.inventory.clusters.iter().zip(there).map(of).collect()
}
