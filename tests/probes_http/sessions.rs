//! whip: sessions that are begun, tried and ended.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper::{Method, Response};
use sha1::Sha1;
use steerdns::health::check::Kind;
use steerdns::health::resource::{Resource, Whip};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::web::{Asked, Prober, probe, status, web};

const PASSWORD: &str = "the-password-of-the-server";

/// How the server misbehaves.
#[derive(Clone, Copy, PartialEq)]
enum Ice {
    Answers,
    IsMute,
    KnowsAnotherPassword,
}

/// A WHIP server: what it was asked, in order.
struct Server {
    at: SocketAddr,
    asked: mpsc::UnboundedReceiver<Asked>,
}

impl Server {
    /// Its answer names this candidate, `{port}` being that of its own UDP socket.
    async fn start(ice: Ice, candidate: &'static str) -> Server {
        Server::telling(ice, candidate, mpsc::unbounded_channel().0).await
    }

    /// The same; it tells of each datagram that comes.
    async fn telling(ice: Ice, candidate: &'static str, tried: mpsc::UnboundedSender<()>) -> Server {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = udp.local_addr().unwrap().port();
        tokio::spawn(bindings(udp, ice, tried));
        let (tell, asked) = mpsc::unbounded_channel();
        let at = web(None, move |asked: Asked| {
            let answer = match *asked.method() {
                Method::POST => {
                    let text = format!(
                        "v=0\r\na=ice-ufrag:srvr\r\na=ice-pwd:{PASSWORD}\r\na=candidate:{}\r\n",
                        candidate.replace("{port}", &port.to_string())
                    );
                    let body = Full::new(Bytes::from(text));
                    Response::builder().status(201).header("location", "/session/1").body(body).unwrap()
                }
                _ => status(204, ""),
            };
            tell.send(asked).unwrap();
            async move { answer }
        })
        .await;
        Server { at, asked }
    }

    /// What it is asked next.
    async fn next(&mut self) -> Asked {
        let next = tokio::time::timeout(Duration::from_secs(10), self.asked.recv());
        next.await.expect("it is asked nothing more").unwrap()
    }

    /// Every session ends: behind the offer comes its DELETE.
    async fn ends(&mut self) {
        let offer = self.next().await;
        assert_eq!((offer.method(), offer.uri().path()), (&Method::POST, "/whip"));
        assert_eq!(offer.headers()["content-type"], "application/sdp");
        assert_eq!(offer.headers()["authorization"], "Bearer t0ken");
        let text = String::from_utf8(offer.body().to_vec()).unwrap();
        assert!(text.contains("m=audio ") && text.contains("a=setup:actpass\r\n"), "{text}");
        let end = self.next().await;
        assert_eq!((end.method(), end.uri().path()), (&Method::DELETE, "/session/1"));
        assert_eq!(end.headers()["authorization"], "Bearer t0ken");
    }
}

/// Answers Binding requests of who knows the password (RFC 8445 §7.3).
async fn bindings(udp: UdpSocket, ice: Ice, tried: mpsc::UnboundedSender<()>) {
    let mut octets = [0; 2048];
    let mut first = true;
    while let Ok((length, from)) = udp.recv_from(&mut octets).await {
        let _ = tried.send(());
        let request = &octets[..length];
        assert_eq!(request[..2], [0, 1]);
        let name = String::from_utf8_lossy(&request[24..24 + usize::from(request[23])]).into_owned();
        assert!(name.starts_with("srvr:"), "{name}");
        // MESSAGE-INTEGRITY and FINGERPRINT are the last 32 octets.
        let (before, rest) = request.split_at(length - 32);
        assert_eq!(mac(before, PASSWORD), rest[4..24]);
        // The first is lost.
        if ice == Ice::IsMute || std::mem::take(&mut first) {
            continue;
        }
        let password = if ice == Ice::Answers { PASSWORD } else { "another" };
        let head = [&[1, 1, 0, 0][..], &request[4..20]].concat();
        let integrity = mac(&head, password);
        let answer = [&head[..2], &[0, 24], &head[4..], &[0, 8, 0, 20], &integrity[..]].concat();
        udp.send_to(&answer, from).await.unwrap();
    }
}

/// The HMAC of a message whose length counts MESSAGE-INTEGRITY, and nothing behind it.
fn mac(before: &[u8], password: &str) -> Vec<u8> {
    let mut message = before.to_vec();
    let length = (message.len() as u16 - 20 + 24).to_be_bytes();
    message[2..4].copy_from_slice(&length);
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(password.as_bytes()).unwrap();
    mac.update(&message);
    mac.finalize().into_bytes().to_vec()
}

fn whip(post: bool) -> Kind {
    let at = Resource { path: "/whip".into(), host: None, headers: Vec::new(), tls: None };
    Kind::Whip(Whip { at, post, token: Some("t0ken".into()) })
}

const OWN: &str = "1 1 udp 1 127.0.0.1 {port} typ host";

#[tokio::test]
async fn options_are_asked_for_by_default() {
    let mut server = Server::start(Ice::IsMute, OWN).await;
    assert_eq!(probe(whip(false), server.at).await, "succeeded");
    let asked = server.next().await;
    assert_eq!((asked.method(), asked.uri().path()), (&Method::OPTIONS, "/whip"));
    let refuses = web(None, |_| async { status(401, "") }).await;
    assert_eq!(probe(whip(false), refuses).await, "status: status 401");
}

#[tokio::test]
async fn a_session_is_tried_over_udp_although_a_datagram_is_lost_and_ended() {
    let mut server = Server::start(Ice::Answers, OWN).await;
    let prober = Prober::new(whip(true), server.at).within(Duration::from_secs(10));
    assert_eq!(prober.outcome().await, "succeeded");
    server.ends().await;
}

#[tokio::test]
async fn a_session_that_fails_is_ended_too() {
    let mute = Server::start(Ice::IsMute, OWN).await;
    let other = Server::start(Ice::KnowsAnotherPassword, OWN).await;
    let elsewhere = Server::start(Ice::Answers, "1 1 udp 1 192.0.2.7 {port} typ host").await;
    let over_tcp = Server::start(Ice::Answers, "1 1 tcp 1 127.0.0.1 {port} typ host").await;
    let cases = [
        (mute, "ice: no answer within 400 ms"),
        (other, "ice: answered, but not by who knows the password (MESSAGE-INTEGRITY)"),
        (elsewhere, "ice: no UDP candidate at 127.0.0.1; the answer has: 192.0.2.7:"),
        (over_tcp, "ice: no UDP candidate at 127.0.0.1; the answer has: none"),
    ];
    for (mut server, told) in cases {
        let outcome = probe(whip(true), server.at).await;
        assert!(outcome.contains(told), "{outcome}");
        server.ends().await;
    }
}

#[tokio::test]
async fn a_session_whose_probe_is_withdrawn_is_ended_too() {
    let (tried, mut trying) = mpsc::unbounded_channel();
    let mut server = Server::telling(Ice::IsMute, OWN, tried).await;
    let prober = Prober::new(whip(true), server.at).within(Duration::from_secs(60));
    tokio::select! {
        outcome = prober.outcome() => panic!("{outcome}"),
        _ = trying.recv() => {}
    }
    server.ends().await;
}

#[tokio::test]
async fn answers_that_begin_no_session_are_told() {
    let with = |code: u16, location: Option<&'static str>, body: &'static str| {
        let mut response = Response::builder().status(code);
        if let Some(location) = location {
            response = response.header("location", location);
        }
        response.body(Full::new(Bytes::from(body))).unwrap()
    };
    let cases: [(Response<Full<Bytes>>, &str); 5] = [
        (with(403, None, ""), "status: status 403, not 201"),
        (with(200, Some("/s"), ""), "status: status 200, not 201"),
        (with(201, None, ""), "header: no `location`: the session cannot be ended"),
        (
            with(201, Some("https://other.example/s"), ""),
            "header: `location` is `https://other.example/s`: it has another scheme, which is not probed",
        ),
        (with(201, Some("/s"), "v=0\r\n"), "body: the answer has no ice-ufrag"),
    ];
    for (response, told) in cases {
        let response = Arc::new(Mutex::new(response));
        let to = web(None, move |_| {
            let response = response.lock().unwrap().clone();
            async move { response }
        })
        .await;
        assert_eq!(probe(whip(true), to).await, told);
    }
}
