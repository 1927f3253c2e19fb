//! DNS: NSD over UDP and TCP, and servers that misbehave.

use steerdns::health::check::{Dns, DnsOver, Kind};
use steerdns::wire::name::Name;

use super::fake::{datagrams, nobody};
use super::peers::{Peer, Program, ZoneText};
use super::{LONG, SHORT, probe};

const ZONE: &str = "$TTL 60\n@ SOA ns1 host 1 3600 600 86400 60\n NS ns1\nns1 A 192.0.2.1\nwww A 192.0.2.1\n\
                    www A 192.0.2.2\nalias CNAME www\n";

fn dns(name: &str) -> Dns {
    let name = Name::parse(name, Some(&Name::root())).unwrap();
    Dns { name, rtype: 1, over: DnsOver::Udp, rcode: 0, answers: 1, authoritative: true }
}

#[tokio::test]
async fn nsd_is_understood_in_all_its_answers() {
    let zone = ZoneText { origin: "example.com.".into(), text: ZONE.into() };
    let Some(nsd) = Peer::start(Program::Nsd, &[zone]) else { return };
    for over in [DnsOver::Udp, DnsOver::Tcp] {
        let cases = [
            (dns("www.example.com"), "succeeded"),
            (Dns { answers: 2, ..dns("www.example.com") }, "succeeded"),
            (Dns { answers: 3, ..dns("www.example.com") }, "answer: 2 of 3 records"),
            (dns("alias.example.com"), "succeeded"),
            (dns("nope.example.com"), "answer: NXDOMAIN, not NOERROR"),
            (Dns { rcode: 3, answers: 0, ..dns("nope.example.com") }, "succeeded"),
            (Dns { rtype: 28, ..dns("www.example.com") }, "answer: 0 of 1 records"),
            (dns("www.example.org"), "answer: REFUSED, not NOERROR"),
        ];
        for (how, told) in cases {
            assert_eq!(probe(Kind::Dns(Dns { over, ..how }), nsd.address, LONG).await, told, "{over:?}");
        }
    }
    let at = nsd.address;
    drop(nsd);
    assert_eq!(probe(Kind::Dns(dns("www.example.com")), at, LONG).await, "connect: refused");
}

#[tokio::test]
async fn what_answers_another_question_is_not_heard() {
    let strangers = datagrams(|_, heard| {
        let response = |id: u8, octet: u8| {
            let mut octets = heard.to_vec();
            octets[0] ^= id;
            octets[2] = 0x84;
            octets[13] = octet;
            octets
        };
        vec![vec![], response(1, b'w'), response(0, b'v'), heard.to_vec()]
    })
    .await;
    let told = probe(Kind::Dns(dns("www.example.com")), strangers.at, SHORT).await;
    assert_eq!(told, "query: no answer within 400 ms");
    assert_eq!(probe(Kind::Dns(dns("a.example")), nobody().await, LONG).await, "connect: refused");
}

#[tokio::test]
async fn a_lost_query_is_no_failure() {
    let answers = datagrams(|number, heard| {
        let mut octets = heard.to_vec();
        octets[2] = 0x84;
        if number == 0 { vec![] } else { vec![octets] }
    })
    .await;
    let how = Dns { answers: 0, ..dns("www.example.com") };
    assert_eq!(probe(Kind::Dns(how), answers.at, LONG / 4).await, "succeeded");
}
