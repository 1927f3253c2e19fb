//! RFC 7828: edns-tcp-keepalive.

use crate::desk::{Desk, Told, edns, opt, query};

const CODE: u16 = 11;
const ZONE: &str = "live.example.com.";

fn ask(desk: &mut Desk, octets: &[u8]) -> Told {
    desk.tell(&edns(ZONE, "SOA", &opt(1232, 0, 0, &[(CODE, octets)]))).unwrap()
}

/// §3.3.2: over TCP the idle time-out is told, in units of 100 ms: 10 s by default.
#[test]
fn s3_3_2_over_tcp_the_timeout_is_told() {
    let told = ask(&mut Desk::new().tcp(), &[]);
    assert_eq!((told.said.rcode, told.option(CODE)), (0, Some(&100u16.to_be_bytes()[..])));
}

/// §3.2.2: over UDP it is ignored.
#[test]
fn s3_2_2_over_udp_it_is_ignored() {
    let told = ask(&mut Desk::new(), &[]);
    assert_eq!((told.said.rcode, told.types(), told.option(CODE)), (0, vec![6], None));
}

/// §3.2.1: a client that has EDNS, but not this option, is told nothing; one without EDNS neither.
#[test]
fn s3_2_1_not_unasked() {
    let mut desk = Desk::new().tcp();
    assert_eq!(desk.tell(&edns(ZONE, "SOA", &opt(1232, 0, 0, &[]))).unwrap().option(CODE), None);
    assert_eq!(desk.tell(&query(ZONE, "SOA")).unwrap().options.len(), 0);
}

/// §3.2.1: a client sends no time-out; one that does is told ours over TCP, and over UDP nothing of it is heeded.
#[test]
fn s3_2_1_a_timeout_of_the_client_s_is_not_believed() {
    let told = ask(&mut Desk::new().tcp(), &[0xff, 0xff]);
    assert_eq!((told.said.rcode, told.option(CODE)), (0, Some(&100u16.to_be_bytes()[..])));
    let told = ask(&mut Desk::new(), &[0xff, 0xff]);
    assert_eq!((told.said.rcode, told.types(), told.option(CODE)), (0, vec![6], None));
}
