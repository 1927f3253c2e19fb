//! What is probed: one address of a node by one check.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::check::{Check, probing};
use crate::cluster::{CheckId, ClusterId, Family, Inventory};

/// A target's place in the [`Board`](super::board::Board): dense, made anew by each load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId(pub u32);

/// The name of a target; outlives a reload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetKey {
    /// The cluster's key.
    pub cluster: Arc<str>,
    /// The node's key.
    pub node: Arc<str>,
    /// What is answered.
    pub address: IpAddr,
    /// The check's key.
    pub check: Arc<str>,
}

/// All that a prober needs to know of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Aim {
    /// Its name.
    pub key: TargetKey,
    /// Where it is probed.
    pub probe: SocketAddr,
    /// How.
    pub check: Arc<Check>,
}

impl Aim {
    /// Whether what was seen of `self` tells of `other`: the same target, probed at the same place for the
    /// same thing. How often, and how many outcomes turn the verdict, may differ.
    pub fn same(&self, other: &Aim) -> bool {
        self.key == other.key && self.probe == other.probe && self.check.kind == other.check.kind
    }
}

/// A target: one address of a node by one check.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's place in [`Cluster::nodes`](crate::cluster::Cluster::nodes).
    pub node: u16,
    /// The address's place in [`Cluster::members`](crate::cluster::Cluster::members) of its family: the bit
    /// that it has in masks, 0..128.
    pub member: u8,
    /// The check.
    pub check: CheckId,
    /// What outlives a reload.
    pub aim: Arc<Aim>,
}

impl Target {
    /// The family of the address that is answered (the one that is probed may be of another).
    pub fn family(&self) -> Family {
        Family::of(self.aim.key.address)
    }
}

/// The targets of these (cluster, check) pairs, each pair once: every address of the cluster by that check, or by those
/// that it is made of. `checks` are those of the Plan: a [`CheckId`] is a place in it.
pub fn targets(
    inventory: &Inventory,
    checks: &[Arc<Check>],
    pairs: impl IntoIterator<Item = (ClusterId, CheckId)>,
) -> Vec<Target> {
    let pairs = pairs.into_iter();
    let mut pairs: Vec<_> = pairs
        .flat_map(|(cluster, check)| probing(checks, check).into_iter().map(move |id| (cluster, id)))
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.into_iter().flat_map(|(cluster, check)| of_pair(inventory, checks, cluster, check)).collect()
}

fn of_pair(inventory: &Inventory, checks: &[Arc<Check>], cluster: ClusterId, check: CheckId) -> Vec<Target> {
    let place = inventory.cluster(cluster);
    let how = &checks[usize::from(check.0)];
    let mut members = [0u8; 2];
    let mut all = Vec::new();
    for (node, at) in place.nodes.iter().zip(0u16..) {
        for address in &node.addresses {
            let member = &mut members[usize::from(address.ip.is_ipv6())];
            let key = TargetKey {
                cluster: place.key.clone(),
                node: node.key.clone(),
                address: address.ip,
                check: how.key.clone(),
            };
            let probe = SocketAddr::new(address.probe, address.probe_port.unwrap_or(how.port));
            let aim = Arc::new(Aim { key, probe, check: how.clone() });
            all.push(Target { cluster, node: at, member: *member, check, aim });
            *member += 1;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::{Address, Cluster, Node};
    use crate::geo::place::Point;
    use crate::health::check::{HoldDown, Kind};

    fn address(ip: &str) -> Address {
        let ip: IpAddr = ip.parse().unwrap();
        Address { ip, probe: ip, probe_port: None }
    }

    fn check(key: &str, port: u16) -> Arc<Check> {
        let second = Duration::from_secs(1);
        let key = key.into();
        Arc::new(Check {
            key,
            kind: Kind::Tcp,
            port,
            interval: second,
            timeout: second,
            fall: 3,
            rise: 3,
            hold_down: HoldDown::default(),
        })
    }

    fn two_nodes() -> Inventory {
        let node = |key: &str, addresses| Node { key: key.into(), addresses, weight: 1, pinned: None };
        let elsewhere =
            Address { probe: "10.0.0.12".parse().unwrap(), probe_port: Some(9), ..address("192.0.2.12") };
        let nodes = vec![
            node("sin-1", vec![address("192.0.2.11"), address("2001:db8::11")]),
            node("sin-2", vec![elsewhere, address("2001:db8::12")]),
        ];
        let place = Point::new(1.35, 103.82).unwrap();
        let sin = Cluster::bare("sin", place, nodes);
        Inventory { clusters: vec![sin] }
    }

    #[test]
    fn members_are_counted_per_family_as_the_cluster_counts_them() {
        let inventory = two_nodes();
        let all = targets(&inventory, &[check("ingest", 1935)], [(ClusterId(0), CheckId(0))]);
        for family in Family::ALL {
            let theirs: Vec<_> = inventory.clusters[0].members(family).map(|(_, a)| a.ip).collect();
            let ours: Vec<_> = all.iter().filter(|t| t.family() == family).collect();
            assert_eq!(ours.len(), theirs.len());
            for target in ours {
                assert_eq!(target.aim.key.address, theirs[usize::from(target.member)]);
            }
        }
    }

    #[test]
    fn an_address_is_probed_where_it_says_and_else_at_the_checks_port() {
        let all = targets(&two_nodes(), &[check("ingest", 1935)], [(ClusterId(0), CheckId(0))]);
        let at: Vec<_> = all.iter().map(|t| t.aim.probe.to_string()).collect();
        assert_eq!(at, ["192.0.2.11:1935", "[2001:db8::11]:1935", "10.0.0.12:9", "[2001:db8::12]:1935"]);
    }

    #[test]
    fn a_pair_named_twice_is_probed_once() {
        let pair = (ClusterId(0), CheckId(1));
        let all = targets(&two_nodes(), &[check("ingest", 1935), check("edge", 80)], [pair, pair]);
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|t| &*t.aim.key.check == "edge"));
    }
}
