//! Wire format: names, queries, EDNS, responses.

pub mod edns;
pub mod lowered;
pub mod name;
pub mod query;
pub mod response;
