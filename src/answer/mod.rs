//! One packet in, one packet out; or, for a transfer, many.

pub mod asking;
mod body;
mod bound;
mod ending;
mod explained;
pub mod limit;
mod odd;
mod renamed;
pub mod respond;
mod signed;
mod steered;
pub mod tally;
pub mod totals;
pub mod transfer;
mod trouble;
pub mod worker;
