//! HTTP/1.1 and HTTP/2.

use hyper::{Response, Version};
use steerdns::health::check::{Http, HttpVersion, Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::web::{Asked, acceptor, certificate, http, ok, probe, roots, status, tls, web};

/// Says which version it was asked in.
async fn version(asked: Asked) -> Response<http_body_util::Full<bytes::Bytes>> {
    match asked.version() {
        Version::HTTP_2 => ok("two"),
        _ => ok("one"),
    }
}

fn speaks(version: HttpVersion, body: &str) -> Http {
    Http { version, body: Some(body.into()), ..http() }
}

#[tokio::test]
async fn over_tls_the_version_is_agreed_on() {
    let valid = certificate(30);
    let https = |http| Kind::Https(http, tls(Some(&roots(&valid))));
    let both = web(Some(acceptor(&valid, &["h2", "http/1.1"])), version).await;
    let old = web(Some(acceptor(&valid, &["http/1.1"])), version).await;
    let silent = web(Some(acceptor(&valid, &[])), version).await;
    for (how, body, to) in [
        (HttpVersion::One, "one", both),
        (HttpVersion::Two, "two", both),
        (HttpVersion::Any, "two", both),
        (HttpVersion::Any, "one", old),
        (HttpVersion::Any, "one", silent),
    ] {
        assert_eq!(probe(https(speaks(how, body)), to).await, "succeeded", "{how:?}");
    }
    let two = || https(speaks(HttpVersion::Two, "two"));
    let refused = probe(two(), old).await;
    assert!(refused.starts_with("tls: received fatal alert"), "{refused}");
    assert_eq!(probe(two(), silent).await, "tls: the server does not choose HTTP/2");
}

#[tokio::test]
async fn without_tls_http_2_is_spoken_with_prior_knowledge() {
    let to = web(None, version).await;
    assert_eq!(probe(Kind::Http(speaks(HttpVersion::Two, "two")), to).await, "succeeded");
    assert_eq!(probe(Kind::Http(speaks(HttpVersion::One, "one")), to).await, "succeeded");
}

#[tokio::test]
async fn over_http_2_host_path_and_headers_are_those_of_the_check() {
    let to = web(None, |asked: Asked| async move {
        let uri = asked.uri();
        let named = uri.authority().map(|authority| authority.as_str()) == Some("play.example.com");
        let asked =
            named && uri.path_and_query().unwrap() == "/live?a=b" && asked.headers()["x-token"] == "t";
        status(if asked { 200 } else { 400 }, "")
    })
    .await;
    let how = Http {
        version: HttpVersion::Two,
        host: Some("play.example.com".into()),
        path: "/live?a=b".into(),
        headers: vec![("X-Token".into(), "t".into())],
        ..http()
    };
    assert_eq!(probe(Kind::Http(how), to).await, "succeeded");
}

#[tokio::test]
async fn failures_over_http_2_are_told() {
    let two = || Http { version: HttpVersion::Two, ..http() };
    let broken = web(None, |_| async { status(503, "") }).await;
    assert_eq!(probe(Kind::Http(two()), broken).await, "status: status 503");
    let mute = raw(|mut stream| async move {
        let mut octets = [0; 4096];
        while matches!(stream.read(&mut octets).await, Ok(1..)) {}
    })
    .await;
    assert_eq!(probe(Kind::Http(two()), mute).await, "request: no answer within 400 ms");
    let old = raw(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let mut octets = [0; 4096];
        while matches!(stream.read(&mut octets).await, Ok(1..)) {}
    })
    .await;
    let told = probe(Kind::Http(two()), old).await;
    assert!(told.starts_with("request: http2 error"), "{told}");
    let closing = raw(|_| async {}).await;
    let told = probe(Kind::Http(two()), closing).await;
    assert!(told.starts_with("request: "), "{told}");
}

/// PING frames without end (RFC 9113 §6.7), each of which wants an answer: the probe ends at its deadline, and lets go.
#[tokio::test]
async fn a_peer_that_never_stops_pinging_holds_no_probe() {
    let (gone, mut went) = tokio::sync::mpsc::channel(1);
    let to = raw(move |mut stream| {
        let gone = gone.clone();
        async move {
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
            let _ = stream.write_all(&settings).await;
            while stream.write_all(&ping.repeat(100)).await.is_ok() {}
            let _ = gone.send(()).await;
        }
    })
    .await;
    let told = probe(Kind::Http(Http { version: HttpVersion::Two, ..http() }), to).await;
    assert!(told.starts_with("request: "), "{told}");
    went.recv().await.unwrap();
}

/// A server that does this with each connection.
async fn raw<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> std::net::SocketAddr
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
