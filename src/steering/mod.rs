//! Which cluster for whom.
//!
//! ```text
//! rules     what an operator wrote: Policy
//! marks     which of the policy's own prefixes hold an address
//! measured  its RTT table, ready to be asked
//! ranker    what clusters cost a client, and the class that it shares a list with
//! rank      one client -> the order of clusters, and why
//! pieces, kinds, cells, exact     the steps of compiling
//! compile   all places -> Mapped: address -> (ranked list, tile)
//! slots     an address -> one of 64 slots
//! deal      a slot -> the nodes of a pool
//! client    whose address decides: the resolver's, or the network that the query names
//! choose    ranked list, slot, state of the pools -> Choice
//! census    where clients are: which part of the address space counts for how much
//! balance   who would fill a cluster goes elsewhere: (list, slot) -> the rank at which the choice begins
//! ```

pub mod alike;
pub mod balance;
pub mod bend;
pub mod binding;
pub mod cells;
pub mod census;
pub mod choose;
pub mod client;
pub mod compile;
pub mod deal;
pub mod exact;
pub mod kinds;
pub mod marks;
mod measured;
mod packed;
mod pieces;
pub mod ramp;
pub mod rank;
pub mod ranker;
pub mod rules;
pub mod service;
pub mod slots;
