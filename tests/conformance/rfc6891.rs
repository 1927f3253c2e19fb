//! RFC 6891: EDNS(0).

use crate::desk::{Desk, edns, header, opt, plain_opt, question};

const ZONE: &str = "live.example.com.";

fn with_additional(count: u16, records: &[u8]) -> Vec<u8> {
    [&header(0, [1, 0, 0, count]), &question(ZONE, "SOA", 1), records].concat()
}

/// §6.1.1: one OPT at most.
#[test]
fn s6_1_1_two_opts_are_formerr() {
    let told = Desk::new().tell(&with_additional(2, &[plain_opt(), plain_opt()].concat())).unwrap();
    assert_eq!(told.counts(), (1, 0, 0, 0));
}

/// §6.1.1: it may stand anywhere in the additional section.
#[test]
fn s6_1_1_opt_need_not_be_last() {
    let other = b"\x01a\0\0\x10\0\x01\0\0\0\0\0\x02\x01x";
    for records in [[other, &plain_opt()[..]].concat(), [&plain_opt()[..], other].concat()] {
        let told = Desk::new().tell(&with_additional(2, &records)).unwrap();
        assert_eq!((told.types(), told.said.opt.is_some()), (vec![6], true));
    }
}

/// §6.1.1: in no other section, and at the root.
#[test]
fn s6_1_1_opt_elsewhere_is_formerr() {
    for counts in [[1, 1, 0, 0], [1, 0, 1, 0]] {
        let packet = [header(0, counts), question(ZONE, "SOA", 1), plain_opt()].concat();
        assert_eq!(Desk::new().tell(&packet).unwrap().said.rcode, 1, "{counts:?}");
    }
    let named = [&b"\x01a"[..], &plain_opt()].concat();
    assert_eq!(Desk::new().tell(&with_additional(1, &named)).unwrap().said.rcode, 1);
}

/// §6.1.1: an answer has an OPT just where the query has one, errors included.
#[test]
fn s6_1_1_opt_is_in_the_answer_just_where_it_is_in_the_query() {
    for (name, qtype, rcode) in [
        (ZONE, "SOA", 0),
        ("nothing.live.example.com.", "A", 3),
        ("example.org.", "A", 5),
        ("live.example.com.", "TYPE128", 4),
        ("play.live.example.com.", "A", 0),
        ("sub.live.example.com.", "A", 0),
    ] {
        let (without, with) =
            (Desk::new().ask(name, qtype), Desk::new().tell(&edns(name, qtype, &plain_opt())).unwrap());
        assert_eq!((without.said.rcode, without.said.opt.is_some()), (rcode, false), "{name} {qtype}");
        assert_eq!((with.said.rcode, with.said.opt.is_some()), (rcode, true), "{name} {qtype}");
    }
}

/// §6.1.2: options that run over the end of RDATA are malformed.
#[test]
fn s6_1_2_options_beyond_the_end_are_formerr() {
    for options in [&b"\0"[..], b"\0\x03", b"\0\x03\0", b"\0\x03\0\x01", b"\0\x03\xff\xff"] {
        let mut opt = plain_opt();
        opt[10] = options.len() as u8;
        let told = Desk::new().tell(&edns(ZONE, "SOA", &[&opt[..], options].concat())).unwrap();
        assert_eq!(told.said.rcode, 1, "{options:x?}");
        assert!(told.said.opt.is_some());
    }
}

/// §6.1.2: the same option many times, as an attacker might send it (CVE-2018-5744): NSID is answered once.
#[test]
fn s6_1_2_a_repeated_option_is_answered_once() {
    let options = vec![(3, &b""[..]); 20];
    let told = Desk::new().tell(&edns(ZONE, "SOA", &opt(1232, 0, 0, &options))).unwrap();
    assert_eq!(told.options, [(3, b"ns1".to_vec())]);
}

/// §6.1.3: the upper bits of the RCODE stand in the OPT; a query's are not looked at.
#[test]
fn s6_1_3_extended_rcodes() {
    let badvers = Desk::new().tell(&edns(ZONE, "SOA", &opt(1232, 7, 0, &[]))).unwrap();
    assert_eq!((badvers.octets[3] & 0xf, badvers.said.rcode), (0, 16));
    let mut odd = plain_opt();
    odd[5] = 0xff;
    assert_eq!(Desk::new().tell(&edns(ZONE, "SOA", &odd)).unwrap().said.rcode, 0);
}

/// §6.2.3: less than 512 means 512.
#[test]
fn s6_2_3_less_than_512_means_512() {
    let lines = format!("long TXT \"{}\" \"{}\"\n", "x".repeat(200), "y".repeat(200));
    for payload in [0, 1, 511, 512] {
        let told = Desk::with(&lines)
            .tell(&edns("long.live.example.com.", "TXT", &opt(payload, 0, 0, &[])))
            .unwrap();
        assert!(!told.said.is("tc") && told.said.answer.len() == 1, "{payload}");
    }
}

/// §6.2.5, §4.3: no datagram is longer than the client takes, and none than we send; without EDNS, than 512 octets.
#[test]
fn s6_2_5_no_answer_is_longer_than_allowed() {
    let lines: String = (0..40).map(|at| format!("long A 10.0.0.{at}\n")).collect();
    let lines: String =
        lines + &(0..60).map(|at| format!("longer TXT \"{at} {}\"\n", "x".repeat(99))).collect::<String>();
    let mut desk = Desk::with(&lines);
    for name in ["long.live.example.com.", "longer.live.example.com."] {
        for qtype in ["A", "TXT"] {
            let told = desk.ask(name, qtype);
            assert!(told.octets.len() <= 512);
            for payload in [512, 700, 1232, 4096, 65_535] {
                let told = desk.tell(&edns(name, qtype, &opt(payload, 0, 0, &[]))).unwrap();
                assert!(told.octets.len() <= usize::from(payload.min(1232)));
            }
        }
    }
}

/// §6.2.3: our own size is told.
#[test]
fn s6_2_3_our_size_is_told() {
    let told = Desk::new().tell(&edns(ZONE, "SOA", &opt(4096, 0, 0, &[]))).unwrap();
    let opt = told.octets.len() - 11;
    assert_eq!(told.octets[opt + 3..opt + 5], 1232u16.to_be_bytes());
}

/// RFC 5001 §2.1: NSID is told who asks for it, whatever its payload (Knot #774).
#[test]
fn nsid_is_told_whatever_stands_in_the_option() {
    for payload in [&b""[..], b"x", &[0; 300]] {
        let told = Desk::new().tell(&edns(ZONE, "SOA", &opt(1232, 0, 0, &[(3, payload)]))).unwrap();
        assert_eq!(told.option(3), Some(&b"ns1"[..]));
    }
}
