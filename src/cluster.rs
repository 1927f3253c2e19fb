//! Clusters and their nodes: what answers are made of.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::geo::place::Point;

/// The most clusters of an inventory: ids are small.
pub const CLUSTERS_MAX: usize = 1024;
/// The most addresses of one family in one cluster: a pool's mask of members is one `u128`.
pub const FAMILY_ADDRESSES_MAX: usize = 128;

/// A cluster's place in [`Inventory::clusters`]: dense, made anew by each load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterId(pub u16);

/// Where answers of a cluster are counted: the same for its key as long as the program runs, whatever reloads do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CountId(pub u16);

/// A check's place in the Plan's checks: dense, made anew by each load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckId(pub u16);

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

impl Family {
    /// Both of them.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// As sentences have it.
    pub fn name(self) -> &'static str {
        ["IPv4", "IPv6"][self as usize]
    }

    /// The type of its records.
    pub fn rtype(self) -> &'static str {
        ["A", "AAAA"][self as usize]
    }

    /// As the label `family` of metrics has it.
    pub fn label(self) -> &'static str {
        ["ip4", "ip6"][self as usize]
    }
}

/// All clusters that the files name, in the order in which they stand there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// The clusters; a [`ClusterId`] is a place in it.
    pub clusters: Vec<Cluster>,
}

/// One place with nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Its key, one LDH label; outlives a reload.
    pub key: Arc<str>,
    /// Where it stands.
    pub place: Point,
    /// The operator's own grouping.
    pub region: Option<Arc<str>>,
    /// What it can carry, in any unit that is the same for all clusters; at least 1.
    pub capacity: Option<u64>,
    /// The check of services that name none.
    pub check: Option<CheckId>,
    /// It is up, in a family, while at least so many of its nodes are; at least 1, the default.
    pub min_nodes: u16,
    /// How long it takes, and each of its nodes, to come back to its whole share; default 0: at once. Up to 1 h.
    pub ramp: Duration,
    /// An operator's word over the verdicts of all its nodes that have none of their own.
    pub pinned: Option<Override>,
    /// Its nodes, in the order in which they stand in the file.
    pub nodes: Vec<Node>,
}

/// One machine of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its key, one LDH label, unique in the cluster; outlives a reload.
    pub key: Arc<str>,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// Its share among the cluster's nodes, 1..=1000; default 1.
    pub weight: u32,
    /// An operator's word over its verdicts.
    pub pinned: Option<Override>,
}

/// One address of a node, and where it is probed.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    /// What is answered.
    pub ip: IpAddr,
    /// Where it is probed: usually `ip`.
    pub probe: IpAddr,
    /// The port there; `None`: the check's.
    pub probe_port: Option<u16>,
}

/// An operator's word over the verdict of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// What to hold instead.
    pub word: Word,
    /// Why, in the operator's words.
    pub why: String,
}

/// What an override says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// No new answers; still probed. Not chosen even when all is down.
    Drain,
    /// Out of the answers. Not chosen even when all is down.
    Down,
    /// In the answers, whatever the probes say.
    Up,
}

impl Word {
    /// How it is written.
    pub fn word(self) -> &'static str {
        match self {
            Word::Drain => "drain",
            Word::Down => "down",
            Word::Up => "up",
        }
    }
}

impl Inventory {
    /// The cluster of an id.
    pub fn cluster(&self, id: ClusterId) -> &Cluster {
        &self.clusters[usize::from(id.0)]
    }

    /// The ids of all clusters.
    pub fn ids(&self) -> impl Iterator<Item = ClusterId> + use<> {
        (0..self.clusters.len()).map(|at| ClusterId(u16::try_from(at).expect("at most CLUSTERS_MAX")))
    }

    /// The id of the cluster with this key.
    pub fn id(&self, key: &str) -> Option<ClusterId> {
        self.ids().find(|id| &*self.cluster(*id).key == key)
    }
}

impl Cluster {
    /// One of which nothing is said but where it is and what stands there.
    pub fn bare(key: &str, place: Point, nodes: Vec<Node>) -> Cluster {
        let (region, capacity, check, pinned) = (None, None, None, None);
        let ramp = Duration::ZERO;
        Cluster { key: key.into(), place, region, capacity, check, min_nodes: 1, ramp, pinned, nodes }
    }

    /// Whether any node has an address of `family`.
    pub fn has(&self, family: Family) -> bool {
        self.members(family).next().is_some()
    }

    /// The addresses of one family with their nodes, in the order of the file: the members of its pools.
    pub fn members(&self, family: Family) -> impl Iterator<Item = (&Node, &Address)> {
        let nodes = self.nodes.iter();
        let all = nodes.flat_map(|node| node.addresses.iter().map(move |address| (node, address)));
        all.filter(move |(_, address)| Family::of(address.ip) == family)
    }
}
