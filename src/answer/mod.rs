//! One packet in, one packet out.

pub mod respond;
pub mod tally;
pub mod totals;
pub mod worker;
