//! RFC 9660: ZONEVERSION.

use crate::desk::{Desk, edns, opt, query};

const CODE: u16 = 19;

/// §2.1, §3.2: labels of the zone, type SOA-SERIAL, the serial; for whatever is answered of a zone.
#[test]
fn s3_2_the_serial_of_the_zone() {
    let expected = [&[3, 0][..], &7u32.to_be_bytes()].concat();
    for name in
        ["live.example.com.", "play.live.example.com.", "nothing.live.example.com.", "www.live.example.com."]
    {
        let told = Desk::new().tell(&edns(name, "A", &opt(1232, 0, 0, &[(CODE, &[])]))).unwrap();
        assert_eq!(told.option(CODE), Some(&expected[..]), "{name}");
    }
}

/// §3.2: not where we are not authoritative.
#[test]
fn s3_2_not_without_authority() {
    let told = Desk::new().tell(&edns("example.org.", "A", &opt(1232, 0, 0, &[(CODE, &[])]))).unwrap();
    assert_eq!((told.said.rcode, told.option(CODE)), (5, None));
}

/// §3.2: not where it is not asked.
#[test]
fn s3_2_not_unasked() {
    assert_eq!(Desk::new().tell(&query("live.example.com.", "SOA")).unwrap().option(CODE), None);
    let told = Desk::new().tell(&edns("live.example.com.", "SOA", &opt(1232, 0, 0, &[]))).unwrap();
    assert_eq!(told.option(CODE), None);
}

/// §3.1: a query's option is empty; what is not is heeded all the same.
#[test]
fn s3_1_an_option_that_is_not_empty() {
    let told =
        Desk::new().tell(&edns("live.example.com.", "SOA", &opt(1232, 0, 0, &[(CODE, &[1, 2, 3])]))).unwrap();
    assert_eq!((told.said.rcode, told.option(CODE).map(<[u8]>::len)), (0, Some(6)));
}
