//! What the files say, compiled: the Plan.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::cluster::{CheckId, Cluster, ClusterId, CountId, FAMILY_ADDRESSES_MAX, Family, Inventory, Word};
use crate::geo::place::Prefix;
use crate::geo::places::Places;
use crate::health::check::Check;
use crate::health::target::{Target, targets};
use crate::sets::SlotSets;
use crate::steering::client::{Client, PlacedNetworks, Whose};
use crate::steering::compile::{Mapped, compile};
use crate::steering::deal::Dealt;
use crate::steering::kinds::RankedList;
use crate::steering::rules::{Policy, PolicyId, RttFrom};
use crate::steering::service::{AllDown, Ipv6, Service, ServiceId};
use crate::steering::slots;
use crate::wire::edns::Subnet;
use crate::wire::name::Name;
use crate::zone::compile::TooLargeSet;
use crate::zone::lookup::Zones;
use crate::zone::record::{Record, rtype};
use crate::zone::tree::{RouteId, SteeredName, ZoneRecords, serial};

/// What the files say, compiled: immutable, made by each load. The default has no zones: it refuses everything.
#[derive(Debug, Default)]
pub struct Plan {
    /// All names and static answers.
    pub zones: Zones,
    /// The apexes, with their serials, for those who ask what is loaded.
    pub origins: Vec<(Name, u32)>,
    /// How each service is answered in each family; a [`RouteId`] is a place in it.
    pub routes: Vec<Route>,
    /// The services; a [`ServiceId`] is a place in it.
    pub services: Vec<Service>,
    /// The policies; a `PolicyId` is a place in it.
    pub policies: Vec<Policy>,
    /// The clusters.
    pub inventory: Inventory,
    /// The checks; a [`CheckId`] is a place in it.
    pub checks: Vec<Arc<Check>>,
    /// Cluster by cluster: where its answers are counted. As the clusters are numbered, until somebody who remembers
    /// earlier Plans says otherwise.
    pub counted: Vec<CountId>,
    /// What is answered alike: services with one map and one kind of pools.
    pub groups: Vec<Group>,
    /// What pools there are; a pool is one of these in one cluster.
    pub kinds: Vec<PoolKind>,
    /// Per policy and set of candidates: address -> ranked list.
    pub maps: Vec<Arc<Map>>,
    /// Cluster by cluster: how its addresses of each family are dealt to the slots.
    pub deals: Vec<[Deal; 2]>,
    /// Cluster by cluster, kind by kind: what slots answer when all is down.
    pub serve_all: Vec<Vec<SlotSets>>,
    /// All that is probed.
    pub targets: Vec<Target>,
    /// The server's identifier: NSID, `id.server`, `hostname.bind`; empty: not told.
    pub nsid: Box<[u8]>,
    /// What `version.bind` tells.
    pub version: String,
    /// The largest datagram that we send and say we take.
    pub payload_max: u16,
    /// Who may ask `_why`.
    pub why: Vec<Prefix>,
}

/// Services that are answered alike in one family: all of them are down at the same time.
#[derive(Clone, Debug)]
pub struct Group {
    /// The map: a place in [`Plan::maps`].
    pub map: u16,
    /// The pools: a place in [`Plan::kinds`].
    pub kind: u16,
    /// The clusters that may answer.
    pub candidates: Vec<ClusterId>,
    /// The services.
    pub services: Vec<ServiceId>,
}

/// How one service is answered in one family.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The service.
    pub service: ServiceId,
    /// A or AAAA.
    pub family: Family,
    /// Whose map: a place in [`Plan::maps`].
    pub map: u16,
    /// Which pools: a place in [`Plan::kinds`].
    pub kind: u16,
    /// The service's TTL.
    pub ttl_s: u32,
    /// Whether ECS is used.
    pub ecs: bool,
    /// Whether clients without ECS keep their set.
    pub sticky: bool,
    /// What to say when all is down.
    pub all_down: AllDown,
}

/// What pools of one kind have in common: they differ in their cluster alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolKind {
    /// By which check nodes are judged; `None`: by the cluster's own.
    pub check: Option<CheckId>,
    /// At most so many addresses in an answer.
    pub answers: u8,
    /// The family.
    pub family: Family,
}

impl PoolKind {
    /// The check that judges this kind's pool in a cluster.
    pub fn check_in(&self, cluster: &Cluster) -> Option<CheckId> {
        self.check.or(cluster.check)
    }
}

/// A compiled policy with what an answer must know beside it.
#[derive(Debug)]
pub struct Map {
    /// The key of the (first) policy that it is made of.
    pub policy: Arc<str>,
    /// Address -> ranked list.
    pub mapped: Mapped,
    /// What an operator placed among addresses that are not on the public internet.
    pub placed: PlacedNetworks,
}

/// The addresses of one family of one cluster, dealt to the slots.
#[derive(Debug)]
pub struct Deal {
    /// The order of preference.
    pub dealt: Dealt,
    /// The addresses of the members.
    pub addresses: Vec<IpAddr>,
    /// Members that an operator took out of the answers (drain, down): bit n is member n.
    pub withdrawn: u128,
    /// Members that an operator holds up.
    pub forced: u128,
}

impl Deal {
    /// Deals what a cluster has of a family.
    pub fn new(cluster: &Cluster, family: Family) -> Deal {
        let mut deal =
            Deal { dealt: Dealt::new(cluster, family), addresses: Vec::new(), withdrawn: 0, forced: 0 };
        for (at, (node, address)) in cluster.members(family).take(FAMILY_ADDRESSES_MAX).enumerate() {
            deal.addresses.push(address.ip);
            match node.pinned.as_ref().map(|pinned| pinned.word) {
                Some(Word::Drain | Word::Down) => deal.withdrawn |= 1 << at,
                Some(Word::Up) => deal.forced |= 1 << at,
                None => {}
            }
        }
        deal
    }

    /// Every member that no operator took out.
    pub fn all(&self) -> u128 {
        let members = self.addresses.len() as u32;
        let every = u128::MAX.checked_shr(128 - members).unwrap_or(0);
        every & !self.withdrawn
    }
}

/// Where a client is on the map.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'p> {
    /// The clusters, best first.
    pub list: &'p RankedList,
    /// 0..64.
    pub slot: u8,
    /// For whom the answer holds: SCOPE PREFIX-LENGTH.
    pub scope: u8,
    /// The length of the tile itself; 0 where the resolver's address decides.
    pub tile_bits: u8,
}

impl Plan {
    /// A route.
    #[inline]
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.0 as usize]
    }

    /// For whom an answer of this route is.
    #[inline]
    pub fn client(&self, route: &Route, subnet: Option<&Subnet>, peer: IpAddr) -> Client {
        let subnet = if route.ecs { subnet } else { None };
        let map = &self.maps[usize::from(route.map)];
        Client::new(subnet, peer, &map.placed)
    }

    /// Where a client is on a route's map.
    #[inline]
    pub fn place(&self, route: &Route, client: &Client) -> Placed<'_> {
        let mapped = &self.maps[usize::from(route.map)].mapped;
        match client.whose {
            Whose::Resolver | Whose::Unroutable(_) => Placed {
                list: &mapped.lists[mapped.list_of_resolver(client.address) as usize],
                slot: slots::slot_of_resolver(client.address),
                scope: if let Whose::Unroutable(bits) = client.whose { bits } else { 0 },
                tile_bits: 0,
            },
            Whose::Subnet { before, least } => {
                let tile = mapped.tile(client.address);
                let slot = match client.address {
                    IpAddr::V4(v4) => slots::slot_v4(v4.into(), tile.scope),
                    IpAddr::V6(v6) => slots::slot_v6((u128::from(v6) >> 64) as u64, tile.scope),
                };
                Placed {
                    list: &mapped.lists[tile.list as usize],
                    slot,
                    scope: before + tile.scope.max(least),
                    tile_bits: tile.bits,
                }
            }
        }
    }

    /// The pools' kind of a route.
    pub fn kind(&self, route: &Route) -> &PoolKind {
        &self.kinds[usize::from(route.kind)]
    }
}

/// What the files say, checked and linked, before it is compiled.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The zones.
    pub zones: Vec<ZonePart>,
    /// The clusters.
    pub inventory: Inventory,
    /// The checks.
    pub checks: Vec<Arc<Check>>,
    /// The policies.
    pub policies: Vec<Policy>,
    /// What answers tell of the server.
    pub settings: Settings,
    /// Networks that geofeeds place: they hold for addresses, too, that are not on the public internet.
    pub fed: Vec<Prefix>,
}

/// One zone.
#[derive(Clone, Debug)]
pub struct ZonePart {
    /// Its apex.
    pub origin: Name,
    /// Its records, SOA and NS among them.
    pub records: Vec<Record>,
    /// What is steered in it.
    pub services: Vec<Service>,
}

/// What answers tell of the server.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The server's identifier; empty: not told.
    pub nsid: Box<[u8]>,
    /// What `version.bind` tells.
    pub version: String,
    /// The largest datagram that we send and say we take; 512..=4096.
    pub payload_max: u16,
    /// Who may ask `_why`.
    pub why: Vec<Prefix>,
}

impl Plan {
    /// Compiles `parts`, with what is known of where addresses are.
    pub fn new(parts: Parts, places: &Places) -> Result<Plan, TooLargeSet> {
        let Parts { zones, inventory, checks, policies, settings, fed } = parts;
        let mut router = Router {
            inventory: &inventory,
            policies: &policies,
            places,
            fed: &fed,
            kinds: Vec::new(),
            maps: Vec::new(),
        };
        let mut services = Vec::new();
        let mut routes = Vec::new();
        let mut records = Vec::new();
        let mut origins = Vec::new();
        for zone in zones {
            let soa = zone.records.iter().find(|record| record.rtype == rtype::SOA);
            origins.push((zone.origin, soa.map_or(0, |soa| serial(&soa.rdata))));
            let mut steered = Vec::new();
            for service in zone.services {
                let id = ServiceId(services.len() as u32);
                let mut family = |family| {
                    let route = router.route(id, &service, family)?;
                    routes.push(route);
                    Some(RouteId(routes.len() as u32 - 1))
                };
                let (a, aaaa) = (family(Family::V4), family(Family::V6));
                steered.push(SteeredName { owner: service.owner.clone(), a, aaaa });
                services.push(service);
            }
            records.push(ZoneRecords { records: zone.records, steered });
        }
        let Router { kinds, maps, .. } = router;
        let groups = groups(&routes, &maps);
        let maps: Vec<_> = maps.into_iter().map(|(_, _, map)| map).collect();
        let deals: Vec<_> = inventory
            .clusters
            .iter()
            .map(|cluster| Family::ALL.map(|family| Deal::new(cluster, family)))
            .collect();
        let pairs = routes.iter().flat_map(|route| {
            let policy = &policies[usize::from(services[route.service.0 as usize].policy.0)];
            let fallback = match route.all_down {
                AllDown::Fallback(cluster) => Some(cluster),
                _ => None,
            };
            let kind: &PoolKind = &kinds[usize::from(route.kind)];
            let clusters = policy.clusters.iter().copied().chain(fallback);
            clusters.filter_map(|id| Some((id, kind.check_in(inventory.cluster(id))?)))
        });
        let targets = targets(&inventory, &checks, pairs);
        Ok(Plan {
            zones: Zones::new(records)?,
            origins,
            serve_all: serve_all(&deals, &kinds),
            deals,
            targets,
            counted: inventory.ids().map(|id| CountId(id.0)).collect(),
            routes,
            services,
            policies,
            inventory,
            checks,
            groups,
            kinds,
            maps,
            nsid: settings.nsid,
            version: settings.version,
            payload_max: settings.payload_max,
            why: settings.why,
        })
    }
}

/// Finds for each service and family its map and its kind of pool; equal ones are shared.
struct Router<'p> {
    inventory: &'p Inventory,
    policies: &'p [Policy],
    places: &'p Places,
    fed: &'p [Prefix],
    kinds: Vec<PoolKind>,
    maps: Vec<(PolicyId, Vec<ClusterId>, Arc<Map>)>,
}

impl<'p> Router<'p> {
    fn route(&mut self, id: ServiceId, service: &Service, family: Family) -> Option<Route> {
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
        let mapped = compile(policy, &candidates, self.inventory, self.places);
        let map = Map { policy: policy.key.clone(), mapped, placed: placed(policy, self.fed) };
        self.maps.push((id, candidates, Arc::new(map)));
        self.maps.len() as u16 - 1
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

fn groups(routes: &[Route], maps: &[(PolicyId, Vec<ClusterId>, Arc<Map>)]) -> Vec<Group> {
    let mut groups: BTreeMap<(u16, u16), Group> = BTreeMap::new();
    for route in routes {
        let group = groups.entry((route.map, route.kind)).or_insert_with(|| {
            let candidates = maps[usize::from(route.map)].1.clone();
            Group { map: route.map, kind: route.kind, candidates, services: Vec::new() }
        });
        group.services.push(route.service);
    }
    groups.into_values().collect()
}

/// Where `value` stands in `values`; it is put there if it does not.
fn place_of<T: PartialEq>(values: &mut Vec<T>, value: T) -> u16 {
    let at = values.iter().position(|known| *known == value).unwrap_or_else(|| {
        values.push(value);
        values.len() - 1
    });
    at as u16
}

/// What each slot of each kind of pool answers when all is down, for each cluster.
fn serve_all(deals: &[[Deal; 2]], kinds: &[PoolKind]) -> Vec<Vec<SlotSets>> {
    let of = |pair: &[Deal; 2]| {
        let kinds = kinds.iter().map(|kind| {
            let deal = &pair[kind.family as usize];
            SlotSets::new(&deal.dealt.table(kind.answers, deal.all()), &deal.addresses, |_| None)
        });
        kinds.collect()
    };
    deals.iter().map(of).collect()
}
