//! What a step of the balance takes, in ms: 10,000 lists of 100 clusters. `cargo bench --bench balance [lists] [clusters]`.
#![allow(clippy::disallowed_methods, reason = "a bench takes the time")]
#![allow(clippy::unwrap_used, reason = "a bench may")]
#![allow(unreachable_pub, dead_code, reason = "tests use more of it")]

#[path = "../tests/support/dice.rs"]
mod dice;
#[path = "../tests/balance/worlds.rs"]
mod worlds;

use std::time::{Duration, Instant};

use dice::Dice;
use steerdns::steering::balance::settings::Settings;
use steerdns::steering::balance::steps::Balance;
use steerdns::steering::balance::table::Summary;
use worlds::Made;

fn main() {
    let mut sizes = std::env::args().skip(1).filter_map(|arg| arg.parse().ok());
    let (lists, clusters) = (sizes.next().unwrap_or(10_000), sizes.next().unwrap_or(100));
    println!(
        "{lists} lists of {clusters} clusters; ms a step: first, median and most of 60; slots moved; clusters short; ms added for each client"
    );
    for used in [0.4, 0.6, 0.8, 1.0] {
        for dead in [0, 1, clusters / 10, clusters / 3] {
            round(lists, clusters, used, dead);
        }
    }
}

/// A world at so much of its capacity settles; then clusters die.
fn round(lists: usize, clusters: usize, used: f64, dead: usize) {
    let mut made = Made::random(&mut Dice::new(7), lists, clusters, 0);
    let per_weight = used * made.capacity() / made.weight();
    let per_slot: Vec<f64> = made.lists.iter().map(|list| list.weight * per_weight / 64.0).collect();
    let mut balance = Balance::new(Settings { assumed: used, ..Settings::default() });
    let mut took = Vec::new();
    let (mut moved, mut short) = (0, 0);
    if dead > 0 {
        for _ in 0..240 {
            step(&mut made, &mut balance, &per_slot);
        }
        // A region: the leftmost.
        let mut by_place: Vec<usize> = (0..clusters).collect();
        by_place.sort_by(|a, b| made.points[*a][0].total_cmp(&made.points[*b][0]));
        by_place[..dead].iter().for_each(|&cluster| made.set_up(cluster, false));
    }
    for _ in 0..60 {
        let (time, summary) = step(&mut made, &mut balance, &per_slot);
        took.push(time.as_secs_f64() * 1e3);
        moved += summary.moved;
        short = summary.clusters.iter().filter(|share| share.assigned > share.capacity * 1.001).count();
    }
    let (mut added, mut all) = (0.0, 0.0);
    for (list, per_slot) in per_slot.iter().enumerate() {
        for slot in 0..64 {
            let first = (0..clusters).find(|&rank| made.is_open(list, rank, slot)).unwrap();
            let rank = made.chosen(balance.table(), list, slot).unwrap();
            let costs = &made.lists[list].costs_ms;
            added += per_slot * f64::from(costs[rank] - costs[first]);
            all += per_slot;
        }
    }
    let first = took[0];
    took.sort_by(f64::total_cmp);
    println!(
        "{:3.0} % used, {dead:3} dead: {first:7.2} {:7.2} {:7.2}; {moved:7} {short:3} {:6.2}",
        used * 100.0,
        took[30],
        took[59],
        added / all
    );
}

fn step(made: &mut Made, balance: &mut Balance, per_slot: &[f64]) -> (Duration, Summary) {
    let loads = made.loads(balance.table(), |list| per_slot[list]);
    made.report(&loads);
    made.told(|world| {
        let start = Instant::now();
        let summary = balance.step(world, Duration::from_secs(1));
        (start.elapsed(), summary)
    })
}
