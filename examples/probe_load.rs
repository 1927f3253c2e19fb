//! What probing costs: so many targets, once a second each, all of them on this machine; then all of them die.
//!
//! `cargo run --release --example probe_load -- 5000 [http]`

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement owns the clock and sockets"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use steerdns::health::check::{Check, HoldDown, Http, HttpMethod, HttpVersion, Kind};
use steerdns::health::target::{Aim, TargetKey};
use steerdns::health::tracker::Tracker;
use steerdns::health::verdict::Outcome;
use steerdns::probe::schedule::{AT_ONCE_DEFAULT, Aims, Told, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let targets: u32 = arguments.next().map_or(5000, |n| n.parse().unwrap());
    let http = arguments.next().is_some();
    // The servers run on a runtime, and so on threads, of their own: their cost is told apart.
    let servers = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (port, serving) = servers.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let listener = socket.listen(4096).unwrap();
        (listener.local_addr().unwrap().port(), tokio::spawn(serve(listener, http)))
    });
    let prober = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    prober.block_on(measure(targets, port, http, serving));
}

async fn serve(listener: TcpListener, http: bool) {
    while let Ok((mut stream, _)) = listener.accept().await {
        if http {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nalive").await;
            });
        }
    }
}

async fn measure(targets: u32, port: u16, http: bool, serving: tokio::task::JoinHandle<()>) {
    let asked = Http {
        version: HttpVersion::One,
        method: HttpMethod::Get,
        path: "/".into(),
        host: None,
        headers: Vec::new(),
        status: vec![(200, 299)],
        body: None,
        expect_headers: Vec::new(),
        json: Vec::new(),
        load: None,
    };
    let kind = if http { Kind::Http(asked) } else { Kind::Tcp };
    let (interval, timeout) = (Duration::from_secs(1), Duration::from_millis(2500));
    let check = Arc::new(Check {
        key: "c".into(),
        kind,
        port,
        interval,
        timeout,
        fall: 5,
        rise: 5,
        hold_down: HoldDown::default(),
    });
    let aims = (0..targets).map(|n| {
        let address = IpAddr::V4(Ipv4Addr::from(0x7f01_0000 + n));
        let key = TargetKey { cluster: "c".into(), node: "n".into(), address, check: "c".into() };
        let aim = Aim { key, probe: SocketAddr::new(address, port), check: check.clone() };
        (Arc::new(aim), Tracker::unknown(Instant::now()))
    });
    let (_aims, list) = watch::channel::<Aims>(aims.collect());
    let (tell, mut seen) = mpsc::channel(4096);
    tokio::spawn(run(list, watch::channel(None).1, tell, AT_ONCE_DEFAULT));
    println!(
        "{:>10} {:>10} {:>8} {:>8} {:>8} {:>12}",
        "", "succeeded", "late", "failed", "local", "cpu (all)"
    );
    for second in 0..16 {
        if second == 8 {
            serving.abort();
            println!("the port closes");
        }
        let (mut succeeded, mut late, mut failed, mut local) = (0, 0, 0, 0);
        let (end, cpu) = (Instant::now() + Duration::from_secs(1), cpu_ms());
        while let Ok(Some(told)) = tokio::time::timeout_at(end.into(), seen.recv()).await {
            let Told::Seen(observation) = told else { continue };
            match observation.seen.outcome {
                Outcome::Succeeded(_) => succeeded += 1,
                Outcome::Late => late += 1,
                Outcome::Failed(_) => failed += 1,
                Outcome::Local(_) => local += 1,
            }
        }
        let cpu = (cpu_ms() - cpu) / 10;
        println!("{second:>8} s {succeeded:>10} {late:>8} {failed:>8} {local:>8} {cpu:>10} %");
    }
}

/// The processor time of this process, kernel included, in ms: /proc/self/stat, fields 14 and 15, in ticks of 10 ms.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}
