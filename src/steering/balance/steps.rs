//! The balance itself: step by step, what the world says -> a table.

use std::time::Duration;

use super::auction;
use super::demand::Demand;
use super::ground::{Bond, Ground};
use super::life::{Life, ms};
use super::nearer;
use super::settings::{LEAVE_MAX, Settings};
use super::table::{Share, Summary, Table, Why};
use super::world::World;
use crate::cluster::ClusterId;

/// Divides clients over clusters, step by step.
///
/// It remembers what it needs for calm: where each slot is and since when, what was reported, and what full clusters count as. Two that
/// are told the same from the beginning say the same.
#[derive(Debug)]
pub struct Balance {
    settings: Settings,
    now_ms: u64,
    demand: Demand,
    lives: Vec<Option<Box<Life>>>,
    prices_ms: Vec<f64>,
    /// Cluster by cluster: the share of its load that may leave it because of load.
    leave: Vec<f64>,
    table: Table,
    ground: Ground,
}

/// What a list was before the world got other numbers.
#[derive(Clone, Copy, Debug)]
pub struct Was<'a> {
    /// Its number.
    pub list: usize,
    /// Its clusters, by their numbers of then.
    pub clusters: &'a [ClusterId],
    /// How much more a weight of it asks for than before: weights are shares, and others may have come.
    pub more: f64,
}

impl Balance {
    /// Nothing has happened yet.
    pub fn new(settings: Settings) -> Balance {
        Balance {
            settings,
            now_ms: 0,
            demand: Demand::default(),
            lives: Vec::new(),
            prices_ms: Vec::new(),
            leave: Vec::new(),
            table: Table::default(),
            ground: Ground::default(),
        }
    }

    /// What it says now.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The world `elapsed` after the last step: once a second, say, and at once when a cluster dies.
    ///
    /// Lists and clusters keep their numbers from step to step; where there are more or fewer it begins anew, unless it was
    /// [carried](Balance::carry) over.
    pub fn step(&mut self, world: &World<'_>, elapsed: Duration) -> Summary {
        if self.lives.len() != world.lists().len() || self.prices_ms.len() != world.clusters().len() {
            self.begin(world);
        }
        self.now_ms = self.now_ms.saturating_add(ms(elapsed));
        let (settings, now_ms) = (&self.settings, self.now_ms);
        self.demand.learn(world, &self.lives, settings, now_ms, elapsed);
        self.ground.lay(world, &self.lives, &self.demand, settings, now_ms);
        let again = LEAVE_MAX * elapsed.as_secs_f64() / settings.follow.as_secs_f64().max(f64::MIN_POSITIVE);
        for share in &mut self.leave {
            *share = (*share + again).min(LEAVE_MAX);
        }
        self.ground.let_leave(&self.leave);
        nearer::come(world, settings, &self.demand, &mut self.ground);
        auction::settle(world, settings, &mut self.ground, &mut self.prices_ms);
        for (cluster, share) in self.leave.iter_mut().enumerate() {
            *share = self.ground.may_leave(cluster, *share);
        }
        let moved = self.write(world);
        self.summary(world, moved)
    }

    /// Goes over to another world, as after a reload: nobody moves for it, and what was learnt holds. `lists` tells of each list which one it was,
    /// `clusters` of each cluster; `None`: it is new. Who was at home is at home.
    pub fn carry(
        &mut self,
        settings: Settings,
        world: &World<'_>,
        lists: &[Option<Was<'_>>],
        clusters: &[Option<ClusterId>],
    ) {
        self.settings = settings;
        let fits = |was: &Was<'_>| was.list < self.lives.len();
        let of_list = |number: usize| lists.get(number)?.as_ref().filter(|was| fits(was));
        let known = |id: &ClusterId| usize::from(id.0) < self.prices_ms.len();
        let of_cluster: Vec<Option<usize>> = (0..world.clusters().len())
            .map(|number| clusters.get(number)?.filter(known).map(|id| usize::from(id.0)))
            .collect();
        let of_weight = |number: usize| of_list(number).map(|was| (was.list, was.more));
        let demand = self.demand.carried(world, &self.settings, of_weight, &of_cluster, self.now_ms);
        let mut now = vec![None; self.prices_ms.len()];
        for (number, was) in of_cluster.iter().enumerate() {
            if let Some(was) = was {
                now[*was] = Some(number);
            }
        }
        let mut table = Table::untouched(world.lists().len());
        let lives = world.lists().iter().enumerate().map(|(number, list)| {
            let was = of_list(number)?;
            let life = self.lives[was.list].as_ref()?;
            let rank = |rank: u8| {
                let old = usize::from(was.clusters.get(usize::from(rank))?.0);
                let now = (*now.get(old)?)?;
                let here = |id: &ClusterId| usize::from(id.0) == now;
                if rank == 0 { Some(0) } else { list.clusters().iter().position(here)?.try_into().ok() }
            };
            let life = life.renamed(rank);
            table.set(number, &life.at);
            Some(Box::new(life))
        });
        let lives: Vec<_> = lives.collect();
        let of = |values: &[f64], new: f64| -> Vec<f64> {
            of_cluster.iter().map(|was| was.map_or(new, |was| values[was])).collect()
        };
        let (prices_ms, leave) = (of(&self.prices_ms, 0.0), of(&self.leave, LEAVE_MAX));
        *self = Balance {
            demand,
            lives,
            prices_ms,
            leave,
            table,
            ..std::mem::replace(self, Balance::new(settings))
        };
    }

    /// Everybody is at home.
    fn begin(&mut self, world: &World<'_>) {
        self.demand = Demand::new(world, &self.settings, self.now_ms);
        self.lives = world.lists().iter().map(|_| None).collect();
        self.prices_ms = vec![0.0; world.clusters().len()];
        self.leave = vec![LEAVE_MAX; world.clusters().len()];
        self.table = Table::untouched(world.lists().len());
    }

    /// Writes down who moved; tells how many slots.
    fn write(&mut self, world: &World<'_>) -> usize {
        let mut moved = 0;
        let mut touched = Vec::new();
        for parcel in self.ground.parcels.iter().filter(|parcel| parcel.at != parcel.from) {
            let list = parcel.list as usize;
            let life = self.lives[list].get_or_insert_with(|| Box::new(Life::new()));
            life.go(parcel.slots, parcel.at, self.now_ms);
            // Strangers that move on are not sent away by their own cluster: its death did that.
            // Nor those whose own one is farther today than where they are: its way did that.
            let of = &world.lists()[list];
            let left_home =
                parcel.first == 0 && parcel.bond != Bond::Forced && of.cost(parcel.at) >= of.cost(0);
            let by_load = parcel.at != 0 && (parcel.shed || left_home);
            life.shed = if by_load { life.shed | parcel.slots } else { life.shed & !parcel.slots };
            moved += parcel.slots.count_ones() as usize;
            touched.push(list);
        }
        touched.sort_unstable();
        touched.dedup();
        for list in touched {
            let life = self.lives[list].as_ref().expect("made where a parcel moved");
            self.table.set(list, &life.at);
        }
        let quiet = self.settings.hold.max(self.settings.follow);
        for life in &mut self.lives {
            if life.as_ref().is_some_and(|life| life.is_over(self.now_ms, quiet)) {
                *life = None;
            }
        }
        moved
    }

    /// What became of the world.
    fn summary(&self, world: &World<'_>, moved: usize) -> Summary {
        let ground = &self.ground;
        let share = |(number, cluster): (usize, &super::world::Cluster<'_>)| Share {
            demand: ground.own[number],
            assigned: ground.load[number],
            capacity: cluster.capacity(),
            price_ms: self.prices_ms[number],
            shed: 0,
            taken: 0,
            is_known: self.demand.knows(number),
            why: Why::Own,
        };
        let mut clusters: Vec<Share> = world.clusters().iter().enumerate().map(share).collect();
        let mut sheds = vec![false; clusters.len()];
        for parcel in &ground.parcels {
            let list = &world.lists()[parcel.list as usize];
            let slots = parcel.slots.count_ones();
            if parcel.first == 0 && parcel.at != 0 {
                let by_load = |life: &Life| life.shed & parcel.slots != 0;
                sheds[list.cluster(0)] |= self.lives[parcel.list as usize].as_deref().is_some_and(by_load);
                clusters[list.cluster(0)].shed += slots;
            }
            if parcel.at != 0 {
                clusters[list.cluster(parcel.at)].taken += slots;
            }
        }
        let mut short = 0.0;
        for ((share, cluster), sheds) in clusters.iter_mut().zip(world.clusters()).zip(sheds) {
            let beyond = (share.assigned - share.capacity).max(0.0);
            let counts = share.is_known || share.taken > 0;
            short += if counts { beyond } else { 0.0 };
            share.why = match () {
                () if !cluster.is_up() => Why::Down,
                () if counts && beyond > 0.0 => Why::Short,
                () if sheds => Why::Sheds,
                () if share.taken > 0 => Why::Takes,
                () => Why::Own,
            };
        }
        Summary { clusters, moved, short }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steering::balance::world::{Cluster, List};

    #[test]
    fn slots_prices_and_what_was_learnt_outlive_other_numbers() {
        let (up, dead) = ([u64::MAX], [0]);
        let costs = [1.0, 2.0, 3.0];
        let ids = [ClusterId(0), ClusterId(1), ClusterId(2)];
        let lists = [List::new(&ids, &costs, 1.0, 0).unwrap()];
        let clusters = [&dead, &up, &up].map(|open: &[u64; 1]| Cluster::new(100.0, open, None).unwrap());
        let mut balance = Balance::new(Settings { assumed: 0.5, ..Settings::default() });
        balance.step(&World::new(&lists, &clusters).unwrap(), Duration::from_secs(1));
        let before: Vec<u16> =
            (0..64).map(|slot| ids[usize::from(balance.table().first(0, slot))].0).collect();
        assert!(before.contains(&1) && before.contains(&2));
        // Another list before it, and clusters in another order: 2, a new one, 0, 1.
        let ids = [ClusterId(2), ClusterId(3), ClusterId(0)];
        let lists =
            [List::new(&[ClusterId(1)], &[1.0], 1.0, 0).unwrap(), List::new(&ids, &costs, 0.5, 0).unwrap()];
        let clusters = [&up, &up, &dead, &up].map(|open: &[u64; 1]| Cluster::new(100.0, open, None).unwrap());
        let world = World::new(&lists, &clusters).unwrap();
        let old = [ClusterId(0), ClusterId(1), ClusterId(2)];
        let was = Was { list: 0, clusters: &old, more: 2.0 };
        let renamed = [Some(ClusterId(2)), None, Some(ClusterId(0)), Some(ClusterId(1))];
        balance.carry(Settings::default(), &world, &[None, Some(was)], &renamed);
        let now = |balance: &Balance| -> Vec<u16> {
            let old = |id: ClusterId| renamed[usize::from(id.0)].unwrap().0;
            (0..64).map(|slot| old(ids[usize::from(balance.table().first(1, slot))])).collect()
        };
        assert_eq!(now(&balance), before);
        let summary = balance.step(&world, Duration::from_secs(1));
        assert_eq!((now(&balance), summary.moved), (before, 0));
    }
}
