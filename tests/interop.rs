//! What we and others make alike, so that servers of both kinds may stand behind one name: cookies by NSD, Knot and BIND.
//!
//! Part of the tier `peers`: without the programs it is skipped, loudly; with `STEERDNS_REQUIRE_PEERS=1` it fails.
#![allow(clippy::disallowed_methods, reason = "a test has clocks, sockets and programs of its own")]
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(unreachable_pub, dead_code, reason = "the world is shared with another test")]

mod support;

#[path = "server_life/world.rs"]
mod world;

use steerdns::answer::worker::Transport;
use support::ask::Question;
use support::message::{Said, options};
use support::peers::{COOKIE_SECRET, Peer, Program, ZoneText};
use support::served::{client, exchange};
use world::{SERVER, World, ZONE};

const ORIGIN: &str = "live.example.com.";
const CLIENT: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const COOKIE: u16 = 10;

/// A query for the SOA with a cookie.
fn query(cookie: &[u8]) -> Vec<u8> {
    let len = cookie.len() as u8;
    let opt = [&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, len + 4, 0, 10, 0, len], cookie].concat();
    let mut packet = [Question::new(ORIGIN, "SOA").octets(), opt].concat();
    packet[11] = 1;
    packet
}

/// RCODE, and the cookie that came back.
fn told(answer: &[u8]) -> (u16, Vec<u8>) {
    let cookie = options(answer).into_iter().find(|(code, _)| *code == COOKIE);
    (Said::read(answer).unwrap().rcode, cookie.unwrap().1)
}

/// RFC 9018 §1: a cookie of one server is good to all that have its secret.
#[test]
fn cookies_of_nsd_knot_and_bind_are_ours_and_ours_are_theirs() {
    let world = World::new();
    world.write("steerdns.toml", &format!("{SERVER}[cookies]\nsecret_file = \"cookies\"\n"));
    world.write("cookies", &format!("{COOKIE_SECRET}\n"));
    let served = world.serve();
    // From one socket: the client's address is hashed, too.
    let ask = |packet: &[u8]| told(&exchange(&client(served.addresses[0]), packet).unwrap());
    let (_, ours) = ask(&query(&CLIENT));
    assert_eq!((ours.len(), &ours[..8]), (24, &CLIENT[..]));
    for program in [Program::Nsd, Program::Knot, Program::Bind] {
        let zone = ZoneText { origin: ORIGIN.into(), text: ZONE.into() };
        let Some(peer) = Peer::start(program, &[zone]) else { continue };
        let ask_peer = |cookie: &[u8]| told(&peer.ask(&query(cookie), Transport::Udp));
        let (_, theirs) = ask_peer(&CLIENT);
        assert_eq!(
            ask(&query(&theirs)),
            (0, theirs.clone()),
            "{program:?}: theirs is good to us: it comes back"
        );
        let (rcode, renewed) = ask_peer(&ours);
        assert_eq!((rcode, renewed.len()), (0, 24), "{program:?}: ours is good to them");
        let mut forged = ours.clone();
        forged[23] ^= 1;
        // NSD answers all the same: a cookie frees from its limits alone.
        let expected = if program == Program::Nsd { 0 } else { 23 };
        assert_eq!(ask_peer(&forged).0, expected, "{program:?}: a forged one is not");
    }
}
