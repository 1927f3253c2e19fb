//! Clients to watch while nodes fail: who gets their addresses now; and who would be left without an answer.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::seats::{Seat, chosen};
use crate::cluster::Family;
use crate::plan::Route;
use crate::snapshot::Snapshot;
use crate::steering::client::Whose;
use crate::steering::compile::Mapped;
use crate::steering::slots::SLOTS;
use crate::wire::edns::Subnet;

/// Services that are watched.
pub const SERVICES_MAX: usize = 8;
/// Clients of each of them, of either family.
const CLIENTS_MAX: usize = 3;
/// Tiles that are looked at for them.
const TILES_MAX: usize = 100_000;
/// Networks that are looked at in each.
const NETWORKS_MAX: u64 = 64;
/// What resolvers send of a client (RFC 7871 §11.1).
const SUBNET_BITS_V4: u8 = 24;
const SUBNET_BITS_V6: u8 = 56;

/// A question whose answer is watched.
#[derive(Clone, Debug)]
pub struct Watched<'s> {
    /// How it is answered.
    pub route: &'s Route,
    /// The client's network; `None`: the resolver asks for itself.
    pub client: Option<(IpAddr, u8)>,
}

/// Questions of several services that are answered with one of these addresses now; from `resolver`.
pub fn watched<'s>(snapshot: &'s Snapshot, felled: &[IpAddr], resolver: IpAddr) -> Vec<Watched<'s>> {
    let (mut all, mut services, mut known) = (Vec::new(), 0, HashSet::new());
    for route in &snapshot.plan.routes {
        let is_wild = snapshot.plan.services[route.service.0 as usize].owner.is_wildcard();
        if services == SERVICES_MAX || is_wild || !known.insert((route.map, route.kind)) {
            continue;
        }
        let of = clients(snapshot, route, felled, resolver);
        services += usize::from(!of.is_empty());
        all.extend(of.into_iter().map(|client| Watched { route, client }));
    }
    all
}

/// Clients of a service who get one of these addresses now, each of another list.
fn clients(
    snapshot: &Snapshot,
    route: &Route,
    felled: &[IpAddr],
    resolver: IpAddr,
) -> Vec<Option<(IpAddr, u8)>> {
    let felled: Vec<IpAddr> = felled.iter().copied().filter(|ip| Family::of(*ip) == route.family).collect();
    if felled.is_empty() {
        return Vec::new();
    }
    let plan = &*snapshot.plan;
    let gets = |subnet: Option<&Subnet>| {
        let client = plan.client(route, subnet, resolver);
        let placed = plan.place(route, &client);
        let choice = snapshot.choose(route, &placed)?;
        let turns =
            if matches!(client.whose, Whose::Subnet { .. }) || route.sticky { 1 } else { u32::from(SLOTS) };
        let holds = |turn| {
            let set = snapshot.addresses(route, &choice, placed.slot, client.whose, turn);
            felled.iter().any(|ip| set.holds(*ip))
        };
        (0..turns).any(holds).then_some(client.whose)
    };
    if !route.ecs {
        return gets(None).map(|_| None).into_iter().collect();
    }
    let mapped = &plan.maps[usize::from(route.map)].mapped;
    let of =
        |family| of_family(mapped, family, |subnet| matches!(gets(Some(subnet)), Some(Whose::Subnet { .. })));
    Family::ALL.into_iter().flat_map(of).map(Some).collect()
}

/// Client networks of a family, each of another list, of whom `gets` holds.
fn of_family(mapped: &Mapped, family: Family, gets: impl Fn(&Subnet) -> bool) -> Vec<(IpAddr, u8)> {
    let (map, subnet_bits) = match family {
        Family::V4 => (&mapped.v4, SUBNET_BITS_V4),
        Family::V6 => (&mapped.v6, SUBNET_BITS_V6),
    };
    let (mut found, mut lists) = (Vec::new(), HashSet::new());
    for tile in map.tiles().take(TILES_MAX) {
        if lists.contains(&tile.value) {
            continue;
        }
        let scope = match family {
            Family::V4 => mapped.tile_v4((tile.key >> 32) as u32).scope,
            Family::V6 => mapped.tile_v6(tile.key).scope,
        };
        let bits = u32::from(scope.min(subnet_bits));
        // Keys are the leading 64 bits of an address.
        let step = 1u128 << (64 - bits);
        let networks = 1u64 << bits.saturating_sub(tile.bits.into());
        // Evenly over the tile, and from its second network on: in the first one may be a special block.
        let stride = (networks / NETWORKS_MAX).max(1);
        let keys = (0..NETWORKS_MAX).map(|nth| nth * stride).take_while(|nth| *nth < networks);
        let addresses = keys.map(|nth| {
            let key = tile.key.wrapping_add((u128::from(nth) * step) as u64);
            match family {
                Family::V4 => IpAddr::V4(Ipv4Addr::from((key >> 32) as u32)),
                Family::V6 => IpAddr::V6(Ipv6Addr::from(u128::from(key) << 64)),
            }
        });
        let client = addresses
            .into_iter()
            .find(|address| Subnet::new(*address, subnet_bits).is_some_and(|of| gets(&of)));
        if let Some(client) = client {
            lists.insert(tile.value);
            found.push((client, subnet_bits));
            if found.len() == CLIENTS_MAX {
                break;
            }
        }
    }
    found
}

/// Routes of which some clients are answered now and would not be.
pub fn left<'s>(before: &'s Snapshot, after: &Snapshot) -> Vec<&'s Route> {
    let mut judged: HashMap<_, bool> = HashMap::new();
    let loses = |route: &Route| {
        let lists = &before.plan.maps[usize::from(route.map)].mapped.lists;
        // Whether anybody answers is the same for all slots of a list.
        lists.iter().zip(0..).any(|(list, number)| {
            let seat = |snapshot| matches!(chosen(snapshot, route, (list, number), 0).0, Seat::At(_));
            seat(before) && !seat(after)
        })
    };
    let mut left = Vec::new();
    for route in &before.plan.routes {
        // A cluster's own name goes where the cluster goes.
        if before.plan.services[route.service.0 as usize].is_exposed {
            continue;
        }
        let alike = (route.map, route.kind, format!("{:?}", route.all_down));
        if *judged.entry(alike).or_insert_with(|| loses(route)) {
            left.push(route);
        }
    }
    left
}
