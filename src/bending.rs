//! How ranked lists stand today: what quality holds against clusters, and what load divides, over a whole Plan.
//!
//! Told once a second what is up and what was measured, it says how lists stand. It runs off the publisher's path.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::cluster::{Cluster, Family};
use crate::geo::place::Prefix;
use crate::health::quality::{Load, Ways};
use crate::health::verdict::Verdict;
use crate::plan::{Group, Plan};
use crate::snapshot::Snapshot;
use crate::steering::balance::steps::Balance;
use crate::steering::balance::table::Summary;
use crate::steering::balance::world::{Cluster as Carrier, List, Report, World};
use crate::steering::bend::{Bends, BentGroup, BentList, Penalty, bend};
use crate::steering::choose::Standing;
use crate::steering::client::unroutable_blocks;
use crate::steering::kinds::RankedList;
use crate::steering::rules::Policy;

/// How ranked lists stand today, and what is remembered for tomorrow's calm.
#[derive(Debug, Default)]
pub struct Bending {
    plan: Arc<Plan>,
    balance: Option<Balance>,
    stepped: Option<Instant>,
    /// Group by group, and cluster by cluster.
    penalties: Vec<Vec<Penalty>>,
    /// Group by group, and list by list: how much its clients weigh.
    weights: Vec<Vec<f64>>,
}

/// What was measured at one instant.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Cluster by cluster: its ways. Clusters beyond its end: nothing is known of them.
    pub ways: Vec<Ways>,
    /// What nodes said of their load.
    pub loads: Vec<Load>,
}

impl Bending {
    /// How lists stand at `now`.
    pub fn step(&mut self, snapshot: &Snapshot, measured: &Measured, now: Instant) -> Bends {
        if !Arc::ptr_eq(&self.plan, &snapshot.plan) {
            self.load(&snapshot.plan);
        }
        let plan = Arc::clone(&self.plan);
        let penalties = self.follow(&plan, &measured.ways, snapshot.doubting.is_some(), now);
        let none = |of_group: &Vec<f32>| of_group.iter().all(|ms| *ms == 0.0);
        let lists: Vec<Vec<Bent>> = plan
            .groups
            .iter()
            .zip(&penalties)
            .map(|(group, of_group)| {
                let (lists, is_calm) = (lists_of(&plan, group), none(of_group));
                let bent = |list| match is_calm {
                    true => Bent::default(),
                    false => {
                        let (order, costs_ms) = bend(list, |id| of_group[usize::from(id.0)]);
                        Bent { order, costs_ms: Some(costs_ms) }
                    }
                };
                lists.iter().map(bent).collect()
            })
            .collect();
        let summary = self.divide(snapshot, &lists, &measured.loads, now);
        let groups = self.written(&plan, lists);
        let penalties = if penalties.iter().all(none) { Vec::new() } else { penalties };
        let Summary { clusters, short, .. } = summary.unwrap_or_default();
        Bends { groups, penalties, shares: clusters, short }
    }

    /// Goes over to another Plan. What is remembered goes on where the lists are the same.
    fn load(&mut self, plan: &Arc<Plan>) {
        if !same_lists(&self.plan, plan) || self.plan.balance != plan.balance {
            self.balance = plan.balance.map(Balance::new);
            self.penalties =
                plan.groups.iter().map(|_| vec![Penalty::default(); plan.inventory.clusters.len()]).collect();
        }
        self.weights = match plan.balance {
            Some(_) => weights(plan),
            None => Vec::new(),
        };
        self.plan = Arc::clone(plan);
    }

    /// Group by group, what is held against clusters, in ms. While the server doubts its own network, that stays as it is.
    fn follow(&mut self, plan: &Plan, ways: &[Ways], doubting: bool, now: Instant) -> Vec<Vec<f32>> {
        let of_group = |(group, penalties): (&Group, &mut Vec<Penalty>)| {
            let quality = policy_of(plan, group).quality;
            let family = plan.kinds[usize::from(group.kind)].family as usize;
            let follow = |(at, penalty): (usize, &mut Penalty)| {
                let way = ways.get(at).and_then(|ways| ways[family]);
                match quality {
                    // A policy that it does not count for takes back what it held.
                    None => *penalty = Penalty::default(),
                    Some(_) if doubting => penalty.stay(),
                    Some(quality) => penalty.follow(way.map(|way| way.rise_ms), quality, now),
                }
                penalty.ms
            };
            penalties.iter_mut().enumerate().map(follow).collect()
        };
        plan.groups.iter().zip(&mut self.penalties).map(of_group).collect()
    }

    /// Divides clients over clusters by what these can carry; `None`: load is not balanced.
    fn divide(
        &mut self,
        snapshot: &Snapshot,
        bent: &[Vec<Bent>],
        loads: &[Load],
        now: Instant,
    ) -> Option<Summary> {
        let plan = &*self.plan;
        let balance = self.balance.as_mut()?;
        let expiry = plan.balance?.expiry;
        let reports = reports(plan, loads, now);
        let opens: Vec<Vec<u64>> = snapshot
            .pools
            .iter()
            .map(|pools| {
                let open = |pool: &crate::snapshot::LivePool| match pool.pool.standing {
                    Standing::Up => pool.pool.open,
                    _ => 0,
                };
                pools.pools.iter().map(open).collect()
            })
            .collect();
        let clusters: Vec<Carrier<'_>> = plan
            .inventory
            .clusters
            .iter()
            .zip(&opens)
            .enumerate()
            .map(|(at, (cluster, open))| {
                let capacity = cluster.capacity? as f64 * share_up(snapshot, cluster, at);
                let report = reports[at].filter(|report| report.age <= expiry);
                Carrier::new(capacity.max(1.0), open, report)
            })
            .collect::<Option<_>>()?;
        let mut lists = Vec::new();
        for ((group, bent), weights) in plan.groups.iter().zip(bent).zip(&self.weights) {
            for ((list, bent), weight) in lists_of(plan, group).iter().zip(bent).zip(weights) {
                let order = bent.order.as_deref().unwrap_or(&list.clusters);
                let costs = bent.costs_ms.as_deref().unwrap_or(&list.costs_ms);
                lists.push(List::new(order, costs, *weight, usize::from(group.kind))?);
            }
        }
        let elapsed = self.stepped.map(|last| now.saturating_duration_since(last)).unwrap_or_default();
        self.stepped = Some(now);
        Some(balance.step(&World::new(&lists, &clusters)?, elapsed))
    }

    /// What was found, as queries read it.
    fn written(&self, plan: &Plan, bent: Vec<Vec<Bent>>) -> Vec<BentGroup> {
        let table = self.balance.as_ref().map(Balance::table);
        let mut row = 0;
        let group = |(group, bent): (&Group, Vec<Bent>)| {
            let lists = lists_of(plan, group).iter().zip(bent).map(|(list, bent)| {
                let first = table.and_then(|table| table.row(row)).cloned();
                row += 1;
                if bent.order.is_none() && first.is_none() {
                    return None;
                }
                let costs_ms = bent.costs_ms.unwrap_or_else(|| list.costs_ms.clone());
                Some(BentList { clusters: bent.order, costs_ms, first })
            });
            let lists: Vec<_> = lists.collect();
            BentGroup { lists: if lists.iter().all(Option::is_none) { Vec::new() } else { lists } }
        };
        let groups: Vec<_> = plan.groups.iter().zip(bent).map(group).collect();
        if groups.iter().all(|group| group.lists.is_empty()) { Vec::new() } else { groups }
    }
}

/// A list with today's penalties.
#[derive(Default)]
struct Bent {
    order: Option<Box<[crate::cluster::ClusterId]>>,
    costs_ms: Option<Box<[f32]>>,
}

/// The policy of a group: all its services have the same.
fn policy_of<'p>(plan: &'p Plan, group: &Group) -> &'p Policy {
    let service = &plan.services[group.services[0].0 as usize];
    &plan.policies[usize::from(service.policy.0)]
}

/// The ranked lists of a group's clients.
fn lists_of<'p>(plan: &'p Plan, group: &Group) -> &'p [RankedList] {
    &plan.maps[usize::from(group.map)].mapped.lists
}

/// Whether two Plans have the same groups of services, and these the same ranked lists of the same clusters.
pub fn same_lists(one: &Plan, other: &Plan) -> bool {
    let (clusters, others) = (&one.inventory.clusters, &other.inventory.clusters);
    let same = |(group, other_group): (&Group, &Group)| {
        let kinds = |plan: &Plan, group: &Group| plan.kinds[usize::from(group.kind)];
        policy_of(one, group).key == policy_of(other, other_group).key
            && kinds(one, group) == kinds(other, other_group)
            && lists_of(one, group) == lists_of(other, other_group)
    };
    clusters.iter().map(|cluster| &cluster.key).eq(others.iter().map(|cluster| &cluster.key))
        && one.groups.len() == other.groups.len()
        && one.groups.iter().zip(&other.groups).all(same)
}

/// Group by group and list by list: how much its clients weigh, all of them together 1. Each list counts for its share of the
/// addresses of the public internet, each group for what its services are asked for.
fn weights(plan: &Plan) -> Vec<Vec<f64>> {
    let total: f64 = plan.groups.iter().map(|group| group.demand).sum();
    let mut of_maps: HashMap<(u16, Family), Vec<f64>> = HashMap::new();
    let blocks: Vec<Prefix> = unroutable_blocks().collect();
    let weights = plan.groups.iter().map(|group| {
        let family = plan.kinds[usize::from(group.kind)].family;
        let mapped = &plan.maps[usize::from(group.map)].mapped;
        let shares = of_maps.entry((group.map, family)).or_insert_with(|| {
            let mut shares = vec![0.0; mapped.lists.len()];
            let map = if family == Family::V4 { &mapped.v4 } else { &mapped.v6 };
            for tile in map.tiles().filter(|tile| is_public(tile.key, tile.bits, family, &blocks)) {
                shares[tile.value as usize] += (-f64::from(tile.bits)).exp2();
            }
            let all: f64 = shares.iter().sum();
            shares.iter_mut().for_each(|share| *share /= all.max(f64::MIN_POSITIVE));
            shares
        });
        let demand = if total > 0.0 { group.demand / total } else { 0.0 };
        shares.iter().map(|share| share * demand).collect()
    });
    weights.collect()
}

/// Whether clients may be in a network: of IPv4, it does not lie in one of the special-purpose `blocks`; of IPv6, it is global unicast
/// (2000::/3). `key` are its leading 64 bits.
fn is_public(key: u64, bits: u8, family: Family, blocks: &[Prefix]) -> bool {
    let around = |block: &Prefix| match block.address() {
        IpAddr::V4(network) => {
            let shift = 64 - u32::from(block.bits());
            bits >= block.bits() && key >> shift == u64::from(u32::from(network)) << 32 >> shift
        }
        IpAddr::V6(_) => false,
    };
    match family {
        Family::V4 => !blocks.iter().any(around),
        Family::V6 => bits < 3 || key >> 61 == 1,
    }
}

/// Cluster by cluster: the mean of what its nodes say of their load, by weight; of several words of a node the newest.
fn reports(plan: &Plan, loads: &[Load], now: Instant) -> Vec<Option<Report>> {
    let mut newest: HashMap<(&str, &str), &Load> = HashMap::new();
    for load in loads {
        let last = newest.entry((&load.cluster, &load.node)).or_insert(load);
        if load.at > last.at {
            *last = load;
        }
    }
    let of = |cluster: &Cluster| {
        let (mut used, mut weights, mut oldest) = (0.0, 0.0, now);
        for node in &cluster.nodes {
            if let Some(load) = newest.get(&(&*cluster.key, &*node.key)) {
                used += load.used * f64::from(node.weight);
                weights += f64::from(node.weight);
                oldest = oldest.min(load.at);
            }
        }
        (weights > 0.0).then(|| Report { used: used / weights, age: now.saturating_duration_since(oldest) })
    };
    plan.inventory.clusters.iter().map(of).collect()
}

/// The share of a cluster's nodes, by weight, that is there: up, and not taken out by an operator.
fn share_up(snapshot: &Snapshot, cluster: &Cluster, at: usize) -> f64 {
    let pools = &snapshot.pools[at];
    if pools.held.is_empty() {
        return 1.0;
    }
    let is_up = |node: usize| {
        let said = pools.said.get(node).and_then(Option::as_ref).map(|said| said.word);
        match said {
            Some(crate::cluster::Word::Up) => return true,
            Some(_) => return false,
            None => {}
        }
        let mut own = pools.held.iter().filter(|held| usize::from(held.target.node) == node);
        own.any(|held| !matches!(held.standing, Verdict::Down))
    };
    let weight = |node: usize| f64::from(cluster.nodes[node].weight);
    let all: f64 = (0..cluster.nodes.len()).map(weight).sum();
    let up: f64 = (0..cluster.nodes.len()).filter(|node| is_up(*node)).map(weight).sum();
    if all > 0.0 { up / all } else { 1.0 }
}
