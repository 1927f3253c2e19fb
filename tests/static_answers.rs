//! Static zones: RFC 1034 §4.3.2, RFC 4592, RFC 2308, RFC 6672, RFC 8482, read by an independent reader.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::sync::Arc;
use std::time::Instant;

use steerdns::answer::worker::Worker;
use steerdns::geo::places::Places;
use steerdns::plan::Plan;
use steerdns::plan::parts::{Parts, Settings};
use steerdns::publisher::Publisher;
use steerdns::snapshot::Snapshot;
use support::ask::{Answer, Question};

const ZONE: &str = "
$TTL 300
@       SOA ns1 hostmaster 7 3600 600 86400 60
@       NS  ns1
@       NS  ns2.elsewhere.org.
@       MX  10 mail
ns1     A   192.0.2.1
ns1     AAAA 2001:db8::1
mail    A   192.0.2.25
www     CNAME web
web     A   192.0.2.80
web     A   192.0.2.81
out     CNAME www.example.org.
gone    CNAME nothing
loop1   CNAME loop2
loop2   CNAME loop1
a.b.c   TXT deep
*.w     A   192.0.2.42
*.w     TXT wild
x.w     TXT exact
*.alias CNAME web
sub     NS  ns.sub
sub     NS  ns.elsewhere.org.
ns.sub  A   192.0.2.53
below   CNAME host.sub
old     DNAME new
o       DNAME a.much.longer.name
srv     SRV 1 2 80 web
";

fn world() -> Snapshot {
    let parts = Parts {
        zones: vec![
            support::zone("example.com.", ZONE),
            support::zone(
                "child.example.com.",
                "@ 60 SOA @ @ 1 2 3 4 5\n@ 60 NS ns1.example.com.\nx 60 A 192.0.2.99\n",
            ),
        ],
        settings: Settings {
            nsid: b"sin-ns1"[..].into(),
            version: "steerdns".into(),
            payload_max: 1232,
            ..Settings::default()
        },
        ..Parts::default()
    };
    let plan = Plan::new(parts, &Places::nothing()).unwrap();
    let now = Instant::now();
    Publisher::new(Arc::new(plan), &[], now).publish(now).0.unwrap()
}

fn ask(name: &str, qtype: &str) -> Answer {
    Question::new(name, qtype).ask(&world(), &mut Worker::default(), Instant::now())
}

const SOA: &str = "example.com. 60 SOA ns1.example.com. hostmaster.example.com. 7 3600 600 86400 60";

#[test]
fn data_is_answered_with_the_addresses_that_belong_to_it() {
    let mx = ask("example.com.", "MX");
    assert_eq!(mx.status(), "NOERROR aa");
    assert_eq!(mx.answers(), ["example.com. 300 MX 10 mail.example.com."]);
    assert_eq!(mx.additionals(), ["mail.example.com. 300 A 192.0.2.25"]);
    assert_eq!(ask("srv.example.com.", "SRV").additionals().len(), 2);
    let web = ask("WEB.example.com.", "A");
    assert_eq!(web.answers(), ["WEB.example.com. 300 A 192.0.2.80", "WEB.example.com. 300 A 192.0.2.81"]);
}

#[test]
fn what_does_not_exist_is_nxdomain_and_what_has_no_such_type_is_nodata() {
    for (name, qtype, status) in [
        ("nope.example.com.", "A", "NXDOMAIN aa"),
        ("deep.er.nope.example.com.", "A", "NXDOMAIN aa"),
        ("web.example.com.", "AAAA", "NOERROR aa"),
        ("b.c.example.com.", "A", "NOERROR aa"),
        ("c.example.com.", "TXT", "NOERROR aa"),
        ("x.w.example.com.", "A", "NOERROR aa"),
        ("y.x.w.example.com.", "A", "NXDOMAIN aa"),
        ("any.w.example.com.", "MX", "NOERROR aa"),
    ] {
        let answer = ask(name, qtype);
        assert_eq!(answer.status(), status, "{name}");
        assert_eq!(answer.answers(), [""; 0], "{name}");
        assert_eq!(answer.authorities(), [SOA], "{name}");
    }
    let child = ask("nope.child.example.com.", "A").authorities();
    assert_eq!(child, ["child.example.com. 5 SOA child.example.com. child.example.com. 1 2 3 4 5"]);
}

#[test]
fn a_wildcard_stands_in_for_what_is_missing_right_below_its_parent() {
    assert_eq!(ask("q.w.example.com.", "A").answers(), ["q.w.example.com. 300 A 192.0.2.42"]);
    assert_eq!(ask("p.q.w.example.com.", "TXT").answers(), ["p.q.w.example.com. 300 TXT wild"]);
    let alias = ask("some.long.name.alias.example.com.", "A").answers();
    assert_eq!(alias[0], "some.long.name.alias.example.com. 300 CNAME web.example.com.");
    assert_eq!(alias[1..], ["web.example.com. 300 A 192.0.2.80", "web.example.com. 300 A 192.0.2.81"]);
}

#[test]
fn aliases_are_followed_as_far_as_we_know() {
    let www = ask("www.example.com.", "A");
    assert_eq!(www.answers().len(), 3);
    assert_eq!(ask("www.example.com.", "CNAME").answers(), ["www.example.com. 300 CNAME web.example.com."]);
    let nodata = ask("www.example.com.", "MX");
    assert_eq!((nodata.answers().len(), nodata.authorities()), (1, vec![SOA.to_owned()]));
    let gone = ask("gone.example.com.", "A");
    assert_eq!((gone.status().as_str(), gone.answers().len()), ("NXDOMAIN aa", 1));
    let out = ask("out.example.com.", "A");
    assert_eq!((out.status().as_str(), out.answers().len(), out.authorities().len()), ("NOERROR aa", 1, 0));
    assert_eq!(ask("loop1.example.com.", "A").answers().len(), 2);
    let below = ask("below.example.com.", "A");
    assert_eq!((below.answers().len(), below.authorities().len(), below.additionals().len()), (1, 2, 1));
}

#[test]
fn below_a_delegation_there_is_a_referral_with_glue() {
    for name in
        ["sub.example.com.", "host.sub.example.com.", "ns.sub.example.com.", "a.b.host.sub.example.com."]
    {
        let answer = ask(name, "A");
        assert_eq!(answer.status(), "NOERROR", "{name}");
        let ns = ["sub.example.com. 300 NS ns.sub.example.com.", "sub.example.com. 300 NS ns.elsewhere.org."];
        assert_eq!(answer.authorities(), ns, "{name}");
        assert_eq!(answer.additionals(), ["ns.sub.example.com. 300 A 192.0.2.53"], "{name}");
    }
    let ds = ask("sub.example.com.", "DS");
    assert_eq!((ds.status().as_str(), ds.authorities()), ("NOERROR aa", vec![SOA.to_owned()]));
}

#[test]
fn the_closest_of_nested_zones_answers_but_for_ds() {
    assert_eq!(ask("x.child.example.com.", "A").answers(), ["x.child.example.com. 60 A 192.0.2.99"]);
    assert_eq!(ask("child.example.com.", "DS").authorities(), [SOA]);
    assert_eq!(ask("child.example.com.", "SOA").answers().len(), 1);
}

/// Zones that are served together, and the answer to one question.
fn among(zones: &[(&str, &str)], name: &str, qtype: &str) -> Answer {
    let zones = zones.iter().map(|(origin, text)| support::zone(origin, text)).collect();
    let settings = Settings { payload_max: 1232, ..Settings::default() };
    let plan = Plan::new(Parts { zones, settings, ..Parts::default() }, &Places::nothing()).unwrap();
    let now = Instant::now();
    let snapshot = Publisher::new(Arc::new(plan), &[], now).publish(now).0.unwrap();
    Question::new(name, qtype).ask(&snapshot, &mut Worker::default(), now)
}

const HEAD: &str = "$TTL 60\n@ SOA ns. host. 1 2 3 4 60\n@ NS ns.\n";

fn answers(zone: &str, name: &str, qtype: &str) -> (String, Vec<String>, usize) {
    let answer = among(&[("a.", &format!("{HEAD}{zone}"))], name, qtype);
    (answer.status(), answer.answers(), answer.authorities().len())
}

/// RFC 4592 §4.2: what it makes was once a referral with pointers into the middle of a label.
#[test]
fn a_delegated_wildcard_is_a_cut_at_its_own_name_alone() {
    let zone = "*.w NS ns.x.w\n*.w DS 1 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118\nal CNAME q.w\n";
    let answer = |name, qtype| answers(zone, name, qtype);
    assert_eq!(answer("abcdef.w.a.", "A"), ("NOERROR aa".into(), vec![], 1));
    assert_eq!(answer("b.c.w.a.", "NS").1, ["b.c.w.a. 60 NS ns.x.w.a."]);
    assert_eq!(answer("*.w.a.", "A"), ("NOERROR".into(), vec![], 1));
    assert_eq!(answer("x.*.w.a.", "A"), ("NOERROR".into(), vec![], 1));
    assert_eq!(answer("al.a.", "NS").1, ["al.a. 60 CNAME q.w.a.", "q.w.a. 60 NS ns.x.w.a."]);
}

#[test]
fn a_wildcard_alias_that_leads_back_to_its_wildcard_says_nothing_twice() {
    assert_eq!(answers("*.w CNAME foo.w\n", "foo.w.a.", "A").1, ["foo.w.a. 60 CNAME foo.w.a."]);
    assert_eq!(answers("*.w CNAME b\nb CNAME q.w\n", "q.w.a.", "A").1.len(), 2);
}

/// RFC 4592 §2.2.2: the name between was once NXDOMAIN, since the zone below holds all that makes it exist.
#[test]
fn names_between_a_zone_and_a_zone_below_it_exist() {
    for record in
        ["c.b NS ns.\n", "c.b DS 1 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118\n", "x.c.b A 192.0.2.1\n"]
    {
        let zones = [("a.", &*format!("{HEAD}{record}")), ("c.b.a.", HEAD)];
        let between = among(&zones, "b.a.", "A");
        assert_eq!((between.status().as_str(), between.authorities().len()), ("NOERROR aa", 1), "{record}");
    }
}

/// RFC 4035 §3.1.4.1: not the zone above that one, not the zone itself, and not past a delegation between them.
#[test]
fn ds_is_answered_by_the_next_zone_above() {
    let ds = "1 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118";
    let top = format!("{HEAD}c.b DS {ds}\nc.b NS ns.\nd NS ns.\n");
    let itself = format!("{HEAD}@ DS {ds}\n");
    let zones = [("a.", &*top), ("b.a.", HEAD), ("c.b.a.", &itself), ("x.d.a.", HEAD)];
    let skipped = among(&zones, "c.b.a.", "DS");
    assert_eq!((skipped.answers().len(), skipped.authorities()[0].split(' ').next()), (0, Some("b.a.")));
    let past = among(&zones, "x.d.a.", "DS");
    assert_eq!((past.status().as_str(), past.authorities()), ("NOERROR", vec!["d.a. 60 NS ns.".to_owned()]));
}

/// RFC 4035 §3.1.4.1 behind an alias: it was once answered with the referral, or by the zone below.
#[test]
fn an_alias_to_a_delegated_name_leads_to_its_ds() {
    let ds = "DS 1 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118";
    let zone = format!("al CNAME c\nc NS ns.\nc {ds}\nbare CNAME d\nd NS ns.\n");
    let answer = |name, qtype| answers(&zone, name, qtype);
    assert_eq!(answer("al.a.", "DS").1.len(), 2);
    assert_eq!(answer("al.a.", "A"), ("NOERROR aa".into(), vec!["al.a. 60 CNAME c.a.".into()], 1));
    let bare = among(&[("a.", &format!("{HEAD}{zone}"))], "bare.a.", "DS");
    assert!(bare.authorities()[0].starts_with("a. 60 SOA"), "{:?}", bare.authorities());
    let nested = among(&[("a.", &format!("{HEAD}{zone}")), ("c.a.", HEAD)], "al.a.", "DS");
    assert_eq!(nested.answers().len(), 2);
}

/// RFC 4035 §2.5: these two stand beside a CNAME.
#[test]
fn rrsig_and_nsec_are_not_asked_of_the_target_of_an_alias() {
    for qtype in ["RRSIG", "NSEC"] {
        assert_eq!(
            answers("al CNAME nothing\n", "al.a.", qtype),
            ("NOERROR aa".into(), vec![], 1),
            "{qtype}"
        );
    }
}

/// RFC 9471 §3: glue was once missed where a wildcard makes it, or where it lies in another zone of ours.
#[test]
fn glue_is_given_wherever_it_stands() {
    let top = format!("{HEAD}c NS ns.c\n*.c A 192.0.2.1\nd NS ns.x.d\nns.x.d A 192.0.2.2\n");
    let zones = [("a.", &*top), ("x.d.a.", HEAD)];
    assert_eq!(among(&zones, "q.c.a.", "A").additionals(), ["ns.c.a. 60 A 192.0.2.1"]);
    assert_eq!(among(&zones, "q.d.a.", "A").additionals(), ["ns.x.d.a. 60 A 192.0.2.2"]);
}

#[test]
fn below_a_dname_a_cname_is_made() {
    let answer = ask("a.b.old.example.com.", "A");
    let expected = [
        "old.example.com. 300 DNAME new.example.com.",
        "a.b.old.example.com. 300 CNAME a.b.new.example.com.",
    ];
    assert_eq!(answer.answers()[1..], expected[1..]);
    assert_eq!(answer.message.answers[0].name.to_string(), "old.example.com.");
    assert_eq!(ask("old.example.com.", "A").authorities(), [SOA]);
    let label = "x".repeat(63);
    let mut long = Question::new(&format!("{label}.{label}.{label}.{}.o.example.com.", "y".repeat(45)), "A");
    assert_eq!(long.octets().len(), 12 + 253 + 4);
    assert_eq!(long.ask(&world(), &mut Worker::default(), Instant::now()).status(), "YXDOMAIN aa");
    long.name = long.name.replace(".o.", ".old.");
    assert_eq!(long.ask(&world(), &mut Worker::default(), Instant::now()).status(), "NOERROR aa tc");
}

#[test]
fn outside_our_zones_everything_is_refused() {
    for name in ["example.org.", "com.", "."] {
        let answer = ask(name, "A");
        assert_eq!((answer.status().as_str(), answer.authorities().len()), ("REFUSED", 0), "{name}");
    }
}

#[test]
fn any_gets_hinfo_where_something_is_and_the_alias_where_one_is() {
    assert_eq!(ask("web.example.com.", "ANY").answers(), ["web.example.com. 3600 HINFO RFC8482 "]);
    assert_eq!(ask("www.example.com.", "ANY").answers(), ["www.example.com. 300 CNAME web.example.com."]);
    assert_eq!(ask("c.example.com.", "ANY").authorities(), [SOA]);
    assert_eq!(ask("sub.example.com.", "ANY").status(), "NOERROR");
}

#[test]
fn chaos_tells_who_answers() {
    let chaos = |name: &str| {
        let question = Question { qclass: 3, ..Question::new(name, "TXT") };
        question.ask(&world(), &mut Worker::default(), Instant::now())
    };
    assert!(chaos("version.bind.").answers()[0].contains("steerdns"));
    assert!(chaos("ID.server.").answers()[0].contains("sin-ns1"));
    assert_eq!(chaos("authors.bind.").status(), "REFUSED");
}

#[test]
fn types_that_ask_for_an_act_are_not_looked_up() {
    for (qtype, status) in
        [("AXFR", "REFUSED"), ("TYPE251", "REFUSED"), ("TYPE250", "NOTIMP"), ("TYPE41", "FORMERR")]
    {
        let mut question = Question::new("example.com.", "A");
        question.qtype = support::ask::type_number(qtype);
        assert_eq!(
            question.ask(&world(), &mut Worker::default(), Instant::now()).status(),
            status,
            "{qtype}"
        );
    }
}

/// RFC 7871 §7.2.2 and §7.4: what is not steered holds for everybody.
#[test]
fn a_client_subnet_comes_back_as_it_came_with_scope_0() {
    for (name, qtype) in [
        ("web.example.com.", "A"),
        ("nope.example.com.", "A"),
        ("sub.example.com.", "A"),
        ("example.org.", "A"),
    ] {
        let answer = Question::new(name, qtype).subnet("203.0.112.0/20").ask(
            &world(),
            &mut Worker::default(),
            Instant::now(),
        );
        assert_eq!(answer.subnet(), Some(vec![0, 1, 20, 0, 203, 0, 112]), "{name}");
    }
    assert_eq!(ask("web.example.com.", "A").subnet(), None);
}

#[test]
fn a_later_edns_version_gets_badvers_and_a_broken_subnet_formerr() {
    let mut question = Question::new("web.example.com.", "A");
    question.edns = Some(1232);
    question.subnet = Some(vec![0, 1, 24, 0, 1]);
    assert_eq!(question.ask(&world(), &mut Worker::default(), Instant::now()).status(), "FORMERR");
}

mod laws {
    use super::*;
    use proptest::prelude::*;
    use steerdns::answer::respond::respond;
    use steerdns::answer::worker::{Reply, Transport};

    const NAMES: [&str; 16] = [
        "example.com.",
        "www.example.com.",
        "web.example.com.",
        "gone.example.com.",
        "out.example.com.",
        "q.w.example.com.",
        "p.q.alias.example.com.",
        "sub.example.com.",
        "x.y.sub.example.com.",
        "a.old.example.com.",
        "nope.example.com.",
        "c.example.com.",
        "child.example.com.",
        "x.child.example.com.",
        "srv.example.com.",
        "org.",
    ];

    proptest! {
        /// No answer exceeds the client's size, and a truncated one still parses, with TC.
        #[test]
        fn answers_fit(name in 0..NAMES.len(), qtype in prop::sample::select(vec!["A", "AAAA", "NS", "MX", "SOA", "TXT", "ANY", "DS"]), payload in 0u16..2000, edns: bool) {
            let snapshot = world();
            let mut question = Question::new(NAMES[name], qtype);
            question.edns = edns.then_some(payload);
            let answer = question.ask(&snapshot, &mut Worker::default(), Instant::now());
            let most = if edns { usize::from(payload.clamp(512, 1232)) } else { 512 };
            prop_assert!(answer.octets.len() <= most);
            prop_assert_eq!(answer.message.metadata.id, 0xabcd);
            prop_assert_eq!(answer.message.queries.len(), 1);
        }

        /// Any octets get an answer that others can read, or none; and no panic.
        #[test]
        fn garbage_is_survived(mut octets in prop::collection::vec(any::<u8>(), 0..300), name in 0..NAMES.len(), at in 12usize..60, with in any::<u8>()) {
            let snapshot = world();
            let mut worker = Worker::default();
            let mut mutated = Question::new(NAMES[name], "A").subnet("203.0.113.0/24").octets();
            let end = mutated.len();
            mutated[at % end] = with;
            octets.truncate(300);
            for query in [octets, mutated] {
                let mut buf = query.clone();
                buf.resize(4096, 0x55);
                let peer = "192.0.2.1".parse().unwrap();
                if let Reply::Done(len, _) = respond(&snapshot, &mut worker, support::ask::at(Instant::now()), &mut buf, query.len(), peer, Transport::Udp) {
                    prop_assert!(len <= 1232);
                    prop_assert!(buf[2] & 0x80 != 0);
                    prop_assert_eq!(&buf[..2], &query[..2]);
                }
            }
        }
    }
}
