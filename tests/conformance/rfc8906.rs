//! RFC 8906 §8: what an authoritative server must answer, and whatever else of it concerns us.

use crate::desk::{Desk, edns, header, name, opt, plain_opt, query, question};

const ZONE: &str = "live.example.com.";

/// §8.1.1, §3.2.1: the server answers for its zone with AA.
#[test]
fn s8_1_1_the_server_is_configured_for_the_zone() {
    let soa = Desk::new().ask(ZONE, "SOA");
    assert_eq!(soa.types(), [6]);
    assert!(soa.said.is("aa") && !soa.said.is("ra"));
    assert_eq!(soa.said.question, Some((name(ZONE), 6, 1)));
    assert!(soa.said.opt.is_none(), "no OPT where none was sent");
}

/// §8.1.2: an unknown type is NOERROR without data.
#[test]
fn s8_1_2_an_unknown_type_is_nodata() {
    let told = Desk::new().ask(ZONE, "TYPE1000");
    assert_eq!(told.counts(), (0, 0, 1, 0));
    assert!(told.said.is("aa") && told.said.opt.is_none());
}

/// §8.1.3.1 to §8.1.3.4: CD, AD, the reserved bit and RD do not change what is answered; none but CD and RD come back.
#[test]
fn s8_1_3_header_bits_do_no_harm() {
    for (flags, back) in [(0x0010, Some("cd")), (0x0020, None), (0x0040, None), (0x0100, Some("rd"))] {
        let packet = [header(flags, [1, 0, 0, 0]), question(ZONE, "SOA", 1)].concat();
        let told = Desk::new().tell(&packet).unwrap();
        assert_eq!((told.said.rcode, told.types()), (0, vec![6]), "{flags:#x}");
        let mut flags: Vec<_> = told.said.flags.iter().copied().collect();
        flags.retain(|flag| *flag != "aa");
        assert_eq!(flags, back.into_iter().collect::<Vec<_>>());
        assert_eq!(told.octets[3] & 0x40, 0, "Z is 0");
    }
}

/// §8.1.4: an unknown opcode is NOTIMP, without AA, and the opcode comes back.
#[test]
fn s8_1_4_unknown_opcodes_are_notimp() {
    for opcode in [1, 2, 3, 6, 15] {
        for packet in [
            header(opcode << 11, [0; 4]),
            [header(opcode << 11, [1, 0, 0, 0]), question(ZONE, "SOA", 1)].concat(),
        ] {
            let told = Desk::new().tell(&packet).unwrap();
            assert_eq!(told.counts(), (4, 0, 0, 0), "{opcode}");
            assert_eq!(u16::from(told.octets[2] >> 3 & 0xf), opcode);
            assert!(!told.said.is("aa"));
        }
    }
}

/// §3.1.4: NOTIFY and UPDATE are opcodes, too; in whatever class, and with whatever behind (CVE-2016-9131).
#[test]
fn s3_1_4_notify_and_update_are_notimp() {
    for opcode in [4, 5] {
        for class in [1, 3, 254, 255] {
            let soa = [&question(ZONE, "SOA", class)[..], &[0, 0, 0, 0, 0, 0]].concat();
            let packet =
                [header(opcode << 11 | 0x0400, [1, 1, 0, 0]), question(ZONE, "SOA", class), soa].concat();
            assert_eq!(Desk::new().tell(&packet).unwrap().counts(), (4, 0, 0, 0), "{opcode} {class}");
        }
    }
}

/// §8.1.5: TCP answers as UDP does.
#[test]
fn s8_1_5_tcp_answers_the_same() {
    let packet = query(ZONE, "SOA");
    assert_eq!(Desk::new().tell(&packet).unwrap().octets, Desk::new().tcp().tell(&packet).unwrap().octets);
}

/// §8.2.1: minimal EDNS is answered with EDNS 0.
#[test]
fn s8_2_1_minimal_edns() {
    let told = Desk::new().tell(&edns(ZONE, "SOA", &plain_opt())).unwrap();
    let opt = told.said.opt.unwrap();
    assert_eq!((told.types(), opt.version, opt.dnssec_ok), (vec![6], 0, false));
    assert!(told.options.is_empty());
}

/// §8.2.2: another version is BADVERS, with our version, and no answer.
#[test]
fn s8_2_2_version_negotiation() {
    let told = Desk::new().tell(&edns(ZONE, "SOA", &opt(1232, 1, 0, &[]))).unwrap();
    assert_eq!(told.counts(), (16, 0, 0, 0));
    assert_eq!(told.said.opt.unwrap().version, 0);
    assert!(!told.said.is("aa"));
}

/// §8.2.3: an unknown option is ignored, and does not come back.
#[test]
fn s8_2_3_unknown_options() {
    let told = Desk::new().tell(&edns(ZONE, "SOA", &opt(1232, 0, 0, &[(100, b""), (65001, b"x")]))).unwrap();
    assert_eq!((told.types(), told.said.opt.unwrap().version), (vec![6], 0));
    assert!(told.options.is_empty());
}

/// §8.2.4: unknown flags are ignored, and do not come back.
#[test]
fn s8_2_4_unknown_flags() {
    let told = Desk::new().tell(&edns(ZONE, "SOA", &opt(1232, 0, 0x0040, &[]))).unwrap();
    assert_eq!((told.types(), told.said.opt.unwrap().version), (vec![6], 0));
    let opt = told.octets.len() - 11;
    assert_eq!(told.octets[opt + 7..opt + 9], [0, 0], "Z is 0");
}

/// §8.2.5: another version with unknown flags is BADVERS, without those.
#[test]
fn s8_2_5_version_negotiation_with_unknown_flags() {
    let told = Desk::new().tell(&edns(ZONE, "SOA", &opt(1232, 1, 0x0040, &[]))).unwrap();
    assert_eq!((told.counts(), told.said.opt.unwrap().version), ((16, 0, 0, 0), 0));
    assert_eq!(told.octets[told.octets.len() - 4..][..2], [0, 0]);
}

/// §8.2.6: another version with unknown options is BADVERS, without those.
#[test]
fn s8_2_6_version_negotiation_with_unknown_options() {
    let told = Desk::new().tell(&edns(ZONE, "SOA", &opt(1232, 1, 0, &[(100, b"")]))).unwrap();
    assert_eq!((told.counts(), told.said.opt.unwrap().version), ((16, 0, 0, 0), 0));
    assert!(told.options.is_empty());
}

/// §8.2.7: a truncated answer has TC, and OPT.
#[test]
fn s8_2_7_truncated_answers_have_opt() {
    let lines: String = (0..60).map(|at| format!("long TXT \"{at} {}\"\n", "x".repeat(60))).collect();
    let told = Desk::with(&lines).tell(&edns("long.live.example.com.", "TXT", &opt(512, 0, 0, &[]))).unwrap();
    assert!(told.said.is("tc") && told.octets.len() <= 512);
    assert_eq!(told.said.opt.unwrap().version, 0);
}

/// §8.2.8: DO comes back (RFC 3225 §3).
#[test]
fn s8_2_8_do_comes_back() {
    let told = Desk::new().tell(&edns(ZONE, "SOA", &opt(1232, 0, 0x8000, &[]))).unwrap();
    assert!(told.said.opt.unwrap().dnssec_ok);
    assert_eq!(told.types(), [6]);
}

/// §8.2.9: another version with DO is BADVERS with DO.
#[test]
fn s8_2_9_version_negotiation_with_do() {
    let told = Desk::new().tell(&edns(ZONE, "SOA", &opt(1232, 1, 0x8000, &[]))).unwrap();
    let opt = told.said.opt.unwrap();
    assert_eq!((told.counts(), opt.version, opt.dnssec_ok), ((16, 0, 0, 0), 0, true));
}

/// §8.2.10: NSID, Client Subnet and COOKIE in one query are all answered.
#[test]
fn s8_2_10_several_defined_options() {
    let options: [(u16, &[u8]); 4] =
        [(3, b""), (8, b"\0\x01\0\0"), (9, b""), (10, b"\x01\x02\x03\x04\x05\x06\x07\x08")];
    let told = Desk::new().tell(&edns(ZONE, "SOA", &opt(4096, 0, 0, &options))).unwrap();
    assert_eq!(told.types(), [6]);
    assert_eq!(told.option(3), Some(&b"ns1"[..]));
    assert_eq!(told.option(8), Some(&b"\0\x01\0\0"[..]));
    assert_eq!(told.option(10).map(<[u8]>::len), Some(24));
    assert_eq!(told.options.len(), 3, "EXPIRE is answered in SOA queries by who is a secondary alone");
}

/// §3.1.2, §3.1.5: silence is for what is no query: an answer (QR=1), or what is shorter than a header.
#[test]
fn s3_silence_is_for_answers_alone() {
    let mut packet = query(ZONE, "SOA");
    packet[2] |= 0x80;
    assert!(Desk::new().tell(&packet).is_none(), "QR=1: two servers would answer each other for ever");
    for len in 0..12 {
        assert!(Desk::new().tell(&query(ZONE, "SOA")[..len]).is_none());
    }
    assert_eq!(Desk::new().tell(&query(ZONE, "SOA")[..12]).unwrap().said.rcode, 1);
}

/// §4, RFC 9619: QDCOUNT above 1 is FORMERR; so is 0, but for a query for a cookie (RFC 7873 §5.4).
#[test]
fn s4_one_question_is_asked() {
    for count in [0, 2, 3, 0xffff] {
        let packet =
            [header(0, [count, 0, 0, 0]), question(ZONE, "SOA", 1), question(ZONE, "NS", 1)].concat();
        let told = Desk::new().tell(&packet).unwrap();
        assert_eq!(told.counts(), (1, 0, 0, 0), "{count}");
        assert!(told.said.question.is_none());
    }
    assert_eq!(Desk::new().tell(&header(0, [0; 4])).unwrap().counts(), (1, 0, 0, 0));
}

/// §3.2.2: classes that are not served are REFUSED, meta types get an error that tells so.
#[test]
fn s3_2_2_other_classes_are_refused() {
    for class in [0, 2, 4, 254, 255, 1000] {
        let packet = [header(0, [1, 0, 0, 0]), question(ZONE, "SOA", class)].concat();
        assert_eq!(Desk::new().tell(&packet).unwrap().counts(), (5, 0, 0, 0), "{class}");
    }
    for (qtype, rcode) in [("TYPE41", 1), ("TYPE128", 4), ("TYPE249", 4), ("TYPE250", 4), ("TYPE253", 4)] {
        assert_eq!(Desk::new().ask(ZONE, qtype).counts(), (rcode, 0, 0, 0), "{qtype}");
    }
}

/// What is malformed is FORMERR with the question echoed as far as it was read.
#[test]
fn what_is_malformed_is_formerr() {
    let whole = query(ZONE, "SOA");
    let packets: &[(&str, Vec<u8>)] = &[
        ("cut in the question", whole[..whole.len() - 1].to_vec()),
        ("an octet behind the question", [&whole[..], &[0]].concat()),
        ("a pointer in the question", [header(0, [1, 0, 0, 0]), vec![0xc0, 12, 0, 1, 0, 1]].concat()),
        ("a pointer forwards", [header(0, [1, 0, 0, 0]), vec![0xc0, 200, 0, 1, 0, 1]].concat()),
        ("a label of kind 0x40", [header(0, [1, 0, 0, 0]), vec![0x41, b'a', 0, 0, 1, 0, 1]].concat()),
        ("a label of kind 0x80", [header(0, [1, 0, 0, 0]), vec![0x81, b'a', 0, 0, 1, 0, 1]].concat()),
        ("a name of 256 octets", {
            let name =
                [[&[63][..], &[b'a'; 63]].concat().repeat(3), vec![62], vec![b'a'; 62], vec![0]].concat();
            [header(0, [1, 0, 0, 0]), name, vec![0, 1, 0, 1]].concat()
        }),
        ("an OPT that is not there", [header(0, [1, 0, 0, 1]), question(ZONE, "SOA", 1)].concat()),
        (
            "300 records",
            [
                header(0, [1, 0, 0, 300]),
                question(ZONE, "SOA", 1),
                [&[0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0][..]; 300].concat(),
            ]
            .concat(),
        ),
    ];
    for (what, packet) in packets {
        let told = Desk::new().tell(packet).unwrap();
        assert_eq!(told.said.rcode, 1, "{what}");
        assert!(told.octets.len() <= packet.len().max(12), "{what}: no amplification");
    }
}
