//! A flood from many networks at half of what the server can answer, beside an honest client: it loses nothing, and response rate
//! limiting holds each of the networks to its limit.
//!
//! Part of the tier `peers`: it wants a machine to itself, and is skipped, with a loud word, without `STEERDNS_REQUIRE_PEERS=1`.
#![allow(clippy::disallowed_methods, reason = "attackers have clocks and sockets of their own")]
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(unreachable_pub, dead_code, reason = "the world is shared with another test")]

mod support;

#[path = "server_life/world.rs"]
mod world;

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use support::ask::Question;
use support::served::{Served, exchange, until};
use world::{SERVER, World};

/// Networks that the flood comes from.
const NETWORKS: usize = 8;
/// Sockets of each.
const SOCKETS: usize = 4;
/// Answers of one kind that a network gets in a second, by default, from two threads (docs/limits.md).
const RATE: f64 = 596.0;
/// How long the saturation is measured, and how long the flood goes on.
const MEASURED: Duration = Duration::from_secs(2);
const FLOODED: Duration = Duration::from_secs(8);
/// How often the honest client asks, and how long it waits.
const PACE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(1);
/// Queries that are sent before the clock is looked at.
const BURST: u64 = 16;

fn from(address: [u8; 4], server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::from(address), 0)).unwrap();
    socket.connect(server).unwrap();
    socket
}

/// Queries that are sent until they are told to stop. Nobody reads the answers: who floods does not.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Flood {
    /// From these addresses in turn; so many queries a second, `None`: as many as can be.
    fn start(server: SocketAddr, addresses: impl Iterator<Item = [u8; 4]>, rate: Option<f64>) -> Flood {
        let sockets: Vec<UdpSocket> = addresses.map(|address| from(address, server)).collect();
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let query = Question::new("play.live.example.com.", "A").octets();
            let (begun, mut sent) = (Instant::now(), 0);
            while !stopped.load(Ordering::Relaxed) {
                if rate.is_some_and(|rate| sent as f64 > begun.elapsed().as_secs_f64() * rate) {
                    thread::sleep(Duration::from_micros(200));
                    continue;
                }
                for at in sent..sent + BURST {
                    let _ = sockets[(at % sockets.len() as u64) as usize].send(&query);
                }
                sent += BURST;
            }
            sent
        });
        Flood { stop, thread }
    }

    /// How many were sent.
    fn end(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap() as f64
    }
}

/// Queries that it answered, or saw to be too many.
fn seen(served: &Served) -> f64 {
    ["steerdns_dns_responses_total", "steerdns_rate_limited_total"]
        .iter()
        .map(|name| served.total(name))
        .sum()
}

/// Answers that were not cut to nothing.
fn full(served: &Served) -> f64 {
    served.total("steerdns_dns_responses_total") - served.total("steerdns_rate_slipped_total")
}

/// What was sent is answered.
fn until_quiet(served: &Served) {
    let last = Cell::new(-1.0);
    until("nothing is on its way", || {
        thread::sleep(Duration::from_millis(100));
        seen(served) == last.replace(seen(served))
    });
}

#[test]
fn an_honest_client_loses_nothing_while_a_flood_is_held_to_its_limit() {
    if std::env::var_os("STEERDNS_REQUIRE_PEERS").is_none() {
        eprintln!("SKIPPED: STEERDNS_REQUIRE_PEERS is not set, and a flood wants the machine to itself");
        return;
    }
    let world = World::new();
    // The networks that measure are not limited, all others are.
    let files = format!("{SERVER}[udp]\nthreads = 2\n[rrl]\nallow = [\"127.8.0.0/16\"]\n");
    world.write("steerdns.toml", &files);
    let served = world.serve_warm();
    let server = served.addresses[0];

    let flood = Flood::start(server, (1..=8).map(|host| [127, 8, 0, host]), None);
    let (begun, before) = (Instant::now(), seen(&served));
    thread::sleep(MEASURED);
    let saturation = (seen(&served) - before) / begun.elapsed().as_secs_f64();
    flood.end();

    let sources =
        (0..NETWORKS * SOCKETS).map(|at| [127, 20 + (at % NETWORKS) as u8, 0, (at / NETWORKS) as u8 + 1]);
    let honest = from([127, 9, 9, 9], server);
    honest.set_read_timeout(Some(PATIENCE)).unwrap();
    until_quiet(&served);
    let before = full(&served);
    let flood = Flood::start(server, sources, Some(saturation / 2.0));
    let (begun, mut asked, mut lost) = (Instant::now(), 0, 0);
    let mut slowest = Duration::ZERO;
    while begun.elapsed() < FLOODED {
        let mut question = Question::new("play.live.example.com.", "A").octets();
        question[..2].copy_from_slice(&(asked as u16).to_be_bytes());
        let sent = Instant::now();
        lost += usize::from(exchange(&honest, &question).is_err());
        slowest = slowest.max(sent.elapsed());
        asked += 1;
        thread::sleep(PACE);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let sent = flood.end();
    until_quiet(&served);
    let full = full(&served) - before - (asked - lost) as f64;
    eprintln!(
        "saturation {saturation:.0}/s; the flood {:.0}/s, {full:.0} answers ({:.0}/s and network); \
         the honest client {asked} queries, {lost} lost, the slowest after {slowest:.1?}",
        sent / seconds,
        full / seconds / NETWORKS as f64
    );
    assert!(asked > 200 && lost == 0, "{lost} of {asked} lost");
    assert!(
        sent / seconds > saturation / 4.0,
        "the flood was none: {:.0} of {saturation:.0}/s",
        sent / seconds
    );
    // Whole seconds are counted: the flood may see one more than it lasts.
    assert!(full <= RATE * NETWORKS as f64 * (seconds + 1.0), "{full} answers in {seconds} s");
}
