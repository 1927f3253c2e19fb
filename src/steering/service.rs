//! Services: owner names whose A and AAAA answers are steered.

use std::time::Duration;

use crate::cluster::{CheckId, ClusterId};
use crate::steering::rules::PolicyId;
use crate::wire::name::Name;

/// A service's place in the Plan's services: dense, made anew by each load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId(pub u32);

/// An owner name whose A and AAAA answers are steered.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Where it answers; its first label is `*` for a wildcard service.
    pub owner: Name,
    /// Which clusters, in which order, for whom.
    pub policy: PolicyId,
    /// By which check nodes are judged; `None`: by each cluster's own.
    pub check: Option<CheckId>,
    /// Seconds that an answer may be kept; 1..=86400, default 20.
    pub ttl_s: u32,
    /// At most so many addresses in an answer; 1..=64, default 8.
    pub answers: u8,
    /// What to say when no node of the whole list is up.
    pub all_down: AllDown,
    /// What clients of IPv6 get where some clusters of the policy lack it.
    pub ipv6: Ipv6,
    /// Whether a resolver without ECS keeps its set from answer to answer; default false.
    pub sticky: bool,
    /// How much it is asked for, beside the others: more than 0, default 1. Where load is balanced, its clients count for so much.
    pub demand: f64,
    /// A longest time from death to removal that its operator accepts though it exceeds the TTL.
    pub detect_within: Option<Duration>,
    /// Whether it is a cluster's own name.
    pub is_exposed: bool,
}

/// What to say when no node of the whole list is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AllDown {
    /// As if every node of the slot's normal cluster were up (default).
    ServeAll,
    /// SERVFAIL.
    ServFail,
    /// This cluster's nodes; if they are down, too, as `ServeAll`.
    Fallback(ClusterId),
}

/// What AAAA questions get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6 {
    /// The nearest of those clusters that have IPv6. Also what holds where all have it, or none.
    Far,
    /// NODATA.
    Off,
}
