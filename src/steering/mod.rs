//! Which cluster for whom.
//!
//! ```text
//! rules     what an operator wrote: Policy
//! rank      one place -> the order of clusters, and why
//! compile   all places -> Mapped: address -> (ranked list, tile)
//! slots     an address -> one of 64 slots
//! deal      a slot -> the nodes of a pool
//! client    whose address decides: the resolver's, or the network that the query names
//! choose    ranked list, slot, state of the pools -> Choice
//! ```

mod cells;
pub mod choose;
pub mod client;
pub mod compile;
pub mod deal;
pub mod exact;
mod kinds;
pub mod marks;
mod measured;
mod pieces;
pub mod rank;
pub mod ranker;
pub mod rules;
pub mod service;
pub mod slots;
