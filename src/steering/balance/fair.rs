//! How full clusters must be where the world is short of capacity: as evenly as clients' lists allow.

use std::collections::BTreeMap;

use super::ground::Ground;
use super::world::World;

/// Rounds of levelling; each is nearer. It ends sooner where nothing changes by more than [`PRECISION`].
const ROUNDS: usize = 64;
/// Shares of capacity that make no difference.
const PRECISION: f64 = 1e-4;

/// Clients that may go to the same clusters.
struct Group {
    demand: f64,
    clusters: Vec<usize>,
    /// What each of `clusters` gets of it.
    given: Vec<f64>,
}

/// Cluster by cluster: the share of its capacity that is used when all that may move is divided so that the fullest cluster is as empty as it
/// can be, then the next, and so on (min-max fairness). What may not move stays.
///
/// Group by group, water is poured into the clusters that it can reach, with what the others poured left as it is, until that
/// changes no more: coordinate descent on the sum of load²/capacity, whose minimum is that division.
pub(super) fn levels(world: &World<'_>, ground: &Ground) -> Vec<f64> {
    let (mut load, mut groups) = grouped(world, ground);
    let capacity: Vec<f64> = world.clusters().iter().map(|cluster| cluster.capacity()).collect();
    let mut order = Vec::new();
    for _ in 0..ROUNDS {
        let mut change: f64 = 0.0;
        for group in &mut groups {
            for (&cluster, given) in group.clusters.iter().zip(&group.given) {
                load[cluster] -= given;
            }
            let level = level(group, &load, &capacity, &mut order);
            for (&cluster, given) in group.clusters.iter().zip(&mut group.given) {
                let poured = (level * capacity[cluster] - load[cluster]).max(0.0);
                change = change.max((poured - *given).abs() / capacity[cluster]);
                *given = poured;
                load[cluster] += poured;
            }
        }
        if change < PRECISION {
            break;
        }
    }
    load.iter().zip(&capacity).map(|(load, capacity)| load / capacity).collect()
}

/// The level to which a group's demand fills its clusters above what they carry already.
fn level(group: &Group, load: &[f64], capacity: &[f64], order: &mut Vec<(f64, usize)>) -> f64 {
    order.clear();
    order.extend(group.clusters.iter().map(|&cluster| (load[cluster] / capacity[cluster], cluster)));
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut carried, mut room, mut level) = (0.0, 0.0, 0.0);
    for &(filled, cluster) in &*order {
        if room > 0.0 && level <= filled {
            break;
        }
        carried += load[cluster];
        room += capacity[cluster];
        level = (group.demand + carried) / room;
    }
    level
}

/// What stays where it is, cluster by cluster, and what may move, by where it may go.
fn grouped(world: &World<'_>, ground: &Ground) -> (Vec<f64>, Vec<Group>) {
    let mut load = vec![0.0; world.clusters().len()];
    let mut groups: BTreeMap<Vec<u64>, f64> = BTreeMap::new();
    let mut set = vec![0; world.clusters().len().div_ceil(64)];
    for parcel in &ground.parcels {
        let list = &world.lists()[parcel.list as usize];
        let demand = ground.demand(parcel);
        let (stays, cluster) = (demand * (1.0 - ground.loose(world, parcel)), list.cluster(parcel.at));
        load[cluster] += stays;
        let demand = demand - stays;
        if demand <= 0.0 {
            continue;
        }
        set.fill(0);
        for id in list.clusters() {
            let cluster = usize::from(id.0);
            if world.clusters()[cluster].open(list.kind()) & parcel.slots != 0 {
                set[cluster / 64] |= 1 << (cluster % 64);
            }
        }
        match groups.get_mut(set.as_slice()) {
            Some(sum) => *sum += demand,
            None => drop(groups.insert(set.clone(), demand)),
        }
    }
    let group = |(set, demand): (Vec<u64>, f64)| {
        let clusters: Vec<usize> =
            (0..load.len()).filter(|cluster| set[cluster / 64] >> (cluster % 64) & 1 == 1).collect();
        Group { demand, given: vec![0.0; clusters.len()], clusters }
    };
    let groups = groups.into_iter().map(group).collect();
    (load, groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterId;
    use crate::steering::balance::demand::Demand;
    use crate::steering::balance::settings::Settings;
    use crate::steering::balance::world::{Cluster, List};

    #[test]
    fn water_stands_alike_where_it_can_flow() {
        // Clients of 60 whose cluster is dead may go to both others, 30 to the second alone. Those carry nobody yet.
        let ids = [ClusterId(0), ClusterId(1), ClusterId(2)];
        let second = [ids[0], ids[2]];
        let lists = [
            List::new(&ids, &[1.0, 2.0, 3.0], 2.0, 0).unwrap(),
            List::new(&second, &[1.0, 2.0], 1.0, 0).unwrap(),
        ];
        let cluster = |capacity, open| Cluster::new(capacity, open, None).unwrap();
        let (up, dead) = ([u64::MAX], [0]);
        let of = |capacities: [f64; 2]| {
            let clusters = [
                cluster(150.0 - capacities[0] - capacities[1], &dead),
                cluster(capacities[0], &up),
                cluster(capacities[1], &up),
            ];
            let world = World::new(&lists, &clusters).unwrap();
            let (settings, mut ground) = (Settings::default(), Ground::default());
            let demand = Demand::new(&world, &settings, 0);
            ground.lay(&world, &[None, None], &demand, &settings, 0);
            levels(&world, &ground)
        };
        let near = |level: f64, other: f64| (level - other).abs() < 1e-3;
        let levels = of([30.0, 60.0]);
        assert!(near(levels[1], 1.0) && near(levels[2], 1.0), "{levels:?}");
        let levels = of([90.0, 10.0]);
        assert!(
            near(levels[1], 60.0 / 90.0) && near(levels[2], 3.0),
            "30 have nowhere else to go: {levels:?}"
        );
    }
}
