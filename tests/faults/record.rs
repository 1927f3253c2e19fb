//! Records which packets are lost, as bits: what tests/probe_laws.rs replays in virtual time.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::home::run;

/// A numbered packet is sent so often: the time that a bit stands for.
const EVERY: Duration = Duration::from_millis(2);
/// So many: 8 KiB of bits, 131 s.
const PACKETS: usize = 65_536;
/// Packets a second that a narrow link takes, and how many more at once.
const LINK: &str = "limit rate over 1000/second burst 100 packets drop";

/// Records into `directory`: `even-N.bits` (N % of all packets are lost, each by itself) and `bursts.bits`: a link of
/// 1000 packets a second that other traffic of 4000 fills for 50 to 400 ms, every second or two. A bit that is set is a packet that
/// came, the lowest bit of an octet first.
pub(crate) fn record(directory: &Path) {
    thread::scope(|all| {
        for percent in [1, 5, 10] {
            all.spawn(move || {
                let bits = lost(&format!("numgen random mod 100 < {percent} drop"), false);
                tell(directory, &format!("even-{percent}.bits"), &bits);
            });
        }
        all.spawn(|| tell(directory, "bursts.bits", &lost(LINK, true)));
    });
}

fn tell(directory: &Path, name: &str, bits: &[u8]) {
    let came: u32 = bits.iter().map(|octet| octet.count_ones()).sum();
    println!("{name}: {:.2} % lost", 100.0 - f64::from(came) / PACKETS as f64 * 100.0);
    fs::write(directory.join(name), bits).unwrap();
}

/// Which of the packets come through a rule of the firewall.
fn lost(rule: &str, crowded: bool) -> Vec<u8> {
    let hears = UdpSocket::bind("127.0.0.1:0").unwrap();
    hears.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let to = hears.local_addr().unwrap();
    let table = format!("record{}", to.port());
    let chain = format!("type filter hook input priority 0;\n udp dport {} {rule}\n", to.port());
    run(&["nft", &format!("table inet {table} {{ chain arriving {{ {chain} }}\n }}\n")]);
    let over = Arc::new(AtomicBool::new(false));
    let listening = {
        let over = over.clone();
        thread::spawn(move || {
            let (mut bits, mut heard) = (vec![0u8; PACKETS / 8], [0; 8]);
            while !over.load(Ordering::Relaxed) {
                // Other traffic has no number.
                if let Ok(4) = hears.recv(&mut heard) {
                    let number = u32::from_be_bytes([heard[0], heard[1], heard[2], heard[3]]) as usize;
                    bits[number / 8] |= 1 << (number % 8);
                }
            }
            bits
        })
    };
    if crowded {
        let over = over.clone();
        thread::spawn(move || crowd(to, &over));
    }
    let says = UdpSocket::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    for number in 0..PACKETS as u32 {
        thread::sleep((begun + EVERY * number).saturating_duration_since(Instant::now()));
        says.send_to(&number.to_be_bytes(), to).unwrap();
    }
    over.store(true, Ordering::Relaxed);
    let bits = listening.join().unwrap();
    run(&["nft", "delete", "table", "inet", &table]);
    bits
}

/// Other traffic, now and then.
fn crowd(to: std::net::SocketAddr, over: &AtomicBool) {
    let (says, mut chance) = (UdpSocket::bind("127.0.0.1:0").unwrap(), Chance(1));
    while !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(500 + chance.below(1500)));
        let until = Instant::now() + Duration::from_millis(50 + chance.below(350));
        while Instant::now() < until {
            (0..4).for_each(|_| drop(says.send_to(b"crowd", to)));
            thread::sleep(Duration::from_millis(1));
        }
    }
}
