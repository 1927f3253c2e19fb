//! Full clusters count as farther, until nobody is over its mark.
//!
//! Each cluster has a *price* in ms, which its clients see on top of its cost. A cluster over its mark sheds those to whom another one
//! costs least more, prices included, and its price rises to what that is; where they go, the same may follow. It is the auction of
//! Bertsekas (1979; with Castañón for the transportation problem, 1989): at its end everybody is where cost and price together are
//! least but for [`RISE_MS`], which makes the sum of costs the least possible but for that.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use super::fair::levels;
use super::ground::{Bond, Ground, Parcel, fitting};
use super::settings::{RAMP_MS, Settings};
use super::world::World;

/// A price rises by at least this much when clients leave because of it: the smaller, the nearer to the best, and the longer it takes.
const RISE_MS: f64 = 0.5;
/// And by at least this part of itself.
const RISE_PART: f64 = 1.0 / 64.0;
/// At this price a cluster sheds no more: no place on earth is as far as that.
const PRICE_MAX_MS: f64 = 4000.0;
/// Where the world is short of capacity, clusters may be fuller by this part, and by one slot, than the fairest division makes them:
/// slots are not water.
const SLACK: f64 = 0.01;
/// After so many looks a parcel, on average, prices rise twice as fast: a world in ruins is divided in time, if not quite as well.
const PATIENCE: usize = 1;

/// An auction.
struct Auction<'a> {
    world: &'a World<'a>,
    settings: &'a Settings,
    ground: &'a mut Ground,
    prices_ms: &'a mut [f64],
    /// How full clusters must be at least; made when it is needed.
    levels: Option<Vec<f64>>,
    /// What the largest slot asks for.
    largest_slot: f64,
    /// Clusters that may be over their marks.
    queue: VecDeque<usize>,
    is_queued: Vec<bool>,
    /// Cluster by cluster: what parcels there offered.
    offers: Vec<BinaryHeap<Offer>>,
    /// By how much a price rises at least.
    rise_ms: f64,
    /// How many offers were looked at.
    looks: usize,
    /// After so many looks the rise doubles.
    patience: usize,
}

/// A parcel that would leave.
#[derive(Clone, Copy)]
struct Offer {
    /// What the other place costs it, price included, less what it costs here without: what it loses, and the price here.
    worth_ms: f64,
    parcel: u32,
    /// The parcel's moves when it offered: it is void after the next.
    moves: u32,
    to: u8,
}

/// Sheds until no cluster is over its mark that could shed. `prices_ms`: those of the last step, cluster by cluster; they become
/// those of this one.
pub(super) fn settle(world: &World<'_>, settings: &Settings, ground: &mut Ground, prices_ms: &mut [f64]) {
    let clusters = world.clusters().len();
    let patience = (ground.parcels.len() + 64) * PATIENCE;
    let queue = (0..clusters).collect();
    let mut auction = Auction {
        world,
        settings,
        largest_slot: ground.largest_slot(),
        ground,
        prices_ms,
        levels: None,
        queue,
        is_queued: vec![true; clusters],
        offers: (0..clusters).map(|_| BinaryHeap::new()).collect(),
        rise_ms: RISE_MS,
        looks: 0,
        patience,
    };
    for cluster in 0..clusters {
        // A price that the load does not bear any more falls to what it bears.
        let borne = auction.borne_ms(cluster);
        auction.prices_ms[cluster] = auction.prices_ms[cluster].min(borne).min(PRICE_MAX_MS / 4.0);
    }
    auction.place_forced();
    while let Some(cluster) = auction.queue.pop_front() {
        auction.is_queued[cluster] = false;
        auction.shed(cluster);
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
        for rank in list.nearest() {
            if best.is_some_and(|(_, least)| list.cost(rank) >= least) {
                break;
            }
            let open = self.world.clusters()[list.cluster(rank)].open(list.kind());
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
        if level <= marks.high() * (1.0 - SLACK) {
            return ramp * capacity;
        }
        (ramp * capacity).max(level * (1.0 + SLACK) * capacity + self.largest_slot)
    }

    /// The price at which a cluster may carry what it carries, at most infinite.
    fn borne_ms(&self, cluster: usize) -> f64 {
        let (marks, capacity) = (&self.settings.marks, self.world.clusters()[cluster].capacity());
        let used = self.ground.load[cluster] / capacity;
        match () {
            () if used <= marks.middle() => 0.0,
            () if used < marks.high() => RAMP_MS * (used - marks.middle()) / (marks.high() - marks.middle()),
            () => f64::INFINITY,
        }
    }

    /// Brings one cluster down to its mark, if enough can leave.
    fn shed(&mut self, cluster: usize) {
        let price = self.prices_ms[cluster];
        if price >= PRICE_MAX_MS || self.ground.load[cluster] <= self.limit(cluster, price) {
            return;
        }
        let mut offers = self.offers(cluster);
        let (mut last, mut left, mut waiting) = (None, Vec::new(), false);
        while let Some(offer) = offers.pop() {
            let Some(offer) = self.look(cluster, offer, &mut offers) else { continue };
            let asked = price + offer.loss_ms(price).max(0.0);
            let excess = self.ground.load[cluster] - self.limit(cluster, asked);
            if excess <= 0.0 || asked > PRICE_MAX_MS {
                offers.push(offer);
                break;
            }
            let parcel = self.ground.parcels[offer.parcel as usize];
            let count = self.ground.movable_now(self.world, &parcel);
            if count == 0 || waiting && parcel.bond == Bond::Free && parcel.at == parcel.from {
                // A later step is its turn, and nobody who loses more goes before it, but those who were not here before.
                waiting = true;
                left.push(offer);
                continue;
            }
            let count = fitting(count, excess, self.ground.per_slot(&parcel));
            if count == 0 {
                left.push(offer); // It is larger than the excess.
                continue;
            }
            self.ground.go(self.world, offer.parcel, count, offer.to);
            if count < parcel.slots.count_ones() {
                left.push(offer);
            }
            let to = self.world.lists()[parcel.list as usize].cluster(offer.to);
            if !self.is_queued[to] {
                self.is_queued[to] = true;
                self.queue.push_back(to);
            }
            last = Some(asked);
        }
        offers.extend(left);
        self.offers[cluster] = offers;
        // Those that come now see what those lost that left, and what the load bears.
        let risen = last.map_or(price, |last| last + self.rise_ms.max(last * RISE_PART));
        let borne = self.borne_ms(cluster).min(RAMP_MS);
        self.prices_ms[cluster] = risen.max(borne);
    }

    /// What parcels of a cluster offered when they were looked at last, and those that came since.
    fn offers(&mut self, cluster: usize) -> BinaryHeap<Offer> {
        let mut offers = std::mem::take(&mut self.offers[cluster]);
        let came = &mut self.ground.there[cluster];
        came.sort_unstable();
        came.dedup();
        for number in came.drain(..) {
            let moves = self.ground.parcels[number as usize].moves;
            offers.push(Offer { worth_ms: f64::NEG_INFINITY, parcel: number, moves, to: 0 });
        }
        offers
    }

    /// Looks at an offer anew. Prices only rise, so it can only have become dearer: if another is cheaper now, it goes back to the
    /// others. `None`: that, or it is void.
    fn look(&mut self, cluster: usize, offer: Offer, others: &mut BinaryHeap<Offer>) -> Option<Offer> {
        let parcel = &self.ground.parcels[offer.parcel as usize];
        let list = &self.world.lists()[parcel.list as usize];
        let is_there = parcel.moves == offer.moves && list.cluster(parcel.at) == cluster;
        if !is_there || self.ground.per_slot(parcel) <= 0.0 || self.ground.movable(self.world, parcel) == 0 {
            return None;
        }
        self.looks += 1;
        if self.looks.is_multiple_of(self.patience) {
            self.rise_ms *= 2.0;
        }
        let (to, cost) = self.best_but(parcel, parcel.at)?;
        let worth_ms = cost - self.ground.cost(list, parcel, parcel.at);
        let offer = Offer { worth_ms, to, ..offer };
        if others.peek().is_some_and(|other| *other > offer) {
            others.push(offer);
            return None;
        }
        Some(offer)
    }
}

impl Offer {
    /// What is lost by leaving a cluster of this price.
    fn loss_ms(&self, price_ms: f64) -> f64 {
        self.worth_ms - price_ms
    }
}

/// The cheapest is the greatest.
impl Ord for Offer {
    fn cmp(&self, other: &Offer) -> Ordering {
        let by_worth = other.worth_ms.total_cmp(&self.worth_ms);
        by_worth.then_with(|| (other.parcel, other.moves, other.to).cmp(&(self.parcel, self.moves, self.to)))
    }
}

impl PartialOrd for Offer {
    fn partial_cmp(&self, other: &Offer) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Offer {
    fn eq(&self, other: &Offer) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Offer {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterId;
    use crate::steering::balance::demand::Demand;
    use crate::steering::balance::world::{Cluster, List, Report};

    #[test]
    fn an_eighth_of_a_neighbours_clients_makes_room_at_once_for_those_of_the_dead_who_would_lose_more() {
        // Cluster 0 dies. Its clients would lose 200 ms at 2, those of 1 only 5.
        let ids = [ClusterId(0), ClusterId(1), ClusterId(2)];
        let others = [ids[1], ids[2], ids[0]];
        let lists = [
            List::new(&ids, &[1.0, 10.0, 210.0], 1.0, 0).unwrap(),
            List::new(&others, &[1.0, 6.0, 10.0], 1.0, 0).unwrap(),
        ];
        let (up, dead) = ([u64::MAX], [0]);
        let report = Some(Report { used: 0.9, age: std::time::Duration::ZERO });
        let clusters = [
            Cluster::new(100.0, &dead, None).unwrap(),
            Cluster::new(100.0, &up, report).unwrap(),
            Cluster::new(100.0, &up, report).unwrap(),
        ];
        let world = World::new(&lists, &clusters).unwrap();
        let (settings, mut ground) = (Settings::default(), Ground::default());
        let mut demand = Demand::new(&world, &settings, 0);
        demand.learn(&world, &[None, None], &settings, 0, std::time::Duration::ZERO);
        ground.lay(&world, &[None, None], &demand, &settings, 0);
        ground.let_leave(&[0.125; 3]);
        assert_eq!(ground.load, [0.0, 180.0, 0.0]);
        let mut prices_ms = [0.0; 3];
        settle(&world, &settings, &mut ground, &mut prices_ms);
        // To a slot.
        assert!(ground.load[1] <= 96.5 && ground.load[2] <= 96.5, "{:?}", ground.load);
        let at_home = ground.parcels.iter().filter(|parcel| parcel.list == 1 && parcel.at == 0);
        let at_home: u32 = at_home.map(|parcel| parcel.slots.count_ones()).sum();
        assert!((47..=49).contains(&at_home), "{at_home}: an eighth of 180 of 90");
        assert!(prices_ms[1] > 5.0 && prices_ms[0] == 0.0, "{prices_ms:?}");
    }
}
