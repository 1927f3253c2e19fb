//! Slots come back: to their own cluster, or at least nearer to it.

use super::ground::{Bond, Ground, fitting};
use super::settings::{STICK_MS, Settings};
use super::world::World;

use super::demand::Demand;

/// A parcel that would come nearer.
struct Wish {
    gain_ms: f64,
    parcel: u32,
    to: u8,
}

/// Lets slots come nearer where there is room, those that gain most first.
///
/// There is room up to the low mark; up to the middle one for those that come home after a death, whom no load sent away; and at home always
/// where nobody knows how full it is.
pub(super) fn come(world: &World<'_>, settings: &Settings, demand: &Demand, ground: &mut Ground) {
    let mut wishes = Vec::new();
    for (number, parcel) in (0..).zip(&ground.parcels) {
        if parcel.bond != Bond::Free || parcel.at <= parcel.first {
            continue;
        }
        let list = &world.lists()[parcel.list as usize];
        for to in parcel.first..parcel.at {
            let gain_ms = list.cost(parcel.at) - list.cost(to);
            let is_open = world.clusters()[list.cluster(to)].open(list.kind()) & parcel.slots != 0;
            if is_open && (to == parcel.first || gain_ms > STICK_MS) {
                wishes.push(Wish { gain_ms, parcel: number, to });
            }
        }
    }
    wishes.sort_by(|a, b| b.gain_ms.total_cmp(&a.gain_ms).then((a.parcel, a.to).cmp(&(b.parcel, b.to))));
    for Wish { parcel: number, to, .. } in wishes {
        let parcel = ground.parcels[number as usize];
        if parcel.at != parcel.from {
            continue; // A better wish was granted.
        }
        let cluster = world.lists()[parcel.list as usize].cluster(to);
        let (marks, for_good) = (&settings.marks, to == 0 && !demand.knows(cluster));
        let room = match () {
            () if for_good => f64::INFINITY,
            () if to == 0 && !parcel.shed => marks.middle(),
            () => marks.low(),
        };
        let room = room * world.clusters()[cluster].capacity() - ground.load[cluster];
        let may = if parcel.shed { ground.movable_now(world, &parcel) } else { parcel.slots.count_ones() };
        let count = fitting(may, room, ground.per_slot(&parcel));
        if count > 0 {
            let came = ground.go(world, number, count, to);
            if for_good {
                ground.parcels[came as usize].bond = Bond::Home;
            }
        }
    }
}
