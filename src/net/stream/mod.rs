//! TCP (RFC 7766), on tokio: a thread has its listeners, its connections and its buffers to itself.
//!
//! Whatever one read brought is answered with one write. A connection between two messages holds no buffer
//! of its own; one whose client does not read holds at most 16 KiB of answers and one more, and is not read
//! from meanwhile. Who comes when all seats are taken gets the seat of whoever has been idle the longest, so
//! that connections that are merely held open keep nobody out.

mod connection;
mod seats;

use std::cell::RefCell;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, interval, sleep, timeout};

use self::connection::{Connection, Desk, End};
use self::seats::Seats;
use super::answering::{Answering, Respond, STOP_SEEN};
use crate::answer::tally::Tally;
use crate::answer::worker::Worker;
use crate::metrics::{Counter, Exposition, Kind};

/// How long accepting rests when the system refuses (no file descriptors, no memory), with one connection
/// closed to make room.
const REST: Duration = Duration::from_millis(50);

/// What connections may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all; default 1,000. Keep it below the limit of open files.
    pub connections: usize,
    /// Connections of one client (an IPv4 address, an IPv6 /56); default 100. Lower it where one client's
    /// connections push out those of others; raise it where many resolvers stand behind one address.
    pub per_client: usize,
    /// From the connection, or its last whole message, to the next whole one; default 10 s (RFC 7766 §6.2.3
    /// leaves it to us). It bounds those that send nothing, and those that send an octet now and then.
    pub idle: Duration,
    /// How long a client may take to read an answer that its window has no room for; default 10 s.
    pub write: Duration,
    /// How long connections may take to end when we stop; default 2 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 1000,
            per_client: 100,
            idle: Duration::from_secs(10),
            write: Duration::from_secs(10),
            drain: Duration::from_secs(2),
        }
    }
}

/// What one thread counts of its connections.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counts {
    accepted: Counter,
    closed: Counter,
    evicted: Counter,
    idle: Counter,
    stalled: Counter,
    accept_failures: Counter,
}

impl Counts {
    /// Connections open now, over all threads.
    pub fn open(all: &[Arc<Counts>]) -> u64 {
        // Closed first: a connection that opens between the two readings must not make the sum negative.
        let closed: u64 = all.iter().map(|c| c.closed.count()).sum();
        all.iter().map(|c| c.accepted.count()).sum::<u64>().saturating_sub(closed)
    }

    /// Writes the sums over all threads as metrics.
    pub fn write(all: &[Arc<Counts>], text: &mut Exposition) {
        let sum = |field: fn(&Counts) -> &Counter| all.iter().map(|c| field(c).count()).sum::<u64>();
        let open = Counts::open(all);
        text.family("steerdns_tcp_connections", Kind::Gauge, "Connections open now.").sample(&[], open);
        let help = "Connections accepted.";
        text.family("steerdns_tcp_accepted_total", Kind::Counter, help).sample(&[], sum(|c| &c.accepted));
        let help = "Connections that we closed, by cause: their seat was given away, they sent no whole message \
                    for too long, or did not read their answer.";
        text.family("steerdns_tcp_closed_total", Kind::Counter, help)
            .sample(&[("cause", "evicted")], sum(|c| &c.evicted))
            .sample(&[("cause", "idle")], sum(|c| &c.idle))
            .sample(&[("cause", "stalled")], sum(|c| &c.stalled));
        let help = "Times that the system refused to accept.";
        text.family("steerdns_tcp_accept_errors_total", Kind::Counter, help)
            .sample(&[], sum(|c| &c.accept_failures));
    }
}

/// What the accepting tasks of a thread share.
struct House<R> {
    desk: Rc<RefCell<Desk<R>>>,
    seats: Rc<RefCell<Seats>>,
    limits: Limits,
    counts: Arc<Counts>,
    draining: watch::Receiver<bool>,
}

/// Answers on `listeners` until told to stop, and then until its connections have their answers, or
/// [`Limits::drain`] is over. It blocks: give it a thread. Each listener's Tally is of the listener's family.
pub fn serve<R: Respond>(
    listeners: Vec<(TcpListener, Arc<Tally>)>,
    answering: &Answering<R>,
    worker: Worker,
    limits: Limits,
    counts: Arc<Counts>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let (drain, draining) = watch::channel(false);
        let house = Rc::new(House {
            desk: Rc::new(RefCell::new(Desk::new(answering.clone(), worker))),
            seats: Rc::default(),
            limits,
            counts,
            draining,
        });
        let mut accepting = Vec::new();
        for (listener, tally) in listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            accepting.push(spawn_local(accept(listener, tally, Rc::clone(&house))));
        }
        let mut look = interval(STOP_SEEN);
        while !answering.stopped() {
            look.tick().await;
        }
        for task in accepting {
            task.abort();
            let _ = task.await;
        }
        drain.send_replace(true);
        let connections = house.seats.borrow_mut().all();
        let ended = async {
            for connection in connections {
                let _ = connection.await;
            }
        };
        // Those that have not ended by then end with this thread.
        let _ = timeout(limits.drain, ended).await;
        Ok(())
    })
}

/// Accepts connections, and seats them.
async fn accept<R: Respond>(listener: tokio::net::TcpListener, tally: Arc<Tally>, house: Rc<House<R>>) {
    let (seats, limits, counts) = (&house.seats, &house.limits, &house.counts);
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(_) => {
                counts.accept_failures.bump();
                let idlest = seats.borrow_mut().idlest();
                evict(idlest, counts).await;
                sleep(REST).await;
                continue;
            }
        };
        // Answers leave whole: there is nothing to wait for.
        let _ = socket.set_nodelay(true);
        let in_the_way = seats.borrow_mut().in_the_way(peer.ip(), limits);
        evict(in_the_way, counts).await;
        let connection = Connection::new(socket, peer.ip(), Arc::clone(&tally), Rc::clone(&house.desk));
        let (draining, limits) = (house.draining.clone(), *limits);
        #[expect(clippy::disallowed_methods, reason = "a transport is where time comes from")]
        let now = Instant::now();
        seats::seat(seats, peer.ip(), now, counts, |seat| async move {
            match connection.run(&seat, &limits, draining).await {
                End::Idle => seat.counts().idle.bump(),
                End::Stalled => seat.counts().stalled.bump(),
                End::Theirs | End::Drained => {}
            }
        });
    }
}

/// Ends a connection whose seat somebody else needs.
async fn evict(connection: Option<JoinHandle<()>>, counts: &Counts) {
    if let Some(connection) = connection {
        connection.abort();
        let _ = connection.await;
        counts.evicted.bump();
    }
}
