//! Wire format: names, queries, EDNS, responses, and what is hashed of octets.

pub mod cookie;
pub mod digest;
pub mod edns;
pub mod lowered;
pub mod name;
pub mod query;
pub mod response;
pub mod suffixes;
pub mod tsig;
