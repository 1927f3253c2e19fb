//! Policies with ids instead of keys.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::World;
use super::names::Names;
use crate::cluster::ClusterId;
use crate::files::document::{Wholeness, Written};
use crate::files::issue::{At, Issue};
use crate::files::networks::warn_of_long;
use crate::files::policies::{WrittenOrder, WrittenPolicy, WrittenRule};
use crate::files::steering::{ServicePolicy, WrittenService};
use crate::files::words::shown;
use crate::steering::rules::{Order, Policy, PolicyId, Rule};

/// The most different policies that services use: each has a map of the whole address space.
pub const POLICIES_MAX: usize = 4096;

/// All policies that are written, used or not.
pub(super) struct Policies<'w> {
    pub(super) all: Vec<Resolved<'w>>,
    /// The places in `all` of those with a name, by the zone in whose file they stand (`None`: clusters.toml).
    named: HashMap<(Option<usize>, &'w str), usize>,
    /// The places in `all` of those that stand in a service.
    inline: HashMap<*const WrittenPolicy, usize>,
}

/// A policy, resolved.
pub(super) struct Resolved<'w> {
    /// As it is written.
    pub(super) written: &'w WrittenPolicy,
    /// Whether it stands in a service.
    pub(super) is_inline: bool,
    /// The policy; what could not be resolved is left out, and has its issue.
    pub(super) policy: Policy,
}

impl<'w> Policies<'w> {
    /// Resolves all policies of all files.
    pub(super) fn resolve(world: &'w World, names: &Names<'_>, issues: &mut Vec<Issue>) -> Policies<'w> {
        let mut policies = Policies { all: Vec::new(), named: HashMap::new(), inline: HashMap::new() };
        for written in &world.clusters.policies {
            policies.named.insert((None, &written.key.value), policies.all.len());
            let policy = resolve(written, written.key.value.clone(), world, names, issues);
            policies.all.push(Resolved { written, is_inline: false, policy });
        }
        for (zone, file) in world.zones.iter().enumerate() {
            let origin = file.origin.to_string();
            for written in &file.steering.policies {
                let word: &str = &written.key.value;
                if let Some(shared) = policies.named.get(&(None, word)) {
                    let issue = Issue::error(
                        written.key.at.clone(),
                        format!("policy `{}` is one of clusters.toml, too", shown(word)),
                    );
                    let other = policies.all[*shared].written.key.at.clone();
                    issues.push(issue.also(other, "the other one").remedy("give it a name of its own"));
                }
                policies.named.insert((Some(zone), word), policies.all.len());
                let key = format!("{}/{word}", origin.trim_end_matches('.')).into();
                let policy = resolve(written, key, world, names, issues);
                policies.all.push(Resolved { written, is_inline: false, policy });
            }
            for service in &file.steering.services {
                if let ServicePolicy::Inline(written) = &service.policy {
                    policies.inline.insert(&raw const **written, policies.all.len());
                    let policy = resolve(written, written.key.value.clone(), world, names, issues);
                    policies.all.push(Resolved { written, is_inline: true, policy });
                }
            }
        }
        policies
    }

    /// The place in `all` of a service's policy, or an issue.
    pub(super) fn of(
        &self,
        service: &WrittenService,
        zone: usize,
        world: &World,
        names: &Names<'_>,
        issues: &mut Vec<Issue>,
    ) -> Option<usize> {
        let key = match &service.policy {
            ServicePolicy::Unread => return None,
            ServicePolicy::Inline(inline) => return self.inline.get(&(&raw const **inline)).copied(),
            ServicePolicy::Named(key) => key,
        };
        let of = |zone| self.named.get(&(zone, &*key.value)).copied();
        let place = of(Some(zone)).or_else(|| of(None));
        if place.is_none() && world.zones[zone].steering.wholeness == Wholeness::Whole {
            let own = &world.zones[zone].steering.policies;
            let visible = world.clusters.policies.iter().chain(own);
            names.unknown(key, "policy", visible.map(|policy| &*policy.key.value), issues);
        }
        place
    }

    /// The used policies without repetition, and the id of each that is used; an issue where there are too many.
    pub(super) fn shared(
        &self,
        used: &BTreeSet<usize>,
        issues: &mut Vec<Issue>,
    ) -> Option<(Vec<Policy>, HashMap<usize, PolicyId>)> {
        let mut shared: Vec<Policy> = Vec::new();
        let mut ids = HashMap::new();
        for &at in used {
            let Resolved { policy, written, .. } = &self.all[at];
            let same = shared.iter().position(|other| is_same(other, policy));
            let place = same.unwrap_or_else(|| {
                shared.push(policy.clone());
                shared.len() - 1
            });
            if shared.len() > POLICIES_MAX {
                let what = format!("services have more than {POLICIES_MAX} different policies");
                let remedy = "services with the same rules share a policy";
                issues.push(Issue::error(written.key.at.clone(), what).remedy(remedy));
                return None;
            }
            ids.insert(at, PolicyId(u16::try_from(place).expect("at most POLICIES_MAX")));
        }
        Some((shared, ids))
    }
}

/// Whether two policies say the same, whatever they are called.
fn is_same(one: &Policy, other: &Policy) -> bool {
    let Policy { key: _, clusters, rules, spread, ecs, rtt, rtt_margin, quality } = one;
    *clusters == other.clusters
        && *spread == other.spread
        && *ecs == other.ecs
        && *rtt_margin == other.rtt_margin
        && *quality == other.quality
        && *rules == other.rules
        && *rtt == other.rtt
}

fn resolve(
    written: &WrittenPolicy,
    key: Arc<str>,
    world: &World,
    names: &Names<'_>,
    issues: &mut Vec<Issue>,
) -> Policy {
    let mut ids = |keys: &[Written<Arc<str>>]| -> Vec<ClusterId> {
        keys.iter().filter_map(|key| names.cluster(key, issues)).collect()
    };
    let clusters = match &written.clusters {
        Some(listed) => ids(&listed.value),
        None => names.all_clusters(),
    };
    let orders: Vec<Vec<ClusterId>> = written.rules.iter().map(|rule| ids(rule.order.clusters())).collect();
    let mut rules = Vec::new();
    for (rule, order) in written.rules.iter().zip(orders) {
        among_the_clusters(written, rule, &clusters, names, issues);
        let from = from(rule, written.ecs, world, issues);
        let order = match rule.order {
            WrittenOrder::Only(_) => Order::Only(order),
            WrittenOrder::Prefer(_) | WrittenOrder::Unread => Order::Prefer(order),
        };
        rules.push(Rule { from, order });
    }
    let rtt = written.rtt.as_ref().and_then(|path| world.includes.rtt.get(&path.value));
    let rtt = rtt.into_iter().flatten().filter(|row| clusters.contains(&row.to)).copied().collect();
    Policy {
        key,
        rules,
        spread: written.spread,
        ecs: written.ecs,
        rtt,
        rtt_margin: written.rtt_margin,
        quality: written.quality,
        clusters,
    }
}

/// For whom a rule is, its prefix file included.
fn from(
    rule: &WrittenRule,
    ecs: bool,
    world: &World,
    issues: &mut Vec<Issue>,
) -> crate::steering::rules::From {
    let file = rule.prefix_file.as_ref().and_then(|path| world.includes.prefixes.get(&path.value));
    let file = file.map(Vec::as_slice).unwrap_or_default();
    if ecs {
        warn_of_long(&rule.prefixes, issues);
        warn_of_long(file, issues);
    }
    let mut from = rule.from.clone();
    from.prefixes.extend(file.iter().map(|prefix| prefix.value));
    from
}

/// Says of clusters of a rule that the policy does not have them.
fn among_the_clusters(
    written: &WrittenPolicy,
    rule: &WrittenRule,
    clusters: &[ClusterId],
    names: &Names<'_>,
    issues: &mut Vec<Issue>,
) {
    let Some(listed) = &written.clusters else { return };
    if clusters.len() < listed.value.len() {
        // One of them does not exist: it may be meant for this one.
        return;
    }
    for key in rule.order.clusters() {
        // A cluster that does not exist has been told as such.
        let id = names.cluster(key, &mut Vec::new());
        if id.is_some_and(|id| !clusters.contains(&id)) {
            let what = format!("cluster `{}` is not one of this policy", shown(&key.value));
            let at: At = listed.at.clone();
            issues.push(Issue::error(key.at.clone(), what).also(at, "its clusters").remedy("add it there"));
        }
    }
}
