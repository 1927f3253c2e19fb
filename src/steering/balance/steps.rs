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
    /// Lists and clusters keep their numbers from step to step; where there are more or fewer it begins anew. After a reload that may have
    /// renumbered them make a new one.
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
        let moved = self.write();
        self.summary(world, moved)
    }

    /// Everybody is at home.
    fn begin(&mut self, world: &World<'_>) {
        self.demand = Demand::new(world, &self.settings);
        self.lives = world.lists().iter().map(|_| None).collect();
        self.prices_ms = vec![0.0; world.clusters().len()];
        self.leave = vec![LEAVE_MAX; world.clusters().len()];
        self.table = Table::untouched(world.lists().len());
    }

    /// Writes down who moved; tells how many slots.
    fn write(&mut self) -> usize {
        let mut moved = 0;
        let mut touched = Vec::new();
        for parcel in self.ground.parcels.iter().filter(|parcel| parcel.at != parcel.from) {
            let list = parcel.list as usize;
            let life = self.lives[list].get_or_insert_with(|| Box::new(Life::new()));
            life.go(parcel.slots, parcel.at, self.now_ms);
            // Strangers that move on are not sent away by their own cluster: its death did that.
            let left_home = parcel.first == 0 && parcel.bond != Bond::Forced;
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
        for parcel in &ground.parcels {
            let list = &world.lists()[parcel.list as usize];
            let slots = parcel.slots.count_ones();
            if parcel.first == 0 && parcel.at != 0 {
                clusters[list.cluster(0)].shed += slots;
            }
            if parcel.at != 0 {
                clusters[list.cluster(parcel.at)].taken += slots;
            }
        }
        let mut short = 0.0;
        for (share, cluster) in clusters.iter_mut().zip(world.clusters()) {
            let beyond = (share.assigned - share.capacity).max(0.0);
            let counts = share.is_known || share.taken > 0;
            short += if counts { beyond } else { 0.0 };
            share.why = match () {
                () if !cluster.is_up() => Why::Down,
                () if counts && beyond > 0.0 => Why::Short,
                () if share.shed > 0 => Why::Sheds,
                () if share.taken > 0 => Why::Takes,
                () => Why::Own,
            };
        }
        Summary { clusters, moved, short }
    }
}
