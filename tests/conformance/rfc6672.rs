//! RFC 6672: DNAME.

use crate::desk::{Desk, Told};
use crate::support::message::Said;
use steerdns::wire::name::Name;

fn zone(lines: &str) -> Desk {
    Desk::zone("a.", &format!("$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n{lines}"))
}

/// The target of the CNAME that was synthesised for the name that was asked.
fn target(said: &Said) -> Option<String> {
    let asked = &said.question.as_ref()?.0;
    let cname = said.answer.iter().find(|rr| rr.rtype == 5 && rr.owner == *asked)?;
    Some(Name::from_wire(&cname.rdata).unwrap().to_string())
}

/// §2.2, table 1: how a name is substituted.
#[test]
fn s2_2_the_table_of_substitutions() {
    // The DNAME stands in the zone of its top label.
    let top = |lines: &str, top: &str| {
        Desk::zone(top, &format!("$TTL 60\n@ SOA ns.b. host.b. 1 2 3 4 5\n@ NS ns.b.\n{lines}"))
    };
    let short = "x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.";
    let long = format!("{}.{}.{}.", "y".repeat(63), "y".repeat(63), "y".repeat(63));
    for (qname, owner, dname, result) in [
        ("com.", "example.com.", "example.net.", Err(3)),
        ("example.com.", "example.com.", "example.net.", Err(0)),
        ("a.example.com.", "example.com.", "example.net.", Ok("a.example.net.")),
        ("a.b.example.com.", "example.com.", "example.net.", Ok("a.b.example.net.")),
        ("ab.example.com.", "b.example.com.", "example.net.", Err(3)),
        ("foo.example.com.", "example.com.", "example.net.", Ok("foo.example.net.")),
        ("a.x.example.com.", "x.example.com.", "example.net.", Ok("a.example.net.")),
        ("a.example.com.", "example.com.", "y.example.net.", Ok("a.y.example.net.")),
        ("cyc.example.com.", "example.com.", "example.com.", Ok("cyc.example.com.")),
        ("cyc.example.com.", "example.com.", "c.example.com.", Ok("cyc.c.example.com.")),
        ("shortloop.x.x.", "x.", ".", Ok("shortloop.x.")),
        ("shortloop.x.", "x.", ".", Ok("shortloop.")),
        (&format!("{short}example.com."), "example.com.", &long, Err(6)),
    ] {
        let last = owner.split('.').rev().nth(1).unwrap();
        let told = top(&format!("{owner} DNAME {dname}\n"), &format!("{last}.")).ask(qname, "A");
        match result {
            Ok(to) => assert_eq!(target(&told.said).as_deref(), Some(to), "{qname} at {owner}"),
            Err(6) => assert_eq!((told.said.rcode, target(&told.said)), (6, None), "{qname}"),
            // Some of them are names between: those exist.
            Err(_) => assert_eq!(target(&told.said), None, "{qname} at {owner}: {}", told.said),
        }
    }
}

/// §3.1: the CNAME has the TTL of the DNAME, which stands beside it; AA.
#[test]
fn s3_1_the_synthesised_cname() {
    let told = zone("old 77 DNAME new\nx.new A 192.0.2.9\n").ask("x.old.a.", "A");
    let mut owners = Told::owners(&told.said.answer);
    owners.sort();
    assert_eq!(owners, ["old.a. 77 39", "x.new.a. 60 1", "x.old.a. 77 5"]);
    assert!(told.said.is("aa"));
    assert_eq!(
        told.octets[told.octets.iter().position(|octet| *octet == 39).unwrap() - 1],
        0,
        "the DNAME first"
    );
}

/// §3.2: too long: YXDOMAIN, with the DNAME.
#[test]
fn s3_2_yxdomain() {
    let long = format!("{}.{}.{}", "y".repeat(63), "y".repeat(63), "y".repeat(63));
    let told = zone(&format!("old DNAME {long}\n")).ask(&format!("{}.old.a.", "z".repeat(63)), "A");
    assert_eq!((told.said.rcode, told.types(), told.said.is("aa")), (6, vec![39], true));
}

/// §2.3: the owner itself is not renamed: what else stands there is answered.
#[test]
fn s2_3_the_owner_itself() {
    let desk = || zone("old DNAME new\nold TXT here\n");
    assert_eq!(desk().ask("old.a.", "TXT").types(), [16]);
    assert_eq!(desk().ask("old.a.", "DNAME").types(), [39]);
    assert_eq!(desk().ask("old.a.", "A").counts(), (0, 0, 1, 0));
}

/// §2.4: below a DNAME nothing may stand: such a master file is refused.
#[test]
fn s2_4_names_below_a_dname() {
    let mut files = crate::desk::files();
    files.append("zones/live.example.com.zone", "below.old A 192.0.2.1\n");
    let issues = crate::support::world::World::start(&files).err().unwrap().to_string();
    assert!(issues.contains("DNAME"), "{issues}");
}

/// §2.4: one DNAME at a name.
#[test]
fn s2_4_two_dnames() {
    let mut files = crate::desk::files();
    files.append("zones/live.example.com.zone", "old DNAME other\n");
    let issues = crate::support::world::World::start(&files).err().unwrap().to_string();
    assert!(issues.contains("DNAME"), "{issues}");
}

/// §2.3: at the apex, beside SOA and NS.
#[test]
fn s2_3_at_the_apex() {
    let desk = || Desk::zone("a.", "$TTL 60\n@ SOA ns.b. host.b. 1 2 3 4 5\n@ NS ns.b.\n@ DNAME b.\n");
    assert_eq!(target(&desk().ask("x.y.a.", "A").said).as_deref(), Some("x.y.b."));
    assert_eq!(desk().ask("a.", "SOA").types(), [6]);
}

/// A chain of them, and of aliases, with its end; a loop ends.
#[test]
fn chains_and_loops() {
    let told = zone("o DNAME p\np DNAME q\nx.q CNAME ns\n").ask("x.o.a.", "A");
    assert_eq!(told.types(), [1, 5, 5, 5, 39, 39]);
    let told = zone("o DNAME p\np DNAME o\n").ask("x.o.a.", "A");
    assert_eq!((told.said.rcode, told.said.twice.len()), (0, 0));
    let told = zone("o DNAME o.o2\no2 DNAME o\n").ask("x.o.a.", "A");
    assert!(told.said.rcode == 0 && told.octets.len() <= 512, "{}", told.said);
}

/// §5.3.1 speaks of what is signed; unsigned, who asks for the CNAME gets both.
#[test]
fn the_cname_is_asked_for() {
    assert_eq!(zone("old DNAME new\n").ask("x.old.a.", "CNAME").types(), [5, 39]);
}
