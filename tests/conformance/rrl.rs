//! Response rate limiting, to the query: no RFC says how, so what is promised stands here.

use crate::desk::{Desk, edns, files, opt, query};
use steerdns::answer::worker::{Reply, Worker};

fn desk(rrl: &str) -> Desk {
    let mut files = files();
    files.append("steerdns.toml", &format!("[rrl]\n{rrl}"));
    let mut desk = Desk::of(&files);
    *desk.worker() = Worker::of(1, 7);
    desk.peer = "198.51.100.7".parse().unwrap();
    desk
}

/// Octets that go out for so many queries of one second, and octets that come in.
fn octets(desk: &mut Desk, packet: &[u8], count: usize) -> (usize, usize) {
    let out = (0..count).map(|_| match desk.reply(packet) {
        (Reply::Done(len, _), _) => len,
        (Reply::Limited, _) => 0,
        (reply, _) => panic!("{reply:?}"),
    });
    (out.sum(), count * packet.len())
}

/// BCP 140: 10,000 forged queries a second bring less than twice their octets back, whatever is asked.
#[test]
fn amplification_is_below_2() {
    for (owner, qtype) in [
        ("live.example.com.", "NS"),
        ("live.example.com.", "ANY"),
        ("nothing.live.example.com.", "A"),
        ("play.live.example.com.", "AAAA"),
        ("x.sub.live.example.com.", "A"),
    ] {
        let packet = edns(owner, qtype, &opt(4096, 0, 0x8000, &[]));
        let (out, come) = octets(&mut desk(""), &packet, 10_000);
        assert!(out < 2 * come, "{owner} {qtype}: {out} for {come}");
    }
}

/// Kinds are counted apart: who is forged to get NXDOMAIN still gets data.
#[test]
fn kinds_are_counted_apart() {
    let mut desk = desk("rate = 10\nslip = 0\n");
    for _ in 0..50 {
        let _ = desk.tell(&query("nothing.live.example.com.", "A"));
    }
    assert!(desk.tell(&query("nothing.live.example.com.", "A")).is_none());
    assert_eq!(desk.ask("live.example.com.", "SOA").types(), [6]);
}

/// Networks are counted apart: an IPv4 /24, an IPv6 /56; and by the second.
#[test]
fn networks_and_seconds_are_counted_apart() {
    for (same, other) in [("198.51.100.200", "198.51.101.7"), ("2001:db8:0:ff::2", "2001:db8:0:100::1")] {
        let mut desk = desk("rate = 10\nslip = 0\n");
        desk.peer = if same.contains(':') { "2001:db8:0:1::1" } else { "198.51.100.7" }.parse().unwrap();
        for _ in 0..10 {
            assert!(desk.tell(&query("live.example.com.", "SOA")).is_some());
        }
        desk.peer = same.parse().unwrap();
        assert!(desk.tell(&query("live.example.com.", "SOA")).is_none(), "{same}");
        desk.peer = other.parse().unwrap();
        assert!(desk.tell(&query("live.example.com.", "SOA")).is_some(), "{other}");
        desk.peer = same.parse().unwrap();
        desk.unix_s += 1;
        assert!(desk.tell(&query("live.example.com.", "SOA")).is_some(), "a second later");
    }
}

/// `slip`: every so many-th answer that is one too many goes out empty, with TC; with 0 none, with 1 each.
#[test]
fn slip_says_how_many_come_back_by_tcp() {
    for (slip, expected) in [(0, 0), (1, 100), (2, 50), (5, 20)] {
        let mut desk = desk(&format!("rate = 10\nslip = {slip}\n"));
        let answers: Vec<_> =
            (0..110).filter_map(|_| desk.tell(&query("live.example.com.", "SOA"))).collect();
        let empty = answers.iter().filter(|told| told.said.is("tc") && told.said.answer.is_empty()).count();
        assert_eq!((answers.len() - empty, empty), (10, expected), "slip {slip}");
    }
}

/// Who is on the list, signs, or comes over TCP is not limited.
#[test]
fn who_is_exempt() {
    let mut listed = desk("rate = 1\nallow = [\"198.51.100.0/24\"]\n");
    let mut tcp = desk("rate = 1\n").tcp();
    for desk in [&mut listed, &mut tcp] {
        assert!(
            (0..100).all(|_| desk
                .tell(&query("live.example.com.", "SOA"))
                .is_some_and(|told| told.types() == [6]))
        );
    }
}
