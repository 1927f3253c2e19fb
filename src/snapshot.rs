//! A Plan with the health of one instant: the Snapshot.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::cluster::{Cluster, ClusterId, FAMILY_ADDRESSES_MAX, Family, Node};
use crate::health::certificate::Certificate;
use crate::health::note::Says;
use crate::health::overrides::{Order, Said};
use crate::health::target::Target;
use crate::health::verdict::{Held, Verdict};
use crate::plan::{Placed, Plan, Route};
use crate::sets::{AddressSet, SlotSets};
use crate::steering::bend::Bends;
use crate::steering::choose::{self, Choice, Pool, Reason, Standing};
use crate::steering::client::Whose;
use crate::steering::slots::SLOTS;
use crate::zone::edition::Edition;

/// The pools of one cluster, kind by kind, at one instant.
#[derive(Debug, Default)]
pub struct ClusterPools {
    /// A place in it is a place in [`Plan::kinds`].
    pub pools: Vec<LivePool>,
    /// What is held of each of its targets.
    pub held: Vec<HeldTarget>,
    /// Node by node: what an operator says of it, over what is held.
    pub said: Vec<Option<Said>>,
}

/// One pool at one instant.
#[derive(Debug)]
pub struct LivePool {
    /// Which slots may come, and what can be had.
    pub pool: Pool,
    /// What they get: of the members that are up, or else of those never observed.
    pub sets: SlotSets,
    /// What they get when all is down, where it is not what [`Plan::serve_all`] says.
    pub resort: Option<Arc<SlotSets>>,
    /// Node by node: in how many of its slots it answers; fewer than 64 while it starts slowly, 0 where it is not up or was taken out.
    pub slots: Box<[u8]>,
}

impl LivePool {
    /// Node by node of a cluster the most that any of its addresses of a family has, member by member.
    pub fn slots_of(cluster: &Cluster, family: Family, of_member: impl Fn(usize) -> u8) -> Box<[u8]> {
        let mut members = 0..FAMILY_ADDRESSES_MAX;
        let of_node = |node: &Node| {
            let own = node.addresses.iter().filter(|address| Family::of(address.ip) == family);
            own.zip(members.by_ref()).map(|(_, member)| of_member(member)).max().unwrap_or(0)
        };
        cluster.nodes.iter().map(of_node).collect()
    }
}

/// What is held of one target, in words that outlive the Snapshot.
#[derive(Clone, Debug)]
pub struct HeldTarget {
    /// Which.
    pub target: Target,
    /// What is held of it.
    pub held: Held,
    /// What answers rest on, where that is another verdict.
    pub standing: Verdict,
    /// How often in a row it fell soon after it had come back.
    pub relapses: u32,
    /// Until when it is held down for that.
    pub held_until: Option<Instant>,
    /// The certificate that it last showed; `None`: it showed none.
    pub certificate: Option<Certificate>,
    /// What it last said of itself.
    pub says: Says,
}

/// What answers are made from: a Plan with the health of one instant. Immutable.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What the files say.
    pub plan: Arc<Plan>,
    /// Cluster by cluster.
    pub pools: Vec<Arc<ClusterPools>>,
    /// Whether the first outcomes are still awaited: steered answers wait with them.
    pub warming: bool,
    /// Group by group of the Plan: whether none of its clusters is up or unknown.
    pub all_down: Vec<bool>,
    /// Zone by zone: what its secondaries get; `None`: it has none.
    pub editions: Vec<Option<Arc<Edition>>>,
    /// How ranked lists stand today.
    pub bends: Arc<Bends>,
    /// Since when the vantage doubts what it sees: verdicts are those of before.
    pub doubting: Option<Instant>,
    /// What operators said today and that stands, the newest last.
    pub orders: Vec<Arc<Order>>,
    /// What they said and whose time was over of late.
    pub expired: Vec<Arc<Order>>,
}

impl Snapshot {
    /// A Plan as if every node were up that no operator took out of the answers.
    pub fn all_up(plan: Arc<Plan>) -> Snapshot {
        let clusters = plan.inventory.clusters.iter().zip(&plan.deals).zip(&plan.serve_all);
        let pools = clusters.map(|((cluster, deals), of_kinds)| {
            let pools = plan.kinds.iter().zip(of_kinds).map(|(kind, sets)| {
                let all = deals[kind.family as usize].all();
                let whole = |member: usize| if all >> member & 1 == 1 { SLOTS } else { 0 };
                let slots = LivePool::slots_of(cluster, kind.family, whole);
                let none = all == 0;
                let standing = if none { Standing::Withdrawn } else { Standing::Up };
                LivePool { pool: Pool { open: u64::MAX, standing }, sets: sets.clone(), resort: None, slots }
            });
            Arc::new(ClusterPools { pools: pools.collect(), held: Vec::new(), said: Vec::new() })
        });
        let (pools, all_down) = (pools.collect(), vec![false; plan.groups.len()]);
        let editions = plan.editions.clone();
        Snapshot { plan, pools, all_down, editions, ..Snapshot::default() }
    }

    /// What a zone's secondaries get.
    pub fn edition(&self, zone: u32) -> Option<&Arc<Edition>> {
        self.editions.get(zone as usize)?.as_ref()
    }

    /// The serial of a zone: that of its edition, or of its file.
    pub fn serial(&self, zone: u32) -> u32 {
        self.edition(zone).map_or_else(|| self.plan.served[zone as usize].serial, |edition| edition.serial())
    }

    /// The cluster that answers a client there; `None`: SERVFAIL.
    #[inline]
    pub fn choose(&self, route: &Route, placed: &Placed<'_>) -> Option<Choice> {
        let pool = |cluster: ClusterId| self.pool(cluster, route).pool;
        let (list, first) = self.list(route, placed);
        match choose::choose(list, first, placed.slot, pool) {
            Some(choice) => Some(choice),
            None => choose::last_resort(list, route.all_down, pool),
        }
    }

    /// The clusters of a client as they stand today, best first, and the rank at which the choice begins.
    #[inline]
    pub fn list<'s>(&'s self, route: &Route, placed: &Placed<'s>) -> (&'s [ClusterId], u8) {
        match self.bends.list(route.group, placed.number) {
            None => (&placed.list.clusters, 0),
            Some(bent) => {
                let first = bent.first.as_ref().map_or(0, |first| first[usize::from(placed.slot & 63)]);
                (bent.clusters.as_deref().unwrap_or(&placed.list.clusters), first)
            }
        }
    }

    /// What that cluster answers. Without a client subnet the set moves on with each `turn`, unless it is sticky.
    #[inline]
    pub fn addresses(
        &self,
        route: &Route,
        choice: &Choice,
        slot: u8,
        whose: Whose,
        turn: u32,
    ) -> AddressSet<'_> {
        let moves = !route.sticky && !matches!(whose, Whose::Subnet { .. });
        let slot = if moves { slot.wrapping_add(turn as u8) } else { slot };
        match choice.reason {
            Reason::ServeAll => match &self.pool(choice.cluster, route).resort {
                Some(resort) => resort.get(slot),
                None => self.plan.serve_all[usize::from(choice.cluster.0)][usize::from(route.kind)].get(slot),
            },
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
