//! One packet in, one packet out.

pub mod respond;
pub mod tally;
pub mod worker;
