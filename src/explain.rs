//! A choice in words: the same [`Choice`] that answers, with every reason for it.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::Instant;

use serde::Serialize;

use crate::cluster::{ClusterId, Family};
use crate::geo::place::Place;
use crate::geo::sources::Known;
use crate::health::check::probing;
use crate::health::overrides::Said;
use crate::health::quality::{Measure, Ways};
use crate::plan::{Placed, Plan, Route};
use crate::snapshot::{HeldTarget, Snapshot};
use crate::steering::bend::wanted_ms;
use crate::steering::choose::{Choice, Standing};
use crate::steering::client::{Client, Whose};
use crate::steering::rank::{Ranking, rank};
use crate::steering::ranker::{Basis, Why};
use crate::steering::rules::{Order, Policy, QualityWeight};
use crate::wire::edns::Subnet;

/// Everything that led to an answer.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The service.
    pub service: String,
    /// `A` or `AAAA`.
    pub family: &'static str,
    /// The policy.
    pub policy: String,
    /// Whose address decided, and which.
    pub client: String,
    /// What each source says of that address.
    pub known: Vec<String>,
    /// What they say together; empty where no source was asked.
    pub place: String,
    /// Why no source was asked; empty where they were.
    pub unknown: String,
    /// The rule that holds.
    pub rule: String,
    /// What the costs are made of; empty where no source was asked.
    pub basis: &'static str,
    /// The ranked list, best first.
    pub list: Vec<Listed>,
    /// The client's slot, 0..64.
    pub slot: u8,
    /// The rank at which the slot's choice begins, from 0: not at the top where clusters would be overrun.
    pub begins: u8,
    /// SCOPE PREFIX-LENGTH.
    pub scope: u8,
    /// Why that scope.
    pub scope_why: String,
    /// The cluster that answers; `None`: SERVFAIL.
    pub cluster: Option<String>,
    /// Why that one: `first`, `next`, …
    pub reason: &'static str,
    /// The addresses of the answer.
    pub answer: Vec<IpAddr>,
    /// Their TTL in seconds.
    pub ttl_s: u32,
    /// Why that TTL.
    pub ttl_why: String,
}

/// A cluster of the ranked list.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// Its key.
    pub cluster: String,
    /// What it costs, in ms, without the penalty.
    pub cost_ms: f32,
    /// What is held against it because its way is worse than usual, in ms.
    pub penalty_ms: f32,
    /// What its way costs now; `None`: the policy does not ask, or too little is known.
    pub way: Option<ListedWay>,
    /// Why it stands there; empty where no source was asked.
    pub why: String,
    /// Its pool: `up`, `short` (of nodes), `unknown`, `dead` or `withdrawn`.
    pub standing: &'static str,
    /// Its nodes.
    pub nodes: Vec<ListedNode>,
}

/// What the way to a cluster costs now, term by term: docs/steering.md, "Quality".
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ListedWay {
    /// What was measured.
    #[serde(flatten)]
    pub measure: Measure,
    /// What of it counts, by the policy.
    #[serde(flatten)]
    pub quality: QualityWeight,
}

impl ListedWay {
    /// The penalty that it asks for, in ms; what is held against the cluster follows it with calm.
    fn wanted_ms(&self) -> f32 {
        wanted_ms(self.measure.rise_ms, self.quality)
    }
}

impl fmt::Display for ListedWay {
    /// The formula, filled in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measure { time_ms, usual_ms, loss, usual_loss, common_loss, loss_ms, common_ms, rise_ms, .. } =
            self.measure;
        let QualityWeight { weight, tolerate_ms } = self.quality;
        // A little less than nothing is nothing, and not -0.
        let rise_ms = rise_ms.round() + 0.0;
        let [loss, usual, common] = [loss, usual_loss, common_loss].map(|share| 100.0 * share);
        write!(f, "way {time_ms:.0} ms - usual {usual_ms:.0}")?;
        write!(f, " + loss {loss_ms:.0} ({loss:.1} %, usual {usual:.1}, common {common:.1})")?;
        write!(f, " - common {common_ms:.0} = rise {rise_ms:.0};")?;
        write!(f, " {weight} * (rise - {tolerate_ms}) = {:.0} ms", self.wanted_ms())
    }
}

/// An address of a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct ListedNode {
    /// The node's key.
    pub node: String,
    /// The address.
    pub address: IpAddr,
    /// The verdict that counts: `up`, `suspect`, `down`, `unknown`.
    pub verdict: &'static str,
    /// How long it is held, in seconds.
    pub age_s: u64,
    /// The last failure's words; empty where there was none, or it is over.
    pub cause: String,
    /// Which of several checks that judge together says so; empty where there is one.
    pub check: String,
    /// For how long yet it is held down because it keeps falling, in seconds.
    pub held_down_s: Option<u64>,
    /// Whether it says itself that it wants no newcomers.
    pub drains: bool,
    /// The operator's word over it; empty without one.
    pub pinned: String,
}

/// What is told beside the Snapshot: what no answer needs to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'b> {
    /// What each source says of the address that decides, and all of them together, if they were asked.
    pub known: Option<(&'b [Known], &'b Place)>,
    /// Cluster by cluster: what the ways there cost, if that was measured.
    pub ways: &'b [Ways],
}

/// Explains what a client gets from a route.
pub fn explain(
    snapshot: &Snapshot,
    route: &Route,
    subnet: Option<&Subnet>,
    peer: IpAddr,
    now: Instant,
    beside: &Beside<'_>,
) -> Explanation {
    let known = beside.known;
    let plan = &*snapshot.plan;
    let service = &plan.services[route.service.0 as usize];
    let policy = &plan.policies[usize::from(service.policy.0)];
    let client = plan.client(route, subnet, peer);
    let placed = plan.place(route, &client);
    let choice = snapshot.choose(route, &placed);
    let set = choice.map(|choice| snapshot.addresses(route, &choice, placed.slot, client.whose, 0));
    let ranking = known.map(|(_, place)| {
        let having = |id: &ClusterId| plan.inventory.cluster(*id).has(route.family);
        let candidates: Vec<_> = policy.clusters.iter().copied().filter(having).collect();
        rank(policy, &candidates, &plan.inventory, place, client.address)
    });
    let way = |id: ClusterId| {
        let way = beside.ways.get(usize::from(id.0)).and_then(|ways| ways[route.family as usize]);
        policy.quality.zip(way).map(|(quality, measure)| ListedWay { quality, measure })
    };
    let ttl_s = set.map_or(0, |set| set.ttl_s(route.ttl_s, now));
    Explanation {
        service: service.owner.to_string(),
        family: route.family.rtype(),
        policy: policy.key.to_string(),
        client: whose(&client, subnet, policy),
        known: known.map(|(known, _)| known.iter().map(told).collect()).unwrap_or_default(),
        place: known.map(|(_, place)| words(place)).unwrap_or_default(),
        rule: ranking.as_ref().map(|ranking| rule(plan, policy, ranking)).unwrap_or_default(),
        basis: ranking.as_ref().map_or("", |ranking| match ranking.basis {
            Basis::Estimate => "great-circle distance",
            Basis::Measured => "measured round-trip times",
            Basis::File => "the order of the file: no coordinates are known",
        }),
        unknown: String::new(),
        list: listed(snapshot, route, &placed, ranking.as_ref(), way, now),
        slot: placed.slot,
        begins: snapshot.list(route, &placed).1,
        scope: if subnet.is_some() { placed.scope } else { 0 },
        scope_why: scope_why(&client, subnet, &placed),
        cluster: choice.map(|choice| plan.inventory.cluster(choice.cluster).key.to_string()),
        reason: choice.map_or("servfail", |choice| choice.reason.word()),
        answer: set.map(|set| addresses(set.octets(), route.family)).unwrap_or_default(),
        ttl_s,
        ttl_why: ttl_why(route, ttl_s, choice),
    }
}

fn whose(client: &Client, subnet: Option<&Subnet>, policy: &Policy) -> String {
    let address = client.address;
    match (client.whose, subnet) {
        (Whose::Subnet { before: 0, .. }, Some(subnet)) => {
            format!("{address}/{}, the client subnet", subnet.source())
        }
        (Whose::Subnet { .. }, _) => format!("{address}, within the 6to4 client subnet"),
        (Whose::Unroutable(_), _) => {
            format!("{address}, the resolver's: the client subnet is not on the public internet")
        }
        (Whose::Resolver, Some(_)) if !policy.ecs => {
            format!("{address}, the resolver's: the policy does not use client subnets")
        }
        (Whose::Resolver, Some(_)) => format!("{address}, the resolver's: the client subnet has length 0"),
        (Whose::Resolver, None) => format!("{address}, the resolver's: the query has no client subnet"),
    }
}

fn told(known: &Known) -> String {
    match &known.says {
        Some((place, network)) => format!("{}: {network} is {}", known.source, words(place)),
        None => format!("{}: nothing", known.source),
    }
}

fn words(place: &Place) -> String {
    let part = |name: &str, value: Option<String>| value.map(|value| format!("{name} {value}"));
    let parts = [
        part("continent", place.continent.map(|continent| continent.code().to_owned())),
        part("country", place.country.map(|country| country.to_string())),
        part("subdivision", place.subdivision.map(|subdivision| subdivision.to_string())),
        part("at", place.point.map(|point| point.to_string())),
        part("AS", place.asn.map(|asn| asn.to_string())),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "unknown".into() } else { parts.join(", ") }
}

fn rule(plan: &Plan, policy: &Policy, ranking: &Ranking) -> String {
    let Some(at) = ranking.rule else { return "none: by nearness".into() };
    let (word, clusters) = match &policy.rules[at].order {
        Order::Prefer(clusters) => ("prefer", clusters),
        Order::Only(clusters) => ("only", clusters),
    };
    let keys: Vec<_> = clusters.iter().map(|id| &*plan.inventory.cluster(*id).key).collect();
    format!("rule {} of `{}`: {word} {}", at + 1, policy.key, keys.join(", "))
}

fn scope_why(client: &Client, subnet: Option<&Subnet>, placed: &Placed<'_>) -> String {
    let scope = placed.scope;
    match (client.whose, subnet) {
        (_, None) => "no client subnet in the query".into(),
        (Whose::Resolver, Some(_)) => "the client subnet was not used".into(),
        (Whose::Unroutable(_), _) => {
            format!("the special-purpose block, clear of operators' prefixes, is a /{scope}")
        }
        (Whose::Subnet { before, .. }, _) if placed.tile_bits + before == scope => {
            format!("all clients of this /{scope} share the ranked list")
        }
        (Whose::Subnet { .. }, _) => {
            format!("the tile is a /{}, spread over slots by /{scope}", placed.tile_bits)
        }
    }
}

fn ttl_why(route: &Route, ttl_s: u32, choice: Option<Choice>) -> String {
    match choice {
        None => "nothing to keep".into(),
        Some(_) if ttl_s < route.ttl_s => {
            format!("in doubt: decided within {ttl_s} s (else {} s)", route.ttl_s)
        }
        Some(_) => "the service's".into(),
    }
}

fn listed(
    snapshot: &Snapshot,
    route: &Route,
    placed: &Placed<'_>,
    ranking: Option<&Ranking>,
    way: impl Fn(ClusterId) -> Option<ListedWay>,
    now: Instant,
) -> Vec<Listed> {
    let (clusters, _) = snapshot.list(route, placed);
    let cost = |id: &ClusterId| {
        let rank = placed.list.clusters.iter().position(|listed| listed == id);
        rank.map_or(0.0, |rank| placed.list.costs_ms[rank])
    };
    let of = |id: &ClusterId| {
        let cluster = snapshot.plan.inventory.cluster(*id);
        let ranked = ranking.and_then(|ranking| ranking.order.iter().find(|ranked| ranked.cluster == *id));
        let why = ranked.map(|ranked| {
            let basis = match ranked.why {
                Why::Rule => "the rule",
                Why::Cost => "cost",
                Why::Nearness => "nearness to the best",
                Why::File => "order of the file",
            };
            match ranked.distance_km {
                Some(km) => format!("{basis}, {km:.0} km"),
                None => basis.into(),
            }
        });
        Listed {
            cluster: cluster.key.to_string(),
            cost_ms: cost(id),
            penalty_ms: snapshot.bends.penalty_ms(route.group, *id),
            way: way(*id),
            why: why.unwrap_or_default(),
            standing: match snapshot.pool(*id, route).pool.standing {
                Standing::Up => "up",
                Standing::Short => "short",
                Standing::Unknown => "unknown",
                Standing::Dead => "dead",
                Standing::Withdrawn => "withdrawn",
            },
            nodes: nodes(snapshot, route, *id, now),
        }
    };
    clusters.iter().map(of).collect()
}

fn nodes(snapshot: &Snapshot, route: &Route, id: ClusterId, now: Instant) -> Vec<ListedNode> {
    let plan = &*snapshot.plan;
    let cluster = plan.inventory.cluster(id);
    let check = plan.kind(route).check_in(cluster);
    let checks = check.map(|check| probing(&plan.checks, check)).unwrap_or_default();
    let pools = &snapshot.pools[usize::from(id.0)];
    let asked =
        |held: &&HeldTarget| checks.contains(&held.target.check) && held.target.family() == route.family;
    // The layers of an address stand together.
    let mut of: Vec<_> = pools.held.iter().filter(asked).collect();
    of.sort_by_key(|held| (held.target.member, checks.iter().position(|id| *id == held.target.check)));
    let is_layered = checks.len() > 1;
    let of = of.into_iter();
    let nodes = of.map(|of| {
        let node = &cluster.nodes[usize::from(of.target.node)];
        let cause = of.held.cause_now();
        ListedNode {
            node: node.key.to_string(),
            address: of.target.aim.key.address,
            verdict: of.standing.word(),
            age_s: now.saturating_duration_since(of.held.since).as_secs(),
            cause: cause.map(|cause| cause.to_string()).unwrap_or_default(),
            check: if is_layered { of.target.aim.check.key.to_string() } else { String::new() },
            pinned: pools
                .said
                .get(usize::from(of.target.node))
                .and_then(Option::as_ref)
                .map_or_else(String::new, words_of),
            drains: of.says.drain,
            held_down_s: of.held_until.map(|until| until.saturating_duration_since(now).as_secs()),
        }
    });
    nodes.collect()
}

/// What an operator says, in words.
fn words_of(said: &Said) -> String {
    match &said.order {
        Some(order) => format!("{} by {}: {}", said.word.word(), order.who, said.why),
        None => format!("{}: {}", said.word.word(), said.why),
    }
}

fn addresses(octets: &[u8], family: Family) -> Vec<IpAddr> {
    match family {
        Family::V4 => {
            octets.chunks_exact(4).filter_map(|v4| Some(IpAddr::from(*v4.first_chunk::<4>()?))).collect()
        }
        Family::V6 => {
            octets.chunks_exact(16).filter_map(|v6| Some(IpAddr::from(*v6.first_chunk::<16>()?))).collect()
        }
    }
}

/// Clusters that a short explanation lists.
const SHORT_LIST: usize = 4;
/// Failing nodes that it lists.
const SHORT_FAILING: usize = 8;

impl Explanation {
    /// A cost in ms; `-` where nothing is known that costs are made of.
    fn cost(&self, listed: &Listed, decimals: usize) -> String {
        let known = self.list.iter().any(|listed| listed.cost_ms > 0.0);
        if known { format!("{:.decimals$}ms", listed.cost_ms) } else { "-".into() }
    }

    /// The same in a few lines, for `_why` TXT: each at most 255 octets.
    pub fn short(&self) -> Vec<String> {
        let list = self.list.iter().take(SHORT_LIST).map(|listed| {
            let up = listed.nodes.iter().filter(|node| matches!(node.verdict, "up" | "suspect")).count();
            let (cost, nodes) = (self.cost(listed, 0), listed.nodes.len());
            let penalty = match listed.penalty_ms {
                0.0 => String::new(),
                ms => format!("+{ms:.0}ms"),
            };
            format!("{} {cost}{penalty} {} {up}/{nodes}", listed.cluster, listed.standing)
        });
        let list = list.collect::<Vec<_>>().join(", ");
        let answer: Vec<_> = self.answer.iter().map(IpAddr::to_string).collect();
        let cluster = self.cluster.as_deref().unwrap_or("servfail");
        let mut lines = vec![format!("client {}", self.client)];
        if !self.place.is_empty() {
            lines.push(format!("place {}", self.place));
            lines.push(format!("rule {}", self.rule));
        }
        lines.extend([
            format!("policy {}: {list}", self.policy),
            match self.begins {
                0 => format!("slot {} scope {}: {}", self.slot, self.scope, self.scope_why),
                rank => format!(
                    "slot {} begins at {}: load; scope {}: {}",
                    self.slot,
                    rank + 1,
                    self.scope,
                    self.scope_why
                ),
            },
            format!("answer {cluster} ({}) ttl {}: {}", self.reason, self.ttl_s, answer.join(" ")),
        ]);
        let held = self.list.iter().take(SHORT_LIST).filter(|listed| listed.penalty_ms > 0.0);
        lines.extend(held.filter_map(|listed| Some(format!("{} {}", listed.cluster, listed.way?))));
        let failing = self.list.iter().flat_map(|listed| &listed.nodes).filter(|node| !node.cause.is_empty());
        lines.extend(failing.take(SHORT_FAILING).map(|node| {
            format!("{} {} {} {} s: {}", node.node, node.address, node.verdict, node.age_s, node.cause)
        }));
        for line in &mut lines {
            while line.len() > 255 {
                line.pop();
            }
        }
        lines
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}, policy `{}`", self.service, self.family, self.policy)?;
        writeln!(f, "client   {}", self.client)?;
        for known in &self.known {
            writeln!(f, "         {known}")?;
        }
        if !self.unknown.is_empty() {
            writeln!(f, "place    not known: {}", self.unknown)?;
        }
        if !self.place.is_empty() {
            writeln!(f, "place    {}", self.place)?;
            writeln!(f, "rule     {}", self.rule)?;
            writeln!(f, "costs    {}", self.basis)?;
        }
        for (rank, listed) in self.list.iter().enumerate() {
            let mark = if self.cluster.as_deref() == Some(&*listed.cluster) { "*" } else { " " };
            let mut line = format!(
                "{:>7} {mark} {:<10} {:>9}  {}",
                rank + 1,
                listed.cluster,
                self.cost(listed, 1),
                listed.standing
            );
            if !listed.why.is_empty() {
                write!(line, "  ({})", listed.why)?;
            }
            if listed.penalty_ms > 0.0 {
                let is = match listed.way {
                    Some(way) if way.wanted_ms() == 0.0 => "was, of late,",
                    _ => "is",
                };
                write!(line, ", {:.0} ms held against it: its way {is} worse than usual", listed.penalty_ms)?;
            }
            writeln!(f, "{line}")?;
            if let Some(way) = &listed.way {
                writeln!(f, "            {way}")?;
            }
            for node in &listed.nodes {
                let mut line = format!(
                    "            {:<12} {:<24} {} for {} s",
                    node.node,
                    node.address.to_string(),
                    node.verdict,
                    node.age_s
                );
                if !node.check.is_empty() {
                    write!(line, " by {}", node.check)?;
                }
                if !node.cause.is_empty() {
                    write!(line, ", {}", node.cause)?;
                }
                if let Some(seconds) = node.held_down_s {
                    write!(line, ", held down for {seconds} s more: it keeps falling")?;
                }
                if node.drains {
                    line += ", drains by its own word";
                }
                if !node.pinned.is_empty() {
                    write!(line, ", override {}", node.pinned)?;
                }
                writeln!(f, "{line}")?;
            }
        }
        match self.begins {
            0 => writeln!(f, "slot     {}", self.slot)?,
            rank => writeln!(f, "slot     {}, which begins at {} because of load", self.slot, rank + 1)?,
        }
        writeln!(f, "scope    {} ({})", self.scope, self.scope_why)?;
        match &self.cluster {
            Some(cluster) => writeln!(f, "answer   {cluster} ({})", self.reason)?,
            None => writeln!(f, "answer   SERVFAIL: all down")?,
        }
        for address in &self.answer {
            writeln!(f, "         {address}")?;
        }
        write!(f, "ttl      {} ({})", self.ttl_s, self.ttl_why)
    }
}
