//! The pools of one cluster at one instant: what is held of its members, and what operators say, as slots and sets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, ClusterId, FAMILY_ADDRESSES_MAX, Family, Word};
use crate::health::board::{Board, Judged};
use crate::health::overrides::{Orders, Said};
use crate::health::target::TargetId;
use crate::health::verdict::Verdict;
use crate::plan::{Plan, PoolKind};
use crate::sets::SlotSets;
use crate::snapshot::{ClusterPools, HeldTarget, LivePool};
use crate::steering::choose::{Pool, Standing};
use crate::steering::ramp::{Ramp, SLOTS_FIRST};
use crate::steering::slots::SLOTS;

/// What pools are made of.
pub(super) struct World<'w> {
    pub(super) plan: &'w Plan,
    pub(super) board: &'w Board,
    pub(super) orders: &'w Orders,
    pub(super) now: Instant,
}

/// The pools of a cluster, and when the next step of a slow start changes them; `None`: none is under way.
pub(super) fn pools_of(
    world: &World<'_>,
    id: ClusterId,
    targets: impl Iterator<Item = TargetId>,
) -> (ClusterPools, Option<Instant>) {
    let World { plan, board, orders, now } = *world;
    let cluster = plan.inventory.cluster(id);
    let said: Vec<Option<Said>> = cluster.nodes.iter().map(|node| orders.said(cluster, node)).collect();
    let members = Family::ALL.map(|family| Members::of(cluster, family, &said));
    let mut next = None;
    let pools = plan.kinds.iter().enumerate().map(|(number, kind)| {
        let members = &members[kind.family as usize];
        let (pool, step) = pool_of(world, id, number, kind, members);
        next = [next, step].into_iter().flatten().min();
        pool
    });
    let pools = pools.collect();
    let held = targets.map(|target| {
        let (relapses, held_until) = board.relapses(target);
        HeldTarget {
            target: board.target(target).clone(),
            held: board.held(target).clone(),
            standing: board.standing(target),
            relapses,
            held_until: held_until.filter(|until| *until > now),
            certificate: board.certificate(target),
            says: board.says(target).clone(),
        }
    });
    (ClusterPools { pools, held: held.collect(), said }, next)
}

/// The members of a cluster's pools of one family, with what operators say of them.
struct Members {
    /// Member by member: the node's place in the cluster.
    nodes: Vec<u16>,
    /// Taken out of the answers: bit n is member n.
    withdrawn: u128,
    /// Held up.
    forced: u128,
}

impl Members {
    fn of(cluster: &Cluster, family: Family, said: &[Option<Said>]) -> Members {
        let mut members = Members { nodes: Vec::new(), withdrawn: 0, forced: 0 };
        for ((node, said), at) in cluster.nodes.iter().zip(said).zip(0u16..) {
            for _ in node.addresses.iter().filter(|address| Family::of(address.ip) == family) {
                if members.nodes.len() == FAMILY_ADDRESSES_MAX {
                    return members;
                }
                let bit = 1u128 << members.nodes.len();
                match said.as_ref().map(|said| said.word) {
                    Some(Word::Drain | Word::Down) => members.withdrawn |= bit,
                    Some(Word::Up) => members.forced |= bit,
                    None => {}
                }
                members.nodes.push(at);
            }
        }
        members
    }

    /// All that no operator took out.
    fn all(&self) -> u128 {
        let members = self.nodes.len() as u32;
        u128::MAX.checked_shr(128 - members).unwrap_or(0) & !self.withdrawn
    }

    /// How many nodes have one in a set.
    fn count(&self, set: u128) -> usize {
        let bit = |at: usize| set >> at & 1 == 1;
        // A node's addresses stand together.
        let mut nodes: Vec<u16> =
            self.nodes.iter().enumerate().filter(|(at, _)| bit(*at)).map(|(_, node)| *node).collect();
        nodes.dedup();
        nodes.len()
    }
}

fn pool_of(
    world: &World<'_>,
    id: ClusterId,
    number: usize,
    kind: &PoolKind,
    members: &Members,
) -> (LivePool, Option<Instant>) {
    let World { plan, board, now, .. } = *world;
    let cluster = plan.inventory.cluster(id);
    let deal = &plan.deals[usize::from(id.0)][kind.family as usize];
    // What slots get when all is down, where it is not what the files say.
    let resort = (members.all() != deal.all()).then(|| {
        let table = deal.dealt.table(kind.answers, |_| members.all());
        Arc::new(SlotSets::new(&table, &deal.addresses, |_| None))
    });
    let of_files = || plan.serve_all[usize::from(id.0)][number].clone();
    let Some(check) = kind.check_in(cluster) else {
        let pool = Pool { open: 0, standing: Standing::Withdrawn };
        let slots = vec![0; cluster.nodes.len()].into();
        return (LivePool { pool, sets: of_files(), resort, slots }, None);
    };
    let judged = board.judged(&plan.checks, id, check, kind.family);
    let masks = Masks::of(&judged);
    let all_up = (masks.up | members.forced) & members.all();
    let unknown = masks.unknown & members.all();
    // Those that ask for no newcomers get some only where the cluster has nobody else.
    let willing = all_up & !(masks.draining & !members.forced);
    let up = if willing == 0 { all_up } else { willing };
    let standing = match (members.all(), up, unknown) {
        (0, _, _) => Standing::Withdrawn,
        (_, 0, 0) => Standing::Dead,
        (_, 0, _) => Standing::Unknown,
        _ if members.count(willing) < usize::from(cluster.min_nodes).max(1) => Standing::Short,
        _ => Standing::Up,
    };
    let ramps = Ramps::of(&judged, up & !members.forced, cluster.ramp, now);
    let open = if standing == Standing::Up { ramps.open(up) } else { 0 };
    let chosen = |slot| match standing {
        Standing::Unknown => unknown,
        _ => ramps.members(up, slot),
    };
    let doubt = |member: usize| match judged.get(member)?.verdict {
        Verdict::Suspect { until } if members.forced >> member & 1 == 0 => Some(until),
        _ => None,
    };
    let table = deal.dealt.table(kind.answers, chosen);
    let sets = SlotSets::new(&table, &deal.addresses, doubt);
    let slots = LivePool::slots_of(cluster, kind.family, |member| ramps.slots(willing, member));
    (LivePool { pool: Pool { open, standing }, sets, resort, slots }, ramps.next)
}

/// The verdicts of a pool's members: bit n is member n.
struct Masks {
    /// Up, suspect included.
    up: u128,
    unknown: u128,
    /// Those that say that they want no newcomers.
    draining: u128,
}

impl Masks {
    fn of(judged: &[Judged]) -> Masks {
        let mut masks = Masks { up: 0, unknown: 0, draining: 0 };
        for (judged, member) in judged.iter().zip(0u32..) {
            let bit = 1u128.checked_shl(member).unwrap_or(0);
            masks.draining |= if judged.drains { bit } else { 0 };
            match judged.verdict {
                Verdict::Up | Verdict::Suspect { .. } => masks.up |= bit,
                Verdict::Unknown => masks.unknown |= bit,
                Verdict::Down => {}
            }
        }
        masks
    }
}

/// The slow starts of a pool's members that are under way.
struct Ramps {
    /// Members, each with how many slots it has by now.
    under_way: Vec<(u128, u8)>,
    /// When the next of them gets one more.
    next: Option<Instant>,
}

impl Ramps {
    /// Of those in `up`.
    fn of(judged: &[Judged], up: u128, length: Duration, now: Instant) -> Ramps {
        let mut ramps = Ramps { under_way: Vec::new(), next: None };
        if length.is_zero() {
            return ramps;
        }
        for (judged, member) in judged.iter().zip(0u32..) {
            let bit = 1u128.checked_shl(member).unwrap_or(0);
            let Some(since) = judged.recovered.filter(|_| up & bit != 0) else { continue };
            let ramp = Ramp { since, length };
            if let Some(next) = ramp.next(now) {
                ramps.under_way.push((bit, ramp.slots(now)));
                ramps.next = Some(ramps.next.map_or(next, |first| first.min(next)));
            }
        }
        ramps
    }

    /// In how many of its slots a member answers.
    fn slots(&self, up: u128, member: usize) -> u8 {
        let bit = up & (1 << member);
        let under_way = self.under_way.iter().find(|(started, _)| *started == bit);
        if bit == 0 { 0 } else { under_way.map_or(SLOTS, |(_, slots)| *slots) }
    }

    /// Those of `up` that a slot gets; all of them where it would get none.
    fn members(&self, up: u128, slot: u8) -> u128 {
        let closed = |(bit, slots): &(u128, u8)| if Ramp::holds(slot, *slots) { 0 } else { *bit };
        match up & !self.under_way.iter().map(closed).fold(0, |all, bit| all | bit) {
            0 => up,
            some => some,
        }
    }

    /// The slots that may come: those that get a member whose slow start has reached them, or is over.
    fn open(&self, up: u128) -> u64 {
        let under_way = self.under_way.iter().fold(0, |all, (bit, _)| all | bit);
        if up & !under_way != 0 {
            return u64::MAX;
        }
        let most = self.under_way.iter().map(|(_, slots)| *slots).max().unwrap_or(SLOTS_FIRST);
        (0..SLOTS).filter(|slot| Ramp::holds(*slot, most)).fold(0, |open, slot| open | 1 << slot)
    }
}
