//! The cold lane: questions that wait for the disk or the publisher, and find their own way back.

use std::fmt;
use std::net::IpAddr;

use tokio::sync::mpsc;

use crate::answer::worker::{Ask, Transport};

/// Where transports put questions that they must not wait for. It is bounded: a full lane refuses.
#[derive(Clone, Debug)]
pub struct Lane(mpsc::Sender<Errand>);

/// A question with its way back.
pub struct Errand {
    /// The question.
    pub ask: Ask,
    /// Who asks.
    pub peer: IpAddr,
    /// How it came: bounds the answer's size.
    pub transport: Transport,
    way: Way,
}

/// Takes an answer to where its question came from.
type Way = Box<dyn FnOnce(&[u8]) + Send>;

/// A lane with room for so many questions (at least 1), and the end from which they are taken.
pub fn lane(room: usize) -> (Lane, mpsc::Receiver<Errand>) {
    let (sender, receiver) = mpsc::channel(room.max(1));
    (Lane(sender), receiver)
}

impl Lane {
    /// Puts a question in, never waiting. `false` where the lane is full, or nobody serves it any more.
    pub(super) fn put(&self, errand: Errand) -> bool {
        self.0.try_send(errand).is_ok()
    }
}

impl Errand {
    pub(super) fn new(
        ask: Ask,
        peer: IpAddr,
        transport: Transport,
        way: impl FnOnce(&[u8]) + Send + 'static,
    ) -> Errand {
        Errand { ask, peer, transport, way: Box::new(way) }
    }

    /// Sends the answer back, from the socket on which the question came. Never waits: an answer that finds
    /// no room is lost like any datagram. An errand that is dropped instead gets no answer.
    pub fn answer(self, message: &[u8]) {
        (self.way)(message);
    }
}

impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Errand { ask, peer, transport, way: _ } = self;
        f.debug_struct("Errand").field("ask", ask).field("peer", peer).field("transport", transport).finish()
    }
}
