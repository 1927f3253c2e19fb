//! Faults of real servers, as the prober sees them: seconds from a fault to its removal, and from the repair to the return,
//! for every kind of probe of media; and lost packets, which must kill nobody. What it prints stands in docs/health.md.
//!
//! Needs nginx with its RTMP module, node-media-server, srt-live-transmit, coturn and ffmpeg; for lost packets network
//! namespaces (root, or users who may make them). `STEERDNS_REQUIRE_PEERS=1` runs it; `=0` runs as much of it as is possible
//! here. `STEERDNS_LONG=1` takes longer; `STEERDNS_SEED=7` lets faults come at other moments.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "a test has clocks, sockets and programs of its own")]
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "support/chance.rs"]
mod chance;
#[path = "faults/farm.rs"]
mod farm;
#[path = "faults/fault.rs"]
mod fault;
#[path = "support/home.rs"]
mod home;
#[path = "faults/loss.rs"]
mod loss;
#[path = "support/media.rs"]
mod media;
#[path = "support/nginx.rs"]
mod nginx;
#[path = "support/programs.rs"]
mod programs;
#[path = "support/pulse.rs"]
mod pulse;
#[path = "faults/record.rs"]
mod record;
#[path = "faults/relay.rs"]
mod relay;
#[path = "faults/report.rs"]
mod report;
#[path = "faults/stage.rs"]
mod stage;
#[path = "faults/watch.rs"]
mod watch;

use std::env;

use chance::Chance;
use farm::Farm;
use fault::Fault;
use home::{Home, Land, within_land};
use stage::Stage;

/// Whether there is time for more.
fn long() -> bool {
    env::var("STEERDNS_LONG").as_deref() == Ok("1")
}

#[test]
fn every_fault_of_a_real_server_is_seen_in_time_and_so_is_its_repair() {
    within_land("every_fault_of_a_real_server_is_seen_in_time_and_so_is_its_repair", |land| {
        let home = (land == Land::Namespaces).then(|| Home::new(0));
        let Some(farm) = Farm::start(home) else { return };
        let seed = env::var("STEERDNS_SEED").map_or(1, |seed| seed.parse().unwrap());
        let mut stage = Stage::new(farm, Chance(seed));
        stage.begin();
        for _ in 0..if long() { 5 } else { 1 } {
            for fault in Fault::ALL {
                if fault != Fault::Dropped || land == Land::Namespaces {
                    stage.suffer(fault);
                }
            }
            // As far as it has come: a round takes two minutes.
            println!("{}", stage.report);
        }
        stage.report.assert_kept();
    });
}

#[test]
fn packets_lost_at_random_hold_no_living_address_dead() {
    within_land("packets_lost_at_random_hold_no_living_address_dead", |land| {
        if land == Land::Namespaces && nginx::installed() {
            loss::prove(long());
        }
    });
}
