//! What nothing uses, what nobody reaches, and addresses that stand twice.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::World;
use super::policies::{Policies, Resolved as Policy};
use super::services::Resolved as Service;
use crate::cluster::ClusterId;
use crate::files::clusters::ClustersFile;
use crate::files::issue::{At, Issue, is_grave};
use crate::files::words::shown;
use crate::steering::rules::Order;

/// Checks what the files have to no use.
pub(super) fn check(
    world: &World,
    policies: &Policies<'_>,
    services: &[Service<'_>],
    issues: &mut Vec<Issue>,
) {
    addresses(&world.clusters, issues);
    // Before the first service all is unused; where there are errors, what could not be read may use it.
    if services.is_empty() || is_grave(issues) {
        return;
    }
    unused_policies(policies, services, issues);
    unused_checks(world, services, issues);
    unreached_clusters(world, policies, services, issues);
}

fn unused_policies(policies: &Policies<'_>, services: &[Service<'_>], issues: &mut Vec<Issue>) {
    let used: HashSet<usize> = services.iter().filter_map(|service| service.policy).collect();
    for (at, policy) in policies.all.iter().enumerate() {
        if !policy.is_inline && !used.contains(&at) {
            let key = &policy.written.key;
            let what = format!("no service uses policy `{}`", shown(&key.value));
            issues.push(Issue::warning(key.at.clone(), what));
        }
    }
}

fn unused_checks(world: &World, services: &[Service<'_>], issues: &mut Vec<Issue>) {
    let by_clusters = world.clusters.clusters.iter().filter_map(|cluster| cluster.check.as_ref());
    let by_services = services.iter().filter_map(|service| service.written.check.as_ref());
    let by_checks = world.clusters.checks.iter().filter_map(|check| check.layers.as_ref());
    let by_checks = by_checks.flat_map(|layers| &layers.of);
    let used: HashSet<&str> =
        by_clusters.chain(by_services).chain(by_checks).map(|key| &*key.value).collect();
    for check in world.clusters.checks.iter().filter(|check| !used.contains(&*check.key.value)) {
        let what = format!("nothing uses check `{}`", shown(&check.key.value));
        issues.push(Issue::warning(check.key.at.clone(), what));
    }
}

fn unreached_clusters(
    world: &World,
    policies: &Policies<'_>,
    services: &[Service<'_>],
    issues: &mut Vec<Issue>,
) {
    let mut reached: HashSet<ClusterId> = services.iter().filter_map(Service::fallback).collect();
    policies.all.iter().for_each(|policy| reached.extend(reach(policy)));
    for (at, cluster) in world.clusters.clusters.iter().enumerate() {
        let id = u16::try_from(at).map(ClusterId);
        if id.is_ok_and(|id| !reached.contains(&id)) {
            let what = format!("no policy reaches cluster `{}`", shown(&cluster.key.value));
            let remedy = "add it to the `clusters` or an `only` of a policy";
            issues.push(Issue::warning(cluster.key.at.clone(), what).remedy(remedy));
        }
    }
}

/// The clusters that some client of a policy may get.
fn reach(policy: &Policy<'_>) -> Vec<ClusterId> {
    let mut reached = Vec::new();
    for (written, rule) in policy.written.rules.iter().zip(&policy.policy.rules) {
        match &rule.order {
            Order::Prefer(_) => return policy.policy.clusters.clone(),
            Order::Only(only) => reached.extend(only),
        }
        if written.is_for_everyone {
            return reached;
        }
    }
    policy.policy.clusters.clone()
}

/// Says of addresses that two nodes have them.
fn addresses(file: &ClustersFile, issues: &mut Vec<Issue>) {
    let mut first: HashMap<IpAddr, (usize, &str, &At)> = HashMap::new();
    for (cluster, written) in file.clusters.iter().enumerate() {
        for node in &written.nodes {
            for (address, at) in node.node.addresses.iter().zip(&node.addresses_at) {
                let key = &*node.node.key;
                let Some((other, other_key, other_at)) = first.get(&address.ip).copied() else {
                    first.insert(address.ip, (cluster, key, at));
                    continue;
                };
                let other_cluster = &*file.clusters[other].key.value;
                let has = format!("`{}` is an address of `{}`", address.ip, shown(other_key));
                let issue = if other == cluster {
                    Issue::error(at.clone(), format!("{has}, too")).remedy("an address belongs to one node")
                } else {
                    let what = format!("{has} in cluster `{}`, too", shown(other_cluster));
                    Issue::warning(at.clone(), what).remedy("clients of both clusters get the same machine")
                };
                issues.push(issue.also(other_at.clone(), "first written here"));
            }
        }
    }
}
