//! RFC 7871: Client Subnet.

use crate::desk::{Desk, Told, edns, opt};

const PLAY: &str = "play.live.example.com.";

fn told(name: &str, qtype: &str, subnet: &[u8]) -> Told {
    Desk::new().tell(&edns(name, qtype, &opt(1232, 0, 0, &[(8, subnet)]))).unwrap()
}

fn addresses(told: &Told) -> Vec<Vec<u8>> {
    told.said.answer.iter().map(|rr| rr.rdata.clone()).collect()
}

/// §7.2.1: FAMILY, SOURCE and ADDRESS come back as they came, with a SCOPE.
#[test]
fn s7_2_1_what_came_comes_back_with_a_scope() {
    let singapore = told(PLAY, "A", b"\0\x01\x18\0\x0b\0\x01");
    let option = singapore.option(8).unwrap();
    assert_eq!((&option[..3], &option[4..]), (&b"\0\x01\x18"[..], &b"\x0b\0\x01"[..]));
    assert!((1..=24).contains(&option[3]), "{option:?}");
    assert_eq!(addresses(&singapore), [[192, 0, 2, 11], [192, 0, 2, 12]]);
    assert_eq!(addresses(&told(PLAY, "A", b"\0\x01\x18\0\x0b\x10\x01")), [[198, 51, 100, 21]]);
    assert_eq!(addresses(&told(PLAY, "A", b"\0\x02\x20\0\x2a\x01\0\0")), [[198, 51, 100, 21]]);
}

/// §7.2.1: what does not depend on the network has SCOPE 0.
#[test]
fn s7_2_1_static_data_have_scope_0() {
    for (name, qtype) in [
        ("text.live.example.com.", "TXT"),
        ("nothing.live.example.com.", "A"),
        (PLAY, "TXT"),
        ("sub.live.example.com.", "A"),
        ("x.old.live.example.com.", "A"),
        ("last.live.example.com.", "MX"),
        (PLAY, "ANY"),
    ] {
        assert_eq!(told(name, qtype, b"\0\x01\x18\0\x0b\0\x01").option(8).unwrap()[3], 0, "{name} {qtype}");
    }
}

/// §7.2.1: no option comes back where none came.
#[test]
fn s7_2_1_no_option_where_none_came() {
    let told = Desk::new().tell(&edns(PLAY, "A", &opt(1232, 0, 0, &[]))).unwrap();
    assert_eq!(told.option(8), None);
    assert_eq!(told.said.answer.len(), 2);
}

/// §7.2.1: behind an alias another scope may hold: with the option the CNAME alone is told.
#[test]
fn s7_2_1_the_first_alias_alone() {
    let with = told("www.live.example.com.", "A", b"\0\x01\x18\0\x0b\0\x01");
    assert_eq!((with.types(), with.option(8).unwrap()[3]), (vec![5], 0));
    assert_eq!(Desk::new().ask("www.live.example.com.", "A").types(), [1, 1, 5]);
}

/// §6, §7.1.2: what is not written as §6 wants is FORMERR, and the option does not come back (§7.2.2).
#[test]
fn s6_malformed_subnets_are_formerr() {
    let bad: &[&[u8]] = &[
        b"",
        b"\0",
        b"\0\x01",
        b"\0\x01\x18",
        b"\0\x01\x18\0",
        b"\0\x01\x18\0\x0b\0",
        b"\0\x01\x18\0\x0b\0\x01\0",
        b"\0\x01\x21\0\x0b\0\x01\0\0",
        b"\0\x02\x81\0\x2a\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\x03\0\0",
        b"\0\x01\x18\x18\x0b\0\x01",
        b"\0\x01\x17\0\x0b\0\x01",
        b"\xff\xff\0\0",
    ];
    for option in bad {
        let told = told(PLAY, "A", option);
        assert_eq!((told.counts(), told.option(8)), ((1, 0, 0, 0), None), "{option:x?}");
    }
    let twice = opt(1232, 0, 0, &[(8, b"\0\x01\0\0"), (8, b"\0\x01\0\0")]);
    assert_eq!(Desk::new().tell(&edns(PLAY, "A", &twice)).unwrap().said.rcode, 1);
}

/// Lengths 0 to 40 of whatever octets: FORMERR or an answer (abuse: option lengths).
#[test]
fn options_of_every_length_are_answered() {
    for len in 0..=40usize {
        for seed in 0..50usize {
            let option: Vec<u8> = (0..len).map(|at| (at * 37 + seed * 101 + len) as u8).collect();
            let mut option = option;
            if seed % 2 == 0 && len >= 4 {
                option[..2].copy_from_slice(&[0, 1 + (seed % 4 / 2) as u8]);
                option[3] = 0;
            }
            assert!([0, 1].contains(&told(PLAY, "A", &option).said.rcode));
        }
    }
}

/// §7.1.2: SOURCE 0 says: do not tell networks apart for me; the answer is that for a client of whom nothing is known, SCOPE 0.
#[test]
fn s7_1_2_source_0_is_nobody() {
    let told = told(PLAY, "A", b"\0\x01\0\0");
    assert_eq!(told.option(8), Some(&b"\0\x01\0\0"[..]));
    assert_eq!(told.said.answer.len(), 2);
}

/// §11.3: networks that nobody else can route: every boundary address gets an answer.
#[test]
fn boundary_addresses_are_answered() {
    let v4: [[u8; 4]; 5] = [[0; 4], [255; 4], [127, 0, 0, 1], [10, 0, 0, 1], [169, 254, 0, 1]];
    for address in v4 {
        let told = told(PLAY, "A", &[&b"\0\x01\x20\0"[..], &address].concat());
        assert!(!told.said.answer.is_empty(), "{address:?}");
    }
    for address in [
        "::",
        "::1",
        "::ffff:11.0.1.1",
        "2002:b00:101::",
        "64:ff9b::b00:101",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ] {
        let octets = address.parse::<std::net::Ipv6Addr>().unwrap().octets();
        let told = told(PLAY, "A", &[&b"\0\x02\x80\0"[..], &octets].concat());
        assert!(!told.said.answer.is_empty(), "{address}");
    }
}
