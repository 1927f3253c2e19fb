//! The balance of load: against the exact optimum, its laws, and days of a world's life. `STEERDNS_LONG=1`: more worlds, more days.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(unreachable_pub, dead_code, reason = "a bench and other tests use the same parts")]

#[path = "support/dice.rs"]
mod dice;
#[path = "balance/life.rs"]
mod life;
#[path = "balance/optimum.rs"]
mod optimum;
#[path = "balance/worlds.rs"]
mod worlds;

use std::time::Duration;

use dice::Dice;
use life::Life;
use proptest::prelude::*;
use steerdns::cluster::ClusterId;
use steerdns::steering::balance::settings::{Marks, Settings};
use steerdns::steering::balance::steps::Balance;
use steerdns::steering::balance::world::Report;
use worlds::{Made, MadeCluster, MadeList, unit};

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

/// Steps until nothing moves, with true reports; false if that never comes.
fn settle(made: &mut Made, balance: &mut Balance, per_slot: &[f64]) -> bool {
    for _ in 0..200 {
        let loads = made.loads(balance.table(), |list| per_slot[list]);
        made.report(&loads);
        if made.step(balance, SECOND).moved == 0 && made.step(balance, SECOND).moved == 0 {
            return true;
        }
    }
    false
}

/// What its clients' place costs a world, in ms a client, and what the first that is open to each would.
fn costs(made: &Made, balance: &Balance, per_slot: &[f64]) -> (f64, f64) {
    let (mut cost, mut nearest) = (0.0, 0.0);
    for (list, per_slot) in per_slot.iter().enumerate() {
        for slot in 0..64 {
            let rank = made.chosen(balance.table(), list, slot).unwrap();
            let first = (0..).find(|&rank| made.is_open(list, rank, slot)).unwrap();
            cost += per_slot * f64::from(made.lists[list].costs_ms[rank]);
            nearest += per_slot * f64::from(made.lists[list].costs_ms[first]);
        }
    }
    let demand: f64 = per_slot.iter().sum::<f64>() * 64.0;
    (cost / demand, nearest / demand)
}

#[test]
fn added_cost_is_near_the_least_possible_and_nobody_is_overloaded() {
    let worlds = if is_long() { 20_000 } else { 2_000 };
    let (mut gaps, mut added, mut kept, mut unsettled) = (Vec::new(), Vec::new(), 0, 0);
    for seed in 0..worlds {
        let mut dice = Dice::new(seed);
        let (lists, clusters) = (4 + dice.below(12), 3 + dice.below(4));
        let mut made = Made::random(&mut dice, lists, clusters, 10);
        let used = 0.3 + 0.6 * unit(&mut dice);
        let per_weight = used * made.capacity() / made.weight();
        let per_slot: Vec<f64> = made.lists.iter().map(|list| list.weight * per_weight / 64.0).collect();
        let mut balance = Balance::new(bare(used));
        let mut settles = settle(&mut made, &mut balance, &per_slot);
        for dead in 0..1 + dice.below(2) {
            made.set_up(dead, false);
            settles &= settle(&mut made, &mut balance, &per_slot);
        }
        if !settles {
            unsettled += 1;
            continue;
        }
        let carries = |cluster: &MadeCluster| if cluster.open[0] == 0 { 0.0 } else { cluster.capacity };
        let capacities: Vec<f64> = made.clusters.iter().map(carries).collect();
        let demands: Vec<f64> = per_slot.iter().map(|per_slot| per_slot * 64.0).collect();
        let Some(least) = optimum::least(&made, &demands, &capacities) else { continue };
        let least = least / demands.iter().sum::<f64>();
        let (cost, nearest) = costs(&made, &balance, &per_slot);
        let loads = made.loads(balance.table(), |list| per_slot[list]);
        let largest = per_slot.iter().copied().fold(0.0, f64::max);
        for (load, capacity) in loads.iter().zip(&capacities) {
            // In a world that is all but full, clusters may be over by a hundredth and two slots.
            let over = load - capacity;
            let near = 2.0 * largest + 0.02 * capacity;
            // Each keeps a quarter of its own clients, even where strangers have nowhere else to go.
            let keeps = 0.25 * demands.iter().sum::<f64>();
            assert!(over <= near + keeps, "world {seed}: {load} of {capacity}");
            kept += u64::from(over > near);
        }
        if least - nearest > 0.01 {
            gaps.push(cost - least);
            added.push(least - nearest);
        }
    }
    // In a world that is full to the last slot, some slots may go round, once in each hold.
    assert!(unsettled * 1000 <= worlds, "{unsettled} worlds do not settle");
    assert!(kept * 200 < worlds, "{kept} clusters are over because of what they keep");
    assert!(
        gaps.len() as u64 > worlds / 4,
        "{} worlds whose clients do not fit where they are nearest",
        gaps.len()
    );
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let (mean_gap, mean_added) = (mean(&gaps), mean(&added));
    gaps.sort_by(f64::total_cmp);
    let part = |part: f64| gaps[((gaps.len() - 1) as f64 * part) as usize];
    let (median, most_of, most) = (part(0.5), part(0.95), part(1.0));
    println!(
        "{} worlds must send clients farther, by {mean_added:.2} ms a client at the least; beyond that: mean {mean_gap:.2}, \
         median {median:.2}, 95 % {most_of:.2}, most {most:.2}",
        gaps.len()
    );
    assert!(median < 0.5 && most_of < 8.0 && mean_gap < 0.2 * mean_added, "{median} {most_of} {mean_gap}");
}

/// How a time went.
#[derive(Debug, Default)]
struct Seen {
    /// Clusters × steps that were over their capacity.
    over: usize,
    /// The same if all clients had followed the table.
    over_by_table: usize,
    /// How full the fullest cluster was.
    fullest: f64,
    /// How far the world was short at most.
    short: f64,
}

/// Lives on for so many seconds.
fn live(life: &mut Life, seconds: u64) -> Seen {
    let mut seen = Seen::default();
    let end_s = life.now_s + seconds;
    while life.now_s < end_s {
        life.step();
        let (loads, by_table) = (life.loads(), life.by_table());
        for (cluster, of) in life.made.clusters.iter().enumerate() {
            seen.fullest = seen.fullest.max(loads[cluster] / of.capacity);
            seen.over += usize::from(loads[cluster] > of.capacity);
            seen.over_by_table += usize::from(by_table[cluster] > of.capacity);
        }
        seen.short = seen.short.max(life.last.short);
    }
    seen
}

/// Six clusters and forty lists; some minutes have passed.
fn a_life(seed: u64, used: f64, night: f64) -> Life {
    let made = Made::random(&mut Dice::new(seed), 40, 6, 0);
    let mut life = Life::new(made, Settings::default(), used, night, 20.0);
    live(&mut life, 900);
    life
}

#[test]
fn days_of_sun_and_night_fill_nobody_and_nobody_moves_twice_within_the_hold() {
    let (worlds, days) = if is_long() { (4, 2) } else { (1, 1) };
    let mut by_choice = 0;
    for seed in 0..worlds {
        let mut life = a_life(seed, 0.85, 0.3);
        life.step_s = if is_long() { 1 } else { 10 };
        let seen = live(&mut life, days * 86_400);
        println!("world {seed}: {seen:?}, {} moves by choice", life.by_choice);
        assert_eq!((life.restless, seen.over, seen.over_by_table), (0, 0, 0), "world {seed}: {seen:?}");
        by_choice += life.by_choice;
    }
    assert!(by_choice > 0, "the sun moves somebody");
}

#[test]
fn a_cut_cable_fills_nobody_while_there_is_room_and_all_come_home_when_it_is_mended() {
    let mut fitting = 0;
    for seed in 0..if is_long() { 40 } else { 5 } {
        let mut life = a_life(seed, 0.55, 0.9);
        life.made.set_up(0, false);
        life.made.set_up(1, false);
        let (cut, then) = (live(&mut life, 300), live(&mut life, 600));
        let room: f64 = life.made.clusters[2..].iter().map(|cluster| cluster.capacity).sum();
        let used = life.loads().iter().sum::<f64>() / room;
        println!("world {seed}: {used:.2} of what is left; {cut:?}, then {then:?}");
        assert_eq!(life.restless, 0, "world {seed}");
        if used < 0.93 {
            fitting += 1;
            assert_eq!(then.over, 0, "world {seed}: {then:?}");
        }
        (0..2).for_each(|cluster| life.made.set_up(cluster, true));
        live(&mut life, 900);
        let away: u32 = life.last.clusters[..2].iter().map(|share| share.shed).sum();
        let full = life.last.clusters[..2].iter().any(|share| share.assigned > 0.75 * share.capacity);
        assert!(away == 0 || full, "world {seed}: {away} slots are still away");
    }
    assert!(fitting > 2, "{fitting}");
}

#[test]
fn a_flapping_cluster_moves_a_slot_by_choice_no_more_than_once_a_hold() {
    let mut life = a_life(5, 0.6, 0.9);
    for round in 0..60 {
        life.made.set_up(round % 2, round % 4 < 2);
        live(&mut life, 25);
    }
    assert_eq!(life.restless, 0);
    assert!(life.by_choice > 0, "they come home between deaths");
}

#[test]
fn a_liar_empties_no_region_and_overloads_no_other() {
    for (lie, keeps) in [(10.0, 0.15), (3.0, 0.15), (0.0, 0.99)] {
        let mut life = a_life(3, 0.5, 0.9);
        let honest = life.by_table()[2];
        life.lies[2] = Some(lie);
        let first = live(&mut life, 10);
        let at_once = life.by_table()[2] / honest;
        let seen = live(&mut life, 1800);
        let at_last = life.by_table()[2] / honest;
        println!(
            "says {lie}: {at_once:.2} of its load is left at first, {at_last:.2} at last; {first:?} {seen:?}"
        );
        assert!(at_once > 0.8 && at_last > keeps, "{lie}: {at_once} {at_last}");
        assert_eq!((first.over, seen.over, life.restless), (0, 0, 0), "{lie}: {seen:?}");
    }
}

#[test]
fn a_lie_of_half_an_hour_is_forgotten_soon_after() {
    for lie in [10.0, 3.0, 0.0] {
        let mut life = a_life(3, 0.5, 0.9);
        let honest = life.by_table()[2];
        life.lies[2] = Some(lie);
        live(&mut life, 1800);
        life.lies[2] = None;
        let soon = live(&mut life, 600);
        let then = live(&mut life, 600);
        let at_last = life.by_table()[2] / honest;
        println!("says {lie} for half an hour: then {soon:?}, {then:?}, {at_last:.2} of its load");
        assert_eq!((soon.over, then.over, life.restless), (0, 0, 0), "{lie}");
        assert_eq!(then.short, 0.0, "{lie}: nobody is short of anything");
        assert!(at_last > 0.97, "{lie}: {at_last}");
    }
}

#[test]
fn a_flapping_node_moves_a_slot_by_choice_no_more_than_once_a_hold_and_fills_nobody() {
    let mut life = a_life(7, 0.6, 0.9);
    let mut over = 0;
    for round in 0..80 {
        // Half of a cluster is there, or all of it.
        life.made.clusters[1].share = if round % 2 == 0 { 0.5 } else { 1.0 };
        let seen = live(&mut life, if round % 8 == 0 { 200 } else { 25 });
        over += seen.over_by_table;
    }
    life.made.clusters[1].share = 1.0;
    live(&mut life, 900);
    println!("{} moves by choice, {over} seconds over capacity", life.by_choice);
    assert_eq!(life.restless, 0);
    let away: u32 = life.last.clusters.iter().map(|share| share.shed).sum();
    assert!(
        away == 0 || life.last.clusters.iter().any(|share| share.assigned > 0.75 * share.capacity),
        "{away}"
    );
}

#[test]
fn one_wild_report_moves_few_and_they_come_back() {
    let mut life = a_life(4, 0.6, 0.9);
    let honest = life.by_table();
    life.lies[1] = Some(9.9);
    live(&mut life, 10);
    life.lies[1] = None;
    let wild = life.by_table()[1];
    live(&mut life, 900);
    let after = life.by_table()[1];
    println!("{wild} of {} after one report; {after} in the end", honest[1]);
    assert!(wild > 0.75 * honest[1], "{wild} of {}", honest[1]);
    assert!(after > 0.97 * honest[1], "{after} of {}", honest[1]);
}

#[test]
fn clients_that_follow_slowly_make_it_err_but_not_swing() {
    // They stay connected ten times as long as the settings say.
    let made = Made::random(&mut Dice::new(6), 40, 6, 0);
    let mut life = Life::new(made, Settings::default(), 0.8, 0.9, 300.0);
    live(&mut life, 3600);
    let before = life.by_choice;
    life.peaks.iter_mut().zip(&life.made.lists).for_each(|(peak, list)| {
        *peak *= if list.clusters[0].0 == 1 { 1.6 } else { 1.0 };
    });
    live(&mut life, 3600);
    let settled = life.by_choice;
    let seen = live(&mut life, 3600);
    println!(
        "{} moves after the surge, {} in the next hour; {seen:?}",
        settled - before,
        life.by_choice - settled
    );
    assert_eq!((seen.over, life.restless), (0, 0), "{seen:?}");
    assert!(life.by_choice - settled <= (settled - before) / 2, "it swings");
}

/// What is told of a cluster: its capacity, what its masks are made of, what it reports.
type Told = (f64, u64, u8, Option<f64>);

fn told() -> impl Strategy<Value = Told> {
    (
        1.0..50.0f64,
        any::<u64>(),
        0..6u8,
        prop::option::of(prop_oneof![0.0..3.0f64, Just(f64::NAN), Just(-1.0), Just(1e9)]),
    )
}

/// A world of two kinds of pools, as a step is told of it.
fn tell(made: &mut Made, told: &[Told]) {
    for (cluster, &(capacity, mask, how, used)) in made.clusters.iter_mut().zip(told) {
        cluster.capacity = capacity;
        cluster.open = match how {
            0 => vec![0, 0],
            1 => vec![mask, u64::MAX],
            2 => vec![u64::MAX, 0],
            _ => vec![u64::MAX, u64::MAX],
        };
        cluster.report = used.map(|used| Report { used, age: Duration::from_secs(u64::from(how)) });
    }
}

fn two_kinds(seed: u64, lists: usize, clusters: usize) -> Made {
    let mut made = Made::random(&mut Dice::new(seed), lists, clusters, 30);
    made.lists.iter_mut().skip(1).step_by(2).for_each(|list| list.kind = 1);
    made
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if is_long() { 1_000 } else { 64 }, ..ProptestConfig::default() })]

    // Whatever is told: all slots are where they may be, if there is such a place; two that are told the same say the same; what the
    // summary says of loads adds up.
    #[test]
    fn every_slot_has_an_open_cluster_and_equals_say_the_same(
        seed in any::<u64>(),
        lists in 1..12usize,
        steps in prop::collection::vec((prop::collection::vec(told(), 5), 0..100_000u64), 1..12),
    ) {
        let mut made = two_kinds(seed, lists, 5);
        let (mut one, mut other) = (Balance::new(Settings::default()), Balance::new(Settings::default()));
        for (told, elapsed_ms) in steps {
            tell(&mut made, &told);
            let elapsed = Duration::from_millis(elapsed_ms);
            let summary = made.step(&mut one, elapsed);
            prop_assert_eq!(&summary, &made.step(&mut other, elapsed));
            prop_assert_eq!(one.table(), other.table());
            prop_assert!(summary.short.is_finite());
            for list in 0..lists {
                for slot in 0..64 {
                    let first = usize::from(one.table().first(list, slot));
                    if let Some(chosen) = made.chosen(one.table(), list, slot) {
                        prop_assert_eq!(chosen, first, "list {} slot {}", list, slot);
                    }
                }
            }
        }
    }

    // Without reports nobody moves whose own cluster is open, whoever else dies, and however full it may be.
    #[test]
    fn without_reports_nobody_moves_who_need_not(
        seed in any::<u64>(),
        deaths in prop::collection::vec(prop::collection::vec(any::<bool>(), 6), 1..6),
    ) {
        let mut made = Made::random(&mut Dice::new(seed), 12, 6, 20);
        let mut balance = Balance::new(Settings::default());
        let far = Duration::from_secs(120);
        for up in deaths {
            let before = balance.table().clone();
            up.iter().enumerate().for_each(|(cluster, &is_up)| made.set_up(cluster, is_up));
            made.step(&mut balance, far);
            for list in 0..12 {
                for slot in 0..64 {
                    if made.is_open(list, 0, slot) && before.first(list, slot) == 0 {
                        prop_assert_eq!(balance.table().first(list, slot), 0);
                    }
                }
            }
        }
        // When all are back, so is everybody.
        (0..6).for_each(|cluster| made.set_up(cluster, true));
        made.step(&mut balance, far);
        prop_assert_eq!(balance.table().touched(), 0);
    }

    // The more is asked of a cluster, the more slots are away: those that leave for less are among those that leave for more.
    #[test]
    fn who_leaves_for_little_load_leaves_for_more(seed in any::<u64>(), less in 0.9..1.6f64, more in 0.0..0.5f64) {
        let (few, many) = (away_from_hot(seed, less), away_from_hot(seed, less + more));
        // What is left of an excess goes in slots that are small enough: the grain is a largest slot.
        let weights: Vec<f64> = Made::random(&mut Dice::new(seed), 10, 3, 0).lists.iter().map(|list| list.weight).collect();
        let lost = few.iter().zip(&many).map(|(few, many)| f64::from((few & !many).count_ones()));
        let lost: f64 = lost.zip(&weights).map(|(slots, weight)| slots * weight).sum();
        let grain = weights.iter().copied().fold(0.0, f64::max);
        prop_assert!(lost <= 2.0 * grain, "{} of {} came back: {:x?}, {:x?}", lost, grain, few, many);
    }
}

/// The slots of each list that are not at home where one cluster is asked for `used` times what it can carry, and others have room.
fn away_from_hot(seed: u64, used: f64) -> Vec<u64> {
    let mut made = Made::random(&mut Dice::new(seed), 10, 3, 0);
    let hot: f64 = made.lists.iter().filter(|list| list.clusters[0].0 == 0).map(|list| list.weight).sum();
    let capacity = [hot.max(1.0) / used, 1000.0, 1000.0];
    made.clusters.iter_mut().zip(capacity).for_each(|(cluster, capacity)| cluster.capacity = capacity);
    // Each weight asks for as much.
    let mut balance = Balance::new(bare(made.weight() / made.capacity()));
    for _ in 0..100 {
        let loads = made.loads(balance.table(), |list| made.lists[list].weight / 64.0);
        made.report(&loads);
        made.step(&mut balance, SECOND);
    }
    let is_away = |list: usize, slot: u8| balance.table().first(list, slot) != 0;
    let away = |list| (0..64).filter(|&slot| is_away(list, slot)).fold(0, |all, slot| all | 1 << slot);
    (0..10).map(away).collect()
}

#[test]
fn a_dead_region_does_not_melt_its_neighbour() {
    // gdnsd#126: three clusters, the middle one dies; its clients are nearest to the left one, which cannot take them all.
    let list = |order: [u16; 3], costs: [f32; 3], weight: f64| MadeList {
        clusters: order.map(ClusterId).into(),
        costs_ms: costs.into(),
        weight,
        kind: 0,
    };
    let lists = vec![
        list([0, 1, 2], [5.0, 20.0, 80.0], 60.0),
        list([1, 0, 2], [5.0, 20.0, 25.0], 60.0),
        list([1, 0, 2], [5.0, 20.0, 90.0], 20.0),
        list([2, 1, 0], [5.0, 25.0, 80.0], 60.0),
    ];
    let cluster = MadeCluster { capacity: 120.0, share: 1.0, open: vec![u64::MAX], report: None };
    let mut made = Made { points: Vec::new(), lists, clusters: vec![cluster; 3] };
    let mut balance = Balance::new(Settings { assumed: 200.0 / 360.0, ..Settings::default() });
    assert_eq!(made.step(&mut balance, SECOND).moved, 0);
    made.set_up(1, false);
    let summary = made.step(&mut balance, SECOND);
    let assigned: Vec<f64> = summary.clusters.iter().map(|share| share.assigned).collect();
    // All would have gone to the left: 140 of 120.
    assert!(assigned[0] <= 0.95 * 120.0 && assigned[1] == 0.0 && assigned[2] <= 0.95 * 120.0, "{assigned:?}");
    assert_eq!(summary.short, 0.0);
    let away =
        |list: usize, rank: u8| (0..64).filter(|&slot| balance.table().first(list, slot) == rank).count();
    assert_eq!(away(2, 1), 64, "they would lose 70 ms: those who lose 5 make room");
    assert!(away(1, 2) > 20, "{}", away(1, 2));
    assert_eq!((balance.table().row(0), balance.table().row(3)), (None, None), "nobody else moves");
}

#[test]
fn a_world_that_is_short_of_capacity_is_short_everywhere_alike() {
    let mut made = Made::random(&mut Dice::new(11), 60, 6, 0);
    let per_weight = 0.9 * made.capacity() / made.weight();
    let per_slot: Vec<f64> = made.lists.iter().map(|list| list.weight * per_weight / 64.0).collect();
    let mut balance = Balance::new(Settings { assumed: 0.9, ..Settings::default() });
    (0..2).for_each(|cluster| made.set_up(cluster, false));
    let mut short = 0.0;
    for _ in 0..900 {
        let loads = made.loads(balance.table(), |list| per_slot[list]);
        made.report(&loads);
        short = made.step(&mut balance, SECOND).short;
    }
    let loads = made.loads(balance.table(), |list| per_slot[list]);
    let used: Vec<f64> = loads.iter().zip(&made.clusters).map(|(load, of)| load / of.capacity).collect();
    let demand: f64 = per_slot.iter().sum::<f64>() * 64.0;
    let room: f64 = made.clusters[2..].iter().map(|cluster| cluster.capacity).sum();
    assert!(demand > room, "it is short");
    let (least, most) =
        (used[2..].iter().copied().fold(9.0, f64::min), used.iter().copied().fold(0.0, f64::max));
    assert!(most - least < 0.08 * most, "{used:?}");
    assert!((short - (demand - room)).abs() < 0.03 * room, "{short} {demand} {room}");
}
