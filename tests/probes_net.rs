//! Probes beyond plain HTTP against the servers that they are for, and against servers of ours that misbehave on command.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests own the clock, sockets and disk here"
)]

#[path = "probes_net/agent.rs"]
mod agent;
#[path = "probes_net/dns.rs"]
mod dns;
#[path = "probes_net/exec.rs"]
mod exec;
#[path = "probes_net/fake.rs"]
mod fake;
#[path = "probes_net/icmp.rs"]
mod icmp;
#[path = "support/nginx.rs"]
mod nginx;
#[path = "probes_net/peer.rs"]
mod peer;
#[path = "support/peers.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is shared with other tests")]
mod peers;
#[path = "probes_net/rtmp.rs"]
mod rtmp;
#[path = "probes_net/srt.rs"]
mod srt;
#[path = "probes_net/stun.rs"]
mod stun;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use steerdns::health::check::{Check, HoldDown, Kind};
use steerdns::health::note::Note;
use steerdns::health::target::{Aim, TargetKey};
use steerdns::health::verdict::Outcome;
use steerdns::probe::prepared::Prepared;
use steerdns::probe::{Memory, once};

/// How long a probe may take where nothing is expected to come.
const SHORT: Duration = Duration::from_millis(400);
/// The same where something is: machines stall.
const LONG: Duration = Duration::from_secs(20);

fn aim(kind: Kind, to: SocketAddr) -> Aim {
    let (interval, timeout) = (Duration::from_secs(1), Duration::from_millis(2500));
    let check = Check {
        key: "c".into(),
        kind,
        port: to.port(),
        interval,
        timeout,
        fall: 5,
        rise: 5,
        hold_down: HoldDown::default(),
    };
    let address = "192.0.2.11".parse().unwrap();
    let key = TargetKey { cluster: "sin".into(), node: "sin-1".into(), address, check: "c".into() };
    Aim { key, probe: to, check: Arc::new(check) }
}

/// Probes once; the outcome in words, and what was noted. Panics where it outlives its deadline.
async fn learned(kind: Kind, to: SocketAddr, allowed: Duration) -> (String, Vec<Note>) {
    let aim = aim(kind, to);
    let prepared = Prepared::new(&aim.check);
    remembering(&aim, &prepared, &Memory::default(), allowed).await
}

/// The same, with what earlier probes left.
async fn remembering(
    aim: &Aim,
    prepared: &Prepared,
    memory: &Memory,
    allowed: Duration,
) -> (String, Vec<Note>) {
    let started = Instant::now();
    let (outcome, notes) = once(aim, prepared, memory, allowed).await;
    assert!(started.elapsed() < allowed + Duration::from_secs(2), "outlived its deadline");
    let told = match outcome {
        Outcome::Succeeded(took) => {
            assert!(took <= started.elapsed());
            "succeeded".into()
        }
        Outcome::Failed(cause) => cause.to_string(),
        other => format!("{other:?}"),
    };
    (told, notes)
}

/// Probes once; the outcome in words.
async fn probe(kind: Kind, to: SocketAddr, allowed: Duration) -> String {
    learned(kind, to, allowed).await.0
}
