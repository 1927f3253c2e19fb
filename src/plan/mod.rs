//! What the files say, compiled: the Plan.

pub mod parts;
pub mod router;
pub mod served;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use self::parts::{Parts, Settings, Steered};
use self::router::{Router, Wanted, maps, wanted};
use self::served::ServedZone;

use crate::cluster::{CheckId, Cluster, ClusterId, CountId, FAMILY_ADDRESSES_MAX, Family, Inventory, Word};
use crate::geo::places::Places;
use crate::health::check::Check;
use crate::health::doubt::Distrust;
use crate::health::target::{Target, targets};
use crate::sets::SlotSets;
use crate::steering::balance::settings as balance;
use crate::steering::binding::Binding;
use crate::steering::client::{Client, PlacedNetworks, Whose};
use crate::steering::compile::Mapped;
use crate::steering::deal::Dealt;
use crate::steering::kinds::RankedList;
use crate::steering::rules::Policy;
use crate::steering::service::{AllDown, Service, ServiceId};
use crate::steering::slots;
use crate::wire::edns::Subnet;
use crate::wire::lowered::Lowered;
use crate::wire::name::Name;
use crate::zone::compile::TooLargeSet;
use crate::zone::edition::{Edition, serial_of};
use crate::zone::lookup::Zones;
use crate::zone::record::rtype;
use crate::zone::tree::{BindingId, RouteId, SteeredName, Way, ZoneRecords};

/// What the files say, compiled: immutable, made by each load. The default has no zones: it refuses everything.
#[derive(Debug, Default)]
pub struct Plan {
    /// All names and static answers.
    pub zones: Zones,
    /// The zones; their order is that of the files.
    pub served: Vec<ServedZone>,
    /// Where each apex stands among them.
    pub apexes: HashMap<Name, u32>,
    /// What each zone's secondaries get; `None`: it has none. As loaded, until somebody who remembers earlier Plans says otherwise.
    pub editions: Vec<Option<Arc<Edition>>>,
    /// How each service is answered in each family; a [`RouteId`] is a place in it.
    pub routes: Vec<Route>,
    /// What services answer beside addresses; a [`BindingId`] is a place in it.
    pub bound: Vec<BoundName>,
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
    /// When the server doubts what it sees.
    pub distrust: Distrust,
    /// How load is balanced; `None`: it is not.
    pub balance: Option<balance::Settings>,
    /// What answers tell of the server, and how much they are.
    pub settings: Settings,
}

/// The group of a route whose clients are not divided: that of a cluster's own name.
pub const NO_GROUP: u16 = u16::MAX;

/// What a service answers in another type than A and AAAA.
#[derive(Clone, Debug)]
pub struct BoundName {
    /// What.
    pub binding: Binding,
    /// How its A and AAAA are answered.
    pub routes: [Option<RouteId>; 2],
    /// The wire octets of its zone's apex.
    pub origin: Box<[u8]>,
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
    /// How much they are asked for together, in the unit of [`Service::demand`].
    pub demand: f64,
    /// List by list of the map: its part of all clients of the family, together 1. Empty: load is not balanced.
    pub parts: Arc<[f64]>,
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
    /// Of which group it is: a place in [`Plan::groups`]; [`NO_GROUP`]: of none.
    pub group: u16,
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
    /// The clusters that it chooses among.
    pub candidates: Vec<ClusterId>,
    /// Its fingerprint, with that of its geography; `None` where it has nothing to choose.
    pub print: Option<u128>,
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
            match node.pinned.as_ref().or(cluster.pinned.as_ref()).map(|pinned| pinned.word) {
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
    /// Its place among the lists of the map.
    pub number: u32,
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
            Whose::Resolver | Whose::Unroutable(_) => {
                let number = mapped.list_of_resolver(client.address);
                Placed {
                    list: &mapped.lists[number as usize],
                    number,
                    slot: slots::slot_of_resolver(client.address),
                    scope: if let Whose::Unroutable(bits) = client.whose { bits } else { 0 },
                    tile_bits: 0,
                }
            }
            Whose::Subnet { before, least } => {
                let tile = mapped.tile(client.address);
                let slot = match client.address {
                    IpAddr::V4(v4) => slots::slot_v4(v4.into(), tile.scope),
                    IpAddr::V6(v6) => slots::slot_v6((u128::from(v6) >> 64) as u64, tile.scope),
                };
                Placed {
                    list: &mapped.lists[tile.list as usize],
                    number: tile.list,
                    slot,
                    scope: before + tile.scope.max(least),
                    tile_bits: tile.bits,
                }
            }
        }
    }

    /// A binding.
    pub fn bound(&self, id: BindingId) -> &BoundName {
        &self.bound[id.0 as usize]
    }

    /// The zone whose apex a name is.
    pub fn apex(&self, name: &Lowered) -> Option<u32> {
        self.apexes.get(&Name::from_wire(&name.octets())?).copied()
    }

    /// The zone that answers for a name and a type: the closest; for DS at an apex, the one above that (RFC 4035 §3.1.4.1).
    pub fn zone_of(&self, name: &Lowered, qtype: u16) -> Option<u32> {
        let name = Name::from_wire(&name.octets())?;
        let closest = |name: Name| {
            std::iter::successors(Some(name), Name::parent).find_map(|name| self.apexes.get(&name).copied())
        };
        let above = || closest(name.parent()?);
        let of_parent = qtype == rtype::DS && self.apexes.contains_key(&name);
        if of_parent { above().or_else(|| closest(name.clone())) } else { closest(name) }
    }

    /// The pools' kind of a route.
    pub fn kind(&self, route: &Route) -> &PoolKind {
        &self.kinds[usize::from(route.kind)]
    }
}

impl Plan {
    /// Compiles `parts`, with what is known of where addresses are.
    pub fn new(parts: Parts, places: &Places) -> Result<Plan, TooLargeSet> {
        let wanted = wanted(&parts);
        let maps = maps(&wanted, &parts, 0, |_, of| Some(of.compiled(places)));
        Plan::over(maps.unwrap_or_default(), wanted, parts)
    }

    /// Compiles `parts` over the maps that they need ([`wanted`]), in that order.
    pub fn over(maps: Vec<Arc<Map>>, wanted: Vec<Wanted>, parts: Parts) -> Result<Plan, TooLargeSet> {
        let Parts { zones, inventory, checks, policies, settings, distrust, balance, .. } = parts;
        let mut router = Router { inventory: &inventory, policies: &policies, wanted, kinds: Vec::new() };
        let (mut services, mut routes, mut bound) = (Vec::new(), Vec::new(), Vec::new());
        let (mut records, mut served, mut apexes) = (Vec::new(), Vec::new(), HashMap::new());
        for zone in zones {
            let soa = zone.records.iter().find(|record| record.rtype == rtype::SOA);
            let serial = soa.and_then(|soa| serial_of(&soa.rdata)).unwrap_or(0);
            let mut steered = Vec::new();
            for Steered { service, bindings } in zone.services {
                let id = ServiceId(services.len() as u32);
                let family = |family| {
                    let route = router.route(id, &service, family)?;
                    routes.push(route);
                    Some(RouteId(routes.len() as u32 - 1))
                };
                let [a, aaaa] = Family::ALL.map(family);
                let addresses = [(rtype::A, a), (rtype::AAAA, aaaa)]
                    .map(|(rtype, route)| route.map(|route| (rtype, Way::Addresses(route))));
                let types = addresses.into_iter().flatten().collect();
                steered.push(SteeredName { owner: service.owner.clone(), ttl_s: service.ttl_s, types });
                for (owner, rtype, form, next) in bindings {
                    let way = Way::Binding(BindingId(bound.len() as u32));
                    let binding = Binding { service: id, form, next };
                    let origin = zone.origin.octets().into();
                    bound.push(BoundName { binding, routes: [a, aaaa], origin });
                    steered.push(SteeredName { owner, ttl_s: service.ttl_s, types: vec![(rtype, way)] });
                }
                services.push(service);
            }
            apexes.insert(zone.origin.clone(), served.len() as u32);
            let wanted = !zone.secondaries.grants.is_empty();
            served.push(ServedZone {
                origin: zone.origin,
                serial,
                records: if wanted { zone.records.clone().into() } else { [].into() },
                steered: steered.iter().map(SteeredName::of_types).collect(),
                secondaries: zone.secondaries,
            });
            let own_serial = served.last().is_some_and(|zone| zone.secondaries.of_health);
            records.push(ZoneRecords { records: zone.records, steered, own_serial });
        }
        let kinds = router.kinds;
        let mut groups = groups(&services, &mut routes, &maps);
        if balance.is_some() {
            for group in &mut groups {
                let family = kinds[usize::from(group.kind)].family;
                group.parts = Arc::clone(&maps[usize::from(group.map)].mapped.parts[family as usize]);
            }
        }
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
            zones: Zones::new(records, settings.extras)?,
            editions: vec![None; served.len()],
            served,
            apexes,
            bound,
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
            distrust,
            balance,
            settings,
        })
    }
}

fn groups(services: &[Service], routes: &mut [Route], maps: &[Arc<Map>]) -> Vec<Group> {
    let mut groups: BTreeMap<(u16, u16), Group> = BTreeMap::new();
    // That a cluster's own name has no node up is told by the verdicts of its nodes.
    for route in routes.iter().filter(|route| !services[route.service.0 as usize].is_exposed) {
        let group = groups.entry((route.map, route.kind)).or_insert_with(|| {
            let candidates = maps[usize::from(route.map)].candidates.clone();
            let (services, parts) = (Vec::new(), Arc::default());
            Group { map: route.map, kind: route.kind, candidates, services, demand: 0.0, parts }
        });
        group.services.push(route.service);
        group.demand += services[route.service.0 as usize].demand;
    }
    for route in routes.iter_mut().filter(|route| !services[route.service.0 as usize].is_exposed) {
        let at = groups.keys().position(|key| *key == (route.map, route.kind));
        route.group = at.and_then(|at| u16::try_from(at).ok()).unwrap_or(NO_GROUP);
    }
    groups.into_values().collect()
}

/// What each slot of each kind of pool answers when all is down, for each cluster.
fn serve_all(deals: &[[Deal; 2]], kinds: &[PoolKind]) -> Vec<Vec<SlotSets>> {
    let of = |pair: &[Deal; 2]| {
        let kinds = kinds.iter().map(|kind| {
            let deal = &pair[kind.family as usize];
            SlotSets::new(&deal.dealt.table(kind.answers, |_| deal.all()), &deal.addresses, |_| None)
        });
        kinds.collect()
    };
    deals.iter().map(of).collect()
}
