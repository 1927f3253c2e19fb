#![allow(clippy::disallowed_methods, clippy::unwrap_used)]
use std::time::Instant;
use steerdns::geo::{database::Database, embedded, places::Places};
fn rss() -> String {
    std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .filter(|l| l.starts_with("VmRSS") || l.starts_with("VmHWM"))
        .collect::<Vec<_>>()
        .join(" ")
}
fn main() {
    let t = Instant::now();
    let d = embedded::database();
    println!("embedded {:?} {:?}", t.elapsed(), d.about());
    let t = Instant::now();
    let p = Places::new(&[d], &[]);
    println!("places {:?} {} {} {}", t.elapsed(), p.known.len(), p.v4.len(), p.v6.len());
    let mut ds = Vec::new();
    for path in std::env::args().skip(1) {
        let bytes = std::fs::read(&path).unwrap();
        println!("read {}", rss());
        let t = Instant::now();
        let d = Database::new(&path, bytes).unwrap();
        println!("new {:?} {:?} {}", t.elapsed(), d.about(), rss());
        println!("  {} {} {}", d.places().known.len(), d.places().v4.len(), d.places().v6.len());
        ds.push(d);
    }
    let t = Instant::now();
    let p = Places::new(&ds, &[]);
    println!("places {:?} {} {} {} {}", t.elapsed(), p.known.len(), p.v4.len(), p.v6.len(), rss());
}
