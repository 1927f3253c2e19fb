//! Probes against servers: ours, which fail in every way that we could think of, and nginx, which we did not write.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests own the clock, sockets and disk here"
)]

#[path = "support/nginx.rs"]
mod nginx;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed};
use steerdns::cluster::{CheckId, ClusterId};
use steerdns::health::board::Board;
use steerdns::health::check::{Check, HoldDown, Http, HttpMethod, HttpVersion, Kind, Rtmp, Tls};
use steerdns::health::promise::Detection;
use steerdns::health::target::{Aim, Target, TargetId, TargetKey};
use steerdns::health::verdict::{Outcome, Verdict};
use steerdns::probe::prepared::Prepared;
use steerdns::probe::schedule::{self, Aims, Told};
use steerdns::probe::{Memory, once};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

const DEADLINE: Duration = Duration::from_millis(400);

fn aim(kind: Kind, to: SocketAddr) -> Aim {
    let key = TargetKey { cluster: "sin".into(), node: "n".into(), address: to.ip(), check: "c".into() };
    Aim { key, probe: to, check: Arc::new(check(kind, to.port())) }
}

/// The defaults of clusters.toml.
fn check(kind: Kind, port: u16) -> Check {
    let (interval, timeout) = (Duration::from_secs(1), Duration::from_millis(2500));
    Check { key: "c".into(), kind, port, interval, timeout, fall: 5, rise: 5, hold_down: HoldDown::default() }
}

fn http() -> Http {
    let (path, status) = ("/".into(), vec![(200, 299)]);
    let (headers, expect_headers) = (Vec::new(), Vec::new());
    let version = HttpVersion::One;
    Http {
        version,
        method: HttpMethod::Get,
        path,
        host: None,
        headers,
        status,
        body: None,
        expect_headers,
        json: Vec::new(),
        load: None,
    }
}

fn tls(sni: Option<&str>, verify: bool, roots: Option<Arc<[u8]>>) -> Tls {
    Tls { sni: sni.map(Into::into), verify, roots, expires_within: Duration::ZERO }
}

fn unverified() -> Tls {
    tls(None, false, None)
}

fn rtmp() -> Kind {
    Kind::Rtmp(Rtmp { app: "live".into(), host: None, play: None })
}

/// Probes once; the outcome in words. Panics where it outlives its deadline.
async fn probe(kind: Kind, to: SocketAddr) -> String {
    let aim = aim(kind, to);
    let prepared = Prepared::new(&aim.check);
    let started = Instant::now();
    let (outcome, _) = once(&aim, &prepared, &Memory::default(), DEADLINE).await;
    assert!(started.elapsed() < DEADLINE + Duration::from_secs(1), "outlived its deadline");
    match outcome {
        Outcome::Succeeded(took) => {
            assert!(took <= started.elapsed());
            "succeeded".into()
        }
        Outcome::Failed(cause) => cause.to_string(),
        other => format!("{other:?}"),
    }
}

/// A server that does this with each connection.
async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    at
}

/// A server that says these octets, then ends its half of the connection.
async fn says(octets: impl Into<Vec<u8>>) -> SocketAddr {
    let octets = octets.into();
    server(move |mut stream| {
        let octets = octets.clone();
        async move {
            let _ = stream.write_all(&octets).await;
            let _ = stream.shutdown().await;
            drain(stream).await;
        }
    })
    .await
}

/// A server that says the head, then the rest again and again, as fast as it is taken.
async fn repeats(head: impl Into<Vec<u8>>, rest: impl Into<Vec<u8>>) -> SocketAddr {
    let (head, rest) = (head.into(), rest.into());
    server(move |mut stream| {
        let (head, rest) = (head.clone(), rest.clone());
        async move {
            let _ = stream.write_all(&head).await;
            while stream.write_all(&rest).await.is_ok() {}
        }
    })
    .await
}

/// A server that says one octet of these each 20 ms.
async fn drips(octets: impl Into<Vec<u8>>) -> SocketAddr {
    let octets = octets.into();
    server(move |mut stream| {
        let octets = octets.clone();
        async move {
            for octet in octets {
                if stream.write_all(&[octet]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await
}

async fn drain(mut stream: TcpStream) {
    let mut octets = [0; 4096];
    while matches!(stream.read(&mut octets).await, Ok(1..)) {}
}

/// A server that takes all and says nothing.
async fn mute() -> SocketAddr {
    server(drain).await
}

/// An address where nobody listens, nor will: a socket holds it until the tests end.
async fn nobody() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let at = socket.local_addr().unwrap();
    std::mem::forget(socket);
    at
}

#[tokio::test]
async fn an_open_port_is_all_that_tcp_asks() {
    assert_eq!(probe(Kind::Tcp, mute().await).await, "succeeded");
}

#[tokio::test]
async fn a_closed_port_is_refused_by_every_kind_of_probe() {
    let tls = unverified();
    for kind in [Kind::Tcp, Kind::Http(http()), Kind::Https(http(), tls), rtmp()] {
        assert_eq!(probe(kind, nobody().await).await, "connect: refused");
    }
}

#[tokio::test]
async fn a_mute_server_fails_at_the_deadline_and_the_layer_is_told() {
    let tls = unverified();
    let to = mute().await;
    assert_eq!(probe(Kind::Http(http()), to).await, "request: no answer within 400 ms");
    assert_eq!(probe(Kind::Https(http(), tls), to).await, "tls: no answer within 400 ms");
    assert_eq!(probe(rtmp(), to).await, "handshake: no answer within 400 ms");
}

#[tokio::test]
async fn http_status_headers_and_body_are_compared() {
    let to = says("HTTP/1.1 206 Partial\r\nX-Role: edge, live\r\nContent-Length: 5\r\n\r\nalive").await;
    let expect =
        |name: &str, value: &str| Http { expect_headers: vec![(name.into(), value.into())], ..http() };
    let cases = [
        (http(), "succeeded"),
        (Http { status: vec![(200, 200), (301, 302)], ..http() }, "status: status 206"),
        (Http { body: Some("liv".into()), ..http() }, "succeeded"),
        (Http { body: Some("dead".into()), ..http() }, "body: without `dead`"),
        (Http { method: HttpMethod::Head, ..http() }, "succeeded"),
        (expect("x-role", "live"), "succeeded"),
        (expect("x-role", ""), "succeeded"),
        (expect("x-role", "ingest"), "header: `x-role` without `ingest`"),
        (expect("x-load", ""), "header: no `x-load`"),
    ];
    for (how, told) in cases {
        assert_eq!(probe(Kind::Http(how), to).await, told);
    }
}

#[tokio::test]
async fn http_asks_for_the_path_and_host_that_it_was_told() {
    let (asked, mut heard) = mpsc::channel(1);
    let to = server(move |mut stream| {
        let asked = asked.clone();
        async move {
            let mut octets = vec![0; 4096];
            let n = stream.read(&mut octets).await.unwrap();
            asked.send(String::from_utf8_lossy(&octets[..n]).into_owned()).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let headers = vec![("X-Token".into(), "t".into())];
    let how = Http { path: "/live?a=b".into(), host: Some("play.example.com".into()), headers, ..http() };
    assert_eq!(probe(Kind::Http(how), to).await, "succeeded");
    let request = heard.recv().await.unwrap().to_lowercase();
    for line in ["get /live?a=b http/1.1", "host: play.example.com", "x-token: t", "connection: close"] {
        assert!(request.lines().any(|said| said == line), "{line} is not in {request}");
    }
    assert_eq!(probe(Kind::Http(http()), to).await, "succeeded");
    assert!(heard.recv().await.unwrap().contains(&format!("host: {to}\r\n")));
}

#[tokio::test]
async fn http_failures_are_told() {
    let head = "HTTP/1.1 200 OK\r\n";
    let closed = "request: closed before the end of the answer";
    let wants_body = || Http { body: Some("alive".into()), ..http() };
    let cases = [
        (says("").await, http(), closed),
        (says(head).await, http(), closed),
        (says("SSH-2.0-OpenSSH_9.9\r\n").await, http(), "request: no HTTP/1.1"),
        (says(vec![0; 10_000]).await, http(), "request: no HTTP/1.1"),
        (
            repeats(head, "x-padding: ".to_owned() + &"p".repeat(1000) + "\r\n").await,
            http(),
            "request: no HTTP/1.1",
        ),
        (repeats(head.to_owned() + "x: ", "p".repeat(1000)).await, http(), "request: no HTTP/1.1"),
        (drips(head.repeat(10)).await, http(), "request: no answer within 400 ms"),
        (repeats("", "HTTP/1.1 100 Continue\r\n\r\n").await, http(), "request: "),
        (says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nali").await, wants_body(), "body: "),
        (repeats("HTTP/1.1 200 OK\r\n\r\n", "no".repeat(1000)).await, wants_body(), "body: without `alive`"),
        (
            repeats("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n").await,
            wants_body(),
            "body: ",
        ),
    ];
    for (at, (to, how, told)) in cases.into_iter().enumerate() {
        let what = probe(Kind::Http(how), to).await;
        assert!(what.starts_with(told), "{at}: {what} is not {told}");
    }
}

/// A server that takes C0 and C1 and then says these octets, again and again if it `repeats`.
async fn rtmp_server(octets: Vec<u8>, repeats: bool) -> SocketAddr {
    server(move |mut stream| {
        let octets = octets.clone();
        async move {
            let mut c0_c1 = [0; 1537];
            stream.read_exact(&mut c0_c1).await.unwrap();
            let mut handshake = vec![0; 1 + 2 * 1536];
            handshake[0] = 3;
            let _ = stream.write_all(&handshake).await;
            let mut c2 = [0; 1536];
            if stream.read_exact(&mut c2).await.is_err() {
                return;
            }
            let _ = stream.write_all(&octets).await;
            while repeats && stream.write_all(&octets).await.is_ok() {}
            let _ = stream.shutdown().await;
            drain(stream).await;
        }
    })
    .await
}

/// A short AMF0 command as one chunk on chunk stream 3.
fn command(name: &str, transaction: f64) -> Vec<u8> {
    let body = [&[2, 0, name.len() as u8], name.as_bytes(), &[0], &transaction.to_be_bytes(), &[5]].concat();
    [&[3, 0, 0, 0, 0, 0, body.len() as u8, 20, 0, 0, 0, 0], &body[..]].concat()
}

#[tokio::test]
async fn rtmp_succeeds_where_connect_is_answered() {
    let before = [&[2, 0, 0, 0, 0, 0, 4, 5, 0, 0, 0, 0, 0, 0, 0, 16][..], &command("onBWDone", 0.0)].concat();
    let to = rtmp_server([&before[..], &command("_result", 1.0)].concat(), false).await;
    assert_eq!(probe(rtmp(), to).await, "succeeded");
}

#[tokio::test]
async fn rtmp_failures_are_told() {
    let bomb = vec![3, 0, 0, 0, 0xFF, 0xFF, 0xFF, 20, 0, 0, 0, 0];
    let no_chunk_size = vec![2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let cases = [
        (says("").await, "handshake: closed"),
        (says([6; 4000]).await, "handshake: S0 says version 6, not 3"),
        (says("HTTP/1.1 400 Bad Request\r\n\r\n").await, "handshake: S0 says version 72, not 3"),
        (says([3; 1000]).await, "handshake: closed"),
        (drips([3; 1000]).await, "handshake: no answer within 400 ms"),
        (
            rtmp_server(vec![], false).await,
            "application: closed after `connect`: is there such an application?",
        ),
        (rtmp_server(command("_error", 1.0), false).await, "application: `connect` refused:"),
        (
            rtmp_server(command("onBWDone", 0.0), true).await,
            "application: 64 KiB, and `connect` is not answered",
        ),
        (rtmp_server(bomb, true).await, "application: a message longer than 64 KiB"),
        (rtmp_server(no_chunk_size, true).await, "application: a chunk size of zero, or over 31 bits"),
        (rtmp_server(vec![0xC7], true).await, "application: a chunk that continues nothing"),
    ];
    for (at, (to, told)) in cases.into_iter().enumerate() {
        assert_eq!(probe(rtmp(), to).await, told, "{at}");
    }
}

/// An https server with this certificate, and its roots as PEM.
async fn https_server(certificate: CertifiedKey<KeyPair>) -> (SocketAddr, Arc<[u8]>) {
    let roots = certificate.cert.pem().into_bytes().into();
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let to = server(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nalive").await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    (to, roots)
}

#[tokio::test]
async fn https_demands_a_certificate_for_that_name_that_is_valid_now() {
    let named = generate_simple_self_signed(["play.example.com".into(), "127.0.0.1".into()]).unwrap();
    let (to, roots) = https_server(named).await;
    let trusting = |sni: Option<&str>| tls(sni, true, Some(roots.clone()));
    let https = |http, tls| Kind::Https(http, tls);
    let hosted = Http { host: Some("play.example.com:443".into()), ..http() };
    assert_eq!(probe(https(http(), trusting(Some("play.example.com"))), to).await, "succeeded");
    assert_eq!(probe(https(hosted, trusting(None)), to).await, "succeeded");
    assert_eq!(probe(https(http(), trusting(None)), to).await, "succeeded", "the address itself");
    let other = probe(https(http(), trusting(Some("other.example.com"))), to).await;
    assert!(other.starts_with("tls: invalid peer certificate"), "{other}");
    let strange = probe(https(http(), tls(None, true, None)), to).await;
    assert!(strange.starts_with("tls: invalid peer certificate"), "{strange}");
    let any = unverified();
    assert_eq!(probe(https(Http { body: Some("alive".into()), ..http() }, any), to).await, "succeeded");

    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".into()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let cert = params.self_signed(&key).unwrap();
    let (to, roots) = https_server(CertifiedKey { cert, signing_key: key }).await;
    let expired = probe(https(http(), tls(None, true, Some(roots))), to).await;
    assert!(expired.to_lowercase().contains("expired"), "{expired}");
}

#[tokio::test]
async fn https_to_a_server_that_speaks_something_else_fails_in_words() {
    let any = || unverified();
    for to in
        [says("HTTP/1.1 400 Bad Request\r\n\r\n").await, says("").await, repeats("", [0x16; 1000]).await]
    {
        let what = probe(Kind::Https(http(), any()), to).await;
        assert!(what.starts_with("tls: "), "{what}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_check_itself_says_nothing_of_the_target() {
    let bad = Http { path: "not a path".into(), ..http() };
    assert!(probe(Kind::Http(bad), mute().await).await.starts_with("Local(\"the request cannot be made"));
    let roots = tls(None, true, Some(Arc::from(&b"?"[..])));
    assert!(probe(Kind::Https(http(), roots), mute().await).await.starts_with("Local(\"roots: "));
}

#[tokio::test]
async fn without_a_source_address_nothing_is_said_of_the_target() {
    // A zone's own link-local address without its interface: the kernel has no source for it.
    let to: SocketAddr = "[fe80::1]:80".parse().unwrap();
    assert!(probe(Kind::Tcp, to).await.starts_with("Local("));
}

/// Everything between the probes and the verdicts, running.
struct Watch {
    board: Board,
    aims: watch::Sender<Aims>,
    seen: mpsc::Receiver<Told>,
}

impl Watch {
    fn new(kinds: &[(Kind, SocketAddr)], at_once: usize) -> Watch {
        let mut board = Board::default();
        board.load(targets(kinds), Instant::now());
        let (aims, list) = watch::channel(board.aims().collect());
        let (tell, seen) = mpsc::channel(64);
        tokio::spawn(schedule::run(list, watch::channel(None).1, tell, at_once));
        Watch { board, aims, seen }
    }

    fn reload(&mut self, kinds: &[(Kind, SocketAddr)]) {
        self.board.load(targets(kinds), Instant::now());
        self.aims.send(self.board.aims().collect()).unwrap();
    }

    async fn next(&mut self) -> (Option<TargetId>, Outcome) {
        let observation = loop {
            match self.seen.recv().await.unwrap() {
                Told::Seen(observation) => break observation,
                Told::Noted(..) => {}
            }
        };
        let id = self.board.find(&observation.aim);
        if let Some(id) = id {
            self.board.observe(id, &observation.seen);
        }
        (id, observation.seen.outcome)
    }

    /// Waits until all these targets are held to be `verdict`; how long that took.
    async fn until(&mut self, ids: &[u32], verdict: Verdict) -> Duration {
        let started = Instant::now();
        while ids.iter().any(|id| self.board.held(TargetId(*id)).verdict != verdict) {
            let left = Duration::from_secs(30).saturating_sub(started.elapsed());
            let next = tokio::time::timeout(left, self.next());
            next.await.unwrap_or_else(|_| panic!("{ids:?} do not become {}", verdict.word()));
        }
        started.elapsed()
    }
}

fn targets(kinds: &[(Kind, SocketAddr)]) -> Vec<Target> {
    let target = |(at, (kind, to)): (usize, &(Kind, SocketAddr))| {
        let address = IpAddr::from([192, 0, 2, at as u8]);
        let how = Check { key: kind.word().into(), ..check(kind.clone(), to.port()) };
        let key = TargetKey { cluster: "sin".into(), node: "n".into(), address, check: how.key.clone() };
        let aim = Arc::new(Aim { key, probe: *to, check: Arc::new(how) });
        Target { cluster: ClusterId(0), node: 0, member: at as u8, check: CheckId(0), aim }
    };
    kinds.iter().enumerate().map(target).collect()
}

#[tokio::test]
async fn first_outcomes_come_within_the_first_second() {
    let mut watch = Watch::new(&[(Kind::Tcp, mute().await), (Kind::Tcp, nobody().await)], 100);
    watch.until(&[0], Verdict::Up).await;
    assert!(watch.until(&[1], Verdict::Down).await < Duration::from_secs(1));
}

#[tokio::test]
async fn a_reload_keeps_verdicts_and_probes_what_is_new() {
    let (stays, new) = ((Kind::Tcp, mute().await), (Kind::Tcp, nobody().await));
    let mut watch = Watch::new(std::slice::from_ref(&stays), 100);
    watch.until(&[0], Verdict::Up).await;
    watch.reload(&[stays, new]);
    assert_eq!(watch.board.held(TargetId(0)).verdict, Verdict::Up);
    watch.until(&[1], Verdict::Down).await;
    assert_eq!(watch.board.held(TargetId(0)).verdict, Verdict::Up);
}

#[tokio::test]
async fn beyond_the_limit_of_probes_nothing_is_said_of_the_target() {
    let mut watch = Watch::new(&[(Kind::Tcp, mute().await)], 0);
    let (_, outcome) = watch.next().await;
    assert_eq!(outcome, Outcome::Local("0 probes are out already".into()));
    assert_eq!(watch.board.held(TargetId(0)).verdict, Verdict::Unknown);
}

#[tokio::test]
async fn it_ends_when_nobody_listens_any_more() {
    let (aims, list) = watch::channel(Aims::from([]));
    let (tell, _seen) = mpsc::channel(1);
    let running = tokio::spawn(schedule::run(list, watch::channel(None).1, tell, 1));
    drop(aims);
    running.await.unwrap();
}

#[tokio::test]
async fn a_port_that_closes_is_down_as_promised_and_up_when_it_opens_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let mut watch = Watch::new(&[(Kind::Tcp, to)], 100);
    watch.until(&[0], Verdict::Up).await;
    drop(listener);
    let promised = Detection::worst(&check(Kind::Tcp, 1)).total();
    assert!(watch.until(&[0], Verdict::Down).await <= promised);
    let _listener = TcpListener::bind(to).await.unwrap();
    watch.until(&[0], Verdict::Up).await;
}

#[tokio::test]
async fn nginx_is_understood_in_all_its_answers() {
    let Some(nginx) = nginx::start().await else { return };
    let verifying = |verify| tls(None, verify, Some(nginx.roots.clone()));
    let at = |path: &str, status| Http { path: path.into(), status: vec![status], ..http() };
    let body = |text: &str| Http { body: Some(text.into()), ..http() };
    let app =
        |app: &str| Kind::Rtmp(Rtmp { app: app.into(), host: Some("ingest.example.com".into()), play: None });
    let cases = [
        (Kind::Tcp, nginx.http, "succeeded"),
        (Kind::Http(body("alive")), nginx.http, "succeeded"),
        (Kind::Http(body("dead")), nginx.http, "body: without `dead`"),
        (Kind::Http(at("/broken", (200, 299))), nginx.http, "status: status 503"),
        (Kind::Http(at("/broken", (503, 503))), nginx.http, "succeeded"),
        (Kind::Https(body("alive"), verifying(true)), nginx.https, "succeeded"),
        (Kind::Https(http(), verifying(false)), nginx.https, "succeeded"),
        (Kind::Http(http()), nginx.https, "status: status 400"),
        (app("live"), nginx.rtmp, "succeeded"),
        (app("nope"), nginx.rtmp, "application: closed after `connect`: is there such an application?"),
    ];
    for (kind, to, told) in cases {
        assert_eq!(probe(kind, to).await, told);
    }
}

#[tokio::test]
async fn nginx_that_is_killed_or_held_is_down_as_promised() {
    let Some(mut nginx) = nginx::start().await else { return };
    let tls = tls(None, true, Some(nginx.roots.clone()));
    let kinds =
        [(Kind::Http(http()), nginx.http), (Kind::Https(http(), tls), nginx.https), (rtmp(), nginx.rtmp)];
    let mut watch = Watch::new(&kinds, 100);
    let promised = Detection::worst(&check(Kind::Tcp, 1)).total();
    watch.until(&[0, 1, 2], Verdict::Up).await;

    nginx.signal("STOP");
    let held = watch.until(&[0, 1, 2], Verdict::Down).await;
    nginx.signal("CONT");
    watch.until(&[0, 1, 2], Verdict::Up).await;

    nginx.kill();
    let killed = watch.until(&[0, 1, 2], Verdict::Down).await;
    println!("held: {held:.2?} killed: {killed:.2?}");
    assert!(held <= promised && killed <= promised, "held: {held:?}, killed: {killed:?}");
    let cause = watch.board.held(TargetId(2)).cause.clone().unwrap();
    assert_eq!(cause.to_string(), "connect: refused");
}
