//! What one answer costs: `answer::respond`, in place, from a Snapshot in memory. `cargo bench --bench respond`.
//!
//! Each round copies the query into the buffer first, as the kernel does for a datagram; `query copied` is that alone. The second group asks
//! the example's world, steered names among them: with client subnets of 100,000 networks in turn, and with the geography of a
//! City database where `STEERDNS_CITY_DB` names one.
#![allow(clippy::disallowed_methods, reason = "a bench has a clock of its own")]

#[path = "../tests/conformance/desk.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "it is shared with `conformance`")]
mod desk;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "support/mod.rs"]
mod world;

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use steerdns::answer::respond::respond;
use steerdns::answer::worker::{Reply, Transport, Worker};
use steerdns::wire::name::Name;
use steerdns::wire::tsig::{Algorithm, Key, Signer};
use support::ask::{Question, at};
use support::questions::{QUESTIONS, snapshot};
use world::{Asker, KINDS, World};

fn benches(criterion: &mut Criterion) {
    let snapshot = snapshot();
    let mut worker = Worker::default();
    let now = Instant::now();
    let mut buf = vec![0; 4096];
    let mut group = criterion.benchmark_group("respond");
    for (what, name, qtype, edns) in QUESTIONS {
        let question = Question { edns: edns.then_some(1232), ..Question::new(name, qtype) };
        let query = question.octets();
        let peer = question.peer;
        group.bench_function(*what, |bencher| {
            bencher.iter(|| {
                buf[..query.len()].copy_from_slice(black_box(&query));
                let len = query.len();
                let reply = respond(&snapshot, &mut worker, at(now), &mut buf, len, peer, Transport::Udp);
                assert!(matches!(black_box(reply), Reply::Done(..)));
            });
        });
    }
    group.bench_function("query copied", |bencher| {
        let query = Question::new("web.live.example.com.", "A").octets();
        bencher.iter(|| buf[..query.len()].copy_from_slice(black_box(&query)));
    });
    group.finish();
}

fn example(criterion: &mut Criterion) {
    let world = World::new();
    let mut group = criterion.benchmark_group("example");
    for kind in KINDS {
        let mut asker = Asker::new(&world, kind);
        group.bench_function(kind.label, |bencher| {
            bencher.iter(|| {
                asker.prepare();
                asker.answer()
            });
        });
    }
    group.finish();
}

/// What attackers and few others send, beside a plain SOA: nothing may cost many times as much.
fn rare(criterion: &mut Criterion) {
    let mut files = desk::files();
    let services = Path::new("zones/live.example.com.toml");
    let text = files.0[services].replacen("check", "https = true\nsrv = [\"_rtmp._tcp\"]\ncheck", 1);
    files.put("zones/live.example.com.toml", &format!("expose = \"nodes\"\n{text}"));
    let many: String = (0..200).map(|at| format!("many MX {at} m{at}\nm{at} A 192.0.2.{at}\n")).collect();
    files.append("zones/live.example.com.zone", &many);
    let world = desk::Desk::of(&files).world;
    let soa = || desk::query("live.example.com.", "SOA");
    let beside = |count: u16, rtype: u8| {
        let record = [0, 0, rtype, 0, 255, 0, 0, 0, 0, 0, 0];
        let question = desk::question("live.example.com.", "SOA", 1);
        [desk::header(0, [1, 0, 0, count]), question, record.repeat(count.into())].concat()
    };
    let with =
        |options: &[(u16, &[u8])]| desk::edns("live.example.com.", "SOA", &desk::opt(1232, 0, 0, options));
    let long = format!("{}live.example.com.", "a.".repeat(40));
    let key = Key::new(name("test."), Algorithm::Sha256, desk::SECRET);
    let mut signed = soa();
    let len = signed.len();
    signed.resize(len + 200, 0);
    let len = Signer::of_query(key.into(), [0xab, 0xcd]).sign(&mut signed, len, desk::NOW_S);
    signed.truncate(len);
    let queries = [
        ("SOA", soa()),
        ("SOA and TKEY", beside(1, 249)),
        ("SOA and SIG(0)", beside(1, 24)),
        ("SOA and 15 records", beside(15, 16)),
        ("SOA and 20 options", with(&[(3, &[][..]); 20])),
        ("SOA and a client cookie", with(&[(10, &[7; 8])])),
        ("SOA, signed", signed),
        ("a name of 44 labels", desk::query(&long, "A")),
        ("MX of 200 names", desk::query("many.live.example.com.", "MX")),
        ("DNAME", desk::query("x.old.live.example.com.", "A")),
        ("HTTPS", desk::query("play.live.example.com.", "HTTPS")),
        ("SRV", desk::query("_rtmp._tcp.play.live.example.com.", "SRV")),
    ];
    let mut group = criterion.benchmark_group("rare");
    let mut buf = vec![0; 65_535];
    let mut worker = Worker::default();
    let peer = [192, 0, 2, 200].into();
    for (label, query) in queries {
        group.bench_function(label, |bencher| {
            bencher.iter(|| {
                buf[..query.len()].copy_from_slice(black_box(&query));
                let (now, len) = (at(world.now), query.len());
                respond(&world.snapshot, &mut worker, now, &mut buf, len, peer, Transport::Tcp)
            });
        });
    }
    group.finish();
}

fn name(text: &str) -> Name {
    Name::parse(text, None).expect("a name")
}

criterion_group!(respond_benches, benches, example, rare);
criterion_main!(respond_benches);
