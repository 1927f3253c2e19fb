//! What stands wrong: found in the state of things, never in what happened.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::condition::{Condition, Identity, Kind, Label, Place, Region, one_line};
use super::judged::{Judged, Member};
use super::message::date;
use crate::cluster::{CheckId, Cluster, ClusterId, Family, Inventory};
use crate::health::target::TargetKey;
use crate::health::verdict::{DRILL, Verdict};
use crate::plan::Group;
use crate::snapshot::{HeldTarget, Snapshot};
use crate::steering::balance::table::Why;
use crate::steering::choose::Standing;

/// A GeoIP database that the files name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// How the files name it.
    pub name: Arc<str>,
    /// When it was built, since 1970.
    pub built: Duration,
}

/// Beside the interval of its check: a target of which nothing is known for longer cannot be probed.
const UNKNOWN_MAX: Duration = Duration::from_secs(60);

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
    let (all, places) = (Judged::all(snapshot), places(&snapshot.plan.inventory));
    let lost: BTreeMap<_, _> = all.iter().filter_map(|judged| Some((judged.key(), lost(judged)?))).collect();
    let mut found = Vec::new();
    found.extend(capacity_short(snapshot, unix));
    found.extend(snapshot.doubting.map(|since| in_doubt(snapshot, ago(since))));
    let groups = snapshot.plan.groups.iter().zip(&snapshot.all_down);
    for (group, _) in groups.filter(|(_, down)| **down) {
        let last = candidates(snapshot, group).filter_map(|key| lost.get(&key)?.since).max();
        found.push(all_down(snapshot, group, last.map_or(unix, ago)));
    }
    for judged in &all {
        let place = &places[usize::from(judged.id.0)];
        let lost = lost.get(&judged.key());
        if let Some(Lost { kind, summary, since }) = lost {
            let labels = vec![
                (Label::Cluster, Arc::clone(&place.cluster)),
                (Label::Family, family_word(judged.family).into()),
                (Label::Check, Arc::clone(judged.check_key())),
            ];
            found.push(Condition {
                identity: Identity { kind: *kind, labels },
                summary: one_line(summary),
                since: since.map_or(unix, ago),
                place: Some(place.clone()),
                is_said: is_said(snapshot, judged),
            });
        }
        for member in judged.members().filter(|member| !member.is_withdrawn()) {
            let Some(since) = judged.down(&member) else { continue };
            found.push(Condition {
                since: ago(since),
                place: Some(place.clone()),
                is_said: lost.is_some(),
                ..node_down(judged, &member)
            });
        }
    }
    found.extend(blind(snapshot, now, unix));
    found.sort_by_key(|condition| condition.identity.kind);
    Some(found)
}

/// The checks whose probes tell nothing of some of their targets, though there was time enough.
fn blind(snapshot: &Snapshot, now: Instant, unix: Duration) -> Vec<Condition> {
    let mut checks: BTreeMap<&Arc<str>, Blind<'_>> = BTreeMap::new();
    for held in snapshot.pools.iter().flat_map(|pools| &pools.held) {
        let key = &held.target.aim.key;
        let blind =
            checks.entry(&key.check).or_insert(Blind { unknown: 0, all: 0, since: unix, first: None });
        blind.all += 1;
        let stood = now.saturating_duration_since(held.held.since);
        if held.held.verdict == Verdict::Unknown && stood >= held.target.aim.check.interval + UNKNOWN_MAX {
            blind.unknown += 1;
            blind.since = blind.since.min(unix.saturating_sub(stood));
            blind.first = blind.first.or(Some(key));
        }
    }
    let condition = |(check, blind): (&Arc<str>, Blind<'_>)| {
        let first = blind.first?;
        let (unknown, all) = (blind.unknown, blind.all);
        let summary = format!(
            "check {check}: of {unknown} of {all} targets nothing is known, since they cannot be probed; the first is {}/{} at {}",
            first.cluster, first.node, first.address
        );
        Some(Condition {
            identity: Identity { kind: Kind::CheckBlind, labels: vec![(Label::Check, Arc::clone(check))] },
            summary: one_line(&summary),
            since: blind.since,
            place: None,
            is_said: false,
        })
    };
    checks.into_iter().filter_map(condition).collect()
}

/// What a check does not know.
struct Blind<'s> {
    unknown: usize,
    all: usize,
    since: Duration,
    first: Option<&'s TargetKey>,
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

/// More clusters than these are not named in a line.
const NAMED_MAX: usize = 5;

/// More is asked for than can be carried.
fn capacity_short(snapshot: &Snapshot, now: Duration) -> Option<Condition> {
    let bends = &snapshot.bends;
    if bends.short <= 0.0 {
        return None;
    }
    let clusters = snapshot.plan.inventory.clusters.iter().zip(&bends.shares);
    let full = clusters.filter(|(_, share)| share.why == Why::Short).map(|(cluster, _)| &*cluster.key);
    let full: Vec<&str> = full.collect();
    // Where some have room they are on no list of these clients: `only`, or addresses of another family.
    let up = bends.shares.iter().filter(|share| share.why != Why::Down).count();
    let full = match full.len() {
        all if all == up => "all clusters that are up".into(),
        many if many > NAMED_MAX => format!("the {many} clusters that they may go to"),
        _ => format!("{}, where alone they may go,", full.join(", ")),
    };
    let known = bends.shares.iter().any(|share| share.is_known);
    let basis = if known { "reports of load" } else { "what is assumed, since no node reports its load" };
    let short = bends.short;
    let summary = format!("clients ask for {short:.0} more than {full} can carry, by {basis}");
    let identity = Identity { kind: Kind::CapacityShort, labels: Vec::new() };
    Some(Condition { identity, summary, since: now, place: None, is_said: false })
}

/// The server doubts what it sees.
fn in_doubt(snapshot: &Snapshot, since: Duration) -> Condition {
    let (mut failing, mut all) = (0, 0);
    for held in snapshot.pools.iter().flat_map(|pools| &pools.held) {
        failing += usize::from(matches!(held.held.verdict, Verdict::Down | Verdict::Suspect { .. }));
        all += usize::from(held.held.verdict != Verdict::Unknown);
    }
    let summary = format!(
        "this server doubts its own network: {failing} of {all} targets fail here, and with them most canaries; it \
         answers by the verdicts of before"
    );
    let identity = Identity { kind: Kind::VantageInDoubt, labels: Vec::new() };
    Condition { identity, summary, since, place: None, is_said: false }
}

/// What a cluster lost: all that services may have of it, or more than it can do without.
struct Lost {
    kind: Kind,
    summary: String,
    /// `None`: that is not known.
    since: Option<Instant>,
}

fn lost(judged: &Judged<'_>) -> Option<Lost> {
    let (cluster, check) = (&judged.cluster.key, judged.check_key());
    let family = judged.family.name();
    match judged.standing {
        Standing::Up | Standing::Unknown | Standing::Withdrawn => None,
        Standing::Dead => Some(Lost {
            kind: Kind::ClusterDown,
            summary: format!(
                "{cluster} has no {family} address up (check {check}){}",
                drilled(judged.held(), judged.family)
            ),
            since: judged.gone().last().and_then(|(since, _)| *since),
        }),
        Standing::Short => {
            let (gone, all, needed) = (judged.gone(), judged.nodes(), usize::from(judged.cluster.min_nodes));
            let names: Vec<&str> = gone.iter().map(|(_, node)| &*node.key).collect();
            let up = all.saturating_sub(gone.len());
            Some(Lost {
                kind: Kind::ClusterShort,
                summary: format!(
                    "{cluster} is short of nodes: {up} of {needed} needed have an {family} address up (check \
                     {check}); without {}{}",
                    names.join(", "),
                    drilled(judged.held(), judged.family)
                ),
                // With this one too few were left.
                since: gone.get(all.saturating_sub(needed)).and_then(|(since, _)| *since),
            })
        }
    }
}

/// The clusters that may answer a group, as their members are judged.
fn candidates<'s>(
    snapshot: &'s Snapshot,
    group: &'s Group,
) -> impl Iterator<Item = (ClusterId, CheckId, Family)> + 's {
    let kind = &snapshot.plan.kinds[usize::from(group.kind)];
    let inventory = &snapshot.plan.inventory;
    group.candidates.iter().filter_map(|id| Some((*id, kind.check_in(inventory.cluster(*id))?, kind.family)))
}

/// Whether all services of a group are told to be down because of this and others.
fn is_said(snapshot: &Snapshot, judged: &Judged<'_>) -> bool {
    let mut down = snapshot.plan.groups.iter().zip(&snapshot.all_down).filter(|(_, down)| **down);
    down.any(|(group, _)| candidates(snapshot, group).any(|key| key == judged.key()))
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
            family.name(),
            group
                .candidates
                .iter()
                .map(|id| drilled(&snapshot.pools[usize::from(id.0)].held, family))
                .max()
                .unwrap_or_default()
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

/// An address that is down under the check by which services judge it; where it is, and since when, others know.
fn node_down(judged: &Judged<'_>, member: &Member<'_>) -> Condition {
    let (cluster, check) = (&judged.cluster.key, judged.check_key());
    let layer = |held: &HeldTarget| {
        let cause = held.held.cause_now().map(|cause| format!(": {cause}")).unwrap_or_default();
        match judged.is_layered() {
            true => format!("; {}{cause}", held.target.aim.check.key),
            false => cause,
        }
    };
    let causes: String = judged.failing(member).map(layer).collect();
    let forced = if member.is_forced() { ", and answered all the same (override up)" } else { "" };
    let (node, address) = (&member.node.key, member.address);
    let labels = vec![
        (Label::Cluster, Arc::clone(cluster)),
        (Label::Node, Arc::clone(node)),
        (Label::Address, address.to_string().into()),
        (Label::Check, Arc::clone(check)),
    ];
    Condition {
        identity: Identity { kind: Kind::NodeDown, labels },
        summary: one_line(&format!(
            "{node} ({address}) in {cluster} is down{forced} (check {check}){causes}"
        )),
        since: Duration::ZERO,
        place: None,
        is_said: false,
    }
}

/// Cluster by cluster.
pub(super) fn places(inventory: &Inventory) -> Vec<Place> {
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

/// That addresses of a family are down in a drill, in words; nothing where none is.
fn drilled(held: &[HeldTarget], family: Family) -> &'static str {
    let in_drill = |held: &HeldTarget| {
        held.target.family() == family && held.held.cause_now().is_some_and(|cause| cause.layer == DRILL)
    };
    if held.iter().any(in_drill) { ": this is a drill" } else { "" }
}

/// A family as labels have it.
fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}
