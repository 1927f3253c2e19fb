//! Probes of media against the servers that they are for: nginx with its RTMP module (HLS), node-media-server (HTTP-FLV),
//! aiortc (ICE behind WHIP), gRPC's own server. Each is made to misbehave as it does by itself.
//!
//! `STEERDNS_REQUIRE_PEERS=1` makes what is not installed a failure.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests own the clock, sockets and disk here"
)]

#[path = "support/web.rs"]
mod web;

#[path = "support/media.rs"]
mod media;
#[path = "support/programs.rs"]
mod programs;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use programs::{Program, found, free_port, node_module, python_module};
use steerdns::health::check::Kind;
use steerdns::health::resource::{Flv, Grpc, Hls, Resource, Whip};
use web::Prober;

/// How long a server and its first segment may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn at(path: &str) -> Resource {
    Resource { path: path.into(), host: None, headers: Vec::new(), tls: None }
}

/// Probes until the outcome is as wanted.
async fn until(prober: &Prober, wanted: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let outcome = prober.outcome().await;
        if wanted(&outcome) {
            return outcome;
        }
        assert!(began.elapsed() < PATIENCE, "still: {outcome}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn succeeded(outcome: &str) -> bool {
    outcome == "succeeded"
}

fn publish(to: SocketAddr, stream: &str) -> Program {
    Program::run(media::publisher(to, stream))
}

#[tokio::test]
async fn a_playlist_of_nginx_advances_while_somebody_publishes_and_stands_still_when_nobody_does() {
    if !found(&[media::NGINX, media::RTMP_MODULE, "/usr/bin/ffmpeg"]) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let [rtmp, http] = [(); 2].map(|()| free_port());
    let _nginx = Program::run(media::nginx(scratch.path(), rtmp, http));
    rtmp_listens(rtmp).await;
    let hls = |live| Hls { at: at("/hls/show.m3u8"), live, max_age: Some(Duration::from_secs(4)) };
    let prober = Prober::new(Kind::Hls(hls(true)), http).within(Duration::from_secs(2));
    assert_eq!(prober.outcome().await, "status: status 404 of `/hls/show.m3u8`");

    let publisher = publish(rtmp, "show");
    until(&prober, succeeded).await;
    // It goes on for longer than it may stand still.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        assert_eq!(prober.outcome().await, "succeeded");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    // A publisher that is held: its connection stays, and nothing comes any more.
    publisher.signal("STOP");
    let told = until(&prober, |outcome| !succeeded(outcome)).await;
    assert!(told.starts_with("playlist: has not advanced for "), "{told}");
    publisher.signal("CONT");
    until(&prober, succeeded).await;

    // One that is gone. nginx leaves the last playlist as it is: 200, and forever the same.
    drop(publisher);
    let told = until(&prober, |outcome| !succeeded(outcome)).await;
    assert!(told.starts_with("playlist: "), "{told}");
    let recorded = Prober::new(Kind::Hls(hls(false)), http).within(Duration::from_secs(2));
    assert_eq!(recorded.outcome().await, "succeeded");
}

async fn rtmp_listens(at: SocketAddr) {
    let rtmp = steerdns::health::check::Rtmp { app: "live".into(), host: None, play: None };
    until(&Prober::new(Kind::Rtmp(rtmp), at), succeeded).await;
}

/// node-media-server answers 200 for a stream that nobody sends, and says no more: an http check takes that for life.
#[tokio::test]
async fn node_media_server_says_200_for_a_stream_that_is_not_there_and_is_not_believed() {
    let Some(modules) = node_module("node-media-server") else { return };
    if !found(&["/usr/bin/ffmpeg"]) {
        return;
    }
    let [rtmp, http] = [(); 2].map(|()| free_port());
    let words = media::node_media_server(rtmp, http);
    let _server = Program::start_in(&words[0], &words[1..], &modules);
    rtmp_listens(rtmp).await;
    let flv = |tags, patience| {
        let kind = Kind::Flv(Flv { at: at("/live/show.flv"), tags });
        Prober::new(kind, http).within(Duration::from_secs(patience))
    };
    let one = flv(1, 1);
    let told = until(&one, |outcome| !outcome.starts_with("connect: ")).await;
    assert!(told.starts_with("media: ") && told.ends_with(" within 1000 ms"), "{told}");
    println!("node-media-server without a stream: {told}");

    let publisher = publish(rtmp, "show");
    until(&one, succeeded).await;
    // It keeps a second of pictures and sound, some fifty tags, and sends them of a stream that stands still, too: more
    // than these must come.
    let more = flv(150, 6);
    until(&more, succeeded).await;
    publisher.signal("STOP");
    let told = until(&more, |outcome| !succeeded(outcome)).await;
    assert!(told.contains(" of 150 tags of audio or video within 6000 ms"), "{told}");
    println!("node-media-server with a stream that stands still: {told}");
    publisher.signal("CONT");
    until(&more, succeeded).await;

    drop(publisher);
    until(&one, |outcome| outcome.starts_with("media: ")).await;
}

/// The server of the gRPC project itself (its C core), with a health service that knows two services.
const HEALTH: &str = r#"
import sys, grpc
from concurrent import futures
known = {b'': 1, b'up': 1, b'down': 2}
def check(request, context):
    service = request[2:]
    if service not in known:
        context.abort(grpc.StatusCode.NOT_FOUND, 'unknown service')
    return bytes([8, known[service]])
health = grpc.method_handlers_generic_handler('grpc.health.v1.Health', {'Check': grpc.unary_unary_rpc_method_handler(check)})
server = grpc.server(futures.ThreadPoolExecutor(2))
if sys.argv[2] == 'health':
    server.add_generic_rpc_handlers((health,))
assert server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination()
"#;

#[tokio::test]
async fn grpcs_own_server_is_understood() {
    let Some(python) = python_module("grpc") else { return };
    let [healthy, bare] = [(); 2].map(|()| free_port());
    let _one = Program::start(python, &["-c", HEALTH, &healthy.to_string(), "health"]);
    let _two = Program::start(python, &["-c", HEALTH, &bare.to_string(), "none"]);
    let grpc = |service: &str| {
        let at = at("/grpc.health.v1.Health/Check");
        Kind::Grpc(Grpc { at, service: service.into() })
    };
    let of = |service: &str, to| Prober::new(grpc(service), to).within(Duration::from_secs(2));
    until(&of("", healthy), succeeded).await;
    let cases = [
        ("up", "succeeded"),
        ("down", "application: `down` is NOT_SERVING"),
        ("other", "application: NOT_FOUND: `other` is not known to its health service"),
    ];
    for (service, told) in cases {
        assert_eq!(of(service, healthy).outcome().await, told);
    }
    let told = until(&of("", bare), |outcome| !outcome.starts_with("connect: ")).await;
    assert_eq!(told, "application: UNIMPLEMENTED: there is no health service (grpc.health.v1)");
}

/// A WHIP server over aiortc's ICE: it answers, counts its sessions at `/count`, and ends them on DELETE.
const WHIP: &str = r#"
import sys
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
sessions = {}
async def begin(request):
    peer = RTCPeerConnection()
    await peer.setRemoteDescription(RTCSessionDescription(sdp=await request.text(), type='offer'))
    await peer.setLocalDescription(await peer.createAnswer())
    number = str(len(sessions) + 1)
    sessions[number] = peer
    return web.Response(status=201, headers={'Location': 'session/' + number}, content_type='application/sdp', text=peer.localDescription.sdp)
async def end(request):
    peer = sessions.pop(request.match_info['number'])
    await peer.close()
    return web.Response()
async def options(request):
    return web.Response(status=204, headers={'Accept-Post': 'application/sdp'})
async def count(request):
    return web.json_response({'sessions': len(sessions)})
app = web.Application()
app.add_routes([web.post('/whip', begin), web.options('/whip', options), web.delete('/session/{number}', end), web.get('/count', count)])
web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]), print=None)
"#;

#[tokio::test]
async fn aiortcs_ice_is_met_behind_whip_and_no_session_stays() {
    let Some(python) = python_module("aiortc") else { return };
    if python_module("aiohttp").is_none() {
        return;
    }
    let to = free_port();
    let _server = Program::start(python, &["-c", WHIP, &to.port().to_string()]);
    let whip = |post| Kind::Whip(Whip { at: at("/whip"), post, token: None });
    let options = Prober::new(whip(false), to).within(Duration::from_secs(2));
    until(&options, succeeded).await;
    let sessions = |wanted: f64| {
        let json = vec![("/sessions".to_owned(), steerdns::health::check::Wanted::Number(wanted))];
        let http = steerdns::health::check::Http { path: "/count".into(), json, ..web::http() };
        Prober::new(Kind::Http(http), to)
    };
    // aiortc offers candidates of this machine's own addresses, never of loopback: that is told, and the session is ended.
    let at_loopback = Prober::new(whip(true), to).within(Duration::from_secs(10));
    let told = at_loopback.outcome().await;
    assert!(told.starts_with("ice: no UDP candidate at 127.0.0.1; the answer has: "), "{told}");
    until(&sessions(0.0), succeeded).await;
    // A node that is answered by such an address, and probed at loopback, is met there.
    let candidate = told.rsplit_once(": ").unwrap().1.split(", ").next().unwrap().to_owned();
    let Ok(candidate) = candidate.parse::<SocketAddr>() else {
        println!("this machine has no address beside loopback, so ICE is not tried");
        return;
    };
    let met = Prober::new(whip(true), to).within(Duration::from_secs(10)).of(candidate.ip());
    assert_eq!(met.outcome().await, "succeeded");
    until(&sessions(0.0), succeeded).await;
}
