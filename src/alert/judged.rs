//! The nodes of a cluster as services judge them: who is down under their check, since when, and by which of its layers.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::cluster::{CheckId, Cluster, ClusterId, Family, Node, Word};
use crate::health::check::{Kind, probing};
use crate::health::overrides::Said;
use crate::health::verdict::Verdict;
use crate::plan::Plan;
use crate::snapshot::{ClusterPools, HeldTarget, Snapshot};
use crate::steering::choose::Standing;

/// The members of one family of a cluster, under a check by which services judge them.
pub(super) struct Judged<'s> {
    pub(super) id: ClusterId,
    pub(super) cluster: &'s Cluster,
    pub(super) check: CheckId,
    pub(super) family: Family,
    pub(super) standing: Standing,
    plan: &'s Plan,
    pools: &'s ClusterPools,
    /// What does not count as up, by check and member.
    absent: HashMap<(CheckId, u8), &'s HeldTarget>,
}

/// An address of a node.
#[derive(Clone, Copy)]
pub(super) struct Member<'s> {
    pub(super) node: &'s Node,
    pub(super) address: IpAddr,
    /// What an operator says of the node.
    pub(super) said: Option<&'s Said>,
    number: u8,
}

impl Member<'_> {
    /// Whether an operator took it out of the answers.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.said.is_some_and(|said| matches!(said.word, Word::Drain | Word::Down))
    }

    /// Whether an operator holds it up.
    pub(super) fn is_forced(&self) -> bool {
        self.said.is_some_and(|said| said.word == Word::Up)
    }
}

/// A node that is not there, and since when; `None`: that is not known.
pub(super) type Gone<'s> = (Option<Instant>, &'s Node);

impl<'s> Judged<'s> {
    /// All of a Snapshot, each once.
    pub(super) fn all(snapshot: &'s Snapshot) -> Vec<Judged<'s>> {
        let plan = &*snapshot.plan;
        let mut all = Vec::new();
        for (id, pools) in plan.inventory.ids().zip(&snapshot.pools) {
            let cluster = plan.inventory.cluster(id);
            let mut seen = BTreeSet::new();
            for (kind, live) in plan.kinds.iter().zip(&pools.pools) {
                let Some(check) = kind.check_in(cluster) else { continue };
                // Kinds that differ in the number of answers alone stand alike.
                if !seen.insert((check, kind.family)) {
                    continue;
                }
                let (family, standing) = (kind.family, live.pool.standing);
                let is_absent = |held: &&HeldTarget| {
                    held.target.family() == family
                        && matches!(held.standing, Verdict::Down | Verdict::Unknown)
                };
                let absent = pools.held.iter().filter(is_absent);
                let absent = absent.map(|held| ((held.target.check, held.target.member), held)).collect();
                all.push(Judged { id, cluster, check, family, standing, plan, pools, absent });
            }
        }
        all
    }

    /// What tells it apart from the others.
    pub(super) fn key(&self) -> (ClusterId, CheckId, Family) {
        (self.id, self.check, self.family)
    }

    /// The key of its check.
    pub(super) fn check_key(&self) -> &'s Arc<str> {
        &self.plan.checks[usize::from(self.check.0)].key
    }

    /// Its members.
    pub(super) fn members(&self) -> impl Iterator<Item = Member<'s>> {
        let (family, pools) = (self.family, self.pools);
        let nodes = self.cluster.nodes.iter().enumerate();
        let addresses = nodes.flat_map(move |(at, node)| {
            let own = node.addresses.iter().filter(move |address| Family::of(address.ip) == family);
            own.map(move |address| (node, at, address.ip))
        });
        addresses.zip(0u8..).map(move |((node, at, address), number)| {
            let said = pools.said.get(at).and_then(Option::as_ref);
            Member { node, address, said, number }
        })
    }

    /// Since when a member is down, whatever an operator says; `None`: it is not.
    pub(super) fn down(&self, member: &Member<'_>) -> Option<Instant> {
        self.since(self.check, member.number, &|verdict| verdict == Verdict::Down)
    }

    /// The layers of a member that are down, from the ground up; of a check that is not made of others, itself.
    pub(super) fn failing(&self, member: &Member<'_>) -> impl Iterator<Item = &'s HeldTarget> {
        let layers = probing(&self.plan.checks, self.check).into_iter();
        let held = layers.filter_map(|layer| self.absent.get(&(layer, member.number)).copied());
        held.filter(|held| held.standing == Verdict::Down)
    }

    /// What is held of all targets of its cluster.
    pub(super) fn held(&self) -> &'s [HeldTarget] {
        &self.pools.held
    }

    /// Whether its check is made of others.
    pub(super) fn is_layered(&self) -> bool {
        matches!(self.plan.checks[usize::from(self.check.0)].kind, Kind::Several(_))
    }

    /// The nodes that do not count, because they are down, unknown or taken out: in the order in which they went.
    pub(super) fn gone(&self) -> Vec<Gone<'s>> {
        let members: Vec<Member<'s>> = self.members().collect();
        // A node's addresses stand together.
        let nodes = members.chunk_by(|one, other| std::ptr::eq(one.node, other.node));
        let mut gone: Vec<Gone<'s>> = nodes.filter_map(|members| self.went(members)).collect();
        gone.sort_by_key(|(since, _)| *since);
        gone
    }

    /// How many nodes it has.
    pub(super) fn nodes(&self) -> usize {
        let has = |node: &&Node| node.addresses.iter().any(|address| Family::of(address.ip) == self.family);
        self.cluster.nodes.iter().filter(has).count()
    }

    /// The node of these members, where it does not count.
    fn went(&self, members: &[Member<'s>]) -> Option<Gone<'s>> {
        let first = members.first()?;
        if first.is_withdrawn() {
            let order = first.said.and_then(|said| said.order.as_ref());
            return Some((order.map(|order| order.since), first.node));
        }
        if first.is_forced() {
            return None;
        }
        let is_absent = |verdict| matches!(verdict, Verdict::Down | Verdict::Unknown);
        let since = members.iter().map(|member| self.since(self.check, member.number, &is_absent));
        let since: Vec<Instant> = since.collect::<Option<_>>()?;
        Some((since.into_iter().max(), first.node))
    }

    /// Since when a check says one of these words of a member: they are the worst ones, down or what is little better.
    fn since(&self, check: CheckId, member: u8, is: &impl Fn(Verdict) -> bool) -> Option<Instant> {
        let Kind::Several(several) = &self.plan.checks[usize::from(check.0)].kind else {
            let held = self.absent.get(&(check, member))?;
            return is(held.standing).then_some(held.held.since);
        };
        let layers = several.of.iter().filter_map(|layer| self.since(*layer, member, is));
        let mut layers: Vec<_> = layers.collect();
        layers.sort_unstable();
        // With this one too few were left.
        layers.get(several.of.len().saturating_sub(usize::from(several.least))).copied()
    }
}
