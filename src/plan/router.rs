//! For each service and family, its map and its kind of pool.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::parts::Parts;
use super::{Map, PoolKind, Route};
use crate::cluster::{ClusterId, Family, Inventory};
use crate::geo::place::Prefix;
use crate::geo::prefix_map::PrefixMap;
use crate::steering::alike::MapOf;
use crate::steering::client::PlacedNetworks;
use crate::steering::compile::Mapped;
use crate::steering::rules::{Policy, PolicyId, RttFrom};
use crate::steering::service::{Ipv6, Service, ServiceId};

/// A map that a Plan needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The policy.
    pub policy: PolicyId,
    /// Those of its clusters that have addresses of the family, in its order.
    pub candidates: Vec<ClusterId>,
}

impl Wanted {
    /// What it is compiled of.
    pub fn of<'a>(&'a self, parts: &'a Parts) -> MapOf<'a> {
        let policy = &parts.policies[usize::from(self.policy.0)];
        MapOf { policy, candidates: &self.candidates, inventory: &parts.inventory }
    }
}

/// The map of a service in a family; `None` where it has none.
fn wanted_by(
    service: &Service,
    family: Family,
    policies: &[Policy],
    inventory: &Inventory,
) -> Option<Wanted> {
    if family == Family::V6 && service.ipv6 == Ipv6::Off {
        return None;
    }
    let policy = &policies[usize::from(service.policy.0)];
    let having = |id: &ClusterId| inventory.cluster(*id).has(family);
    let candidates: Vec<_> = policy.clusters.iter().copied().filter(having).collect();
    (!candidates.is_empty()).then_some(Wanted { policy: service.policy, candidates })
}

/// All maps that a Plan of these parts needs.
pub fn wanted(parts: &Parts) -> Vec<Wanted> {
    let services = parts.zones.iter().flat_map(|zone| &zone.services);
    let all = services.flat_map(|steered| {
        Family::ALL.map(|family| wanted_by(&steered.service, family, &parts.policies, &parts.inventory))
    });
    let mut distinct: Vec<Wanted> = Vec::new();
    for wanted in all.flatten() {
        // Policies that say the same are one already: linking has seen to it.
        if !distinct.contains(&wanted) {
            distinct.push(wanted);
        }
    }
    distinct
}

/// Their maps. `find` is asked once for all that are alike, for one with places of candidates in place of clusters
/// ([`MapOf::compiled`]), by a fingerprint of it and of the `geography`; `None` where it has none.
pub fn maps(
    wanted: &[Wanted],
    parts: &Parts,
    geography: u64,
    mut find: impl FnMut(u128, MapOf<'_>) -> Option<Mapped>,
) -> Option<Vec<Arc<Map>>> {
    let everywhere = PrefixMap::everywhere();
    let mut known: HashMap<u128, Mapped> = HashMap::new();
    let map = |wanted: &Wanted| {
        let of = wanted.of(parts);
        let print = (!of.is_of_one()).then(|| of.fingerprint(geography));
        let mapped = match print {
            Some(print) => of.named(match known.entry(print) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(free) => free.insert(find(print, of)?),
            }),
            None => Mapped::everywhere(wanted.candidates[0], of.policy.spread, &everywhere),
        };
        let (policy, placed) = (of.policy.key.clone(), placed(of.policy, &parts.fed));
        Some(Arc::new(Map { policy, candidates: wanted.candidates.clone(), print, mapped, placed }))
    };
    wanted.iter().map(map).collect()
}

/// Finds for each service and family its map and its kind of pool; equal ones are shared.
pub(super) struct Router<'p> {
    pub(super) inventory: &'p Inventory,
    pub(super) policies: &'p [Policy],
    /// The maps that there are.
    pub(super) wanted: Vec<Wanted>,
    pub(super) kinds: Vec<PoolKind>,
}

impl Router<'_> {
    pub(super) fn route(&mut self, id: ServiceId, service: &Service, family: Family) -> Option<Route> {
        let wanted = wanted_by(service, family, self.policies, self.inventory)?;
        let kind = PoolKind { check: service.check, answers: service.answers, family };
        Some(Route {
            service: id,
            family,
            kind: place_of(&mut self.kinds, kind),
            group: super::NO_GROUP,
            ttl_s: service.ttl_s,
            ecs: self.policies[usize::from(wanted.policy.0)].ecs,
            map: place_of(&mut self.wanted, wanted),
            sticky: service.sticky,
            all_down: service.all_down,
        })
    }
}

/// What an operator placed of the addresses that are not on the public internet, by rules, RTTs or geofeeds.
fn placed(policy: &Policy, fed: &[Prefix]) -> PlacedNetworks {
    let ruled = policy.rules.iter().flat_map(|rule| &rule.from.prefixes);
    let measured = policy.rtt.iter().filter_map(|rtt| match &rtt.from {
        RttFrom::Prefix(prefix) => Some(prefix),
        _ => None,
    });
    PlacedNetworks::new(ruled.chain(measured).chain(fed).copied())
}

/// Where `value` stands in `values`; it is put there if it does not.
fn place_of<T: PartialEq>(values: &mut Vec<T>, value: T) -> u16 {
    let at = values.iter().position(|known| *known == value).unwrap_or_else(|| {
        values.push(value);
        values.len() - 1
    });
    at as u16
}
