//! What probing costs, and how well it keeps time: so many targets, all of them on this machine; then all of them die.
//!
//! `cargo run --release --example probe_load -- 5000 [tcp|http] [interval in ms] [pinned]`; *pinned*: the prober has one core, and
//! the servers, a process of their own, another (`taskset`).

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement owns the clock and sockets"
)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
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

/// Until all have been probed and the servers' process has warmed up.
const WARMS_UP: Duration = Duration::from_secs(4);
/// How long all live, and how long all are dead.
const LIVES: u64 = 20;
const DEAD: u64 = 8;

/// What is measured.
struct Load {
    targets: u32,
    http: bool,
    interval: Duration,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let threads = |count| {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(count).enable_all().build().unwrap()
    };
    if has("serve") {
        return threads(1).block_on(serve(has("http")));
    }
    let mut numbers = words.iter().filter_map(|word| word.parse().ok());
    let targets = numbers.next().unwrap_or(5000);
    let interval = Duration::from_millis(numbers.next().unwrap_or(1000).into());
    let (http, pinned) = (has("http"), has("pinned"));
    if pinned {
        // Before there are threads: they inherit it.
        let own = std::process::id().to_string();
        let done = Command::new("taskset").args(["-cp", "1", &own]).stdout(Stdio::null()).status().unwrap();
        assert!(done.success(), "there is no second core");
    }
    let (mut servers, port) = servers(http, pinned);
    threads(2).block_on(measure(Load { targets, http, interval }, port, &mut servers));
    let _ = servers.kill();
}

/// The servers, and their port.
fn servers(http: bool, pinned: bool) -> (Child, u16) {
    let this = std::env::current_exe().unwrap();
    let mut command = match pinned {
        true => Command::new("taskset"),
        false => Command::new(&this),
    };
    if pinned {
        command.args(["-c", "0"]).arg(&this);
    }
    let mut child =
        command.args(["serve", if http { "http" } else { "tcp" }]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().unwrap())
}

async fn serve(http: bool) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let listener: TcpListener = socket.listen(4096).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    while let Ok((mut stream, _)) = listener.accept().await {
        if http {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nalive").await;
            });
        }
    }
}

async fn measure(load: Load, port: u16, servers: &mut Child) {
    let (_aims, list) = watch::channel(aims(&load, port));
    let (tell, mut seen) = mpsc::channel(4096);
    let (_drills, drill) = watch::channel(None);
    tokio::spawn(run(list, drill, tell, AT_ONCE_DEFAULT));
    println!(
        "{:>10} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "", "succeeded", "late", "failed", "local", "cpu", "RSS"
    );
    let begun = Instant::now();
    let mut starts: HashMap<IpAddr, Vec<Instant>> = HashMap::new();
    let mut spent = Vec::new();
    for second in 0..LIVES + DEAD {
        if second == LIVES {
            servers.kill().unwrap();
            servers.wait().unwrap();
            println!("the port closes");
        }
        let (mut succeeded, mut late, mut failed, mut local) = (0, 0, 0, 0);
        let (end, cpu) = (Instant::now() + Duration::from_secs(1), cpu_ms());
        while let Ok(Some(told)) = tokio::time::timeout_at(end.into(), seen.recv()).await {
            let Told::Seen(observation) = told else { continue };
            match observation.seen.outcome {
                Outcome::Succeeded(_) => {
                    succeeded += 1;
                    if second < LIVES && observation.seen.started > begun + WARMS_UP {
                        starts.entry(observation.aim.key.address).or_default().push(observation.seen.started);
                    }
                }
                Outcome::Late => late += 1,
                Outcome::Failed(_) => failed += 1,
                Outcome::Local(_) => local += 1,
            }
        }
        let cpu = (cpu_ms() - cpu) / 10;
        if second >= WARMS_UP.as_secs() && second < LIVES {
            spent.push(cpu);
        }
        let rss = resident_mb();
        println!("{second:>8} s {succeeded:>10} {late:>8} {failed:>8} {local:>8} {cpu:>6} % {rss:>5.1} MB");
    }
    spent.sort_unstable();
    println!("the prober's processor time, all alive: median {} %", spent[spent.len() / 2]);
    let mut behind: Vec<_> = starts.values().flat_map(|starts| behind(starts, load.interval)).collect();
    behind.sort_unstable();
    let at = |share: f64| behind[((behind.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!(
        "{} starts, behind their time: median {:.2} ms, 99 % {:.2} ms, worst {:.2} ms",
        behind.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// How far starts lie behind the grid of the target: one interval apart, and as early as its most punctual start says. Those
/// that are off the grid (re-probes) are left out.
fn behind(starts: &[Instant], interval: Duration) -> Vec<Duration> {
    let first = starts[0];
    let off = |start: &Instant| {
        // Half an interval more, so that one before its time does not count as one much behind it.
        let since = start.saturating_duration_since(first) + interval / 2;
        Duration::from_nanos((since.as_nanos() % interval.as_nanos()) as u64)
    };
    let earliest = starts.iter().map(off).min().unwrap_or_default();
    starts.iter().map(|start| off(start) - earliest).filter(|behind| *behind < interval / 4).collect()
}

fn aims(load: &Load, port: u16) -> Aims {
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
    let kind = if load.http { Kind::Http(asked) } else { Kind::Tcp };
    let check = Arc::new(Check {
        key: "c".into(),
        kind,
        port,
        interval: load.interval,
        timeout: Duration::from_millis(2500),
        fall: 5,
        rise: 5,
        hold_down: HoldDown::default(),
    });
    let aims = (0..load.targets).map(|n| {
        let address = IpAddr::V4(Ipv4Addr::from(0x7f01_0000 + n));
        let key = TargetKey { cluster: "c".into(), node: "n".into(), address, check: "c".into() };
        let aim = Aim { key, probe: SocketAddr::new(address, port), check: check.clone() };
        (Arc::new(aim), Tracker::unknown(Instant::now()))
    });
    aims.collect()
}

/// The processor time of this process, kernel included, in ms: /proc/self/stat, fields 14 and 15, in ticks of 10 ms.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}

/// The memory of this process that is resident, in MB.
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
