//! What stands in bodies: JSON that is expected, and load that is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::Response;
use steerdns::health::check::{Http, HttpVersion, Kind, Wanted};
use steerdns::health::load::{Figure, LoadSource, Series};
use steerdns::health::note::Note;

use crate::web::{Asked, Prober, http, ok, probe, web};

fn expecting(pointer: &str, wanted: Wanted) -> Kind {
    Kind::Http(Http { json: vec![(pointer.into(), wanted)], ..http() })
}

#[tokio::test]
async fn a_value_of_the_json_must_be_as_expected() {
    let text = r#"{"status":"ok","ready":true,"streams":[{"viewers":12}],"a/b":1.5}"#;
    let to = web(None, move |_| async move { ok(text) }).await;
    let cases = [
        ("/status", Wanted::Text("ok".into()), "succeeded"),
        ("/ready", Wanted::Flag(true), "succeeded"),
        ("/streams/0/viewers", Wanted::Number(12.0), "succeeded"),
        ("/a~1b", Wanted::Number(1.5), "succeeded"),
        ("/status", Wanted::Text("down".into()), r#"body: `/status` is "ok", not "down""#),
        ("/ready", Wanted::Flag(false), "body: `/ready` is true, not false"),
        ("/status", Wanted::Flag(true), r#"body: `/status` is "ok", not true"#),
        ("/streams/1/viewers", Wanted::Number(1.0), "body: no `/streams/1/viewers` in the JSON"),
    ];
    for (pointer, wanted, told) in cases {
        assert_eq!(probe(expecting(pointer, wanted), to).await, told);
    }
    let both =
        Http { body: Some("viewers".into()), json: vec![("/ready".into(), Wanted::Flag(true))], ..http() };
    assert_eq!(probe(Kind::Http(both), to).await, "succeeded");
}

#[tokio::test]
async fn json_that_is_none_or_is_cut_is_told_as_that() {
    let not = web(None, |_| async { ok("<html>") }).await;
    let told = probe(expecting("/ready", Wanted::Flag(true)), not).await;
    assert!(told.starts_with("body: no JSON: "), "{told}");
    let sized = |octets: usize| {
        let text = format!(r#"{{"ready":true,"padding":"{}"}}"#, "p".repeat(octets - 27));
        assert_eq!(text.len(), octets);
        web(None, move |_| {
            let text = text.clone();
            async move { ok(text) }
        })
    };
    let kind = || expecting("/ready", Wanted::Flag(true));
    assert_eq!(probe(kind(), sized(65_536).await).await, "succeeded");
    assert_eq!(probe(kind(), sized(65_537).await).await, "body: longer than 64 KiB: not all of it is read");
    let two = Http { version: HttpVersion::Two, json: vec![("/ready".into(), Wanted::Flag(true))], ..http() };
    assert_eq!(probe(Kind::Http(two), sized(65_536).await).await, "succeeded");
    // Nested deeper than anybody means it.
    let deep = web(None, |_| async { ok("[".repeat(60_000)) }).await;
    let told = probe(kind(), deep).await;
    assert!(told.starts_with("body: no JSON: "), "{told}");
}

fn with_load(header: &str, code: u16) -> Response<Full<bytes::Bytes>> {
    Response::builder().status(code).header("endpoint-load-metrics", header).body(Full::default()).unwrap()
}

#[tokio::test]
async fn the_load_in_the_header_is_noted_whatever_the_outcome() {
    for (code, told) in [(200, "succeeded"), (503, "status: status 503")] {
        let to =
            web(None, move |_| async move { with_load(r#"JSON {"application_utilization":0.8}"#, code) })
                .await;
        let outcome = Prober::new(Kind::Http(http()), to).probe().await;
        assert_eq!(outcome, (told.into(), vec![Note::Load { used: 0.8 }]));
    }
    let to = web(None, |_| async { with_load("JSON {", 200) }).await;
    assert_eq!(Prober::new(Kind::Http(http()), to).probe().await, ("succeeded".into(), vec![]));
}

/// A load that was told, and no warning of its absence.
fn told_load(used: f64) -> (String, Vec<Note>) {
    ("succeeded".into(), vec![Note::Warning(None), Note::Load { used }])
}

fn no_load(why: &str) -> (String, Vec<Note>) {
    ("succeeded".into(), vec![Note::Warning(Some(format!("no load: {why}").into()))])
}

fn loaded(figure: Figure, max: f64, rate: bool) -> Kind {
    Kind::Http(Http { load: Some(LoadSource { figure, max, rate }), ..http() })
}

#[tokio::test]
async fn the_load_in_the_body_is_noted_and_its_absence_changes_no_outcome() {
    let json = || loaded(Figure::Json("/network/outBps".into()), 9e9, false);
    let to = web(None, |_| async { ok(r#"{"network":{"outBps":4500000000}}"#) }).await;
    assert_eq!(Prober::new(json(), to).probe().await, told_load(0.5));
    let untold = "the body does not tell it";
    let bodies =
        [("", untold), ("{}", untold), ("no JSON", untold), (r#"{"network":{"outBps":-1}}"#, "-1 is none")];
    for (body, why) in bodies {
        let to = web(None, move |_| async move { ok(body) }).await;
        assert_eq!(Prober::new(json(), to).probe().await, no_load(why), "{body}");
    }
    let series = Series::parse(r#"sent_bps{device="eth0"}"#).unwrap();
    let to = web(None, |_| async { ok("sent_bps{device=\"eth0\"} 3\nsent_bps{device=\"lo\"} 5\n") }).await;
    let noted = Prober::new(loaded(Figure::Prometheus(series), 4.0, false), to).probe().await;
    assert_eq!(noted, told_load(0.75));
    // As long as what Debian's node exporter exposes on a machine of many disks and links, and not without end.
    let series = || Figure::Prometheus(Series::parse("x").unwrap());
    let long = |lines: usize| format!("{}x 1\n", "node_cpu_seconds_total{cpu=\"0\"} 1\n".repeat(lines));
    let to = web(None, move |_| async move { ok(long(10_000)) }).await;
    assert_eq!(Prober::new(loaded(series(), 2.0, false), to).probe().await, told_load(0.5));
    let to = web(None, move |_| async move { ok(long(40_000)) }).await;
    let noted = Prober::new(loaded(series(), 2.0, false), to).probe().await;
    assert_eq!(noted, no_load("body: longer than 1024 KiB: not all of it is read"));
}

#[tokio::test]
async fn a_counter_tells_its_load_from_the_second_look_on() {
    let sent = Arc::new(AtomicU64::new(1_000));
    let counter = sent.clone();
    let to = web(None, move |_: Asked| {
        let sent = counter.load(Ordering::Relaxed);
        async move { ok(format!("sent_bytes_total {sent}\n")) }
    })
    .await;
    let series = Figure::Prometheus(Series::parse("sent_bytes_total").unwrap());
    let prober = Prober::new(loaded(series, 1_000_000.0, true), to);
    assert_eq!(prober.probe().await, ("succeeded".into(), vec![Note::Warning(None)]));
    sent.fetch_add(1_000_000, Ordering::Relaxed);
    let began = std::time::Instant::now();
    // Looks that follow too closely tell nothing; the first that does not, tells all of it.
    let used = loop {
        let (outcome, notes) = prober.probe().await;
        assert_eq!(outcome, "succeeded");
        if let [_, Note::Load { used }] = notes[..] {
            break used;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "no load was told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!((0.1..=2.0).contains(&used), "{used}");
    assert!(began.elapsed() >= Duration::from_millis(400));
}

/// Were its body awaited to the end, every probe would be late.
#[tokio::test]
async fn a_body_that_never_ends_delays_no_probe_for_its_load() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{").await;
        let _ = stream.read(&mut [0; 4096]).await;
    });
    let kind = loaded(Figure::Json("/x".into()), 1.0, false);
    let began = std::time::Instant::now();
    let patient = Prober::new(kind, to).within(Duration::from_secs(20));
    assert_eq!(patient.probe().await, no_load("the body came too late"));
    assert!(began.elapsed() < Duration::from_secs(10));
}
