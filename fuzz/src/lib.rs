//! What strangers can hand to steerdns, octet by octet: each target takes any octets, and panics where something is wrong.
//!
//! ```text
//! respond      packets: the answer fits, and belongs to its query
//! master_file  a zone's master file, as an operator or a script wrote it
//! files        the TOML files, and what is built of them: it must answer
//! stream       what a TCP client sends: whole frames come back, and the connection ends
//! database     a GeoIP database
//! ```
#![allow(clippy::disallowed_methods, reason = "it has a clock and sockets of its own")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use steerdns::answer::respond::respond as answer;
use steerdns::answer::tally::Tally;
use steerdns::answer::worker::{Now, Reply, Transport, Worker};
use steerdns::cluster::Family;
use steerdns::export::editions;
use steerdns::files::issue::Source;
use steerdns::files::read::Disk;
use steerdns::files::zone;
use steerdns::geo::database::Database;
use steerdns::load::{Loaded, load_from};
use steerdns::net::answering::Answering;
use steerdns::net::stream::{self, Counts, Limits};
use steerdns::net::{errand, listen};
use steerdns::publisher::Publisher;
use steerdns::snapshot::{Live, Snapshot};
use steerdns::wire::name::Name;

/// The longest message.
const MESSAGE: usize = 65_535;
/// The largest datagram that we send, and what every client takes.
const PAYLOAD: usize = 1232;
const PAYLOAD_MIN: usize = 512;
/// Longer than a connection takes that is not stuck.
const PATIENCE: Duration = Duration::from_secs(15);

/// A target.
pub type Target = fn(&[u8]);
/// All of them, by name.
pub const TARGETS: [(&str, Target); 5] = [
    ("respond", respond),
    ("master_file", master_file),
    ("files", files),
    ("stream", stream),
    ("database", database),
];

const SERVER: &str = "
listen = [\"127.0.0.1:5300\"]
zones = \"zones\"
nsid = \"ns1\"
[geoip]
databases = [\"small.mmdb\"]
geofeeds = [\"own.csv\"]
[cookies]
secret_file = \"cookies\"
[rrl]
rate = 100
[key.test]
secret = \"MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=\"
[transfer]
allow = [\"192.0.2.0/24\", { key = \"test\" }]
";
const CLUSTERS: &str = "
[check.edge]
kind = \"tcp\"
port = 443
[policy.near]
clusters = [\"sin\", \"fra\"]
[cluster.sin]
place = [1.35, 103.82]
[cluster.sin.node]
sin-1 = [\"192.0.2.11\", \"2001:db8:1::11\"]
sin-2 = { addresses = [\"192.0.2.12\", \"2001:db8:1::12\"], weight = 3 }
[cluster.fra]
place = [50.11, 8.68]
node.fra-1 = [\"198.51.100.21\", \"2001:db8:2::21\"]
";
const SERVICES: &str = "
expose = \"nodes\"
[service.play]
policy = \"near\"
check = \"edge\"
ttl = \"20s\"
https = { alpn = [\"h2\"], port = 8443 }
srv = [\"_rtmp._tcp\"]
[service.\"*.any\"]
policy = \"near\"
check = \"edge\"
ttl = \"20s\"
ipv6 = \"off\"
";
const ZONE: &str = "
$TTL 1h
@     SOA   ns1 hostmaster ( 7 1h 15m 2w 5m ) ; a comment
@     NS    ns1
      MX    10 mail
ns1   A     192.0.2.53
      AAAA  2001:db8::53
mail  A     192.0.2.25
www   CNAME play
one   CNAME two
two   CNAME one
text  TXT   \"word\" unquoted \\\"\\255 \"; no comment\"
sub   NS    ns.sub
sub   DS    60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118
ns.sub A    192.0.2.54
old   DNAME new
*.w   TXT   wild
_s._tcp SRV 1 2 443 mail
svc   HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.1
caa   CAA   0 issue \"ca.example\"
loc   LOC   42 21 54 N 71 06 18 W -24m 30m
odd   TYPE65280 \\# 4 01020304
$ORIGIN deep.live.example.com.
$GENERATE 1-3/2 h${0,3,x} A 192.0.2.$
$INCLUDE more.zone
";
const INCLUDED: &str = "more 60 IN TXT included\n";
const MMDB: &[u8] = include_bytes!("../../tests/data/maxmind/GeoIP2-Country-Test.mmdb");

/// Where the files of a world come from: in their order, the first four are those that are fuzzed.
fn file(path: &Path, texts: &[&[u8]; 4]) -> io::Result<Vec<u8>> {
    let octets = match path.to_string_lossy().trim_start_matches("./") {
        "steerdns.toml" => texts[0],
        "zones/clusters.toml" => texts[1],
        "zones/live.example.com.toml" => texts[2],
        "zones/live.example.com.zone" => texts[3],
        "zones/more.zone" => INCLUDED.as_bytes(),
        "own.csv" => b"11.0.0.0/12,SG,,,\n11.16.0.0/12,DE,,,\n",
        "cookies" => b"e5e973e5a6b2a43f48e7dc849e37bfcf\n",
        "small.mmdb" => MMDB,
        _ => return Err(ErrorKind::NotFound.into()),
    };
    Ok(octets.to_vec())
}

fn load(texts: &[&[u8]; 4]) -> Option<Loaded> {
    let names = |_: &Path| {
        Ok(["clusters.toml", "live.example.com.toml", "live.example.com.zone"].map(String::from).to_vec())
    };
    let disk = Disk { file: &|path| file(path, texts), names: &names };
    load_from(Path::new("steerdns.toml"), disk, |_| {}).ok()
}

fn snapshot(loaded: Loaded) -> Snapshot {
    let now = Instant::now();
    let plan = editions(loaded.plan, &|_| None, &|_| None, now, 1_800_000_000);
    let snapshot = Publisher::new(Arc::new(plan), &[], now).publish(now).0.expect("the first one is new");
    Snapshot { warming: false, ..snapshot }
}

/// The world that answers.
static WORLD: LazyLock<Snapshot> = LazyLock::new(|| {
    let texts = [SERVER, CLUSTERS, SERVICES, ZONE].map(str::as_bytes);
    snapshot(load(&texts).expect("the files are good"))
});

/// Asks it, and looks at what comes.
fn ask(snapshot: &Snapshot, worker: &mut Worker, packet: &[u8], peer: IpAddr, transport: Transport) {
    let packet = &packet[..packet.len().min(MESSAGE)];
    let mut buf = vec![0xaa; MESSAGE + 2048];
    buf[..packet.len()].copy_from_slice(packet);
    let now = Now { instant: Instant::now(), unix_s: 1_800_000_000 };
    match answer(snapshot, worker, now, &mut buf, packet.len(), peer, transport) {
        Reply::Done(len, _) => {
            let answer = &buf[..len];
            let most = if transport == Transport::Tcp {
                MESSAGE
            } else if answer[10..12] == [0, 0] {
                PAYLOAD_MIN
            } else {
                PAYLOAD
            };
            assert!((12..=most).contains(&len), "{len} octets");
            assert_eq!(answer[..2], packet[..2], "the ID");
            assert_eq!((answer[2] & 0x80, (answer[2] ^ packet[2]) & 0x79), (0x80, 0), "QR, opcode, RD");
        }
        Reply::Stream(mut transfer) => {
            let mut message = vec![0; MESSAGE];
            let mut count = 0;
            while let Some(len) = transfer.next(&mut message, 1_800_000_000) {
                assert!(len > 12 && message[..2] == packet[..2]);
                count += 1;
            }
            assert!(count > 0);
        }
        Reply::Drop | Reply::Limited | Reply::Later(_) => {}
    }
}

/// The first octet says who asks, and how.
pub fn respond(octets: &[u8]) {
    thread_local!(static WORKER: std::cell::RefCell<Worker> = std::cell::RefCell::default());
    let Some((&how, packet)) = octets.split_first() else { return };
    let peer: IpAddr =
        if how & 1 == 0 { [192, 0, 2, how].into() } else { Ipv4Addr::LOCALHOST.to_ipv6_mapped().into() };
    let transport = if how & 2 == 0 { Transport::Udp } else { Transport::Tcp };
    WORKER.with_borrow_mut(|worker| ask(&WORLD, worker, packet, peer, transport));
}

/// A master file.
pub fn master_file(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets).into_owned();
    let source = Arc::new(Source { path: "zones/live.example.com.zone".into(), text });
    let origin = Name::parse("live.example.com.", None).expect("a name");
    let mut issues = Vec::new();
    let mut include =
        |_: &str, _: &str| Ok(Arc::new(Source { path: "zones/more.zone".into(), text: INCLUDED.into() }));
    let file = zone::read(&source, &origin, &mut include, &mut issues);
    assert!(file.records.iter().all(|record| record.owner.is_within(&origin)));
}

/// The four files, one behind the other, with a NUL between them: what is not there is as it is in the good world.
pub fn files(octets: &[u8]) {
    let mut texts = [SERVER, CLUSTERS, SERVICES, ZONE].map(str::as_bytes);
    for (text, octets) in texts.iter_mut().zip(octets.split(|octet| *octet == 0)) {
        if !octets.is_empty() {
            *text = octets;
        }
    }
    let Some(loaded) = load(&texts) else { return };
    let snapshot = snapshot(loaded);
    let packet = &packets()[0];
    ask(&snapshot, &mut Worker::default(), packet, Ipv4Addr::LOCALHOST.into(), Transport::Udp);
}

/// A server for `stream`.
static SERVED: LazyLock<SocketAddr> = LazyLock::new(|| {
    let listeners = listen::bind(([127, 0, 0, 1], 0).into(), 1, 1).expect("a port");
    let (lane, _errands) = errand::lane(1);
    let answering = Answering {
        live: Arc::new(Live::new(WORLD.clone())),
        respond: answer,
        lane,
        panics: Arc::default(),
        stop: Arc::default(),
    };
    let tally = Arc::new(Tally::new(Transport::Tcp, Family::V4));
    let listeners_tcp = listeners.tcp.into_iter().map(|listener| (listener, Arc::clone(&tally))).collect();
    let counts = Arc::<Counts>::default();
    thread::spawn(move || {
        stream::serve(listeners_tcp, &answering, Worker::default(), Limits::default(), counts)
            .expect("it serves to the end");
    });
    listeners.address
});

/// The first octet says in what pieces the rest is sent.
pub fn stream(octets: &[u8]) {
    let Some((&piece, sent)) = octets.split_first() else { return };
    let mut client = TcpStream::connect(*SERVED).expect("there is room for one");
    client.set_nodelay(true).expect("a socket");
    client.set_read_timeout(Some(PATIENCE)).expect("a socket");
    client.set_write_timeout(Some(PATIENCE)).expect("a socket");
    let mut reader = client.try_clone().expect("a descriptor");
    let reading = thread::spawn(move || {
        let mut answers = Vec::new();
        (reader.read_to_end(&mut answers).map_err(|error| error.kind()), answers)
    });
    for part in sent.chunks(usize::from(piece).max(1) * 64) {
        // What is no DNS is not read to its end.
        if client.write_all(part).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Write);
    let (ended, answers) = reading.join().expect("it only reads");
    match ended {
        Ok(_) => {
            let mut rest = &answers[..];
            while let Some((prefix, behind)) = rest.split_first_chunk() {
                let len = usize::from(u16::from_be_bytes(*prefix));
                assert!(
                    (12..=behind.len()).contains(&len),
                    "a frame of {len} octets, {} behind",
                    behind.len()
                );
                rest = &behind[len..];
            }
            assert!(rest.is_empty(), "a half frame");
        }
        Err(ErrorKind::ConnectionReset) => {}
        Err(kind) => panic!("{kind}: it neither answers nor ends"),
    }
}

/// A GeoIP database, and questions to it.
pub fn database(octets: &[u8]) {
    let Ok(database) = Database::new("fuzz", octets.to_vec()) else { return };
    for address in ["0.0.0.0", "81.2.69.160", "255.255.255.255", "::", "2001:db8::1", "ffff::"] {
        let address = address.parse().expect("an address");
        let _ = database.lookup(address);
        let _ = database.places().at(address);
    }
}

/// Queries that are good.
fn packets() -> Vec<Vec<u8>> {
    let name = |text: &str| {
        let mut octets = Vec::new();
        steerdns::wire::name::encode(text.as_bytes(), None, &mut octets).expect("a name");
        octets
    };
    let query = |text: &str, qtype: u16, counts: [u8; 3], behind: &[u8]| {
        let [an, ns, ar] = counts;
        let header = [0xab, 0xcd, 1, 0, 0, 1, 0, an, 0, ns, 0, ar];
        [&header[..], &name(text), &qtype.to_be_bytes(), &[0, 1], behind].concat()
    };
    let opt = |options: &[u8]| [&[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, options.len() as u8], options].concat();
    let all =
        [&[0, 3, 0, 0, 0, 8, 0, 7, 0, 1, 24, 0, 11, 0, 7, 0, 10, 0, 8][..], &[1; 8], &[0, 19, 0, 0]].concat();
    let soa = [&name("live.example.com.")[..], &[0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0], &[0; 20]].concat();
    let tsig = b"\x04test\0\0\xfa\0\xff\0\0\0\0\0\x3d\x0bhmac-sha256\0\0\0\x6b\x49\xd2\0\x01\x2c\0\x20\x57\xed\x7a\0\x76\x50\x1a\x7b\x26\x7c\xbe\x39\x55\xcf\x49\x09\x91\xc1\x3d\xec\x7f\xca\x5c\x82\xff\x17\x02\xc0\xaf\x1c\x88\0\xab\xcd\0\0\0\0";
    vec![
        query("live.example.com.", 6, [0, 0, 0], &[]),
        query("play.live.example.com.", 1, [0, 0, 1], &opt(&all)),
        query("_rtmp._tcp.play.live.example.com.", 33, [0, 0, 1], &opt(&[])),
        query("play.live.example.com.", 65, [0, 0, 1], &opt(&[])),
        query("q.any.live.example.com.", 28, [0, 0, 0], &[]),
        query("www.live.example.com.", 1, [0, 0, 0], &[]),
        query("x.old.live.example.com.", 1, [0, 0, 0], &[]),
        query("x.sub.live.example.com.", 1, [0, 0, 0], &[]),
        query("one.live.example.com.", 255, [0, 0, 0], &[]),
        query("live.example.com.", 252, [0, 0, 0], &[]),
        query("live.example.com.", 251, [0, 1, 0], &soa),
        query("live.example.com.", 6, [0, 0, 1], tsig),
        [&[0xab, 0xcd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &opt(&[0, 10, 0, 8, 1, 1, 1, 1, 1, 1, 1, 1])]
            .concat(),
    ]
}

/// What a target begins with: good input, and each of its kinds.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let behind = |first: u8, octets: &[u8]| [&[first], octets].concat();
    match target {
        "respond" => packets().iter().flat_map(|packet| [behind(0, packet), behind(3, packet)]).collect(),
        "master_file" => vec![ZONE.into(), INCLUDED.into()],
        "files" => {
            let all = [SERVER, CLUSTERS, SERVICES, ZONE];
            let alone = (0..4).map(|at| [vec![0; at], all[at].into()].concat());
            alone.chain([all.join("\0").into_bytes()]).collect()
        }
        "stream" => {
            let frame = |packet: &Vec<u8>| [&(packet.len() as u16).to_be_bytes()[..], packet].concat();
            let frames: Vec<Vec<u8>> = packets().iter().map(frame).collect();
            let together = behind(1, &frames.concat());
            frames.iter().map(|frame| behind(0, frame)).chain([together]).collect()
        }
        "database" => vec![MMDB.into()],
        other => panic!("no target is called {other}"),
    }
}
