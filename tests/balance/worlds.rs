//! Worlds on a flat map: clusters and clients at points, costs by distance.

use std::time::Duration;

use steerdns::cluster::ClusterId;
use steerdns::steering::balance::steps::Balance;
use steerdns::steering::balance::table::{Summary, Table};
use steerdns::steering::balance::world::{Cluster, List, Report, World};

use crate::dice::Dice;

/// All 64 slots.
pub const ALL: u64 = u64::MAX;

/// A list: who it ranks, and how much its clients weigh.
#[derive(Clone, Debug)]
pub struct MadeList {
    pub clusters: Vec<ClusterId>,
    pub costs_ms: Vec<f32>,
    pub weight: f64,
    pub kind: usize,
}

/// A cluster as it is now.
#[derive(Clone, Debug)]
pub struct MadeCluster {
    pub capacity: f64,
    /// Which share of it is up.
    pub share: f64,
    pub open: Vec<u64>,
    pub report: Option<Report>,
}

/// A world that a test may change from step to step.
#[derive(Clone, Debug)]
pub struct Made {
    pub points: Vec<[f64; 2]>,
    pub lists: Vec<MadeList>,
    pub clusters: Vec<MadeCluster>,
}

/// 0.0..1.0.
pub fn unit(dice: &mut Dice) -> f64 {
    (dice.next() >> 11) as f64 / (1u64 << 53) as f64
}

impl Made {
    /// Random points on a map 300 ms wide; each list ranks all clusters, or in `only` of a hundred some of them. Most clusters
    /// can carry their own clients.
    pub fn random(dice: &mut Dice, lists: usize, clusters: usize, only: usize) -> Made {
        let points: Vec<[f64; 2]> = (0..clusters).map(|_| [unit(dice) * 300.0, unit(dice) * 100.0]).collect();
        let list = |dice: &mut Dice| {
            let home = [unit(dice) * 300.0, unit(dice) * 100.0];
            let mut ranked: Vec<(f32, u16)> = (0..)
                .zip(&points)
                .map(|(id, at)| ((at[0] - home[0]).hypot(at[1] - home[1]) as f32, id))
                .collect();
            ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
            if dice.chance(only) {
                let keep = 1 + dice.below(clusters);
                while ranked.len() > keep {
                    ranked.remove(dice.below(ranked.len()));
                }
            }
            MadeList {
                clusters: ranked.iter().map(|ranked| ClusterId(ranked.1)).collect(),
                costs_ms: ranked.iter().map(|ranked| ranked.0).collect(),
                weight: 0.2 + unit(dice).powi(3) * 5.0,
                kind: 0,
            }
        };
        let lists: Vec<MadeList> = (0..lists).map(|_| list(dice)).collect();
        let cluster = |dice: &mut Dice, id: u16| {
            let own = lists.iter().filter(|list| list.clusters[0].0 == id);
            let own: f64 = own.map(|list| list.weight).sum();
            let capacity = (2.0 + own) * (0.7 + 2.0 * unit(dice));
            MadeCluster { capacity, share: 1.0, open: vec![ALL], report: None }
        };
        let clusters = (0..clusters as u16).map(|id| cluster(dice, id)).collect();
        Made { points, lists, clusters }
    }

    /// One step of a balance in this world.
    pub fn step(&self, balance: &mut Balance, elapsed: Duration) -> Summary {
        self.told(|world| balance.step(world, elapsed))
    }

    /// The world as a balance is told of it.
    pub fn told<T>(&self, to: impl FnOnce(&World<'_>) -> T) -> T {
        let lists: Vec<List<'_>> = self
            .lists
            .iter()
            .map(|list| List::new(&list.clusters, &list.costs_ms, list.weight, list.kind).unwrap())
            .collect();
        let clusters: Vec<Cluster<'_>> = self
            .clusters
            .iter()
            .map(|cluster| {
                Cluster::new(cluster.capacity, &cluster.open, cluster.report).unwrap().in_part(cluster.share)
            })
            .collect();
        to(&World::new(&lists, &clusters).unwrap())
    }

    /// Whether a slot of a list may come to the cluster at a rank.
    pub fn is_open(&self, list: usize, rank: usize, slot: u8) -> bool {
        let of = &self.lists[list];
        let cluster = &self.clusters[usize::from(of.clusters[rank].0)];
        cluster.open.get(of.kind).copied().unwrap_or(0) >> slot & 1 == 1
    }

    /// The rank that a query is answered from: it begins where the table says, goes down the list, then from the top.
    pub fn chosen(&self, table: &Table, list: usize, slot: u8) -> Option<usize> {
        let ranks = self.lists[list].clusters.len();
        let first = usize::from(table.first(list, slot));
        (0..ranks).map(|step| (first + step) % ranks).find(|&rank| self.is_open(list, rank, slot))
    }

    /// What clusters carry by a table, where each slot of a list asks for `per_slot`.
    pub fn loads(&self, table: &Table, per_slot: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut loads = vec![0.0; self.clusters.len()];
        for list in 0..self.lists.len() {
            for slot in 0..64 {
                if let Some(rank) = self.chosen(table, list, slot) {
                    loads[usize::from(self.lists[list].clusters[rank].0)] += per_slot(list);
                }
            }
        }
        loads
    }

    /// The sum of all weights.
    pub fn weight(&self) -> f64 {
        self.lists.iter().map(|list| list.weight).sum()
    }

    /// The sum of all capacities.
    pub fn capacity(&self) -> f64 {
        self.clusters.iter().map(|cluster| cluster.capacity).sum()
    }

    /// Takes a cluster out, or in.
    pub fn set_up(&mut self, cluster: usize, is_up: bool) {
        self.clusters[cluster].open.fill(if is_up { ALL } else { 0 });
    }

    /// Each cluster that is up reports what it carries.
    pub fn report(&mut self, loads: &[f64]) {
        for (cluster, load) in self.clusters.iter_mut().zip(loads) {
            let used = load / cluster.capacity;
            let is_up = cluster.open.iter().any(|&open| open != 0);
            cluster.report = is_up.then_some(Report { used, age: Duration::ZERO });
        }
    }
}
