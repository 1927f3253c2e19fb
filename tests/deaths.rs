//! The promise, proved with real servers: nginx nodes in network namespaces die in every way at random phases while the
//! program answers; every dead address is out of the answers in time, and no answer meanwhile is wrong or lost.
//!
//! Needs nginx with its RTMP module and, for cut cables and lost packets, network namespaces (root, or users who may make
//! them). `STEERDNS_REQUIRE_PEERS=1` runs it; `=0` runs as much of it as is possible here. `STEERDNS_LONG=1` takes longer;
//! `STEERDNS_SEED=7` lets other nodes die at other times.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "a test has clocks, sockets and programs of its own")]
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "deaths/asking.rs"]
mod asking;
#[path = "support/chance.rs"]
mod chance;
#[path = "support/home.rs"]
mod home;
#[path = "support/nginx.rs"]
mod nginx;
#[path = "deaths/nodes.rs"]
mod nodes;
#[path = "support/pulse.rs"]
mod pulse;
#[path = "deaths/report.rs"]
mod report;
mod support;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use asking::{CLUSTERS, SERVICES, Seen, TTL_S, askers, networks};
use chance::Chance;
use home::{Land, within_land};
use nodes::{Death, NAME, Node, Ports};
use pulse::Pulse;
use report::{Measured, Report};
use support::served::{Served, until};

/// How this test is called.
const TEST: &str = "dead_nodes_leave_the_answers_in_time_and_no_answer_is_wrong_or_lost";
/// Nodes of a cluster.
const NODES: usize = 2;
/// Questions that are asked at least.
const QUESTIONS: u64 = 200_000;
/// An address that no answer has held for so long has left; each is asked for some hundred times in it.
const GONE: Duration = Duration::from_secs(1);
/// How the packets of the lossy time are lost, each way.
const LOSS_PERCENT: u8 = 5;

/// How much is done.
struct Extent {
    rounds: usize,
    lossy: Duration,
}

impl Extent {
    fn asked_for() -> Extent {
        match env::var("STEERDNS_LONG").as_deref() {
            Ok("1") => Extent { rounds: 64, lossy: Duration::from_secs(600) },
            _ => Extent { rounds: 10, lossy: Duration::from_secs(40) },
        }
    }
}

#[test]
fn dead_nodes_leave_the_answers_in_time_and_no_answer_is_wrong_or_lost() {
    within_land(TEST, prove);
}

fn prove(land: Land) {
    if !nginx::installed() {
        return;
    }
    let extent = Extent::asked_for();
    let seed = env::var("STEERDNS_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut chance = Chance(seed);
    let ports = Ports::free();
    let count = (CLUSTERS.len() * NODES) as u8;
    let nodes: Vec<_> = (0..count).map(|number| Node::start(number, land, ports)).collect();
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::start(&write_files(scratch.path(), &nodes, ports));
    let addresses =
        nodes.iter().zip(0..).flat_map(|(node, at)| node.addresses.iter().map(move |ip| (*ip, at / NODES)));
    let seen = Arc::new(Seen::new(addresses.collect()));
    let begun = Instant::now();
    let overflowed = receive_buffer_errors();
    let asking = askers(&seen, served.addresses[0], &mut chance);
    let mut stage = Stage { nodes, seen, served, pulse: Pulse::start(), report: Report::default() };
    let all: Vec<_> = (0..stage.nodes.len()).collect();
    stage.wait_until_back(&all, begun);

    if land == Land::Namespaces {
        stage.lose_packets(extent.lossy);
    }
    let mut deck = Deck { cards: Vec::new(), land };
    for round in 0..extent.rounds {
        // A cluster of its own now and then dies whole; else one node of each.
        let whole = (round % 4 == 3).then(|| chance.below(CLUSTERS.len() as u64) as usize);
        let victims: Vec<_> = match whole {
            Some(cluster) => (0..NODES).map(|node| cluster * NODES + node).collect(),
            None => (0..CLUSTERS.len())
                .map(|cluster| cluster * NODES + chance.below(NODES as u64) as usize)
                .collect(),
        };
        let victims = victims.into_iter().map(|node| (node, deck.draw(&mut chance))).collect();
        stage.round(victims, whole, &mut chance);
    }
    until("enough questions are asked", || stage.seen.asked() >= QUESTIONS);

    let tally = stage.seen.end(asking);
    let overflowed = receive_buffer_errors() - overflowed;
    let dropped = stage.served.metric("steerdns_udp_kernel_drops_total") as u64;
    let asked_for = begun.elapsed();
    println!("{}", stage.report);
    println!(
        "{} queries in {:.0} s: {} wrong, {} lost; RcvbufErrors rose by {overflowed}, SO_RXQ_OVFL says {dropped}; seed {seed}",
        tally.asked,
        asked_for.as_secs_f64(),
        tally.wrong,
        tally.lost,
    );
    assert_eq!(tally.wrong, 0, "{:#?}", tally.words);
    assert!(tally.lost <= overflowed.max(dropped), "lost, and the kernel knows nothing of it");
    stage.report.assert_kept();
    stage.assert_only_the_dead_were_held_dead();
    assert_eq!(stage.served.stop().code(), Some(0));
}

/// Deaths in every way, equally often, in any order.
struct Deck {
    cards: Vec<Death>,
    land: Land,
}

impl Deck {
    fn draw(&mut self, chance: &mut Chance) -> Death {
        if self.cards.is_empty() {
            let possible = if self.land == Land::Namespaces { 4 } else { 2 };
            self.cards = Death::ALL[..possible].to_vec();
            chance.shuffle(&mut self.cards);
        }
        self.cards.pop().expect("just filled")
    }
}

/// All that is there.
struct Stage {
    nodes: Vec<Node>,
    seen: Arc<Seen>,
    served: Served,
    pulse: Pulse,
    report: Report,
}

impl Stage {
    /// These die, each at a moment of its own within a second; when all have left, they are revived and waited for.
    fn round(&mut self, victims: Vec<(usize, Death)>, whole: Option<usize>, chance: &mut Chance) {
        let mut phased: Vec<_> = victims
            .into_iter()
            .map(|victim| (Duration::from_micros(chance.below(1_000_000)), victim))
            .collect();
        phased.sort_unstable();
        let dark = |seen: &Seen, so| {
            if let Some(cluster) = whole {
                seen.dark[cluster].store(so, Ordering::SeqCst);
            }
        };
        dark(&self.seen, true);
        let begun = Instant::now();
        let mut died = Vec::new();
        for (phase, (node, death)) in phased {
            thread::sleep((begun + phase).saturating_duration_since(Instant::now()));
            died.push((node, death, Instant::now()));
            self.nodes[node].die(death);
        }
        for (node, death, at) in &died {
            self.wait_until_gone(*node, *death, *at);
        }
        let revived = Instant::now();
        for (node, death, _) in &died {
            self.nodes[*node].revive(*death);
        }
        let nodes: Vec<_> = died.iter().map(|(node, ..)| *node).collect();
        self.wait_until_back(&nodes, revived);
        dark(&self.seen, false);
    }

    /// Until no answer of any service holds an address of the node any more; what was measured is kept.
    fn wait_until_gone(&mut self, node: usize, death: Death, at: Instant) {
        for (service, address) in self.shown_of(node) {
            let last = || self.seen.last(service, address).expect("it was waited for");
            let what = format!("{address} ({}) is out of {}", death.word(), SERVICES[service]);
            until(&what, || last().max(at).elapsed() >= GONE);
            let (last, cached) = (last().max(at), self.seen.cached(service, address).unwrap_or(at).max(at));
            self.report.measured.push(Measured {
                death,
                check: SERVICES[service],
                address,
                removal: last - at,
                cached: cached - at,
                stalled: self.pulse.stalled(at, last),
            });
        }
    }

    /// Until answers of every service hold every address of these nodes.
    fn wait_until_back(&self, nodes: &[usize], since: Instant) {
        for (service, address) in nodes.iter().flat_map(|node| self.shown_of(*node)) {
            let what = format!("{address} is in {}", SERVICES[service]);
            until(&what, || self.seen.last(service, address).is_some_and(|last| last > since));
        }
    }

    /// Where addresses of a node are to be seen.
    fn shown_of(&self, node: usize) -> Vec<(usize, IpAddr)> {
        let addresses = &self.nodes[node].addresses;
        (0..SERVICES.len()).flat_map(|service| addresses.iter().map(move |ip| (service, *ip))).collect()
    }

    /// Packets are lost for a while, each way at every node: doubts, and no death.
    fn lose_packets(&mut self, how_long: Duration) {
        let doubts = || self.turned("suspect");
        let before = (doubts(), self.turned("down"));
        for node in &self.nodes {
            node.home().lose(LOSS_PERCENT);
        }
        thread::sleep(how_long);
        for node in &self.nodes {
            node.home().drop_nothing();
        }
        let (doubts, deaths) = (doubts() - before.0, self.turned("down") - before.1);
        let targets = self.nodes.len() * self.shown_of(0).len();
        let hours = how_long.as_secs_f64() / 3600.0 * targets as f64;
        self.report.notes.push(format!(
            "{LOSS_PERCENT} % of all packets lost each way for {} s, {hours:.2} address-hours: {doubts} doubts, {deaths} false deaths",
            how_long.as_secs(),
        ));
        assert!(doubts > 0.0, "no packet was lost, or nobody noticed");
        assert_eq!(deaths, 0.0, "false deaths");
    }

    fn turned(&self, to: &str) -> f64 {
        self.served.metric(&format!("steerdns_health_transitions_total{{to=\"{to}\"}}"))
    }

    /// The server's own count and log agree with what was done.
    fn assert_only_the_dead_were_held_dead(&self) {
        let deaths = self.report.measured.len() as f64;
        assert_eq!(self.turned("down"), deaths, "deaths, as the server counts them");
        assert_eq!(self.served.metric("steerdns_death_to_removal_seconds_count"), deaths);
        // It cannot know when a node died: after the last success, before the first failure.
        let sum = |histogram: &str| self.served.metric(&format!("{histogram}_sum")) / deaths;
        let removal: Duration = self.report.measured.iter().map(|measured| measured.removal).sum();
        let (removal, slack) = (removal.as_secs_f64() / deaths, 0.1);
        let (from, to) = (sum("steerdns_removal_seconds"), sum("steerdns_death_to_removal_seconds"));
        println!(
            "from death to removal, mean: {removal:.2} s; the server's own measures: {from:.2} s to {to:.2} s"
        );
        assert!(from - slack <= removal && removal <= to + slack, "the server measures something else");
        let logged = self.served.messages().iter().filter(|message| message.ends_with("-> down")).count();
        assert_eq!(logged as f64, deaths, "deaths, as the server logs them");
    }
}

/// Queries that the kernel dropped since our sockets were full.
fn receive_buffer_errors() -> u64 {
    let text = fs::read_to_string("/proc/net/snmp").unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|name| name == "RcvbufErrors").unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

/// What an operator would write of these nodes; checks have their defaults, but that nobody is held down for falling again and again.
fn write_files(directory: &Path, nodes: &[Node], ports: Ports) -> PathBuf {
    let file = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    fs::create_dir(directory.join("zones")).unwrap();
    file(
        "steerdns.toml",
        "listen = [\"127.0.0.1:0\"]\n[geoip]\ngeofeeds = [\"own.csv\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n",
    );
    let feed = CLUSTERS.iter().zip(0..).flat_map(|((_, country, _), cluster)| {
        networks(cluster).map(|network| format!("{network},{country},,,\n"))
    });
    file("own.csv", &feed.collect::<String>());
    file("roots.pem", &nodes.iter().map(|node| &*node.roots).collect::<String>());
    let mut clusters = format!(
        "[check.http]\nkind = \"http\"\nport = {}\nexpect = {{ body = \"alive\" }}\nhold_down = \"0s\"\n\
         [check.https]\nkind = \"https\"\nport = {}\nsni = \"{NAME}\"\nroots = \"../roots.pem\"\nhold_down = \"0s\"\n\
         [check.rtmp]\nkind = \"rtmp\"\nport = {}\nhold_down = \"0s\"\n",
        ports.http, ports.https, ports.rtmp,
    );
    let places = ["[1.35, 103.82]", "[50.11, 8.68]", "[39.04, -77.49]"];
    for (((key, ..), place), at) in CLUSTERS.iter().zip(places).zip(0..) {
        write!(clusters, "[cluster.{key}]\nplace = {place}\n[cluster.{key}.node]\n").unwrap();
        for (node, number) in nodes[at * NODES..][..NODES].iter().zip(1..) {
            writeln!(
                clusters,
                "{key}-{number} = {:?}",
                node.addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
            )
            .unwrap();
        }
    }
    clusters += "[policy.everywhere]\n";
    file("zones/clusters.toml", &clusters);
    let ipv6 = nodes[0].addresses.iter().any(IpAddr::is_ipv6);
    let service = |name: &&str| {
        let family = if ipv6 { "" } else { "ipv6 = \"off\"\n" };
        format!("[service.{name}]\npolicy = \"everywhere\"\ncheck = \"{name}\"\nttl = \"{TTL_S}s\"\n{family}")
    };
    file("zones/live.example.com.toml", &SERVICES.iter().map(service).collect::<String>());
    file(
        "zones/live.example.com.zone",
        "$TTL 1h\n@ SOA ns1 hostmaster.example.com. 1 1h 15m 2w 5m\n@ NS ns1\nns1 A 192.0.2.53\n",
    );
    directory.join("steerdns.toml")
}
