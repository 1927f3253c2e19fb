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
use std::time::{Duration, Instant};

use socket2::{MsgHdr, SockRef};

use self::batch::Batch;
use super::answering::{Answering, Respond, header, servfail};
use super::errand::Errand;
use crate::answer::tally::Tally;
use crate::answer::worker::{Ask, Reply, Transport, Worker};

/// How long a thread pauses when the kernel refuses to receive: refusals must not become a busy loop.
const PAUSE: Duration = Duration::from_millis(10);

/// Answers on `socket` until told to stop. It blocks: give it a thread.
///
/// The socket comes from [`listen::bind`](super::listen::bind), whose read timeout bounds how late a stop is
/// seen.
pub fn serve<R: Respond>(
    socket: &Arc<UdpSocket>,
    answering: &Answering<R>,
    mut worker: Worker,
    tally: &Tally,
) -> io::Result<()> {
    let mut batch = Batch::new(socket.local_addr()?);
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
        answer(&mut batch, received, socket, answering, &mut worker, tally);
        batch.send(socket, tally);
    }
    Ok(())
}

/// Answers a batch. What a panic interrupts is answered SERVFAIL, and the rest goes on behind it.
fn answer<R: Respond>(
    batch: &mut Batch,
    received: usize,
    socket: &Arc<UdpSocket>,
    answering: &Answering<R>,
    worker: &mut Worker,
    tally: &Tally,
) {
    #[expect(clippy::disallowed_methods, reason = "a transport is where time comes from")]
    let now = Instant::now();
    let snapshot = answering.live.now();
    let (mut at, mut saved) = (0, [0; 12]);
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
                let Some(header) = header(buf, len) else {
                    tally.dropped();
                    at += 1;
                    continue;
                };
                saved = header;
                match (answering.respond)(&snapshot, worker, now, buf, len, peer, Transport::Udp) {
                    Reply::Done(len, fact) => {
                        tally.answered(&fact);
                        batch.keep(at, len);
                    }
                    Reply::Drop => tally.dropped(),
                    Reply::Later(ask) => later(batch, at, ask, socket, answering, tally),
                }
                at += 1;
            }
        });
        if catch_unwind(rest).is_err() {
            tally.panicked();
            batch.write(at, &servfail(saved));
            batch.keep(at, saved.len());
            at += 1;
        }
    }
}

#[cold]
fn later<R: Respond>(
    batch: &Batch,
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
