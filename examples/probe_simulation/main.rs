//! The figures of docs/health.md: how soon deaths are seen, and how often one is seen that was none.
//!
//! `cargo run --release --example probe_simulation`

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use world::{Dying, HTTP, Loss, Path, RTMP, TCP, World, check};

fn main() {
    let hours: u64 = std::env::args().nth(1).map_or(1000, |hours| hours.parse().unwrap());
    println!("False deaths, {hours} address-hours each (interval 1 s, timeout 2.5 s, fall 5)");
    println!(
        "{:>6} {:>6} {:>5} {:>8} {:>12} {:>14} {:>12}",
        "check", "rtt", "loss", "deaths", "per hour", "doubts/hour", "overdue"
    );
    for (word, answers) in [("tcp", TCP), ("http", HTTP), ("rtmp", RTMP)] {
        for loss in [0.01, 0.05, 0.10] {
            for rtt_ms in [1, 20, 100, 190, 300] {
                false_deaths(word, path(loss, rtt_ms, answers), hours);
            }
        }
    }
    println!("The same in bursts, as recorded (tests/data/loss/bursts.bits)");
    for (word, answers) in [("tcp", TCP), ("http", HTTP), ("rtmp", RTMP)] {
        for rtt_ms in [1, 20, 100, 190, 300] {
            let bursts = Loss::Recorded(include_bytes!("../../tests/data/loss/bursts.bits"));
            false_deaths(word, Path { loss: bursts, ..path(0.0, rtt_ms, answers) }, hours);
        }
    }
    println!("\nFrom death to verdict, 2000 deaths each, at random phases");
    println!(
        "{:>6} {:>9} {:>6} {:>5} {:>7} {:>7} {:>7} {:>7}",
        "check", "dying", "rtt", "loss", "median", "p99", "worst", "unseen"
    );
    for (word, answers) in [("tcp", TCP), ("rtmp", RTMP)] {
        for dying in [Dying::Silent, Dying::Refusing] {
            for loss in [0.0, 0.05, 0.10] {
                for rtt_ms in [1, 50, 100, 300] {
                    deaths(word, dying, path(loss, rtt_ms, answers));
                }
            }
        }
    }
    println!("\nA region dies: so many addresses in the same second, 5000 probed, tcp, rtt 20 ms, no loss");
    println!(
        "{:>6} {:>7} {:>7} {:>7} {:>16} {:>9}",
        "dead", "median", "p99", "worst", "probes/s at most", "overdue"
    );
    for dead in [10, 100, 285, 500, 1000, 2000, 5000] {
        storm(dead);
    }
}

fn path(loss: f64, rtt_ms: u64, answers: &'static [u32]) -> Path {
    Path { loss: Loss::Even(loss), rtt: Duration::from_millis(rtt_ms), jitter: 0.2, answers }
}

fn false_deaths(word: &str, path: Path, hours: u64) {
    let servers = 100;
    let mut world = World::new(servers, check(1000, 2500, 5, 5), path, 1);
    world.run(Duration::from_secs(60));
    (world.deaths, world.doubts) = (Vec::new(), 0);
    world.run(Duration::from_secs(3600 * hours / u64::from(servers)));
    let (deaths, hours) = (world.deaths.len() as f64, hours as f64);
    println!(
        "{word:>6} {:>6?} {:>5} {:>8} {:>12.5} {:>14.1} {:>12?}",
        path.rtt,
        path.loss,
        world.deaths.len(),
        deaths / hours,
        world.doubts as f64 / hours,
        world.overdue
    );
}

fn deaths(word: &str, dying: Dying, path: Path) {
    let mut unseen = Vec::new();
    let mut never = 0;
    for seed in 0..20 {
        let servers = 100;
        let mut world = World::new(servers, check(1000, 2500, 5, 5), path, seed);
        world.run(Duration::from_secs(60));
        for server in 0..servers {
            world.kill_at_random(server, dying);
        }
        world.run(Duration::from_secs(30));
        for server in 0..servers {
            match world.unseen(server) {
                Some(span) => unseen.push(span),
                None => never += 1,
            }
        }
    }
    unseen.sort();
    let [median, p99, worst] = quantiles(&unseen);
    println!(
        "{word:>6} {:>9} {:>6?} {:>5} {median:>7.2} {p99:>7.2} {worst:>7.2} {never:>7}",
        format!("{dying:?}").to_lowercase(),
        path.rtt,
        path.loss
    );
}

fn storm(dead: u32) {
    let mut world = World::new(5000, check(1000, 2500, 5, 5), path(0.0, 20, TCP), 7);
    world.run(Duration::from_secs(30));
    for server in 0..dead {
        world.kill_at_random(server, Dying::Silent);
    }
    let mut most = 0;
    for _ in 0..100 {
        let before = world.started;
        world.run(Duration::from_millis(100));
        most = most.max((world.started - before) * 10);
    }
    let mut unseen: Vec<_> = (0..dead).map(|server| world.unseen(server).unwrap()).collect();
    unseen.sort();
    let [median, p99, worst] = quantiles(&unseen);
    println!("{dead:>6} {median:>7.2} {p99:>7.2} {worst:>7.2} {most:>16} {:>9?}", world.overdue);
}

fn quantiles(sorted: &[Duration]) -> [f64; 3] {
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize].as_secs_f64();
    [at(0.5), at(0.99), at(1.0)]
}
