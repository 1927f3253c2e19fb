//! A server without sockets, packets made by hand, and answers read to the octet.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use steerdns::answer::respond::respond;
use steerdns::answer::transfer::Transfer;
use steerdns::answer::worker::{Now, Reply, Transport, Worker};
use steerdns::plan::Plan;
use steerdns::wire::name;

use crate::support::ask::type_number;
use crate::support::message::{Rr, Said, options};
use crate::support::world::{Files, World};

/// Seconds since 1970 at which everything here happens.
pub(crate) const NOW_S: u64 = 1_800_000_000;
/// The secret of `[key.test]`: "12345678901234567890123456789012".
pub(crate) const SECRET: &[u8] = b"12345678901234567890123456789012";
/// The secret of cookies, from RFC 9018 Appendix A.
pub(crate) const COOKIE_SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

const SERVER: &str = "
listen = [\"127.0.0.1:5300\"]
zones = \"zones\"
nsid = \"ns1\"
[geoip]
databases = [\"tests/data/maxmind/GeoIP2-Country-Test.mmdb\"]
geofeeds = [\"own.csv\"]
[explain]
allow = []
[cookies]
secret_file = \"cookies\"
[key.test]
secret = \"MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=\"
[key.\"wide\"]
algorithm = \"hmac-sha512\"
secret = \"MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=\"
[transfer]
allow = [\"192.0.2.7\", { key = \"test\" }, { key = \"wide\" }]
";

/// A server of static zones. A small database is read fast.
const ALONE: &str = "
listen = [\"127.0.0.1:5300\"]
zones = \"zones\"
geoip = { databases = [\"tests/data/maxmind/GeoIP2-Country-Test.mmdb\"] }
";

const CLUSTERS: &str = "
[check.edge]
kind = \"tcp\"
port = 443
[policy.near]
clusters = [\"sin\", \"fra\"]
[policy.fra]
clusters = [\"fra\"]
[cluster.sin]
place = [1.35, 103.82]
[cluster.sin.node]
sin-1 = [\"192.0.2.11\", \"2001:db8:1::11\"]
sin-2 = [\"192.0.2.12\", \"2001:db8:1::12\"]
[cluster.fra]
place = [50.11, 8.68]
[cluster.fra.node]
fra-1 = [\"198.51.100.21\", \"2001:db8:2::21\"]
";

const SERVICES: &str = "
[service.play]
policy = \"near\"
check = \"edge\"
ttl = \"20s\"
[service.\"*.any\"]
policy = \"near\"
check = \"edge\"
ttl = \"20s\"
[service.last]
policy = \"fra\"
check = \"edge\"
ttl = \"20s\"
";

const ZONE: &str = "
$TTL 1h
@     SOA   ns1 hostmaster 7 1h 15m 2w 5m
@     NS    ns1
@     NS    ns.elsewhere.org.
@     MX    10 mail
ns1   A     192.0.2.53
ns1   AAAA  2001:db8::53
mail  A     192.0.2.25
www   CNAME play
out   CNAME www.example.org.
here  CNAME mail
gone  CNAME nothing
one   CNAME two
two   CNAME one
text  TXT   \"word\"
sub   NS    ns.sub
sub   NS    ns.elsewhere.org.
ns.sub A    192.0.2.54
old   DNAME new
x.new A     192.0.2.80
_s._tcp SRV 1 2 443 mail
a.b.c TXT   \"deep\"
";

/// A server, and who asks it.
pub(crate) struct Desk {
    pub(crate) world: World,
    worker: Worker,
    /// Who asks.
    pub(crate) peer: IpAddr,
    /// How.
    pub(crate) transport: Transport,
    /// What time it is.
    pub(crate) unix_s: u64,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) octets: Vec<u8>,
    pub(crate) said: Said,
    /// The options of its OPT record.
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

/// The files of the small world.
pub(crate) fn files() -> Files {
    let mut files = Files::default();
    files.put("steerdns.toml", SERVER);
    files.put("own.csv", "11.0.0.0/12,SG,,,\n11.16.0.0/12,DE,,,\n2a01::/32,DE,,,\n");
    files.put("cookies", &format!("{COOKIE_SECRET}\n"));
    files.put("zones/clusters.toml", CLUSTERS);
    files.put("zones/live.example.com.toml", SERVICES);
    files.put("zones/live.example.com.zone", ZONE);
    files
}

impl Desk {
    /// The small world, everything up. It is read once for all tests.
    pub(crate) fn new() -> Desk {
        static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
            World::start(&files()).unwrap_or_else(|issues| panic!("{issues}")).snapshot.plan
        });
        Desk::at(World::of(Arc::clone(&PLAN)))
    }

    /// The small world with more lines in its master file.
    pub(crate) fn with(lines: &str) -> Desk {
        let mut files = files();
        files.append("zones/live.example.com.zone", lines);
        Desk::of(&files)
    }

    /// One zone without services.
    pub(crate) fn zone(origin: &str, text: &str) -> Desk {
        let mut files = Files::default();
        files.put("steerdns.toml", ALONE);
        files.put(&format!("zones/{origin}zone"), text);
        Desk::of(&files)
    }

    /// These files, everything up.
    pub(crate) fn of(files: &Files) -> Desk {
        Desk::at(World::start(files).unwrap_or_else(|issues| panic!("{issues}")))
    }

    fn at(mut world: World) -> Desk {
        world.all_up();
        let peer = "192.0.2.200".parse().unwrap();
        Desk { world, worker: Worker::default(), peer, transport: Transport::Udp, unix_s: NOW_S }
    }

    /// The same over TCP.
    pub(crate) fn tcp(mut self) -> Desk {
        self.transport = Transport::Tcp;
        self
    }

    /// What the answering thread holds.
    pub(crate) fn worker(&mut self) -> &mut Worker {
        &mut self.worker
    }

    /// What becomes of a packet.
    pub(crate) fn reply(&mut self, packet: &[u8]) -> (Reply, Vec<u8>) {
        let mut buf = vec![0xaa; 70_000];
        buf[..packet.len()].copy_from_slice(packet);
        let now = Now { instant: self.world.now, unix_s: self.unix_s };
        let Desk { world, worker, peer, transport, .. } = self;
        let reply = respond(&world.snapshot, worker, now, &mut buf, packet.len(), *peer, *transport);
        (reply, buf)
    }

    /// The answer to a packet; `None`: nothing is sent.
    pub(crate) fn tell(&mut self, packet: &[u8]) -> Option<Told> {
        match self.reply(packet) {
            (Reply::Drop | Reply::Limited, _) => None,
            (Reply::Done(len, _), buf) => Some(Told::read(&buf[..len])),
            (reply, _) => panic!("{reply:?}"),
        }
    }

    /// The answer to a question without anything beside it.
    pub(crate) fn ask(&mut self, name: &str, qtype: &str) -> Told {
        self.tell(&query(name, qtype)).unwrap()
    }

    /// The transfer that a packet asks for.
    pub(crate) fn transfer(&mut self, packet: &[u8]) -> Box<Transfer> {
        match self.reply(packet) {
            (Reply::Stream(transfer), _) => transfer,
            (Reply::Done(len, _), buf) => panic!("{}", Told::read(&buf[..len]).said),
            (reply, _) => panic!("{reply:?}"),
        }
    }
}

impl Told {
    pub(crate) fn read(octets: &[u8]) -> Told {
        let said = Said::read(octets).unwrap_or_else(|error| panic!("{error}: {octets:02x?}"));
        Told { octets: octets.to_vec(), said, options: options(octets) }
    }

    /// The option of this code.
    pub(crate) fn option(&self, code: u16) -> Option<&[u8]> {
        self.options.iter().find(|(other, _)| *other == code).map(|(_, octets)| &octets[..])
    }

    /// RCODE and the numbers of records in the answer, authority and additional sections.
    pub(crate) fn counts(&self) -> (u16, usize, usize, usize) {
        let Said { rcode, answer, authority, additional, .. } = &self.said;
        (*rcode, answer.len(), authority.len(), additional.len())
    }

    /// The types of the answer section, smallest first.
    pub(crate) fn types(&self) -> Vec<u16> {
        let mut types: Vec<u16> = self.said.answer.iter().map(|rr| rr.rtype).collect();
        types.sort_unstable();
        types
    }

    /// The one record of that type in the answer section.
    pub(crate) fn one(&self, rtype: &str) -> &Rr {
        let rtype = type_number(rtype);
        let mut all = self.said.answer.iter().filter(|rr| rr.rtype == rtype);
        let one = all.next().unwrap_or_else(|| panic!("no {rtype}: {}", self.said));
        assert!(all.next().is_none(), "{}", self.said);
        one
    }

    /// The records, told as `owner TTL TYPE`, of a section.
    pub(crate) fn owners(section: &std::collections::BTreeSet<Rr>) -> Vec<String> {
        let shown = |rr: &Rr| {
            let owner = name::Name::from_wire(&rr.owner).unwrap();
            format!("{owner} {} {}", rr.ttl_s, rr.rtype)
        };
        section.iter().map(shown).collect()
    }
}

/// The wire octets of a name.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    name::encode(text.as_bytes(), None, &mut octets).unwrap();
    octets
}

/// A question: name, type, class.
pub(crate) fn question(text: &str, qtype: &str, class: u16) -> Vec<u8> {
    [&name(text)[..], &type_number(qtype).to_be_bytes(), &class.to_be_bytes()].concat()
}

/// A header: flags, and the four counts.
pub(crate) fn header(flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let words = [0xabcd, flags].into_iter().chain(counts);
    words.flat_map(u16::to_be_bytes).collect()
}

/// A query of class IN, without anything beside it.
pub(crate) fn query(text: &str, qtype: &str) -> Vec<u8> {
    [header(0, [1, 0, 0, 0]), question(text, qtype, 1)].concat()
}

/// A query with an OPT record.
pub(crate) fn edns(text: &str, qtype: &str, opt: &[u8]) -> Vec<u8> {
    [&header(0, [1, 0, 0, 1]), &question(text, qtype, 1), opt].concat()
}

/// An OPT record.
pub(crate) fn opt(payload: u16, version: u8, flags: u16, options: &[(u16, &[u8])]) -> Vec<u8> {
    let option = |(code, octets): &(u16, &[u8])| {
        [&code.to_be_bytes()[..], &(octets.len() as u16).to_be_bytes(), octets].concat()
    };
    let options: Vec<u8> = options.iter().flat_map(option).collect();
    let [high, low] = payload.to_be_bytes();
    let [flags_high, flags_low] = flags.to_be_bytes();
    let [len_high, len_low] = (options.len() as u16).to_be_bytes();
    let fixed = [0, 0, 41, high, low, 0, version, flags_high, flags_low, len_high, len_low];
    [&fixed[..], &options].concat()
}

/// A plain OPT record.
pub(crate) fn plain_opt() -> Vec<u8> {
    opt(1232, 0, 0, &[])
}
