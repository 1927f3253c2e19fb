//! Who goes from where to where.

use super::ground::Share;
use super::result::{Move, Part, Spread};
use super::seats::Seat;
use crate::cluster::ClusterId;
use crate::plan::Plan;
use crate::steering::kinds::RankedList;
use crate::steering::ranker::estimate_ms;

/// Clients who go from one place to another.
pub(super) struct Flow {
    pub(super) from: Seat,
    pub(super) to: Seat,
    pub(super) share: Share,
    /// What is added to their costs in ms, each with its weight.
    pub(super) deltas: Vec<(f64, f64)>,
}

impl Flow {
    pub(super) fn new(from: Seat, to: Seat) -> Flow {
        Flow { from, to, share: Share::default(), deltas: Vec::new() }
    }

    /// Whether another cluster answers.
    pub(super) fn moves(&self) -> bool {
        matches!((self.from, self.to), (Seat::At(_), Seat::At(_)))
    }

    /// Whether nobody answers any more.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.from, Seat::At(_)) && !matches!(self.to, Seat::At(_))
    }

    pub(super) fn told(mut self, plan: &Plan, part: Part, estimated: bool) -> Move {
        let key = |seat: Seat| seat.cluster().map(|id| plan.inventory.cluster(id).key.to_string());
        let added_ms = Spread::of(&mut self.deltas);
        Move {
            from: key(self.from),
            to: key(self.to),
            gets: self.to.gets(),
            part,
            added_km: added_ms.filter(|_| estimated).map(|ms| ms.map(|ms| ms / estimate_ms(1.0))),
            added_ms,
        }
    }
}

/// What a list has another cluster cost more; `None` where it does not know.
pub(super) fn added_ms(list: &RankedList, from: Seat, to: Seat) -> Option<f64> {
    let (Seat::At(from), Seat::At(to)) = (from, to) else { return None };
    let is_known = list.costs_ms.iter().any(|cost| *cost > 0.0);
    let cost = |id: ClusterId| {
        let rank = list.clusters.iter().position(|own| *own == id)?;
        Some(f64::from(list.costs_ms[rank]))
    };
    is_known.then(|| Some(cost(to)? - cost(from)?))?
}
