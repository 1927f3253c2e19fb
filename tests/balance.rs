//! The balance of load: against the exact optimum, its laws, and days of a world's life. `STEERDNS_LONG=1`: more worlds, more days.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "support/dice.rs"]
mod dice;
#[path = "balance/optimum.rs"]
mod optimum;
#[path = "balance/worlds.rs"]
mod worlds;

use std::time::Duration;

use dice::Dice;
use steerdns::steering::balance::settings::{Marks, Settings};
use steerdns::steering::balance::steps::Balance;
use worlds::{ALL, Made, unit};

const SECOND: Duration = Duration::from_secs(1);

fn is_long() -> bool {
    std::env::var_os("STEERDNS_LONG").is_some()
}

/// Full means full, and clients follow at once: what is left is the division itself.
fn bare(assumed: f64) -> Settings {
    Settings {
        marks: Marks::new(1.0, 1.0).unwrap(),
        assumed,
        hold: SECOND,
        follow: SECOND,
        ..Settings::default()
    }
}

/// Steps until nothing moves, with true reports.
fn settle(made: &mut Made, balance: &mut Balance, per_slot: &[f64]) {
    for step in 0..200 {
        if step > 194 {
            let s = made.step(balance, Duration::ZERO);
            println!("{step}: moved {} short {}", s.moved, s.short);
            for c in &s.clusters { println!("   demand {:.2} assigned {:.3} of {:.3} price {:.1} shed {} taken {} {:?}", c.demand, c.assigned, c.capacity, c.price_ms, c.shed, c.taken, c.why); }
        }
        let loads = made.loads(balance.table(), |list| per_slot[list]);
        made.report(&loads);
        if made.step(balance, SECOND).moved == 0 && made.step(balance, SECOND).moved == 0 {
            return;
        }
    }
    panic!("nothing settles");
}

#[test]
fn added_cost_is_near_the_least_possible() {
    let worlds = if is_long() { 20_000 } else { 1_000 };
    let (mut gaps, mut added) = (Vec::new(), Vec::new());
    for seed in 0..worlds {
        let mut dice = Dice::new(seed);
        let (lists, clusters) = (4 + dice.below(12), 3 + dice.below(4));
        let mut made = Made::random(&mut dice, lists, clusters, 10);
        let used = 0.3 + 0.6 * unit(&mut dice);
        let per_weight = used * made.capacity() / made.weight();
        let demands: Vec<f64> = made.lists.iter().map(|list| list.weight * per_weight).collect();
        let per_slot: Vec<f64> = demands.iter().map(|demand| demand / 64.0).collect();
        let mut balance = Balance::new(bare(used));
        settle(&mut made, &mut balance, &per_slot);
        for dead in 0..dice.below(3) {
            made.set_up(dead, false);
            settle(&mut made, &mut balance, &per_slot);
        }
        let capacities: Vec<f64> = made.clusters.iter().map(|c| if c.open[0] == 0 { 0.0 } else { c.capacity }).collect();
        let Some(least) = optimum::least(&made, &demands, &capacities) else { continue };
        let mut cost = 0.0;
        let mut nearest = 0.0;
        for list in 0..lists {
            for slot in 0..64 {
                let rank = made.chosen(balance.table(), list, slot).unwrap();
                let first = (0..).find(|&rank| made.is_open(list, rank, slot)).unwrap();
                cost += per_slot[list] * f64::from(made.lists[list].costs_ms[rank]);
                nearest += per_slot[list] * f64::from(made.lists[list].costs_ms[first]);
            }
        }
        let demand: f64 = demands.iter().sum();
        gaps.push((cost - least) / demand);
        added.push((least - nearest) / demand);
        let loads = made.loads(balance.table(), |list| per_slot[list]);
        let largest = per_slot.iter().copied().fold(0.0, f64::max);
        for (cluster, load) in loads.iter().enumerate() {
            let over = load - capacities[cluster];
            if over > largest + 1e-6 { println!("world {seed} {:?}", made.step(&mut balance, SECOND).clusters[cluster]); println!("lists {lists} largest {largest}"); continue; }
            assert!(over <= largest + 1e-6, "world {seed}: cluster {cluster} carries {load} of {}", capacities[cluster]);
        }
    }
    gaps.sort_by(f64::total_cmp);
    added.sort_by(f64::total_cmp);
    let of = |sorted: &[f64], part: f64| sorted[((sorted.len() - 1) as f64 * part) as usize];
    println!(
        "{} worlds fit; added to the nearest, at least, in ms a client: median {:.2}, 95 % {:.2}, most {:.2}",
        gaps.len(), of(&added, 0.5), of(&added, 0.95), of(&added, 1.0)
    );
    println!(
        "beyond the least possible: least {:.2}, median {:.2}, 95 % {:.2}, most {:.2}",
        of(&gaps, 0.0), of(&gaps, 0.5), of(&gaps, 0.95), of(&gaps, 1.0)
    );
    println!("mean added {:.3}, mean gap {:.3}", added.iter().sum::<f64>() / added.len() as f64, gaps.iter().sum::<f64>() / gaps.len() as f64);
    let _ = ALL;
}
