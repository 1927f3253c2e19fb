//! One connection: frames in, frames out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use super::Limits;
use super::seats::Seat;
use crate::answer::tally::Tally;
use crate::answer::transfer::Transfer;
use crate::answer::worker::{Ask, Transport, Worker};
use crate::net::answering::{Answering, Clocks, HEADER, Respond, Said, header, servfail};
use crate::net::errand::Errand;
use crate::net::panics::{MakesAnswers, Saved};
use crate::zone::record::rtype;

/// Octets of the length before each message (RFC 1035 §4.2.2).
const PREFIX: usize = 2;
/// The longest message.
const MESSAGE: usize = 65_535;
/// Octets read at once: some 300 queries.
const READ: usize = 16 * 1024;
/// From so many octets of answers on, they are written before more queries are answered. With this, a client
/// that does not read makes us hold at most `FLUSH` + one answer, and what it had sent by then.
const FLUSH: usize = 16 * 1024;
/// Questions of one connection that may be in the cold lane at a time.
const LATE: usize = 16;
/// Transfers that one connection may have under way or waiting.
const TRANSFERS: usize = 4;
/// Transfers that all connections of a thread may have together: each holds an edition of its zone, and a message.
const TRANSFERS_IN_ALL: usize = 64;

/// What the connections of a thread answer with, one after the other.
pub(super) struct Desk<R> {
    answering: Answering<R>,
    worker: Worker,
    clocks: Clocks,
    input: Box<[u8]>,
    output: Box<[u8]>,
    /// Held by each transfer that is under way, too: so they are counted.
    places: Rc<()>,
}

impl<R> Desk<R> {
    pub(super) fn new(answering: Answering<R>, worker: Worker) -> Desk<R> {
        let input = vec![0; PREFIX + MESSAGE + READ].into();
        let output = vec![0; FLUSH + PREFIX + MESSAGE].into();
        Desk { answering, worker, clocks: Clocks::looked_at(), input, output, places: Rc::default() }
    }
}

/// A connection.
pub(super) struct Connection<R> {
    stream: TcpStream,
    peer: IpAddr,
    tally: Arc<Tally>,
    desk: Rc<RefCell<Desk<R>>>,
    /// Frames, the last of them perhaps not whole, that came and are not answered yet.
    unread: Vec<u8>,
    /// Answers for which the client's window had no room.
    unsent: Vec<u8>,
    /// How many of its questions are in the cold lane; their answers come in any order (RFC 7766 §6.2.1.1).
    late: usize,
    errands: Option<Errands>,
    /// What it is sent message by message, one transfer after the other.
    transfers: VecDeque<Running>,
    /// The client has sent all that it wanted.
    read_all: bool,
}

/// A transfer, and its place among those of the thread.
struct Running {
    transfer: Box<Transfer>,
    /// Messages and octets that were sent so far.
    messages: u64,
    octets: u64,
    _place: Rc<()>,
}

impl Running {
    /// It was sent whole, as far as we know.
    #[cold]
    fn tell(&self, peer: IpAddr) {
        let Running { transfer, messages, octets, .. } = self;
        let (zone, serial) = (transfer.edition().origin(), transfer.edition().serial());
        let kind = if transfer.qtype() == rtype::AXFR { "AXFR" } else { "IXFR" };
        tracing::info!(%zone, serial, secondary = %peer, messages, octets, "{peer} has {zone} {serial} by {kind}");
    }
}

/// Where errands end; there is room for [`LATE`].
struct Errands {
    put: mpsc::Sender<Option<Box<[u8]>>>,
    take: mpsc::Receiver<Option<Box<[u8]>>>,
}

/// One errand's way back. It tells its end once, with an answer or, dropped without one, `None`.
struct Back {
    put: mpsc::Sender<Option<Box<[u8]>>>,
    answer: Option<Box<[u8]>>,
}

impl Back {
    fn tell(mut self, message: &[u8]) {
        self.answer = Some(message.into());
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        // The connection may have ended meanwhile.
        let _ = self.put.try_send(self.answer.take());
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client closed it, or sent what is no message.
    Theirs,
    /// No whole message came in time.
    Idle,
    /// The client did not read its answers.
    Stalled,
    /// We stop, and it has what it asked for.
    Drained,
}

/// What happened next.
enum Step {
    /// Messages were read and answered; `more` may be waiting.
    Answered { any: bool, more: bool },
    /// The cold lane has answered a question, or dropped it.
    Late(Option<Box<[u8]>>),
    /// There is time for the next message of a transfer.
    Pull,
    /// The client sends no more.
    ReadAll,
}

impl<R: Respond> Connection<R> {
    pub(super) fn new(
        stream: TcpStream,
        peer: IpAddr,
        tally: Arc<Tally>,
        desk: Rc<RefCell<Desk<R>>>,
    ) -> Connection<R> {
        let (unread, unsent, transfers) = (Vec::new(), Vec::new(), VecDeque::new());
        let (late, errands, read_all) = (0, None, false);
        Connection { stream, peer, tally, desk, unread, unsent, late, errands, transfers, read_all }
    }

    /// Serves it to its end.
    pub(super) async fn run(mut self, seat: &Seat, limits: &Limits, draining: watch::Receiver<bool>) -> End {
        let end = self.serve(seat, limits, draining).await.unwrap_or(End::Theirs);
        if end != End::Stalled {
            let _ = self.stream.shutdown().await;
        }
        end
    }

    async fn serve(
        &mut self,
        seat: &Seat,
        limits: &Limits,
        mut draining: watch::Receiver<bool>,
    ) -> io::Result<End> {
        let mut idle = pin!(sleep_until(seat.active.get() + limits.idle));
        loop {
            if !self.unsent.is_empty() {
                let unsent = std::mem::take(&mut self.unsent);
                match timeout(limits.write, self.stream.write_all(&unsent)).await {
                    Ok(written) => written?,
                    Err(_) => return Ok(End::Stalled),
                }
            }
            let owes = self.late > 0 || !self.transfers.is_empty();
            if self.read_all && !owes {
                return Ok(End::Theirs);
            }
            let drain = *draining.borrow();
            let step = tokio::select! {
                biased;
                step = std::future::poll_fn(|cx| self.step(cx)) => step?,
                // What had come is answered: the step found nothing.
                () = std::future::ready(()), if !self.transfers.is_empty() => Step::Pull,
                () = std::future::ready(()), if drain && !owes => return Ok(End::Drained),
                _ = draining.changed(), if !drain => continue,
                () = &mut idle => {
                    let until = seat.active.get() + limits.idle;
                    if until <= now() {
                        return Ok(End::Idle);
                    }
                    idle.as_mut().reset(until);
                    continue;
                }
            };
            match step {
                Step::Answered { any, more } => {
                    if any {
                        seat.active.set(now());
                    }
                    if more {
                        yield_now().await; // to the other connections
                    }
                }
                Step::Late(answer) => {
                    self.late -= 1;
                    if let Some(answer) = answer
                        && let Ok(len) = u16::try_from(answer.len())
                    {
                        self.unsent.extend(len.to_be_bytes());
                        self.unsent.extend(&answer);
                    }
                }
                Step::Pull => {
                    self.pull()?;
                    seat.active.set(now());
                    yield_now().await; // to the other connections
                }
                Step::ReadAll => self.read_all = true,
            }
        }
    }

    /// The next thing that happens.
    fn step(&mut self, cx: &mut Context) -> Poll<io::Result<Step>> {
        if let Some(errands) = &mut self.errands
            && let Poll::Ready(Some(answer)) = errands.take.poll_recv(cx)
        {
            return Poll::Ready(Ok(Step::Late(answer)));
        }
        if self.read_all { Poll::Pending } else { self.turn(cx) }
    }

    /// Reads once, answers, writes once. All of it in one poll: the desk belongs to whoever has its turn.
    fn turn(&mut self, cx: &mut Context) -> Poll<io::Result<Step>> {
        let desk = Rc::clone(&self.desk);
        let desk = &mut *desk.borrow_mut();
        let (mut have, mut full) = (self.unread.len(), false);
        desk.input[..have].copy_from_slice(&self.unread);
        if frame(&desk.input[..have]).is_none() {
            let mut room = ReadBuf::new(&mut desk.input[have..have + READ]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
            let read = room.filled().len();
            if read == 0 {
                return Poll::Ready(Ok(Step::ReadAll));
            }
            (have, full) = (have + read, read == READ);
        }
        let late_before = self.late;
        let (taken, written) = self.answer(desk, have)?;
        self.unread = desk.input[taken..have].to_vec();
        let answers = &desk.output[..written];
        let sent = match self.stream.try_write(answers) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Poll::Ready(Err(error)),
        };
        self.unsent = answers[sent..].to_vec();
        let more = full || frame(&self.unread).is_some();
        let any = written > 0 || self.late > late_before;
        Poll::Ready(Ok(Step::Answered { any, more }))
    }

    /// Answers the frames of the first `have` octets of the input, as many as the output should hold: how
    /// many octets of each were used.
    fn answer(&mut self, desk: &mut Desk<R>, have: usize) -> io::Result<(usize, usize)> {
        let Desk { answering, worker, clocks, input, output, places } = desk;
        let now = clocks.now();
        let snapshot = answering.live.now();
        let (mut taken, mut written) = (0, 0);
        while let Some(query) = frame(&input[taken..have])
            && written < FLUSH
        {
            let len = query.len();
            if len < HEADER {
                // What else it sends is no likelier to be DNS.
                return Err(io::ErrorKind::InvalidData.into());
            }
            taken += PREFIX + len;
            let (prefix, buf) = output[written..].split_at_mut(PREFIX);
            let buf = &mut buf[..MESSAGE];
            buf[..len].copy_from_slice(query);
            let (peer, tally) = (self.peer, &self.tally);
            let answer = match answering.answer(&snapshot, worker, tally, now, buf, len, peer, Transport::Tcp)
            {
                Said::Nothing => None,
                Said::Answer(len) => Some(len),
                Said::Later(ask) => self.later(answering, ask, buf),
                Said::Transfer(transfer) => self.transfer(transfer, places, query, buf),
            };
            if let Some(len) = answer {
                let len = u16::try_from(len).expect("`respond` writes no further than its buffer of 65,535");
                prefix.copy_from_slice(&len.to_be_bytes());
                written += PREFIX + usize::from(len);
            }
        }
        Ok((taken, written))
    }

    /// Begins a transfer; where there are too many, SERVFAIL: the secondary comes again.
    #[cold]
    fn transfer(
        &mut self,
        transfer: Box<Transfer>,
        places: &Rc<()>,
        query: &[u8],
        buf: &mut [u8],
    ) -> Option<usize> {
        if self.transfers.len() < TRANSFERS && Rc::strong_count(places) <= TRANSFERS_IN_ALL {
            let (messages, octets) = (0, 0);
            self.transfers.push_back(Running { transfer, messages, octets, _place: Rc::clone(places) });
            return None;
        }
        buf[..HEADER].copy_from_slice(&servfail(header(query, query.len())?));
        Some(HEADER)
    }

    /// Writes the next message of the first transfer, as far as the client's window has room for it.
    fn pull(&mut self) -> io::Result<()> {
        let Some(running) = self.transfers.front_mut() else { return Ok(()) };
        let transfer = &mut running.transfer;
        let desk = &mut *self.desk.borrow_mut();
        let (prefix, message) = desk.output.split_at_mut(PREFIX);
        let _makes = MakesAnswers::begin();
        let next = || transfer.next(&mut message[..MESSAGE], desk.clocks.now().unix_s);
        let Ok(next) = catch_unwind(AssertUnwindSafe(next)) else {
            self.tally.panicked();
            desk.answering.panics.tell(&Saved::NONE, &[]);
            return Err(io::ErrorKind::Other.into());
        };
        let Some(len) = next else {
            running.tell(self.peer);
            self.transfers.pop_front();
            return Ok(());
        };
        running.messages += 1;
        running.octets += len as u64;
        prefix.copy_from_slice(&u16::try_from(len).expect("within a message").to_be_bytes());
        let octets = &desk.output[..PREFIX + len];
        let sent = match self.stream.try_write(octets) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.unsent = octets[sent..].to_vec();
        Ok(())
    }

    /// Hands a question on. Where it finds no room, it is answered SERVFAIL at once: on a stream, silence
    /// would be waited for.
    #[cold]
    fn later(&mut self, answering: &Answering<R>, ask: Ask, buf: &mut [u8]) -> Option<usize> {
        let query = header(&ask.query, ask.query.len())?;
        if self.late < LATE {
            let errands = self.errands.get_or_insert_with(|| {
                let (put, take) = mpsc::channel(LATE);
                Errands { put, take }
            });
            let back = Back { put: errands.put.clone(), answer: None };
            self.late += 1; // and one less when `back` is gone, refused errands included
            let way = |message: &[u8]| back.tell(message);
            if answering.lane.put(Errand::new(ask, self.peer, Transport::Tcp, way)) {
                self.tally.handed_on();
                return None;
            }
        }
        self.tally.lane_full();
        buf[..HEADER].copy_from_slice(&servfail(query));
        Some(HEADER)
    }
}

/// The first message of `octets`, if all of it is there.
fn frame(octets: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = octets.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*prefix)))
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a transport is where time comes from")]
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn a_frame_is_taken_when_all_of_it_is_there() {
        assert_eq!(frame(&[]), None);
        assert_eq!(frame(&[0]), None);
        assert_eq!(frame(&[0, 0]), Some(&[][..]));
        assert_eq!(frame(&[0, 2, 7]), None);
        assert_eq!(frame(&[0, 2, 7, 8, 0]), Some(&[7, 8][..]));
    }
}
