//! Askers: in a closed loop, each question after the answer to the one before. Every answer is judged, and of every
//! address it is kept when an answer last held it.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::support::ask::{Answer, Question};
use super::support::served::{client, exchange};

/// The services, and the TTL of them all.
pub(crate) const SERVICES: [&str; 3] = ["http", "https", "rtmp"];
pub(crate) const TTL_S: u32 = 7;
/// The clusters, each with the country whose clients it is nearest to, and the cluster that is next for them.
pub(crate) const CLUSTERS: [(&str, &str, usize); 3] = [("sin", "SG", 1), ("fra", "DE", 2), ("iad", "US", 1)];

/// Sockets of one asker: with SO_REUSEPORT a socket's port chooses the thread that answers it.
const SOCKETS: usize = 8;
/// Questions in a row, and the pause between such rows: some 4,000 questions a second of two askers.
const ROW: usize = 4;
const PAUSE: Duration = Duration::from_millis(2);
/// An answer that has not come after this is lost.
const LOST: Duration = Duration::from_secs(3);
/// So many wrong answers are kept in words.
const WORDS_MAX: usize = 20;

/// What the askers know, and what they saw.
#[derive(Debug)]
pub(crate) struct Seen {
    begun: Instant,
    /// Every node's addresses with the cluster they belong to.
    addresses: Vec<(IpAddr, usize)>,
    /// By service and address, in microseconds since `begun`, 0 for never: the last answer that held it, and the
    /// end of the last copy of an answer that held it in a cache that keeps TTLs.
    last: Vec<AtomicU64>,
    cached: Vec<AtomicU64>,
    /// Clusters all of whose nodes are dead, dying or reviving: answers may come from the next cluster.
    pub(crate) dark: [AtomicBool; 3],
    asked: AtomicU64,
    lost: AtomicU64,
    wrong: AtomicU64,
    words: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// What came of it all.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) asked: u64,
    pub(crate) lost: u64,
    pub(crate) wrong: u64,
    pub(crate) words: Vec<String>,
}

/// One question and what is right about its answer.
struct Asking {
    service: usize,
    cluster: usize,
    family: u16,
    question: Question,
}

impl Seen {
    pub(crate) fn new(addresses: Vec<(IpAddr, usize)>) -> Seen {
        let zeros = || (0..SERVICES.len() * addresses.len()).map(|_| AtomicU64::new(0)).collect();
        Seen {
            begun: Instant::now(),
            last: zeros(),
            cached: zeros(),
            addresses,
            dark: Default::default(),
            asked: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            words: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    /// When an answer of this service last held this address.
    pub(crate) fn last(&self, service: usize, address: IpAddr) -> Option<Instant> {
        self.time(&self.last[self.index(service, address)?])
    }

    /// When the last copy of such an answer ends in a cache.
    pub(crate) fn cached(&self, service: usize, address: IpAddr) -> Option<Instant> {
        self.time(&self.cached[self.index(service, address)?])
    }

    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Ends the askers.
    pub(crate) fn end(&self, askers: Vec<JoinHandle<()>>) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        for asker in askers {
            asker.join().unwrap();
        }
        Tally {
            asked: self.asked(),
            lost: self.lost.load(Ordering::Relaxed),
            wrong: self.wrong.load(Ordering::Relaxed),
            words: std::mem::take(&mut self.words.lock().unwrap()),
        }
    }

    fn time(&self, micros: &AtomicU64) -> Option<Instant> {
        let micros = micros.load(Ordering::Relaxed);
        (micros > 0).then(|| self.begun + Duration::from_micros(micros))
    }

    fn index(&self, service: usize, address: IpAddr) -> Option<usize> {
        let at = self.addresses.iter().position(|(own, _)| *own == address)?;
        Some(service * self.addresses.len() + at)
    }

    fn is_dark(&self, cluster: usize) -> bool {
        self.dark[cluster].load(Ordering::SeqCst)
    }

    /// Asks until told to stop.
    fn ask(&self, server: SocketAddr, mut chance: Chance) {
        let sockets: Vec<_> = (0..SOCKETS).map(|_| client(server)).collect();
        for socket in &sockets {
            socket.set_read_timeout(Some(LOST)).unwrap();
        }
        let ipv6 = self.addresses.iter().any(|(address, _)| address.is_ipv6());
        while !self.stop.load(Ordering::Relaxed) {
            for _ in 0..ROW {
                let asking = Asking::any(&mut chance, ipv6);
                let mut query = asking.question.octets();
                query[..2].copy_from_slice(&(chance.below(65_536) as u16).to_be_bytes());
                let was_dark = self.is_dark(asking.cluster);
                let socket = &sockets[chance.below(SOCKETS as u64) as usize];
                self.asked.fetch_add(1, Ordering::Relaxed);
                match exchange(socket, &query) {
                    Ok(octets) => {
                        let may_be_next = was_dark || self.is_dark(asking.cluster);
                        if let Err(what) = self.judge(&asking, &query, octets, may_be_next) {
                            self.wrong.fetch_add(1, Ordering::Relaxed);
                            let mut words = self.words.lock().unwrap();
                            if words.len() < WORDS_MAX {
                                words.push(format!("{:?}: {what}", asking.question));
                            }
                        }
                    }
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        self.lost.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => panic!("the server is gone: {error}"),
                }
            }
            thread::sleep(PAUSE);
        }
    }

    /// Whether an answer is right in all that the test knows.
    fn judge(&self, asking: &Asking, query: &[u8], octets: Vec<u8>, may_be_next: bool) -> Result<(), String> {
        let answer = Answer::read(&octets, None);
        let (mut addresses, mut clusters) = (Vec::new(), Vec::new());
        let question_end = 12 + asking.question.name.len() + 1 + 4;
        let same_question = octets.get(12..question_end) == query.get(12..question_end);
        let (subnet, asked_of) = (answer.subnet().unwrap_or_default(), asking.question.subnet.as_ref());
        let same_subnet = subnet.get(..3) == asked_of.and_then(|option| option.get(..3))
            && subnet.get(4..) == asked_of.and_then(|option| option.get(4..));
        for (so, what) in [
            (answer.status() == "NOERROR aa", "status"),
            (same_question, "question"),
            (same_subnet, "client subnet"),
            (answer.scope.is_some_and(|scope| scope > 0), "scope"),
            (!answer.message.answers.is_empty(), "empty"),
        ] {
            if !so {
                return Err(format!("{what}: {:?}", answer.message));
            }
        }
        for record in &answer.message.answers {
            let address = record.data.ip_addr().ok_or("no address")?;
            let own = self.addresses.iter().find(|(own, _)| *own == address);
            let (_, cluster) = own.ok_or_else(|| format!("{address} is no node's"))?;
            clusters.push(*cluster);
            addresses.push(address);
            let named = record.name.to_string() == asking.question.name;
            if !named
                || u16::from(record.record_type()) != asking.family
                || !(1..=TTL_S).contains(&record.ttl)
            {
                return Err(format!("record: {record}"));
            }
        }
        let first = clusters[0];
        let right = first == asking.cluster || may_be_next && first == CLUSTERS[asking.cluster].2;
        if !right || clusters.iter().any(|cluster| *cluster != first) {
            return Err(format!("{addresses:?} for a client of {}", CLUSTERS[asking.cluster].0));
        }
        if addresses.iter().collect::<BTreeSet<_>>().len() != addresses.len() {
            return Err(format!("twice the same: {addresses:?}"));
        }
        let ttl = Duration::from_secs(answer.message.answers[0].ttl.into());
        self.remember(asking.service, &addresses, ttl);
        Ok(())
    }

    fn remember(&self, service: usize, addresses: &[IpAddr], ttl: Duration) {
        let now = self.begun.elapsed();
        for index in addresses.iter().filter_map(|address| self.index(service, *address)) {
            self.last[index].fetch_max(now.as_micros() as u64, Ordering::Relaxed);
            self.cached[index].fetch_max((now + ttl).as_micros() as u64, Ordering::Relaxed);
        }
    }
}

/// Two threads that ask there, until [`Seen::end`].
pub(crate) fn askers(seen: &Arc<Seen>, server: SocketAddr, chance: &mut Chance) -> Vec<JoinHandle<()>> {
    let asker = |_| {
        let (seen, chance) = (Arc::clone(seen), chance.fork());
        thread::spawn(move || seen.ask(server, chance))
    };
    (0..2).map(asker).collect()
}

impl Asking {
    /// Any service and family, for any network of any country.
    fn any(chance: &mut Chance, ipv6: bool) -> Asking {
        let (service, cluster) = (chance.below(3) as usize, chance.below(3) as usize);
        let (family, qtype) = if ipv6 && chance.below(2) == 1 { (28, "AAAA") } else { (1, "A") };
        let name = format!("{}.live.example.com.", SERVICES[service]);
        let question = Question::new(&name, qtype).subnet(&client_of(cluster, chance));
        Asking { service, cluster, family, question }
    }
}

/// The networks of a cluster's country, as a geofeed (RFC 8805) tells them.
pub(crate) fn networks(cluster: usize) -> [String; 2] {
    let v6 = Ipv6Addr::new(0x2a0c, cluster as u16, 0, 0, 0, 0, 0, 0);
    [format!("11.{}.0.0/12", 16 * cluster), format!("{v6}/32")]
}

/// A /24 or a /56 of them.
fn client_of(cluster: usize, chance: &mut Chance) -> String {
    let low = chance.below(1 << 12) as u32;
    if chance.below(4) == 0 {
        return format!("{}/56", Ipv6Addr::new(0x2a0c, cluster as u16, low as u16, 0, 0, 0, 0, 0));
    }
    let network = 11 << 24 | (16 * cluster as u32) << 16 | low << 8;
    format!("{}/24", Ipv4Addr::from(network))
}
