//! What one answer costs: `answer::respond`, in place, from a Snapshot in memory. `cargo bench --bench respond`.
//!
//! Each round copies the query into the buffer first, as the kernel does for a datagram; `query copied` is that alone. The second group asks
//! the example's world, steered names among them: with client subnets of 100,000 networks in turn, and with the geography of a
//! City database where `STEERDNS_CITY_DB` names one.
#![allow(clippy::disallowed_methods, reason = "a bench has a clock of its own")]

#[path = "../tests/support/mod.rs"]
mod support;
#[path = "support/mod.rs"]
mod world;

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use steerdns::answer::respond::respond;
use steerdns::answer::worker::{Reply, Transport, Worker};
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

criterion_group!(respond_benches, benches, example);
criterion_main!(respond_benches);
