//! For each service and family, its map and its kind of pool.

use std::sync::Arc;

use super::{Map, PoolKind, Route};
use crate::cluster::{ClusterId, Family, Inventory};
use crate::geo::place::Prefix;
use crate::geo::places::Places;
use crate::geo::prefix_map::PrefixMap;
use crate::steering::alike::Compiled;
use crate::steering::client::PlacedNetworks;
use crate::steering::compile::{Mapped, compile};
use crate::steering::rules::{Policy, PolicyId, RttFrom};
use crate::steering::service::{Ipv6, Service, ServiceId};

/// Finds for each service and family its map and its kind of pool; equal ones are shared.
pub(super) struct Router<'p> {
    inventory: &'p Inventory,
    policies: &'p [Policy],
    places: &'p Places,
    fed: &'p [Prefix],
    pub(super) kinds: Vec<PoolKind>,
    pub(super) maps: Vec<(PolicyId, Vec<ClusterId>, Arc<Map>)>,
    /// What maps with one list have in common.
    everywhere: PrefixMap,
}

impl<'p> Router<'p> {
    pub(super) fn new(
        inventory: &'p Inventory,
        policies: &'p [Policy],
        places: &'p Places,
        fed: &'p [Prefix],
    ) -> Router<'p> {
        let everywhere = PrefixMap::everywhere();
        Router { inventory, policies, places, fed, kinds: Vec::new(), maps: Vec::new(), everywhere }
    }

    pub(super) fn route(&mut self, id: ServiceId, service: &Service, family: Family) -> Option<Route> {
        if family == Family::V6 && service.ipv6 == Ipv6::Off {
            return None;
        }
        let policy = &self.policies[usize::from(service.policy.0)];
        let having = |id: &ClusterId| self.inventory.cluster(*id).has(family);
        let candidates: Vec<_> = policy.clusters.iter().copied().filter(having).collect();
        if candidates.is_empty() {
            return None;
        }
        let kind = PoolKind { check: service.check, answers: service.answers, family };
        Some(Route {
            service: id,
            family,
            map: self.map(service.policy, candidates),
            kind: place_of(&mut self.kinds, kind),
            group: super::NO_GROUP,
            ttl_s: service.ttl_s,
            ecs: policy.ecs,
            sticky: service.sticky,
            all_down: service.all_down,
        })
    }

    fn map(&mut self, id: PolicyId, candidates: Vec<ClusterId>) -> u16 {
        // Policies that say the same are one already: linking has seen to it.
        let known = self.maps.iter().position(|(other, others, _)| *other == id && *others == candidates);
        if let Some(known) = known {
            return known as u16;
        }
        let policy = &self.policies[usize::from(id.0)];
        let mapped = match candidates[..] {
            // Nothing to choose, and nobody to be told apart by it: a cluster's own name.
            [only] if !policy.ecs => Mapped::everywhere(only, policy.spread, &self.everywhere),
            _ => self.mapped(Compiled { policy, candidates: &candidates }),
        };
        let map = Map { policy: policy.key.clone(), mapped, placed: placed(policy, self.fed) };
        self.maps.push((id, candidates, Arc::new(map)));
        self.maps.len() as u16 - 1
    }

    /// A policy's map: that of one that is alike, where there is one.
    fn mapped(&self, wanted: Compiled<'_>) -> Mapped {
        let known = self.maps.iter().find_map(|(id, candidates, map)| {
            let known = Compiled { policy: &self.policies[usize::from(id.0)], candidates };
            wanted.is_alike(&known, self.inventory).then(|| wanted.named_anew(&known, &map.mapped))
        });
        known.unwrap_or_else(|| compile(wanted.policy, wanted.candidates, self.inventory, self.places))
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
