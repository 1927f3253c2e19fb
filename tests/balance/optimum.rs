//! The least sum of costs with which clients fit into clusters: a transportation problem, solved exactly by successive shortest paths
//! (Ford and Fulkerson 1962; Ahuja, Magnanti, Orlin: "Network Flows", 1993, §9.7).

use crate::worlds::Made;

const NOTHING: f64 = 1e-9;

/// The least possible sum over all clients of demand × cost; `None`: they do not fit. Demands by list, capacities by cluster (0: down).
pub fn least(made: &Made, demands: &[f64], capacities: &[f64]) -> Option<f64> {
    let (lists, clusters) = (demands.len(), capacities.len());
    let (source, sink) = (lists + clusters, lists + clusters + 1);
    let mut edges = Edges { heads: vec![Vec::new(); lists + clusters + 2], all: Vec::new() };
    for (list, &demand) in demands.iter().enumerate() {
        edges.add(source, list, demand, 0.0);
        let of = &made.lists[list];
        for (id, &cost) in of.clusters.iter().zip(&of.costs_ms) {
            edges.add(list, lists + usize::from(id.0), f64::INFINITY, f64::from(cost));
        }
    }
    for (cluster, &capacity) in capacities.iter().enumerate() {
        edges.add(lists + cluster, sink, capacity, 0.0);
    }
    let (mut sent, mut total) = (0.0, 0.0);
    while let Some((path, cost)) = edges.shortest(source, sink) {
        let room = path.iter().map(|&edge| edges.all[edge].room).fold(f64::INFINITY, f64::min);
        for &edge in &path {
            edges.all[edge].room -= room;
            edges.all[edge ^ 1].room += room;
        }
        sent += room;
        total += room * cost;
    }
    (sent >= demands.iter().sum::<f64>() - 1e-6).then_some(total)
}

struct Edge {
    to: usize,
    room: f64,
    cost: f64,
}

/// Edges in pairs: each with its reverse.
struct Edges {
    heads: Vec<Vec<usize>>,
    all: Vec<Edge>,
}

impl Edges {
    fn add(&mut self, from: usize, to: usize, room: f64, cost: f64) {
        self.heads[from].push(self.all.len());
        self.all.push(Edge { to, room, cost });
        self.heads[to].push(self.all.len());
        self.all.push(Edge { to: from, room: 0.0, cost: -cost });
    }

    /// The cheapest path with room (Bellman and Ford), and its cost.
    fn shortest(&self, source: usize, sink: usize) -> Option<(Vec<usize>, f64)> {
        let mut least = vec![f64::INFINITY; self.heads.len()];
        let mut by = vec![usize::MAX; self.heads.len()];
        least[source] = 0.0;
        loop {
            let mut changed = false;
            for from in 0..self.heads.len() {
                for &number in &self.heads[from] {
                    let edge = &self.all[number];
                    if least[from].is_finite()
                        && edge.room > NOTHING
                        && least[from] + edge.cost < least[edge.to] - NOTHING
                    {
                        least[edge.to] = least[from] + edge.cost;
                        by[edge.to] = number;
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        let mut path = Vec::new();
        let mut at = sink;
        while at != source {
            let edge = *by.get(at).filter(|&&edge| edge != usize::MAX)?;
            path.push(edge);
            at = self.all[edge ^ 1].to;
        }
        Some((path, least[sink]))
    }
}
