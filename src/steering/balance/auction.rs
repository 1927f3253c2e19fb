//! Full clusters count as farther, until nobody is over its mark.
//!
//! Each cluster has a *price* in ms, which its clients see on top of its cost. A cluster over its mark sheds those to whom another one
//! costs least more, prices included, and its price rises to what that is; where they go, the same may follow. It is the auction of
//! Bertsekas (1979; with Castañón for the transportation problem, 1989): at its end everybody is where cost and price together are
//! least but for [`RISE_MS`], which makes the sum of costs the least possible but for that.

use std::collections::VecDeque;

use super::fair::levels;
use super::ground::{Bond, Ground, Parcel, fitting};
use super::settings::{RAMP_MS, Settings};
use super::world::World;

/// A price rises by at least this much when clients leave because of it: the smaller, the nearer to the best, and the longer it takes.
const RISE_MS: f64 = 0.5;
/// And by at least this part of itself.
const RISE_PART: f64 = 1.0 / 64.0;
/// No price is higher: all that can leave has left.
const PRICE_MAX_MS: f64 = 20_000.0;
/// Where the world is short of capacity, clusters may be fuller by this part than the fairest division makes them: slots are not water.
const SLACK: f64 = 0.005;
/// How often parcels are looked at, on average, before the rest is left to the next step.
const LOOKS_MAX: usize = 400;

/// An auction.
struct Auction<'a> {
    world: &'a World<'a>,
    settings: &'a Settings,
    ground: &'a mut Ground,
    prices_ms: &'a mut [f64],
    /// How full clusters must be at least; made when it is needed.
    levels: Option<Vec<f64>>,
    /// Clusters that may be over their marks.
    queue: VecDeque<usize>,
    is_queued: Vec<bool>,
    looks_left: usize,
}

/// A parcel that would leave.
struct Offer {
    /// What it loses by that, prices included.
    loss_ms: f64,
    parcel: u32,
    to: u8,
}

/// Sheds until no cluster is over its mark that could shed. `prices_ms`: those of the last step, cluster by cluster; they become
/// those of this one.
pub(super) fn settle(world: &World<'_>, settings: &Settings, ground: &mut Ground, prices_ms: &mut [f64]) {
    let clusters = world.clusters().len();
    let looks_left = (ground.parcels.len() + 64) * LOOKS_MAX;
    let is_queued = vec![true; clusters];
    let queue = (0..clusters).collect();
    let mut auction =
        Auction { world, settings, ground, prices_ms, levels: None, queue, is_queued, looks_left };
    for cluster in 0..clusters {
        // A price that the load does not bear any more falls to what it bears.
        let borne = auction.borne_ms(cluster);
        auction.prices_ms[cluster] = auction.prices_ms[cluster].min(borne);
    }
    auction.place_forced();
    while let Some(cluster) = auction.queue.pop_front() {
        auction.is_queued[cluster] = false;
        auction.shed(cluster);
        if auction.looks_left == 0 {
            break;
        }
    }
}

impl Auction<'_> {
    /// Clients whose cluster is gone choose among all, at the prices of the last step.
    fn place_forced(&mut self) {
        for number in 0..self.ground.parcels.len() as u32 {
            let parcel = self.ground.parcels[number as usize];
            if parcel.bond == Bond::Forced {
                let here = self.price(&parcel, parcel.at);
                if let Some((to, _)) = self.best_but(&parcel, parcel.at).filter(|(_, cost)| *cost < here) {
                    self.ground.go(self.world, number, parcel.slots.count_ones(), to);
                }
            }
        }
    }

    /// What a rank costs a parcel, price included.
    fn price(&self, parcel: &Parcel, rank: u8) -> f64 {
        let list = &self.world.lists()[parcel.list as usize];
        self.ground.cost(list, parcel, rank) + self.prices_ms[list.cluster(rank)]
    }

    /// The best rank but one, and what it costs.
    fn best_but(&self, parcel: &Parcel, but: u8) -> Option<(u8, f64)> {
        let list = &self.world.lists()[parcel.list as usize];
        let mut best: Option<(u8, f64)> = None;
        for (rank, (id, &cost)) in (0..).zip(list.clusters().iter().zip(list.costs_ms())) {
            if best.is_some_and(|(_, least)| f64::from(cost) >= least) {
                break;
            }
            let open = self.world.clusters()[usize::from(id.0)].open(list.kind());
            if rank != but && open & parcel.slots != 0 {
                let cost = self.price(parcel, rank);
                if best.is_none_or(|(_, least)| cost < least) {
                    best = Some((rank, cost));
                }
            }
        }
        best
    }

    /// How much a cluster may carry at a price: from the middle of its marks at 0 to the high one at [`RAMP_MS`], and there as much more as it
    /// must because the world is short.
    fn limit(&mut self, cluster: usize, price_ms: f64) -> f64 {
        let (marks, capacity) = (&self.settings.marks, self.world.clusters()[cluster].capacity());
        let ramp = marks.middle() + (marks.high() - marks.middle()) * (price_ms / RAMP_MS).min(1.0);
        if price_ms < RAMP_MS || self.ground.load[cluster] <= marks.high() * capacity {
            return ramp * capacity;
        }
        let (world, ground) = (self.world, &*self.ground);
        let level = self.levels.get_or_insert_with(|| levels(world, ground))[cluster];
        let short = if level > marks.high() * (1.0 - SLACK) { level * (1.0 + SLACK) } else { 0.0 };
        ramp.max(short) * capacity
    }

    /// The price at which a cluster may carry what it carries, at most infinite.
    fn borne_ms(&self, cluster: usize) -> f64 {
        let (marks, capacity) = (&self.settings.marks, self.world.clusters()[cluster].capacity());
        let used = self.ground.load[cluster] / capacity;
        match () {
            () if used <= marks.middle() => 0.0,
            () if used < marks.high() => {
                RAMP_MS * (used - marks.middle()) / (marks.high() - marks.middle())
            }
            () => f64::INFINITY,
        }
    }

    /// Brings one cluster down to its mark, if enough can leave.
    fn shed(&mut self, cluster: usize) {
        let price = self.prices_ms[cluster];
        if price >= PRICE_MAX_MS || self.ground.load[cluster] <= self.limit(cluster, price) {
            return;
        }
        let mut last = None;
        for offer in self.offers(cluster) {
            let asked = price + offer.loss_ms.max(0.0);
            let excess = self.ground.load[cluster] - self.limit(cluster, asked);
            if excess <= 0.0 {
                break;
            }
            let parcel = self.ground.parcels[offer.parcel as usize];
            let count = self.ground.movable(self.world, &parcel);
            let count = fitting(count, excess, self.ground.per_slot(&parcel));
            if count == 0 || asked > PRICE_MAX_MS {
                continue;
            }
            self.ground.go(self.world, offer.parcel, count, offer.to);
            let to = self.world.lists()[parcel.list as usize].cluster(offer.to);
            if !self.is_queued[to] {
                self.is_queued[to] = true;
                self.queue.push_back(to);
            }
            last = Some(asked);
        }
        // Those that come now see what those lost that left, and what the load bears.
        let risen = last.map_or(price, |last| last + RISE_MS.max(last * RISE_PART));
        let borne = self.borne_ms(cluster).min(RAMP_MS);
        self.prices_ms[cluster] = risen.max(borne);
    }

    /// The parcels that may leave a cluster, those that lose least first.
    fn offers(&mut self, cluster: usize) -> Vec<Offer> {
        let mut there = std::mem::take(&mut self.ground.there[cluster]);
        there.sort_unstable();
        there.dedup();
        let is_there = |number: &u32| {
            let parcel = &self.ground.parcels[*number as usize];
            self.world.lists()[parcel.list as usize].cluster(parcel.at) == cluster
        };
        there.retain(is_there);
        self.looks_left = self.looks_left.saturating_sub(there.len() + 1);
        let offer = |&number: &u32| {
            let parcel = &self.ground.parcels[number as usize];
            let can = self.ground.per_slot(parcel) > 0.0 && self.ground.movable(self.world, parcel) > 0;
            let (to, cost) = can.then(|| self.best_but(parcel, parcel.at)).flatten()?;
            Some(Offer { loss_ms: cost - self.price(parcel, parcel.at), parcel: number, to })
        };
        let mut offers: Vec<Offer> = there.iter().filter_map(offer).collect();
        offers.sort_by(|a, b| a.loss_ms.total_cmp(&b.loss_ms).then(a.parcel.cmp(&b.parcel)));
        self.ground.there[cluster] = there;
        offers
    }
}
