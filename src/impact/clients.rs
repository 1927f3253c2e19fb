//! Clients to watch while nodes fail: who gets their addresses now; and who would be left without an answer.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use super::seats::{Seat, chosen};
use crate::cluster::Family;
use crate::plan::Route;
use crate::snapshot::Snapshot;
use crate::steering::client::Whose;
use crate::steering::slots::SLOTS;
use crate::wire::edns::Subnet;

/// Services that are watched.
pub const SERVICES_MAX: usize = 8;
/// Clients of each of them.
const CLIENTS_MAX: usize = 3;
/// Tiles that are looked at for them.
const TILES_MAX: usize = 100_000;
/// Networks that are looked at in each.
const NETWORKS_MAX: u32 = 64;
/// What resolvers send of an IPv4 client (RFC 7871 §11.1).
const SUBNET_BITS: u8 = 24;

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
    let (mut found, mut lists) = (Vec::new(), HashSet::new());
    for tile in mapped.v4.tiles().take(TILES_MAX) {
        if lists.contains(&tile.value) {
            continue;
        }
        let first = (tile.key >> 32) as u32;
        let step = 32 - mapped.tile_v4(first).scope.min(SUBNET_BITS);
        let networks = 1u64 << (u32::from(32 - step)).saturating_sub(tile.bits.into());
        // Evenly over the tile, and from its second network on: in the first one may be a special block.
        let stride = (networks / u64::from(NETWORKS_MAX)).max(1);
        let client = (0..u64::from(NETWORKS_MAX)).map(|nth| nth * stride).take_while(|nth| *nth < networks);
        let client = client.map(|nth| Ipv4Addr::from(first.wrapping_add((nth << step) as u32))).find(|v4| {
            let subnet = Subnet::new(IpAddr::V4(*v4), SUBNET_BITS);
            matches!(gets(subnet.as_ref()), Some(Whose::Subnet { .. }))
        });
        if let Some(client) = client {
            lists.insert(tile.value);
            found.push(Some((IpAddr::V4(client), SUBNET_BITS)));
            if found.len() == CLIENTS_MAX {
                break;
            }
        }
    }
    found
}

/// Routes of which some clients are answered now and would not be.
pub fn left<'s>(before: &'s Snapshot, after: &Snapshot) -> Vec<&'s Route> {
    let (mut judged, mut left) = (HashSet::new(), Vec::new());
    for route in &before.plan.routes {
        let service = &before.plan.services[route.service.0 as usize];
        // A cluster's own name goes where the cluster goes.
        let own = (route.map, route.kind, format!("{:?}", route.all_down));
        if service.is_exposed || !judged.insert(own) {
            continue;
        }
        let lists = &before.plan.maps[usize::from(route.map)].mapped.lists;
        // Whether anybody answers is the same for all slots of a list.
        let loses = |list| {
            let seat = |snapshot| matches!(chosen(snapshot, route, list, 0).0, Seat::At(_));
            seat(before) && !seat(after)
        };
        if lists.iter().any(loses) {
            left.push(route);
        }
    }
    left
}
