//! Real sockets on port 0: they prove the wiring of the transports, not what is answered.
#![allow(clippy::disallowed_methods, reason = "clients have sockets and clocks of their own")]
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(unsafe_code, reason = "an allocator that counts is an allocator")]

#[path = "server/tcp.rs"]
mod tcp;
#[path = "server/udp.rs"]
mod udp;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use steerdns::answer::tally::Tally;
use steerdns::answer::totals::Totals;
use steerdns::answer::worker::{Ask, Fact, Now, Reply, Transport, Worker};
use steerdns::cluster::Family;
use steerdns::net::answering::Answering;
use steerdns::net::errand::{self, Errand};
use steerdns::net::stream::{self, Counts, Limits};
use steerdns::net::{hickory, listen, portable};
use steerdns::snapshot::{Live, Snapshot};

/// Longer than anything here takes, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Questions that fit into the cold lane.
const LANE: usize = 2;

thread_local! {
    /// Octets that this thread has allocated and not given back; the servers of other tests have threads of their own.
    static HELD: Cell<isize> = const { Cell::new(0) };
    /// The most that it ever held.
    static MOST_HELD: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, and what each thread holds.
struct Counting;

impl Counting {
    fn count(more: usize, less: usize) {
        HELD.set(HELD.get() + more as isize - less as isize);
        MOST_HELD.set(MOST_HELD.get().max(HELD.get()));
    }
}

// SAFETY: everything is the system allocator's doing; the count neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::count(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::count(size, layout.size());
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Counting::count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How UDP is served.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Engine {
    #[cfg(target_os = "linux")]
    Mmsg,
    Portable,
    Hickory,
}

impl Engine {
    const ALL: &[Engine] = &[
        #[cfg(target_os = "linux")]
        Engine::Mmsg,
        Engine::Portable,
        Engine::Hickory,
    ];
    const OURS: &[Engine] = &[
        #[cfg(target_os = "linux")]
        Engine::Mmsg,
        Engine::Portable,
    ];
}

/// What a test asks: the first label tells what happens.
fn query(id: u16, what: &str) -> Vec<u8> {
    let mut query = [id.to_be_bytes(), [1, 0], [0, 1], [0; 2], [0; 2], [0; 2]].concat();
    query.push(what.len() as u8);
    query.extend(what.as_bytes());
    query.extend(b"\x07example\0\0\x01\0\x01");
    query
}

const FACT: Fact =
    Fact { rcode: 0, qtype: 1, truncated: false, slipped: false, ecs: false, sender: None, steered: None };

/// Answers as the first label of the question says.
fn respond(
    _: &Snapshot,
    worker: &mut Worker,
    _: Now,
    buf: &mut [u8],
    len: usize,
    _: IpAddr,
    transport: Transport,
) -> Reply {
    let what = buf.get(13..13 + usize::from(buf[12])).unwrap_or_default();
    let octets = match what {
        b"nothing" => return Reply::Drop,
        b"later" => return Reply::Later(Ask { query: buf[..len].into() }),
        b"held" => {
            let most = MOST_HELD.get().to_be_bytes();
            buf[len..len + most.len()].copy_from_slice(&most);
            return Reply::Done(len + most.len(), FACT);
        }
        b"panic" => {
            buf[..12].fill(0xFF);
            panic!("a test's panic");
        }
        b"large" if transport == Transport::Tcp => 60_000,
        b"large" => 1232,
        _ => 0,
    };
    buf[2] |= 0x84; // QR, AA
    buf[7] = 1;
    // An answer whose last octet tells how many were answered before it in this thread.
    worker.turns[0] = worker.turns[0].wrapping_add(1);
    buf[len..len + 16].copy_from_slice(b"\xC0\x0C\0\x01\0\x01\0\0\0\x14\0\x04\xC0\0\x02\0");
    buf[len + 15] = worker.turns[0] as u8;
    let end = (len + 16).max(octets);
    buf[len + 16..end].fill(0);
    Reply::Done(end, FACT)
}

/// A server in this process; it ends when dropped.
struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    tallies: Vec<Arc<Tally>>,
    connections: Arc<Counts>,
    errands: tokio::sync::mpsc::Receiver<Errand>,
}

impl Server {
    fn on(engine: Engine, address: &str, limits: Limits) -> Server {
        silence_expected_panics();
        let listeners = listen::bind(address.parse().unwrap(), 1, 1).unwrap();
        let address = listeners.address;
        let (lane, errands) = errand::lane(LANE);
        let stop = Arc::new(AtomicBool::new(false));
        let live = Arc::new(Live::new(Snapshot::default()));
        let answering = Answering { live, respond, lane, panics: Arc::default(), stop: Arc::clone(&stop) };
        let family = Family::of(address.ip());
        let tally = |transport| Arc::new(Tally::new(transport, family));
        let (udp, tcp) = (tally(Transport::Udp), tally(Transport::Tcp));
        let tallies = vec![Arc::clone(&udp), Arc::clone(&tcp)];
        let connections = Arc::<Counts>::default();
        let mut threads = Vec::new();
        let socket = listeners.udp.into_iter().next().unwrap();
        let listener = listeners.tcp.into_iter().next().unwrap();
        if engine == Engine::Hickory {
            threads.push(thread::spawn(move || {
                hickory::serve(socket, Some(listener), &answering, Worker::default(), [udp, tcp]).unwrap();
            }));
        } else {
            let (of_udp, counts) = (answering.clone(), Arc::clone(&connections));
            threads.push(thread::spawn(move || {
                let socket = Arc::new(socket);
                match engine {
                    #[cfg(target_os = "linux")]
                    Engine::Mmsg => {
                        steerdns::net::udp::serve(&socket, &of_udp, Worker::default(), &udp, 1232)
                    }
                    _ => portable::serve(&socket, &of_udp, Worker::default(), &udp),
                }
                .unwrap();
            }));
            threads.push(thread::spawn(move || {
                stream::serve(vec![(listener, tcp)], &answering, Worker::default(), limits, counts).unwrap();
            }));
        }
        Server { address, stop, threads, tallies, connections, errands }
    }

    fn udp(engine: Engine) -> Server {
        Server::on(engine, "127.0.0.1:0", Limits::default())
    }

    fn tcp(limits: Limits) -> Server {
        Server::on(Engine::Portable, "127.0.0.1:0", limits)
    }

    fn totals(&self) -> Totals {
        Totals::of(&self.tallies)
    }

    /// The metrics of connections, as `/metrics` shows them.
    fn connection_metrics(&self) -> String {
        let mut text = steerdns::metrics::Exposition::default();
        Counts::write(&[Arc::clone(&self.connections)], &mut text);
        text.into_text()
    }

    /// Tells it to stop, and waits until it has.
    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Asks again and again until it is so.
fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "not yet: {what}");
        thread::yield_now();
    }
}

fn silence_expected_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |it| {
            if it.payload().downcast_ref() != Some(&"a test's panic") {
                usual(it);
            }
        }));
    });
}
