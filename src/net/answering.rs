//! What every transport answers with.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::errand::Lane;
use super::panics::{MakesAnswers, Panics, Saved};
use crate::answer::tally::Tally;
use crate::answer::transfer::Transfer;
use crate::answer::worker::{Ask, Now, Reply, Transport, Worker};
use crate::snapshot::{Live, Snapshot};

/// How soon a transport sees that it must stop, at the latest.
pub const STOP_SEEN: Duration = Duration::from_millis(250);

/// Octets of a message's header (RFC 1035 §4.1.1).
pub(super) const HEADER: usize = 12;

/// A function with the signature of `answer::respond::respond`: a transport is compiled for the one it is
/// given, so that tests may give another, and the call costs nothing.
pub trait Respond:
    Fn(&Snapshot, &mut Worker, Now, &mut [u8], usize, IpAddr, Transport) -> Reply + Copy + Send + Sync + 'static
{
}

impl<F> Respond for F where
    F: Fn(&Snapshot, &mut Worker, Now, &mut [u8], usize, IpAddr, Transport) -> Reply
        + Copy
        + Send
        + Sync
        + 'static
{
}

/// What every transport answers with: each of its threads has a clone.
#[derive(Clone, Debug)]
pub struct Answering<R> {
    /// The Snapshot in force.
    pub live: Arc<Live>,
    /// Packet -> Reply.
    pub respond: R,
    /// Where questions go that wait for the disk or the publisher.
    pub lane: Lane,
    /// What has panicked so far.
    pub panics: Arc<Panics>,
    /// Set it, and every thread ends within [`STOP_SEEN`] and what its transport needs to drain.
    pub stop: Arc<AtomicBool>,
}

/// A transport's clocks. Reading two for each batch would cost as much as an answer; the one on the wall is looked at now and then.
#[derive(Debug)]
pub struct Clocks {
    looked: Instant,
    unix_s: u64,
}

/// How old the word of the clock on the wall may be: cookies and signatures are checked to the second at best.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

#[expect(clippy::disallowed_methods, reason = "a transport is where time comes from")]
impl Clocks {
    /// Clocks, looked at.
    pub fn looked_at() -> Clocks {
        Clocks { looked: Instant::now(), unix_s: unix_s() }
    }

    /// What time it is.
    #[inline]
    pub fn now(&mut self) -> Now {
        let instant = Instant::now();
        if instant.saturating_duration_since(self.looked) >= LOOK_AGAIN {
            *self = Clocks { looked: instant, unix_s: unix_s() };
        }
        Now { instant, unix_s: self.unix_s }
    }
}

#[cold]
#[expect(clippy::disallowed_methods, reason = "a transport is where time comes from")]
fn unix_s() -> u64 {
    // A clock before 1970 makes every cookie and signature too old, which is what they are to it.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What is to be done with a message.
#[derive(Debug)]
pub(super) enum Said {
    /// Nothing.
    Nothing,
    /// The buffer's first octets are the answer.
    Answer(usize),
    /// It goes to the cold lane.
    Later(Ask),
    /// Many messages, one after the other.
    Transfer(Box<Transfer>),
}

impl<R: Respond> Answering<R> {
    /// Whether to end.
    #[inline]
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Answers one message in place, and counts it; a panic becomes SERVFAIL.
    ///
    /// For transports that take messages one by one: net/udp does the same for a batch.
    #[expect(clippy::too_many_arguments, reason = "those of `respond`, and where to count")]
    pub(super) fn answer(
        &self,
        snapshot: &Snapshot,
        worker: &mut Worker,
        tally: &Tally,
        now: Now,
        buf: &mut [u8],
        len: usize,
        peer: IpAddr,
        transport: Transport,
    ) -> Said {
        let Some(saved) = Saved::of(buf, len) else {
            tally.dropped();
            return Said::Nothing;
        };
        let _makes = MakesAnswers::begin();
        // A Worker holds counts and turns: whatever a panic leaves in it is good to go on with.
        let respond = AssertUnwindSafe(|| (self.respond)(snapshot, worker, now, buf, len, peer, transport));
        match catch_unwind(respond) {
            Ok(Reply::Done(len, fact)) => {
                tally.answered(&fact);
                Said::Answer(len)
            }
            Ok(Reply::Later(ask)) => Said::Later(ask),
            Ok(Reply::Stream(transfer)) => {
                tally.transferred(transfer.qtype());
                Said::Transfer(transfer)
            }
            Ok(Reply::Limited) => {
                tally.limited();
                Said::Nothing
            }
            Ok(Reply::Drop) => {
                tally.dropped();
                Said::Nothing
            }
            Err(_) => {
                tally.panicked();
                self.panics.tell(&saved, buf);
                buf[..HEADER].copy_from_slice(&servfail(saved.header));
                Said::Answer(HEADER)
            }
        }
    }
}

/// The header of a message of `len` octets, if it has one whole.
#[inline]
pub(super) fn header(buf: &[u8], len: usize) -> Option<[u8; HEADER]> {
    let header = *buf.first_chunk()?;
    (len >= HEADER).then_some(header)
}

/// The whole answer to a query whose answer could not be made: SERVFAIL with the query's ID, opcode and RD,
/// and no question, since where the question ends is one of the things that may have gone wrong.
#[cold]
pub(super) fn servfail(query: [u8; HEADER]) -> [u8; HEADER] {
    let [id_high, id_low, flags, ..] = query;
    let (qr, opcode_and_rd, rcode) = (0x80, flags & 0b0111_1001, 2);
    [id_high, id_low, qr | opcode_and_rd, rcode, 0, 0, 0, 0, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servfail_keeps_id_opcode_and_rd_and_clears_the_rest() {
        let query = [0xAB, 0xCD, 0b0010_1111, 0xFF, 0, 1, 0, 2, 0, 3, 0, 4];
        assert_eq!(servfail(query), [0xAB, 0xCD, 0b1010_1001, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn less_than_a_header_is_none() {
        assert_eq!(header(&[7; 64], 11), None);
        assert_eq!(header(&[7; 11], 12), None);
        assert_eq!(header(&[7; 64], 12), Some([7; 12]));
    }
}
