//! What the files say, compiled (Plan), with the health of one instant (Snapshot).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::cluster::{CheckId, Cluster, ClusterId, FAMILY_ADDRESSES_MAX, Family, Inventory, Word};
use crate::geo::place::Prefix;
use crate::health::check::Check;
use crate::health::target::Target;
use crate::health::verdict::Held;
use crate::steering::choose::{self, Choice, Pool, Reason};
use crate::steering::client::{Client, Whose};
use crate::steering::compile::{Mapped, RankedList};
use crate::steering::deal::{Dealt, SlotTable, members};
use crate::steering::rules::Policy;
use crate::steering::service::{AllDown, Service, ServiceId};
use crate::steering::slots;
use crate::wire::edns::Subnet;
use crate::wire::name::Name;
use crate::zone::lookup::Zones;
use crate::zone::tree::RouteId;

/// What the files say, compiled: immutable, made by each load.
#[derive(Debug)]
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
    /// Address -> ranked list.
    pub mapped: Mapped,
    /// What an operator placed among addresses that are not on the public internet, in ascending order.
    pub unroutable: Vec<Prefix>,
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
        let mut deal = Deal { dealt: Dealt::new(cluster, family), addresses: Vec::new(), withdrawn: 0, forced: 0 };
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

/// What each slot of a pool answers, as octets.
#[derive(Clone, Debug)]
pub struct SlotSets {
    set_of: [u8; 64],
    sets: Box<[StoredSet]>,
    octets: Box<[u8]>,
}

#[derive(Clone, Copy, Debug)]
struct StoredSet {
    at: u32,
    len: u16,
    decided: Option<Instant>,
}

/// The addresses of an answer.
#[derive(Clone, Copy, Debug)]
pub struct AddressSet<'s> {
    octets: &'s [u8],
    decided: Option<Instant>,
}

impl<'s> AddressSet<'s> {
    /// The addresses, one behind the other.
    #[inline]
    pub fn octets(&self) -> &'s [u8] {
        self.octets
    }

    /// How many octets they take.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a length in octets, not a collection")]
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// How long it may be kept: `ttl_s`, but no longer than until a doubt about one of its addresses is decided
    /// (whole seconds, at least 1).
    #[inline]
    pub fn ttl_s(&self, ttl_s: u32, now: Instant) -> u32 {
        match self.decided {
            None => ttl_s,
            Some(decided) => (decided.saturating_duration_since(now).as_secs() as u32).clamp(1, ttl_s.max(1)),
        }
    }
}

impl SlotSets {
    /// The sets of a table, with the addresses of the members; `decided` tells until when a member is in doubt.
    pub fn new(
        table: &SlotTable,
        addresses: &[IpAddr],
        decided: impl Fn(usize) -> Option<Instant>,
    ) -> SlotSets {
        let mut octets = Vec::new();
        let mut sets = Vec::with_capacity(table.sets.len());
        for &set in &table.sets {
            let at = octets.len() as u32;
            let mut doubt = None;
            for member in members(set).map(usize::from) {
                match addresses[member] {
                    IpAddr::V4(v4) => octets.extend(v4.octets()),
                    IpAddr::V6(v6) => octets.extend(v6.octets()),
                }
                doubt = [doubt, decided(member)].into_iter().flatten().min();
            }
            sets.push(StoredSet { at, len: (octets.len() as u32 - at) as u16, decided: doubt });
        }
        SlotSets { set_of: table.set_of, sets: sets.into(), octets: octets.into() }
    }

    /// What a slot answers.
    #[inline]
    pub fn get(&self, slot: u8) -> AddressSet<'_> {
        let set = self.sets[usize::from(self.set_of[usize::from(slot & 63)])];
        let octets = &self.octets[set.at as usize..][..usize::from(set.len)];
        AddressSet { octets, decided: set.decided }
    }
}

/// The pools of one cluster, kind by kind, at one instant.
#[derive(Debug)]
pub struct ClusterPools {
    /// A place in it is a place in [`Plan::kinds`].
    pub pools: Vec<LivePool>,
    /// What is held of each of its targets.
    pub held: Vec<HeldTarget>,
}

/// One pool at one instant.
#[derive(Debug)]
pub struct LivePool {
    /// Which slots may come, and what can be had.
    pub pool: Pool,
    /// What they get: of the members that are up, or else of those never observed.
    pub sets: SlotSets,
}

/// What is held of one target, in words that outlive the Snapshot.
#[derive(Clone, Debug)]
pub struct HeldTarget {
    /// Which.
    pub target: Target,
    /// What is held of it.
    pub held: Held,
}

/// What answers are made from: a Plan with the health of one instant. Immutable.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the files say.
    pub plan: Arc<Plan>,
    /// Cluster by cluster.
    pub pools: Vec<Arc<ClusterPools>>,
    /// Whether the first outcomes are still awaited: steered answers wait with them.
    pub warming: bool,
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
        Client::new(subnet, peer, |address| map.unroutable.iter().any(|network| network.contains(address)))
    }

    /// Where a client is on a route's map.
    #[inline]
    pub fn place(&self, route: &Route, client: &Client) -> Placed<'_> {
        let mapped = &self.maps[usize::from(route.map)].mapped;
        match client.whose {
            Whose::Resolver | Whose::Unroutable(_) => Placed {
                list: mapped.list(mapped.list_of_resolver(client.address)),
                slot: slots::slot_of_resolver(client.address),
                scope: if let Whose::Unroutable(bits) = client.whose { bits } else { 0 },
            },
            Whose::Subnet { before } => {
                let tile = mapped.tile(client.address);
                let slot = match client.address {
                    IpAddr::V4(v4) => slots::slot_v4(v4.into(), tile.bits),
                    IpAddr::V6(v6) => slots::slot_v6((u128::from(v6) >> 64) as u64, tile.bits),
                };
                Placed { list: mapped.list(tile.list), slot, scope: before + tile.bits }
            }
        }
    }

    /// The pools' kind of a route.
    pub fn kind(&self, route: &Route) -> &PoolKind {
        &self.kinds[usize::from(route.kind)]
    }
}

impl Snapshot {
    /// The cluster that answers a client there; `None`: SERVFAIL.
    #[inline]
    pub fn choose(&self, route: &Route, placed: &Placed<'_>) -> Option<Choice> {
        let pool = |cluster: ClusterId| self.pool(cluster, route).pool;
        let list = &placed.list.clusters;
        choose::choose(list, placed.slot, pool).or_else(|| choose::last_resort(list, route.all_down, pool))
    }

    /// What that cluster answers. Without a client subnet the set moves on with each `turn`, unless it is sticky.
    #[inline]
    pub fn addresses(&self, route: &Route, choice: &Choice, slot: u8, whose: Whose, turn: u32) -> AddressSet<'_> {
        let moves = !route.sticky && !matches!(whose, Whose::Subnet { .. });
        let slot = if moves { slot.wrapping_add(turn as u8) } else { slot };
        match choice.reason {
            Reason::ServeAll => {
                self.plan.serve_all[usize::from(choice.cluster.0)][usize::from(route.kind)].get(slot)
            }
            _ => self.pool(choice.cluster, route).sets.get(slot),
        }
    }

    /// The pool of a cluster for a route.
    #[inline]
    pub fn pool(&self, cluster: ClusterId, route: &Route) -> &LivePool {
        &self.pools[usize::from(cluster.0)].pools[usize::from(route.kind)]
    }
}

/// The Snapshot in force: one writer, many readers, none of whom waits.
#[derive(Debug)]
pub struct Live(ArcSwap<Snapshot>);

impl Live {
    /// With a first Snapshot.
    pub fn new(snapshot: Snapshot) -> Live {
        Live(ArcSwap::from_pointee(snapshot))
    }

    /// The one in force now: take it once per batch, and hand it on.
    pub fn now(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.0.load()
    }

    /// Puts the next one in force; gives the last one back, to be dropped off the path of queries.
    pub fn replace(&self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        self.0.swap(snapshot)
    }
}
