//! A Snapshot, and where all of its clients are: what a failure is held against.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::flow::{Flow, added_ms};
use super::ground::{Ground, KnownBy, Share};
use super::result::{Affected, Carried, Impact, NodeShare, Part, Queries, Thinned};
use super::seats::{Seat, Seats, chosen, node_shares};
use crate::cluster::{ClusterId, Family};
use crate::geo::places::Places;
use crate::plan::Route;
use crate::snapshot::Snapshot;
use crate::steering::choose::Standing;
use crate::steering::service::AllDown;
use crate::steering::slots::SLOTS;

/// How much clients ask for.
#[derive(Clone, Debug, PartialEq)]
pub enum Demand {
    /// As much as they are: each service by its `demand`, and of it each address alike.
    Space,
    /// All that are at a cluster together as much as it answered: by its key, how often.
    Answered(BTreeMap<Arc<str>, u64>),
}

/// What sums of many shares may be off by.
const ROUNDING: f64 = 1e-9;

/// A Snapshot, and where all of its clients are.
pub struct Stage<'s> {
    before: &'s Snapshot,
    groups: Vec<Group<'s>>,
    /// How many services there are, each family counted apart.
    answered: usize,
    /// Cluster by cluster: what one share of a group's clients there asks for.
    rates: Vec<f64>,
    /// Cluster by cluster: what is asked of it.
    asked: Vec<f64>,
    /// How much of what is asked a cluster with a capacity of 1 is filled by; `None`: nobody's capacity is known.
    filling: Option<f64>,
    /// Where demand is taken from, in words.
    words: String,
    /// Whether what clients ask for was counted, by a server.
    counted: bool,
}

/// Services that are answered alike.
struct Group<'s> {
    route: &'s Route,
    names: Vec<String>,
    /// How much they are asked for together: their `demand`.
    demand: f64,
    /// List by list, slot by slot what its clients ask for; made when it is first asked for.
    asking: OnceCell<Vec<(u32, [f64; SLOTS as usize])>>,
    ground: Arc<Ground>,
    seats: Seats,
}

impl<'s> Stage<'s> {
    /// Puts everybody in their place. `fullest`: how full the cluster is taken to be that is the fullest by its capacity, 1 is full.
    pub fn new(before: &'s Snapshot, places: &Places, demand: &Demand, fullest: f64) -> Stage<'s> {
        let plan = &*before.plan;
        let mut grounds: HashMap<(u16, bool), Arc<Ground>> = HashMap::new();
        let mut groups: Vec<Group<'s>> = Vec::new();
        let mut answered = 0;
        let mut alike: HashMap<(u16, u16, bool), Vec<usize>> = HashMap::new();
        for route in &plan.routes {
            let service = &plan.services[route.service.0 as usize];
            // A cluster's own name is about that cluster: nobody goes elsewhere by it.
            if service.is_exposed {
                continue;
            }
            answered += 1;
            let candidates = alike.entry((route.map, route.kind, route.sticky)).or_default();
            if let Some(&at) = candidates.iter().find(|at| groups[**at].route.all_down == route.all_down) {
                groups[at].names.push(service.owner.to_string());
                groups[at].demand += service.demand;
                continue;
            }
            candidates.push(groups.len());
            let ground = grounds.entry((route.map, route.ecs)).or_insert_with(|| {
                let by = if route.ecs { KnownBy::Subnets } else { KnownBy::Resolvers };
                Arc::new(Ground::new(&plan.maps[usize::from(route.map)].mapped, by, places))
            });
            let seats = Seats::new(before, route, ground);
            let ground = Arc::clone(ground);
            let (names, demand) = (vec![service.owner.to_string()], service.demand);
            groups.push(Group { route, names, demand, asking: OnceCell::new(), ground, seats });
        }
        let mut stage = Stage {
            before,
            groups,
            answered,
            rates: vec![1.0; plan.inventory.clusters.len()],
            asked: Vec::new(),
            filling: None,
            words: String::new(),
            counted: matches!(demand, Demand::Answered(_)),
        };
        stage.ask(demand, fullest);
        stage
    }

    /// The same, where as much is asked for as on that other stage, and not as much as fills its own fullest cluster.
    pub fn asked_as(self, other: &Stage<'_>) -> Stage<'s> {
        Stage { filling: other.filling, ..self }
    }

    /// Settles how much everybody asks for.
    fn ask(&mut self, demand: &Demand, fullest: f64) {
        let plan = &*self.before.plan;
        let space =
            |id: ClusterId| -> f64 { self.groups.iter().map(|group| group.at(id) * group.demand).sum() };
        let spaces: Vec<f64> = plan.inventory.ids().map(space).collect();
        let from = match demand {
            Demand::Space => "each service by its `demand`, each address alike",
            Demand::Answered(counts) => {
                let (all, everybody): (u64, f64) = (counts.values().sum(), spaces.iter().sum());
                let mean = everybody / (all as f64).max(1.0);
                for ((rate, space), cluster) in
                    self.rates.iter_mut().zip(&spaces).zip(&plan.inventory.clusters)
                {
                    let count = counts.get(&cluster.key).copied().unwrap_or(0) as f64;
                    *rate = if *space > 0.0 { count * mean / space } else { 0.0 };
                }
                "as the running server was asked, cluster by cluster"
            }
        };
        self.asked = spaces.iter().zip(&self.rates).map(|(space, rate)| space * rate).collect();
        let capacities = plan.inventory.clusters.iter().map(|cluster| cluster.capacity);
        let fills = self.asked.iter().zip(capacities).filter_map(|(asked, of)| Some(asked / of? as f64));
        self.filling = fills.max_by(f64::total_cmp).filter(|most| *most > 0.0).map(|most| fullest / most);
        self.words = match self.filling {
            Some(_) => format!("{from}; the fullest cluster is taken to be at {:.0} %", fullest * 100.0),
            None => format!("{from}; no cluster has a capacity"),
        };
    }

    /// How much is asked of each cluster in this Snapshot of the same Plan, in units of capacity. Empty: no cluster has one.
    pub fn carried(&self, snapshot: &Snapshot) -> Vec<f64> {
        let Some(filling) = self.filling else { return Vec::new() };
        self.asked_in(snapshot).iter().map(|asked| asked * filling).collect()
    }

    /// What is asked of each cluster where clients choose as in this Snapshot.
    fn asked_in(&self, snapshot: &Snapshot) -> Vec<f64> {
        let plan = &*self.before.plan;
        let mut asked = vec![0.0; plan.inventory.clusters.len()];
        for group in &self.groups {
            let lists = &plan.maps[usize::from(group.route.map)].mapped.lists;
            for (number, slots) in group.asking.get_or_init(|| self.asking(group)) {
                let list = (&lists[*number as usize], *number);
                for (slot, own) in (0..SLOTS).zip(slots).filter(|(_, own)| **own > 0.0) {
                    if let (Seat::At(to), _) = chosen(snapshot, group.route, list, slot) {
                        asked[usize::from(to.0)] += own;
                    }
                }
            }
        }
        asked
    }

    /// What the clients of each list of a group ask for, slot by slot, those who are answered.
    fn asking(&self, group: &Group<'_>) -> Vec<(u32, [f64; SLOTS as usize])> {
        let lists = self.before.plan.maps[usize::from(group.route.map)].mapped.lists.iter().zip(0..);
        let of = |((list, number), slots): ((_, u32), &[Share; SLOTS as usize])| {
            let mut asking = [0.0; SLOTS as usize];
            for ((slot, share), own) in (0..SLOTS).zip(slots).zip(&mut asking) {
                if let (Seat::At(from), _) = chosen(self.before, group.route, (list, number), slot) {
                    *own = share.of_all(group.ground.known) * group.demand * self.rate(from);
                }
            }
            (number, asking)
        };
        let all = lists.zip(&group.ground.lists).map(of);
        all.filter(|(_, asking)| asking.iter().any(|own| *own > 0.0)).collect()
    }

    /// What one share of a group's clients at a cluster asks for.
    fn rate(&self, from: ClusterId) -> f64 {
        self.rates[usize::from(from.0)]
    }

    /// What it means that `after` is answered instead: of the same Plan, with more nodes down. `rest`: the same once load is divided
    /// again; `None`: it is not.
    pub fn impact(&self, after: &Snapshot, rest: Option<&Snapshot>) -> Impact {
        let plan = &*self.before.plan;
        let (mut moved, mut added, mut unanswered) = (0.0, 0.0, 0.0_f64);
        let mut queries = Queries::default();
        let mut at_once = self.asked.clone();
        let mut services = Vec::new();
        let total: f64 = self.asked.iter().sum();
        for group in &self.groups {
            let flows = self.flows(group, after);
            let count = group.names.len() as f64;
            for flow in &flows {
                let share = flow.share.of_all(group.ground.known);
                let delta = flow.deltas.iter().map(|(delta, weight)| delta * weight).sum::<f64>();
                added += delta * count;
                let Seat::At(from) = flow.from else { continue };
                let rate = group.demand * self.rate(from);
                at_once[usize::from(from.0)] -= share * rate;
                if let Seat::At(to) = flow.to {
                    moved += share * count;
                    at_once[usize::from(to.0)] += share * rate;
                    queries.moved += share * rate / total.max(f64::MIN_POSITIVE);
                    queries.added_ms += delta * rate / total.max(f64::MIN_POSITIVE);
                }
            }
            let affected = self.affected(group, after, flows);
            unanswered = unanswered.max(affected.unanswered.share);
            queries.unanswered = queries.unanswered.max(affected.unanswered.queries.unwrap_or(0.0));
            let thinned = affected.thinned.iter().any(|thinned| thinned.lost > 0.0);
            if !affected.moves.is_empty() || thinned || !affected.short.is_empty() {
                services.push(affected);
            }
        }
        let mut at_rest = rest.map_or_else(|| at_once.clone(), |rest| self.asked_in(rest));
        // What sums of many shares leave over is nothing.
        for asked in at_once.iter_mut().chain(&mut at_rest).filter(|asked| **asked < ROUNDING * total) {
            *asked = 0.0;
        }
        let clusters =
            plan.inventory.clusters.iter().zip(self.asked.iter().zip(at_once.iter().zip(&at_rest)));
        let clusters = clusters.map(|(cluster, (before, (at_once, at_rest)))| {
            let share = |of: f64| if total > 0.0 { of / total } else { 0.0 };
            let full = |of: f64| Some(of * self.filling? / cluster.capacity? as f64);
            Carried {
                cluster: cluster.key.to_string(),
                share_before: share(*before),
                share_after: share(*at_rest),
                full_before: full(*before),
                full_at_once: full(*at_once),
                full_after: full(*at_rest),
            }
        });
        let clusters: Vec<_> = clusters.collect();
        let all = (self.answered as f64).max(1.0);
        Impact {
            killed: Vec::new(),
            down: Vec::new(),
            nodes: 0,
            services,
            answered: self.answered,
            moved: moved / all,
            unanswered,
            added_ms: added / all,
            queries: self.counted.then_some(queries),
            fullest: clusters.iter().filter_map(|cluster| cluster.full_after).max_by(f64::total_cmp),
            clusters,
            balanced: rest.is_some(),
            demand: self.words.clone(),
        }
    }

    /// Who of a group goes from where to where.
    fn flows(&self, group: &Group<'_>, after: &Snapshot) -> Vec<Flow> {
        let (before, route) = (self.before, group.route);
        let plan = &*before.plan;
        let pool = |snapshot: &Snapshot, id: ClusterId| snapshot.pool(id, route).pool;
        let turned = |id: &ClusterId| pool(before, *id) != pool(after, *id);
        if !plan.inventory.ids().any(|id| turned(&id)) {
            return Vec::new();
        }
        let fallback_turned = matches!(route.all_down, AllDown::Fallback(cluster) if turned(&cluster));
        let mut flows: BTreeMap<(Seat, Seat), Flow> = BTreeMap::new();
        let lists = &plan.maps[usize::from(route.map)].mapped.lists;
        for ((list, number), slots) in lists.iter().zip(0..).zip(&group.ground.lists) {
            if !fallback_turned && !list.clusters.iter().any(turned) {
                continue;
            }
            for (slot, share) in (0..SLOTS).zip(slots).filter(|(_, share)| **share != Share::default()) {
                let (from, to) = (
                    chosen(before, route, (list, number), slot).0,
                    chosen(after, route, (list, number), slot).0,
                );
                if from == to {
                    continue;
                }
                let flow = flows.entry((from, to)).or_insert_with(|| Flow::new(from, to));
                flow.share.add(*share);
                if let Some(delta) = added_ms(list, from, to) {
                    flow.deltas.push((delta, share.of_all(group.ground.known)));
                }
            }
        }
        flows.into_values().collect()
    }

    /// The same in words, with what becomes of nodes.
    fn affected(&self, group: &Group<'_>, after: &Snapshot, mut flows: Vec<Flow>) -> Affected {
        let (before, route, known) = (self.before, group.route, group.ground.known);
        let plan = &*before.plan;
        let service = &plan.services[route.service.0 as usize];
        let policy = &plan.policies[usize::from(service.policy.0)];
        // What all clients of the group ask for together, and what those who were at a cluster do.
        let all: f64 = plan.inventory.ids().map(|id| group.at(id) * self.rate(id)).sum();
        let asked = |share: Share, from: Seat| match from {
            Seat::At(from) if all > 0.0 => share.of_all(known) * self.rate(from) / all,
            _ => 0.0,
        };
        let part = |share: Share, asked: f64| Part {
            share: share.of_all(known),
            ipv4: share.v4,
            ipv6: share.v6,
            queries: self.counted.then_some(asked),
        };
        let sum = |goes: fn(&Flow) -> bool| {
            let (mut sum, mut sum_asked) = (Share::default(), 0.0);
            for flow in flows.iter().filter(|flow| goes(flow)) {
                sum.add(flow.share);
                sum_asked += asked(flow.share, flow.from);
            }
            part(sum, sum_asked)
        };
        let (moved, unanswered) = (sum(Flow::moves), sum(Flow::is_lost));
        flows.sort_by(|a, b| b.share.of_all(known).total_cmp(&a.share.of_all(known)));
        let moves = flows.into_iter().map(|flow| {
            let part = part(flow.share, asked(flow.share, flow.from));
            flow.told(plan, part, policy.rtt.is_empty())
        });
        let moves = moves.collect();
        let key = |id: ClusterId| plan.inventory.cluster(id).key.to_string();
        let short = plan.inventory.ids().filter(|id| {
            let standing = |snapshot: &Snapshot| snapshot.pool(*id, route).pool.standing;
            policy.clusters.contains(id)
                && standing(after) == Standing::Short
                && standing(before) != Standing::Short
        });
        Affected {
            services: group.names.clone(),
            family: route.family.rtype(),
            policy: policy.key.to_string(),
            moved,
            moves,
            unanswered,
            all_down: match route.all_down {
                AllDown::ServeAll => "serve-all".into(),
                AllDown::ServFail => "servfail".into(),
                AllDown::Fallback(cluster) => format!("fallback to {}", key(cluster)),
            },
            short: short.map(key).collect(),
            thinned: self.thinned(group, after),
        }
    }

    /// Clusters of a group that answer on with other nodes.
    fn thinned(&self, group: &Group<'_>, after: &Snapshot) -> Vec<Thinned> {
        let (before, route, known) = (self.before, group.route, group.ground.known);
        let inventory = &before.plan.inventory;
        let touched = inventory.ids().filter(|id| {
            let at = usize::from(id.0);
            !Arc::ptr_eq(&before.pools[at], &after.pools[at]) && group.at(*id) > 0.0
        });
        let touched: Vec<ClusterId> = touched.collect();
        if touched.is_empty() {
            return Vec::new();
        }
        let seats = Seats::new(after, route, &group.ground);
        let of = |id: ClusterId| {
            if seats.at(id).of_all(known) <= 0.0 {
                return None;
            }
            let (mut lost, mut all) = (0.0, 0.0);
            let sets = &after.pool(id, route).sets;
            let length = if route.family == Family::V4 { 4 } else { 16 };
            group.seats.answers(before, route, id, known, |_, octets, share| {
                all += share;
                let gone = octets.chunks_exact(length).any(|address| !sets.holds_octets(address));
                lost += if gone { share } else { 0.0 };
            });
            let shares = [(before, &group.seats), (after, &seats)]
                .map(|(snapshot, seats)| node_shares(seats, snapshot, route, id, known));
            let cluster = inventory.cluster(id);
            let nodes = cluster.nodes.iter().zip(shares[0].iter().zip(&shares[1]));
            let nodes = nodes.map(|(node, (before, after))| NodeShare {
                node: node.key.to_string(),
                before: *before,
                after: *after,
            });
            let lost = if all > 0.0 { lost / all } else { 0.0 };
            Some(Thinned { cluster: cluster.key.to_string(), lost, nodes: nodes.collect() })
        };
        touched.into_iter().filter_map(of).collect()
    }
}

impl Group<'_> {
    /// The share of its clients that is at a cluster.
    fn at(&self, cluster: ClusterId) -> f64 {
        self.seats.at(cluster).of_all(self.ground.known)
    }
}
