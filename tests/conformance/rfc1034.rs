//! RFC 1034 §4.3.2, RFC 1035: what a nameserver answers.

use crate::desk::{Desk, Told, header, query, question};
use crate::support::ask::type_number;

const SOA: u16 = 6;

/// §4.3.2 step 3a: the node matches: its records of the type, and what belongs to them.
#[test]
fn s4_3_2_3a_a_match_and_its_additionals() {
    let told = Desk::new().ask("live.example.com.", "MX");
    assert_eq!(Told::owners(&told.said.answer), ["live.example.com. 3600 15"]);
    assert_eq!(Told::owners(&told.said.additional), ["mail.live.example.com. 3600 1"]);
    let told = Desk::new().ask("live.example.com.", "NS");
    assert_eq!(told.counts(), (0, 2, 0, 2), "A and AAAA of the one that is ours");
    let told = Desk::new().ask("_s._tcp.live.example.com.", "SRV");
    assert_eq!(Told::owners(&told.said.additional), ["mail.live.example.com. 3600 1"], "RFC 2782");
}

/// §4.3.2 step 3a: the node matches, but not the type: an empty answer with the SOA.
#[test]
fn s4_3_2_3a_no_data() {
    let told = Desk::new().ask("mail.live.example.com.", "TXT");
    assert_eq!((told.counts(), told.said.is("aa")), ((0, 0, 1, 0), true));
}

/// §4.3.2 step 3a: an alias, and where it leads: to its end, outside, or to nothing (RFC 6604 §3: the RCODE is that of the last name).
#[test]
fn s4_3_2_3a_aliases() {
    let told = Desk::new().ask("here.live.example.com.", "A");
    assert_eq!((told.counts(), told.types()), ((0, 2, 0, 0), vec![1, 5]));
    let told = Desk::new().ask("out.live.example.com.", "A");
    assert_eq!(
        (told.counts(), told.said.is("aa")),
        ((0, 1, 0, 0), true),
        "outside: nothing beside the alias"
    );
    let told = Desk::new().ask("gone.live.example.com.", "A");
    assert_eq!((told.counts(), told.said.is("aa")), ((3, 1, 1, 0), true), "RFC 6604 §3");
    let told = Desk::new().ask("here.live.example.com.", "CNAME");
    assert_eq!(told.types(), [5], "who asks for the alias gets the alias");
}

/// §3.6.2 "CNAME loops should be signalled", §5.2.2: a loop ends, each record told once, NOERROR as everybody does.
#[test]
fn s5_2_2_a_loop_of_aliases_ends() {
    let told = Desk::new().ask("one.live.example.com.", "A");
    assert_eq!((told.counts(), told.said.twice.len()), ((0, 2, 0, 0), 0));
    let told = Desk::with("self CNAME self\n").ask("self.live.example.com.", "A");
    assert_eq!(told.counts(), (0, 1, 0, 0));
}

/// A chain is followed for at most so many steps, whoever wrote it.
#[test]
fn a_chain_of_aliases_has_a_limit() {
    let chain = |links: usize| {
        let lines: String = (0..links).map(|at| format!("c{at} CNAME c{}\n", at + 1)).collect();
        Desk::with(&format!("{lines}c{links} A 192.0.2.1\n")).ask("c0.live.example.com.", "A")
    };
    assert_eq!(chain(5).types(), [1, 5, 5, 5, 5, 5]);
    let long = chain(100);
    assert!(!long.types().contains(&1), "{}", long.said);
    assert!((8..40).contains(&long.types().len()), "{}", long.said);
    assert_eq!(long.said.rcode, 0);
}

/// §4.3.2 step 3b: below a cut there is a referral: NS and glue, without AA; nothing but glue is told of what lies below (occlusion).
#[test]
fn s4_3_2_3b_referrals() {
    for (name, qtype) in
        [("sub", "A"), ("sub", "NS"), ("sub", "SOA"), ("a.b.sub", "TXT"), ("ns.sub", "A"), ("ns.sub", "ANY")]
    {
        let told = Desk::with("txt.sub TXT occluded\n").ask(&format!("{name}.live.example.com."), qtype);
        assert_eq!((told.counts(), told.said.is("aa")), ((0, 0, 2, 1), false), "{name} {qtype}");
    }
    let told = Desk::with("txt.sub TXT occluded\n").ask("txt.sub.live.example.com.", "TXT");
    assert_eq!(told.said.answer.len(), 0, "{}", told.said);
}

/// RFC 4035 §3.1.4.1: the DS of a cut is the parent's: here there is none.
#[test]
fn ds_is_answered_above_the_cut() {
    let told = Desk::new().ask("sub.live.example.com.", "DS");
    assert_eq!((told.counts(), told.said.is("aa")), ((0, 0, 1, 0), true));
    let line = "sub DS 1 13 2 E2D3C916F6DEEAC73294E8268FB5885044A833FC5459588F4A9184CFC41A5766\n";
    let told = Desk::with(line).ask("sub.live.example.com.", "DS");
    assert_eq!((told.types(), told.said.is("aa")), (vec![type_number("DS")], true));
}

/// RFC 8499 §7, RFC 4592 §2.2.2: a name that only has names below it exists.
#[test]
fn an_empty_non_terminal_exists() {
    for name in ["b.c", "c", "_tcp"] {
        let told = Desk::new().ask(&format!("{name}.live.example.com."), "A");
        assert_eq!(told.counts(), (0, 0, 1, 0), "{name}");
    }
    assert_eq!(Desk::new().ask("x.b.c.live.example.com.", "A").said.rcode, 3);
}

/// §4.3.2 step 2: the nearest of several zones answers, that of the parent for the DS of its child.
#[test]
fn s4_3_2_2_the_nearest_zone_answers() {
    let mut files = crate::desk::files();
    files.put(
        "zones/deep.live.example.com.zone",
        "$TTL 60\n@ SOA ns host 9 1 1 1 1\n@ NS ns\nns A 192.0.2.99\n",
    );
    let told = Desk::of(&files).ask("deep.live.example.com.", "SOA");
    assert_eq!(Told::owners(&told.said.answer), ["deep.live.example.com. 60 6"]);
    let told = Desk::of(&files).ask("x.deep.live.example.com.", "A");
    assert_eq!(Told::owners(&told.said.authority), ["deep.live.example.com. 1 6"]);
    let told = Desk::of(&files).ask("deep.live.example.com.", "DS");
    assert_eq!(Told::owners(&told.said.authority), ["live.example.com. 300 6"]);
}

/// §3.7: what is no zone of ours is REFUSED, without AA and without a referral upwards.
#[test]
fn outside_is_refused() {
    for name in [".", "com.", "example.com.", "live.example.net.", "xlive.example.com."] {
        let told = Desk::new().ask(name, "A");
        assert_eq!((told.counts(), told.said.is("aa")), ((5, 0, 0, 0), false), "{name}");
    }
}

/// RFC 1035 §2.3.3, RFC 4343: names are compared without case, and come back as they were asked (0x20), also as the owner of
/// what a wildcard or a service answers.
#[test]
fn s2_3_3_case_is_preserved() {
    for (name, qtype) in [
        ("mAiL.LiVe.eXaMpLe.CoM.", "A"),
        ("PLAY.live.EXAMPLE.com.", "A"),
        ("q.ANY.LIVE.EXAMPLE.COM.", "A"),
        ("NOTHING.live.example.COM.", "TXT"),
        ("HERE.live.example.com.", "A"),
        ("xX.oLd.LIVE.example.com.", "A"),
    ] {
        let packet = query(name, qtype);
        let told = Desk::new().tell(&packet).unwrap();
        assert_eq!(told.octets[12..packet.len()], packet[12..], "{name}");
        let first = &told.octets[packet.len()..];
        let dname_stands_first = name.contains("oLd");
        assert!(
            told.said.answer.is_empty() || dname_stands_first || first.starts_with(&[0xc0, 12]),
            "{name}"
        );
    }
}

/// RFC 1035 §4.1.4: a compressed name in a question is nothing that a resolver sends; pointers that lead nowhere are FORMERR.
#[test]
fn s4_1_4_pointers_in_a_question() {
    for pointer in [[0xc0, 12], [0xc0, 0], [0xc0, 0xff], [0xff, 0xff], [0x40, 1], [0x80, 1]] {
        let packet = [&header(0, [1, 0, 0, 0])[..], &pointer, &[0, 1, 0, 1]].concat();
        assert_eq!(Desk::new().tell(&packet).unwrap().counts(), (1, 0, 0, 0), "{pointer:02x?}");
    }
}

/// RFC 1035 §3.1: names of up to 255 octets, labels of up to 63.
#[test]
fn s3_1_the_longest_name() {
    let label = "x".repeat(63);
    let rest = 255 - 64 * 3 - "live.example.com.".len() - 1 - 1;
    let long = format!("{label}.{label}.{label}.{}.live.example.com.", "y".repeat(rest));
    assert_eq!(crate::desk::name(&long).len(), 255);
    assert_eq!(Desk::new().ask(&long, "A").said.rcode, 3);
    let one_more = [&[1, b'z'][..], &question(&long, "A", 1)].concat();
    let packet = [header(0, [1, 0, 0, 0]), one_more].concat();
    assert_eq!(Desk::new().tell(&packet).unwrap().counts(), (1, 0, 0, 0));
}

/// Class CH: who answers; everything else of it is REFUSED.
#[test]
fn chaos_names() {
    let chaos = |name: &str, qtype: &str| {
        let packet = [header(0, [1, 0, 0, 0]), question(name, qtype, 3)].concat();
        Desk::new().tell(&packet).unwrap()
    };
    for name in ["version.bind.", "version.server.", "id.server.", "hostname.bind."] {
        let told = chaos(name, "TXT");
        assert_eq!((told.said.rcode, told.types()), (0, vec![16]), "{name}");
        assert_eq!(told.said.answer.first().unwrap().class, 3, "{name}");
    }
    assert_eq!(chaos("live.example.com.", "TXT").said.rcode, 5);
    assert_eq!(chaos("authors.bind.", "TXT").said.rcode, 5);
    assert_eq!(chaos("commit.server.", "TXT").said.rcode, 5, "of no commit");
    assert_eq!(chaos("version.bind.", "A").types(), [0u16; 0]);
}

/// §4.2.1, RFC 2181 §6.1: a zone's SOA is asked at its apex alone.
#[test]
fn the_soa_stands_at_the_apex() {
    assert_eq!(Desk::new().ask("live.example.com.", "SOA").types(), [SOA]);
    assert_eq!(Desk::new().ask("mail.live.example.com.", "SOA").counts(), (0, 0, 1, 0));
}

/// CVE-2024-11187: of at most 13 names the addresses are added to an answer, however many it has.
#[test]
fn additional_names_have_a_bound() {
    let lines: String = (0..200).map(|at| format!("all MX {at} m{at}\nm{at} A 192.0.2.{at}\n")).collect();
    let told = Desk::with(&lines).tcp().ask("all.live.example.com.", "MX");
    assert_eq!(told.counts(), (0, 200, 0, 13));
}

/// `minimal_responses`: no addresses beside an answer; the glue of a referral, which is needed, is told.
#[test]
fn minimal_responses_hold_what_they_must() {
    let mut files = crate::desk::files();
    let server = &files.0[std::path::Path::new("steerdns.toml")];
    files.put("steerdns.toml", &format!("minimal_responses = true\n{server}"));
    let mut desk = Desk::of(&files);
    assert_eq!(desk.ask("live.example.com.", "MX").counts(), (0, 1, 0, 0));
    assert_eq!(desk.ask("live.example.com.", "NS").counts(), (0, 2, 0, 0));
    assert_eq!(desk.ask("x.sub.live.example.com.", "A").counts(), (0, 0, 2, 1));
    assert_eq!(
        desk.ask("mail.live.example.com.", "TXT").counts(),
        (0, 0, 1, 0),
        "the SOA is needed (RFC 2308 §3)"
    );
}
