//! Packets that are nearly queries: real ones, broken in the ways of attackers and of bad software. Whatever comes, the answer is short
//! enough, belongs to what came, and can be read: by our own reader, by hickory-proto, and a sample by dnspython.
//!
//! `STEERDNS_LONG=1`: 50 million in place of a million.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(clippy::disallowed_methods, reason = "virtual time begins somewhere")]

mod support;

#[path = "conformance/desk.rs"]
#[allow(dead_code, reason = "it is shared with `conformance`")]
mod desk;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::thread;

use desk::{Desk, NOW_S, Told, edns, files, header, name, opt, plain_opt, query, question};
use hickory_proto::op::Message;
use steerdns::answer::worker::{Reply, Transport};
use steerdns::wire::tsig::{Algorithm, Key, Signer};
use support::dice::Dice;
use support::peers::dnspython;

const COUNT: usize = 1_000_000;
const COUNT_LONG: usize = 50_000_000;
/// Of so many answers hickory-proto reads one; in `long`, of 40.
const READ_BACK: usize = 15;
/// Answers that dnspython reads.
const SAMPLE: usize = 5_000;
/// The largest datagram that we send.
const PAYLOAD: usize = 1232;

const NAMES: [&str; 19] = [
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.\
     ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.ddddddddddddddddddddddddddddddddddddddddd.live.example.com.",
    "live.example.com.",
    "play.live.example.com.",
    "q.any.live.example.com.",
    "last.live.example.com.",
    "www.live.example.com.",
    "one.live.example.com.",
    "out.live.example.com.",
    "x.old.live.example.com.",
    "x.sub.live.example.com.",
    "ns.sub.live.example.com.",
    "nothing.live.example.com.",
    "b.c.live.example.com.",
    "sin.live.example.com.",
    "sin-1.sin.live.example.com.",
    "_rtmp._tcp.play.live.example.com.",
    "version.bind.",
    "example.org.",
    ".",
];
const TYPES: [&str; 20] = [
    "A",
    "AAAA",
    "NS",
    "SOA",
    "MX",
    "TXT",
    "CNAME",
    "DNAME",
    "SRV",
    "HTTPS",
    "TYPE64",
    "DS",
    "ANY",
    "AXFR",
    "IXFR",
    "RRSIG",
    "TYPE41",
    "TYPE250",
    "TYPE0",
    "TYPE65535",
];

fn any<T: Copy>(dice: &mut Dice, from: &[T]) -> T {
    from[dice.below(from.len())]
}

fn octet(dice: &mut Dice) -> u8 {
    dice.next() as u8
}

/// The small world with names for everything. Where it is `limited`, nearly everybody asks too often.
fn world(limited: bool) -> Desk {
    let mut files = files();
    if limited {
        files.append("steerdns.toml", "[rrl]\nrate = 1\nslip = 1\nallow = []\n");
    }
    let path = std::path::Path::new("zones/live.example.com.toml");
    let text =
        files.0[path].replacen("ttl = \"20s\"\n", "ttl = \"20s\"\nhttps = true\nsrv = [\"_rtmp._tcp\"]\n", 1);
    files.put("zones/live.example.com.toml", &format!("expose = \"nodes\"\n{text}"));
    Desk::of(&files)
}

/// A query that somebody might send.
fn real(dice: &mut Dice) -> Vec<u8> {
    let (owner, qtype) = (any(dice, &NAMES), any(dice, &TYPES));
    let option = |dice: &mut Dice| -> (u16, Vec<u8>) {
        match dice.below(8) {
            0 => (3, Vec::new()),
            1 => (8, vec![0, 1, 24, 0, 11, 0, octet(dice)]),
            2 => (8, vec![0, 2, 32, 0, 0x2a, 1, 0, 0]),
            3 => (10, (0..8).collect()),
            4 => (10, (0..24).collect()),
            5 => (11, Vec::new()),
            6 => (19, Vec::new()),
            _ => (dice.below(65_536) as u16, vec![octet(dice); dice.below(20)]),
        }
    };
    let packet = match dice.below(12) {
        0 => query(owner, qtype),
        1 => [header(0x0120, [1, 0, 0, 0]), question(owner, "TXT", 3)].concat(),
        2 => {
            let soa = [&name(owner)[..], &[0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0], &[0; 20]].concat();
            [header(0, [1, 0, 1, 0]), question(owner, "IXFR", 1), soa].concat()
        }
        3 => [header((dice.below(16) as u16) << 11, [1, 0, 0, 1]), question(owner, qtype, 1), plain_opt()]
            .concat(),
        4 => [header(0, [0, 0, 0, 1]), opt(1232, 0, 0, &[(10, &[1; 8])])].concat(),
        _ => {
            let options: Vec<_> = (0..dice.below(4)).map(|_| option(dice)).collect();
            let options: Vec<(u16, &[u8])> =
                options.iter().map(|(code, octets)| (*code, &octets[..])).collect();
            let payload = any(dice, &[0, 512, 513, 1232, 4096, 65_535]);
            edns(owner, qtype, &opt(payload, 0, 0x8000, &options))
        }
    };
    let long = format!("{0}.{0}.{0}.{1}.", "k".repeat(63), "k".repeat(dice.below(61) + 1));
    match dice.below(10) {
        0 => signed(packet, "test."),
        1 => signed(packet, &long),
        _ => packet,
    }
}

/// With a signature by a key of this name: a good one for `test.`, which what follows will break.
fn signed(packet: Vec<u8>, key: &str) -> Vec<u8> {
    let secret = b"12345678901234567890123456789012";
    let key = Key::new(steerdns::wire::name::Name::parse(key, None).unwrap(), Algorithm::Sha256, secret);
    let len = packet.len();
    let mut buf = packet;
    let id = [buf[0], buf[1]];
    buf.resize(len + 512, 0);
    let end = Signer::of_query(key.into(), id).sign(&mut buf, len, NOW_S);
    buf.truncate(end);
    buf
}

/// Breaks a packet somewhere.
fn mutate(packet: &mut Vec<u8>, dice: &mut Dice) {
    let at = |dice: &mut Dice, len: usize| dice.below(len.max(1));
    let len = packet.len();
    let here = at(dice, len);
    match dice.below(14) {
        0 if len > 0 => packet[here] ^= 1 << dice.below(8),
        1 if len > 0 => packet[here] = any(dice, &[0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xfe, 0xff]),
        2 if len > 1 => {
            let value = any(dice, &[0u16, 1, 41, 250, 251, 252, 255, 512, 0x7fff, 0x8000, 0xc00c, 0xffff]);
            let at = here.min(len - 2);
            packet[at..at + 2].copy_from_slice(&value.to_be_bytes());
        }
        3 => packet.truncate(here),
        4 => {
            let more: Vec<u8> = (0..1 + dice.below(39)).map(|_| octet(dice)).collect();
            packet.splice(here..here, more);
        }
        5 => {
            let end = (here + 1 + dice.below(19)).min(len);
            packet.drain(here..end);
        }
        // A part of it once more.
        6 => {
            let end = (here + 1 + dice.below(59)).min(len);
            let part = packet[here..end].to_vec();
            let to = at(dice, len);
            packet.splice(to..to, part);
        }
        // One of the four counts.
        7 if len >= 12 => {
            let count = 4 + 2 * dice.below(4);
            packet[count + 1] = packet[count + 1].wrapping_add(any(dice, &[1, 2, 255, 254]));
        }
        // A pointer, to anywhere.
        8 if len > 14 => {
            let at = 12 + dice.below(len - 13);
            packet[at] = 0xc0 | dice.below(64) as u8;
            packet[at + 1] = octet(dice);
        }
        9 if len >= 12 => packet[2] = octet(dice),
        10 if len >= 12 => packet[3] = octet(dice),
        // Another OPT, counted.
        11 if len >= 12 => {
            packet.extend(plain_opt());
            packet[11] = packet[11].wrapping_add(1);
        }
        // Case.
        12 => packet.iter_mut().skip(12).for_each(|octet| {
            if octet.is_ascii_alphabetic() && dice.chance(50) {
                *octet ^= 0x20;
            }
        }),
        _ => packet.extend((0..1 + dice.below(29)).map(|_| octet(dice))),
    }
}

/// The payload size of the first OPT record that can be found.
fn payload(packet: &[u8]) -> Option<u16> {
    let number = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    let skip = |mut at: usize| loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            len @ 1..=63 => at += usize::from(len) + 1,
            0xc0.. => return Some(at + 2),
            _ => return None,
        }
    };
    let mut at = 12;
    for _ in 0..number(4)? {
        at = skip(at)? + 4;
    }
    for _ in 0..u32::from(number(6)?) + u32::from(number(8)?) + u32::from(number(10)?) {
        at = skip(at)?;
        if number(at)? == 41 {
            return number(at + 2);
        }
        at += 10 + usize::from(number(at + 8)?);
    }
    None
}

/// What must hold of an answer.
fn judge(packet: &[u8], answer: &[u8], transport: Transport) -> Result<(), String> {
    let told = Told::read(answer);
    let may = match payload(packet).filter(|_| told.said.opt.is_some()) {
        Some(payload) => usize::from(payload).clamp(512, PAYLOAD),
        None => 512,
    };
    if transport == Transport::Udp && answer.len() > may {
        return Err(format!("{} octets, where {may} may be", answer.len()));
    }
    if answer[..2] != packet[..2] || (answer[2] ^ packet[2]) & 0x78 != 0 {
        return Err("another ID or opcode".into());
    }
    if answer[4..6] == [0, 1] {
        let mut end = 12;
        while answer[end] != 0 {
            end += usize::from(answer[end]) + 1;
        }
        if answer[12..end + 5] != packet[12..end + 5] {
            return Err("another question".into());
        }
    }
    Ok(())
}

#[derive(Default)]
struct Counted {
    answered: usize,
    dropped: usize,
    streams: usize,
    rcodes: std::collections::BTreeMap<u16, usize>,
    read_back: usize,
    sample: Vec<Vec<u8>>,
}

fn run(seed: u64, count: usize, read_back: usize) -> Counted {
    let mut dice = Dice::new(seed);
    let mut desks = [world(false), world(true)];
    let mut counted = Counted::default();
    let mut message = vec![0; 65_535];
    let peers: [IpAddr; 3] = ["192.0.2.7", "198.51.100.1", "2001:db8::1"].map(|peer| peer.parse().unwrap());
    for round in 0..count {
        let mut packet = real(&mut dice);
        for _ in 0..any(&mut dice, &[0, 1, 1, 1, 2, 3]) {
            mutate(&mut packet, &mut dice);
        }
        let desk = &mut desks[usize::from(dice.chance(10))];
        desk.peer = any(&mut dice, &peers);
        desk.transport = if dice.chance(50) { Transport::Udp } else { Transport::Tcp };
        let transport = desk.transport;
        let answer = match desk.reply(&packet) {
            (Reply::Done(len, _), buf) => buf[..len].to_vec(),
            (Reply::Stream(mut transfer), _) => {
                counted.streams += 1;
                let mut last = None;
                while let Some(len) = transfer.next(&mut message, NOW_S) {
                    last = Some(message[..len].to_vec());
                }
                last.unwrap_or_else(|| panic!("an empty transfer: {packet:02x?}"))
            }
            (Reply::Drop | Reply::Limited, _) => {
                counted.dropped += 1;
                continue;
            }
            (Reply::Later(_), _) => continue,
        };
        counted.answered += 1;
        judge(&packet, &answer, transport)
            .unwrap_or_else(|what| panic!("{what}\n{packet:02x?}\n{answer:02x?}"));
        *counted.rcodes.entry(Told::read(&answer).said.rcode).or_default() += 1;
        // Others know but some opcodes.
        if ![0, 2, 4, 5].contains(&(answer[2] >> 3 & 15)) {
            continue;
        }
        if round % read_back == 0 {
            counted.read_back += 1;
            if let Err(error) = Message::from_vec(&answer) {
                panic!("hickory-proto: {error}\n{packet:02x?}\n{answer:02x?}");
            }
        }
        // Of an UPDATE dnspython reads more than we answered.
        if answer[2] & 0x78 == 0 && counted.sample.len() < SAMPLE / 2 && dice.below(8) == 0 {
            counted.sample.push(answer);
        }
    }
    counted
}

#[test]
fn whatever_comes_the_answer_can_be_read() {
    let long = std::env::var_os("STEERDNS_LONG").is_some();
    let (count, read_back) = if long { (COUNT_LONG, 40) } else { (COUNT, READ_BACK) };
    let halves = [1, 2].map(|seed| thread::spawn(move || run(seed, count / 2, read_back)));
    let halves = halves.map(|half| half.join().unwrap());
    let sum = |of: fn(&Counted) -> usize| halves.iter().map(of).sum::<usize>();
    let (answered, dropped) = (sum(|half| half.answered), sum(|half| half.dropped));
    println!(
        "{answered} answered, {dropped} dropped, {} transfers, {} read by hickory-proto, rcodes {:?}",
        sum(|half| half.streams),
        sum(|half| half.read_back),
        halves[0].rcodes
    );
    // Most must get to where something happens, and each kind of answer must have been met.
    assert!(answered > count * 3 / 4);
    for rcode in [0, 1, 2, 3, 4, 5, 9, 16] {
        assert!(rcode == 2 || halves[0].rcodes.contains_key(&rcode), "rcode {rcode} never came");
    }
    assert!(sum(|half| half.read_back) > count / read_back / 2 && sum(|half| half.streams) > 100);
    let hex: String = halves.iter().flat_map(|half| &half.sample).fold(String::new(), |mut hex, answer| {
        answer.iter().for_each(|octet| write!(hex, "{octet:02x}").unwrap());
        hex + "\n"
    });
    // Behind a signature nothing comes: who finds fault with it has read everything.
    let reads = "
import sys, dns.message, dns.tsig
for line in sys.stdin:
    try:
        dns.message.from_wire(bytes.fromhex(line), keyring=False)
    except (dns.tsig.BadTime, dns.tsig.BadSignature, dns.tsig.PeerError):
        pass
    except Exception as error:
        sys.exit(f'{error!r}: {line}')
";
    let Some(python) = dnspython() else { return };
    let mut child = Command::new(python)
        .args(["-c", reads])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Where it stops reading, it says why.
    let _ = std::io::Write::write_all(child.stdin.as_mut().unwrap(), hex.as_bytes());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What mutations once found.
#[test]
fn what_was_found_is_answered() {
    let ask_cookie = [header(0, [0, 0, 0, 1]), opt(1232, 0, 0, &[(10, &[1; 8])])].concat();
    let mut unsigned = signed(ask_cookie.clone(), "test.");
    *unsigned.last_mut().unwrap() ^= 1;
    // The answer said that a question stood in it: to a query for a cookie with a bad signature, and to one too many without a question.
    for (limited, packet) in [(false, &unsigned), (true, &ask_cookie), (true, &header(0, [0; 4]))] {
        let mut desk = world(limited);
        for _ in 0..3 {
            let (reply, buf) = desk.reply(packet);
            let Reply::Done(len, _) = reply else { panic!("{reply:?}") };
            judge(packet, &buf[..len], Transport::Udp).unwrap();
        }
    }
}
