//! All checked files -> one world in which every name that links two files is a dense id, or Issues.
//!
//! ```text
//! expose     names of clusters and nodes, as services and records
//! names      keys of clusters and checks -> ids
//! layers     keys of checks that are made of others -> ids
//! policies   keys of clusters in rules -> ids; equal policies become one
//! services   policy, check, fallback -> ids; where a service may stand among the records
//! coverage   families, checks: what a service's policy must hold
//! promise    the one-TTL check
//! secondaries   keys and their secrets; who gets each zone whole
//! usage      what nothing uses, what nobody reaches, addresses twice
//! ```

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::alert::receiver::Alerting;
use crate::cluster::{Cluster, Inventory};
use crate::files::checks::WrittenCheck;
use crate::files::clusters::ClustersFile;
use crate::files::document::{Wholeness, Written};
use crate::files::issue::{At, Issue, is_grave};
use crate::files::server::ServerFile;
use crate::files::steering::SteeringFile;
use crate::geo::place::Prefix;
use crate::health::check::{Check, Kind};
use crate::plan::served::Secondaries;
use crate::steering::balance::settings::Settings;
use crate::steering::binding::Form;
use crate::steering::rules::{Policy, Rtt};
use crate::steering::service::{Service, ServiceId};
use crate::wire::cookie::SECRET_OCTETS;
use crate::wire::digest::Token;
use crate::wire::name::Name;
use crate::wire::tsig::Key;
use crate::zone::record::Record;

mod coverage;
mod expose;
mod layers;
mod names;
mod policies;
mod promise;
mod secondaries;
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
    /// Names of clusters and nodes that are among its records though nobody wrote them there.
    pub exposed: HashSet<Name>,
}

/// What the TOML files name by path; a file that could not be read is absent, and has its issue.
#[derive(Debug, Default)]
pub struct Includes {
    /// Tables of measured round-trip times.
    pub rtt: HashMap<PathBuf, Vec<Rtt>>,
    /// Prefix files.
    pub prefixes: HashMap<PathBuf, Vec<Written<Prefix>>>,
    /// PEM roots that checks trust.
    pub roots: HashMap<PathBuf, Arc<[u8]>>,
    /// Secrets of keys and cookies.
    pub secrets: HashMap<PathBuf, Vec<u8>>,
    /// Who is told of alerts, with the secrets that takes.
    pub alerts: Alerting,
}

/// What all files together say: nothing in it names another by a word.
#[derive(Clone, Debug)]
pub struct Linked {
    /// The server.
    pub server: ServerFile,
    /// Clusters and nodes.
    pub inventory: Inventory,
    /// The checks; a `CheckId` is a place in it.
    pub checks: Vec<Arc<Check>>,
    /// How load is balanced; `None`: it is not.
    pub balance: Option<Settings>,
    /// The token by which nodes may say how busy they are.
    pub push_token: Option<Token>,
    /// The policies that services use, no two equal but for the key; a `PolicyId` is a place in it.
    pub policies: Vec<Policy>,
    /// The services of all zones; a [`ServiceId`] is a place in it.
    pub services: Vec<Service>,
    /// What each of them answers beside addresses: owner, type, form, how many clusters more are named.
    pub bindings: Vec<Vec<(Name, u16, Form, u8)>>,
    /// The keys that clients may sign with.
    pub keys: Vec<Arc<Key>>,
    /// The secrets of cookies; none, where no file is named.
    pub cookies: Vec<[u8; SECRET_OCTETS]>,
    /// The zones.
    pub zones: Vec<LinkedZone>,
    /// Who is told of what is wrong, and when.
    pub alerts: Alerting,
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
    /// Who gets it whole.
    pub secondaries: Secondaries,
    /// Names of clusters and nodes that are among its records.
    pub exposed: HashSet<Name>,
}

/// Links what was read; `None` where `issues` hold an error, then or before.
pub fn link(mut world: World, issues: &mut Vec<Issue>) -> Option<Linked> {
    expose::expand(&mut world, issues);
    let names = names::Names::of(&world.clusters);
    let inventory = inventory(&world.clusters, &names, issues);
    let checks = layers::checks(&world, &names, issues);
    let balance = balance(&world.clusters, issues);
    let policies = policies::Policies::resolve(&world, &names, issues);
    let services = services::resolve(&world, &names, &policies, issues);
    coverage::check(&world, &inventory, &policies, &services, issues);
    promise::check(&world, &inventory, &checks, &policies, &services, issues);
    usage::check(&world, &policies, &services, issues);
    let keys = secondaries::keys(&world, issues);
    let cookies = secondaries::cookies(&world, issues);
    let push_token = secondaries::push_token(&world, issues);
    secondaries::of_server(&world, &keys, issues);
    let secondaries: Vec<Secondaries> =
        world.zones.iter().map(|zone| secondaries::of(&world, zone, &keys, issues)).collect();
    if is_grave(issues) {
        return None;
    }
    let used = services.iter().filter_map(|service| service.policy).collect();
    let (policies, ids) = policies.shared(&used, issues)?;
    let mut steered = vec![Vec::new(); world.zones.len()];
    let (mut linked, mut bindings) = (Vec::new(), Vec::new());
    for service in services {
        steered[service.zone].push(ServiceId(u32::try_from(linked.len()).ok()?));
        bindings.push(service.bindings(&world));
        linked.push(service.linked(&ids)?);
    }
    let zones = world.zones.into_iter().zip(steered).zip(secondaries);
    let zones = zones.map(|((zone, services), secondaries)| LinkedZone {
        origin: zone.origin,
        records: zone.records,
        services,
        secondaries,
        exposed: zone.exposed,
    });
    let (zones, services, server, alerts) = (zones.collect(), linked, world.server, world.includes.alerts);
    Some(Linked {
        server,
        inventory,
        checks,
        balance,
        push_token,
        policies,
        services,
        bindings,
        keys,
        cookies,
        zones,
        alerts,
    })
}

/// How load is balanced: where each cluster says what it can carry.
fn balance(file: &ClustersFile, issues: &mut Vec<Issue>) -> Option<Settings> {
    let (with, without): (Vec<_>, Vec<_>) =
        file.clusters.iter().partition(|cluster| cluster.capacity.is_some());
    if file.balancing.is_off {
        return None;
    }
    if with.is_empty() {
        if let Some(at) = file.balancing.at.clone().filter(|_| !file.clusters.is_empty()) {
            let issue = Issue::warning(at, "no cluster has a `capacity`: load is not balanced");
            issues.push(issue.remedy("say what each cluster can carry"));
        }
        return None;
    }
    let Some(first) = without.first() else {
        rare_words(file, issues);
        return Some(file.balancing.settings);
    };
    // Where there are errors, a capacity may be what could not be read.
    if !is_grave(issues) {
        let what =
            format!("`{}` has no `capacity`, and other clusters have: load is not balanced", first.key.value);
        let issue = Issue::warning(first.key.at.clone(), what);
        issues.push(issue.remedy("say what each cluster can carry, or write `[balance] enabled = false`"));
    }
    None
}

/// Warns of checks that ask so rarely for the load that its last word has expired before the next.
fn rare_words(file: &ClustersFile, issues: &mut Vec<Issue>) {
    let expiry = file.balancing.settings.expiry;
    for WrittenCheck { key, check, .. } in &file.checks {
        let tells = matches!(&check.kind, Kind::Http(http) | Kind::Https(http, _) if http.load.is_some());
        if tells && check.interval > expiry {
            let what = format!("`{}` asks for the load less often than in `expiry` ({expiry:?})", key.value);
            let issue = Issue::warning(key.at.clone(), what);
            issues.push(issue.remedy("`[balance] expiry` should be twice the `interval`"));
        }
    }
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
            min_nodes: written.min_nodes.as_ref().map_or(1, |min_nodes| min_nodes.value),
            ramp: written.ramp,
            pinned: written.pinned.clone(),
            nodes: written.nodes.iter().map(|node| node.node.clone()).collect(),
        });
    }
    Inventory { clusters }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::issue::Source;
    use crate::files::{clusters, server, show, steering};
    use crate::steering::rules::Order;
    use crate::steering::service::AllDown;

    const CLUSTERS: &str = "
        check = { tcp = { kind = \"tcp\", port = 80 }, other = { kind = \"http\" } }
        [cluster.bkk]
        place = [13.76, 100.50]
        check = \"other\"
        node = { n1 = [\"192.0.2.31\"] }
        [cluster.ams]
        place = [52.37, 4.90]
        check = \"tcp\"
        node = { n1 = [\"192.0.2.41\"] }
        [policy.asia]
        clusters = [\"bkk\"]
        [policy.all]
        rule = [{ from = { country = [\"NL\"] }, prefer = [\"ams\"] }]
    ";

    /// Links CLUSTERS with a zone.
    fn linked(zone: &str) -> (Option<Linked>, String) {
        let source = |path: &str, text: &str| Arc::new(Source { path: path.into(), text: text.into() });
        let mut issues = Vec::new();
        let origin = Name::parse("example.com.", None).unwrap();
        let zone = steering::read(&source("example.com.toml", zone), &origin, &mut issues);
        let world = World {
            server: server::read(&source("steerdns.toml", "listen = [\"[::1]:0\"]"), &mut issues),
            clusters: clusters::read(&source("clusters.toml", CLUSTERS), &mut issues),
            zones: vec![WrittenZone {
                origin,
                records: Vec::new(),
                records_at: Vec::new(),
                steering: zone,
                exposed: HashSet::new(),
            }],
            includes: Includes::default(),
        };
        let linked = link(world, &mut issues);
        (linked, show::issues(&issues, show::Format::Short))
    }

    #[test]
    fn names_become_ids_in_the_order_of_the_file() {
        let (linked, said) = linked(
            "[service.a]\npolicy = \"all\"\ncheck = \"other\"\nall_down = { fallback = \"ams\" }\n\
             [service.b]\npolicy = \"asia\"\n",
        );
        assert_eq!(said, "");
        let linked = linked.unwrap();
        let (bkk, ams) = (linked.inventory.id("bkk").unwrap(), linked.inventory.id("ams").unwrap());
        assert_eq!((bkk.0, ams.0), (0, 1));
        let [a, b] = &linked.services[..] else { panic!("two services") };
        assert_eq!(a.all_down, AllDown::Fallback(ams));
        assert_eq!(a.check.map(|check| &*linked.checks[usize::from(check.0)].key), Some("other"));
        assert_eq!(b.check, None);
        let policy = |service: &Service| &linked.policies[usize::from(service.policy.0)];
        assert_eq!(policy(a).clusters, [bkk, ams]);
        assert_eq!(policy(a).rules[0].order, Order::Prefer(vec![ams]));
        assert_eq!(policy(b).clusters, [bkk]);
        assert_eq!(linked.zones[0].services, [ServiceId(0), ServiceId(1)]);
    }

    #[test]
    fn services_with_equal_policies_share_one() {
        let (linked, said) = linked(
            "[service.a]\npolicy = \"asia\"\n[service.b]\nclusters = [\"bkk\"]\n[service.c]\n[service.d]\npolicy = \"all\"\n\
             [service.e]\npolicy = \"own\"\n[policy.own]\necs = false",
        );
        assert_eq!(said, "");
        let linked = linked.unwrap();
        let keys: Vec<&str> = linked.policies.iter().map(|policy| &*policy.key).collect();
        assert_eq!(keys, ["asia", "all", "example.com/own", "service c.example.com."]);
        let policies: Vec<u16> = linked.services.iter().map(|service| service.policy.0).collect();
        assert_eq!(policies, [0, 0, 3, 1, 2]);
    }

    #[test]
    fn before_the_first_service_nothing_is_said_to_be_unused() {
        let (linked, said) = linked("");
        assert_eq!(said, "");
        assert!(linked.unwrap().policies.is_empty());
    }
}
