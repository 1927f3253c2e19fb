//! Wire format: names, queries, EDNS.

pub mod edns;
pub mod name;
pub mod query;
