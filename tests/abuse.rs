//! What attackers send, to the program itself: after each attack an honest client's SOA is answered at once, by the same process.
//!
//! What a packet alone can do stands in `conformance` and `mutations`, what sockets can in `server`.
#![allow(clippy::disallowed_methods, reason = "attackers have clocks and sockets of their own")]
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(unreachable_pub, dead_code, reason = "the world is shared with another test")]

mod support;

#[path = "server_life/world.rs"]
mod world;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use steerdns::wire::name;
use support::ask::Question;
use support::message::{Said, options};
use support::served::{Served, client, exchange, until};
use world::{SERVER, World};

const ZONE: &str = "live.example.com.";
/// How soon an honest client has its answer, whatever else goes on.
const SOON: Duration = Duration::from_secs(2);
/// Half-open and slow TCP clients.
const HELD: usize = 10_000;
/// What a connection may hold at most, in KiB: a message that is not whole (64), answers that are not read (80), and itself.
const CONNECTION_KIB: usize = 148;
/// Connections that are held by default.
const CONNECTIONS: usize = 1024;

/// `[rrl]` and more, on loopback's own addresses: by default loopback is not limited.
fn limited(more: &str) -> World {
    let world = World::new();
    world.write("steerdns.toml", &format!("{SERVER}{more}"));
    world
}

/// A socket of that address.
fn from(address: [u8; 4], server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::from(address), 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

fn soa() -> Vec<u8> {
    Question::new(ZONE, "SOA").octets()
}

/// An honest client is answered, over UDP and over TCP.
fn is_well(served: &Served) {
    let server = served.addresses[0];
    let begun = Instant::now();
    let answer = exchange(&from([127, 9, 9, 9], server), &soa()).unwrap();
    assert_eq!(Said::read(&answer).unwrap().answer.len(), 1);
    let mut stream = connect([127, 9, 9, 8], server);
    assert_eq!(Said::read(&over(&mut stream, &soa()).unwrap()).unwrap().answer.len(), 1);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

/// A connection from that address.
fn connect(address: [u8; 4], server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// Asks over a connection.
fn over(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(&framed(message))?;
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// What comes within a moment of silence.
fn received(socket: &UdpSocket) -> Vec<Vec<u8>> {
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut buf = [0; 4096];
    std::iter::from_fn(|| socket.recv(&mut buf).ok().map(|len| buf[..len].to_vec())).collect()
}

/// Memory of the process in KiB, as the system counts it.
fn memory_kib(served: &Served) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// CVE-2000-0333, CVE-2015-1868, CVE-2015-5311: pointers that loop, chains of them, and label types that are none.
#[test]
fn names_that_never_end() {
    let served = World::new().serve();
    let pointer = |to: usize| [0xc0 | (to >> 8) as u8, to as u8];
    let chain: Vec<u8> = (0..120).flat_map(|at| pointer(14 + 2 * at)).collect();
    let names: [&[u8]; 6] =
        [&pointer(12), &pointer(14), &[1, b'a', 0xc0, 12], &[0xc0, 14, 0xc0, 12], &chain, &[0x41, 1, 0]];
    for name in names {
        let question = [&[0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], name, &[0, 1, 0, 1]].concat();
        // The same as the owner of a record behind a good question.
        let owner =
            [&Question::new(ZONE, "SOA").octets()[..], name, &[0, 41, 4, 208, 0, 0, 0, 0, 0, 0]].concat();
        for mut packet in [question, owner] {
            packet[11] = u8::from(packet.len() > 60);
            let answer = exchange(&client(served.addresses[0]), &packet).unwrap();
            assert_eq!(answer[3] & 15, 1, "FORMERR: {packet:02x?}");
        }
    }
    is_well(&served);
}

/// CVE-2012-0206, CVE-2024-2169: two servers that answer each other's answers do so for ever.
#[test]
fn answers_are_not_answered() {
    let served = World::new().serve();
    let socket = from([127, 0, 0, 1], served.addresses[0]);
    for flags in [0x80, 0x84, 0xff] {
        let mut packet = soa();
        packet[2] = flags;
        socket.send(&packet).unwrap();
    }
    assert_eq!(received(&socket).len(), 0);
    until("they are counted", || served.total("steerdns_dns_dropped_total") >= 3.0);
    is_well(&served);
}

/// CVE-2018-5744, CVE-2016-7068, CVE-2015-5477, CVE-2024-1975: many options, many records, TKEY and SIG(0): memory stays as it is.
#[test]
fn floods_within_a_message_leave_no_memory_behind() {
    let served = World::new().serve();
    let options: Vec<u8> = (0..20).flat_map(|_| [0, 3, 0, 4, 1, 2, 3, 4]).collect();
    let opt = [&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.len() as u8], &options[..]].concat();
    let with = |count: u16, records: Vec<u8>| {
        let mut packet = [soa(), records].concat();
        packet[10..12].copy_from_slice(&count.to_be_bytes());
        packet
    };
    let record = |rtype: u8| [0, 0, rtype, 0, 255, 0, 0, 0, 0, 0, 0];
    let records = |count: u16| with(count, (0..count).flat_map(|_| record(16)).collect());
    let packets = [with(1, opt), records(100), with(1, record(249).to_vec()), with(1, record(24).to_vec())];
    let socket = from([127, 0, 0, 1], served.addresses[0]);
    let flood = |rounds: usize| {
        for _ in 0..rounds {
            packets.iter().for_each(|packet| _ = socket.send(packet));
            // As many answers as questions: nobody waits for another.
            (0..packets.len()).for_each(|_| _ = socket.recv(&mut [0; 2048]).unwrap());
        }
    };
    let mut stream = connect([127, 0, 0, 2], served.addresses[0]);
    let mut round = || {
        let before = memory_kib(&served);
        flood(6000);
        (0..500).for_each(|_| assert_eq!(over(&mut stream, &records(300)).unwrap()[3] & 15, 1));
        memory_kib(&served).saturating_sub(before)
    };
    // What leaks grows in each round, by 250 KiB if ten octets of a message stay; what is merely touched first, once.
    let grown = [round(), round(), round(), round(), round()];
    assert!(grown[1..].iter().min() < Some(&128), "{grown:?} KiB");
    is_well(&served);
}

/// CVE-2019-10163, CVE-2016-9131 and UPDATE: thousands of both are refused, and the zone is what it was.
#[test]
fn bursts_of_notify_and_update_change_nothing() {
    let world = World::new();
    world.write("steerdns.toml", &format!("{SERVER}[transfer]\nallow = [\"127.0.0.0/8\"]\n"));
    let served = world.serve_warm();
    let axfr = || {
        let mut question = Question::new(ZONE, "SOA");
        question.qtype = 252;
        over(&mut connect([127, 0, 0, 1], served.addresses[0]), &question.octets()).unwrap()
    };
    let before = axfr();
    let socket = from([127, 0, 0, 1], served.addresses[0]);
    let mut delete = Vec::new();
    name::encode(b"ns1.live.example.com.", None, &mut delete).unwrap();
    let update = [&soa()[..], &delete, &[0, 1, 0, 255, 0, 0, 0, 0, 0, 0]].concat();
    for at in 0..2000 {
        let (mut packet, opcode) = if at % 2 == 0 { (soa(), 4) } else { (update.clone(), 5) };
        packet[2] = opcode << 3;
        packet[9] = u8::from(opcode == 5);
        let answer = exchange(&socket, &packet).unwrap();
        assert_eq!(answer[3] & 15, 4, "NOTIMP");
    }
    assert_eq!(axfr(), before);
    is_well(&served);
}

/// BCP 140: whoever asks too often gets so many answers, empty ones with TC, and silence; others get all of theirs.
#[test]
fn response_rate_limiting_holds_a_network_to_its_limit() {
    let served = limited("[rrl]\nrate = 50\nslip = 2\nallow = []\n").serve();
    let attacker = from([127, 1, 1, 1], served.addresses[0]);
    let beside = from([127, 1, 1, 200], served.addresses[0]);
    let honest = from([127, 2, 2, 2], served.addresses[0]);
    let begun = Instant::now();
    for at in 0..2000 {
        [&attacker, &beside][at % 2].send(&soa()).unwrap();
        if at % 200 == 0 {
            assert_eq!(Said::read(&exchange(&honest, &soa()).unwrap()).unwrap().answer.len(), 1);
        }
    }
    let answers = [received(&attacker), received(&beside)].concat();
    let seconds = begun.elapsed().as_secs() as usize + 2;
    let (empty, full): (Vec<_>, Vec<_>) =
        answers.iter().map(|answer| Said::read(answer).unwrap()).partition(|said| said.answer.is_empty());
    // Each of the threads gives its share and what chance may bring (docs/limits.md).
    assert!((25..=100 * seconds).contains(&full.len()), "{} full answers in {seconds} s", full.len());
    assert!(empty.iter().all(|said| said.is("tc") && said.rcode == 0));
    // Of those that came, every second one: a flood fills the queues of sockets, too, ours and the attacker's.
    let (limited, slipped) =
        (served.total("steerdns_rate_limited_total"), served.total("steerdns_rate_slipped_total"));
    assert!((100..=slipped as usize).contains(&empty.len()), "{} empty, {slipped} slipped", empty.len());
    assert!((slipped - limited).abs() <= 8.0, "{limited} limited, {slipped} slipped");
    // Over TCP, nobody is limited.
    let mut stream = connect([127, 1, 1, 1], served.addresses[0]);
    for _ in 0..200 {
        assert_eq!(Said::read(&over(&mut stream, &soa()).unwrap()).unwrap().answer.len(), 1);
    }
    is_well(&served);
}

/// RFC 7873 §5.2.3: who has a cookie gets BADCOOKIE in place of silence, and with what it bears, every answer.
#[test]
fn with_a_cookie_nobody_is_limited() {
    let served = limited("[rrl]\nrate = 10\nslip = 1\nallow = []\n").serve();
    let socket = from([127, 1, 1, 1], served.addresses[0]);
    let with = |cookie: &[u8]| {
        let len = cookie.len() as u8;
        let opt = [&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, len + 4, 0, 10, 0, len], cookie].concat();
        let mut packet = [soa(), opt].concat();
        packet[11] = 1;
        packet
    };
    let mut cookie = vec![7; 8];
    let limited = (0..1000).any(|_| {
        let answer = exchange(&socket, &with(&[7; 8])).unwrap();
        cookie = options(&answer)[0].1.clone();
        Said::read(&answer).unwrap().rcode == 23
    });
    assert!(limited && cookie.len() == 24);
    for _ in 0..500 {
        assert_eq!(Said::read(&exchange(&socket, &with(&cookie)).unwrap()).unwrap().answer.len(), 1);
    }
}

/// CVE-2018-5743, CVE-2020-8620, slowloris: ten thousand connections that send nothing, or an octet now and then, from many addresses.
#[test]
fn ten_thousand_held_connections_stop_nobody() {
    let most = rlimit::increase_nofile_limit(HELD as u64 + 2000).unwrap();
    assert!(most >= HELD as u64 + 1000, "at most {most} files may be open here");
    let served = World::new().serve();
    let server = served.addresses[0];
    let before = memory_kib(&served);
    let query = framed(&soa());
    let mut held = Vec::new();
    for at in 0..HELD {
        let address = [127, 3, (at / 200) as u8, (at % 200) as u8 + 1];
        let mut stream = connect(address, server);
        // One half sends nothing; of the other, each is at another octet, some of them in a message of 64 KiB.
        match at % 4 {
            0 | 1 => {}
            2 => _ = stream.write_all(&query[..at % query.len()]),
            _ => _ = stream.write_all(&[&[0xff, 0xff][..], &vec![0; at % 60_000]].concat()),
        }
        held.push(stream);
        if at % 1000 == 999 {
            for stream in held.iter_mut().skip(2).step_by(4) {
                // Whom we have closed cannot be written to.
                let _ = stream.write(&[0]);
            }
            is_well(&served);
        }
    }
    let (now, open) = (memory_kib(&served), served.total("steerdns_tcp_connections"));
    assert!(open <= CONNECTIONS as f64, "{open}");
    assert!(now < before + CONNECTIONS * CONNECTION_KIB, "{before} KiB, then {now} KiB");
    eprintln!("{HELD} connections held: {open} seated, {} KiB more than before", now.saturating_sub(before));
    assert!(served.total("steerdns_tcp_closed_total") >= (HELD - CONNECTIONS) as f64);
    is_well(&served);
}

/// CVE-2024-0760: who asks and asks, and reads nothing, is not read from, and costs a bounded amount.
#[test]
fn who_never_reads_is_held_to_a_bound() {
    let served = World::new().serve();
    let before = memory_kib(&served);
    let many: Vec<u8> = framed(&soa()).repeat(2000);
    let mut streams: Vec<TcpStream> =
        (0..50).map(|at| connect([127, 4, 0, at + 1], served.addresses[0])).collect();
    for stream in &mut streams {
        stream.set_nonblocking(true).unwrap();
        // Until nothing goes any more: then its own buffers and ours are full.
        let mut stuck = 0;
        while stuck < 20 {
            match stream.write(&many) {
                Ok(_) => stuck = 0,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    stuck += 1;
                    thread::sleep(Duration::from_millis(1));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    is_well(&served);
    let now = memory_kib(&served);
    assert!(now < before + streams.len() * CONNECTION_KIB + 4096, "{before} KiB, then {now} KiB");
}

/// RFC 5936 with secondaries that ask for all, and read nothing: each is held at what its window takes, and others get the zone whole.
#[test]
fn transfers_that_nobody_reads_are_held_back() {
    let world = World::new();
    world.write("steerdns.toml", &format!("{SERVER}[transfer]\nallow = [\"127.0.0.0/8\"]\n"));
    let many: String = (0..50_000).map(|at| format!("n{at} TXT \"{}\"\n", "x".repeat(100))).collect();
    world.write("zones/live.example.com.zone", &(world::ZONE.to_owned() + &many));
    let served = world.serve_warm();
    let mut question = Question::new(ZONE, "SOA");
    question.qtype = 252;
    let packet = framed(&question.octets());
    let before = memory_kib(&served);
    let stuck: Vec<TcpStream> = (0..40)
        .map(|at| {
            let mut stream = connect([127, 5, 0, at + 1], served.addresses[0]);
            stream.write_all(&packet).unwrap();
            stream
        })
        .collect();
    is_well(&served);
    let mut whole = connect([127, 6, 0, 1], served.addresses[0]);
    whole.write_all(&packet).unwrap();
    let (mut octets, mut len) = (0, [0; 2]);
    while octets < many.len() {
        whole.read_exact(&mut len).unwrap();
        let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
        whole.read_exact(&mut message).unwrap();
        octets += message.len();
    }
    let now = memory_kib(&served);
    assert!(now < before + stuck.len() * CONNECTION_KIB + 4096, "{before} KiB, then {now} KiB");
    is_well(&served);
}

/// CVE-2016-7072, CVE-2023-3341: connections to the admin listener, and nonsense on it, do not stop DNS.
#[test]
fn the_admin_listener_is_no_way_to_stop_dns() {
    let most = rlimit::increase_nofile_limit(HELD as u64 + 2000).unwrap();
    let served = World::new().serve();
    let admin = served.admin.unwrap();
    let mut held = Vec::new();
    for at in 0..usize::try_from(most).unwrap_or(HELD).saturating_sub(1000).min(HELD) {
        let Ok(mut stream) = TcpStream::connect_timeout(&admin, Duration::from_millis(200)) else { break };
        let _ = stream.write_all(&b"GET / HTTP/1.1\r\nX: "[..at % 19]);
        held.push(stream);
    }
    is_well(&served);
    for nonsense in [&b"\0\0\0\0\r\n\r\n"[..], b"GET \xff HTTP/9.9\r\n\r\n", &[b'A'; 100_000]] {
        if let Some(stream) = held.last_mut() {
            let _ = stream.write_all(nonsense);
        }
        held.pop();
    }
    is_well(&served);
    drop(held);
    until("metrics come again", || served.get("/metrics").contains("steerdns_"));
}
