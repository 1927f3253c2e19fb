//! No answer allocates: counted, not hoped for.
#![allow(unsafe_code, reason = "an allocator that counts is an allocator")]
#![allow(clippy::disallowed_methods, reason = "the core is told the time")]

#[path = "conformance/desk.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "it is shared with `conformance`")]
mod desk;
mod support;
#[path = "../benches/support/mod.rs"]
mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

use steerdns::answer::respond::respond;
use steerdns::answer::worker::{Reply, Transport, Worker};
use support::ask::{Question, at};
use support::questions::{QUESTIONS, snapshot};
use world::{Asker, KINDS, World};

thread_local! {
    /// Allocations of this thread: other tests have their own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, and a count.
struct Counting;

// SAFETY: everything is the system allocator's doing; the count neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How many allocations an answer to each of these queries makes.
fn allocations(queries: &[Vec<u8>]) -> Vec<u64> {
    let snapshot = snapshot();
    let mut worker = Worker::default();
    let now = Instant::now();
    let peer = Question::new(".", "A").peer;
    let mut buf = vec![0; 4096];
    let count = |query: &Vec<u8>| {
        buf[..query.len()].copy_from_slice(query);
        let before = ALLOCATIONS.get();
        let reply = respond(&snapshot, &mut worker, at(now), &mut buf, query.len(), peer, Transport::Udp);
        let after = ALLOCATIONS.get();
        assert!(matches!(reply, Reply::Done(..) | Reply::Drop));
        after - before
    };
    queries.iter().map(count).collect()
}

#[test]
fn answers_from_templates_allocate_nothing() {
    for (what, name, qtype, edns) in QUESTIONS {
        let question = Question { edns: edns.then_some(1232), ..Question::new(name, qtype) };
        assert_eq!(allocations(&[question.octets()]), [0], "{what}");
        assert_eq!(
            allocations(&[question.subnet("203.0.113.0/24").octets()]),
            [0],
            "{what}, with a client subnet"
        );
    }
}

#[test]
fn answers_of_a_world_steered_ones_among_them_allocate_nothing() {
    let world = World::new();
    for kind in KINDS {
        let mut asker = Asker::new(&world, kind);
        let before = ALLOCATIONS.get();
        let mut answers = 0;
        for _ in 0..1000 {
            asker.prepare();
            answers += u32::from(matches!(asker.answer(), Reply::Done(..)));
        }
        assert_eq!((ALLOCATIONS.get() - before, answers), (0, 1000), "{}", kind.label);
    }
}

/// What few ask, and what stands beside a question: HTTPS, SRV, DNAME, cookies and other options, a limit that is reached.
#[test]
fn answers_to_rare_questions_allocate_nothing() {
    let mut files = desk::files();
    files.append("steerdns.toml", "[rrl]\nrate = 1000\nslip = 2\nallow = []\n");
    let path = std::path::Path::new("zones/live.example.com.toml");
    let text =
        files.0[path].replacen("ttl = \"20s\"\n", "ttl = \"20s\"\nhttps = true\nsrv = [\"_rtmp._tcp\"]\n", 1);
    files.put("zones/live.example.com.toml", &format!("expose = \"nodes\"\n{text}"));
    let world = desk::Desk::of(&files).world;
    let all: Vec<(u16, &[u8])> = vec![(3, &[]), (8, &[0, 1, 24, 0, 11, 0, 7]), (10, &[7; 8]), (19, &[])];
    let packets = [
        desk::query("play.live.example.com.", "HTTPS"),
        desk::query("_rtmp._tcp.play.live.example.com.", "SRV"),
        desk::query("x.old.live.example.com.", "A"),
        desk::query("play.live.example.com.", "ANY"),
        desk::query("sin-1.sin.live.example.com.", "A"),
        desk::edns("play.live.example.com.", "A", &desk::opt(1232, 0, 0x8000, &all)),
        desk::edns("play.live.example.com.", "A", &desk::opt(1232, 7, 0, &all)),
        desk::edns("example.org.", "A", &desk::opt(1232, 0, 0, &all)),
        desk::edns("live.example.com.", "TYPE250", &desk::opt(1232, 0, 0, &[])),
    ];
    let mut worker = Worker::of(1, 7);
    let mut buf = vec![0; 4096];
    let peer = Question::new(".", "A").peer;
    for (packet, number) in packets.iter().zip(0..) {
        let before = ALLOCATIONS.get();
        // Beyond the limit, too.
        for _ in 0..1500 {
            buf[..packet.len()].copy_from_slice(packet);
            let reply = respond(
                &world.snapshot,
                &mut worker,
                at(world.now),
                &mut buf,
                packet.len(),
                peer,
                Transport::Udp,
            );
            assert!(matches!(reply, Reply::Done(..) | Reply::Limited), "{number}: {reply:?}");
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "{number}");
    }
}

#[test]
fn refusals_of_what_cannot_be_read_allocate_nothing() {
    let whole = Question::new("web.live.example.com.", "A").subnet("203.0.113.0/24").octets();
    let cut: Vec<_> = (0..whole.len()).map(|len| whole[..len].to_vec()).collect();
    assert!(allocations(&cut).iter().all(|count| *count == 0));
    let bent: Vec<_> = (0..whole.len())
        .map(|at| {
            let mut bent = whole.clone();
            bent[at] ^= 0xff;
            bent
        })
        .collect();
    assert!(allocations(&bent).iter().all(|count| *count == 0));
}

/// The count counts: a test that cannot fail is a defect.
#[test]
fn an_allocation_is_counted() {
    let before = ALLOCATIONS.get();
    let held = std::hint::black_box(vec![1]);
    assert_eq!(ALLOCATIONS.get() - before, held.len() as u64);
}
