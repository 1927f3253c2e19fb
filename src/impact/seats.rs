//! Who answers each list and slot, and what nodes get of it.

use std::net::IpAddr;

use super::ground::{Ground, Share};
use crate::cluster::{Cluster, ClusterId};
use crate::plan::{Placed, Route};
use crate::snapshot::Snapshot;
use crate::steering::choose::{Choice, Reason};
use crate::steering::client::Whose;
use crate::steering::kinds::RankedList;
use crate::steering::slots::SLOTS;

/// What a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Seat<C = ClusterId> {
    /// Nodes of this cluster that are not known to be down.
    At(C),
    /// Nodes of this cluster, though all are down: nobody answers there.
    Dead(C),
    /// SERVFAIL.
    Nothing,
}

impl<C> Seat<C> {
    /// The same, of a cluster that is called otherwise.
    pub(super) fn map<D>(self, name: impl FnOnce(C) -> D) -> Seat<D> {
        match self {
            Seat::At(cluster) => Seat::At(name(cluster)),
            Seat::Dead(cluster) => Seat::Dead(name(cluster)),
            Seat::Nothing => Seat::Nothing,
        }
    }

    /// The cluster, if there is one.
    pub(super) fn cluster(self) -> Option<C> {
        match self {
            Seat::At(cluster) | Seat::Dead(cluster) => Some(cluster),
            Seat::Nothing => None,
        }
    }

    /// What a client gets there, in a word.
    pub(super) fn gets(&self) -> &'static str {
        match self {
            Seat::At(_) => "answered",
            Seat::Dead(_) => "dead nodes",
            Seat::Nothing => "servfail",
        }
    }
}

/// Who answers a slot of a list of this number: the one place where a drill chooses, and it does so as a query does.
pub(super) fn chosen(
    snapshot: &Snapshot,
    route: &Route,
    (list, number): (&RankedList, u32),
    slot: u8,
) -> (Seat, Option<Choice>) {
    let placed = Placed { list, number, slot, scope: 0, tile_bits: 0 };
    let choice = snapshot.choose(route, &placed);
    let seat = match choice {
        None => Seat::Nothing,
        Some(Choice { cluster, reason: Reason::ServeAll }) => Seat::Dead(cluster),
        Some(Choice { cluster, .. }) => Seat::At(cluster),
    };
    (seat, choice)
}

/// Where the clients of a route are: cluster by cluster, slot by slot.
pub(super) struct Seats {
    /// The shares, and the choice by which they came; `None`: nobody is there.
    clusters: Vec<Option<(Choice, [Share; SLOTS as usize])>>,
}

impl Seats {
    pub(super) fn new(snapshot: &Snapshot, route: &Route, ground: &Ground) -> Seats {
        let plan = &*snapshot.plan;
        let lists = &plan.maps[usize::from(route.map)].mapped.lists;
        let mut clusters = vec![None; plan.inventory.clusters.len()];
        for (list, slots) in lists.iter().zip(0..).zip(&ground.lists) {
            for (slot, share) in (0..SLOTS).zip(slots).filter(|(_, share)| **share != Share::default()) {
                let (seat, choice) = chosen(snapshot, route, list, slot);
                let (Seat::At(cluster), Some(choice)) = (seat, choice) else { continue };
                let there = &mut clusters[usize::from(cluster.0)];
                let (_, shares) = there.get_or_insert((choice, [Share::default(); SLOTS as usize]));
                shares[usize::from(slot)].add(*share);
            }
        }
        Seats { clusters }
    }

    /// The share of all clients that is at a cluster.
    pub(super) fn at(&self, cluster: ClusterId) -> Share {
        let mut all = Share::default();
        if let Some((_, slots)) = &self.clusters[usize::from(cluster.0)] {
            slots.iter().for_each(|share| all.add(*share));
        }
        all
    }

    /// Calls `tell` with the addresses of each slot of a cluster that has clients, and with how many of all clients get them.
    pub(super) fn answers(
        &self,
        snapshot: &Snapshot,
        route: &Route,
        cluster: ClusterId,
        known: [bool; 2],
        mut tell: impl FnMut(u8, &[u8], f64),
    ) {
        let Some((choice, slots)) = &self.clusters[usize::from(cluster.0)] else { return };
        // Without client subnets a set moves on from answer to answer: each has its turn.
        let turns = !route.ecs && !route.sticky;
        let even = self.at(cluster).of_all(known) / f64::from(SLOTS);
        for (slot, share) in (0..SLOTS).zip(slots) {
            let share = if turns { even } else { share.of_all(known) };
            if share > 0.0 {
                let whose = Whose::Subnet { before: 0, least: 0 };
                tell(slot, snapshot.addresses(route, choice, slot, whose, 0).octets(), share);
            }
        }
    }
}

/// What of all clients each node of a cluster gets: those of an answer share it evenly, since its order turns.
pub(super) fn node_shares(
    seats: &Seats,
    snapshot: &Snapshot,
    route: &Route,
    id: ClusterId,
    known: [bool; 2],
) -> Vec<f64> {
    let cluster = snapshot.plan.inventory.cluster(id);
    let mut nodes = vec![0.0; cluster.nodes.len()];
    seats.answers(snapshot, route, id, known, |_, octets, share| {
        let length = if route.family == crate::cluster::Family::V4 { 4 } else { 16 };
        let count = octets.len() / length;
        for address in octets.chunks_exact(length) {
            if let Some(node) = node_of(cluster, address) {
                nodes[node] += share / count as f64;
            }
        }
    });
    nodes
}

/// Which node of a cluster has an address.
fn node_of(cluster: &Cluster, octets: &[u8]) -> Option<usize> {
    let has = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => octets == v4.octets(),
        IpAddr::V6(v6) => octets == v6.octets(),
    };
    cluster.nodes.iter().position(|node| node.addresses.iter().any(|address| has(address.ip)))
}
