//! `play`: nginx with a publisher and without, and servers that only seem to play.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rcgen::generate_simple_self_signed;
use steerdns::health::check::{Kind, Rtmp, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

use super::peer::{Running, installed};
use super::{LONG, SHORT, nginx, probe};

const FFMPEG: &str = "/usr/bin/ffmpeg";

fn playing(stream: &str) -> Rtmp {
    Rtmp { app: "live".into(), host: None, play: Some(stream.into()) }
}

/// A command in AMF0 as one chunk: its name, transaction, null, then these octets.
fn command(name: &str, transaction: f64, rest: &[u8]) -> Vec<u8> {
    let body =
        [&[2, 0, name.len() as u8], name.as_bytes(), &[0], &transaction.to_be_bytes(), &[5], rest].concat();
    message(20, &body)
}

/// A message of at most 128 octets on chunk stream 6.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[6, 0, 0, 0, 0, 0, body.len() as u8, kind, 1, 0, 0, 0], body].concat()
}

/// A status of the stream: its level, and its code.
fn status(level: &str, code: &str) -> Vec<u8> {
    let property = |name: &str, value: &str| {
        [&[0, name.len() as u8], name.as_bytes(), &[2, 0, value.len() as u8], value.as_bytes()].concat()
    };
    let object = [vec![3], property("level", level), property("code", code), vec![0, 0, 9]].concat();
    command("onStatus", 0.0, &object)
}

/// A server that answers `connect` and `createStream`, and says this once it has heard `play`.
async fn server(says: Vec<u8>, stays: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, says.clone(), stays));
        }
    });
    at
}

async fn serve(mut stream: TcpStream, says: Vec<u8>, stays: bool) {
    let mut c0_c1 = [0; 1537];
    stream.read_exact(&mut c0_c1).await.unwrap();
    let mut handshake = vec![0; 1 + 2 * 1536];
    handshake[0] = 3;
    stream.write_all(&handshake).await.unwrap();
    let one = [&[0][..], &1f64.to_be_bytes()].concat();
    let answers = [
        ("connect", command("_result", 1.0, &[])),
        ("createStream", command("_result", 2.0, &one)),
        ("play", says),
    ];
    for (word, answer) in answers {
        if !hear(&mut stream, word).await || stream.write_all(&answer).await.is_err() {
            return;
        }
    }
    if stays {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

async fn hear(stream: &mut TcpStream, word: &str) -> bool {
    let mut heard = Vec::new();
    let wanted = [&[2, 0, word.len() as u8], word.as_bytes()].concat();
    while !heard.windows(wanted.len()).any(|window| window == wanted) {
        if !matches!(stream.read_buf(&mut heard).await, Ok(1..)) {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn a_stream_is_live_where_sound_or_pictures_come() {
    let start = || status("status", "NetStream.Play.Start");
    let metadata = message(18, b"\x02\x00\x0aonMetaData");
    let configures = message(9, &[0x17, 0, 0, 0, 0]);
    let sound = message(8, &[0xAF, 1, 0x21]);
    let aggregate = message(22, &[8, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0xAF, 1, 0x21, 0, 0, 0, 14]);
    // The first octets of a picture of 16 MiB: nobody waits for the rest.
    let picture = [&[6, 0, 0, 0, 0xFF, 0xFF, 0xFF, 9, 1, 0, 0, 0], &[0x17, 1, 0][..]].concat();
    for media in [sound, aggregate, picture] {
        let says = [start(), metadata.clone(), configures.clone(), media].concat();
        assert_eq!(probe(Kind::Rtmp(playing("a")), server(says, true).await, LONG).await, "succeeded");
    }
}

#[tokio::test]
async fn what_only_seems_to_play_fails() {
    let start = status("status", "NetStream.Play.Start");
    let metadata = message(18, b"\x02\x00\x0aonMetaData");
    let configures = [message(9, &[0x17, 0, 0, 0, 0]), message(8, &[0xAF, 0, 0x12])].concat();
    let error = status("error", "NetStream.Play.StreamNotFound");
    let cases = [
        (start.clone(), true, "media: no answer within 400 ms"),
        ([start.clone(), metadata.clone(), configures].concat(), true, "media: no answer within 400 ms"),
        (error, true, "media: `play` refused: NetStream.Play.StreamNotFound"),
        (start, false, "media: closed after `play`"),
        (metadata.repeat(5000), true, "media: 64 KiB, and neither sound nor picture"),
    ];
    for (at, (says, stays, told)) in cases.into_iter().enumerate() {
        let to = server(says, stays).await;
        assert_eq!(probe(Kind::Rtmp(playing("a")), to, SHORT).await, told, "{at}");
    }
}

/// TLS in front of what speaks none; and the roots that sign it, as PEM.
async fn encrypted(behind: SocketAddr) -> (SocketAddr, Arc<[u8]>) {
    let certificate = generate_simple_self_signed(["127.0.0.1".into()]).unwrap();
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut behind = TcpStream::connect(behind).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut behind).await;
            });
        }
    });
    (at, certificate.cert.pem().into_bytes().into())
}

#[tokio::test]
async fn nginx_starts_to_play_what_nobody_publishes_and_we_are_not_deceived() {
    let Some(nginx) = nginx::start().await else { return };
    let told = probe(Kind::Rtmp(playing("show")), nginx.rtmp, SHORT).await;
    assert_eq!(told, "media: no answer within 400 ms");
}

#[tokio::test]
async fn nginx_plays_what_ffmpeg_publishes_over_rtmp_and_rtmps_until_it_stops() {
    if !installed(FFMPEG, "ffmpeg") {
        return;
    }
    let Some(nginx) = nginx::start().await else { return };
    let (tls_at, roots) = encrypted(nginx.rtmp).await;
    let tls = Tls { sni: None, verify: true, roots: Some(roots), expires_within: std::time::Duration::ZERO };
    let url = format!("rtmp://{}/live/show", nginx.rtmp);
    let (pictures, sound) = ("testsrc2=size=128x72:rate=10", "sine");
    let words = [
        &["-nostdin", "-v", "quiet", "-re", "-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", sound][..],
        &["-c:v", "flv1", "-g", "5", "-c:a", "aac", "-f", "flv", &url],
    ]
    .concat();
    let mut publisher = Running::start(FFMPEG, words);
    let begun = Instant::now();
    let plain = || probe(Kind::Rtmp(playing("show")), nginx.rtmp, LONG);
    while plain().await != "succeeded" {
        assert!(!publisher.ended() && begun.elapsed() < 2 * LONG, "it is not played");
    }
    assert_eq!(probe(Kind::Rtmps(playing("show"), tls.clone()), tls_at, LONG).await, "succeeded");
    let other = probe(Kind::Rtmps(playing("other"), tls.clone()), tls_at, SHORT).await;
    assert_eq!(other, "media: no answer within 400 ms");
    let stranger = Tls { roots: None, ..tls };
    let told = probe(Kind::Rtmps(playing("show"), stranger), tls_at, LONG).await;
    assert!(told.starts_with("tls: invalid peer certificate"), "{told}");

    drop(publisher);
    let gone = Instant::now();
    while probe(Kind::Rtmp(playing("show")), nginx.rtmp, SHORT).await == "succeeded" {
        assert!(gone.elapsed() < LONG, "it is played, and nobody publishes");
    }
}
