//! What an answering thread holds of its own, and what it tells of each answer.

use crate::cluster::{ClusterId, CountId};
use crate::steering::choose::Reason;
use crate::steering::service::ServiceId;
use crate::wire::lowered::Lowered;
use crate::wire::query::Query;

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram: the answer is bounded by what the client takes.
    Udp,
    /// A stream: up to 65,535 octets.
    Tcp,
}

/// What an answering thread holds of its own.
#[derive(Debug, Default)]
pub struct Worker {
    /// The question at hand.
    pub query: Query,
    /// Its name.
    pub name: Lowered,
    /// A suffix of it.
    pub scratch: Lowered,
    /// By family: moves on with every steered answer; rotates records, and the sets of clients without ECS. Apart, since many
    /// clients ask for A and AAAA in turn: they would see every second one.
    pub turns: [u32; 2],
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Nothing is sent.
    Drop,
    /// The buffer's first octets are the answer: so many.
    Done(usize, Fact),
    /// The cold lane answers it: it may wait for the disk.
    Later(Ask),
}

/// A question for the cold lane: the query, as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The whole query.
    pub query: Box<[u8]>,
}

/// What is counted of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The RCODE, extended bits included.
    pub rcode: u16,
    /// The type asked for; 0 where the question was not understood.
    pub qtype: u16,
    /// Whether TC was set.
    pub truncated: bool,
    /// Whether the query had a well-formed ECS option.
    pub ecs: bool,
    /// How it was steered.
    pub steered: Option<Steered>,
}

/// How an answer was steered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steered {
    /// The service.
    pub service: ServiceId,
    /// The cluster that was answered.
    pub cluster: ClusterId,
    /// Where its answers are counted.
    pub counted: CountId,
    /// Why that one.
    pub reason: Reason,
}
