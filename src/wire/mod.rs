//! Wire format: names, queries, EDNS, responses.

pub mod cookie;
pub mod edns;
pub mod lowered;
pub mod name;
pub mod query;
pub mod response;
pub mod suffixes;
pub mod tsig;
