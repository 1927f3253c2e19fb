//! What an answering thread holds of its own, and what it tells of each answer.

use std::time::Instant;

use super::limit::Limiter;
use super::transfer::Transfer;
use crate::cluster::{ClusterId, CountId};
use crate::steering::choose::Reason;
use crate::steering::service::ServiceId;
use crate::wire::cookie::Sender;
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

/// What time it is: told once for a batch.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For what passes here: doubts, rates.
    pub instant: Instant,
    /// For what others must agree about with us: cookies and signatures. Whole seconds since 1970-01-01 UTC.
    pub unix_s: u64,
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
    pub turns: [u32; 3],
    /// How much each network got.
    pub limiter: Limiter,
    /// What the question at hand asks for, if it asks why and the cold lane has found out.
    pub why: Option<Box<Why>>,
}

/// An explanation, as `_why.<service>` TXT tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// Line by line.
    pub lines: Vec<String>,
    /// SCOPE PREFIX-LENGTH of the answer that is explained.
    pub scope: u8,
}

impl Worker {
    /// For one of `threads` answering threads that share the limits; `chance` is a random number.
    pub fn of(threads: usize, chance: u64) -> Worker {
        Worker { limiter: Limiter::new(threads, chance), ..Worker::default() }
    }
}

/// What becomes of a packet.
#[derive(Debug)]
pub enum Reply {
    /// Nothing is sent.
    Drop,
    /// Nothing is sent: the client's network got too much already.
    Limited,
    /// The buffer's first octets are the answer: so many.
    Done(usize, Fact),
    /// The cold lane answers it: it may wait for the disk.
    Later(Ask),
    /// Many messages, one after the other: a transfer.
    Stream(Box<Transfer>),
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
    /// Whether it is empty since the client's network got too much already.
    pub slipped: bool,
    /// Whether the query had a well-formed ECS option.
    pub ecs: bool,
    /// What its cookie told of the client; `None`: it had none.
    pub sender: Option<Sender>,
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
