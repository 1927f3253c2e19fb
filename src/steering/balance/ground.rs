//! The ground of a step: parcels of slots, and how full they make clusters.

use super::classes::Classes;
use super::demand::Demand;
use super::life::{Life, highest, lowest};
use super::settings::{KEPT_MIN, LEAVE_MAX, STICK_MS, Settings};
use super::world::{List, World};

/// Slots of one list that are at one place, and may go to the same places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parcel {
    /// The list: a place in the world's.
    pub list: u32,
    /// Which slots.
    pub slots: u64,
    /// The rank where they were when the step began.
    pub from: u8,
    /// The rank where they are now.
    pub at: u8,
    /// The first rank that is open for them.
    pub first: u8,
    /// What may become of them.
    pub bond: Bond,
    /// Whether it was load that sent them from home.
    pub shed: bool,
    /// How often it has moved in this step.
    pub moves: u32,
}

/// What may become of a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bond {
    /// Where it was is closed: it must go, and wherever is best.
    Forced,
    /// It may go.
    Free,
    /// It moved not long ago: it stays.
    Held,
    /// It is at home, and nobody knows how full that is: no load sends it away.
    Home,
}

/// All parcels, and what they make of clusters.
#[derive(Debug, Default)]
pub(super) struct Ground {
    /// All parcels.
    pub parcels: Vec<Parcel>,
    /// Cluster by cluster: parcels that came there. They may have left again.
    pub there: Vec<Vec<u32>>,
    /// Cluster by cluster: what is asked of it.
    pub load: Vec<f64>,
    /// Cluster by cluster: what its own clients ask for, wherever they are. A cluster is the own one of clients that it stands first for.
    pub own: Vec<f64>,
    /// Cluster by cluster: what its own clients weigh. It is by weight that a cluster keeps its own: no report changes that.
    own_weight: Vec<f64>,
    /// Cluster by cluster: what those of them weigh that are there.
    kept_weight: Vec<f64>,
    /// Cluster by cluster: what may still leave it because of load.
    leave: Vec<f64>,
    /// The same when the step began.
    leave_at_first: Vec<f64>,
    /// List by list: what a slot asks for.
    per_slot: Vec<f64>,
}

impl Ground {
    /// Lays out where all slots are. Those that cannot stay are at the first rank that is open for them; those for whom nothing is open are
    /// left out.
    pub(super) fn lay(
        &mut self,
        world: &World<'_>,
        lives: &[Option<Box<Life>>],
        demand: &Demand,
        settings: &Settings,
        now_ms: u64,
    ) {
        let clusters = world.clusters().len();
        self.parcels.clear();
        self.there.iter_mut().for_each(Vec::clear);
        self.there.resize_with(clusters, Vec::new);
        for sums in [&mut self.load, &mut self.own, &mut self.own_weight, &mut self.kept_weight] {
            sums.clear();
            sums.resize(clusters, 0.0);
        }
        let per_slot = |(number, list): (usize, &List<'_>)| demand.of_slot(number, list.weight());
        self.per_slot.clear();
        self.per_slot.extend(world.lists().iter().enumerate().map(per_slot));
        let classes = Classes::new(world.clusters());
        for (number, (list, life)) in (0..).zip(world.lists().iter().zip(lives)) {
            for &class in classes.of(list.kind()) {
                match life {
                    None => self.add(world, demand, number, list, (class, 0), [0, 0]),
                    Some(life) => {
                        let held = life.held(now_ms, settings.hold);
                        for (rank, here) in life.ranks(class) {
                            self.add(world, demand, number, list, (here, rank), [held, life.shed]);
                        }
                    }
                }
            }
        }
    }

    /// Adds slots that are at one rank, in parts where only some are held or shed.
    fn add(
        &mut self,
        world: &World<'_>,
        demand: &Demand,
        number: u32,
        list: &List<'_>,
        (slots, rank): (u64, u8),
        [held, shed]: [u64; 2],
    ) {
        let open = |rank: &u8| world.clusters()[list.cluster(*rank)].open(list.kind()) & slots != 0;
        let ranks = list.clusters().len();
        let Some(first) = (0..ranks).map(|rank| rank as u8).find(open) else { return };
        let at = if usize::from(rank) < ranks && open(&rank) { rank } else { first };
        for (part, is_held, is_shed) in [
            (slots & !held & !shed, false, false),
            (slots & held & !shed, true, false),
            (slots & !held & shed, false, true),
            (slots & held & shed, true, true),
        ] {
            if part == 0 {
                continue;
            }
            let bond = match () {
                () if at == rank && is_held => Bond::Held,
                () if at == 0 && !demand.knows(list.cluster(0)) => Bond::Home,
                () if at != rank => Bond::Forced,
                () => Bond::Free,
            };
            let parcel =
                Parcel { list: number, slots: part, from: rank, at, first, bond, shed: is_shed, moves: 0 };
            let asked = self.demand(&parcel);
            let cluster = list.cluster(at);
            self.load[cluster] += asked;
            let weight = list.weight() * f64::from(part.count_ones());
            if first == 0 {
                self.own[list.cluster(0)] += asked;
                self.own_weight[list.cluster(0)] += weight;
            }
            if at == 0 {
                self.kept_weight[cluster] += weight;
            }
            self.there[cluster].push(self.parcels.len() as u32);
            self.parcels.push(parcel);
        }
    }

    /// Lets each cluster's `shares` of its load leave it.
    pub(super) fn let_leave(&mut self, shares: &[f64]) {
        self.leave.clear();
        self.leave.extend(self.load.iter().zip(shares).map(|(load, share)| load * share));
        self.leave_at_first.clone_from(&self.leave);
    }

    /// What is left of that.
    pub(super) fn may_leave(&self, cluster: usize, share: f64) -> f64 {
        let at_first = self.leave_at_first[cluster];
        if at_first > 0.0 { share * (self.leave[cluster] / at_first).clamp(0.0, 1.0) } else { share }
    }

    /// What a cluster's own clients weigh beyond those that it keeps.
    fn spare_weight(&self, cluster: usize) -> f64 {
        self.kept_weight[cluster] - KEPT_MIN * self.own_weight[cluster]
    }

    /// What one slot of a parcel asks for.
    pub(super) fn per_slot(&self, parcel: &Parcel) -> f64 {
        self.per_slot[parcel.list as usize]
    }

    /// What the largest slot asks for.
    pub(super) fn largest_slot(&self) -> f64 {
        self.per_slot.iter().copied().fold(0.0, f64::max)
    }

    /// What a parcel asks for.
    pub(super) fn demand(&self, parcel: &Parcel) -> f64 {
        self.per_slot(parcel) * f64::from(parcel.slots.count_ones())
    }

    /// How many slots of a parcel may leave its cluster because of load, in this step or a later one.
    pub(super) fn movable(&self, world: &World<'_>, parcel: &Parcel) -> u32 {
        let list = &world.lists()[parcel.list as usize];
        let all = parcel.slots.count_ones();
        match parcel.bond {
            Bond::Held | Bond::Home => 0,
            Bond::Free if parcel.at == 0 && parcel.from == 0 => {
                fitting(all, self.spare_weight(list.cluster(0)), list.weight())
            }
            Bond::Forced | Bond::Free => all,
        }
    }

    /// How many of them in this step.
    pub(super) fn movable_now(&self, world: &World<'_>, parcel: &Parcel) -> u32 {
        let may = self.movable(world, parcel);
        if parcel.bond != Bond::Free || parcel.at != parcel.from || may == 0 {
            return may;
        }
        let cluster = world.lists()[parcel.list as usize].cluster(parcel.at);
        let leave = self.leave[cluster];
        // A slot larger than what may leave at once would never go.
        let is_whole = leave >= self.leave_at_first[cluster] && leave >= LEAVE_MAX * self.load[cluster];
        fitting(may, leave, self.per_slot(parcel)).max(u32::from(is_whole))
    }

    /// The part of a parcel that may leave in the end, be it in several steps, if all of its cluster leave alike.
    pub(super) fn loose(&self, world: &World<'_>, parcel: &Parcel) -> f64 {
        let cluster = world.lists()[parcel.list as usize].cluster(parcel.at);
        match parcel.bond {
            Bond::Held | Bond::Home => 0.0,
            Bond::Forced => 1.0,
            Bond::Free if parcel.at != parcel.from || parcel.at != 0 => 1.0,
            Bond::Free => {
                let spare = self.spare_weight(cluster);
                if spare > 0.0 { (spare / self.kept_weight[cluster]).min(1.0) } else { 0.0 }
            }
        }
    }

    /// Moves `count` slots of a parcel, at most all, to another rank; they are the parcel that it tells.
    pub(super) fn go(&mut self, world: &World<'_>, number: u32, count: u32, to: u8) -> u32 {
        let mut parcel = self.parcels[number as usize];
        let list = &world.lists()[parcel.list as usize];
        let going = if to < parcel.at { lowest(parcel.slots, count) } else { highest(parcel.slots, count) };
        let going_number = if going == parcel.slots {
            number
        } else {
            self.parcels[number as usize].slots &= !going;
            self.parcels.push(parcel);
            (self.parcels.len() - 1) as u32
        };
        parcel.slots = going;
        let asked = self.demand(&parcel);
        let (here, there) = (list.cluster(parcel.at), list.cluster(to));
        self.load[here] -= asked;
        self.load[there] += asked;
        let weight = list.weight() * f64::from(going.count_ones());
        if parcel.at == 0 {
            self.kept_weight[here] -= weight;
        }
        if to == 0 {
            self.kept_weight[there] += weight;
        }
        if parcel.bond == Bond::Free {
            if parcel.at == parcel.from {
                self.leave[here] -= asked;
            } else if to == parcel.from {
                self.leave[there] += asked;
            }
        }
        parcel.at = to;
        parcel.moves += 1;
        self.parcels[going_number as usize] = parcel;
        self.there[there].push(going_number);
        going_number
    }

    /// What of a parcel's list a rank costs it, without prices. A move that is not home costs a little.
    pub(super) fn cost(&self, list: &List<'_>, parcel: &Parcel, rank: u8) -> f64 {
        let stick = if rank == parcel.from || rank == parcel.first { 0.0 } else { STICK_MS };
        let stick = if parcel.bond == Bond::Forced { 0.0 } else { stick };
        list.cost(rank) + stick
    }
}

/// How many of `all` slots that ask for `per_slot` each fit into `room`.
pub(super) fn fitting(all: u32, room: f64, per_slot: f64) -> u32 {
    match room / per_slot {
        _ if per_slot <= 0.0 => all,
        slots if slots >= f64::from(all) => all,
        slots if slots >= 1.0 => slots as u32, // Rounded down, at most `all`.
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_fit_whole() {
        assert_eq!([fitting(64, 9.9, 1.0), fitting(4, 9.9, 1.0), fitting(64, 0.5, 1.0)], [9, 4, 0]);
        assert_eq!(
            [fitting(64, -1.0, 1.0), fitting(64, 0.0, 0.0), fitting(64, f64::INFINITY, 1.0)],
            [0, 64, 64]
        );
    }
}
