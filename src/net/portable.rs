//! UDP on any system: one datagram at a time, through the standard library alone.
//!
//! A socket bound to the unspecified address answers from whichever address the system chooses: on a host
//! with several, name each of them in `listen`.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::answering::{Answering, Clocks, Respond, Said};
use super::errand::Errand;
use crate::answer::tally::Tally;
use crate::answer::worker::{Transport, Worker};

/// Octets of the buffer, as in net/udp.
const BUFFER: usize = 4224;
/// How long the thread pauses when the system refuses to receive: refusals must not become a busy loop.
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
    // One octet more than an answer may use: what fills it was cut off, and is not read.
    let mut buffer = [0; BUFFER + 1];
    let mut clocks = Clocks::looked_at();
    let own = socket.local_addr()?.port();
    while !answering.stopped() {
        let (len, peer) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) => {
                use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
                if !matches!(error.kind(), WouldBlock | TimedOut | Interrupted) {
                    tally.receive_failed();
                    thread::park_timeout(PAUSE);
                }
                continue;
            }
        };
        if len > BUFFER || peer.port() == 0 || peer.port() == own {
            tally.dropped();
            continue;
        }
        let now = clocks.now();
        let snapshot = answering.live.now();
        let buf = &mut buffer[..BUFFER];
        match answering.answer(&snapshot, &mut worker, tally, now, buf, len, peer.ip(), Transport::Udp) {
            Said::Nothing | Said::Transfer(_) => {} // there is no transfer over UDP
            Said::Answer(len) => {
                if socket.send_to(&buf[..len], peer).is_err() {
                    tally.send_failed(1);
                }
            }
            Said::Later(ask) => {
                let socket = Arc::clone(socket);
                let way = move |message: &[u8]| {
                    // Lost like any datagram: the client asks again.
                    let _ = socket.send_to(message, peer);
                };
                if answering.lane.put(Errand::new(ask, peer.ip(), Transport::Udp, way)) {
                    tally.handed_on();
                } else {
                    tally.lane_full();
                }
            }
        }
    }
    Ok(())
}
