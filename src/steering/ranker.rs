//! What clusters cost a client, in which order that puts them, and the classes of clients that share a list.

use std::cmp::Reverse;

use super::marks::Mark;
use super::measured::Measured;
use super::rules::{Order, Policy};
use crate::cluster::{ClusterId, Inventory};
use crate::geo::place::Place;
use crate::geo::vector::Vector;

/// Clients are classed by this many clusters at the head of their list.
pub const HEAD: usize = 3;
/// How far a cluster lies behind the best is told this coarsely, in ms.
pub const GAPS_MS: [f64; 3] = [5.0, 20.0, 60.0];

/// Light takes 10 µs for a kilometre of fibre there and back (200,000 km/s).
const FIBRE_MS_PER_KM: f64 = 0.01;
/// What a path of the internet takes, as a multiple of light in a straight fibre: the rule of thumb of measurement campaigns
/// (Bozkurt, Aqeel, Bhattacherjee, Chandrasekaran, Godfrey, Laughlin, Maggs, Singla: "Dissecting Latency in the Internet's
/// Fiber Infrastructure", 2018).
const DETOUR: f64 = 2.1;

/// The round-trip time that a great-circle distance lets expect.
pub fn estimate_ms(distance_km: f64) -> f64 {
    distance_km * FIBRE_MS_PER_KM * DETOUR
}

/// What the costs of a client are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Great-circle distance.
    Estimate,
    /// Measured round-trip times: they say that another cluster is more than the margin better than the nearest.
    Measured,
    /// Nothing: no coordinates. The order is that of the file.
    File,
}

/// Why a cluster stands where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The rule names it.
    Rule,
    /// Its cost.
    Cost,
    /// Behind the head of the list: its nearness to the best.
    Nearness,
    /// Its place in the policy.
    File,
}

/// How finely clients are classed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grain {
    /// By so many clusters at the head, those that a rule names included.
    pub head: usize,
    /// By at least so many that no rule names.
    pub unnamed: usize,
    /// Whether by how far they lie behind the best, too.
    pub gaps: bool,
}

impl Grain {
    /// As finely as it is done at all.
    pub const FINEST: Grain = Grain { head: HEAD, unnamed: 1, gaps: true };
    /// From the finest to the coarsest, of which the last makes at most one class per cluster and rule.
    pub const ALL: [Grain; 5] = [
        Grain::FINEST,
        Grain { head: 3, unnamed: 1, gaps: false },
        Grain { head: 2, unnamed: 1, gaps: false },
        Grain { head: 1, unnamed: 1, gaps: false },
        Grain { head: 1, unnamed: 0, gaps: false },
    ];
}

/// What all clients of one ranked list share. Clusters are places among the candidates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Class {
    /// Those at the head of the list.
    head: Vec<usize>,
    /// How many of them a rule names.
    named: usize,
    /// How far each of the first lies behind the best: see [`GAPS_MS`].
    gaps: [u8; HEAD],
    tail: Tail,
}

impl Class {
    /// Why the cluster stands there that is so many places behind the first.
    pub(super) fn why(&self, rank: usize) -> Why {
        match self.tail {
            _ if rank < self.named => Why::Rule,
            Tail::File => Why::File,
            _ if rank < self.head.len() => Why::Cost,
            _ => Why::Nearness,
        }
    }
}

/// The order of the clusters behind the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Tail {
    /// By nearness to this one: the best of those that no rule names.
    Near(usize),
    /// As in the file.
    File,
    /// There are none: the rule says so.
    #[default]
    None,
}

/// What a client's clusters cost. Indexed by places among the candidates.
#[derive(Debug)]
pub(super) struct Weighed {
    /// Empty where the client's coordinates are not known.
    pub(super) distance_km: Vec<f64>,
    /// The row of the RTT table that holds for each.
    pub(super) rows: Vec<Option<u32>>,
    cost_ms: Vec<f64>,
    pub(super) basis: Basis,
    /// Memory for the costs of a head.
    head_ms: Vec<f64>,
}

impl Default for Weighed {
    fn default() -> Weighed {
        let (distance_km, cost_ms, head_ms) = (Vec::new(), Vec::new(), Vec::new());
        Weighed { distance_km, rows: Vec::new(), cost_ms, basis: Basis::File, head_ms }
    }
}

/// A policy and the clusters that it may choose among, ready to rank many clients.
#[derive(Debug)]
pub(super) struct Ranker<'a> {
    policy: &'a Policy,
    candidates: &'a [ClusterId],
    points: Vec<Vector>,
    /// For each candidate: all of them, the nearest to it first.
    neighbours: Vec<Vec<usize>>,
    /// For each rule: the candidates that it names, in its order.
    named: Vec<Vec<usize>>,
    measured: Measured,
    margin_ms: f64,
}

impl<'a> Ranker<'a> {
    pub(super) fn new(policy: &'a Policy, candidates: &'a [ClusterId], inventory: &Inventory) -> Ranker<'a> {
        let points: Vec<Vector> =
            candidates.iter().map(|&id| Vector::of(inventory.cluster(id).place)).collect();
        let nearest_to = |&from: &Vector| {
            let mut all: Vec<(u32, usize)> =
                points.iter().enumerate().map(|(to, &point)| (from.metres(point) as u32, to)).collect();
            all.sort_unstable();
            all.into_iter().map(|(_, to)| to).collect()
        };
        let neighbours = points.iter().map(nearest_to).collect();
        let named = policy.rules.iter().map(|rule| {
            let (Order::Prefer(named) | Order::Only(named)) = &rule.order;
            let mut positions: Vec<usize> = Vec::with_capacity(named.len());
            for id in named {
                let position = candidates.iter().position(|candidate| candidate == id);
                positions.extend(position.filter(|position| !positions.contains(position)));
            }
            positions
        });
        Ranker {
            policy,
            candidates,
            neighbours,
            named: named.collect(),
            measured: Measured::new(policy, candidates),
            margin_ms: policy.rtt_margin.as_secs_f64() * 1000.0,
            points,
        }
    }

    /// The cluster at a place among the candidates.
    pub(super) fn cluster(&self, position: usize) -> ClusterId {
        self.candidates[position]
    }

    /// The rule that holds for a client: the first that matches.
    pub(super) fn rule(&self, place: &Place, mark: &Mark) -> Option<usize> {
        self.policy.rules.iter().enumerate().position(|(number, rule)| {
            let named = rule.from.prefixes.is_empty() || mark.rules.binary_search(&(number as u32)).is_ok();
            named && rule.from.matches_place(place)
        })
    }

    /// What each candidate costs a client.
    pub(super) fn weigh(&self, place: &Place, mark: &Mark, weighed: &mut Weighed) {
        let Weighed { distance_km, rows, cost_ms, basis, .. } = weighed;
        distance_km.clear();
        if let Some(client) = place.point {
            let client = Vector::of(client);
            distance_km.extend(self.points.iter().map(|&point| client.metres(point) / 1000.0));
        }
        let is_measured = self.measured.rows(place, mark, rows);
        cost_ms.clear();
        if !is_measured && !distance_km.is_empty() {
            *basis = Basis::Estimate;
            cost_ms.extend(distance_km.iter().map(|&km| estimate_ms(km)));
            return;
        }
        let ms = |row: u32| self.policy.rtt[row as usize].ms;
        let nearest = (0..distance_km.len()).min_by(|&a, &b| distance_km[a].total_cmp(&distance_km[b]));
        let measured = rows.iter().flatten().map(|&row| ms(row));
        let best = measured.clone().fold(f64::INFINITY, f64::min);
        let worst = measured.fold(0.0, f64::max);
        // Without coordinates the first of the file stands for the nearest.
        let normal = rows.get(nearest.unwrap_or(0)).copied().flatten().map(ms);
        if normal.is_some_and(|normal| best + self.margin_ms < normal) {
            *basis = Basis::Measured;
            // One that is not measured keeps its estimate, but never passes the best that is.
            let unmeasured =
                |position| distance_km.get(position).map_or(worst, |&km| estimate_ms(km).max(best));
            cost_ms.extend(
                rows.iter().enumerate().map(|(position, row)| row.map_or_else(|| unmeasured(position), ms)),
            );
        } else if nearest.is_some() {
            *basis = Basis::Estimate;
            cost_ms.extend(distance_km.iter().map(|&km| estimate_ms(km)));
        } else {
            *basis = Basis::File;
            cost_ms.resize(self.candidates.len(), 0.0);
        }
    }

    /// The class of a client for whom this rule holds; it is written over `class`, whose memory it takes.
    pub(super) fn class(&self, rule: Option<usize>, weighed: &mut Weighed, grain: Grain, class: &mut Class) {
        let Class { head, named, gaps, tail } = class;
        head.clear();
        head.extend(rule.iter().flat_map(|&rule| &self.named[rule]));
        *named = head.len();
        let only = rule.is_some_and(|rule| matches!(self.policy.rules[rule].order, Order::Only(_)));
        *tail = match weighed.basis {
            _ if only => Tail::None,
            Basis::File => Tail::File,
            Basis::Estimate | Basis::Measured => {
                self.extend_by_cost(head, grain.head.max(*named + grain.unnamed), weighed);
                // Coarsest of all: the first of the rule stands for the best.
                head.get(*named).or(head.first()).map_or(Tail::None, |&best| Tail::Near(best))
            }
        };
        *gaps = [0; HEAD];
        if grain.gaps && weighed.basis != Basis::File {
            let mut costs = std::mem::take(&mut weighed.head_ms);
            self.costs(class, &class.head, weighed, &mut costs);
            for (gap, cost) in class.gaps.iter_mut().zip(&costs) {
                *gap = GAPS_MS.iter().filter(|&&edge| cost - costs[0] >= edge).count() as u8;
            }
            weighed.head_ms = costs;
        }
    }

    /// Puts the cheapest of those that are not on `head` there, until it is `len` long.
    fn extend_by_cost(&self, head: &mut Vec<usize>, len: usize, weighed: &Weighed) {
        let Weighed { distance_km, rows, cost_ms, basis, .. } = weighed;
        let better_at_one_cost = |a: usize, b: usize| {
            let known = |position: usize| *basis == Basis::Measured && rows[position].is_some();
            let km = |position: usize| distance_km.get(position).copied().unwrap_or(0.0);
            Reverse(known(a)).cmp(&Reverse(known(b))).then(km(a).total_cmp(&km(b)))
        };
        let better =
            |a: usize, b: usize| cost_ms[a].total_cmp(&cost_ms[b]).then_with(|| better_at_one_cost(a, b));
        // The best so far, the best of all first; of equals the one that comes first.
        let named = head.len();
        if named == len {
            return;
        }
        for position in 0..cost_ms.len() {
            if head[..named].contains(&position)
                || head.len() == len && better(head[len - 1], position).is_le()
            {
                continue;
            }
            head.truncate(len - 1);
            let behind = head[named..].iter().rev().take_while(|best| better(**best, position).is_gt());
            head.insert(head.len() - behind.count(), position);
        }
    }

    /// The whole list of a class.
    pub(super) fn order(&self, class: &Class) -> Vec<usize> {
        let all: &mut dyn Iterator<Item = usize> = match class.tail {
            Tail::Near(best) => &mut self.neighbours[best].iter().copied(),
            Tail::File => &mut (0..self.candidates.len()),
            Tail::None => &mut std::iter::empty(),
        };
        let mut behind = vec![true; self.candidates.len()];
        for &position in &class.head {
            behind[position] = false;
        }
        class.head.iter().copied().chain(all.filter(|&position| behind[position])).collect()
    }

    /// What a client's clusters count as, in the order of its list (or of the head of it): never less than the one before.
    ///
    /// One that a rule names counts as no more than those behind it, since the rule wants it before them; one behind the head
    /// as no less than those before it.
    pub(super) fn costs(&self, class: &Class, order: &[usize], weighed: &Weighed, costs: &mut Vec<f64>) {
        costs.clear();
        costs.extend(order.iter().map(|&position| weighed.cost_ms[position]));
        for rank in (1..costs.len().min(class.named + 1)).rev() {
            costs[rank - 1] = costs[rank - 1].min(costs[rank]);
        }
        for rank in class.head.len().max(1)..costs.len() {
            costs[rank] = costs[rank].max(costs[rank - 1]);
        }
    }
}
