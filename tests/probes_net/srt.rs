//! SRT: srt-live-transmit with a passphrase and without, and listeners that misbehave.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use steerdns::health::check::{Kind, Rejected, Srt};
use tokio::net::UdpSocket;

use super::fake::{datagrams, nobody};
use super::peer::{Running, installed};
use super::{LONG, SHORT, peers, probe};

const PROGRAM: &str = "/usr/bin/srt-live-transmit";

fn srt(streamid: Option<&str>, rejected: Rejected) -> Kind {
    Kind::Srt(Srt { streamid: streamid.map(Into::into), rejected })
}

/// The handshake that came, as an answer: its version, field for extensions, type, and to that socket.
fn reply(heard: &[u8], version: u32, field: u16, kind: u32) -> Vec<u8> {
    let mut octets = heard[..64].to_vec();
    octets[12..16].copy_from_slice(&heard[40..44]);
    octets[16..20].copy_from_slice(&version.to_be_bytes());
    octets[22..24].copy_from_slice(&field.to_be_bytes());
    octets[36..40].copy_from_slice(&kind.to_be_bytes());
    octets[40..44].copy_from_slice(&7u32.to_be_bytes());
    octets[44..48].copy_from_slice(b"cake");
    octets
}

#[tokio::test]
async fn an_induction_is_enough_where_no_stream_is_named() {
    let server = datagrams(|_, heard| vec![reply(heard, 5, 0x4A17, 1)]).await;
    assert_eq!(probe(srt(None, Rejected::Succeeds), server.at, LONG).await, "succeeded");
    assert_eq!(server.heard.load(Ordering::SeqCst), 1, "nothing more is asked");
}

#[tokio::test]
async fn a_conclusion_carries_the_cookie_and_the_stream_and_is_shut_down() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = datagrams(move |number, heard| {
        tell.send(heard.to_vec()).unwrap();
        match number {
            0 => vec![reply(heard, 5, 0x4A17, 1)],
            1 => vec![reply(heard, 5, 5, 0xFFFF_FFFF)],
            _ => vec![],
        }
    })
    .await;
    assert_eq!(probe(srt(Some("#!::r=a"), Rejected::Fails), server.at, LONG).await, "succeeded");
    let three = async { [told.recv().await, told.recv().await, told.recv().await].map(Option::unwrap) };
    let accepted = Instant::now();
    let [hello, wish, end] = tokio::time::timeout(LONG, three).await.unwrap();
    assert!(accepted.elapsed() > SHORT, "its program must hear of us before we go");
    assert_eq!(hello.len(), 64);
    assert_eq!(wish[44..48], *b"cake");
    assert!(wish.ends_with(b"::!#\0a=r"), "word by word the other way round");
    assert_eq!((&end[..2], &end[12..16]), (&[0x80, 5][..], &7u32.to_be_bytes()[..]));
}

#[tokio::test]
async fn a_stream_that_is_accepted_too_late_is_shut_down_all_the_same() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = server.local_addr().unwrap();
    let late = async {
        let (hello, from) = receive(&server).await;
        server.send_to(&reply(&hello, 5, 0x4A17, 1), from).await.unwrap();
        receive(&server).await
    };
    let (told, (wish, from)) = tokio::join!(probe(srt(Some("a"), Rejected::Fails), at, SHORT), late);
    assert_eq!(told, "stream: no answer within 400 ms");
    server.send_to(&reply(&wish, 5, 5, 0xFFFF_FFFF), from).await.unwrap();
    let (mut end, _) = receive(&server).await;
    if end == wish {
        (end, _) = receive(&server).await; // It had been asked for twice.
    }
    assert_eq!((&end[..2], &end[12..16]), (&[0x80, 5][..], &7u32.to_be_bytes()[..]));
}

async fn receive(server: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut octets = [0; 2048];
    let (len, from) = tokio::time::timeout(LONG, server.recv_from(&mut octets)).await.unwrap().unwrap();
    (octets[..len].to_vec(), from)
}

#[tokio::test]
async fn a_lost_datagram_is_no_failure() {
    let server = datagrams(|number, heard| match number {
        0 => vec![],
        _ => vec![reply(heard, 5, 0x4A17, 1)],
    })
    .await;
    assert_eq!(probe(srt(None, Rejected::Succeeds), server.at, LONG / 4).await, "succeeded");
}

#[tokio::test]
async fn what_no_listener_says_is_told() {
    let silent = datagrams(|_, _| vec![]).await;
    let told = probe(srt(None, Rejected::Succeeds), silent.at, SHORT).await;
    assert_eq!(told, "handshake: no answer within 400 ms");
    assert_eq!(silent.heard.load(Ordering::SeqCst), 2, "once, and once again");

    let noise =
        datagrams(|_, heard| vec![vec![], vec![0xFF; 2000], heard.to_vec(), heard[..63].to_vec()]).await;
    let told = probe(srt(None, Rejected::Succeeds), noise.at, SHORT).await;
    assert_eq!(told, "handshake: no answer within 400 ms");

    let old = datagrams(|_, heard| vec![reply(heard, 4, 2, 1)]).await;
    let told = probe(srt(None, Rejected::Succeeds), old.at, LONG).await;
    assert_eq!(told, "handshake: version 4 with 0x0002, not 5 with 0x4a17");

    let stuck = datagrams(|_, heard| vec![reply(heard, 5, 0x4A17, 1)]).await;
    let told = probe(srt(Some("a"), Rejected::Succeeds), stuck.at, SHORT).await;
    assert_eq!(told, "stream: no answer within 400 ms");

    let refused = probe(srt(None, Rejected::Succeeds), nobody().await, LONG).await;
    assert_eq!(refused, "connect: refused");
}

/// srt-live-transmit as a listener with these options, and where; `None` where it is not installed.
async fn listener(options: &str) -> Option<(Running, SocketAddr)> {
    if !installed(PROGRAM, "srt-tools") {
        return None;
    }
    for _ in 0..5 {
        let port = peers::free_port();
        let url = format!("srt://127.0.0.1:{port}?mode=listener{options}");
        let mut server = Running::start(PROGRAM, [url.as_str(), "file://con"]);
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        let begun = Instant::now();
        while !server.ended() && begun.elapsed() < LONG {
            if probe(srt(None, Rejected::Succeeds), at, SHORT).await == "succeeded" {
                return Some((server, at));
            }
        }
    }
    panic!("srt-live-transmit does not listen");
}

#[tokio::test]
async fn srt_live_transmit_takes_us_and_is_left_in_good_order() {
    let Some((_server, at)) = listener("").await else { return };
    assert_eq!(probe(srt(Some("live/a"), Rejected::Fails), at, LONG).await, "succeeded");
    // It takes one caller at a time. Without a shutdown it would hold on to us for five seconds.
    let begun = Instant::now();
    while probe(srt(Some("live/a"), Rejected::Fails), at, SHORT).await != "succeeded" {
        assert!(begun.elapsed().as_secs() < 4, "it was not told that we go");
    }
}

#[tokio::test]
async fn srt_live_transmit_with_a_passphrase_rejects_us_and_so_lives() {
    let Some((_server, at)) = listener("&passphrase=0123456789").await else { return };
    assert_eq!(probe(srt(Some("live/a"), Rejected::Succeeds), at, LONG).await, "succeeded");
    let told = probe(srt(Some("live/a"), Rejected::Fails), at, LONG).await;
    assert_eq!(told, "stream: rejected: 1011 (a passphrase on one side alone)");
}

#[tokio::test]
async fn srt_live_transmit_that_has_gone_is_refused() {
    let Some((server, at)) = listener("").await else { return };
    drop(server);
    assert_eq!(probe(srt(None, Rejected::Succeeds), at, LONG).await, "connect: refused");
}
