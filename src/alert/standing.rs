//! What stands wrong: found in the state of things, never in what happened.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::condition::{Condition, Identity, Kind, Label, Place, Region, one_line};
use super::message::date;
use crate::cluster::{CheckId, Cluster, ClusterId, Family, Inventory, Word};
use crate::health::verdict::{DRILL, Verdict};
use crate::plan::Group;
use crate::snapshot::{HeldTarget, Snapshot};
use crate::steering::choose::Standing;

/// A GeoIP database that the files name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// How the files name it.
    pub name: Arc<str>,
    /// When it was built, since 1970.
    pub built: Duration,
}

/// A reload that was refused, and no good one since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Since when, since 1970: the first of several.
    pub since: Duration,
    /// The first mistake.
    pub what: String,
    /// How many more there are.
    pub others: usize,
}

/// What is wrong with the health of a Snapshot; `None` while it is not known yet. `now` and `unix` are the same moment.
pub fn of_snapshot(snapshot: &Snapshot, now: Instant, unix: Duration) -> Option<Vec<Condition>> {
    if snapshot.warming {
        return None;
    }
    let ago = |since: Instant| unix.saturating_sub(now.saturating_duration_since(since));
    let dead = Dead::of(snapshot, &ago);
    let places = places(&snapshot.plan.inventory);
    let mut found = Vec::new();
    let groups = snapshot.plan.groups.iter().zip(&snapshot.all_down);
    for (group, _) in groups.filter(|(_, down)| **down) {
        found.push(all_down(snapshot, group, dead.last_of(group, snapshot).unwrap_or(unix)));
    }
    for (&(cluster, check, family), &since) in &dead.pools {
        let place = places[usize::from(cluster.0)].clone();
        let check_key = &snapshot.plan.checks[usize::from(check.0)].key;
        let identity = Identity {
            kind: Kind::ClusterDown,
            labels: vec![
                (Label::Cluster, Arc::clone(&place.cluster)),
                (Label::Family, family_word(family).into()),
                (Label::Check, Arc::clone(check_key)),
            ],
        };
        let summary = one_line(&format!(
            "{} has no {} address up (check {check_key}){}",
            place.cluster,
            family_name(family),
            drilled(snapshot, cluster, family)
        ));
        let is_said = dead.is_said(snapshot, cluster, check, family);
        found.push(Condition { identity, summary, since, place: Some(place), is_said });
    }
    let all = (0..).map(ClusterId).zip(&snapshot.pools);
    for (cluster, held) in all.flat_map(|(id, pools)| pools.held.iter().map(move |held| (id, held))) {
        if let Some(node) = node_down(snapshot, cluster, held, &dead, &places, &ago) {
            found.push(node);
        }
    }
    Some(found)
}

/// Databases that are older than `age_max`.
pub fn of_databases(databases: &[Dated], age_max: Duration, unix: Duration) -> Vec<Condition> {
    let old = databases.iter().filter(|database| unix.saturating_sub(database.built) > age_max);
    let condition = |database: &Dated| Condition {
        identity: Identity {
            kind: Kind::DatabaseTooOld,
            labels: vec![(Label::Database, Arc::clone(&database.name))],
        },
        summary: one_line(&format!(
            "{} was built on {}, more than {} days ago",
            database.name,
            date(database.built),
            age_max.as_secs() / 86_400
        )),
        since: database.built.saturating_add(age_max),
        place: None,
        is_said: false,
    };
    old.map(condition).collect()
}

/// The reload that was refused.
pub fn of_reload(refused: &Refused) -> Condition {
    let more = if refused.others > 0 { format!(" (and {} more)", refused.others) } else { String::new() };
    Condition {
        identity: Identity { kind: Kind::ReloadRefused, labels: Vec::new() },
        summary: one_line(&format!(
            "the reload is refused, the last good files serve: {}{more}",
            refused.what
        )),
        since: refused.since,
        place: None,
        is_said: false,
    }
}

/// The pools in which no address is up, though there are some that no operator took out; since when.
struct Dead {
    pools: BTreeMap<(ClusterId, CheckId, Family), Duration>,
}

impl Dead {
    fn of(snapshot: &Snapshot, ago: &impl Fn(Instant) -> Duration) -> Dead {
        let (plan, mut pools) = (&snapshot.plan, BTreeMap::new());
        for (id, live) in plan.inventory.ids().zip(&snapshot.pools) {
            let fell = |check: CheckId, family: Family| {
                let own = live
                    .held
                    .iter()
                    .filter(|held| held.target.check == check && held.target.family() == family);
                own.map(|held| ago(held.held.since)).max()
            };
            for (kind, pool) in plan.kinds.iter().zip(&live.pools) {
                let Some(check) = kind.check_in(plan.inventory.cluster(id)) else { continue };
                if pool.pool.standing == Standing::Dead {
                    let since = fell(check, kind.family).unwrap_or_default();
                    pools.insert((id, check, kind.family), since);
                }
            }
        }
        Dead { pools }
    }

    /// When the last cluster of a group fell.
    fn last_of(&self, group: &Group, snapshot: &Snapshot) -> Option<Duration> {
        let kind = &snapshot.plan.kinds[usize::from(group.kind)];
        let since = group.candidates.iter().filter_map(|id| {
            let check = kind.check_in(snapshot.plan.inventory.cluster(*id))?;
            self.pools.get(&(*id, check, kind.family)).copied()
        });
        since.max()
    }

    /// Whether all services of a group are told to be down because of this pool and others.
    fn is_said(&self, snapshot: &Snapshot, cluster: ClusterId, check: CheckId, family: Family) -> bool {
        let plan = &snapshot.plan;
        let mut down = plan.groups.iter().zip(&snapshot.all_down).filter(|(_, down)| **down);
        down.any(|(group, _)| {
            let kind = &plan.kinds[usize::from(group.kind)];
            let is_of =
                kind.family == family && kind.check_in(plan.inventory.cluster(cluster)) == Some(check);
            is_of && group.candidates.contains(&cluster)
        })
    }
}

fn all_down(snapshot: &Snapshot, group: &Group, since: Duration) -> Condition {
    let family = snapshot.plan.kinds[usize::from(group.kind)].family;
    let service = snapshot.plan.services[group.services[0].0 as usize].owner.to_string();
    let others = match group.services.len() - 1 {
        0 => String::new(),
        1 => ", nor has 1 more service".into(),
        others => format!(", nor have {others} more services"),
    };
    Condition {
        summary: one_line(&format!(
            "{service} has no {} node up in any cluster{others}{}",
            family_name(family),
            group.candidates.iter().map(|id| drilled(snapshot, *id, family)).max().unwrap_or_default()
        )),
        identity: Identity {
            kind: Kind::AllDown,
            labels: vec![(Label::Service, service.into()), (Label::Family, family_word(family).into())],
        },
        since,
        place: None,
        is_said: false,
    }
}

/// That a cluster's addresses are down in a drill, in words; nothing where none is.
fn drilled(snapshot: &Snapshot, cluster: ClusterId, family: Family) -> &'static str {
    let held = &snapshot.pools[usize::from(cluster.0)].held;
    let in_drill = |held: &&HeldTarget| {
        held.target.family() == family && held.held.cause_now().is_some_and(|cause| cause.layer == DRILL)
    };
    if held.iter().any(|held| in_drill(&held)) { ": this is a drill" } else { "" }
}

/// An address that is down. One that an operator took out of the answers is expected to be.
fn node_down(
    snapshot: &Snapshot,
    id: ClusterId,
    held: &HeldTarget,
    dead: &Dead,
    places: &[Place],
    ago: &impl Fn(Instant) -> Duration,
) -> Option<Condition> {
    let (target, family) = (&held.target, held.target.family());
    let node = &snapshot.plan.inventory.cluster(id).nodes[usize::from(target.node)];
    let is_out = node.pinned.as_ref().is_some_and(|pinned| matches!(pinned.word, Word::Drain | Word::Down));
    if held.held.verdict != Verdict::Down || is_out {
        return None;
    }
    let key = &target.aim.key;
    let cause = held.held.cause_now().map(|cause| format!(": {cause}")).unwrap_or_default();
    let forced = if node.pinned.is_some() { ", and answered all the same (override up)" } else { "" };
    Some(Condition {
        identity: Identity {
            kind: Kind::NodeDown,
            labels: vec![
                (Label::Cluster, Arc::clone(&key.cluster)),
                (Label::Node, Arc::clone(&key.node)),
                (Label::Address, key.address.to_string().into()),
                (Label::Check, Arc::clone(&key.check)),
            ],
        },
        summary: one_line(&format!(
            "{} ({}) in {} is down{forced} (check {}){cause}",
            key.node, key.address, key.cluster, key.check
        )),
        since: ago(held.held.since),
        place: Some(places[usize::from(id.0)].clone()),
        is_said: dead.pools.contains_key(&(id, target.check, family)),
    })
}

/// Cluster by cluster.
fn places(inventory: &Inventory) -> Vec<Place> {
    let mut regions: HashMap<&str, (usize, usize)> = HashMap::new();
    for cluster in &inventory.clusters {
        if let Some(region) = &cluster.region {
            let (clusters, nodes) = regions.entry(region).or_default();
            *clusters += 1;
            *nodes += cluster.nodes.len();
        }
    }
    let region = |cluster: &Cluster| {
        let key = cluster.region.clone()?;
        let (clusters, nodes) = regions[&*key];
        Some(Region { key, clusters, nodes })
    };
    let place = |cluster: &Cluster| Place {
        cluster: Arc::clone(&cluster.key),
        nodes: cluster.nodes.len(),
        region: region(cluster),
    };
    inventory.clusters.iter().map(place).collect()
}

/// A family as labels have it.
fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// A family as sentences have it.
fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
