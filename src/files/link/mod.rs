//! All checked files -> one world in which every name that links two files is a dense id, or Issues.
//!
//! ```text
//! names      keys of clusters and checks -> ids
//! policies   keys of clusters in rules -> ids; equal policies become one
//! services   policy, check, fallback -> ids; where a service may stand among the records
//! coverage   families, checks: what a service's policy must hold
//! promise    the one-TTL check
//! usage      what nothing uses, what nobody reaches, addresses twice
//! ```

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cluster::{Cluster, Inventory};
use crate::files::checks::WrittenCheck;
use crate::files::clusters::ClustersFile;
use crate::files::document::{Wholeness, Written};
use crate::files::issue::{At, Issue, Severity};
use crate::files::server::ServerFile;
use crate::files::steering::SteeringFile;
use crate::geo::place::Prefix;
use crate::health::check::{Check, Kind};
use crate::steering::rules::{Policy, Rtt};
use crate::steering::service::{Service, ServiceId};
use crate::wire::name::Name;
use crate::zone::record::Record;

mod coverage;
mod names;
mod policies;
mod promise;
mod services;
mod usage;

pub use policies::POLICIES_MAX;

/// Everything that was read, each file checked by itself.
#[derive(Debug)]
pub struct World {
    /// steerdns.toml.
    pub server: ServerFile,
    /// clusters.toml; where there is none, the default.
    pub clusters: ClustersFile,
    /// The zones, each origin once.
    pub zones: Vec<WrittenZone>,
    /// What the files name.
    pub includes: Includes,
}

impl World {
    /// Whether something of a zone's file or of clusters.toml was not understood: what is missing may stand there.
    fn is_torn(&self, zone: usize) -> bool {
        [self.clusters.wholeness, self.zones[zone].steering.wholeness].contains(&Wholeness::Torn)
    }
}

/// A zone: its master file, and what is steered in it.
#[derive(Debug)]
pub struct WrittenZone {
    /// Its name.
    pub origin: Name,
    /// Its records.
    pub records: Vec<Record>,
    /// Where each of them stands.
    pub records_at: Vec<At>,
    /// Its TOML file; where there is none, the default.
    pub steering: SteeringFile,
}

/// What the TOML files name by path; a file that could not be read is absent, and has its issue.
#[derive(Debug, Default)]
pub struct Includes {
    /// Tables of measured round-trip times.
    pub rtt: HashMap<PathBuf, Vec<Rtt>>,
    /// Prefix files.
    pub prefixes: HashMap<PathBuf, Vec<Written<Prefix>>>,
    /// PEM roots of https checks.
    pub roots: HashMap<PathBuf, Arc<[u8]>>,
}

/// What all files together say: nothing in it names another by a word.
#[derive(Clone, Debug)]
pub struct Linked {
    /// The server.
    pub server: ServerFile,
    /// Clusters and nodes.
    pub inventory: Inventory,
    /// The checks; a `CheckId` is a place in it.
    pub checks: Vec<Check>,
    /// The policies that services use, no two equal but for the key; a `PolicyId` is a place in it.
    pub policies: Vec<Policy>,
    /// The services of all zones; a [`ServiceId`] is a place in it.
    pub services: Vec<Service>,
    /// The zones.
    pub zones: Vec<LinkedZone>,
}

/// A zone with its records and services.
#[derive(Clone, Debug)]
pub struct LinkedZone {
    /// Its name.
    pub origin: Name,
    /// Its records, in the order of the file.
    pub records: Vec<Record>,
    /// Its services.
    pub services: Vec<ServiceId>,
}

/// Links what was read; `None` where `issues` hold an error, then or before.
pub fn link(world: World, issues: &mut Vec<Issue>) -> Option<Linked> {
    let names = names::Names::of(&world.clusters);
    let inventory = inventory(&world.clusters, &names, issues);
    let checks = checks(&world);
    let policies = policies::Policies::resolve(&world, &names, issues);
    let services = services::resolve(&world, &names, &policies, issues);
    coverage::check(&world, &inventory, &policies, &services, issues);
    promise::check(&world, &inventory, &checks, &policies, &services, issues);
    usage::check(&world, &policies, &services, issues);
    if issues.iter().any(|issue| issue.severity == Severity::Error) {
        return None;
    }
    let used = services.iter().filter_map(|service| service.policy).collect();
    let (policies, ids) = policies.shared(&used);
    let mut steered = vec![Vec::new(); world.zones.len()];
    let mut linked = Vec::new();
    for service in services {
        steered[service.zone].push(ServiceId(u32::try_from(linked.len()).ok()?));
        linked.push(service.linked(&ids)?);
    }
    let zones = world.zones.into_iter().zip(steered);
    let zones =
        zones.map(|(zone, services)| LinkedZone { origin: zone.origin, records: zone.records, services });
    let zones = zones.collect();
    Some(Linked { server: world.server, inventory, checks, policies, services: linked, zones })
}

/// Clusters with the ids of their checks.
fn inventory(file: &ClustersFile, names: &names::Names<'_>, issues: &mut Vec<Issue>) -> Inventory {
    let mut clusters = Vec::new();
    for written in &file.clusters {
        clusters.push(Cluster {
            key: written.key.value.clone(),
            place: written.place,
            region: written.region.clone(),
            capacity: written.capacity,
            check: written.check.as_ref().and_then(|check| names.check(check, issues)),
            nodes: written.nodes.iter().map(|node| node.node.clone()).collect(),
        });
    }
    Inventory { clusters }
}

/// Checks with the roots that they trust.
fn checks(world: &World) -> Vec<Check> {
    let with_roots = |written: &WrittenCheck| {
        let mut check = written.check.clone();
        if let (Kind::Https(_, tls), Some(path)) = (&mut check.kind, &written.roots) {
            tls.roots = world.includes.roots.get(&path.value).cloned();
        }
        check
    };
    world.clusters.checks.iter().map(with_roots).collect()
}
