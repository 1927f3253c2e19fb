//! UDP on Linux: a thread and a socket per core, many datagrams to a system call, answers where queries stood.
//!
//! ```text
//! recvmmsg  waits for the first datagram, takes what else is there
//!   one Snapshot, one clock reading
//!   respond   each in its own buffer; what gets no answer moves behind what does
//! sendmmsg  the run of answers
//! ```
//!
//! The rest of the program has no `unsafe`; here it stands in `batch` (messages shared with the kernel) and
//! `options` (socket options that socket2 lacks).

mod batch;
pub mod options;

use std::io::{self, IoSlice};
use std::net::{SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use socket2::{MsgHdr, SockRef};

use self::batch::{Batch, LARGE, USUAL};
use super::answering::{Answering, Clocks, Respond, servfail};
use super::errand::Errand;
use super::panics::{MakesAnswers, Saved};
use crate::answer::tally::Tally;
use crate::answer::worker::{Ask, Now, Reply, Transport, Worker};

/// How long a thread pauses when the kernel refuses to receive: refusals must not become a busy loop.
const PAUSE: Duration = Duration::from_millis(10);

/// Answers on `socket` until told to stop. It blocks: give it a thread.
///
/// The socket comes from [`listen::bind`](super::listen::bind), whose read timeout bounds how late a stop is
/// seen. `octets` is the most that an answer may have.
pub fn serve<R: Respond>(
    socket: &Arc<UdpSocket>,
    answering: &Answering<R>,
    worker: Worker,
    tally: &Tally,
    octets: usize,
) -> io::Result<()> {
    let (local, usual) = (socket.local_addr()?, octets <= USUAL);
    if usual {
        run(Batch::<USUAL>::new(local), socket, answering, worker, tally)
    } else {
        run(Batch::<LARGE>::new(local), socket, answering, worker, tally)
    }
}

fn run<R: Respond, const BUFFER: usize>(
    mut batch: Batch<BUFFER>,
    socket: &Arc<UdpSocket>,
    answering: &Answering<R>,
    mut worker: Worker,
    tally: &Tally,
) -> io::Result<()> {
    let mut clocks = Clocks::looked_at();
    while !answering.stopped() {
        let received = match batch.receive(socket) {
            Ok(received) => received,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
                    tally.receive_failed();
                    thread::park_timeout(PAUSE);
                }
                continue;
            }
        };
        answer(&mut batch, received, socket, answering, &mut worker, tally, clocks.now());
        batch.send(socket, tally);
    }
    Ok(())
}

/// Answers a batch. What a panic interrupts is answered SERVFAIL, and the rest goes on behind it.
fn answer<R: Respond, const BUFFER: usize>(
    batch: &mut Batch<BUFFER>,
    received: usize,
    socket: &Arc<UdpSocket>,
    answering: &Answering<R>,
    worker: &mut Worker,
    tally: &Tally,
    now: Now,
) {
    let snapshot = answering.live.now();
    let _makes = MakesAnswers::begin();
    let (mut at, mut saved) = (0, Saved::NONE);
    while at < received {
        // One frame to unwind to for the whole batch, entered anew only behind a panic. A Worker holds counts
        // and turns, a Batch octets: whatever a panic leaves in them is good to go on with.
        let rest = AssertUnwindSafe(|| {
            while at < received {
                let Some((peer, len, buf)) = batch.query(at) else {
                    tally.dropped();
                    at += 1;
                    continue;
                };
                let Some(packet) = Saved::of(buf, len) else {
                    tally.dropped();
                    at += 1;
                    continue;
                };
                saved = packet;
                match (answering.respond)(&snapshot, worker, now, buf, len, peer, Transport::Udp) {
                    Reply::Done(len, fact) => {
                        tally.answered(&fact);
                        batch.keep(at, len);
                    }
                    Reply::Drop => tally.dropped(),
                    Reply::Limited => tally.limited(),
                    Reply::Later(ask) => later(batch, at, ask, socket, answering, tally),
                    Reply::Stream(_) => tally.dropped(), // there is none over UDP
                }
                at += 1;
            }
        });
        if catch_unwind(rest).is_err() {
            tally.panicked();
            if let Some((_, _, buf)) = batch.query(at) {
                answering.panics.tell(&saved, buf);
            }
            batch.write(at, &servfail(saved.header));
            batch.keep(at, saved.header.len());
            at += 1;
        }
    }
}

#[cold]
fn later<R: Respond, const BUFFER: usize>(
    batch: &Batch<BUFFER>,
    at: usize,
    ask: Ask,
    socket: &Arc<UdpSocket>,
    answering: &Answering<R>,
    tally: &Tally,
) {
    let (Some(peer), control) = (batch.peer(at), batch.control(at)) else { return };
    let socket = Arc::clone(socket);
    let way = move |message: &[u8]| send_one(&socket, peer, &control, message);
    if answering.lane.put(Errand::new(ask, peer.ip(), Transport::Udp, way)) {
        tally.handed_on();
    } else {
        tally.lane_full();
    }
}

/// Sends one answer from the address that was asked.
fn send_one(socket: &UdpSocket, peer: SocketAddr, control: &[u8], message: &[u8]) {
    let (peer, parts) = (peer.into(), [IoSlice::new(message)]);
    let header = MsgHdr::new().with_addr(&peer).with_buffers(&parts).with_control(control);
    // Lost like any datagram: the client asks again.
    let _ = SockRef::from(socket).sendmsg(&header, libc::MSG_DONTWAIT);
}
