//! Slots come nearer: home, or at least to where it costs them less; and away from home where that is farther today than another.

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

/// Lets slots come nearer, by what clusters cost today, where there is room, those that gain most first.
///
/// There is room up to the low mark; up to the middle one for those that come home whom no load sent away; and at home always
/// where nobody knows how full it is. Whoever leaves home because its way is worse than usual is a stranger like any other.
pub(super) fn come(world: &World<'_>, settings: &Settings, demand: &Demand, ground: &mut Ground) {
    let mut wishes = Vec::new();
    for (number, parcel) in (0..).zip(&ground.parcels) {
        let list = &world.lists()[parcel.list as usize];
        let is_nearest = list.is_as_always() && parcel.at <= parcel.first;
        if is_nearest || !matches!(parcel.bond, Bond::Free | Bond::Home) {
            continue;
        }
        for to in list.nearest().filter(|to| *to != parcel.at) {
            let gain_ms = list.cost(parcel.at) - list.cost(to);
            if gain_ms < 0.0 {
                break;
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterId;
    use crate::steering::balance::life::Life;
    use crate::steering::balance::world::{Cluster, List};

    const IDS: [ClusterId; 2] = [ClusterId(0), ClusterId(1)];

    /// One list of 60, at home at the first of two clusters of 50 each; who comes nearer in a step on a day of such costs.
    fn come_on(life: Option<Life>, today: [f32; 2], now_ms: u64) -> [f64; 2] {
        let order: [u8; 2] = if today[0] <= today[1] { [0, 1] } else { [1, 0] };
        let lists = [List::new(&IDS, &[10.0, 30.0], 1.0, 0).unwrap().today(&today, &order).unwrap()];
        let clusters = [Cluster::new(50.0, &[u64::MAX], None).unwrap(); 2];
        let world = World::new(&lists, &clusters).unwrap();
        let (settings, mut ground) = (Settings::default(), Ground::default());
        let demand = Demand::new(&world, &settings, 0);
        ground.lay(&world, &[life.map(Box::new)], &demand, &settings, now_ms);
        ground.let_leave(&[0.125; 2]);
        come(&world, &settings, &demand, &mut ground);
        [ground.load[0], ground.load[1]]
    }

    #[test]
    fn a_worse_way_sends_as_many_away_as_find_room() {
        let slot = 60.0 / 64.0;
        let left = come_on(None, [60.0, 30.0], 0);
        assert!(left[1] <= 0.8 * 50.0 && left[1] > 0.8 * 50.0 - slot, "{left:?}");
        assert_eq!(come_on(None, [34.0, 30.0], 0), [60.0, 0.0], "for 4 ms nobody moves");
    }

    #[test]
    fn they_come_home_when_it_is_no_farther_and_their_hold_is_over() {
        let mut life = Life::new();
        life.go(0xffff, 1, 10_000);
        let away = 60.0 / 4.0;
        assert_eq!(come_on(Some(life.clone()), [31.0, 30.0], 90_000), [60.0 - away, away]);
        assert_eq!(come_on(Some(life.clone()), [10.0, 30.0], 60_000), [60.0 - away, away], "held");
        assert_eq!(come_on(Some(life), [30.0, 30.0], 90_000), [60.0, 0.0]);
    }
}
