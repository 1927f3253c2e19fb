//! RFC 4592: wildcards.

use crate::desk::{Desk, Told};
use crate::support::ask::type_number;

/// §2.2.1, the example zone, as it stands there.
const EXAMPLE: &str = "
$ORIGIN example.
example.                 3600 IN  SOA   ns host 1 2 3 4 5
example.                 3600     NS    ns.example.com.
example.                 3600     NS    ns.example.net.
*.example.               3600     TXT   \"this is a wildcard\"
*.example.               3600     MX    10 host1.example.
sub.*.example.           3600     TXT   \"this is not a wildcard\"
host1.example.           3600     A     192.0.2.1
_ssh._tcp.host1.example. 3600     SRV   0 0 22 host1
_ssh._tcp.host2.example. 3600     SRV   0 0 22 host2
host2                    3600     A     192.0.2.2
subdel.example.          3600     NS    ns.example.com.
subdel.example.          3600     NS    ns.example.net.
";

fn ask(name: &str, qtype: &str) -> Told {
    Desk::zone("example.", EXAMPLE).ask(name, qtype)
}

/// §2.2.1: what is synthesised.
#[test]
fn s2_2_1_responses_from_the_wildcard() {
    let told = ask("host3.example.", "MX");
    assert_eq!(Told::owners(&told.said.answer), ["host3.example. 3600 15"]);
    assert_eq!(told.counts(), (0, 1, 0, 1), "and the address of the target");
    assert_eq!(ask("host3.example.", "A").counts(), (0, 0, 1, 0), "no error, but no data");
    let told = ask("foo.bar.example.", "TXT");
    assert_eq!(Told::owners(&told.said.answer), ["foo.bar.example. 3600 16"]);
}

/// §2.2.1: what is not.
#[test]
fn s2_2_1_responses_not_from_the_wildcard() {
    assert_eq!(ask("host1.example.", "MX").counts(), (0, 0, 1, 0), "host1 exists");
    assert_eq!(ask("sub.*.example.", "MX").counts(), (0, 0, 1, 0), "sub.*.example. exists");
    assert_eq!(
        ask("_telnet._tcp.host1.example.", "SRV").counts(),
        (3, 0, 1, 0),
        "_tcp.host1.example. exists"
    );
    let told = ask("host.subdel.example.", "A");
    assert_eq!((told.counts(), told.said.is("aa")), ((0, 0, 2, 0), false), "subdel.example. exists");
    assert_eq!(ask("ghost.*.example.", "MX").counts(), (3, 0, 1, 0), "*.example. exists");
}

/// §2.2.1: the wildcard itself is a name like any other.
#[test]
fn s2_2_1_the_wildcard_itself() {
    let told = ask("*.example.", "MX");
    assert_eq!(Told::owners(&told.said.answer), ["*.example. 3600 15"]);
    assert_eq!(ask("sub.*.example.", "TXT").types(), [16]);
}

/// §2.2.2: empty non-terminals exist, and stop a wildcard.
#[test]
fn s2_2_2_empty_non_terminals() {
    assert_eq!(ask("_tcp.host1.example.", "TXT").counts(), (0, 0, 1, 0));
    assert_eq!(ask("x._tcp.host1.example.", "TXT").said.rcode, 3);
}

/// §2.1.1, §3.3.1: the closest encloser alone has a say: a wildcard above it has none.
#[test]
fn s3_3_1_the_closest_encloser() {
    let desk = || Desk::with("* TXT top\n*.w TXT low\nx.w A 192.0.2.1\n");
    let text = |name: &str| desk().ask(name, "TXT").said.answer.first().map(|rr| rr.rdata.clone());
    assert_eq!(text("q.w.live.example.com."), Some(b"\x03low".to_vec()));
    assert_eq!(text("a.b.q.w.live.example.com."), Some(b"\x03low".to_vec()));
    assert_eq!(text("q.live.example.com."), Some(b"\x03top".to_vec()));
    assert_eq!(text("x.w.live.example.com."), None);
    assert_eq!(desk().ask("q.x.w.live.example.com.", "TXT").said.rcode, 3);
}

/// §4.1: SOA cannot stand at a wildcard but at the apex of a zone whose name begins with one; §4.2: NS makes a cut of the literal name.
#[test]
fn s4_2_ns_at_a_wildcard() {
    let zone = "@ 60 SOA ns host 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n*.w 60 NS ns\n";
    let told = Desk::zone("a.", zone).ask("q.w.a.", "A");
    assert_eq!((told.counts(), told.said.is("aa")), ((0, 0, 1, 0), true), "no referral is synthesised");
    let told = Desk::zone("a.", zone).ask("x.*.w.a.", "A");
    assert_eq!((told.counts(), told.said.is("aa")), ((0, 0, 1, 1), false));
}

/// §4.3: a CNAME at a wildcard is followed from the name that was asked.
#[test]
fn s4_3_cname_at_a_wildcard() {
    let told = Desk::with("*.al CNAME mail\n*.non CNAME q.no\n").ask("q.al.live.example.com.", "A");
    let mut owners = Told::owners(&told.said.answer);
    owners.sort();
    assert_eq!(owners, ["mail.live.example.com. 3600 1", "q.al.live.example.com. 3600 5"]);
    assert_eq!(Desk::with("*.non CNAME q.no\n").ask("x.non.live.example.com.", "A").counts(), (3, 1, 1, 0));
}

/// §4.4: DNAME at a wildcard is data alone: it has no say over what is below the names that it stands in for.
#[test]
fn s4_4_dname_at_a_wildcard() {
    let mut files = crate::desk::files();
    files.append("zones/live.example.com.zone", "*.d DNAME new\n");
    let told = Desk::of(&files).ask("q.d.live.example.com.", "DNAME");
    assert_eq!(told.types(), [type_number("DNAME")]);
    assert_eq!(
        Desk::of(&files).ask("q.d.live.example.com.", "A").counts(),
        (0, 0, 1, 0),
        "nothing is renamed"
    );
}

/// §4.5: SRV at a wildcard.
#[test]
fn s4_5_srv_at_a_wildcard() {
    let told = Desk::with("*.s SRV 1 2 3 mail\n").ask("_x._tcp.s.live.example.com.", "SRV");
    assert_eq!(told.counts(), (0, 1, 0, 1));
}

/// A wildcard at the apex stands in for everything that is not there.
#[test]
fn a_wildcard_at_the_apex() {
    let told = Desk::with("* A 192.0.2.7\n").ask("a.name.of.many.labels.live.example.com.", "A");
    assert_eq!(told.types(), [1]);
    assert_eq!(Desk::with("* A 192.0.2.7\n").ask("x.c.live.example.com.", "A").said.rcode, 3);
}

/// A service may stand at a wildcard, as a record does: right below its parent, for names that are not there.
#[test]
fn a_wildcard_service() {
    let desk = || Desk::with("x.any TXT here\n");
    for name in ["q", "a.b.c", "*"] {
        let told = desk().ask(&format!("{name}.any.live.example.com."), "A");
        assert_eq!((told.said.rcode, !told.types().is_empty()), (0, true), "{name}");
    }
    assert_eq!(desk().ask("x.any.live.example.com.", "A").counts(), (0, 0, 1, 0));
    assert_eq!(desk().ask("any.live.example.com.", "A").counts(), (0, 0, 1, 0));
    assert_eq!(desk().ask("q.any.live.example.com.", "TXT").counts(), (0, 0, 1, 0));
}
