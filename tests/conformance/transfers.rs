//! RFC 5936: AXFR. RFC 1995: IXFR. RFC 1982: serials.

use crate::desk::{Desk, NOW_S, Told, edns, files, header, name, plain_opt, query, question};
use crate::support::message::Rr;
use steerdns::answer::transfer::Transfer;
use steerdns::answer::worker::Reply;
use steerdns::export::{editions, of_health};
use steerdns::publisher::Event;
use steerdns::snapshot::Snapshot;

const ZONE: &str = "live.example.com.";
const SOA: u16 = 6;
const PRIMARY: &str = "192.0.2.7";

/// Who may transfer.
fn granted(mut desk: Desk) -> Desk {
    desk.peer = PRIMARY.parse().unwrap();
    desk.tcp()
}

fn files_at(serial: u32, more: &str) -> crate::support::world::Files {
    let mut files = files();
    let path = std::path::Path::new("zones/live.example.com.zone");
    let text = files.0[path].replace("hostmaster 7 ", &format!("hostmaster {serial} "));
    files.put("zones/live.example.com.zone", &(text + more));
    files
}

/// The messages of a transfer.
fn messages(mut transfer: Box<Transfer>) -> Vec<Told> {
    let mut buf = vec![0; 65_535];
    std::iter::from_fn(|| transfer.next(&mut buf, NOW_S).map(|len| Told::read(&buf[..len]))).collect()
}

/// All records of some messages in their order.
fn records(messages: &[Told]) -> Vec<Rr> {
    let mut all = Vec::new();
    for told in messages {
        let octets = &told.octets;
        let mut at = 12;
        let count = |at: usize| usize::from(u16::from_be_bytes([octets[at], octets[at + 1]]));
        if count(4) == 1 {
            at = 12 + name(ZONE).len() + 4;
        }
        for _ in 0..count(6) {
            // Each is read out of a message of its own, beside the octets that its pointers lead to.
            let (rr, end) = crate::support::message::record_at(octets, at);
            all.push(rr);
            at = end;
        }
    }
    all
}

fn axfr(desk: &mut Desk) -> Vec<Rr> {
    records(&messages(desk.transfer(&query(ZONE, "AXFR"))))
}

fn ixfr_query(serial: u32) -> Vec<u8> {
    let rdata = [&[0, 0][..], &serial.to_be_bytes(), &[0; 16]].concat();
    let soa = [&name(ZONE)[..], &[0, 6, 0, 1, 0, 0, 0, 0, 0, rdata.len() as u8], &rdata].concat();
    [header(0, [1, 0, 1, 0]), question(ZONE, "IXFR", 1), soa].concat()
}

fn serial(rr: &Rr) -> u32 {
    u32::from_be_bytes(rr.rdata[rr.rdata.len() - 20..][..4].try_into().unwrap())
}

/// The serials of the SOAs, in their order.
fn serials(records: &[Rr]) -> Vec<u32> {
    records.iter().filter(|rr| rr.rtype == SOA).map(serial).collect()
}

/// RFC 5936 §2.2: the SOA, everything else once, the SOA.
#[test]
fn rfc5936_s2_2_soa_first_and_last() {
    let mut desk = granted(Desk::new());
    let all = axfr(&mut desk);
    assert_eq!((all[0].rtype, all.last()), (SOA, all.first()));
    let between = &all[1..all.len() - 1];
    assert!(between.iter().all(|rr| rr.rtype != SOA));
    let mut once = between.to_vec();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), between.len());
    let has = |owner: &str, rtype: u16| between.iter().any(|rr| rr.owner == name(owner) && rr.rtype == rtype);
    assert!(has("ns.sub.live.example.com.", 1), "§3.3: glue");
    assert!(has("old.live.example.com.", 39) && !has("x.old.live.example.com.", 5));
    assert!(has("play.live.example.com.", 1) && has("*.any.live.example.com.", 28), "services, as records");
}

/// RFC 5936 §2.2.1: question and AA in the first message, no question later; §2.2.5: the OPT where the query has one.
#[test]
fn rfc5936_s2_2_1_headers() {
    let mut desk =
        granted(Desk::with(&(0..4000).map(|at| format!("n{at} TXT \"{at}\"\n")).collect::<String>()));
    for (packet, has_opt) in [(query(ZONE, "AXFR"), false), (edns(ZONE, "AXFR", &plain_opt()), true)] {
        let messages = messages(desk.transfer(&packet));
        assert!(messages.len() > 3, "{}", messages.len());
        for (told, at) in messages.iter().zip(0..) {
            assert_eq!(told.octets[..2], [0xab, 0xcd]);
            assert!(told.said.is("aa") && !told.said.is("tc") && told.said.rcode == 0);
            assert_eq!(told.said.question.is_some(), at == 0);
            assert_eq!(told.said.opt.is_some(), has_opt && at == 0);
            assert_eq!((told.said.authority.len(), told.said.additional.len()), (0, 0));
        }
    }
}

/// RFC 5936 §2.2.2: what cannot be: not a zone's apex (NOTAUTH), not granted (REFUSED), over UDP (§4.2: not defined).
#[test]
fn rfc5936_s2_2_2_refusals() {
    let mut desk = granted(Desk::new());
    let rcode = |desk: &mut Desk, packet: &[u8]| desk.tell(packet).unwrap().counts();
    assert_eq!(rcode(&mut desk, &query("mail.live.example.com.", "AXFR")), (9, 0, 0, 0));
    assert_eq!(rcode(&mut desk, &query("example.org.", "AXFR")), (9, 0, 0, 0));
    assert_eq!(rcode(&mut Desk::new().tcp(), &query(ZONE, "AXFR")), (5, 0, 0, 0));
    assert_eq!(rcode(&mut Desk::new().tcp(), &ixfr_query(6)), (5, 0, 0, 0));
    let mut udp = Desk::new();
    udp.peer = PRIMARY.parse().unwrap();
    assert_eq!(rcode(&mut udp, &query(ZONE, "AXFR")), (5, 0, 0, 0));
}

/// RFC 5936 §3.1: a transfer is of one version of the zone, whatever is loaded while it goes on.
#[test]
fn rfc5936_s3_1_one_version_though_the_zone_is_reloaded() {
    let many = |word: &str| (0..4000).map(|at| format!("n{at} TXT \"{word}\"\n")).collect::<String>();
    let mut desk = granted(Desk::of(&files_at(1, &many("before"))));
    let mut transfer = desk.transfer(&query(ZONE, "AXFR"));
    let mut buf = vec![0; 65_535];
    let len = transfer.next(&mut buf, NOW_S).unwrap();
    let first = Told::read(&buf[..len]);
    desk.world.reload(&files_at(2, &many("behind"))).unwrap();
    let rest = messages(transfer);
    let all = records(&[vec![first], rest].concat());
    assert_eq!(serials(&all), [1, 1]);
    assert_eq!(all.iter().filter(|rr| rr.rdata == b"\x06before").count(), 4000);
    assert_eq!(all.iter().filter(|rr| rr.rdata == b"\x06behind").count(), 0);
    assert_eq!(serials(&axfr(&mut desk)), [2, 2]);
}

/// RFC 1995 §4: what changed, step by step: old SOA, what is gone, new SOA, what is new, between the newest SOAs.
#[test]
fn rfc1995_s4_steps() {
    let mut desk = granted(Desk::of(&files_at(1, "")));
    desk.world.reload(&files_at(2, "added A 192.0.2.99\n")).unwrap();
    desk.world.reload(&files_at(3, "added A 192.0.2.100\n")).unwrap();
    let all = records(&messages(desk.transfer(&ixfr_query(1))));
    let told: Vec<(u16, u32)> = all
        .iter()
        .map(|rr| (rr.rtype, if rr.rtype == SOA { serial(rr) } else { rr.rdata[3].into() }))
        .collect();
    assert_eq!(told, [(6, 3), (6, 1), (6, 2), (1, 99), (6, 2), (1, 99), (6, 3), (1, 100), (6, 3)]);
    let all = records(&messages(desk.transfer(&ixfr_query(2))));
    assert_eq!(serials(&all), [3, 2, 3, 3]);
}

/// RFC 1995 §2, §4: who has the newest, or a newer one (RFC 1982), gets the SOA alone; of whom the version is not known, the whole zone.
#[test]
fn rfc1995_s2_nothing_new_and_nothing_known() {
    let mut desk = granted(Desk::of(&files_at(7, "")));
    for theirs in [7, 8, 7 + 0x7fff_ffff] {
        let told = desk.tell(&ixfr_query(theirs)).unwrap();
        assert_eq!(told.types(), [SOA], "{theirs}");
    }
    let all = records(&messages(desk.transfer(&ixfr_query(3))));
    assert_eq!(serials(&all), [7, 7]);
    assert!(all.len() > 20);
}

/// RFC 1995 §2: over UDP what fits, else the SOA alone: the client comes back over TCP.
#[test]
fn rfc1995_s2_over_udp() {
    let mut desk = Desk::of(&files_at(1, ""));
    desk.peer = PRIMARY.parse().unwrap();
    desk.world.reload(&files_at(2, "added A 192.0.2.99\n")).unwrap();
    assert_eq!(desk.tell(&ixfr_query(1)).unwrap().said.answer.len(), 3, "two SOAs and a record");
    let many: String = (0..100).map(|at| format!("added A 192.0.2.{at}\n")).collect();
    desk.world.reload(&files_at(3, &many)).unwrap();
    let told = desk.tell(&ixfr_query(1)).unwrap();
    assert_eq!((told.types(), told.said.is("tc")), (vec![SOA], false));
}

/// RFC 1995 §3: the SOA of the client in the authority section: what is something else is FORMERR.
#[test]
fn rfc1995_s3_without_a_serial() {
    let mut desk = granted(Desk::new());
    let without = query(ZONE, "IXFR");
    let text = [&name(ZONE)[..], &[0, 16, 0, 1, 0, 0, 0, 0, 0, 2, 1, b'x']].concat();
    let other = [header(0, [1, 0, 1, 0]), question(ZONE, "IXFR", 1), text].concat();
    let mut short = ixfr_query(1);
    short.truncate(short.len() - 4);
    for packet in [without, other, short] {
        match desk.reply(&packet) {
            (Reply::Done(len, _), buf) => assert_eq!(Told::read(&buf[..len]).said.rcode, 1),
            (reply, _) => panic!("{reply:?}"),
        }
    }
}

/// A serial that stood for two things: no difference leads on from it, whoever has it gets the whole zone.
#[test]
fn rfc1995_s4_no_steps_from_a_serial_that_was_given_out_twice() {
    let mut desk = granted(Desk::of(&files_at(1, "added A 192.0.2.1\n")));
    desk.world.reload(&files_at(1, "added A 192.0.2.2\n")).unwrap();
    desk.world.reload(&files_at(2, "added A 192.0.2.2\n")).unwrap();
    let all = records(&messages(desk.transfer(&ixfr_query(1))));
    assert_eq!(serials(&all), [2, 2], "the whole zone");
    assert!(all.len() > 20);
}

/// RFC 5936 §3.4: names in data keep their case, whatever that of the question, or of names before them; owners are in lower case.
#[test]
fn rfc5936_s3_4_case_is_kept() {
    let mut desk = granted(Desk::with("mixed CNAME MiXed.live.example.com.\n"));
    let packet = query("LIVE.EXAMPLE.COM.", "AXFR");
    let mut transfer = desk.transfer(&packet);
    let mut buf = vec![0; 65_535];
    let len = transfer.next(&mut buf, NOW_S).unwrap();
    let holds = |word: &[u8]| buf[packet.len()..len].windows(word.len()).any(|octets| octets == word);
    assert!(holds(b"\x04live\x07example\x03com\0") && holds(b"\x05mixed") && holds(b"\x05MiXed"));
}

/// A zone of health of which nothing is known yet is not given out.
#[test]
fn while_health_is_not_known_its_zone_waits() {
    let mut files = files();
    let path = "zones/live.example.com.toml";
    let text = format!("export = \"health\"\n{}", files.0[std::path::Path::new(path)]);
    files.put(path, &text);
    let mut desk = granted(Desk::of(&files));
    assert!(!axfr(&mut desk).is_empty());
    desk.world = crate::support::world::World::start(&files).unwrap();
    assert_eq!(desk.tell(&query(ZONE, "AXFR")).unwrap().said.rcode, 2);
}

/// In a zone of health an alias to the apex tells the SOA that the apex has.
#[test]
fn the_soa_behind_an_alias_has_the_serial_of_the_edition() {
    let mut files = files();
    let path = "zones/live.example.com.toml";
    let text = format!("export = \"health\"\n{}", files.0[std::path::Path::new(path)]);
    files.put(path, &text);
    files.append("zones/live.example.com.zone", "apex CNAME @\n");
    let mut desk = granted(Desk::of(&files));
    let soa = |told: Told| told.said.answer.iter().find(|rr| rr.rtype == SOA).map(serial).unwrap();
    let behind = soa(desk.ask("apex.live.example.com.", "SOA"));
    assert_eq!((behind, behind), (soa(desk.ask(ZONE, "SOA")), 1_800_000_000));
}

/// RFC 1995 §2: a serial does not go back. An edition of health that comes into force while a reload is read stays, and nobody is told of
/// the one before it.
#[test]
fn a_reload_puts_no_older_edition_of_health_back() {
    let mut files = files();
    let path = "zones/live.example.com.toml";
    files.put(path, &format!("export = \"health\"\n{}", files.0[std::path::Path::new(path)]));
    let mut desk = granted(Desk::of(&files));
    let world = &mut desk.world;
    let before = world.snapshot.edition(0).unwrap().clone();
    let plan = editions(files.load().unwrap().plan, &|_| Some(before.clone()), &|_| None, world.now, NOW_S);
    let all_up = Snapshot::all_up(world.snapshot.plan.clone());
    let next = of_health(&world.snapshot, &all_up, 0, true, world.now, NOW_S).unwrap();
    let serial = next.serial();
    assert!(serial > before.serial());
    world.handle(Event::Edited(next.into()));
    world.handle(Event::Loaded(plan.into()));
    assert_eq!(world.snapshot.edition(0).unwrap().serial(), serial);
    assert!(world.news.last().unwrap().edited.is_empty(), "{:?}", world.news.last());
}
