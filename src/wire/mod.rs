//! Wire format: names, queries, EDNS, responses.

pub mod edns;
pub mod name;
pub mod query;
pub mod response;
