//! Which records, services and clusters appear, vanish or are others.

use std::collections::BTreeMap;

use super::{Changed, How, Side};
use crate::cluster::{Cluster, Inventory, Node};
use crate::plan::Plan;
use crate::plan::served::ServedZone;
use crate::steering::service::{AllDown, Ipv6};
use crate::wire::name::Name;
use crate::zone::edition::is_newer;
use crate::zone::record::{Record, rtype};

/// What a SOA record ends with: serial, refresh, retry, expire, minimum.
const SOA_NUMBERS: usize = 20;

/// Records by name and type, but for the serials; and of which zones that was not raised though secondaries must see a change.
pub(super) fn records(before: &Side<'_>, after: &Side<'_>) -> (Vec<Changed>, Vec<String>) {
    let sets = |side: &Side<'_>| {
        let mut sets: BTreeMap<(Name, u16), Vec<String>> = BTreeMap::new();
        for record in side.zones.iter().flat_map(|zone| &zone.1) {
            let (_, rdata) = match record.rtype {
                rtype::SOA => (side.write)(&without_serial(record)),
                _ => (side.write)(record),
            };
            let set = sets.entry((record.owner.clone(), record.rtype)).or_default();
            set.push(format!("{} {rdata}", record.ttl_s));
        }
        sets.values_mut().for_each(|set| set.sort());
        sets
    };
    let of_type = |number: u16| {
        let of = Record { owner: Name::root(), rtype: number, ttl_s: 0, rdata: Box::default() };
        (after.write)(&of).0
    };
    let all = changed(&sets(before), &sets(after), |(name, number)| format!("{name} {}", of_type(*number)));
    (all, unraised(before, after))
}

/// A SOA record with serial 0.
fn without_serial(record: &Record) -> Record {
    let mut record = record.clone();
    if let Some(at) = record.rdata.len().checked_sub(SOA_NUMBERS) {
        record.rdata[at..at + 4].fill(0);
    }
    record
}

/// A zone as a Plan serves it.
fn served<'s>(side: &Side<'s>, origin: &Name) -> Option<&'s ServedZone> {
    let plan = &side.snapshot.plan;
    plan.apexes.get(origin).map(|zone| &plan.served[*zone as usize])
}

fn unraised(before: &Side<'_>, after: &Side<'_>) -> Vec<String> {
    let olds: BTreeMap<&Name, &Vec<Record>> = before.zones.iter().map(|(origin, of)| (origin, of)).collect();
    let told = after.zones.iter().filter_map(|(origin, records)| {
        let (olds, was, is) = (*olds.get(origin)?, served(before, origin)?, served(after, origin)?);
        // A zone of health has serials of its own.
        let is_seen = !is.secondaries.grants.is_empty() && !is.secondaries.of_health;
        let sorted = |records: &[Record]| {
            let mut all: Vec<_> = records
                .iter()
                .map(|record| (record.owner.clone(), record.rtype, record.ttl_s, record.rdata.clone()))
                .collect();
            all.sort();
            all
        };
        let is_stuck = is_seen && !is_newer(is.serial, was.serial) && sorted(olds) != sorted(records);
        is_stuck.then(|| {
            let (was, is) = (was.serial, is.serial);
            format!("the serial of {origin} is {is}, and was {was}: its secondaries do not see the change")
        })
    });
    told.collect()
}

/// Services by name: all that an operator says of them, but for whom they send where.
pub(super) fn services(before: &Side<'_>, after: &Side<'_>) -> Vec<Changed> {
    let [old, new] = [before, after].map(|side| said_of_services(&side.snapshot.plan));
    changed(&old, &new, String::clone)
}

fn said_of_services(plan: &Plan) -> BTreeMap<String, Vec<String>> {
    let services = plan.services.iter().filter(|service| !service.is_exposed);
    let said = services.map(|service| {
        let policy = &plan.policies[usize::from(service.policy.0)];
        let check = service.check.map(|check| &*plan.checks[usize::from(check.0)].key);
        let mut said = vec![
            format!("policy {}", policy.key),
            format!("check {}", check.unwrap_or("of each cluster")),
            format!("ttl {} s", service.ttl_s),
            format!("{} answers", service.answers),
            match service.all_down {
                AllDown::ServeAll => "all_down serve-all".into(),
                AllDown::ServFail => "all_down servfail".into(),
                AllDown::Fallback(cluster) => {
                    format!("all_down fallback to {}", plan.inventory.cluster(cluster).key)
                }
            },
        ];
        said.extend((service.ipv6 == Ipv6::Off).then(|| "ipv6 off".into()));
        said.extend(service.sticky.then(|| "sticky".into()));
        said.extend(service.detect_within.map(|within| format!("detect_within {within:?}")));
        said.extend((service.demand != 1.0).then(|| format!("demand {}", service.demand)));
        (service.owner.to_string(), said)
    });
    said.collect()
}

/// Clusters by key, and nodes by theirs.
pub(super) fn clusters(before: &Side<'_>, after: &Side<'_>) -> Vec<Changed> {
    let [old, new] = [before, after].map(|side| said_of_clusters(&side.snapshot.plan.inventory));
    changed(&old, &new, String::clone)
}

fn said_of_clusters(inventory: &Inventory) -> BTreeMap<String, Vec<String>> {
    let of_cluster = |cluster: &Cluster| {
        let mut said = vec![format!("at {:.2}, {:.2}", cluster.place.lat(), cluster.place.lon())];
        said.extend(cluster.region.as_ref().map(|region| format!("region {region}")));
        said.extend(cluster.capacity.map(|capacity| format!("capacity {capacity}")));
        said.extend((cluster.min_nodes > 1).then(|| format!("min_nodes {}", cluster.min_nodes)));
        said.extend(cluster.pinned.as_ref().map(|pinned| format!("override {}", pinned.word.word())));
        said
    };
    let of_node = |node: &Node| {
        let mut said: Vec<String> = node.addresses.iter().map(|address| address.ip.to_string()).collect();
        said.extend((node.weight != 1).then(|| format!("weight {}", node.weight)));
        said.extend(node.pinned.as_ref().map(|pinned| format!("override {}", pinned.word.word())));
        said
    };
    let all = inventory.clusters.iter().flat_map(|cluster| {
        let nodes = cluster.nodes.iter().map(|node| (format!("{}/{}", cluster.key, node.key), of_node(node)));
        std::iter::once((cluster.key.to_string(), of_cluster(cluster))).chain(nodes).collect::<Vec<_>>()
    });
    all.collect()
}

/// What of one is not in the other.
fn changed<K: Ord>(
    old: &BTreeMap<K, Vec<String>>,
    new: &BTreeMap<K, Vec<String>>,
    what: impl Fn(&K) -> String,
) -> Vec<Changed> {
    let none = Vec::new();
    let gone = old.keys().filter(|key| !new.contains_key(key));
    let mut keys: Vec<&K> = new.keys().chain(gone).collect();
    keys.sort();
    let others = keys.into_iter().filter_map(|key| {
        let how = match (old.contains_key(key), new.contains_key(key)) {
            (false, _) => How::New,
            (_, false) => How::Gone,
            _ => How::Other,
        };
        let [was, is] = [old, new].map(|of| of.get(key).unwrap_or(&none));
        let only = |of: &[String], other: &[String]| {
            of.iter().filter(|said| !other.contains(said)).cloned().collect::<Vec<_>>()
        };
        (was != is).then(|| Changed { what: what(key), how, was: only(was, is), is: only(is, was) })
    });
    others.filter(|of| !of.was.is_empty() || !of.is.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_both_have_only_the_difference_is_told() {
        let of = |rows: &[(&str, &[&str])]| -> BTreeMap<String, Vec<String>> {
            let words = |said: &[&str]| said.iter().map(ToString::to_string).collect();
            rows.iter().map(|(key, said)| (key.to_string(), words(said))).collect()
        };
        let old = of(&[("a", &["1", "2"]), ("b", &["3"]), ("c", &["4"])]);
        let new = of(&[("a", &["1", "5"]), ("c", &["4"]), ("d", &["6"])]);
        let told: Vec<_> = changed(&old, &new, String::clone)
            .iter()
            .map(|of| (of.what.clone(), of.was.concat(), of.is.concat()))
            .collect();
        let row = |what: &str, was: &str, is: &str| (what.to_owned(), was.to_owned(), is.to_owned());
        assert_eq!(told, [row("a", "2", "5"), row("b", "3", ""), row("d", "", "6")]);
    }
}
