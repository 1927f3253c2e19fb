//! What one answer costs: `answer::respond`, in place, from a Snapshot in memory. `cargo bench --bench respond`.
//!
//! Each round copies the query into the buffer first, as the kernel does for a datagram; `query copied` is that alone.
#![allow(clippy::disallowed_methods, reason = "a bench has a clock of its own")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use steerdns::answer::respond::respond;
use steerdns::answer::worker::{Reply, Transport, Worker};
use support::ask::Question;
use support::questions::{QUESTIONS, snapshot};

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
                let reply = respond(&snapshot, &mut worker, now, &mut buf, len, peer, Transport::Udp);
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

criterion_group!(respond_benches, benches);
criterion_main!(respond_benches);
