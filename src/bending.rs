//! How ranked lists stand today: what quality holds against clusters, and what load divides, over a whole Plan.
//!
//! Told once a second what is up and what was measured, it says how lists stand. It runs off the publisher's path.

mod kin;
mod there;

use std::sync::Arc;
use std::time::Instant;

use self::kin::Kin;
pub use self::kin::carried;
use self::there::{reports, there};
use crate::cluster::ClusterId;
use crate::health::quality::{Load, Ways};
use crate::plan::{Group, Plan};
use crate::snapshot::Snapshot;
use crate::steering::balance::settings::Settings;
use crate::steering::balance::steps::{Balance, Was};
use crate::steering::balance::table::{Row, Summary, kept};
use crate::steering::balance::world::{Cluster as Carrier, List, RANKS_MAX, World};
use crate::steering::bend::{Bends, BentGroup, BentList, Penalty, bend};
use crate::steering::choose::Standing;
use crate::steering::kinds::RankedList;
use crate::steering::rules::Policy;
use crate::steering::slots::SLOTS;

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
    /// What the balance is to be told of a reload with its next step.
    reloaded: Option<Reloaded>,
}

/// What a list was before a reload.
#[derive(Clone, Copy, Debug)]
struct Origin {
    /// Its row in the balance's table.
    row: usize,
    group: usize,
    list: usize,
    /// How much more a weight of it asks for than before: what services are asked for stays, whatever others came or went.
    more: f64,
}

/// What became of lists and clusters in a reload.
#[derive(Debug)]
struct Reloaded {
    settings: Settings,
    old: Arc<Plan>,
    /// Row by row of the balance's table.
    lists: Vec<Option<Origin>>,
    clusters: Vec<Option<ClusterId>>,
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
        let mut ranks = vec![0; plan.inventory.clusters.len()];
        let lists: Vec<Vec<Bent>> = plan
            .groups
            .iter()
            .zip(&penalties)
            .map(|(group, of_group)| {
                let (lists, is_calm) = (lists_of(&plan, group), none(of_group));
                let bent = |list| match is_calm {
                    true => Bent::default(),
                    false => Bent::new(list, |id| of_group[usize::from(id.0)], &mut ranks),
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

    /// Goes over to another Plan. What is remembered of lists and clusters goes on where they are the same to operators.
    fn load(&mut self, plan: &Arc<Plan>) {
        let weights = match plan.balance {
            Some(_) => weights(plan),
            None => Vec::new(),
        };
        let kin = Kin::new(&self.plan, plan);
        self.penalties = kin.by_policy(&self.penalties);
        self.reloaded = plan.balance.filter(|_| self.balance.is_some()).map(|settings| Reloaded {
            settings,
            lists: origins(&kin, (&self.plan, &self.weights), (plan, &weights)),
            clusters: kin.clusters,
            old: Arc::clone(&self.plan),
        });
        if self.reloaded.is_none() {
            self.balance = plan.balance.map(Balance::new);
        }
        self.weights = weights;
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
        let there = there(snapshot);
        let reports = reports(plan, &there, loads, plan.balance?.expiry, now);
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
            .zip(there.iter().zip(reports))
            .map(|((cluster, open), (there, report))| {
                Some(Carrier::new(cluster.capacity? as f64, open, report)?.in_part(there.share))
            })
            .collect::<Option<_>>()?;
        let mut lists = Vec::new();
        for ((group, bent), weights) in plan.groups.iter().zip(bent).zip(&self.weights) {
            for ((list, bent), weight) in lists_of(plan, group).iter().zip(bent).zip(weights) {
                let as_always = List::new(&list.clusters, &list.costs_ms, *weight, usize::from(group.kind))?;
                lists.push(match &bent.today {
                    Some(today) => as_always.today(&today.costs_ms, &today.order)?,
                    None => as_always,
                });
            }
        }
        let world = World::new(&lists, &clusters)?;
        if let Some(reloaded) = self.reloaded.take() {
            let was = |was: &Option<Origin>| {
                let Origin { row, group, list, more } = (*was)?;
                let clusters = &lists_of(&reloaded.old, &reloaded.old.groups[group])[list].clusters;
                Some(Was { list: row, clusters, more })
            };
            let lists: Vec<_> = reloaded.lists.iter().map(was).collect();
            balance.carry(reloaded.settings, &world, &lists, &reloaded.clusters);
        }
        let elapsed = self.stepped.map(|last| now.saturating_duration_since(last)).unwrap_or_default();
        self.stepped = Some(now);
        Some(balance.step(&world, elapsed))
    }

    /// What was found, as queries read it.
    fn written(&self, plan: &Plan, bent: Vec<Vec<Bent>>) -> Vec<BentGroup> {
        let table = self.balance.as_ref().map(Balance::table);
        let mut row = 0;
        let group = |(group, bent): (&Group, Vec<Bent>)| {
            let lists = lists_of(plan, group).iter().zip(bent).map(|(list, bent)| {
                let row_now = table.and_then(|table| table.row(row));
                row += 1;
                let first = match (&bent.today, table) {
                    (Some(today), Some(_)) if bent.order.is_some() => today.first(row_now.map(|row| &**row)),
                    _ => row_now.cloned(),
                };
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
    order: Option<Box<[ClusterId]>>,
    /// In that order.
    costs_ms: Option<Box<[f32]>>,
    /// `None`: as always.
    today: Option<Today>,
}

/// The same in the order in which the list always stands: who is at home where does not change from day to day.
struct Today {
    /// Rank by rank.
    costs_ms: Box<[f32]>,
    /// The ranks, the cheapest first.
    order: Box<[u8]>,
}

impl Bent {
    /// `ranks`: cluster by cluster room for a rank.
    fn new(list: &RankedList, penalty_ms: impl Fn(ClusterId) -> f32, ranks: &mut [usize]) -> Bent {
        let costs_ms = list.clusters.iter().zip(&list.costs_ms).take(RANKS_MAX);
        let costs_ms = costs_ms.map(|(id, cost)| cost + penalty_ms(*id)).collect();
        let (order, sorted_ms) = bend(list, penalty_ms);
        list.clusters.iter().enumerate().for_each(|(rank, id)| ranks[usize::from(id.0)] = rank);
        let of = order.as_deref().unwrap_or(&list.clusters).iter();
        let by_cost = of.filter_map(|id| u8::try_from(ranks[usize::from(id.0)]).ok()).collect();
        Bent { order, costs_ms: Some(sorted_ms), today: Some(Today { costs_ms, order: by_cost }) }
    }
}

impl Today {
    /// A row of the balance's table, in today's order; `None`: all begin at the top.
    fn first(&self, row: Option<&Row>) -> Option<Arc<Row>> {
        let mut of_rank = [0; RANKS_MAX];
        self.order.iter().zip(0u8..=u8::MAX).for_each(|(rank, now)| of_rank[usize::from(*rank)] = now);
        let now = row.copied().unwrap_or([0; SLOTS as usize]).map(|rank| of_rank[usize::from(rank)]);
        kept(&now)
    }
}

/// Row by row of a balance's table what its list was before a reload.
fn origins(kin: &Kin, old: (&Plan, &[Vec<f64>]), new: (&Plan, &[Vec<f64>])) -> Vec<Option<Origin>> {
    let ((old, old_weights), (new, new_weights)) = (old, new);
    let mut rows = Vec::new();
    let mut next = 0;
    for group in &old.groups {
        rows.push(next);
        next += lists_of(old, group).len();
    }
    let of = |weights: &[Vec<f64>], at: usize| weights.get(at).map_or(0.0, |lists| lists.iter().sum());
    let mut origins = Vec::new();
    for (at, now) in new.groups.iter().enumerate() {
        let more = kin.groups[at].map(|was| of(old_weights, was) / of(new_weights, at));
        let more = more.filter(|more: &f64| more.is_finite() && *more > 0.0).unwrap_or(1.0);
        for number in 0..lists_of(new, now).len() {
            let list = kin.lists[at].get(number).copied().flatten();
            let was = kin.groups[at].zip(list);
            origins.push(was.map(|(group, list)| Origin { row: rows[group] + list, group, list, more }));
        }
    }
    origins
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

/// Group by group and list by list: how much its clients weigh, all of them together 1. Each list counts for its part of all
/// clients, each group for what its services are asked for.
fn weights(plan: &Plan) -> Vec<Vec<f64>> {
    let total: f64 = plan.groups.iter().map(|group| group.demand).sum();
    let of_group = |group: &Group| {
        let demand = if total > 0.0 { group.demand / total } else { 0.0 };
        group.parts.iter().map(|part| part * demand).collect()
    };
    plan.groups.iter().map(of_group).collect()
}
