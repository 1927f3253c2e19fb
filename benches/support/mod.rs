//! What the benches share: the example's world with all of its nodes up, and the questions that are put to it.
#![allow(dead_code, unreachable_pub, reason = "each bench uses its own part")]
#![allow(clippy::disallowed_methods, reason = "a bench has a clock and a disk of its own")]

use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use steerdns::answer::respond::respond;
use steerdns::answer::worker::{Now, Reply, Transport, Worker};
use steerdns::files::read::Disk;
use steerdns::health::rounds::Observation;
use steerdns::health::verdict::{Outcome, Seen};
use steerdns::load::{Loaded, load_from};
use steerdns::plan::parts::Rates;
use steerdns::publisher::{Event, Publisher};
use steerdns::snapshot::Snapshot;
use steerdns::wire::name;

/// Names a City database; without it benches use the embedded country table.
pub const CITY_DB: &str = "STEERDNS_CITY_DB";
/// Client subnets that are asked for in turn.
pub const NETWORKS: usize = 100_000;
/// Who asks.
pub const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(91, 198, 174, 53));

/// A question, and what kind of answer it gets.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// In reports.
    pub label: &'static str,
    /// The name asked for.
    pub qname: &'static str,
    /// The type asked for.
    pub qtype: u16,
    /// Whether it names a client subnet, another one each time.
    pub subnet: bool,
}

const fn kind(label: &'static str, qname: &'static str, qtype: u16, subnet: bool) -> Kind {
    Kind { label, qname, qtype, subnet }
}

/// One of each kind of answer. All of them have EDNS, as what resolvers ask.
pub const KINDS: [Kind; 9] = [
    kind("static A", "ns1.live.example.com.", 1, false),
    kind("static TXT", "live.example.com.", 16, false),
    kind("wildcard A", "a.docs.live.example.com.", 1, false),
    kind("NODATA", "ns1.live.example.com.", 15, false),
    kind("NXDOMAIN", "nothing.live.example.com.", 1, false),
    kind("referral", "www.sub.live.example.com.", 1, false),
    kind("steered", "play.live.example.com.", 1, false),
    kind("steered, ECS", "play.live.example.com.", 1, true),
    kind("CNAME to a service", "www.live.example.com.", 1, false),
];

/// The example's world, all of its nodes up.
pub struct World {
    /// What answers are made from.
    pub snapshot: Snapshot,
    /// The first octets of so many /24 whose country is known, drawn evenly.
    pub networks: Vec<[u8; 3]>,
    /// When the snapshot was made.
    pub now: Instant,
}

/// Loads the example with `names` static names more, and the City database where there is one.
pub fn loaded(names: usize, database: Option<&Path>) -> Loaded {
    let config = match database {
        Some(path) => {
            format!("listen = ['127.0.0.1:5300']\n[geoip]\ndatabases = [{:?}]\n", path.to_string_lossy())
        }
        None => "listen = ['127.0.0.1:5300']\n".to_string(),
    };
    let zone = zone(names);
    let file = |path: &Path| -> io::Result<Vec<u8>> {
        Ok(match path.file_name().and_then(|name| name.to_str()) {
            Some("steerdns.toml") => config.clone().into(),
            Some("clusters.toml") => include_str!("../../zones/clusters.toml").into(),
            Some("live.example.com.toml") => include_str!("../../zones/live.example.com.toml").into(),
            Some("live.example.com.zone") => zone.clone().into(),
            Some("rtt.csv") => include_str!("../../geoip/rtt.csv").into(),
            _ => std::fs::read(path)?,
        })
    };
    let files = ["clusters.toml", "live.example.com.toml", "live.example.com.zone"];
    let names = |_: &Path| Ok(files.map(String::from).to_vec());
    load_from(Path::new("steerdns.toml"), Disk { file: &file, names: &names }, |_| {})
        .unwrap_or_else(|issues| panic!("the example is in order: {issues:#?}"))
}

/// The example's zone, with a delegation and so many names more.
fn zone(names: usize) -> String {
    let mut zone = include_str!("../../zones/live.example.com.zone").to_string();
    zone.push_str("sub NS ns.sub\nsub NS ns2.sub\nns.sub A 192.0.2.54\nns2.sub A 192.0.2.55\n");
    for n in 0..names {
        writeln!(zone, "n{n} A 192.0.2.{}", n % 256).expect("a String takes everything");
    }
    zone
}

/// The City database that the environment names.
pub fn city() -> Option<PathBuf> {
    std::env::var_os(CITY_DB).map(PathBuf::from)
}

impl World {
    /// With what the environment says of databases.
    pub fn new() -> World {
        let Loaded { mut plan, geography, .. } = loaded(0, city().as_deref());
        // Counted as in earnest, and never too much.
        plan.settings.rates = Some(Rates::new(u32::MAX, 2, 24, 56, vec![]));
        let places = geography.places();
        let mut networks = Vec::with_capacity(NETWORKS);
        let mut random = 1_u64;
        while networks.len() < NETWORKS {
            // Knuth's MMIX generator: the same networks each time.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let [a, b, c, ..] = random.to_be_bytes();
            if places.at(IpAddr::from([a, b, c, 1])).country.is_some() {
                networks.push([a, b, c]);
            }
        }
        let now = Instant::now();
        let mut publisher = Publisher::new(Arc::new(plan), &[], now);
        for target in publisher.board().ids().collect::<Vec<_>>() {
            let aim = Arc::clone(&publisher.board().target(target).aim);
            let outcome = Outcome::Succeeded(Duration::from_millis(20));
            let seen = Seen { outcome, started: now, at: now, decided_by: now };
            publisher.handle(Event::Observed(Observation { aim, seen }), now);
        }
        let snapshot = publisher.publish(now).0.expect("the first one is new");
        World { snapshot, networks, now }
    }
}

/// Puts one question again and again, in one buffer, as an answering thread would.
pub struct Asker<'w> {
    world: &'w World,
    worker: Worker,
    query: Vec<u8>,
    subnet_at: Option<usize>,
    next: usize,
    buf: Box<[u8; 1280]>,
}

/// The octets of a question, and where in them the client subnet's three stand.
pub fn query(kind: Kind) -> (Vec<u8>, Option<usize>) {
    let mut query = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    name::encode(kind.qname.as_bytes(), None, &mut query).expect("a name");
    query.extend(kind.qtype.to_be_bytes());
    query.extend([0, 1]);
    query.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0]);
    if kind.subnet {
        query.extend([0, 11, 0, 8, 0, 7, 0, 1, 24, 0, 0, 0, 0]);
    } else {
        query.extend([0, 0]);
    }
    let subnet_at = kind.subnet.then_some(query.len() - 3);
    (query, subnet_at)
}

impl<'w> Asker<'w> {
    /// For one kind of question.
    pub fn new(world: &'w World, kind: Kind) -> Asker<'w> {
        let (query, subnet_at) = query(kind);
        let worker = Worker::of(1, 7);
        Asker { world, worker, query, subnet_at, next: 0, buf: Box::new([0; 1280]) }
    }

    /// Puts the query into the buffer; the next client subnet's where it has one.
    #[inline]
    pub fn prepare(&mut self) {
        self.buf[..self.query.len()].copy_from_slice(&self.query);
        if let Some(at) = self.subnet_at {
            self.buf[at..at + 3].copy_from_slice(&self.world.networks[self.next]);
            self.next = if self.next + 1 == NETWORKS { 0 } else { self.next + 1 };
        }
    }

    /// Answers it.
    #[inline]
    pub fn answer(&mut self) -> Reply {
        let World { snapshot, now, .. } = self.world;
        let len = self.query.len();
        let now = Now { instant: *now, unix_s: 1_800_000_000 };
        respond(snapshot, &mut self.worker, now, &mut self.buf[..], len, PEER, Transport::Udp)
    }
}
