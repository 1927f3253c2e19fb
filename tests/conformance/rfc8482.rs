//! RFC 8482: ANY.

use crate::desk::{Desk, edns, opt};

/// §4.2: HINFO "RFC8482" where anything is.
#[test]
fn s4_2_hinfo() {
    for name in ["mail", "play", "ns1", "q.any"] {
        let told = Desk::new().ask(&format!("{name}.live.example.com."), "ANY");
        assert_eq!(told.one("HINFO").rdata, b"\x07RFC8482\0", "{name}");
        assert_eq!(told.counts(), (0, 1, 0, 0), "{name}");
    }
    assert_eq!(Desk::new().ask("live.example.com.", "ANY").types(), [13], "the apex, too");
}

/// §4.2, as §4.1 wants of a subset: where an alias is, the alias.
#[test]
fn s4_1_the_alias() {
    assert_eq!(Desk::new().ask("www.live.example.com.", "ANY").types(), [5]);
    assert_eq!(Desk::new().ask("x.old.live.example.com.", "ANY").types(), [5, 39]);
}

/// Where nothing is, it is as with any type.
#[test]
fn what_is_not_there() {
    assert_eq!(Desk::new().ask("nothing.live.example.com.", "ANY").said.rcode, 3);
    assert_eq!(Desk::new().ask("b.c.live.example.com.", "ANY").counts(), (0, 0, 1, 0));
    assert_eq!(Desk::new().ask("sub.live.example.com.", "ANY").counts(), (0, 0, 2, 1));
}

/// At a service it is the same for everybody: scope 0 (RFC 7871 §7.2.1), and over TCP, too.
#[test]
fn at_a_service_it_has_scope_0() {
    let subnet = [0, 1, 24, 0, 11, 0, 0];
    let told =
        Desk::new().tell(&edns("play.live.example.com.", "ANY", &opt(1232, 0, 0, &[(8, &subnet)]))).unwrap();
    assert_eq!((told.types(), told.option(8).unwrap()[3]), (vec![13], 0));
    assert_eq!(Desk::new().tcp().ask("play.live.example.com.", "ANY").types(), [13]);
}
