//! What a service's policy must hold: clusters, a family for every client, a check for every cluster.

use std::collections::HashSet;

use super::World;
use super::policies::Policies;
use super::services::{Resolved, called};
use crate::cluster::{ClusterId, Family, Inventory};
use crate::files::issue::{At, Issue};
use crate::files::policies::WrittenOrder;
use crate::files::words::listed;
use crate::steering::rules::{Order, Policy};
use crate::steering::service::Ipv6;

/// So many clusters are named in a sentence.
const NAMED_MAX: usize = 4;

/// Checks every service against the clusters of its policy.
pub(super) fn check(
    world: &World,
    inventory: &Inventory,
    policies: &Policies<'_>,
    services: &[Resolved<'_>],
    issues: &mut Vec<Issue>,
) {
    // A rule is told once, not for every service that uses its policy.
    let mut told: HashSet<(usize, usize, Family)> = HashSet::new();
    for service in services {
        let Some(at) = service.policy else { continue };
        if world.is_torn(service.zone) {
            continue;
        }
        let policy = &policies.all[at].policy;
        if policy.clusters.is_empty() {
            no_clusters(service, world, issues);
            continue;
        }
        checked(service, policy, inventory, world, issues);
        if policy.clusters.iter().any(|id| !world.clusters.clusters[usize::from(id.0)].is_whole) {
            continue;
        }
        let families = families(service, policy, inventory, issues);
        fallback(service, &families, inventory, issues);
        for family in families {
            for (rule, order) in policy.rules.iter().map(|rule| &rule.order).enumerate() {
                let Order::Only(only) = order else { continue };
                let WrittenOrder::Only(list) = &policies.all[at].written.rules[rule].order else { continue };
                let holds = only.iter().any(|id| inventory.cluster(*id).has(family));
                if !holds && only.len() == list.value.len() && told.insert((at, rule, family)) {
                    issues.push(without_family(&list.at, family, service, policy, inventory));
                }
            }
        }
    }
}

fn no_clusters(service: &Resolved<'_>, world: &World, issues: &mut Vec<Issue>) {
    if world.clusters.clusters.is_empty() {
        let what = format!("there is no cluster to answer {} with", called(service.written));
        let remedy = "define clusters in clusters.toml, beside the zones";
        issues.push(Issue::error(service.written.owner.at.clone(), what).remedy(remedy));
    }
}

/// The families that a service answers; where only some clusters have IPv6, it must say what is meant.
fn families(
    service: &Resolved<'_>,
    policy: &Policy,
    inventory: &Inventory,
    issues: &mut Vec<Issue>,
) -> Vec<Family> {
    let has = |family| move |id: &&ClusterId| inventory.cluster(**id).has(family);
    let mut families = Vec::new();
    if policy.clusters.iter().any(|id| has(Family::V4)(&id)) {
        families.push(Family::V4);
    }
    let (with, without): (Vec<_>, Vec<_>) = policy.clusters.iter().partition(has(Family::V6));
    match service.written.ipv6 {
        Some(Ipv6::Off) => {}
        None if !with.is_empty() && !without.is_empty() => {
            let verb = if without.len() == 1 { "has" } else { "have" };
            let what = format!(
                "{} {verb} no IPv6 address, and {} of policy `{}` {}",
                named(&without, inventory),
                named(&with, inventory),
                policy.key,
                if with.len() == 1 { "has" } else { "have" },
            );
            let remedy = "add `ipv6 = \"far\"` to answer AAAA with those that have it, or `ipv6 = \"off\"`";
            issues.push(Issue::error(service.written.owner.at.clone(), what).remedy(remedy));
        }
        _ if !with.is_empty() => families.push(Family::V6),
        _ => {}
    }
    families
}

fn fallback(service: &Resolved<'_>, families: &[Family], inventory: &Inventory, issues: &mut Vec<Issue>) {
    use crate::files::steering::WrittenAllDown::Fallback;
    let Fallback(key) = &service.written.all_down else { return };
    let Some(id) = service.fallback() else { return };
    for family in families.iter().filter(|family| !inventory.cluster(id).has(**family)) {
        let what = format!(
            "fallback `{}` has no {} address, and {} answers them",
            key.value,
            family.name(),
            called(service.written)
        );
        issues.push(Issue::error(key.at.clone(), what).remedy("take a cluster with both families"));
    }
}

/// Says that no check judges the nodes of some clusters.
fn checked(
    service: &Resolved<'_>,
    policy: &Policy,
    inventory: &Inventory,
    world: &World,
    issues: &mut Vec<Issue>,
) {
    if service.written.check.is_some() {
        return;
    }
    let clusters = policy.clusters.iter().copied().chain(service.fallback());
    let bare: Vec<ClusterId> =
        clusters.filter(|id| world.clusters.clusters[usize::from(id.0)].check.is_none()).collect();
    let Some(first) = bare.first() else { return };
    let bare: Vec<&ClusterId> = bare.iter().collect();
    let what =
        format!("neither {} nor cluster {} names a check", called(service.written), named(&bare, inventory));
    let at = world.clusters.clusters[usize::from(first.0)].key.at.clone();
    let issue = Issue::error(service.written.owner.at.clone(), what).also(at, "a cluster without `check`");
    issues.push(issue.remedy("add `check = \"…\"` to the service or to the cluster"));
}

fn without_family(
    list: &At,
    family: Family,
    service: &Resolved<'_>,
    policy: &Policy,
    inventory: &Inventory,
) -> Issue {
    let what = format!(
        "none of these clusters has an {} address, and {} answers them",
        family.name(),
        called(service.written)
    );
    let others: Vec<&ClusterId> =
        policy.clusters.iter().filter(|id| inventory.cluster(**id).has(family)).collect();
    let off = if family == Family::V6 { ", or `ipv6 = \"off\"` to the service" } else { "" };
    let issue = Issue::error(list.clone(), what).also(service.written.owner.at.clone(), "the service");
    issue.remedy(format!("add one that has: {}{off}", named(&others, inventory)))
}

/// The keys of some clusters, in backticks; of many only the first.
fn named(ids: &[&ClusterId], inventory: &Inventory) -> String {
    let keys: Vec<&str> = ids.iter().take(NAMED_MAX).map(|id| &*inventory.cluster(**id).key).collect();
    match ids.len() - keys.len() {
        0 => listed(&keys, "and"),
        more => format!("{} (and {more} more)", listed(&keys, "and")),
    }
}
