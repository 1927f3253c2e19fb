//! hls and flv: media that comes, or does not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use steerdns::health::check::Kind;
use steerdns::health::resource::{Flv, Hls, Resource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::web::{Asked, Prober, acceptor, certificate, ok, probe, roots, status, tls, web};

fn at(path: &str) -> Resource {
    Resource { path: path.into(), host: None, headers: Vec::new(), tls: None }
}

fn hls(path: &str) -> Hls {
    Hls { at: at(path), live: true, max_age: None }
}

/// A media playlist of three segments of one second.
fn playlist(sequence: u64) -> String {
    let segments: String = (sequence..sequence + 3).map(|n| format!("#EXTINF:1.0,\nlive-{n}.ts\n")).collect();
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n{segments}")
}

/// Answers with what the test last put there.
async fn shows(text: &Arc<Mutex<String>>) -> SocketAddr {
    let text = text.clone();
    web(None, move |_| {
        let text = text.lock().unwrap().clone();
        async move { ok(text) }
    })
    .await
}

#[tokio::test]
async fn a_playlist_that_stands_still_fails_after_its_age_and_recovers_with_the_next_segment() {
    let text = Arc::new(Mutex::new(playlist(7)));
    let to = shows(&text).await;
    let how = Hls { max_age: Some(Duration::from_millis(300)), ..hls("/live.m3u8") };
    let prober = Prober::new(Kind::Hls(how), to);
    let began = std::time::Instant::now();
    assert_eq!(prober.outcome().await, "succeeded", "the first look");
    // It fails, and not before its age.
    let told = loop {
        let told = prober.outcome().await;
        if told != "succeeded" {
            break told;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "it does not fail");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(told.starts_with("playlist: has not advanced for "), "{told}");
    assert!(told.ends_with(" s, at most 0.3 s: still before sequence 10"), "{told}");
    *text.lock().unwrap() = playlist(8);
    assert_eq!(prober.outcome().await, "succeeded");
    *text.lock().unwrap() = playlist(0);
    assert_eq!(prober.outcome().await, "succeeded", "a server that began anew");
}

#[tokio::test]
async fn an_ended_an_empty_and_a_foreign_playlist_are_told() {
    let cases = [
        (playlist(1) + "#EXT-X-ENDLIST\n", "playlist: ended (EXT-X-ENDLIST) before sequence 4"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:1\n".into(), "playlist: empty at sequence 0"),
        ("<html>".into(), "playlist: no playlist: it does not begin with #EXTM3U"),
        ("#EXTM3U\n".repeat(200_000), "body: longer than 1024 KiB: not all of it is read"),
    ];
    for (text, told) in cases {
        let to = shows(&Arc::new(Mutex::new(text))).await;
        let prober = Prober::new(Kind::Hls(hls("/")), to).within(Duration::from_secs(5));
        assert_eq!(prober.outcome().await, told);
    }
    let recorded = Hls { live: false, ..hls("/") };
    let to = shows(&Arc::new(Mutex::new(playlist(1) + "#EXT-X-ENDLIST\n"))).await;
    assert_eq!(probe(Kind::Hls(recorded), to).await, "succeeded");
    let gone = web(None, |_| async { status(404, "") }).await;
    assert_eq!(probe(Kind::Hls(hls("/a.m3u8")), gone).await, "status: status 404 of `/a.m3u8`");
}

/// A master playlist whose first variant is this one; the variant lies at `/live/low/a.m3u8?t=1`.
async fn master(variant: &str) -> SocketAddr {
    let variant = variant.to_owned();
    web(None, move |asked: Asked| {
        let text = match asked.uri().to_string().as_str() {
            "/live/all.m3u8" => format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{variant}\n"),
            "/live/low/a.m3u8?t=1" => playlist(3),
            _ => String::new(),
        };
        async move { if text.is_empty() { status(404, "") } else { ok(text) } }
    })
    .await
}

#[tokio::test]
async fn the_first_variant_of_a_master_playlist_is_followed_at_the_same_host_alone() {
    let kind = || Kind::Hls(hls("/live/all.m3u8"));
    for variant in ["low/a.m3u8?t=1", "./low/../low/a.m3u8?t=1", "/live/low/a.m3u8?t=1"] {
        assert_eq!(probe(kind(), master(variant).await).await, "succeeded", "{variant}");
    }
    assert_eq!(
        probe(kind(), master("https://cdn.example.com/a.m3u8").await).await,
        "playlist: the first variant is `https://cdn.example.com/a.m3u8`: it has another scheme, which is not probed"
    );
    assert_eq!(
        probe(kind(), master("//cdn.example.com/a.m3u8").await).await,
        "playlist: the first variant is `//cdn.example.com/a.m3u8`: it lies at another host, which is not probed"
    );
    assert_eq!(probe(kind(), master("gone.m3u8").await).await, "status: status 404 of `/live/gone.m3u8`");
    assert_eq!(
        probe(kind(), master("all.m3u8").await).await,
        "playlist: the first variant is a master playlist"
    );
}

#[tokio::test]
async fn a_playlist_behind_tls_is_followed_with_its_host_and_headers() {
    let valid = certificate(30);
    let fetched = Arc::new(AtomicU64::new(0));
    let count = fetched.clone();
    let to = web(Some(acceptor(&valid, &["http/1.1"])), move |asked: Asked| {
        let known = asked.headers()["host"] == "play.example.com" && asked.headers()["x-token"] == "t";
        let text = match count.fetch_add(1, Ordering::Relaxed) {
            0 => "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttps://play.example.com/low.m3u8\n".to_owned(),
            _ => playlist(1),
        };
        async move { if known { ok(text) } else { status(403, "") } }
    })
    .await;
    let mut how = tls(Some(&roots(&valid)));
    how.sni = Some("127.0.0.1".into());
    let (host, headers) = (Some("play.example.com".into()), vec![("X-Token".into(), "t".into())]);
    let resource = Resource { host, headers, tls: Some(how), ..at("/all.m3u8") };
    assert_eq!(probe(Kind::Hls(Hls { at: resource, ..hls("/") }), to).await, "succeeded");
    assert_eq!(fetched.load(Ordering::Relaxed), 2);
}

fn flv(tags: u32) -> Kind {
    Kind::Flv(Flv { at: at("/live/a.flv"), tags })
}

/// A server that answers 200 with these octets in chunks, and then either ends or says nothing more.
async fn streams(octets: &[u8], ends: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let chunk = format!("{:x}\r\n", octets.len());
    let chunk = if octets.is_empty() { Vec::new() } else { [chunk.as_bytes(), octets, b"\r\n"].concat() };
    let end: &[u8] = if ends { b"0\r\n\r\n" } else { b"" };
    let answer = [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &chunk, end].concat();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(&answer).await;
                while matches!(stream.read(&mut asked).await, Ok(1..)) {}
            });
        }
    });
    to
}

const FLV: &[u8] = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";
/// What sets up H.264, then a picture, each with the length behind it.
const SET_UP: &[u8] = &[9, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0x17, 0, 0, 0, 0, 0, 0, 0, 16];
const PICTURE: &[u8] = &[9, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0x17, 1, 0, 0, 0, 0, 0, 0, 16];

#[tokio::test]
async fn media_must_come_and_what_is_missing_is_told() {
    let picture = [FLV, SET_UP, PICTURE].concat();
    let cases = [
        (streams(&picture, false).await, 1, "succeeded"),
        (streams(&[], false).await, 1, "media: status 200, and not one octet within 400 ms"),
        (streams(&[], true).await, 1, "media: status 200, and not one octet before the stream ended"),
        (streams(&FLV[..5], false).await, 1, "media: no whole FLV header within 400 ms"),
        (
            streams(&[FLV, SET_UP].concat(), false).await,
            1,
            "media: an FLV header, and neither audio nor video within 400 ms",
        ),
        (streams(&picture, false).await, 3, "media: 1 of 3 tags of audio or video within 400 ms"),
        (streams(b"<html>", true).await, 1, "media: no FLV: it does not begin with `FLV`"),
        (web(None, |_| async { status(404, "") }).await, 1, "status: status 404"),
    ];
    for (to, tags, told) in cases {
        assert_eq!(probe(flv(tags), to).await, told);
    }
}

#[tokio::test]
async fn a_stream_that_never_ends_is_left_once_enough_has_come() {
    let to = web(None, |_| async {
        let endless: Vec<u8> = [FLV, &PICTURE.repeat(100_000)].concat();
        Response::new(Full::new(Bytes::from(endless)))
    })
    .await;
    assert_eq!(probe(flv(1000), to).await, "succeeded");
}
