//! What a failure would mean, in the words of the files.

use std::cmp::Ordering;

use serde::Serialize;

pub use super::spread::Spread;

/// What a failure would mean. All shares are 0..=1.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Impact {
    /// What fails, as it was named.
    pub killed: Vec<String>,
    /// What was down already.
    pub down: Vec<String>,
    /// How many nodes fail.
    pub nodes: usize,
    /// Services of which something changes, those that are answered alike together.
    pub services: Vec<Affected>,
    /// How many services there are, each counted once for A and once for AAAA.
    pub answered: usize,
    /// Of all clients of all services: the share that is answered by another cluster; not those whom nobody answers any more.
    pub moved: f64,
    /// Of the service that suffers most: the share of its clients whom nobody answers any more.
    pub unanswered: f64,
    /// What is added to the cost of all clients in the mean, in ms.
    pub added_ms: f64,
    /// The same three, by what a server was asked; `null`: that was not looked at.
    pub queries: Option<Queries>,
    /// How full the fullest cluster is afterwards; `None`: no capacity is known.
    pub fullest: Option<f64>,
    /// What each cluster carries.
    pub clusters: Vec<Carried>,
    /// Whether load is balanced: then what clusters carry after is what they do once clients are divided again.
    pub balanced: bool,
    /// Where demand is taken from, in words.
    pub demand: String,
}

/// What a failure would mean, by what a server was asked: not each client counts alike, but each query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Queries {
    /// Of all queries: the share that is answered by another cluster.
    pub moved: f64,
    /// Of the services that suffer most: the share of their queries that nobody answers any more.
    pub unanswered: f64,
    /// What is added to the cost of all in the mean, in ms.
    pub added_ms: f64,
}

/// Services that are answered alike, and what changes for them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Affected {
    /// Their names.
    pub services: Vec<String>,
    /// `A` or `AAAA`.
    pub family: &'static str,
    /// Their policy.
    pub policy: String,
    /// Who is answered by another cluster.
    pub moved: Part,
    /// From where to where, the most first.
    pub moves: Vec<Move>,
    /// Who gets SERVFAIL, or the addresses of dead nodes, and did not before.
    pub unanswered: Part,
    /// What is said when all is down: `serve-all`, `servfail` or `fallback to …`.
    pub all_down: String,
    /// Clusters that have too few nodes now (`min_nodes`).
    pub short: Vec<String>,
    /// Clusters that answer on with fewer nodes.
    pub thinned: Vec<Thinned>,
}

/// A share of the clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Part {
    /// Of all: the mean of both families.
    pub share: f64,
    /// Of IPv4's addresses.
    pub ipv4: f64,
    /// Of IPv6's /48s.
    pub ipv6: f64,
    /// Of what a server was asked for these services; `null`: that was not looked at.
    pub queries: Option<f64>,
}

/// Clients who go from one cluster to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Move {
    /// From which cluster; `null`: nobody answered them.
    pub from: Option<String>,
    /// To which; `null`: nobody answers them.
    pub to: Option<String>,
    /// What they get: `answered`, `dead nodes` or `servfail`.
    pub gets: &'static str,
    /// How many they are.
    #[serde(flatten)]
    pub part: Part,
    /// What is added to what the policy has it cost, in ms; `null`: no costs are known.
    pub added_ms: Option<Spread>,
    /// The same in km of great circle, where costs are estimates from that.
    pub added_km: Option<Spread>,
}

/// A cluster that answers on with fewer nodes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Thinned {
    /// Which.
    pub cluster: String,
    /// The share of its answers that held a node which is gone.
    pub lost: f64,
    /// What its nodes get of all clients, before and after.
    pub nodes: Vec<NodeShare>,
}

/// What a node gets of all clients.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeShare {
    /// Its key.
    pub node: String,
    /// Before.
    pub before: f64,
    /// After.
    pub after: f64,
}

/// What a cluster carries, before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Carried {
    /// Its key.
    pub cluster: String,
    /// Its share of all demand before.
    pub share_before: f64,
    /// Its share after.
    pub share_after: f64,
    /// The same as a part of what it can carry: 1 is full. `null` where that is not known.
    pub full_before: Option<f64>,
    /// At once after the failure: each client goes to the next of its list.
    pub full_at_once: Option<f64>,
    /// After it, once load is divided again; where it is not balanced, as at once.
    pub full_after: Option<f64>,
}

impl Carried {
    /// Whether it is over what it can carry because of the failure.
    pub fn is_over(&self) -> bool {
        let over = |full: Option<f64>| full.is_some_and(|full| full > FULL);
        over(self.full_after) && self.full_after > self.full_before
    }
}

impl Affected {
    /// Whether the same changes for others.
    pub fn changes_as(&self, other: &Affected) -> bool {
        let names = |of: &Affected| Affected { services: Vec::new(), family: "", ..of.clone() };
        names(self) == names(other)
    }
}

/// Full, and what arithmetic adds to it.
const FULL: f64 = 1.0 + 1e-9;

impl Thinned {
    /// The node that gets most more than before, and how many times what it had.
    pub fn busiest(&self) -> Option<(&NodeShare, f64)> {
        let grown = self.nodes.iter().filter(|node| node.after > 0.0 && node.before > 0.0);
        grown.map(|node| (node, node.after / node.before)).max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

impl Impact {
    /// Whether anybody is answered otherwise.
    pub fn is_none(&self) -> bool {
        self.services.is_empty()
    }

    /// Clusters that are over what they can carry because of it.
    pub fn over(&self) -> impl Iterator<Item = &Carried> {
        self.clusters.iter().filter(|cluster| cluster.is_over())
    }

    /// Which of two is worse, first by queries, where they were counted: whoever leaves more unanswered; then whoever fills a cluster more beyond what it can carry; then whoever
    /// adds more ms; then whoever moves more; then whoever takes more nodes out of answers.
    pub fn gravity(&self, other: &Impact) -> Ordering {
        let over =
            |impact: &Impact| impact.over().filter_map(|cluster| cluster.full_after).fold(0.0, f64::max);
        let lost = |impact: &Impact| {
            let thinned = impact.services.iter().flat_map(|of| &of.thinned);
            thinned.map(|thinned| thinned.lost).fold(0.0, f64::max)
        };
        let by = |of: fn(&Impact) -> f64| of(self).total_cmp(&of(other));
        let asked = |of: fn(&Queries) -> f64| {
            let of = |impact: &Impact| impact.queries.as_ref().map_or(0.0, of);
            of(self).total_cmp(&of(other))
        };
        asked(|queries| queries.unanswered)
            .then_with(|| by(|impact| impact.unanswered))
            .then_with(|| over(self).total_cmp(&over(other)))
            .then_with(|| asked(|queries| queries.added_ms))
            .then_with(|| by(|impact| impact.added_ms))
            .then_with(|| asked(|queries| queries.moved))
            .then_with(|| by(|impact| impact.moved))
            .then_with(|| lost(self).total_cmp(&lost(other)))
    }
}
