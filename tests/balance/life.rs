//! Days of a world's life: clients ask by the sun, follow a table only when their TTL ends, and clusters report late.

use std::time::Duration;

use steerdns::steering::balance::settings::Settings;
use steerdns::steering::balance::steps::Balance;
use steerdns::steering::balance::table::Summary;
use steerdns::steering::balance::world::Report;

use crate::worlds::Made;

const DAY_S: f64 = 86_400.0;

/// A world that lives.
pub struct Life {
    pub made: Made,
    pub balance: Balance,
    settings: Settings,
    /// How long clients take to follow, on average.
    ttl_s: f64,
    /// What each list's clients ask for at their busiest, in units of capacity.
    pub peaks: Vec<f64>,
    /// Where each list's day begins, as a part of a day.
    mornings: Vec<f64>,
    /// How much of a day's load is there at night.
    night: f64,
    pub now_s: u64,
    /// How long a step is, at most the TTL.
    pub step_s: u64,
    /// List by list, cluster by cluster: the shares of its clients that are there.
    there: Vec<Vec<f64>>,
    /// The reports on their way: when measured, and by whom.
    reports: Vec<Option<(u64, f64)>>,
    /// How often they are made.
    every_s: u64,
    /// What a cluster says in place of the truth.
    pub lies: Vec<Option<f64>>,
    /// For each list and slot when it last moved.
    moved: Vec<[Option<u64>; 64]>,
    /// Slots that moved sooner than they might.
    pub restless: usize,
    /// Moves that nothing but load caused.
    pub by_choice: usize,
    /// The last step.
    pub last: Summary,
}

impl Life {
    /// At their busiest all lists together would ask for `used` of all capacity; list by list the day is elsewhere on the map.
    pub fn new(made: Made, settings: Settings, used: f64, night: f64, ttl_s: f64) -> Life {
        let per_weight = used * made.capacity() / made.weight();
        let peaks = made.lists.iter().map(|list| list.weight * per_weight).collect();
        let (lists, clusters) = (made.lists.len(), made.clusters.len());
        let mornings = made.lists.iter().map(|list| {
            let home = made.points[usize::from(list.clusters[0].0)];
            home[0] / 300.0
        });
        let mut there = vec![vec![0.0; clusters]; lists];
        for (there, list) in there.iter_mut().zip(&made.lists) {
            there[usize::from(list.clusters[0].0)] = 1.0;
        }
        Life {
            balance: Balance::new(settings),
            settings,
            ttl_s,
            peaks,
            mornings: mornings.collect(),
            night,
            now_s: 0,
            step_s: 1,
            there,
            reports: vec![None; clusters],
            every_s: 10,
            lies: vec![None; clusters],
            moved: vec![[None; 64]; lists],
            restless: 0,
            by_choice: 0,
            last: Summary::default(),
            made,
        }
    }

    /// What a list's clients ask for now.
    pub fn asked(&self, list: usize) -> f64 {
        let part = (self.now_s as f64 / DAY_S + self.mornings[list]).fract();
        // From the least to the most and back: a parabola is near enough to the sun.
        let sun = 4.0 * part * (1.0 - part);
        self.peaks[list] * (self.night + (1.0 - self.night) * sun)
    }

    /// What clusters carry: where clients are, not where the table sends them.
    pub fn loads(&self) -> Vec<f64> {
        let mut loads = vec![0.0; self.made.clusters.len()];
        for (list, there) in self.there.iter().enumerate() {
            let asked = self.asked(list);
            loads.iter_mut().zip(there).for_each(|(load, share)| *load += asked * share);
        }
        loads
    }

    /// What they would carry if all had followed.
    pub fn by_table(&self) -> Vec<f64> {
        self.made.loads(self.balance.table(), |list| self.asked(list) / 64.0)
    }

    /// One step. A death is known before clients ask again: the balance steps at once when it is.
    pub fn step(&mut self) {
        self.now_s += self.step_s;
        self.report();
        let before = self.balance.table().clone();
        self.last = self.made.step(&mut self.balance, Duration::from_secs(self.step_s));
        for list in 0..self.made.lists.len() {
            if before.row(list) == self.balance.table().row(list) {
                continue;
            }
            for slot in 0..64u8 {
                let (was, is) = (before.first(list, slot), self.balance.table().first(list, slot));
                if was == is {
                    continue;
                }
                let last = self.moved[list][usize::from(slot)].replace(self.now_s);
                let had_to = !self.made.is_open(list, usize::from(was), slot);
                let rested = last.is_none_or(|last| self.now_s - last >= self.settings.hold.as_secs());
                self.restless += usize::from(!had_to && !rested);
                self.by_choice += usize::from(!had_to);
            }
        }
        self.follow();
    }

    /// A part of all clients asks again; those of the dead ask at once.
    fn follow(&mut self) {
        let part = self.step_s as f64 / self.ttl_s;
        for (list, there) in self.there.iter_mut().enumerate() {
            let clusters = &self.made.lists[list].clusters;
            let mut left = 0.0;
            for id in clusters.iter().map(|id| usize::from(id.0)) {
                let share = there[id];
                let dead = self.made.clusters[id].open.iter().all(|&open| open == 0);
                let goes = if dead { share } else { share * part };
                there[id] -= goes;
                left += goes;
            }
            for slot in 0..64 {
                if let Some(rank) = self.made.chosen(self.balance.table(), list, slot) {
                    there[usize::from(clusters[rank].0)] += left / 64.0;
                }
            }
        }
    }

    /// Clusters report one after another, each every so often; what they say was measured some seconds ago.
    fn report(&mut self) {
        let loads = self.loads();
        for (number, cluster) in self.made.clusters.iter_mut().enumerate() {
            let is_up = cluster.open.iter().any(|&open| open != 0);
            if (self.now_s / self.step_s + number as u64).is_multiple_of(self.every_s.div_ceil(self.step_s)) {
                let used = self.lies[number].unwrap_or(loads[number] / (cluster.capacity * cluster.share));
                self.reports[number] = is_up.then_some((self.now_s, used));
            }
            cluster.report = self.reports[number]
                .map(|(at_s, used)| Report { used, age: Duration::from_secs(self.now_s - at_s + 2) });
        }
    }
}
