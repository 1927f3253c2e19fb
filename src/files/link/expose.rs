//! Names of clusters and nodes, as `expose` of a zone asks for them.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::services::Standing;
use super::{World, WrittenZone};
use crate::files::clusters::{ClustersFile, WrittenCluster};
use crate::files::document::Written;
use crate::files::expose::{Clusters, WrittenExpose};
use crate::files::issue::{At, Issue};
use crate::files::policies::{RTT_MARGIN, WrittenPolicy};
use crate::files::steering::{ServicePolicy, WrittenAllDown, WrittenService};
use crate::steering::rules::Spread;
use crate::steering::service::Ipv6;
use crate::wire::name::Name;
use crate::zone::record::{Record, rtype};

/// At most so many addresses in an answer of a cluster's name.
const ANSWERS: u8 = 8;

/// Gives the clusters and nodes of each zone that says so their names: a cluster's is a service of its own, or plain records, a
/// node's is plain. What collides with what is there has its issue.
pub(super) fn expand(world: &mut World, issues: &mut Vec<Issue>) {
    let World { clusters, zones, .. } = world;
    for zone in zones {
        let Some(expose) = zone.steering.expose.clone() else { continue };
        let made = Made::of(&expose, &zone.origin, clusters, issues);
        let taken = collisions(&made, zone, &expose.at, issues);
        let plain = made.plain.into_iter().filter(|(name, _)| !taken.contains(name));
        for (owner, address) in plain {
            zone.exposed.insert(owner.clone());
            zone.records.push(record(owner, expose.ttl_s.value, address));
            zone.records_at.push(expose.at.clone());
        }
        zone.steering.services.extend(made.services);
    }
}

/// The names of one zone.
#[derive(Default)]
struct Made {
    services: Vec<WrittenService>,
    plain: Vec<(Name, IpAddr)>,
}

impl Made {
    fn of(expose: &WrittenExpose, origin: &Name, file: &ClustersFile, issues: &mut Vec<Issue>) -> Made {
        let mut made = Made::default();
        let below = |above: &Name, key: &str, issues: &mut Vec<Issue>| {
            let name = above.below(key.as_bytes());
            if name.is_none() {
                let what = format!("`{key}.{above}` would be longer than 255 octets");
                issues.push(Issue::error(expose.at.clone(), what));
            }
            name
        };
        for cluster in &file.clusters {
            let Some(name) = below(origin, &cluster.key.value, issues) else { continue };
            let addresses = cluster.nodes.iter().flat_map(|node| &node.node.addresses);
            if expose.clusters == Clusters::Steered && cluster.check.is_some() {
                made.services.push(service(expose, name.clone(), cluster));
            } else {
                made.plain.extend(addresses.map(|address| (name.clone(), address.ip)));
            }
            for node in cluster.nodes.iter().filter(|_| expose.nodes) {
                let Some(name) = below(&name, &node.node.key, issues) else { continue };
                made.plain.extend(node.node.addresses.iter().map(|address| (name.clone(), address.ip)));
            }
        }
        made
    }
}

/// A cluster's name as a service: its nodes that are up, the same for everybody.
fn service(expose: &WrittenExpose, owner: Name, cluster: &WrittenCluster) -> WrittenService {
    let here = |value: Arc<str>| Written { value, at: expose.at.clone() };
    let only = here(cluster.key.value.clone());
    let policy = WrittenPolicy {
        key: here(format!("cluster {}", cluster.key.value).into()),
        clusters: Some(Written { value: vec![only], at: expose.at.clone() }),
        rules: Vec::new(),
        spread: Spread::default(),
        ecs: false,
        rtt: None,
        rtt_margin: RTT_MARGIN,
        quality: None,
    };
    WrittenService {
        owner: Written { value: owner, at: expose.at.clone() },
        policy: ServicePolicy::Inline(Box::new(policy)),
        check: None,
        ttl_s: expose.ttl_s.clone(),
        answers: ANSWERS,
        all_down: WrittenAllDown::ServeAll,
        ipv6: Some(Ipv6::Far),
        sticky: false,
        demand: 1.0,
        detect_within: None,
        bindings: Vec::new(),
        is_exposed: true,
    }
}

/// Tells of plain names that something else has already, and gives them; services are looked at with all others.
fn collisions(made: &Made, zone: &WrittenZone, at: &At, issues: &mut Vec<Issue>) -> HashSet<Name> {
    let records = Standing::of(zone);
    let services: HashMap<&Name, &At> =
        zone.steering.services.iter().map(|service| (&service.owner.value, &service.owner.at)).collect();
    let clusters: HashSet<&Name> = made.services.iter().map(|service| &service.owner.value).collect();
    let mut taken = HashSet::new();
    for (name, _) in &made.plain {
        let above = name.parent();
        // What is wrong with a cluster's name is told of that one, not of all its nodes.
        let told = above.as_ref().is_some_and(|above| {
            let of_service =
                clusters.contains(above) && records.fault(above, at, "exposed", &[], &zone.origin).is_some();
            taken.contains(above) || of_service
        });
        if told || taken.contains(name) {
            taken.insert(name.clone());
        } else if let Some(service) = services.get(name) {
            let issue = Issue::error(at.clone(), format!("`{name}` is exposed, and is a service"));
            issues
                .push(issue.also((*service).clone(), "the service").remedy("give the service another name"));
            taken.insert(name.clone());
        } else if let Some(fault) =
            records.fault(name, at, "exposed", &[rtype::A, rtype::AAAA, rtype::CNAME], &zone.origin)
        {
            issues.push(fault);
            taken.insert(name.clone());
        }
    }
    taken
}

fn record(owner: Name, ttl_s: u32, address: IpAddr) -> Record {
    match address {
        IpAddr::V4(v4) => Record { owner, rtype: rtype::A, ttl_s, rdata: v4.octets().into() },
        IpAddr::V6(v6) => Record { owner, rtype: rtype::AAAA, ttl_s, rdata: v6.octets().into() },
    }
}
