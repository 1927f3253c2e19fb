//! RFC 2308: what is not there.

use crate::desk::{Desk, Told};

fn desk(ttl_s: u32, minimum_s: u32) -> Desk {
    Desk::zone(
        "a.",
        &format!(
            "@ {ttl_s} SOA ns host 1 2 3 4 {minimum_s}\n@ 60 NS ns\nns 60 A 192.0.2.1\nal 60 CNAME no\nw.x 60 CNAME ns\n"
        ),
    )
}

/// §2.1, §3: NXDOMAIN with the SOA in the authority section, AA, and nothing else.
#[test]
fn s2_1_name_error() {
    let told = desk(600, 60).ask("no.a.", "A");
    assert_eq!((told.counts(), told.said.is("aa")), ((3, 0, 1, 0), true));
}

/// §2.2: no data: NOERROR with the SOA.
#[test]
fn s2_2_no_data() {
    let told = desk(600, 60).ask("ns.a.", "TXT");
    assert_eq!((told.counts(), told.said.is("aa")), ((0, 0, 1, 0), true));
    assert_eq!(desk(600, 60).ask("x.a.", "A").counts(), (0, 0, 1, 0), "an empty non-terminal, too");
}

/// §2.1: an alias that leads to nothing: NXDOMAIN, with the alias; to a name without data (§2.2): NOERROR.
#[test]
fn s2_1_behind_an_alias() {
    assert_eq!(desk(600, 60).ask("al.a.", "A").counts(), (3, 1, 1, 0));
    assert_eq!(desk(600, 60).ask("w.x.a.", "TXT").counts(), (0, 1, 1, 0));
}

/// §5: the SOA is told with the least of its TTL and its MINIMUM; asked for itself, with its own TTL.
#[test]
fn s5_the_least_of_ttl_and_minimum() {
    for (ttl_s, minimum_s) in [(600, 60), (60, 600), (300, 300), (0, 60), (60, 0)] {
        let told = desk(ttl_s, minimum_s).ask("no.a.", "A");
        assert_eq!(Told::owners(&told.said.authority), [format!("a. {} 6", ttl_s.min(minimum_s))]);
        let told = desk(ttl_s, minimum_s).ask("a.", "SOA");
        assert_eq!(Told::owners(&told.said.answer), [format!("a. {ttl_s} 6")]);
    }
}

/// A service without addresses of a family says so in the same way.
#[test]
fn a_service_without_the_type() {
    let told = Desk::new().ask("play.live.example.com.", "TXT");
    assert_eq!(Told::owners(&told.said.authority), ["live.example.com. 300 6"]);
}
