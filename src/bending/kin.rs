//! Which lists and clusters of a Plan are those of an earlier one, by what operators call them: numbers are new with each load.

use std::collections::HashMap;
use std::rc::Rc;

use super::{lists_of, policy_of};
use crate::cluster::{ClusterId, Family};
use crate::plan::{Group, Plan};
use crate::steering::balance::table::{Row, Share, Why, kept};
use crate::steering::bend::{Bends, BentGroup, BentList, bend};
use crate::steering::kinds::RankedList;
use crate::steering::slots::SLOTS;

/// A list's clusters and costs tell it from others; so many that have the same clusters are looked at for those whose costs are nearest.
const ALIKE_MAX: usize = 16;

/// Which groups, lists and clusters of a Plan are those of an earlier one.
pub(super) struct Kin {
    /// Cluster by cluster of the new Plan.
    pub(super) clusters: Vec<Option<ClusterId>>,
    /// Group by group of the new Plan: the old one, by policy, check, answers and family.
    pub(super) groups: Vec<Option<usize>>,
    /// The same for what is held against clusters: any of the same policy and family.
    of_policy: Vec<Option<usize>>,
    /// Group by group and list by list, where the group is an old one: the list of that group.
    pub(super) lists: Vec<Rc<Vec<Option<usize>>>>,
}

impl Kin {
    pub(super) fn new(old: &Plan, new: &Plan) -> Kin {
        let by_key =
            old.inventory.clusters.iter().zip(0u16..).map(|(cluster, id)| (&cluster.key, ClusterId(id)));
        let by_key: HashMap<_, _> = by_key.collect();
        let clusters: Vec<Option<ClusterId>> =
            new.inventory.clusters.iter().map(|cluster| by_key.get(&cluster.key).copied()).collect();
        let old_groups: HashMap<_, _> =
            old.groups.iter().enumerate().map(|(at, group)| (Name::of(old, group), at)).collect();
        let groups: Vec<Option<usize>> =
            new.groups.iter().map(|group| old_groups.get(&Name::of(new, group)).copied()).collect();
        let of_policy = new.groups.iter().zip(&groups).map(|(group, same)| {
            let name = Name::of(new, group);
            let alike = |other: &Name<'_>| other.policy == name.policy && other.family == name.family;
            let others = old_groups.iter().filter(|(other, _)| alike(other)).map(|(_, at)| *at);
            same.or_else(|| others.min())
        });
        let of_policy = of_policy.collect();
        let mut of_maps: HashMap<(u16, u16), Rc<Vec<Option<usize>>>> = HashMap::new();
        let lists = new.groups.iter().zip(&groups).map(|(group, same)| {
            let Some(same) = same.map(|at| &old.groups[at]) else { return Rc::default() };
            let lists = || Rc::new(lists(lists_of(old, same), lists_of(new, group), &clusters));
            Rc::clone(of_maps.entry((same.map, group.map)).or_insert_with(lists))
        });
        let lists = lists.collect();
        Kin { clusters, groups, of_policy, lists }
    }

    /// What was so in each cluster, by its new number.
    fn by_cluster<T: Copy + Default>(&self, values: &[T]) -> Vec<T> {
        let of = |was: &Option<ClusterId>| was.and_then(|id| values.get(usize::from(id.0)).copied());
        self.clusters.iter().map(|was| of(was).unwrap_or_default()).collect()
    }

    /// What was held against each cluster, group by group; nothing where no group of the same policy and family was there.
    pub(super) fn by_policy<T: Copy + Default>(&self, values: &[Vec<T>]) -> Vec<Vec<T>> {
        let of = |was: &Option<usize>| was.and_then(|at| values.get(at)).map_or(&[][..], Vec::as_slice);
        self.of_policy.iter().map(|was| self.by_cluster(of(was))).collect()
    }
}

/// What operators call a group.
#[derive(PartialEq, Eq, Hash)]
struct Name<'p> {
    policy: &'p str,
    check: Option<&'p str>,
    answers: u8,
    family: Family,
}

impl<'p> Name<'p> {
    fn of(plan: &'p Plan, group: &Group) -> Name<'p> {
        let kind = &plan.kinds[usize::from(group.kind)];
        let check = kind.check.map(|id| &*plan.checks[usize::from(id.0)].key);
        Name { policy: &policy_of(plan, group).key, check, answers: kind.answers, family: kind.family }
    }
}

/// List by list which one it was: that of the same clusters among those that both Plans have, else one that begins with the same three, or at
/// least at the same home.
fn lists(old: &[RankedList], new: &[RankedList], clusters: &[Option<ClusterId>]) -> Vec<Option<usize>> {
    let mut is_old = Vec::new();
    for id in clusters.iter().flatten() {
        is_old.resize(is_old.len().max(usize::from(id.0) + 1), false);
        is_old[usize::from(id.0)] = true;
    }
    let stays = |id: &ClusterId| is_old.get(usize::from(id.0)).copied().unwrap_or(false);
    let firsts =
        |order: &[ClusterId]| [order.len(), 3, 1].map(|most| order[..most.min(order.len())].to_vec());
    let mut known: [HashMap<Vec<ClusterId>, Vec<usize>>; 3] = Default::default();
    for (at, list) in old.iter().enumerate() {
        let order: Vec<ClusterId> = list.clusters.iter().copied().filter(stays).collect();
        for (known, first) in known.iter_mut().zip(firsts(&order)) {
            let alike = known.entry(first).or_default();
            if alike.len() < ALIKE_MAX {
                alike.push(at);
            }
        }
    }
    let of = |list: &RankedList| {
        let order: Vec<ClusterId> =
            list.clusters.iter().filter_map(|id| clusters[usize::from(id.0)]).collect();
        let alike = known.iter().zip(firsts(&order)).find_map(|(known, first)| known.get(&first))?;
        let far = |at: &usize| {
            let costs = list.costs_ms.iter().zip(&old[*at].costs_ms).take(3);
            costs.map(|(one, other)| f64::from((one - other).abs())).sum::<f64>()
        };
        alike.iter().copied().min_by(|a, b| far(a).total_cmp(&far(b)))
    };
    new.iter().map(of).collect()
}

/// How lists stand until the next step when another Plan comes into force: clients stay where they are, if that is still there.
pub fn carried(bends: &Bends, old: &Plan, new: &Plan) -> Bends {
    let kin = Kin::new(old, new);
    let penalties: Vec<Vec<f32>> = match bends.penalties.is_empty() {
        true => Vec::new(),
        false => kin.by_policy(&bends.penalties),
    };
    let group = |(at, group): (usize, &Group)| {
        let penalties = penalties.get(at).filter(|penalties| penalties.iter().any(|ms| *ms != 0.0));
        let was = kin.groups[at].and_then(|was| Some((&old.groups[was], bends.groups.get(was)?)));
        let lists = lists_of(new, group).iter().enumerate().map(|(number, list)| {
            let was = was.and_then(|(group, bent)| {
                let was = kin.lists[at].get(number).copied().flatten()?;
                Some((&lists_of(old, group)[was], bent.lists.get(was)?.as_ref()?))
            });
            if penalties.is_none() && was.is_none() {
                return None;
            }
            let (order, costs_ms) = bend(list, |id| penalties.map_or(0.0, |ms| ms[usize::from(id.0)]));
            let today = order.as_deref().unwrap_or(&list.clusters);
            let first = was
                .filter(|_| new.balance.is_some())
                .and_then(|(was, bent)| kept(&kin.row(bent, was, list, today)));
            (order.is_some() || first.is_some()).then_some(BentList { clusters: order, costs_ms, first })
        });
        let lists: Vec<_> = lists.collect();
        BentGroup { lists: if lists.iter().all(Option::is_none) { Vec::new() } else { lists } }
    };
    let groups: Vec<_> = new.groups.iter().enumerate().map(group).collect();
    let groups = if groups.iter().all(|group| group.lists.is_empty()) { Vec::new() } else { groups };
    let (shares, short) = match new.balance {
        Some(_) if !bends.shares.is_empty() => (kin.shares(&bends.shares, new), bends.short),
        _ => (Vec::new(), 0.0),
    };
    Bends { groups, penalties, shares, short }
}

impl Kin {
    /// Slot by slot the rank in today's order of where it was.
    fn row(&self, bent: &BentList, was: &RankedList, now: &RankedList, today: &[ClusterId]) -> Row {
        let order = bent.clusters.as_deref().unwrap_or(&was.clusters);
        let rank =
            |id: ClusterId| today.iter().position(|other| *other == id).and_then(|at| u8::try_from(at).ok());
        let slot = |slot: usize| {
            let place = *order.get(bent.first.as_ref().map_or(0, |first| usize::from(first[slot])))?;
            if was.clusters.first() == Some(&place) {
                return rank(*now.clusters.first()?);
            }
            rank(*now.clusters.iter().find(|id| self.clusters[usize::from(id.0)] == Some(place))?)
        };
        let home = now.clusters.first().and_then(|home| rank(*home)).unwrap_or(0);
        let mut row: Row = [home; SLOTS as usize];
        row.iter_mut().enumerate().for_each(|(at, rank)| *rank = slot(at).unwrap_or(home));
        row
    }

    fn shares(&self, shares: &[Share], new: &Plan) -> Vec<Share> {
        let clusters = new.inventory.clusters.iter().zip(&self.clusters);
        let of = clusters.map(|(cluster, was)| {
            let was = was.and_then(|id| shares.get(usize::from(id.0)).copied());
            was.unwrap_or(Share {
                demand: 0.0,
                assigned: 0.0,
                capacity: cluster.capacity.unwrap_or_default() as f64,
                price_ms: 0.0,
                shed: 0,
                taken: 0,
                is_known: false,
                why: Why::Own,
            })
        });
        of.collect()
    }
}
