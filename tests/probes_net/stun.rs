//! STUN: coturn, and servers that misbehave.

use std::net::SocketAddr;
use std::time::Instant;

use steerdns::health::check::Kind;

use super::fake::{datagrams, nobody};
use super::peer::{Running, installed};
use super::{LONG, SHORT, peers, probe};

const PROGRAM: &str = "/usr/bin/turnserver";

/// A response to what was heard: its type, and its attributes.
fn response(heard: &[u8], kind: u16, attributes: &[u8]) -> Vec<u8> {
    let length = attributes.len() as u16;
    [&kind.to_be_bytes()[..], &length.to_be_bytes(), &heard[4..20], attributes].concat()
}

#[tokio::test]
async fn responses_are_judged_and_those_of_others_are_not_heard() {
    let mapped = [0, 0x20, 0, 8, 0, 1, 0x21, 0x12, 0x21, 0x12, 0xA4, 0x42];
    let error = [&[0, 9, 0, 14, 0, 0, 5, 0][..], b"Server Error".as_slice()].concat();
    let good = datagrams(move |_, heard| {
        let mut other = response(heard, 0x0101, &mapped);
        other[19] ^= 1;
        vec![b"noise".to_vec(), other, heard.to_vec(), response(heard, 0x0101, &mapped)]
    })
    .await;
    assert_eq!(probe(Kind::Stun, good.at, LONG).await, "succeeded");
    let bad = datagrams(move |_, heard| vec![response(heard, 0x0111, &error[..18])]).await;
    assert!(probe(Kind::Stun, bad.at, LONG).await.starts_with("binding: "));
    let echo = datagrams(|_, heard| vec![heard.to_vec()]).await;
    assert_eq!(probe(Kind::Stun, echo.at, SHORT).await, "binding: no answer within 400 ms");
    assert_eq!(probe(Kind::Stun, nobody().await, LONG).await, "connect: refused");
}

#[tokio::test]
async fn coturn_tells_us_our_address_until_it_goes() {
    if !installed(PROGRAM, "coturn") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let port = peers::free_port();
    let file = |name: &str| scratch.path().join(name).display().to_string();
    let words = [
        format!("--listening-port={port}"),
        "--listening-ip=127.0.0.1".into(),
        format!("--pidfile={}", file("pid")),
        format!("--userdb={}", file("db")),
    ];
    let more =
        ["-n", "--stun-only", "--no-cli", "--no-tls", "--no-dtls", "--log-file=stdout"].map(String::from);
    let mut server = Running::start(PROGRAM, words.into_iter().chain(more));
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let begun = Instant::now();
    while probe(Kind::Stun, at, SHORT).await != "succeeded" {
        assert!(!server.ended() && begun.elapsed() < LONG, "coturn does not answer");
    }
    drop(server);
    assert_eq!(probe(Kind::Stun, at, LONG).await, "connect: refused");
}
