//! Whether probing slows answers: `steerdns serve` on one core, thousands of targets on loopback, and a paced client on another
//! core that asks in slices, while the targets are probed every 2 s and while they are left alone (an interval of 1 h), in turn.
//!
//! `cargo build --release && cargo run --release --example answers_beside_probes -- [targets] [pairs of slices]`

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement owns the clock and sockets"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Nodes of a cluster.
const NODES: u32 = 125;
/// Questions are asked so far apart, or when the last one is answered.
const PACE: Duration = Duration::from_micros(500);
const GIVES_UP: Duration = Duration::from_millis(100);
/// What is measured, and the interval of the check meanwhile.
const STATES: [(&str, &str); 2] = [("alone", "1h"), ("probing", "2s")];
const SLICE: Duration = Duration::from_secs(4);
/// After a reload.
const SETTLES: Duration = Duration::from_millis(2500);
/// An A of a service in the example's zone, from a client subnet of 198.51.100.0/24.
const QUESTION: &[u8] = b"\0\0\0\0\0\x01\0\0\0\0\0\x01\x04play\x04live\x07example\x03com\0\0\x01\0\x01\
    \0\0\x29\x04\xd0\0\0\0\0\0\x0b\0\x08\0\x07\0\x01\x18\0\xc6\x33\x64";

fn main() {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse().unwrap());
    let (targets, pairs) = (numbers.next().unwrap_or(5000), numbers.next().unwrap_or(8));
    pin(std::process::id(), 0);
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || listener.incoming().for_each(drop));
    let directory = std::env::temp_dir().join(format!("answers_beside_probes-{}", std::process::id()));
    fs::create_dir_all(directory.join("zones")).unwrap();
    write_files(&directory);
    write_clusters(&directory, targets, port, "1h");
    let (mut server, at) = serve(&directory);
    pin(server.id(), 1);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(at).unwrap();
    client.set_read_timeout(Some(GIVES_UP)).unwrap();
    // All are probed a first time.
    thread::sleep(SETTLES);
    println!("{targets} targets, {} questions a second", 1.0 / PACE.as_secs_f64());
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>9} {:>8}",
        "", "median us", "99 % us", "99.9 % us", "asked", "cpu"
    );
    let mut all: [Vec<Duration>; 2] = Default::default();
    let mut ratios = Vec::new();
    for pair in 0..pairs {
        let mut medians = [0.0; 2];
        // The other way round in every second pair.
        for at in if pair % 2 == 0 { [0, 1] } else { [1, 0] } {
            write_clusters(&directory, targets, port, STATES[at].1);
            let id = server.id().to_string();
            assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
            thread::sleep(SETTLES);
            let cpu = cpu_ms(server.id());
            let took = slice(&client);
            let cpu = (cpu_ms(server.id()) - cpu) as f64 / SLICE.as_millis() as f64 * 100.0;
            medians[at] = tell(STATES[at].0, &took, Some(cpu));
            all[at].extend(took);
        }
        ratios.push(medians[1] / medians[0]);
    }
    println!("all slices");
    for (took, (word, _)) in all.iter_mut().zip(STATES) {
        took.sort_unstable();
        tell(word, took, None);
    }
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios[((ratios.len() - 1) as f64 * share).round() as usize];
    println!(
        "medians of a pair, probing to alone: lower quartile {:.3}, median {:.3}, upper quartile {:.3}",
        at(0.25),
        at(0.5),
        at(0.75)
    );
    let _ = server.kill();
    let _ = server.wait();
    let _ = fs::remove_dir_all(&directory);
}

/// Asks for a while; how long the answers took, in order. One that is given up counts as long as it was awaited.
fn slice(client: &UdpSocket) -> Vec<Duration> {
    let begun = Instant::now();
    let (mut took, mut id) = (Vec::new(), 0u16);
    let (mut question, mut answer) = (QUESTION.to_vec(), [0; 1500]);
    let mut due = begun;
    while due < begun + SLICE {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        id = id.wrapping_add(1);
        question[..2].copy_from_slice(&id.to_be_bytes());
        let sent = Instant::now();
        client.send(&question).unwrap();
        while let Ok(len) = client.recv(&mut answer) {
            if len > 12 && answer[..2] == id.to_be_bytes() {
                assert_eq!(answer[3] & 0x0f, 0, "an RCODE that is not NOERROR");
                assert!(answer[7] > 0, "no record in the answer");
                break;
            }
        }
        took.push(sent.elapsed());
        due = (due + PACE).max(Instant::now());
    }
    took.sort_unstable();
    took
}

/// Tells of times that are in order; gives their median, in us.
fn tell(word: &str, took: &[Duration], cpu: Option<f64>) -> f64 {
    let cpu = cpu.map(|cpu| format!("{cpu:.1} %")).unwrap_or_default();
    let at = |share: f64| took[(took.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    println!("{word:>8} {:>10.0} {:>10.0} {:>10.0} {:>9} {cpu:>8}", at(0.5), at(0.99), at(0.999), took.len());
    at(0.5)
}

fn serve(directory: &Path) -> (Child, SocketAddr) {
    let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("steerdns");
    let mut command = Command::new(program);
    command.arg("serve").arg("--config").arg(directory.join("steerdns.toml"));
    let mut server = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    let begin = "answering on ";
    let at = log.find_map(|line| {
        let line = line.unwrap();
        let from = line.find(begin)? + begin.len();
        let address: String = line[from..].chars().take_while(|c| !matches!(c, ',' | '"' | ' ')).collect();
        address.parse().ok()
    });
    thread::spawn(move || log.for_each(drop));
    (server, at.expect("it says where it answers"))
}

fn write_files(directory: &Path) {
    let file = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    file("steerdns.toml", "listen = [\"127.0.0.1:0\"]\n[udp]\nthreads = 1\n");
    file(
        "zones/live.example.com.zone",
        "$ORIGIN live.example.com.\n$TTL 1h\n@ SOA ns1 hostmaster.example.com. 1 1h 15m 2w 5m\n@ NS ns1\nns1 A 192.0.2.53\n",
    );
    file(
        "zones/live.example.com.toml",
        "[service.play]\npolicy = \"everywhere\"\ncheck = \"edge\"\nipv6 = \"off\"\ndetect_within = \"3h\"\n",
    );
}

fn write_clusters(directory: &Path, targets: u32, port: u16, interval: &str) {
    let mut text = format!(
        "[check.edge]\nkind = \"tcp\"\nport = {port}\ninterval = \"{interval}\"\n[policy.everywhere]\n"
    );
    for cluster in 0..targets.div_ceil(NODES) {
        let (lat, lon) = (f64::from(cluster % 10) * 10.0 - 45.0, f64::from(cluster / 10 % 36) * 10.0 - 175.0);
        write!(text, "[cluster.c{cluster}]\nplace = [{lat}, {lon}]\n[cluster.c{cluster}.node]\n").unwrap();
        for node in cluster * NODES..((cluster + 1) * NODES).min(targets) {
            writeln!(text, "n{node} = [\"{}\"]", Ipv4Addr::from(0x7f01_0000 + node)).unwrap();
        }
    }
    fs::write(directory.join("zones/clusters.toml"), text).unwrap();
}

/// Keeps a process, with all its threads, on one core.
fn pin(process: u32, core: u32) {
    let words = ["-acp", &core.to_string(), &process.to_string()];
    assert!(Command::new("taskset").args(words).stdout(Stdio::null()).status().unwrap().success());
}

/// The processor time of a process, kernel included, in ms: /proc/pid/stat, fields 14 and 15, in ticks of 10 ms.
fn cpu_ms(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}
